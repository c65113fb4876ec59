//! A cluster for a test: a data directory of its own, `coracle up`, `coracle down --purge`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    image,
    program::{Finished, Program},
};

/// A running cluster.
pub struct Cluster {
    folder: PathBuf,
    namespaces: AtomicU32,
}

impl Cluster {
    /// The folder of a cluster that is not started yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare() -> anyhow::Result<Self> {
        let folder = env::temp_dir().join(format!("coracle-acceptance-{}", std::process::id()));
        fs::create_dir_all(&folder).context("cannot make a folder")?;
        Ok(Self { folder, namespaces: AtomicU32::new(0) })
    }

    /// Brings one up, with the busybox image loaded.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn up(nodes: u16) -> anyhow::Result<Self> {
        let cluster = Self::prepare()?;
        let begun = cluster.start(nodes).and_then(|()| {
            let archive = cluster.folder.join("busybox.tar");
            image::busybox_archive(&archive)?;
            cluster.coracle(["image", "load", &archive.display().to_string()])?.ok()?;
            Ok(())
        });
        if let Err(error) = begun {
            let logs = cluster.logs();
            let _ = cluster.down();
            return Err(error.context(logs));
        }
        Ok(cluster)
    }

    /// `coracle up` on the data directory of this cluster, a fresh or a used one.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&self, nodes: u16) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig().display().to_string();
        self.coracle(["up", "--nodes", &nodes.to_string(), "--kubeconfig", &kubeconfig])?.ok()?;
        Ok(())
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// When something is left.
    pub fn down(&self) -> anyhow::Result<()> {
        self.coracle(["down", "--purge"])?.ok()?;
        fs::remove_dir_all(&self.folder).context("cannot remove the folder")
    }

    /// The folder of this test's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The kubeconfig for kubectl.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Runs a verb of Coracle on this cluster.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn coracle<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<Finished> {
        let data_dir = self.data_dir().display().to_string();
        Program::new(binary()?).arguments(arguments).variable("CORACLE_DATA_DIR", &data_dir).run()
    }

    /// Runs the verb, and reads its JSON.
    ///
    /// # Errors
    /// When it fails.
    pub fn coracle_json<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.coracle(arguments)?.ok()?)?)
    }

    /// kubectl, towards this cluster; `KUBECTL` names another than the machine's.
    pub fn kubectl_program<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Program {
        let name = env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let kubeconfig = self.kubeconfig().display().to_string();
        Program::new(name).arguments(arguments).variable("KUBECONFIG", &kubeconfig)
    }

    /// Runs kubectl with arguments that hold no spaces: `kubectl("get pods -A")`.
    ///
    /// # Errors
    /// When it fails.
    pub fn kubectl(&self, arguments: &str) -> anyhow::Result<String> {
        let finished = self.kubectl_program(arguments.split_whitespace()).run()?;
        finished.ok().with_context(|| format!("kubectl {arguments}"))
    }

    /// Runs kubectl, whatever comes of it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn kubectl_any(&self, arguments: &str) -> anyhow::Result<Finished> {
        self.kubectl_program(arguments.split_whitespace()).run()
    }

    /// Applies a manifest.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self, namespace: &str, manifest: &str) -> anyhow::Result<String> {
        self.kubectl_program(["apply", "-n", namespace, "-f", "-"]).input(manifest).run()?.ok()
    }

    /// An object as JSON.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn get(&self, arguments: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get {arguments} -o json"))?)?)
    }

    /// A fresh namespace, ready for pods.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn namespace(&self) -> anyhow::Result<String> {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&format!("create namespace {name}"))?;
        crate::eventually("the namespace has its account", || {
            Ok(self.kubectl_any(&format!("get serviceaccount default -n {name}"))?.code == 0)
        })?;
        Ok(name)
    }

    /// The last lines of every process of the cluster, for the text of a failure.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.data_dir().join("run")).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                let log = fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(25).collect();
                text.push_str(&format!("--- {}\n", path.display()));
                lines.iter().rev().for_each(|line| text.push_str(&format!("{line}\n")));
            }
        }
        text
    }
}

/// The program under test: `CORACLE_BIN`, or what was built beside this test.
///
/// # Errors
/// When it was not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("CORACLE_BIN") {
        return Ok(path.into());
    }
    let own = env::current_exe().context("cannot find this test's own path")?;
    let path = own.ancestors().nth(2).context("the test stands nowhere")?.join("coracle");
    ensure!(path.exists(), "{} was not built: run `cargo build -p coracle`, or name one with CORACLE_BIN", path.display());
    Ok(path)
}
