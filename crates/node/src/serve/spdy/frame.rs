//! Frames of SPDY/3.1: from bytes and to bytes. Headers are one compressed stream in each direction, so frames must be read in order.

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The dictionary of the protocol, with which headers are compressed.
const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
const VERSION: u16 = 3;
const LAST: u8 = 1;
/// The longest frame, and the most headers, that are read.
const FRAME_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 64 << 10;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A stream is opened.
    Open { stream: u32, headers: Vec<(String, String)>, last: bool },
    /// It is accepted.
    Reply { stream: u32 },
    /// It is broken off.
    Reset { stream: u32 },
    /// Bytes on a stream.
    Data { stream: u32, bytes: Bytes, last: bool },
    /// A sign of life, to be answered by the same.
    Ping { id: u32 },
    /// The other end leaves.
    GoAway,
    /// Settings, windows and the like.
    Ignored,
}

/// Bytes are not what the protocol says.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// Too long to be read.
    #[error("a frame of {0} bytes is too long")]
    Length(usize),
    /// Another version of the protocol.
    #[error("version {0} is not spoken here")]
    Version(u16),
    /// A frame ends before its fields do.
    #[error("a frame is cut short")]
    Short,
    /// Headers cannot be unpacked.
    #[error("headers cannot be unpacked")]
    Unpack(#[source] flate2::DecompressError),
}

/// Reads frames.
pub(super) struct Reader {
    bytes: BytesMut,
    inflate: Decompress,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), inflate: Decompress::new(true) }
    }

    /// Takes bytes that have arrived.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(head) = self.bytes.first_chunk::<8>().copied() else { return Ok(None) };
        let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
        if length > FRAME_MAX {
            return Err(FrameError::Length(length));
        }
        if self.bytes.len() < 8 + length {
            return Ok(None);
        }
        self.bytes.advance(8);
        let body = self.bytes.split_to(length).freeze();
        let (first, flags) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), head[4]);
        if first >> 31 == 0 {
            return Ok(Some(Frame::Data { stream: first, bytes: body, last: flags & LAST != 0 }));
        }
        let version = (first >> 16) as u16 & 0x7fff;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        self.control(first as u16, flags, &body).map(Some)
    }

    fn control(&mut self, kind: u16, flags: u8, body: &[u8]) -> Result<Frame, FrameError> {
        let number = |at: usize| {
            let bytes = body.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(FrameError::Short)
        };
        let stream = |at: usize| number(at).map(|id| id & 0x7fff_ffff);
        Ok(match kind {
            1 => {
                let headers = self.headers(body.get(10..).ok_or(FrameError::Short)?)?;
                Frame::Open { stream: stream(0)?, headers, last: flags & LAST != 0 }
            }
            2 => {
                self.headers(body.get(4..).ok_or(FrameError::Short)?)?;
                Frame::Reply { stream: stream(0)? }
            }
            3 => Frame::Reset { stream: stream(0)? },
            6 => Frame::Ping { id: number(0)? },
            7 => Frame::GoAway,
            8 => {
                self.headers(body.get(4..).ok_or(FrameError::Short)?)?;
                Frame::Ignored
            }
            _ => Frame::Ignored,
        })
    }

    fn headers(&mut self, packed: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
        let plain = self.unpack(packed)?;
        let mut rest = plain.as_slice();
        let number = |rest: &mut &[u8]| {
            let (first, behind) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
            *rest = behind;
            usize::try_from(u32::from_be_bytes(*first)).map_err(|_| FrameError::Short)
        };
        let text = |rest: &mut &[u8]| {
            let length = number(rest)?;
            let (text, behind) = rest.split_at_checked(length).ok_or(FrameError::Short)?;
            *rest = behind;
            Ok::<_, FrameError>(String::from_utf8_lossy(text).into_owned())
        };
        let (count, behind) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
        rest = behind;
        let count = u32::from_be_bytes(*count);
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((text(&mut rest)?, text(&mut rest)?));
        }
        Ok(headers)
    }

    fn unpack(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut plain = Vec::with_capacity(HEADERS_MAX);
        loop {
            let before = self.inflate.total_in();
            let done = self.inflate.decompress_vec(packed, &mut plain, FlushDecompress::Sync);
            let used = usize::try_from(self.inflate.total_in() - before).unwrap_or(0);
            packed = &packed[used.min(packed.len())..];
            match done {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(DICTIONARY).map_err(FrameError::Unpack)?;
                }
                Err(error) => return Err(FrameError::Unpack(error)),
                Ok(Status::StreamEnd) => return Ok(plain),
                Ok(_) if packed.is_empty() || plain.len() == plain.capacity() => return Ok(plain),
                Ok(_) => {}
            }
        }
    }
}

/// Writes frames.
pub(super) struct Writer {
    deflate: Compress,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut deflate = Compress::new(Compression::fast(), true);
        // It only fails on a compressor that has begun.
        let _ = deflate.set_dictionary(DICTIONARY);
        Self { deflate }
    }

    /// A frame as bytes.
    pub(super) fn bytes(&mut self, frame: &Frame) -> Vec<u8> {
        match frame {
            Frame::Data { stream, bytes, last } => {
                let mut out = Vec::with_capacity(8 + bytes.len());
                out.extend_from_slice(&(stream & 0x7fff_ffff).to_be_bytes());
                out.extend_from_slice(&length(bytes.len(), if *last { LAST } else { 0 }));
                out.extend_from_slice(bytes);
                out
            }
            Frame::Open { stream, headers, last } => {
                let mut body = stream.to_be_bytes().to_vec();
                body.extend_from_slice(&[0; 6]);
                body.extend(self.headers(headers));
                control(1, if *last { LAST } else { 0 }, &body)
            }
            Frame::Reply { stream } => {
                let mut body = stream.to_be_bytes().to_vec();
                body.extend(self.headers(&[]));
                control(2, 0, &body)
            }
            Frame::Reset { stream } => control(3, 0, &[stream.to_be_bytes(), 5_u32.to_be_bytes()].concat()),
            Frame::Ping { id } => control(6, 0, &id.to_be_bytes()),
            Frame::GoAway => control(7, 0, &[0; 8]),
            Frame::Ignored => Vec::new(),
        }
    }

    fn headers(&mut self, headers: &[(String, String)]) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap_or(0).to_be_bytes();
        let mut plain = number(headers.len()).to_vec();
        for (name, value) in headers {
            for text in [name, value] {
                plain.extend_from_slice(&number(text.len()));
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut packed = Vec::with_capacity(plain.len() + 128);
        // Enough room is reserved for one call to do it all.
        let _ = self.deflate.compress_vec(&plain, &mut packed, FlushCompress::Sync);
        packed
    }
}

fn length(length: usize, flags: u8) -> [u8; 4] {
    let bytes = u32::try_from(length).unwrap_or(0).to_be_bytes();
    [flags, bytes[1], bytes[2], bytes[3]]
}

fn control(kind: u16, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = (0x8000 | VERSION).to_be_bytes().to_vec();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length(body.len(), flags));
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_in_any_cut() {
        let open = |id: u32| Frame::Open {
            stream: id,
            headers: vec![("streamtype".into(), "data".into()), ("port".into(), id.to_string())],
            last: false,
        };
        let frames = [
            open(1),
            Frame::Reply { stream: 1 },
            Frame::Data { stream: 1, bytes: Bytes::from_static(b"hello"), last: true },
            open(3),
            Frame::Ping { id: 7 },
            Frame::Reset { stream: 3 },
            Frame::GoAway,
        ];
        let mut writer = Writer::new();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| writer.bytes(frame)).collect();
        for cut in [1, 7, 1000] {
            let mut reader = Reader::new();
            let mut read = Vec::new();
            for part in bytes.chunks(cut) {
                reader.feed(part);
                while let Some(frame) = reader.next().unwrap() {
                    read.push(frame);
                }
            }
            assert_eq!(read, frames, "cut to {cut}");
        }
    }

    #[test]
    fn what_is_no_spdy_is_told() {
        let mut reader = Reader::new();
        reader.feed(b"\x80\x02\x00\x01\x00\x00\x00\x00");
        assert!(matches!(reader.next(), Err(FrameError::Version(2))));
        let mut reader = Reader::new();
        reader.feed(b"GET / HTTP/1.1\r\n\r\n");
        assert!(reader.next().is_err());
    }
}
