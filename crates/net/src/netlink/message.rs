//! The framing of netlink: headers, attributes and their nesting, written and read. Never touches a socket.

/// `nlmsghdr`: length, kind, flags, sequence, port.
const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// Flags of a request.
pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACK: u16 = 0x4;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const APPEND: u16 = 0x800;

const KIND_ERROR: u16 = 2;
const KIND_DONE: u16 = 3;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;
/// The answer carries attributes after the (capped) request.
const FLAG_ACK_ATTRIBUTES: u16 = 0x200;
const ATTRIBUTE_TEXT: u16 = 1;

/// Requests that go to the kernel in one piece. Every message has a label, so that a refusal can say what was refused.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    labels: Vec<&'static str>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends a message: its fixed part, then the attributes that `fill` writes. `label` completes "the kernel refused to …".
    pub(crate) fn message(
        &mut self,
        label: &'static str,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        self.starts.push(start);
        self.labels.push(label);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(fixed);
        pad(&mut self.bytes);
        fill(&mut Attributes { bytes: &mut self.bytes });
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn labels(&self) -> &[&'static str] {
        &self.labels
    }

    /// Numbers the messages from `first` on.
    pub(crate) fn finish(mut self, first: u32) -> (Vec<u8>, Vec<&'static str>) {
        for (start, number) in self.starts.iter().zip(0u32..) {
            let sequence = first.wrapping_add(number);
            self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
        }
        (self.bytes, self.labels)
    }
}

/// Writes attributes to the end of a message.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Attributes<'_> {
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        pad(self.bytes);
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A number in network order, as nftables and conntrack want them.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn put_be64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A text with the zero at its end that the kernel expects.
    pub(crate) fn put_text(&mut self, kind: u16, text: &str) {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + text.len() + 1).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        pad(self.bytes);
    }

    /// An attribute that holds attributes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.nest_after(kind | NESTED, &[], fill);
    }

    /// A nest that opens with a fixed part and lacks the mark of one (the peer of a veth pair, say).
    pub(crate) fn nest_after(&mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(fixed);
        pad(self.bytes);
        fill(&mut Attributes { bytes: &mut *self.bytes });
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// One message of an answer.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// Error number (zero is success) and the kernel's words, if this message closes a request.
    pub(crate) fn outcome(&self) -> Option<(i32, String)> {
        if self.kind != KIND_ERROR && self.kind != KIND_DONE {
            return None;
        }
        let errno = self.payload.first_chunk().map_or(0, |code| -i32::from_ne_bytes(*code));
        let mut hint = String::new();
        if self.kind == KIND_ERROR && self.flags & FLAG_ACK_ATTRIBUTES != 0 {
            let attributes = self.payload.get(4 + HEADER_BYTES..).unwrap_or_default();
            if let Some(text) = attribute(attributes, ATTRIBUTE_TEXT) {
                hint = format!(" ({})", String::from_utf8_lossy(text).trim_end_matches('\0'));
            }
        }
        Some((errno, hint))
    }
}

/// Splits an answer into its messages; what does not add up ends it.
pub(crate) fn parse_messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let message = bytes.get(..length).filter(|message| message.len() >= HEADER_BYTES)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            flags: u16::from_ne_bytes([message[6], message[7]]),
            sequence: u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
            payload: &message[HEADER_BYTES..],
        })
    })
}

/// The attributes of a message or nest, by kind.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & KIND_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of one kind.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number in the machine's own order.
pub(crate) fn number(bytes: Option<&[u8]>) -> Option<u32> {
    bytes?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}
