//! Encryption at rest: Secrets are AES-256-GCM on disk from the first start. The keys stand in a file of their own, apart from the
//! data, so that a copy of the data directory tells nothing. Every sealed value names its key and is bound to its place:
//! a value that was changed, or moved to another key of the store, does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use store::{Seal, SealError};
use zeroize::Zeroizing;

/// First bytes of a sealed value: what it is, and the version of its form.
const MAGIC: &[u8; 4] = b"\x00cs1";
/// A key's id, as it stands in sealed values and in the key file.
const ID_LEN: usize = 4;
const HEAD_LEN: usize = MAGIC.len() + ID_LEN + NONCE_LEN;
const KEY_LEN: usize = 32;

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The key file cannot be read.
    #[error("cannot read the encryption keys in {path}")]
    ReadKeys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be written.
    #[error("cannot write the encryption keys in {path}")]
    WriteKeys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of the key file is no key.
    #[error("line {line} of {path} is not an encryption key")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// The data is encrypted, and its keys are not there.
    #[error("the encryption keys {path} are missing although there is data; restore them")]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Entropy,
}

struct Key {
    id: [u8; ID_LEN],
    cipher: LessSafeKey,
}

/// Says which keys of the store are sealed.
pub type Sealed = fn(&str) -> bool;

/// The keys in force: the first seals, all open.
pub struct Encryption {
    path: PathBuf,
    sealed: Sealed,
    keys: RwLock<Arc<Vec<Key>>>,
}

impl Encryption {
    /// Loads the key file; makes it with a first key when there is none and no data is there that would need it.
    pub fn open(path: impl Into<PathBuf>, sealed: Sealed, data_exists: bool) -> Result<Self, EncryptionError> {
        let path = path.into();
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !data_exists => {
                let text = Zeroizing::new(fresh_line()?);
                write(&path, &text)?;
                text
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(EncryptionError::Lost { path }),
            Err(source) => return Err(EncryptionError::ReadKeys { path, source }),
        };
        let keys = parse(&text, &path)?;
        Ok(Self { path, sealed, keys: RwLock::new(Arc::new(keys)) })
    }

    /// Adds a new first key. Values sealed by the older ones open as before and get the new key when they are next written.
    pub fn rotate(&self) -> Result<(), EncryptionError> {
        let read = |source| EncryptionError::ReadKeys { path: self.path.clone(), source };
        let old = Zeroizing::new(fs::read_to_string(&self.path).map_err(read)?);
        let text = Zeroizing::new(format!("{}{}", fresh_line()?, old.as_str()));
        let keys = parse(&text, &self.path)?;
        write(&self.path, &text)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Takes the key file in as it is now: someone may have put a new first key into it.
    pub fn reload(&self) -> Result<(), EncryptionError> {
        let read = |source| EncryptionError::ReadKeys { path: self.path.clone(), source };
        let text = Zeroizing::new(fs::read_to_string(&self.path).map_err(read)?);
        let keys = parse(&text, &self.path)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// How many keys there are; more than one while older ones are on their way out.
    pub fn count(&self) -> usize {
        self.current().len()
    }

    /// Forgets every key but the newest: only after all values were written anew.
    pub fn forget_old(&self) -> Result<(), EncryptionError> {
        let read = |source| EncryptionError::ReadKeys { path: self.path.clone(), source };
        let old = Zeroizing::new(fs::read_to_string(&self.path).map_err(read)?);
        let newest: String = old.lines().take(1).map(|line| format!("{line}\n")).collect();
        let newest = Zeroizing::new(newest);
        let keys = parse(&newest, &self.path)?;
        write(&self.path, &newest)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Whether a sealed value was sealed by the newest key.
    pub fn is_current(&self, disk: &[u8]) -> bool {
        let keys = self.current();
        let id = disk.get(MAGIC.len()..MAGIC.len() + ID_LEN);
        disk.starts_with(MAGIC) && keys.first().is_some_and(|key| id == Some(&key.id[..]))
    }

    fn current(&self) -> Arc<Vec<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn failed(what: &str) -> SealError {
    SealError(what.to_owned())
}

impl Seal for Encryption {
    fn seal(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        if !(self.sealed)(key) {
            return Ok(plain.to_vec());
        }
        let keys = self.current();
        let first = keys.first().ok_or_else(|| failed("there is no encryption key"))?;
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| failed("the system's random generator failed"))?;
        let mut out = Vec::with_capacity(HEAD_LEN + plain.len() + AES_256_GCM.tag_len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&first.id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let aad = Aad::from(key.as_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = first.cipher.seal_in_place_separate_tag(nonce, aad, &mut out[HEAD_LEN..]);
        out.extend_from_slice(tag.map_err(|_| failed("encryption failed"))?.as_ref());
        Ok(out)
    }

    fn open(&self, key: &str, disk: &[u8]) -> Result<Vec<u8>, SealError> {
        if !(self.sealed)(key) {
            return Ok(disk.to_vec());
        }
        if disk.len() < HEAD_LEN || !disk.starts_with(MAGIC) {
            return Err(failed("a value that must be encrypted is not"));
        }
        let (head, body) = disk.split_at(HEAD_LEN);
        let (id, nonce) = head[MAGIC.len()..].split_at(ID_LEN);
        let keys = self.current();
        let found = keys.iter().find(|k| k.id[..] == *id);
        let found = found.ok_or_else(|| failed("the key of an encrypted value is not among the encryption keys"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed("malformed encrypted value"))?;
        let mut body = body.to_vec();
        let opened = found.cipher.open_in_place(nonce, Aad::from(key.as_bytes()), &mut body);
        let len = opened.map_err(|_| failed("an encrypted value was changed or moved"))?.len();
        body.truncate(len);
        Ok(body)
    }
}

/// `<id> <key>` and a line's end.
fn fresh_line() -> Result<String, EncryptionError> {
    let mut id = [0_u8; ID_LEN];
    let mut key = Zeroizing::new([0_u8; KEY_LEN]);
    getrandom::fill(&mut id).map_err(|_| EncryptionError::Entropy)?;
    getrandom::fill(&mut key[..]).map_err(|_| EncryptionError::Entropy)?;
    Ok(format!("{} {}\n", hex::encode(id), STANDARD.encode(&key[..])))
}

fn parse(text: &str, path: &Path) -> Result<Vec<Key>, EncryptionError> {
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let malformed = || EncryptionError::Malformed { path: path.to_owned(), line: at + 1 };
        let (id, key) = line.trim().split_once(' ').ok_or_else(malformed)?;
        let id = hex::decode(id).ok().and_then(|id| id.try_into().ok()).ok_or_else(malformed)?;
        let key = Zeroizing::new(STANDARD.decode(key).map_err(|_| malformed())?);
        let cipher = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| malformed())?;
        keys.push(Key { id, cipher: LessSafeKey::new(cipher) });
    }
    if keys.is_empty() {
        return Err(EncryptionError::Malformed { path: path.to_owned(), line: 1 });
    }
    Ok(keys)
}

/// By rename, mode 0600, on disk before this returns.
fn write(path: &Path, text: &str) -> Result<(), EncryptionError> {
    let replace = || -> std::io::Result<()> {
        let parent = path.parent().unwrap_or_else(|| Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let fresh = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        fs::File::open(parent)?.sync_all()
    };
    replace().map_err(|source| EncryptionError::WriteKeys { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SECRET: &str = "secrets/ns/a";

    fn open(dir: &tempfile::TempDir, data: bool) -> Result<Encryption, EncryptionError> {
        Encryption::open(dir.path().join("keys/encryption.keys"), |key| key.starts_with("secrets/"), data)
    }

    #[test]
    fn secrets_are_unreadable_on_disk_and_the_rest_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let encryption = open(&dir, false).unwrap();
        let disk = encryption.seal(SECRET, b"hunter2").unwrap();
        assert!(!disk.windows(7).any(|w| w == b"hunter2"));
        assert_ne!(disk, encryption.seal(SECRET, b"hunter2").unwrap());
        assert_eq!(encryption.open(SECRET, &disk).unwrap(), b"hunter2");
        assert_eq!(encryption.seal("pods/ns/a", b"plain").unwrap(), b"plain");
        let mode = fs::metadata(dir.path().join("keys/encryption.keys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn every_changed_byte_and_every_other_place_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let encryption = open(&dir, false).unwrap();
        let disk = encryption.seal(SECRET, b"v").unwrap();
        for at in 0..disk.len() {
            let mut changed = disk.clone();
            changed[at] ^= 1;
            assert!(encryption.open(SECRET, &changed).is_err(), "byte {at}");
        }
        assert!(encryption.open("secrets/ns/b", &disk).is_err());
        assert!(encryption.open(SECRET, b"{\"kind\":\"Secret\"}").is_err());
        assert!(encryption.open(SECRET, &disk[..disk.len() - 1]).is_err());
    }

    #[test]
    fn rotation_keeps_old_values_readable_until_the_old_keys_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let encryption = open(&dir, false).unwrap();
        let old = encryption.seal(SECRET, b"v").unwrap();
        assert!(encryption.is_current(&old));
        encryption.rotate().unwrap();
        assert!(!encryption.is_current(&old));
        assert_eq!(encryption.open(SECRET, &old).unwrap(), b"v");
        let new = encryption.seal(SECRET, b"v").unwrap();
        let reopened = open(&dir, true).unwrap();
        assert_eq!(reopened.open(SECRET, &old).unwrap(), b"v");
        reopened.forget_old().unwrap();
        assert!(reopened.open(SECRET, &old).is_err());
        assert_eq!(open(&dir, true).unwrap().open(SECRET, &new).unwrap(), b"v");
    }

    #[test]
    fn lost_or_broken_keys_stop_the_start_instead_of_starting_anew() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(&dir, true), Err(EncryptionError::Lost { .. })));
        open(&dir, false).unwrap();
        fs::write(dir.path().join("keys/encryption.keys"), "0011 tooshort\n").unwrap();
        assert!(matches!(open(&dir, true), Err(EncryptionError::Malformed { line: 1, .. })));
    }
}
