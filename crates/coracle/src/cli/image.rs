//! `coracle image`: the images of this machine. There is one store for all of its nodes, so what is loaded is there for each at once.

use std::path::PathBuf;

use anyhow::Context as _;
use runtime::image::{Image, ImageStore};
use serde::Serialize;

use crate::{
    cluster, data_dir,
    data_dir::DataDir,
    output::{Form, table},
};

/// Images of this machine.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything is kept
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT, global = true)]
    data_dir: PathBuf,
    #[command(flatten)]
    form: Form,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Bring images in from archives: of `docker save`, or in the OCI layout; plain, gzip or zstd
    Load {
        /// The archives
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Show the images
    List,
    /// Remove images, and the layers that nobody else needs
    Remove {
        /// Names, digests or ids
        #[arg(required = true)]
        images: Vec<String>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    names: Vec<String>,
    bytes: u64,
}

impl From<&Image> for Row {
    fn from(image: &Image) -> Self {
        Self { id: image.id.clone(), names: image.names.clone(), bytes: image.bytes }
    }
}

/// Does what was asked.
///
/// # Errors
/// When an archive is no good, or an image is not there.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = DataDir::open(&arguments.data_dir)?;
    let store = ImageStore::open(&dir.images()).context("cannot open the images")?;
    let rows: Vec<Row> = match &arguments.verb {
        Verb::List => store.list().iter().map(Row::from).collect(),
        Verb::Load { archives } => cluster::block_on(async {
            let mut rows = Vec::new();
            for archive in archives {
                let loaded = store.load(archive).await.with_context(|| format!("cannot load {}", archive.display()))?;
                rows.extend(loaded.iter().map(Row::from));
            }
            Ok(rows)
        })?,
        Verb::Remove { images } => cluster::block_on(async {
            for image in images {
                store.remove(image).await.with_context(|| format!("cannot remove {image}"))?;
            }
            Ok(store.list().iter().map(Row::from).collect())
        })?,
    };
    arguments.form.print(&rows, |rows| {
        let cells = |row: &Row| {
            let names = if row.names.is_empty() { "<none>".to_owned() } else { row.names.join(", ") };
            let id = row.id.trim_start_matches("sha256:").chars().take(12).collect();
            vec![names, id, size(row.bytes)]
        };
        table(&["IMAGE", "ID", "SIZE"], &rows.iter().map(cells).collect::<Vec<_>>())
    });
    Ok(())
}

/// Bytes for people, in steps of 1024.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
