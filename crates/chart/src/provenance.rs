//! What is signed of a chart's archive: the statement with its hash, and the clear-signed form around it. It knows neither
//! keys nor files, and never says whether a signature is right.

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::chart::Metadata;
use crate::yaml::{self, ReadError, WriteError};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "\n-----END PGP SIGNATURE-----";
/// Hashes that a message may name.
const HASHES: &[&str] = &["MD5", "SHA1", "RIPEMD160", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"];
/// YAML's own line between documents starts with hyphens, which a clear-signed text has to escape.
const BETWEEN: &str = "\n...\n";

/// Why an archive is not what was signed; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// There is no second part.
    #[error("message block must have at least two parts")]
    Split,
    /// The second part holds no hashes.
    #[error("{0}")]
    ReadSums(ReadError),
    /// The statement is about other files.
    #[error("provenance does not contain a SHA for a file named {0:?}")]
    FindSum(String),
    /// Another archive was signed.
    #[error("sha256 sum does not match for {name}: {said:?} != {found:?}")]
    Compare {
        /// The archive's file.
        name: String,
        /// What was signed.
        said: String,
        /// What the archive has.
        found: String,
    },
}

/// The hash of an archive as a statement has it.
#[must_use]
pub fn sum(archive: &[u8]) -> String {
    Sha256::digest(archive).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// What is signed of an archive: the chart's description, and the hash of the file of this name.
pub fn statement(metadata: &Metadata, name: &str, archive: &[u8]) -> Result<String, WriteError> {
    let sums = yaml::to_yaml(&json!({"files": {name: sum(archive)}}))?;
    Ok(format!("{}{BETWEEN}{sums}", metadata.to_yaml()))
}

/// Gives the archive's hash where a statement is about it.
pub fn check(statement: &str, name: &str, archive: &[u8]) -> Result<String, StatementError> {
    let sums = statement.split(BETWEEN).nth(1).ok_or(StatementError::Split)?;
    let sums = yaml::read_object(sums.as_bytes(), "provenance.SumCollection").map_err(StatementError::ReadSums)?;
    let said = sums.get("files").and_then(|files| files.get(name)).and_then(Json::as_str);
    let said = said.ok_or_else(|| StatementError::FindSum(name.to_owned()))?;
    let found = sum(archive);
    if said != found {
        return Err(StatementError::Compare { name: name.to_owned(), said: said.to_owned(), found });
    }
    Ok(found)
}

/// The bytes over which a text is signed: no blanks at the ends of lines, and each of them ends as on the wire.
#[must_use]
pub fn canonical(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches([' ', '\t', '\r'])).collect();
    lines.join("\r\n")
}

/// A text with the armored signature under it.
#[must_use]
pub fn enclose(text: &str, hash: &str, signature: &str) -> String {
    let mut whole = format!("{BEGIN}\nHash: {hash}\n\n");
    for line in text.split('\n') {
        if line.starts_with('-') {
            whole.push_str("- ");
        }
        whole.push_str(line.trim_end_matches([' ', '\t', '\r']));
        whole.push('\n');
    }
    whole.push_str(signature);
    whole
}

/// A clear-signed text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    /// What was signed, with plain line ends.
    pub text: String,
    /// The armored signature.
    pub signature: String,
}

impl Enclosed {
    /// Finds the first clear-signed text, whatever stands around it.
    #[must_use]
    pub fn find(whole: &str) -> Option<Self> {
        let rest = match whole.strip_prefix(BEGIN) {
            Some(rest) => rest,
            None => whole.split_once(&format!("\n{BEGIN}"))?.1,
        };
        let (after, mut rest) = line_of(rest)?;
        if !after.is_empty() {
            return None;
        }
        loop {
            let (line, others) = line_of(rest)?;
            rest = others;
            if line.trim().is_empty() {
                break;
            }
            let (key, hashes) = line.split_once(':')?;
            let known = |hash: &str| HASHES.contains(&hash.trim().to_uppercase().as_str());
            let plain = line.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if key.trim() != "Hash" || !plain || !hashes.split(',').all(known) {
                return None;
            }
        }
        let mut lines = Vec::new();
        loop {
            let (line, others) = line_of(rest)?;
            if line == SIGNATURE {
                break;
            }
            rest = others;
            lines.push(line.strip_prefix("- ").unwrap_or(line).trim_end_matches([' ', '\t']));
        }
        let end = rest.find(END)? + END.len();
        Some(Self { text: lines.join("\n"), signature: format!("{}\n", &rest[..end]) })
    }
}

/// A line without its end, and what follows; nothing where no text is left.
fn line_of(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    Some((line.strip_suffix('\r').unwrap_or(line), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: &str = "-----BEGIN PGP SIGNATURE-----\n\nwsD=\n-----END PGP SIGNATURE-----\n";

    fn metadata() -> Metadata {
        Metadata { api_version: "v2".to_owned(), name: "plain".to_owned(), version: "1.2.3".to_owned(), ..Metadata::default() }
    }

    #[test]
    fn a_statement_is_about_the_archive_that_it_was_made_of_alone() {
        let text = statement(&metadata(), "plain-1.2.3.tgz", b"archive").expect("a statement");
        assert!(
            text.starts_with("apiVersion: v2\nname: plain\nversion: 1.2.3\n\n...\nfiles:\n  plain-1.2.3.tgz: sha256:"),
            "{text}"
        );
        assert_eq!(check(&text, "plain-1.2.3.tgz", b"archive").expect("it fits"), sum(b"archive"));
        let refused = |text: &str, name, archive| check(text, name, archive).expect_err("refused").to_string();
        assert!(
            refused(&text, "plain-1.2.3.tgz", b"other").starts_with("sha256 sum does not match for plain-1.2.3.tgz: \"sha256:")
        );
        assert!(refused(&text, "other.tgz", b"archive").ends_with("a file named \"other.tgz\""));
        assert_eq!(refused("name: x\n", "x", b""), "message block must have at least two parts");
    }

    #[test]
    fn a_text_comes_back_as_it_was_enclosed() {
        for text in ["", "one", "one\n", "- one\n--- two\n\n-three \t\r\nfour\n", "\n\n"] {
            let whole = enclose(text, "SHA512", SEAL);
            let found = Enclosed::find(&whole).unwrap_or_else(|| panic!("{whole:?}"));
            assert_eq!(canonical(&found.text), canonical(text));
            assert_eq!(found.signature, SEAL);
            let moved = format!("before\n{}", whole.replace('\n', "\r\n"));
            assert_eq!(Enclosed::find(&moved).map(|found| found.text), Some(found.text));
        }
    }

    #[test]
    fn what_is_no_signed_text_is_none() {
        let whole = enclose("one\n", "SHA512", SEAL);
        assert_eq!(Enclosed::find(""), None);
        assert_eq!(Enclosed::find(&whole.replace("SHA512", "CRC32")), None);
        assert_eq!(Enclosed::find(&whole.replace("Hash", "Comment")), None);
        assert_eq!(Enclosed::find(&whole.replace(BEGIN, &format!("{BEGIN}x"))), None);
        for end in 0..whole.len() - 1 {
            assert_eq!(Enclosed::find(&whole[..end]), None, "{end}");
        }
    }
}
