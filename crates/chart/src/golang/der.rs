//! As much of ASN.1's DER as keys and certificates need: writing, and reading step by step.

/// Tags.
pub const BOOLEAN: u8 = 0x01;
/// An integer.
pub const INTEGER: u8 = 0x02;
/// Bits.
pub const BIT_STRING: u8 = 0x03;
/// Bytes.
pub const OCTET_STRING: u8 = 0x04;
/// An object identifier.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// Text of any characters.
pub const UTF8_STRING: u8 = 0x0c;
/// Text of a few characters.
pub const PRINTABLE_STRING: u8 = 0x13;
/// A sequence.
pub const SEQUENCE: u8 = 0x30;
/// A set.
pub const SET: u8 = 0x31;

/// A tag, a length and content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of elements.
pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// An integer that is not negative, of its bytes from the highest.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[skip..];
    let pad: &[u8] = if bytes.first().is_none_or(|byte| *byte & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[pad, bytes].concat())
}

/// Bits that fill whole bytes.
pub fn bits(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes].concat())
}

/// An object identifier.
pub fn identifier(numbers: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    let first = numbers.first().zip(numbers.get(1)).map_or(0, |(a, b)| a * 40 + b);
    for number in std::iter::once(first).chain(numbers.iter().skip(2).copied()) {
        let groups = (32 - number.leading_zeros()).div_ceil(7).max(1);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            out.push((number >> (7 * group)) as u8 & 0x7f | more);
        }
    }
    element(OBJECT_IDENTIFIER, &out)
}

/// One element: its tag, its content, and all of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The tag.
    pub tag: u8,
    /// The content.
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next element, where there is a well-formed one.
    pub fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        let (length, header) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return None;
            }
            let bytes = self.0.get(2..2 + count)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
        };
        let whole = self.0.get(..header + length)?;
        self.0 = &self.0[header + length..];
        Some(Element { tag, content: &whole[header..], whole })
    }

    /// The next element, where it has a tag.
    pub fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element, where it has a tag; else nothing is read.
    pub fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}
