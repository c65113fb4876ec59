//! GnuPG's keybox: the OpenPGP keys between GnuPG's own notes. It never reads the keys themselves.

/// Kinds of entries.
const HEADER: u8 = 1;
const OPENPGP: u8 = 2;
/// GnuPG itself does not count such an entry as part of the ring.
const EPHEMERAL: u16 = 2;
/// The length and the kind of an entry.
const ENTRY_MIN: usize = 5;
/// Up to where an entry says where its key is.
const OPENPGP_MIN: usize = 16;

/// Whether a file is a keybox.
pub(super) fn is_keybox(bytes: &[u8]) -> bool {
    bytes.get(4) == Some(&HEADER) && bytes.get(8..12) == Some(b"KBXf")
}

/// The keys of a keybox, one after the other.
pub(super) fn keys(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut keys = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        if rest.len() < ENTRY_MIN {
            return Err(format!("truncated blob header at offset {offset}"));
        }
        let length = number(rest, 0);
        if length < ENTRY_MIN {
            return Err(format!("invalid blob length {length} at offset {offset}"));
        }
        let Some(entry) = rest.get(..length) else {
            let left = rest.len();
            return Err(format!("blob at offset {offset} has length {length} exceeding the {left} remaining bytes"));
        };
        if entry[4] == OPENPGP {
            if length < OPENPGP_MIN {
                return Err(format!("OpenPGP blob at offset {offset} is too short"));
            }
            let (start, size) = (number(entry, 8), number(entry, 12));
            let key = entry.get(start..start.saturating_add(size));
            let key = key.ok_or_else(|| format!("OpenPGP blob at offset {offset} has an out-of-range keyblock"))?;
            if u16::from_be_bytes([entry[6], entry[7]]) & EPHEMERAL == 0 {
                keys.extend_from_slice(key);
            }
        }
        offset += length;
    }
    if keys.is_empty() { Err("keybox contains no OpenPGP keys".to_owned()) } else { Ok(keys) }
}

/// Four bytes as a number; there are that many.
fn number(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, flags: u16, key: &[u8]) -> Vec<u8> {
        let length = u32::try_from(OPENPGP_MIN + key.len()).expect("short");
        let size = u32::try_from(key.len()).expect("short");
        let head = [&length.to_be_bytes()[..], &[kind, 1], &flags.to_be_bytes(), &16_u32.to_be_bytes(), &size.to_be_bytes()];
        [&head.concat(), key].concat()
    }

    fn header() -> Vec<u8> {
        [&16_u32.to_be_bytes()[..], &[HEADER, 1, 0, 0], b"KBXf", &[0; 4]].concat()
    }

    #[test]
    fn the_keys_of_a_keybox_are_those_that_gnupg_counts() {
        let whole = [header(), entry(OPENPGP, 0, b"one"), entry(OPENPGP, EPHEMERAL, b"two"), entry(3, 0, b"x509")].concat();
        let whole = [whole, entry(OPENPGP, 4, b"three")].concat();
        assert!(is_keybox(&whole) && !is_keybox(b"KBXf"));
        assert_eq!(keys(&whole), Ok(b"onethree".to_vec()));
        assert_eq!(keys(&header()), Err("keybox contains no OpenPGP keys".to_owned()));
    }

    #[test]
    fn a_broken_keybox_is_refused_wherever_it_breaks() {
        let whole = [header(), entry(OPENPGP, 0, b"one")].concat();
        for end in 17..whole.len() {
            assert!(keys(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] = 0xff;
            let _ = keys(&other);
        }
    }
}
