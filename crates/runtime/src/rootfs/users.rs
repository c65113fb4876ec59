//! Who is who in an image, read from its layers without mounting them.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use crate::{container::User, image::Image};

/// Why a user of an image could not be told.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// `etc/passwd` or `etc/group` of the image could not be read.
    #[error("cannot read {file} of the image")]
    ReadFile {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name stands in none of them.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    FindUser(String),
    /// The name stands in none of them.
    #[error("unable to find group {0}: no matching entries in group file")]
    FindGroup(String),
}

/// Who `user` (`name`, `uid`, each with `:group`, or nothing for root) is in the image, with the further groups of that user.
/// A number that stands in no file is a user nevertheless, of group 0.
pub fn resolve_user(image: &Image, user: &str) -> Result<User, UserError> {
    let passwd = read(image, "passwd")?;
    let groups = read(image, "group")?;
    resolve(&passwd, &groups, user)
}

fn resolve(passwd: &str, groups: &str, user: &str) -> Result<User, UserError> {
    let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    let name = if name.is_empty() { "0" } else { name };
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| match fields.get(..4) {
        Some([known, _, uid, _]) => *known == name || (*uid == name && name.parse::<u32>().is_ok()),
        _ => false,
    });
    let (login, uid, gid) = match &entry {
        Some(fields) => (Some(fields[0]), fields[2].parse().ok(), fields[3].parse().ok()),
        None => (None, name.parse().ok(), Some(0)),
    };
    let (Some(uid), Some(mut gid)) = (uid, gid) else { return Err(UserError::FindUser(name.to_owned())) };
    let lines = || groups.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 3);
    let mut more: Vec<u32> = Vec::new();
    if let Some(group) = group.filter(|group| !group.is_empty()) {
        let named = lines().find(|fields| fields[0] == group).and_then(|fields| fields[2].parse().ok());
        gid = named.or_else(|| group.parse().ok()).ok_or_else(|| UserError::FindGroup(group.to_owned()))?;
    } else if let Some(login) = login {
        let member = |fields: &Vec<&str>| fields.get(3).is_some_and(|list| list.split(',').any(|one| one == login));
        more = lines().filter(member).filter_map(|fields| fields[2].parse().ok()).collect();
        more.sort_unstable();
        more.dedup();
    }
    Ok(User { uid, gid, groups: more })
}

/// A file of `/etc` as the topmost layer that says anything about it has it; nothing if the image has none.
fn read(image: &Image, name: &str) -> Result<String, UserError> {
    for layer in image.layers.iter().rev() {
        let folder = layer.join("etc");
        let file = folder.join(name);
        if is_whiteout(&folder) || is_whiteout(&file) {
            break;
        }
        match fs::symlink_metadata(&file) {
            Ok(found) if found.is_file() => {
                return fs::read(&file)
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                    .map_err(|source| UserError::ReadFile { file: format!("etc/{name}"), source });
            }
            // A link may point anywhere, and nothing of it is ours to read.
            Ok(_) => break,
            Err(_) if is_opaque(&folder) => break,
            Err(_) => {}
        }
    }
    Ok(String::new())
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    xattr::get(path, "trusted.overlay.opaque").is_ok_and(|value| value.as_deref() == Some(b"y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:998::/home/redis:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nredis:x:998:\ndisk:x:6:root,redis\naudio:x:29:redis\n";

    fn of(user: &str) -> (u32, u32, Vec<u32>) {
        let user = resolve(PASSWD, GROUP, user).expect("known");
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn a_user_is_told_by_name_number_and_group() {
        assert_eq!(of(""), (0, 0, vec![6]));
        assert_eq!(of("redis"), (999, 998, vec![6, 29]));
        assert_eq!(of("999"), (999, 998, vec![6, 29]));
        assert_eq!(of("redis:disk"), (999, 6, vec![]));
        assert_eq!(of("1234"), (1234, 0, vec![]));
        assert_eq!(of("1234:5678"), (1234, 5678, vec![]));
        assert!(matches!(resolve(PASSWD, GROUP, "nobody"), Err(UserError::FindUser(_))));
        assert!(matches!(resolve(PASSWD, GROUP, "redis:wheel"), Err(UserError::FindGroup(_))));
    }
}
