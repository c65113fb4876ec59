//! Frames: what one write puts on disk. A frame is whole or it does not count.
//!
//! Layout, little endian: magic u32, payload length u32, CRC32C of the payload u32, then the payload: the reserved revision u64, and
//! records of kind u8, created u64, revision u64, key length u32, value length u32, key, value.

use std::io::{self, Read};

use crate::Revision;

const MAGIC: u32 = u32::from_le_bytes(*b"CRL1");
const HEADER: usize = 12;
/// Longer payloads are not written; a longer one that is read is damage.
pub(super) const PAYLOAD_MAX: usize = 128 << 20;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// A change as it lies on disk; its value is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) value: Option<Vec<u8>>,
    pub(super) created: Revision,
    pub(super) revision: Revision,
}

/// One frame, being made.
pub(super) struct Frame {
    bytes: Vec<u8>,
    records: usize,
}

impl Frame {
    /// An empty frame. No revision up to `reserved` is given out after a crash.
    pub(super) fn new(reserved: Revision) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.extend(reserved.to_le_bytes());
        Self { bytes, records: 0 }
    }

    /// Adds a record.
    pub(super) fn push(&mut self, key: &str, value: Option<&[u8]>, created: Revision, revision: Revision) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("bounded where changes are taken").to_le_bytes();
        self.bytes.push(if value.is_some() { PUT } else { DELETE });
        self.bytes.extend(created.to_le_bytes());
        self.bytes.extend(revision.to_le_bytes());
        self.bytes.extend(length(key.as_bytes()));
        self.bytes.extend(length(value.unwrap_or_default()));
        self.bytes.extend(key.as_bytes());
        self.bytes.extend(value.unwrap_or_default());
        self.records += 1;
    }

    pub(super) fn set_reserved(&mut self, reserved: Revision) {
        self.bytes[HEADER..HEADER + 8].copy_from_slice(&reserved.to_le_bytes());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes for the disk.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let payload = &self.bytes[HEADER..];
        let length = u32::try_from(payload.len()).expect("bounded where changes are taken");
        let crc = crc32c::crc32c(payload);
        self.bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&length.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

/// What a reader finds at its place.
pub(super) enum Found {
    /// A whole frame.
    Frame { reserved: Revision, records: Vec<Record> },
    /// The end of the file.
    End,
    /// Bytes that are no frame, up to the end of the file.
    Torn { reason: &'static str, rest: Vec<u8> },
}

/// Reads frames one after another.
pub(super) struct Frames<R> {
    input: R,
    /// Where the next frame begins.
    pub(super) offset: u64,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> io::Result<Found> {
        let mut header = Vec::with_capacity(HEADER);
        self.input.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(Found::End);
        }
        let Some((length, crc)) = parse_header(&header) else { return self.torn("no frame begins here", header) };
        let mut payload = Vec::with_capacity(length.min(1 << 20));
        self.input.by_ref().take(length as u64).read_to_end(&mut payload)?;
        if payload.len() < length {
            header.extend(payload);
            return self.torn("the frame is cut short", header);
        }
        if crc32c::crc32c(&payload) != crc {
            header.extend(payload);
            return self.torn("the checksum does not match", header);
        }
        match parse_payload(&payload) {
            Some((reserved, records)) => {
                self.offset += (HEADER + length) as u64;
                Ok(Found::Frame { reserved, records })
            }
            None => {
                header.extend(payload);
                self.torn("the frame's content makes no sense", header)
            }
        }
    }

    fn torn(&mut self, reason: &'static str, mut rest: Vec<u8>) -> io::Result<Found> {
        self.input.read_to_end(&mut rest)?;
        Ok(Found::Torn { reason, rest })
    }
}

/// Whether a whole frame lies anywhere in `bytes` after their start. A frame is written only when the one before is safe on disk, so
/// one behind torn bytes proves that the torn bytes had been acknowledged.
pub(super) fn holds_a_frame(bytes: &[u8]) -> bool {
    (1..bytes.len().saturating_sub(HEADER)).any(|start| {
        let rest = &bytes[start..];
        parse_header(&rest[..HEADER]).is_some_and(|(length, crc)| {
            rest.get(HEADER..HEADER + length)
                .is_some_and(|payload| crc32c::crc32c(payload) == crc && parse_payload(payload).is_some())
        })
    })
}

fn parse_header(header: &[u8]) -> Option<(usize, u32)> {
    let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let length = word(4)? as usize;
    (word(0)? == MAGIC && (8..=PAYLOAD_MAX).contains(&length)).then_some((length, word(8)?))
}

fn parse_payload(payload: &[u8]) -> Option<(Revision, Vec<Record>)> {
    let mut input = payload;
    let reserved = take_u64(&mut input)?;
    let mut records = Vec::new();
    while !input.is_empty() {
        let kind = take(&mut input, 1)?[0];
        let created = take_u64(&mut input)?;
        let revision = take_u64(&mut input)?;
        let key_length = take_u32(&mut input)?;
        let value_length = take_u32(&mut input)?;
        let key = String::from_utf8(take(&mut input, key_length)?.to_vec()).ok()?;
        let value = take(&mut input, value_length)?;
        let value = match kind {
            PUT => Some(value.to_vec()),
            DELETE if value.is_empty() => None,
            _ => return None,
        };
        records.push(Record { key, value, created, revision });
    }
    Some((reserved, records))
}

fn take<'b>(input: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(input, 8)?.try_into().ok()?))
}

fn take_u32(input: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(take(input, 4)?.try_into().ok()?) as usize)
}
