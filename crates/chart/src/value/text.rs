//! Strings as Go has them: bytes that are usually, not always, UTF-8.
//!
//! A template can cut a character in two (`trunc`, `substr`) or decode anything (`b64dec`), and Go carries those bytes along
//! unharmed, so this type never repairs them on its own.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// An immutable, shared Go string. It dereferences to its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(Rc<[u8]>);

impl Str {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, where all of it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text with each byte that is no UTF-8 replaced by U+FFFD: what Go's conversion to runes and its JSON writer give.
    pub fn lossy(&self) -> Cow<'_, str> {
        lossy(&self.0)
    }

    /// Whether both are the same bytes in memory, which is quicker to ask than equality.
    pub fn same(&self, that: &Self) -> bool {
        Rc::ptr_eq(&self.0, &that.0)
    }
}

/// Reads bytes as text the way Go does: every single invalid byte becomes one U+FFFD.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(out)
}

impl Default for Str {
    fn default() -> Self {
        Self(Rc::from(&b""[..]))
    }
}

impl Deref for Str {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(Rc::from(text.as_bytes()))
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Self(Rc::from(bytes))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(Rc::from(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Rc::from(bytes))
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Self {
        Self(Rc::from(text.as_bytes()))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, that: &str) -> bool {
        &*self.0 == that.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, that: &&str) -> bool {
        &*self.0 == that.as_bytes()
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lossy())
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}
