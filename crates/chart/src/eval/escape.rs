//! `html`, `js` and `urlquery`.

use crate::print::quote;

/// As Go writes text into HTML.
pub(super) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        let escaped: &[u8] = match byte {
            0 => "\u{fffd}".as_bytes(),
            b'"' => b"&#34;",
            b'\'' => b"&#39;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => std::slice::from_ref(byte),
        };
        out.extend_from_slice(escaped);
    }
    out
}

/// As Go writes text into a JavaScript string.
pub(super) fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (code, width) = crate::parse::rune(&text[at..]);
        let raw = &text[at..at + width];
        at += width;
        match code {
            0x5c | 0x27 | 0x22 => {
                out.push(b'\\');
                out.extend_from_slice(raw);
            }
            0x3c | 0x3e | 0x26 | 0x3d | 0..0x20 => out.extend_from_slice(format!("\\u{code:04X}").as_bytes()),
            0x20..0x80 => out.extend_from_slice(raw),
            _ if char::from_u32(code).is_some_and(quote::is_print) => out.extend_from_slice(raw),
            _ => out.extend_from_slice(format!("\\u{code:04X}").as_bytes()),
        }
    }
    out
}

/// As Go writes text into the query of a URL.
pub(super) fn urlquery(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}
