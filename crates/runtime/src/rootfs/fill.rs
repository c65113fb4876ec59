//! A layer with the places that mounts need and an image lacks. It is made once for an image and its mounts and kept in memory, so that not
//! every container makes the same dozen empty files and folders in its own layer on disk. Holds nothing but empty files and folders.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{overlay, place};
use crate::{container::ContainerSpec, image::Image};

/// So many are kept; containers beyond them make their places themselves. One that is in use must not go, and none is worth asking for that.
const KEPT_MAX: usize = 256;

/// A place to be made, and whether it is a folder.
type Place = (String, bool);

/// What the kernel's own file systems are mounted on.
const OF_KERNEL: [&str; 3] = ["/proc", "/dev", "/sys"];

fn is_of_kernel(path: &str) -> bool {
    OF_KERNEL.iter().any(|own| Path::new(path).starts_with(own))
}

fn places(spec: &ContainerSpec) -> io::Result<Vec<Place>> {
    let mut all: Vec<Place> = OF_KERNEL.iter().map(|path| ((*path).to_owned(), true)).collect();
    all.extend(spec.tmpfs.iter().map(|tmpfs| (tmpfs.target.clone(), true)));
    for mount in &spec.mounts {
        all.push((mount.target.clone(), fs::metadata(&mount.source)?.is_dir()));
    }
    // What lies below one of those is made in it, when it is there.
    all.retain(|(path, _)| OF_KERNEL.contains(&path.as_str()) || !is_of_kernel(path));
    all.sort();
    all.dedup();
    Ok(all)
}

fn name(image: &Image, places: &[Place]) -> String {
    let mut digest = Sha256::new_with_prefix(&image.id);
    places.iter().for_each(|(path, is_folder)| digest.update(format!("\n{} {path}", u8::from(*is_folder))));
    let mut name = hex::encode(digest.finalize());
    name.truncate(32);
    name
}

/// The layer for a container, made if it is missing; nothing when there are too many. `folder` holds those of all containers.
pub(crate) fn of_container(spec: &ContainerSpec, folder: &Path) -> io::Result<Option<PathBuf>> {
    let places = places(spec)?;
    let whole = folder.join(name(&spec.image, &places));
    if whole.is_dir() {
        return Ok(Some(whole));
    }
    fs::create_dir_all(folder)?;
    if fs::read_dir(folder)?.count() >= KEPT_MAX {
        return Ok(None);
    }
    let draft = tempfile::Builder::new().prefix("draft-").tempdir_in(folder)?;
    for name in ["upper", "work", "empty"] {
        fs::create_dir(draft.path().join(name))?;
    }
    make(&spec.image, draft.path(), &places)?;
    match fs::rename(draft.path().join("upper"), &whole) {
        // Another container was quicker.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {}
        done => done?,
    }
    Ok(Some(whole))
}

/// Makes the places as a container would, in the image itself, so that its links are followed and its folders keep their owners.
fn make(image: &Image, draft: &Path, places: &[Place]) -> io::Result<()> {
    let root = overlay::open(image, None, draft, draft)?;
    for (path, is_folder) in places {
        // What cannot be made is told by the container that needs it.
        let _ = if *is_folder { place::make_folder(&root, path) } else { place::make_file(&root, path) };
    }
    Ok(())
}
