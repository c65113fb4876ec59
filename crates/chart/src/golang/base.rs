//! Base 64 and base 32 with Go's leniency and Go's error texts.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The place at which a text stops being of its base.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("illegal base{base} data at input byte {at}")]
pub struct CorruptInput {
    base: u8,
    at: usize,
}

/// Writes base 64 with padding.
pub fn encode64(bytes: &[u8]) -> String {
    encode(bytes, BASE64, 6, 3)
}

/// Writes base 32 with padding.
pub fn encode32(bytes: &[u8]) -> String {
    encode(bytes, BASE32, 5, 5)
}

fn encode(bytes: &[u8], alphabet: &[u8], bits: usize, group: usize) -> String {
    let symbols_of_group = group * 8 / bits;
    let mut out = String::with_capacity(bytes.len().div_ceil(group) * symbols_of_group);
    for chunk in bytes.chunks(group) {
        let value = chunk.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)) << (8 * (group - chunk.len()));
        let symbols = (chunk.len() * 8).div_ceil(bits);
        for index in 0..symbols_of_group {
            if index >= symbols {
                out.push('=');
                continue;
            }
            let symbol = value >> (bits * (symbols_of_group - 1 - index)) & ((1 << bits) - 1);
            out.push(char::from(alphabet[symbol as usize]));
        }
    }
    out
}

/// Reads base 64; line ends are passed over.
pub fn decode64(text: &[u8]) -> Result<Vec<u8>, CorruptInput> {
    let corrupt = |at: usize| CorruptInput { base: 64, at };
    let value_of = |byte: u8| BASE64.iter().position(|symbol| *symbol == byte);
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut at = 0;
    let skip = |mut at: usize| {
        while text.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            at += 1;
        }
        at
    };
    loop {
        let mut group = [0usize; 4];
        let mut filled = 0;
        while filled < 4 {
            at = skip(at);
            let Some(&byte) = text.get(at) else {
                return if filled == 0 { Ok(out) } else { Err(corrupt(at - filled)) };
            };
            at += 1;
            if let Some(value) = value_of(byte) {
                group[filled] = value;
                filled += 1;
                continue;
            }
            if byte != b'=' || filled < 2 {
                return Err(corrupt(at - 1));
            }
            at = skip(at);
            if filled == 2 {
                // The second sign of padding.
                match text.get(at) {
                    None => return Err(corrupt(text.len())),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(corrupt(at - 1)),
                }
            }
            at = skip(at);
            push64(&mut out, &group, filled);
            return if at < text.len() { Err(corrupt(at)) } else { Ok(out) };
        }
        push64(&mut out, &group, 4);
    }
}

fn push64(out: &mut Vec<u8>, group: &[usize; 4], filled: usize) {
    let value = group.iter().fold(0usize, |sum, symbol| sum << 6 | symbol);
    out.extend_from_slice(&[(value >> 16) as u8, (value >> 8) as u8, value as u8][..filled - 1]);
}

/// Reads base 32; line ends are passed over and not counted in errors.
pub fn decode32(text: &[u8]) -> Result<Vec<u8>, CorruptInput> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let corrupt = |at: usize| CorruptInput { base: 32, at };
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut at = 0;
    while at < text.len() {
        let mut group = 0u64;
        let mut filled = 0;
        let mut end = false;
        while filled < 8 {
            let Some(&byte) = text.get(at) else { return Err(corrupt(at - filled)) };
            at += 1;
            let left = text.len() - at;
            if byte == b'=' && filled >= 2 && left < 8 {
                padding32(&text, at, filled).map_err(corrupt)?;
                end = true;
                break;
            }
            let value = BASE32.iter().position(|symbol| *symbol == byte).ok_or_else(|| corrupt(at - 1))?;
            group = group << 5 | value as u64;
            filled += 1;
        }
        group <<= 5 * (8 - filled);
        out.extend_from_slice(&group.to_be_bytes()[3..3 + filled * 5 / 8]);
        if end {
            break;
        }
    }
    Ok(out)
}

/// Checks what follows the first sign of padding; gives the place of what is wrong.
fn padding32(text: &[u8], at: usize, filled: usize) -> Result<(), usize> {
    let left = text.len() - at;
    if left + filled < 7 {
        return Err(text.len());
    }
    for index in 0..7 - filled {
        if text.get(at + index).is_some_and(|byte| *byte != b'=') {
            return Err(at + index - 1);
        }
    }
    if matches!(filled, 1 | 3 | 6) { Err(at - 1) } else { Ok(()) }
}
