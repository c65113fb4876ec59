//! Where an entry of a layer belongs, when links of this layer or of those below it stand in its way: followed as in the image that all of
//! them make together, and never out of it. Reads layers, writes nothing.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

/// So many links may stand in the way of one entry.
const LINKS_MAX: usize = 40;

/// What one layer, or all below it, have at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A folder, with its mode, user and group.
    Folder(u32, u32, u32),
    /// A link, and where to.
    Link(PathBuf),
    /// Something else, or a mark that hides what is below.
    Leaf,
    /// Nothing, and nothing below matters either.
    Hidden,
    /// Nothing.
    Nothing,
}

/// A folder that nobody named gets these.
const PLAIN: Found = Found::Folder(0o755, 0, 0);

/// The layers below the one that is being unpacked, the nearest first.
#[derive(Debug, Default)]
pub(super) struct Below(Vec<OwnedFd>);

impl Below {
    /// Opens the folders of layers, the lowest first.
    pub fn open(layers: &[PathBuf]) -> io::Result<Self> {
        let open = |path: &PathBuf| open_top(path);
        Ok(Self(layers.iter().rev().map(open).collect::<io::Result<_>>()?))
    }

    /// What they have together at a path that leads over no link.
    fn look(&self, path: &Path) -> io::Result<Found> {
        for layer in &self.0 {
            match look(layer, path)? {
                Found::Nothing => {}
                Found::Hidden => return Ok(Found::Nothing),
                found => return Ok(found),
            }
        }
        Ok(Found::Nothing)
    }

    /// Whether a layer whose folders at these paths were made because its archive did not name them would be another one above these.
    pub fn would_change(&self, implied: &[PathBuf]) -> io::Result<bool> {
        for path in implied {
            if !matches!(self.look(path)?, found if found == PLAIN || found == Found::Nothing) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

pub(super) fn open_top(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// What one layer has at a path that leads over no link.
fn look(layer: &OwnedFd, path: &Path) -> io::Result<Found> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(PLAIN) };
    let mut reached = PathBuf::new();
    // A folder that covers those of its name below covers all in them.
    let mut covers = false;
    for part in above {
        reached.push(part);
        match open_folder(layer, &reached) {
            Ok(folder) => covers |= is_opaque(&folder),
            Err(Errno::NOENT) => return Ok(if covers { Found::Hidden } else { Found::Nothing }),
            Err(Errno::LOOP | Errno::NOTDIR) => return Ok(Found::Hidden),
            Err(error) => return Err(error.into()),
        }
    }
    let folder = open_folder(layer, above)?;
    let found = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(if covers { Found::Hidden } else { Found::Nothing }),
        found => found?,
    };
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Found::Folder(found.st_mode & 0o7777, found.st_uid, found.st_gid),
        FileType::Symlink => {
            use std::os::unix::ffi::OsStringExt as _;
            let target = rustix::fs::readlinkat(&folder, name, Vec::new())?;
            Found::Link(PathBuf::from(OsString::from_vec(target.into_bytes())))
        }
        FileType::CharacterDevice if found.st_rdev == 0 => Found::Hidden,
        _ => Found::Leaf,
    })
}

fn open_folder(layer: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(layer, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty(), resolve)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    use xattr::FileExt as _;
    let folder = folder.try_clone().map(std::fs::File::from);
    folder.is_ok_and(|folder| folder.get_xattr("trusted.overlay.opaque").ok().flatten().is_some())
}

/// Where a folder of the archive really is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Its path, which leads over no link.
    pub path: PathBuf,
    /// The folders on it that the layer itself does not have, with mode, user and group of those below that they cover.
    pub missing: Vec<(PathBuf, (u32, u32, u32))>,
    /// Whether it would be another way above other layers.
    pub leans: bool,
}

/// Finds the way to a folder that an entry names.
pub(super) fn lead(own: &OwnedFd, below: &Below, path: &Path) -> io::Result<Way> {
    let mut way = Way::default();
    let mut links = 0;
    let mut left: VecDeque<OsString> = path.iter().map(OsString::from).collect();
    while let Some(part) = left.pop_front() {
        if part == ".." {
            // The top is its own parent, as in any root.
            way.path.pop();
            continue;
        }
        let here = way.path.join(&part);
        let of_own = look(own, &here)?;
        let found = match of_own {
            Found::Nothing => below.look(&here)?,
            ref found => found.clone(),
        };
        let target = match found {
            Found::Link(target) => target,
            Found::Folder(mode, user, group) => {
                if of_own == Found::Nothing {
                    way.leans |= found != PLAIN;
                    way.missing.push((here.clone(), (mode, user, group)));
                }
                way.path = here;
                continue;
            }
            Found::Nothing | Found::Hidden | Found::Leaf => {
                way.leans |= of_own == Found::Nothing && found == Found::Leaf;
                if of_own == Found::Nothing {
                    way.missing.push((here.clone(), (0o755, 0, 0)));
                }
                way.path = here;
                continue;
            }
        };
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        way.leans |= of_own == Found::Nothing;
        for part in target.components().rev() {
            match part {
                Component::Normal(name) => left.push_front(name.to_owned()),
                Component::ParentDir => left.push_front("..".into()),
                _ => {}
            }
        }
        if target.is_absolute() {
            way.path = PathBuf::new();
        }
    }
    way.missing.retain(|(folder, _)| way.path.starts_with(folder));
    Ok(way)
}
