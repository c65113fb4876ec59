//! Where things stand in the data directory, and which version of Coracle may use it. Never reads what the parts keep below it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// The layout that this program writes. A directory with a higher number belongs to a newer Coracle and is refused.
const LAYOUT: u32 = 1;

/// The default data directory.
pub const DEFAULT: &str = "/var/lib/coracle";

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A directory that may not be there yet.
    pub fn at(path: &Path) -> Self {
        Self(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// Makes the directory, or checks that it is one that this program understands.
    ///
    /// # Errors
    /// When it cannot be made, or was written by a newer Coracle.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let dir = Self::at(path);
        fs::create_dir_all(dir.run()).with_context(|| format!("cannot make the data directory {}", dir.0.display()))?;
        let file = dir.0.join("layout");
        match fs::read_to_string(&file) {
            Ok(text) => {
                let found: u32 = text.trim().parse().with_context(|| format!("{} holds no number", file.display()))?;
                if found > LAYOUT {
                    bail!(
                        "{} was written by a newer Coracle (layout {found}, this program knows {LAYOUT}): use that version, or another --data-dir",
                        dir.0.display()
                    );
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::write(&file, format!("{LAYOUT}\n")).with_context(|| format!("cannot write {}", file.display()))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
        Ok(dir)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether a cluster was ever started here.
    pub fn exists(&self) -> bool {
        self.0.join("layout").exists()
    }

    /// Store and keys of the API server.
    pub fn server(&self) -> PathBuf {
        self.0.join("server")
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.server().join("admin.kubeconfig")
    }

    /// The content store of images, shared by all nodes of this machine.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// What a node keeps.
    pub fn node(&self, name: &str) -> PathBuf {
        self.0.join("nodes").join(name)
    }

    /// Sockets, process ids and logs of what runs now.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The keeper's socket.
    pub fn keeper_socket(&self) -> PathBuf {
        self.run().join("keeper.sock")
    }

    /// The log of a process that the keeper runs.
    pub fn log(&self, process: &str) -> PathBuf {
        self.run().join(format!("{process}.log"))
    }

    /// What this machine was made into.
    pub fn machine(&self) -> PathBuf {
        self.0.join("machine.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_a_newer_version_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        DataDir::open(folder.path()).expect("a fresh directory opens");
        fs::write(folder.path().join("layout"), "99\n").expect("the file is written");
        let error = DataDir::open(folder.path()).expect_err("a newer layout is refused").to_string();
        assert!(error.contains("newer Coracle (layout 99"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("layout")).expect("still there"), "99\n");
    }
}
