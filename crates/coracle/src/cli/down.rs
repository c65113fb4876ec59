//! `coracle down`: stops everything on this machine, and leaves it as it was.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    cluster, data_dir,
    data_dir::DataDir,
    local::{Local, take_down},
    output::{Form, Progress},
};

/// What pods get between the signal that asks and the one that kills, unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(2);

/// What goes, and how fast.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything is kept
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// Remove the data too, and the context from kubeconfigs
    #[arg(long)]
    purge: bool,
    /// Seconds that pods get to end by themselves
    #[arg(long, default_value_t = GRACE.as_secs())]
    grace_seconds: u64,
    #[command(flatten)]
    form: Form,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Down {
    data_dir: PathBuf,
    purged: bool,
    ran: bool,
}

/// Stops everything; nothing to stop is fine.
///
/// # Errors
/// What could not be taken away.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = DataDir::at(&arguments.data_dir);
    let ran = dir.exists();
    if ran {
        cluster::block_on(async {
            let progress = Progress::start();
            let local = Local::open(&arguments.data_dir)?;
            take_down(&local, arguments.purge, Duration::from_secs(arguments.grace_seconds), &progress).await
        })?;
    }
    let down = Down { data_dir: dir.path().to_owned(), purged: ran && arguments.purge, ran };
    arguments.form.print(&down, |down| match (down.ran, down.purged) {
        (false, _) => format!("no cluster in {}", down.data_dir.display()),
        (true, false) => format!("stopped; the data stays in {}", down.data_dir.display()),
        (true, true) => "stopped, and all data removed".to_owned(),
    });
    Ok(())
}
