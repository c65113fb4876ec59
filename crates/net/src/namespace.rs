//! Named network namespaces below `/run/netns`, where `ip netns` finds them too: made, opened, entered, listed, removed.
//! Never decides who lives in one, and never leaves a thread of the caller in a namespace that it did not ask for.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where named namespaces are bound.
pub const FOLDER: &str = "/run/netns";

/// Why a namespace could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The folder of the names could not be made.
    #[error("cannot make {FOLDER}")]
    MakeFolder(#[source] io::Error),
    /// The name is taken, or cannot be one.
    #[error("cannot make the network namespace {name}")]
    Create {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no namespace of that name, or it is a leftover name without one.
    #[error("cannot open the network namespace {name}")]
    Open {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread could not go there.
    #[error("cannot enter the network namespace {name}")]
    Enter {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name could not be taken away.
    #[error("cannot remove the network namespace {name}")]
    Remove {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The names could not be read.
    #[error("cannot list the network namespaces")]
    List(#[source] io::Error),
}

/// An open network namespace; it lives at least as long as this does.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes a new namespace and binds it to a name.
    ///
    /// # Errors
    /// When the name is taken or the kernel refuses.
    pub fn create(name: &str) -> Result<Self, NamespaceError> {
        let failed = |source| NamespaceError::Create { name: name.to_owned(), source };
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        fs::create_dir_all(FOLDER).map_err(NamespaceError::MakeFolder)?;
        let path = path_of(name);
        File::create_new(&path).map_err(failed)?;
        // A thread of its own: `unshare` moves the caller, and nobody else is to be moved.
        let bound = on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let none = None::<&str>;
            mount(Some("/proc/thread-self/ns/net"), &path, none, MsFlags::MS_BIND, none)
        });
        if let Err(source) = bound {
            let _ = fs::remove_file(&path);
            return Err(failed(source));
        }
        Self::open(name)
    }

    /// Opens the namespace of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(name: &str) -> Result<Self, NamespaceError> {
        let file = File::open(path_of(name)).map_err(|source| NamespaceError::Open { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), file })
    }

    /// Opens it, or makes it if there is none. A name that a crash left without a namespace behind it is made anew.
    ///
    /// # Errors
    /// When it can neither be opened nor made.
    pub fn open_or_create(name: &str) -> Result<Self, NamespaceError> {
        match Self::open(name) {
            Ok(found) if found.is_real() => Ok(found),
            _ => {
                remove(name)?;
                Self::create(name)
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that names it, for those who take a path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// Runs something inside, on a short-lived thread. Sockets that it opens belong to the namespace and may be used from anywhere after.
    ///
    /// # Errors
    /// When the thread cannot enter.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        let failed = |source| NamespaceError::Enter { name: self.name.clone(), source };
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
        .map_err(failed)
    }

    /// Moves the calling thread inside for good; threads that it starts afterwards follow. For the first lines of a program.
    ///
    /// # Errors
    /// When the thread cannot enter.
    pub fn enter_for_good(&self) -> Result<(), NamespaceError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| NamespaceError::Enter { name: self.name.clone(), source: errno.into() })
    }

    /// A file is a namespace if the kernel can tell which kind; the empty file below a lost mount is none.
    fn is_real(&self) -> bool {
        rustix::fs::fstatfs(&self.file).is_ok_and(|found| found.f_type == NAMESPACE_FILESYSTEM)
    }
}

/// `NSFS_MAGIC`.
const NAMESPACE_FILESYSTEM: i64 = 0x6e73_6673;

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Takes a name away; the namespace itself ends with its last process, and its links with it. A name that is not there is fine.
///
/// # Errors
/// When the name exists and stays.
pub fn remove(name: &str) -> Result<(), NamespaceError> {
    let failed = |source| NamespaceError::Remove { name: name.to_owned(), source };
    let path = path_of(name);
    // Not mounted, or mounted twice by two makers: take off all there is.
    while umount2(&path, MntFlags::MNT_DETACH).is_ok() {}
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(source)),
        _ => Ok(()),
    }
}

/// The names there are, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn list() -> Result<Vec<String>, NamespaceError> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(NamespaceError::List(source)),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(NamespaceError::List)?;
    names.sort();
    Ok(names)
}

/// The file of a name.
#[must_use]
pub fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> nix::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).stack_size(256 * 1024).spawn_scoped(scope, work)?;
        match thread.join() {
            Ok(result) => result.map_err(io::Error::from),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
