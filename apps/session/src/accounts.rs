//! Who may sign in: names and argon2id hashes from a file, verified in equal time whether the name exists or not.

use std::{collections::HashMap, fs, path::Path};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use thiserror::Error;

/// The accounts of the file.
pub struct Accounts {
    hashes: HashMap<String, String>,
    /// Verified for a name that does not exist, so that the answer takes as long.
    decoy: String,
}

/// Why accounts cannot be read or made.
#[derive(Debug, Error)]
pub enum AccountsError {
    #[error("cannot read {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("line {line} is not `name:argon2id hash`: make it by `session hash-password NAME`")]
    Line { line: usize },
    #[error("the name {name:?} is empty, too long or holds other than letters, digits, dot, dash and underscore")]
    Name { name: String },
    #[error("cannot hash a password: {reason}")]
    Hash { reason: String },
}

/// Longest name in bytes.
const NAME_MAX: usize = 64;
/// Longest password in bytes: ASVS 6.2.9 asks for at least 64 characters; more only costs time.
pub const PASSWORD_MAX: usize = 1024;

impl Accounts {
    /// Reads the file; empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// When the file cannot be read or a line is malformed.
    pub fn read(path: &Path) -> Result<Self, AccountsError> {
        let text = fs::read_to_string(path).map_err(|source| AccountsError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, AccountsError> {
        let mut hashes = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let malformed = AccountsError::Line { line: number + 1 };
            let Some((name, hash)) = line.split_once(':') else { return Err(malformed) };
            if !valid_name(name) || PasswordHash::new(hash).is_err() {
                return Err(malformed);
            }
            hashes.insert(name.to_owned(), hash.to_owned());
        }
        Ok(Self { hashes, decoy: hash("a decoy that nobody has")? })
    }

    /// Whether `password` is that of `name`. Takes tens of milliseconds of CPU: call it off the async threads.
    pub fn verify(&self, name: &str, password: &str) -> bool {
        if password.len() > PASSWORD_MAX {
            return false;
        }
        let known = self.hashes.get(name);
        let matches = Argon2::default().verify_password(password.as_bytes(), known.unwrap_or(&self.decoy).as_str()).is_ok();
        matches && known.is_some()
    }
}

/// The line of the accounts file for a name and its password.
///
/// # Errors
/// When the name may not be used, or the system gives no randomness.
pub fn line(name: &str, password: &str) -> Result<String, AccountsError> {
    if !valid_name(name) {
        return Err(AccountsError::Name { name: name.to_owned() });
    }
    Ok(format!("{name}:{}", hash(password)?))
}

fn hash(password: &str) -> Result<String, AccountsError> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| AccountsError::Hash { reason: error.to_string() })?;
    Ok(hash.to_string())
}

fn valid_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_its_own_account_alone() {
        let text = format!("# people\n{}\n\n{}\n", line("ada", "lovelace").unwrap(), line("bob", "ross").unwrap());
        let accounts = Accounts::parse(&text).unwrap();
        assert!(accounts.verify("ada", "lovelace"));
        assert!(!accounts.verify("bob", "lovelace"));
        assert!(!accounts.verify("eve", "a decoy that nobody has"));
        assert!(!accounts.verify("ada", &"x".repeat(PASSWORD_MAX + 1)));
    }

    #[test]
    fn a_hash_is_argon2id_with_the_recommended_cost() {
        assert!(hash("x").unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn a_malformed_line_is_named_by_its_number() {
        assert!(matches!(Accounts::parse("# ok\nada\n"), Err(AccountsError::Line { line: 2 })));
        assert!(matches!(Accounts::parse("ada:plain text\n"), Err(AccountsError::Line { line: 1 })));
        assert!(matches!(line("a b", "x"), Err(AccountsError::Name { .. })));
    }
}
