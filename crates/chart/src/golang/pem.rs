//! PEM blocks, written and found as Go's encoding/pem does.

use super::base;

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it says it holds.
    pub kind: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Writes a block.
pub fn write(kind: &str, bytes: &[u8]) -> String {
    let mut out = format!("-----BEGIN {kind}-----\n");
    let encoded = base::encode64(bytes);
    for line in encoded.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {kind}-----\n"));
    out
}

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

/// The first block of a text that is well-formed.
pub fn find(text: &[u8]) -> Option<Block> {
    let mut rest = text;
    loop {
        let at = memchr::memmem::find(rest, BEGIN)?;
        let at_line_start = at == 0 || rest[at - 1] == b'\n';
        rest = &rest[at + BEGIN.len()..];
        if !at_line_start {
            continue;
        }
        if let Some(block) = block(rest) {
            return Some(block);
        }
    }
}

fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let line = text[..end].trim_ascii_end();
    (line, text.get(end + 1..).unwrap_or_default())
}

fn block(text: &[u8]) -> Option<Block> {
    let (first, mut rest) = line(text);
    let kind = first.strip_suffix(DASHES)?;
    // Headers are lines with a colon.
    loop {
        let (header, after) = line(rest);
        if !header.contains(&b':') || after.is_empty() {
            break;
        }
        rest = after;
    }
    let end_mark = [b"-----END ", kind, DASHES].concat();
    let end = memchr::memmem::find(rest, &end_mark)?;
    if end > 0 && rest[end - 1] != b'\n' {
        return None;
    }
    let tail = &rest[end + end_mark.len()..];
    if !line(tail).0.is_empty() {
        return None;
    }
    let body: Vec<u8> = rest[..end].iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect();
    let bytes = base::decode64(&body).ok()?;
    Some(Block { kind: String::from_utf8_lossy(kind).into_owned(), bytes })
}
