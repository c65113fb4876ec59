//! Whether a chart's archive is what somebody signed, and signing it. It never fetches.

mod keybox;
mod keyring;

use std::cell::OnceCell;
use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;

use chart::provenance::{Enclosed, canonical, check, enclose, statement};

use super::chart_files::go_error;
use super::flags::{Flag, Kind, Matches, of};
use super::{Done, Fault, chart_files, prompt, settings};
use crate::output;
use keyring::{Keyring, Owner};

/// Flags of `verify`.
pub(super) const FLAGS: &[Flag] = &[of(Kind::Text, "keyring", "keyring containing public keys")];

/// An archive that somebody signed.
pub(super) struct Verified {
    signers: Vec<String>,
    fingerprint: String,
    sum: String,
}

impl Verified {
    /// Tells who it was.
    pub(super) fn say(&self) {
        self.signers.iter().for_each(|name| output::line(&format!("Signed by: {name}")));
        output::line(&format!("Using Key With Fingerprint: {}", self.fingerprint));
        output::line(&format!("Chart Hash Verified: {}", self.sum));
    }
}

pub(super) fn run(matches: &Matches) -> Done {
    verify_file(matches, Path::new(matches.argument(0)))?.say();
    Ok(())
}

/// The file beside an archive.
pub(super) fn proof_of(archive: &Path) -> std::path::PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".prov");
    name.into()
}

/// Checks an archive on disk by the file beside it.
pub(super) fn verify_file(matches: &Matches, path: &Path) -> Result<Verified, Fault> {
    let about = fs::metadata(path).map_err(|error| Fault::new(go_error("stat", path, &error)))?;
    if about.is_dir() {
        return Err(Fault::new("unpacked charts cannot be verified"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    check_name(&name)?;
    let proof = proof_of(path);
    fs::metadata(&proof).map_err(|error| {
        let why = go_error("stat", &proof, &error);
        Fault::new(format!("could not load provenance file {}: {why}", proof.display()))
    })?;
    let ring = ring(matches)?;
    let unread = |what: &str, path: &Path, error: &std::io::Error| {
        Fault::new(format!("failed to read {what}: {}", go_error("open", path, error)))
    };
    let archive = fs::read(path).map_err(|error| unread("chart archive", path, &error))?;
    let bytes = fs::read(&proof).map_err(|error| unread("provenance file", &proof, &error))?;
    verify_by(&ring, &archive, &bytes, &name)
}

/// Checks an archive that is called `name` by its provenance.
pub(super) fn verify(matches: &Matches, archive: &[u8], proof: &[u8], name: &str) -> Result<Verified, Fault> {
    check_name(name)?;
    verify_by(&ring(matches)?, archive, proof, name)
}

fn check_name(name: &str) -> Done {
    let ending = Path::new(name).extension();
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("tgz")) {
        return Ok(());
    }
    Err(Fault::new("chart must be a tgz file"))
}

fn ring(matches: &Matches) -> Result<Keyring, Fault> {
    Keyring::load(&settings::keyring(matches)).map_err(|fault| Fault::new(format!("failed to load keyring: {}", fault.text)))
}

fn verify_by(ring: &Keyring, archive: &[u8], proof: &[u8], name: &str) -> Result<Verified, Fault> {
    let found = Enclosed::find(&String::from_utf8_lossy(proof));
    let Enclosed { text, signature } = found.ok_or_else(|| Fault::new("signature block not found"))?;
    let signer = ring.signer(canonical(&text).as_bytes(), &signature)?;
    let sum = check(&text, name, archive)?;
    Ok(Verified { signers: signer.signers(), fingerprint: signer.fingerprint(), sum })
}

/// Signs archives with the key of a command line.
pub(super) struct Signer<'m> {
    matches: &'m Matches,
    /// What was read of a file serves for all archives, since the standard input comes but once.
    passphrase: OnceCell<String>,
}

impl<'m> Signer<'m> {
    pub(super) fn new(matches: &'m Matches) -> Result<Self, Fault> {
        if matches.text("key").is_empty() {
            return Err(Fault::new("--key is required for signing a package"));
        }
        if matches.said("keyring") && matches.text("keyring").is_empty() {
            return Err(Fault::new("--keyring is required for signing a package"));
        }
        Ok(Self { matches, passphrase: OnceCell::new() })
    }

    /// Writes the provenance beside an archive.
    pub(super) fn sign(&self, path: &Path) -> Done {
        let ring = Keyring::load(&settings::keyring(self.matches))?;
        let owner = ring.named(self.matches.text("key"))?;
        let file = self.matches.text("passphrase-file");
        if !file.is_empty() && self.passphrase.get().is_none() {
            let _ = self.passphrase.set(first_line(file)?);
        }
        let owner = owner.ok_or_else(|| Fault::new("private key not found"))?;
        owner.secret()?;
        let passphrase = if owner.is_locked() { self.passphrase_of(owner)? } else { String::new() };
        let chart =
            chart_files::load(path).map_err(|fault| Fault::new(format!("failed to load chart for signing: {}", fault.text)))?;
        let archive = fs::read(path)
            .map_err(|error| Fault::new(format!("failed to read chart archive: {}", go_error("open", path, &error))))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = statement(&chart.metadata, &name, &archive)?;
        let signature = owner.sign(&canonical(&text), &passphrase)?;
        let proof = proof_of(path);
        fs::write(&proof, enclose(&text, "SHA512", &signature)).map_err(|error| Fault::new(go_error("open", &proof, &error)))
    }

    fn passphrase_of(&self, owner: &Owner) -> Result<String, Fault> {
        if let Some(passphrase) = self.passphrase.get() {
            return Ok(passphrase.clone());
        }
        let name = owner.signers().into_iter().next().unwrap_or_else(|| "Unknown".to_owned());
        let typed = prompt::hidden(&format!("Password for key {name:?} >  "));
        output::line("");
        typed
    }
}

/// The first line of a file; `-` is what is piped in.
fn first_line(file: &str) -> Result<String, Fault> {
    let reader: Box<dyn Read> = if file == "-" {
        let about = rustix::fs::fstat(std::io::stdin())?;
        if rustix::fs::FileType::from_raw_mode(about.st_mode) != rustix::fs::FileType::Fifo {
            return Err(Fault::new("specified reading passphrase from stdin, without input on stdin"));
        }
        Box::new(std::io::stdin())
    } else {
        let path = Path::new(file);
        Box::new(fs::File::open(path).map_err(|error| Fault::new(go_error("open", path, &error)))?)
    };
    prompt::first_line(BufReader::new(reader))
}
