//! Archives of images: what `docker save` writes and OCI layouts in a tar file, plain or compressed. Reads entries where they lie.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{ImageError, layer::decompress};

/// No manifest or configuration is longer.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// An image of an archive, before its layers are unpacked.
#[derive(Debug)]
pub(super) struct Found {
    /// The configuration, byte for byte.
    pub config: Vec<u8>,
    /// Where each layer lies, lowest first, and its digest as it lies there if that is known.
    pub layers: Vec<(String, Option<String>)>,
    /// References as the archive has them.
    pub names: Vec<String>,
    /// The digest of the manifest.
    pub manifest: Option<String>,
}

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    entries: HashMap<String, Place>,
}

#[derive(Debug, Clone)]
enum Place {
    Bytes { offset: u64, length: u64 },
    Link(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Deserialize, Clone)]
struct Platform {
    architecture: String,
    os: String,
}

impl Archive {
    /// Opens an archive; a compressed one is unpacked to a nameless file in `scratch` first.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, ImageError> {
        let read = |source| ImageError::ReadArchive { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(read)?;
        let mut magic = [0; 4];
        let length = file.read_at(&mut magic, 0).map_err(read)?;
        if length >= 4 && (magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd]) {
            let mut plain = tempfile::tempfile_in(scratch).map_err(read)?;
            io::copy(&mut decompress(&mut file).map_err(read)?, &mut plain).map_err(read)?;
            file = plain;
        }
        let entries = index(&file).map_err(read)?;
        Ok(Self { path: path.to_owned(), file, entries })
    }

    /// The images in it.
    pub fn images(&self) -> Result<Vec<Found>, ImageError> {
        let listed = if self.entries.contains_key("index.json") { self.oci()? } else { Vec::new() };
        if !self.entries.contains_key("manifest.json") {
            if listed.is_empty() {
                return Err(self.wrong("it has neither a manifest.json nor an index.json that names an image for this machine"));
            }
            return Ok(listed);
        }
        let saved: Vec<Saved> = self.document("manifest.json")?;
        let mut images = Vec::new();
        for one in saved {
            let config = self.bytes(&one.config)?;
            // The same image may be listed in the newer form, which knows the digest of its manifest.
            let manifest = listed.iter().find(|found| found.config == config).and_then(|found| found.manifest.clone());
            images.push(Found {
                config,
                layers: one.layers.unwrap_or_default().into_iter().map(|name| (name, None)).collect(),
                names: one.repo_tags.unwrap_or_default(),
                manifest,
            });
        }
        Ok(images)
    }

    fn oci(&self) -> Result<Vec<Found>, ImageError> {
        let index: Index = self.document("index.json")?;
        let mut images: Vec<Found> = Vec::new();
        for top in index.manifests {
            let names = names_of(&top);
            let Some((chosen, manifest)) = self.manifest(&top)? else { continue };
            if let Some(known) = images.iter_mut().find(|found| found.manifest.as_ref() == Some(&chosen)) {
                known.names.extend(names);
                continue;
            }
            images.push(Found {
                config: self.blob(&manifest.config.digest)?,
                layers: manifest.layers.into_iter().map(|layer| (blob_name(&layer.digest), Some(layer.digest))).collect(),
                names,
                manifest: Some(chosen),
            });
        }
        Ok(images)
    }

    /// The manifest that a descriptor leads to, through an index of platforms if need be; nothing if it is for other machines.
    fn manifest(&self, top: &Descriptor) -> Result<Option<(String, Manifest)>, ImageError> {
        let is_index = top.media_type.contains("image.index") || top.media_type.contains("manifest.list");
        let blob = self.blob(&top.digest)?;
        if !is_index {
            return match serde_json::from_slice::<Manifest>(&blob) {
                Ok(manifest) => Ok(Some((top.digest.clone(), manifest))),
                Err(error) => Err(self.wrong(&format!("manifest {}: {error}", top.digest))),
            };
        }
        let index: Index =
            serde_json::from_slice(&blob).map_err(|error| self.wrong(&format!("index {}: {error}", top.digest)))?;
        let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let fits = |one: &&Descriptor| match &one.platform {
            Some(platform) => platform.os == "linux" && platform.architecture == architecture,
            None => false,
        };
        let single = if index.manifests.len() == 1 { index.manifests.first() } else { None };
        let present = |one: &&Descriptor| self.entries.contains_key(&blob_name(&one.digest));
        match index.manifests.iter().find(fits).or(single).filter(present) {
            Some(chosen) => self.manifest(&chosen.clone()),
            None => Ok(None),
        }
    }

    /// A blob, checked.
    fn blob(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let bytes = self.bytes(&blob_name(digest))?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if found != digest {
            return Err(ImageError::CheckDigest {
                what: format!("a blob of {}", self.path.display()),
                expected: digest.to_owned(),
                found,
            });
        }
        Ok(bytes)
    }

    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T, ImageError> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|error| self.wrong(&format!("{name}: {error}")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let section = self.section(name)?;
        if section.left > DOCUMENT_BYTES_MAX {
            return Err(self.wrong(&format!("{name} is too long")));
        }
        let mut bytes = Vec::new();
        let mut section = section;
        section.read_to_end(&mut bytes).map_err(|source| ImageError::ReadArchive { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// An entry, to be read from its beginning; links inside the archive are followed.
    pub fn section(&self, name: &str) -> Result<Section<'_>, ImageError> {
        let mut name = clean(name);
        for _ in 0..8 {
            match self.entries.get(&name) {
                Some(Place::Bytes { offset, length }) => return Ok(Section { file: &self.file, offset: *offset, left: *length }),
                Some(Place::Link(target)) => name = clean(target),
                None => break,
            }
        }
        Err(self.wrong(&format!("{name} is missing")))
    }

    /// What is wrong with this archive.
    pub fn wrong(&self, why: &str) -> ImageError {
        ImageError::ParseArchive { path: self.path.clone(), why: why.to_owned() }
    }
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// References that an entry of an index has; a tag alone is none.
fn names_of(descriptor: &Descriptor) -> Vec<String> {
    let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    let names = keys.iter().filter_map(|key| descriptor.annotations.get(*key));
    names.filter(|name| name.contains(['/', ':'])).take(1).cloned().collect()
}

/// A name as the table has it.
fn clean(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Where each entry lies; one that reaches over the end means that the rest is missing.
fn index(file: &File) -> io::Result<HashMap<String, Place>> {
    use std::io::Seek as _;
    let length = file.metadata()?.len();
    let mut reader = file;
    reader.rewind()?;
    let mut archive = tar::Archive::new(reader);
    let mut entries = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = clean(&String::from_utf8_lossy(&entry.path_bytes()));
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned()).unwrap_or_default();
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = if kind.is_symlink() { format!("{folder}/{target}") } else { target };
            entries.insert(name, Place::Link(target));
        } else if kind.is_file() {
            let offset = entry.raw_file_position();
            if offset + entry.size() > length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            entries.insert(name, Place::Bytes { offset, length: entry.size() });
        }
    }
    Ok(entries)
}

/// A part of a file.
#[derive(Debug)]
pub(super) struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        let count = u64::try_from(read).unwrap_or_default();
        if read == 0 && self.left > 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count;
        self.left -= count;
        Ok(read)
    }
}
