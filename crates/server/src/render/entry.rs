//! Stored bytes as answers: the resourceVersion is put in, and the version converted if another is asked for.

use api::kind::{Kind, Version};
use store::Revision;

use crate::state::{Stored, decode};

/// What precedes the fields of the metadata in stored bytes. Objects are stored with `apiVersion`, `kind` and `metadata` first, so the first
/// place of these bytes is the metadata itself.
const METADATA: &[u8] = b"\"metadata\":{";

/// Puts the resourceVersion into stored bytes.
pub fn splice(out: &mut Vec<u8>, stored: &[u8], revision: Revision) {
    let Some(at) = stored.windows(METADATA.len()).position(|window| window == METADATA).map(|at| at + METADATA.len()) else {
        out.extend_from_slice(stored);
        return;
    };
    out.reserve(stored.len() + 48);
    out.extend_from_slice(&stored[..at]);
    out.extend_from_slice(b"\"resourceVersion\":\"");
    out.extend_from_slice(itoa::Buffer::new().format(revision).as_bytes());
    out.push(b'"');
    if stored.get(at) != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(&stored[at..]);
}

/// Writes an object in a version, as it was at a revision (that of its last change, or of its removal).
pub fn object(out: &mut Vec<u8>, kind: &Kind, version: &Version, entry: &Stored, revision: Revision) {
    if is_plain(kind, version) && is_served_as_stored(kind, version, entry) {
        splice(out, &entry.value, revision);
        return;
    }
    let mut object = decode(entry);
    api::document::meta::set(&mut object, "resourceVersion", revision.to_string());
    kind.to_served(version, &mut object);
    object.write_json(out);
}

/// Whether objects of a version are served as they are stored when they are written.
pub fn is_plain(kind: &Kind, version: &Version) -> bool {
    version.storage && version.convert.is_none() && kind.stored_as.is_none() && kind.conversion.is_none()
}

/// Whether stored bytes are what a reader of the stored version gets. A custom object is, unless it was written before its schemas became what they
/// are, or when another version was the stored one.
fn is_served_as_stored(kind: &Kind, version: &Version, entry: &Stored) -> bool {
    if !kind.custom {
        return true;
    }
    let bytes = entry.value.strip_prefix(b"{\"apiVersion\":\"".as_slice());
    let bytes = bytes.and_then(|bytes| bytes.strip_prefix(kind.group.as_bytes())).and_then(|bytes| bytes.strip_prefix(b"/"));
    let in_version =
        bytes.and_then(|bytes| bytes.strip_prefix(version.name.as_bytes())).is_some_and(|rest| rest.starts_with(b"\","));
    entry.modified > kind.schemas_since && in_version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_becomes_the_first_field_of_the_metadata() {
        let spliced = |stored: &str| {
            let mut out = Vec::new();
            splice(&mut out, stored.as_bytes(), 7);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            spliced(r#"{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"data":{"metadata":{}}}"#),
            r#"{"apiVersion":"v1","kind":"X","metadata":{"resourceVersion":"7","name":"a"},"data":{"metadata":{}}}"#
        );
        assert_eq!(spliced(r#"{"metadata":{}}"#), r#"{"metadata":{"resourceVersion":"7"}}"#);
    }
}
