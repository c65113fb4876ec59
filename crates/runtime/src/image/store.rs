//! The store's folder: `images/` one record an image, `layers/` one folder a layer, `tmp/` what is not whole yet. Processes that share it
//! agree by two locks: `lock` (held by those who add, alone by those who take away) and `names.lock` (who changes records).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Collected, Credentials, Image, ImageError,
    archive::{Archive, Found},
    layer::{self, Refusal},
    lead::Below,
    record::{self, Record},
    reference,
};

/// Records younger than this may have company of the same time stamp.
const SETTLED: Duration = Duration::from_millis(200);

/// The images of this machine. A clone is the same store.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
    known: Arc<Mutex<Option<Known>>>,
}

/// When the records last changed, and what they were then.
type Known = (SystemTime, Vec<Record>);

/// The name of a layer's folder, and the bytes that it takes.
pub(super) type Named = (String, u64);

/// What is noted beside a layer.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    diff_id: String,
    bytes: u64,
    /// The folders that its archive did not name: links of other layers may stand in their place.
    implied: Vec<PathBuf>,
}

/// A lock that is held until it is dropped.
pub(super) struct Held(#[expect(dead_code, reason = "held, not read")] File);

impl ImageStore {
    /// Opens the store in `root`, and makes it if it is missing.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let store = Self { root: root.to_owned(), known: Arc::default() };
        for name in ["images", "layers", "tmp"] {
            store.used(fs::create_dir_all(root.join(name)))?;
        }
        // Alone here, whatever is half done is nobody's.
        if let Ok(held) = store.hold("lock", FlockOperation::NonBlockingLockExclusive) {
            store.used(fs::remove_dir_all(root.join("tmp")).and_then(|()| fs::create_dir(root.join("tmp"))))?;
            drop(held);
        }
        Ok(store)
    }

    pub(super) fn used<T>(&self, done: io::Result<T>) -> Result<T, ImageError> {
        done.map_err(|source| ImageError::OpenStore { path: self.root.clone(), source })
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn hold(&self, name: &str, how: FlockOperation) -> Result<Held, ImageError> {
        let file = self.used(File::options().create(true).truncate(false).write(true).open(self.root.join(name)))?;
        self.used(flock(&file, how).map_err(io::Error::from))?;
        Ok(Held(file))
    }

    /// Held by one who adds: nothing is taken away meanwhile.
    pub(super) fn hold_for_adding(&self) -> Result<Held, ImageError> {
        self.hold("lock", FlockOperation::LockShared)
    }

    /// Runs what waits for disks on a thread of its own.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(ImageError::Finish)?
    }

    /// Loads the images of an archive: of `docker save` or an OCI layout, plain or compressed by gzip or zstd.
    pub async fn load(&self, archive: &Path) -> Result<Vec<Image>, ImageError> {
        let archive = archive.to_owned();
        self.blocking(move |store| store.load_now(&archive)).await
    }

    fn load_now(&self, path: &Path) -> Result<Vec<Image>, ImageError> {
        let _held = self.hold_for_adding()?;
        let archive = Archive::open(path, &self.scratch())?;
        let mut images = Vec::new();
        for found in archive.images()? {
            let diff_ids = record::diff_ids(&found.config).map_err(|error| archive.wrong(&format!("configuration: {error}")))?;
            if diff_ids.len() != found.layers.len() {
                return Err(archive.wrong("the configuration names another number of layers"));
            }
            let mut layers = Vec::new();
            for (diff_id, (name, digest)) in diff_ids.iter().zip(&found.layers) {
                let layer = match self.known_layer(diff_id, &layers)? {
                    Some(known) => known,
                    None => self.add_layer(diff_id, digest.as_deref(), &layers, archive.section(name)?)?,
                };
                layers.push(layer);
            }
            images.push(self.commit(found, layers, true)?);
        }
        Ok(images)
    }

    /// Fetches an image from its registry; those on loopback over plain HTTP.
    pub async fn pull(&self, reference: &str, credentials: Option<Credentials>) -> Result<Image, ImageError> {
        super::pull::pull(self, reference, credentials).await
    }

    /// Unpacks a layer, as it belongs above the layers `below`; its folder's name, and what it takes. `digest` is of the bytes as they are read.
    pub(super) fn add_layer(
        &self,
        diff_id: &str,
        digest: Option<&str>,
        below: &[Named],
        reader: impl Read,
    ) -> Result<Named, ImageError> {
        let folder = self.used(tempfile::Builder::new().prefix("layer-").tempdir_in(self.scratch()))?;
        let content = folder.path().join("content");
        self.used(fs::create_dir(&content))?;
        let mut reader = Checked { inner: reader, digest: Sha256::new() };
        let unpacked = layer::unpack(&mut reader, &content, self.below(below)?).map_err(|refusal| match refusal {
            Refusal::Escape(entry) => ImageError::RefuseLayer { layer: diff_id.to_owned(), entry },
            Refusal::Entry(entry, source) => ImageError::UnpackLayer { layer: diff_id.to_owned(), entry, source },
        })?;
        self.used(io::copy(&mut reader, &mut io::sink()))?;
        let raw = format!("sha256:{}", hex::encode(reader.digest.finalize()));
        for (expected, found) in [(Some(diff_id), unpacked.digest), (digest, raw)] {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(ImageError::CheckDigest { what: "a layer".to_owned(), expected: expected.to_owned(), found });
            }
        }
        // A layer counts once its note is there, which is written after its content has reached the disk.
        let sync = File::open(&content).and_then(|file| Ok(rustix::fs::syncfs(&file)?));
        self.used(sync)?;
        let name = if unpacked.leans { name_above(diff_id, below)? } else { name_of(diff_id)? };
        let place = self.root.join("layers").join(&name);
        if self.note(&name, diff_id)?.is_none() {
            if place.exists() {
                self.used(fs::remove_dir_all(&place))?;
            }
            match fs::rename(&content, &place) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {}
                done => self.used(done)?,
            }
            let note = Note { diff_id: diff_id.to_owned(), bytes: unpacked.bytes, implied: unpacked.implied };
            let text = serde_json::to_vec(&note).map_err(io::Error::from);
            self.replace(&place.with_extension("json"), &self.used(text)?)?;
        }
        Ok((name, unpacked.bytes))
    }

    /// The folder's name of a layer that is here, whole, and fit to stand above `below`; and what it takes.
    pub(super) fn known_layer(&self, diff_id: &str, below: &[Named]) -> Result<Option<Named>, ImageError> {
        let above = name_above(diff_id, below)?;
        if let Some(note) = self.note(&above, diff_id)? {
            return Ok(Some((above, note.bytes)));
        }
        let name = name_of(diff_id)?;
        let Some(note) = self.note(&name, diff_id)? else { return Ok(None) };
        let changed = self.below(below)?.would_change(&note.implied);
        Ok(if self.used(changed)? { None } else { Some((name, note.bytes)) })
    }

    /// Whether a layer is here, whatever it is fit to stand above.
    pub(super) fn has_layer(&self, diff_id: &str) -> Result<bool, ImageError> {
        Ok(self.note(&name_of(diff_id)?, diff_id)?.is_some())
    }

    fn below(&self, layers: &[Named]) -> Result<Below, ImageError> {
        let folders: Vec<PathBuf> = layers.iter().map(|(name, _)| self.root.join("layers").join(name)).collect();
        self.used(Below::open(&folders))
    }

    /// What is noted of a layer that is here and whole. Two layers whose names begin alike are not taken for each other.
    fn note(&self, name: &str, diff_id: &str) -> Result<Option<Note>, ImageError> {
        let place = self.root.join("layers").join(name);
        let Ok(text) = fs::read(place.with_extension("json")) else { return Ok(None) };
        let Ok(note) = serde_json::from_slice::<Note>(&text) else { return Ok(None) };
        if note.diff_id != diff_id {
            let what = format!("layer {name}");
            return Err(ImageError::CheckDigest { what, expected: diff_id.to_owned(), found: note.diff_id });
        }
        Ok(place.is_dir().then_some(note))
    }

    /// Writes a file whole or not at all.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), ImageError> {
        use std::io::Write as _;
        let mut file = self.used(tempfile::NamedTempFile::new_in(self.scratch()))?;
        self.used(file.write_all(text))?;
        self.used(file.as_file().sync_all())?;
        self.used(file.persist(path).map_err(|error| error.error))?;
        Ok(())
    }

    /// Makes an image visible whose layers are all here. Its names are taken from whichever images had them.
    pub(super) fn commit(&self, found: Found, layers: Vec<Named>, loaded: bool) -> Result<Image, ImageError> {
        let id = format!("sha256:{}", hex::encode(Sha256::digest(&found.config)));
        let names = found.names.iter().map(|name| reference::normalise(name)).collect::<Result<Vec<_>, _>>()?;
        let digests = match &found.manifest {
            Some(manifest) => names.iter().filter_map(|name| reference::with_digest(name, manifest)).collect(),
            None => Vec::new(),
        };
        // One whose name is a digest has no tag.
        let names: Vec<String> = names.into_iter().filter(|name| !name.contains('@')).collect();
        let _held = self.hold("names.lock", FlockOperation::LockExclusive)?;
        let mut record = Record {
            id: id.clone(),
            names: Vec::new(),
            digests: Vec::new(),
            bytes: layers.iter().map(|(_, bytes)| bytes).sum(),
            layers: layers.into_iter().map(|(name, _)| name).collect(),
            config: String::from_utf8_lossy(&found.config).into_owned(),
            loaded,
        };
        for mut known in self.read_records()? {
            if known.id == id {
                (record.names, record.digests) = (known.names, known.digests);
                record.loaded |= known.loaded;
            } else if known.names.iter().any(|name| names.contains(name)) {
                known.names.retain(|name| !names.contains(name));
                self.write_record(&known)?;
            }
        }
        for (list, new) in [(&mut record.names, names), (&mut record.digests, digests)] {
            list.extend(new);
            list.sort();
            list.dedup();
        }
        self.write_record(&record)?;
        Ok(record.image(&self.root))
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.root.join("images").join(id.trim_start_matches("sha256:")).with_extension("json")
    }

    fn write_record(&self, record: &Record) -> Result<(), ImageError> {
        let text = serde_json::to_vec(record).map_err(io::Error::from);
        self.replace(&self.record_path(&record.id), &self.used(text)?)
    }

    fn read_records(&self) -> Result<Vec<Record>, ImageError> {
        let mut records = Vec::new();
        for entry in self.used(fs::read_dir(self.root.join("images")))? {
            let path = self.used(entry)?.path();
            // One that was taken away meanwhile is not here.
            if let Ok(text) = fs::read(&path)
                && let Ok(record) = serde_json::from_slice::<Record>(&text)
            {
                records.push(record);
            }
        }
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// The records, read again only after a change.
    fn with_records<T>(&self, look: impl FnOnce(&[Record]) -> T) -> T {
        let changed = fs::metadata(self.root.join("images")).and_then(|found| found.modified()).ok();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = |at: SystemTime| at.elapsed().is_ok_and(|age| age > SETTLED);
        if let (Some((at, records)), Some(changed)) = (&*known, changed)
            && *at == changed
            && settled(changed)
        {
            return look(records);
        }
        let records = self.read_records().unwrap_or_default();
        let result = look(&records);
        *known = changed.map(|changed| (changed, records));
        result
    }

    /// An image that is here, by a reference however short, a digest reference or its identifier.
    pub fn find(&self, reference: &str) -> Option<Image> {
        let whole = reference::normalise(reference).ok();
        let fits = |record: &Record| {
            let hex = record.id.trim_start_matches("sha256:");
            record.id == reference
                || hex == reference
                || whole.as_ref().is_some_and(|whole| record.names.contains(whole) || record.digests.contains(whole))
                || (reference.len() >= 12 && reference.bytes().all(|byte| byte.is_ascii_hexdigit()) && hex.starts_with(reference))
        };
        self.with_records(|records| records.iter().find(|record| fits(record)).map(|record| record.image(&self.root)))
    }

    /// All that are here.
    pub fn list(&self) -> Vec<Image> {
        self.with_records(|records| records.iter().map(|record| record.image(&self.root)).collect())
    }

    /// Takes a name away, and the image with its last name; an identifier takes the image away with all names.
    pub async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let image = self.find(reference).ok_or_else(|| ImageError::FindImage(reference.to_owned()))?;
        let whole = reference::normalise(reference).ok();
        self.blocking(move |store| {
            let _held = store.hold("lock", FlockOperation::LockExclusive)?;
            {
                let _names = store.hold("names.lock", FlockOperation::LockExclusive)?;
                let Some(mut record) = store.read_records()?.into_iter().find(|record| record.id == image.id) else {
                    return Ok(());
                };
                let before = record.names.len();
                record.names.retain(|name| Some(name) != whole.as_ref());
                if record.names.len() < before && !record.names.is_empty() {
                    return store.write_record(&record);
                }
                store.used(fs::remove_file(store.record_path(&record.id)))?;
            }
            store.sweep().map(drop)
        })
        .await
    }

    /// Takes away the images whose identifiers are not in `in_use`, and the layers that no image has.
    pub async fn collect(&self, in_use: &BTreeSet<String>) -> Result<Collected, ImageError> {
        let in_use = in_use.clone();
        self.blocking(move |store| {
            let _held = store.hold("lock", FlockOperation::LockExclusive)?;
            let unused = store.read_records()?.into_iter().filter(|record| !in_use.contains(&record.id));
            let mut images = Vec::new();
            for record in unused {
                store.used(fs::remove_file(store.record_path(&record.id)))?;
                images.push(record.id);
            }
            let (layers, bytes) = store.sweep()?;
            Ok(Collected { images, layers, bytes })
        })
        .await
    }

    /// Takes away the layers that no image has; called by one who is alone.
    fn sweep(&self) -> Result<(usize, u64), ImageError> {
        let used: BTreeMap<String, ()> =
            self.read_records()?.into_iter().flat_map(|record| record.layers).map(|name| (name, ())).collect();
        let (mut layers, mut won) = (0, 0);
        for entry in self.used(fs::read_dir(self.root.join("layers")))? {
            let path = self.used(entry)?.path();
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if used.contains_key(&name) || path.extension().is_some() {
                continue;
            }
            let note = path.with_extension("json");
            let noted = fs::read(&note).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
            won += noted.map_or(0, |noted| noted.bytes);
            layers += 1;
            // The note first: without it the folder counts as not whole.
            let _ = fs::remove_file(&note);
            self.used(fs::remove_dir_all(&path))?;
        }
        Ok((layers, won))
    }
}

/// The name of a layer's folder, by its digest.
fn name_of(diff_id: &str) -> Result<String, ImageError> {
    let hex = diff_id.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex.map(|hex| hex[..24].to_owned()).ok_or_else(|| ImageError::ParseReference(diff_id.to_owned()))
}

/// The name of the folder of one that would be another above other layers.
fn name_above(diff_id: &str, below: &[Named]) -> Result<String, ImageError> {
    name_of(diff_id)?;
    let names = below.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    let mut hex = hex::encode(Sha256::digest(format!("{diff_id} above {names}")));
    hex.truncate(24);
    Ok(hex)
}

struct Checked<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
