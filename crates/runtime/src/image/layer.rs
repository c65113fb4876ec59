//! Layers: an archive becomes a folder in the form that overlay reads. Whatever the archive says, nothing is written outside of that folder.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use tar::{Entry, EntryType};

use super::lead::{self, Below};

/// Why a layer was not unpacked.
#[derive(Debug)]
pub(super) enum Refusal {
    /// An entry leads out of the image.
    Escape(String),
    /// An entry could not be read or written.
    Entry(String, io::Error),
}

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What became of an archive.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The digest of the uncompressed archive.
    pub digest: String,
    /// The bytes written.
    pub bytes: u64,
    /// The folders that the archive did not name.
    pub implied: Vec<PathBuf>,
    /// Whether it would be another layer above other ones.
    pub leans: bool,
}

/// Unpacks what `reader` gives, however it is compressed, into the empty folder `target`, as it belongs above the layers `below`.
pub(super) fn unpack(reader: impl Read, target: &Path, below: Below) -> Result<Unpacked, Refusal> {
    let whole = |error| Refusal::Entry("the archive".to_owned(), error);
    let mut hashed = Hashed { inner: decompress(reader).map_err(whole)?, digest: Sha256::new() };
    let root = lead::open_top(target).map_err(whole)?;
    let path = target.to_owned();
    let mut layer = Layer { root, path, below, bytes: 0, times: Vec::new(), implied: Vec::new(), leans: false };
    let mut archive = tar::Archive::new(&mut hashed);
    for entry in archive.entries().map_err(whole)? {
        let mut entry = entry.map_err(whole)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        layer.add(&mut entry).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP | libc::EXDEV) => Refusal::Escape(name.clone()),
            _ if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() => {
                Refusal::Escape(name.clone())
            }
            _ => Refusal::Entry(name.clone(), error),
        })?;
    }
    // What stands after the last entry is part of the digest.
    io::copy(&mut hashed, &mut io::sink()).map_err(whole)?;
    layer.set_times().map_err(whole)?;
    let digest = format!("sha256:{}", hex::encode(hashed.digest.finalize()));
    Ok(Unpacked { digest, bytes: layer.bytes, implied: layer.implied, leans: layer.leans })
}

/// Reads gzip, zstd or nothing of the kind, by the first bytes.
pub(super) fn decompress<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut first = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut first)?;
    let magic = first.clone();
    let whole = io::Cursor::new(first).chain(reader);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole)?),
        _ => Box::new(io::BufReader::with_capacity(1 << 16, whole)),
    })
}

struct Hashed<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

struct Layer {
    root: OwnedFd,
    path: PathBuf,
    below: Below,
    bytes: u64,
    /// Times of folders, set last, since writing into them changes them.
    times: Vec<(PathBuf, u64)>,
    implied: Vec<PathBuf>,
    leans: bool,
}

/// The marker of an entry that leads out of the image: a refusal that the system did not make.
fn escape() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

/// A path of the archive, relative to its top; one that rises is refused.
fn clean(bytes: &[u8]) -> io::Result<PathBuf> {
    let path = std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(escape()),
        }
    }
    Ok(clean)
}

impl Layer {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = clean(&entry.path_bytes())?;
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
            let top = self.open(Path::new("."))?;
            rustix::fs::chmod(proc_path(&top), Mode::from_raw_mode(entry.header().mode()? & 0o7777))?;
            return Ok(());
        };
        let (above, parent) = self.parent(path.parent().unwrap_or(Path::new("")))?;
        let path = above.join(&name);
        if name == OPAQUE {
            return self.set_attribute(&above, "trusted.overlay.opaque", b"y");
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.hide(&parent, hidden, &path.with_file_name(hidden));
        }
        let was_hidden = self.clear(&parent, &name, &path, kind == EntryType::Directory)?;
        self.make(entry, kind, &parent, &name)?;
        if kind == EntryType::Directory && was_hidden {
            self.set_attribute(&path, "trusted.overlay.opaque", b"y")?;
        }
        if kind == EntryType::Link { Ok(()) } else { self.dress(entry, kind, &parent, &name, &path) }
    }

    /// An open folder below the top, reached without any link.
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
        Ok(rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }

    /// The folder of an entry: where it really is, and open. Links on the way are followed as the whole image has them, and folders that the
    /// archive did not name are made as those are that they cover.
    fn parent(&mut self, path: &Path) -> io::Result<(PathBuf, OwnedFd)> {
        match self.open(path) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ELOOP)) => {}
            done => return Ok((path.to_owned(), done?)),
        }
        let way = lead::lead(&self.root, &self.below, path)?;
        for (folder, (mode, user, group)) in way.missing {
            let above = self.open(folder.parent().unwrap_or(Path::new("")))?;
            let name = folder.file_name().ok_or_else(escape)?;
            rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755))?;
            rustix::fs::chownat(&above, name, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chmodat(&above, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
            self.implied.push(folder);
        }
        self.leans |= way.leans;
        let open = self.open(&way.path)?;
        Ok((way.path, open))
    }

    /// Hides what lower layers have under this name. What this layer itself has of that name stays: it only loses what is below.
    fn hide(&self, parent: &OwnedFd, name: &str, path: &Path) -> io::Result<()> {
        if name.is_empty() || name == "." || name == ".." {
            return Err(escape());
        }
        match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Err(Errno::EXIST) if is_folder(parent, name) => self.set_attribute(path, "trusted.overlay.opaque", b"y"),
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes room for an entry; whether a whiteout was in its place. A folder that is there already is kept.
    fn clear(&self, parent: &OwnedFd, name: &str, path: &Path, folder: bool) -> io::Result<bool> {
        let found = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind == FileType::Directory {
            if !folder {
                // No link leads here: the way was opened without any.
                std::fs::remove_dir_all(self.path.join(path))?;
            }
            return Ok(false);
        }
        rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
        Ok(kind == FileType::CharacterDevice && found.st_rdev == 0)
    }

    fn make<R: Read>(&mut self, entry: &mut Entry<'_, R>, kind: EntryType, parent: &OwnedFd, name: &str) -> io::Result<()> {
        let target = || entry.link_name_bytes().ok_or(io::ErrorKind::InvalidData);
        let device = |kind| -> io::Result<()> {
            let header = entry.header();
            let number =
                rustix::fs::makedev(header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default());
            Ok(rustix::fs::mknodat(parent, name, kind, Mode::empty(), number)?)
        };
        match kind {
            EntryType::Directory => match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            },
            EntryType::Symlink => Ok(rustix::fs::symlinkat(target()?.as_ref(), parent, name)?),
            EntryType::Link => {
                let target = clean(&target()?)?;
                let (_, from) = self.parent(target.parent().unwrap_or(Path::new("")))?;
                let last = target.file_name().ok_or_else(escape)?;
                Ok(rustix::fs::linkat(&from, last, parent, name, AtFlags::empty())?)
            }
            EntryType::Char => device(FileType::CharacterDevice),
            EntryType::Block => device(FileType::BlockDevice),
            EntryType::Fifo => Ok(rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
                let expected = entry.size();
                let written = io::copy(entry, &mut file)?;
                if written < expected {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.bytes += written;
                Ok(())
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an entry of an unknown kind")),
        }
    }

    /// Owner, mode, attributes and time, in this order: a change of owner takes away what a mode grants.
    fn dress<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        kind: EntryType,
        parent: &OwnedFd,
        name: &str,
        path: &Path,
    ) -> io::Result<()> {
        let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        let (uid, gid) = (id(entry.header().uid()?)?, id(entry.header().gid()?)?);
        rustix::fs::chownat(parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
        if kind != EntryType::Symlink {
            let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
        }
        let mut attributes = Vec::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            if let Some(attribute) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) {
                attributes.push((attribute.to_owned(), extension.value_bytes().to_vec()));
            }
        }
        // What overlay keeps for itself is not the archive's to say.
        for (attribute, value) in attributes.iter().filter(|(name, _)| !name.starts_with("trusted.overlay.")) {
            match self.set_attribute(path, attribute, value) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EPERM)) => {}
                done => done?,
            }
        }
        let time = entry.header().mtime()?;
        if kind == EntryType::Directory {
            self.times.push((path.to_owned(), time));
            return Ok(());
        }
        Ok(rustix::fs::utimensat(parent, name, &times(time), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn set_attribute(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        xattr::set(self.path.join(path), name, value)
    }

    fn set_times(&self) -> io::Result<()> {
        for (path, time) in self.times.iter().rev() {
            match rustix::fs::utimensat(&self.root, path, &times(*time), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_folder(parent: &OwnedFd, name: &str) -> bool {
    let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or_default(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn proc_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}
