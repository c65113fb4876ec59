//! A file or folder of the node, checked or made as its type says.

use std::fs::FileType;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Volume;

use super::{Place, Source};

pub(super) struct HostPath;

impl Source for HostPath {
    fn takes(&self, volume: &Volume) -> bool {
        volume.host_path.is_some()
    }

    fn make<'a>(&'a self, _: Place<'a>, volume: &'a Volume) -> BoxFuture<'a, Result<PathBuf, String>> {
        Box::pin(async move {
            let source = volume.host_path.as_ref().ok_or("no hostPath")?;
            let path = PathBuf::from(&source.path);
            check(&path, source.type_.as_deref().unwrap_or_default())?;
            Ok(path)
        })
    }
}

/// Sees to it that the path is what the type says.
pub(super) fn check(path: &Path, kind: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let shown = path.display();
    match kind {
        "DirectoryOrCreate" if !path.exists() => {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
        }
        "FileOrCreate" if !path.exists() => {
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            made.map(drop).map_err(failed)?;
        }
        // Container engines make what is missing when nothing is asked.
        "" if !path.exists() => std::fs::create_dir_all(path).map_err(failed)?,
        _ => {}
    }
    let found = std::fs::metadata(path).ok().map(|meta| meta.file_type());
    let is = |test: fn(&FileType) -> bool| found.as_ref().is_some_and(test);
    let (fits, what) = match kind {
        "" => (true, ""),
        "Directory" | "DirectoryOrCreate" => (is(FileType::is_dir), "a directory"),
        "File" | "FileOrCreate" => (is(FileType::is_file), "a file"),
        "Socket" => (is(|kind| kind.is_socket()), "a socket file"),
        "CharDevice" => (is(|kind| kind.is_char_device()), "a character device"),
        "BlockDevice" => (is(|kind| kind.is_block_device()), "a block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if fits { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_or_refused_as_its_type_says() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        check(&at("folder"), "DirectoryOrCreate").unwrap();
        check(&at("file"), "FileOrCreate").unwrap();
        assert!(at("folder").is_dir() && at("file").is_file());
        check(&at("folder"), "Directory").unwrap();
        let refused = check(&at("file"), "Directory").unwrap_err();
        assert_eq!(refused, format!("hostPath type check failed: {} is not a directory", at("file").display()));
        assert!(check(&at("none"), "File").is_err());
        assert!(check(&at("file"), "Socket").is_err());
    }
}
