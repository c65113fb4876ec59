//! A folder of files that changes as a whole, as upstream lays it out: files stand in a dated folder, `..data` points to it, and each name
//! that readers see points through `..data`. A reader sees the old state or the new one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path};

/// A file to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Its owner, if not root.
    pub(crate) owner: Option<u32>,
}

/// All files of a volume, by their path in it.
pub(crate) type Payload = BTreeMap<String, File>;

const DATA: &str = "..data";

/// Whether a path stays in its volume and names nothing of ours.
pub(crate) fn is_safe(path: &str) -> bool {
    let path = Path::new(path);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.to_string_lossy().starts_with(".."));
    path.components().next().is_some() && path.components().all(plain)
}

/// Brings a folder to the payload; does nothing when it is there already. `group` owns everything if given.
pub(crate) fn write(folder: &Path, payload: &Payload, group: Option<u32>) -> io::Result<bool> {
    let data = folder.join(DATA);
    let old = std::fs::read_link(&data).ok();
    if old.is_some() && holds(&data, payload) {
        return Ok(false);
    }
    let name = fresh_name(folder);
    let fresh = folder.join(&name);
    make_folder(&fresh, group)?;
    for (path, file) in payload {
        write_file(&fresh, path, file, group)?;
    }
    let draft = folder.join("..data_tmp");
    let _ = std::fs::remove_file(&draft);
    symlink(&name, &draft)?;
    std::fs::rename(&draft, &data)?;
    link(folder, payload)?;
    if let Some(old) = old {
        let _ = std::fs::remove_dir_all(folder.join(old));
    }
    Ok(true)
}

fn holds(data: &Path, payload: &Payload) -> bool {
    let same = |(path, file): (&String, &File)| {
        let path = data.join(path);
        let mode = std::fs::metadata(&path).map(|meta| meta.permissions().mode() & 0o777);
        mode.is_ok_and(|mode| mode & file.mode == file.mode & 0o777) && std::fs::read(&path).is_ok_and(|b| b == file.bytes)
    };
    count(data) == payload.len() && payload.iter().all(same)
}

fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

/// `..2026_11_25_18_30_00.123456789`, a name that was not there before.
fn fresh_name(folder: &Path) -> String {
    loop {
        let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        let name = format!("..{}.{:09}", now.strftime("%Y_%m_%d_%H_%M_%S"), now.subsec_nanosecond());
        if !folder.join(&name).exists() {
            return name;
        }
    }
}

fn make_folder(path: &Path, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    own(path, None, group)?;
    let mode = if group.is_some() { 0o2755 } else { 0o755 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn own(path: &Path, user: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if user.is_none() && group.is_none() {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, user, group)
}

fn write_file(folder: &Path, path: &str, file: &File, group: Option<u32>) -> io::Result<()> {
    let whole = folder.join(path);
    let mut parent = folder.to_path_buf();
    for part in Path::new(path).parent().into_iter().flat_map(Path::components) {
        parent.push(part);
        if !parent.exists() {
            make_folder(&parent, group)?;
        }
    }
    std::fs::write(&whole, &file.bytes)?;
    own(&whole, file.owner, group)?;
    // The group of the pod may read what its files are for.
    let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
    std::fs::set_permissions(&whole, std::fs::Permissions::from_mode(mode & 0o7777))
}

/// Makes the names that readers see, and takes away those of files that are gone.
fn link(folder: &Path, payload: &Payload) -> io::Result<()> {
    let first = |path: &String| Path::new(path).components().next().map(|part| part.as_os_str().to_owned());
    let names: BTreeSet<_> = payload.keys().filter_map(first).collect();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("..") && !names.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    for name in names {
        let path = folder.join(&name);
        if std::fs::symlink_metadata(&path).is_err() {
            symlink(Path::new(DATA).join(&name), path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { bytes: text.into(), mode: 0o644, owner: None };
        files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn a_volume_changes_as_a_whole_and_only_when_something_did() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).ok();
        assert!(write(dir.path(), &payload(&[("a", "1"), ("sub/b", "2")]), None).unwrap());
        assert_eq!((read("a"), read("sub/b")), (Some("1".into()), Some("2".into())));
        assert!(!write(dir.path(), &payload(&[("a", "1"), ("sub/b", "2")]), None).unwrap());
        let before = std::fs::read_link(dir.path().join("..data")).unwrap();
        assert!(write(dir.path(), &payload(&[("a", "3"), ("c", "4")]), None).unwrap());
        assert_eq!((read("a"), read("sub/b"), read("c")), (Some("3".into()), None, Some("4".into())));
        assert!(!dir.path().join(before).exists(), "the old state is gone");
        assert!(std::fs::symlink_metadata(dir.path().join("sub")).is_err(), "the old name is gone");
    }

    #[test]
    fn modes_are_as_asked_and_the_group_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = payload(&[("a", "1")]);
        files.get_mut("a").unwrap().mode = 0o400;
        write(dir.path(), &files, None).unwrap();
        let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("a"), 0o400);
        let own = rustix::process::getgid().as_raw();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files, Some(own)).unwrap();
        let mode = std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o440);
    }

    #[test]
    fn paths_that_leave_the_volume_are_told() {
        for (path, safe) in
            [("a", true), ("a/b", true), ("../a", false), ("a/../../b", false), ("/a", false), ("", false), ("..data", false)]
        {
            assert_eq!(is_safe(path), safe, "{path:?}");
        }
    }
}
