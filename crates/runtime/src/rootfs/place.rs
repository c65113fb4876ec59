//! Places in a root that is not entered yet: found and made without ever leaving it, whatever links the image holds.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
};

/// Attributes of a mount as `mount_setattr` has them.
pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEVICES: u64 = 0x4;
pub(crate) const NO_EXECUTE: u64 = 0x8;
/// Propagation as `mount_setattr` has it.
pub(crate) const PRIVATE: u64 = 1 << 18;
pub(crate) const SLAVE: u64 = 1 << 19;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes and propagation of an open mount, with all below it if `recursive`.
pub(crate) fn set_attributes(mount: &OwnedFd, set: u64, propagation: u64, recursive: bool) -> io::Result<()> {
    let attributes = MountAttributes { set, clear: 0, propagation, user_namespace: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty terminated string, and the kernel reads as many bytes as the structure has.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A copy of what is mounted at a path of the host, attached nowhere yet.
pub(crate) fn copy_tree(source: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(rustix::fs::CWD, source, flags)?)
}

/// A further copy of an unattached mount.
pub(crate) fn copy_of(mount: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(mount, "", flags)?)
}

/// Attaches a mount at an open place.
pub(crate) fn attach(mount: &OwnedFd, place: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", place, "", flags)?)
}

/// The path by which this process reaches an open place.
pub(crate) fn path(place: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

/// The place at `path` inside `root`, links followed inside it alone.
pub(crate) fn find(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// The folder at `path` inside `root`, made with those above it if it is missing.
pub(crate) fn make_folder(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    let names = names(path);
    let path = names.join("/");
    match find(root, &path) {
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
        found => return found,
    }
    let mut reached = String::from("/");
    for part in names {
        let parent = find(root, &reached)?;
        reached = Path::new(&reached).join(part).to_string_lossy().into_owned();
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    find(root, &path)
}

/// The file at `path` inside `root`, made empty with the folders above it if it is missing.
pub(crate) fn make_file(root: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    match find(root, path) {
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
        found => return found,
    }
    let mut above = names(path);
    let name = above.pop().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = make_folder(root, &above.join("/"))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    drop(rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
    find(root, path)
}

/// The names on the way, `.` and `..` resolved by their words.
fn names(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => names.extend(name.to_str()),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_place_is_made_inside_the_root_whatever_the_links_say() {
        let outside = tempfile::tempdir().expect("a folder");
        let inside = tempfile::tempdir().expect("a folder");
        symlink(outside.path(), inside.path().join("absolute")).expect("a link");
        symlink("../../../../../../etc", inside.path().join("rising")).expect("a link");
        std::fs::create_dir(inside.path().join("etc")).expect("a folder");
        let root = rustix::fs::open(inside.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the root");
        make_file(&root, "/rising/made").expect("made");
        assert!(inside.path().join("etc/made").exists());
        assert!(make_file(&root, "/absolute/made").is_err(), "its target does not exist inside");
        assert!(std::fs::read_dir(outside.path()).expect("listed").next().is_none());
        make_folder(&root, "/a/b/../c").expect("made");
        assert!(inside.path().join("a/c").is_dir());
    }
}
