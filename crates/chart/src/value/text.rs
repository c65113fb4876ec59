//! Strings as Go has them: bytes that are usually, not always, UTF-8.
//!
//! A template can cut a character in two (`trunc`, `substr`) or decode anything (`b64dec`), and Go carries those bytes along
//! unharmed, so this type never repairs them on its own.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// The longest text that stands in its handle, without memory of its own: most keys and names do.
const INLINE: usize = 22;

/// An immutable Go string, which clones in constant time. It dereferences to its bytes.
#[derive(Clone)]
pub struct Str(Repr);

#[derive(Clone)]
enum Repr {
    Inline(u8, [u8; INLINE]),
    Shared(Rc<[u8]>),
}

impl Str {
    fn of(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= INLINE => {
                let mut place = [0; INLINE];
                place[..bytes.len()].copy_from_slice(bytes);
                Self(Repr::Inline(length, place))
            }
            _ => Self(Repr::Shared(Rc::from(bytes))),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(length, place) => &place[..usize::from(*length)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The text, where all of it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self).ok()
    }

    /// The text with each byte that is no UTF-8 replaced by U+FFFD: what Go's conversion to runes and its JSON writer give.
    pub fn lossy(&self) -> Cow<'_, str> {
        lossy(self)
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
        Self::of(b"")
    }
}

impl Deref for Str {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self::of(text.as_bytes())
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Self::of(bytes)
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self::of(text.as_bytes())
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(&bytes)
    }
}

impl From<Cow<'_, str>> for Str {
    fn from(text: Cow<'_, str>) -> Self {
        Self::of(text.as_bytes())
    }
}

impl PartialEq for Str {
    fn eq(&self, that: &Self) -> bool {
        self.as_bytes() == that.as_bytes()
    }
}

impl Eq for Str {}

impl PartialOrd for Str {
    fn partial_cmp(&self, that: &Self) -> Option<Ordering> {
        Some(self.cmp(that))
    }
}

impl Ord for Str {
    fn cmp(&self, that: &Self) -> Ordering {
        self.as_bytes().cmp(that.as_bytes())
    }
}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, that: &str) -> bool {
        self.as_bytes() == that.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, that: &&str) -> bool {
        self.as_bytes() == that.as_bytes()
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
