//! Flags, width and precision of a directive, and the writing of plain data under them.

use super::{float, quote};

/// What stands between `%` and the verb.
#[derive(Clone, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) plus_v: bool,
    pub(super) sharp_v: bool,
}

impl Flags {
    fn fill(&self, out: &mut Vec<u8>, count: usize) {
        let byte = if self.zero && !self.minus { b'0' } else { b' ' };
        out.extend(std::iter::repeat_n(byte, count));
    }

    /// Writes padded to the width, which counts characters.
    pub(super) fn pad(&self, out: &mut Vec<u8>, text: &[u8]) {
        let Some(width) = self.width.filter(|width| *width > 0) else { return out.extend_from_slice(text) };
        let missing = width.saturating_sub(runes(text));
        if !self.minus {
            self.fill(out, missing);
        }
        out.extend_from_slice(text);
        if self.minus {
            self.fill(out, missing);
        }
    }

    fn pad_unfilled(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        let zero = std::mem::take(&mut self.zero);
        self.pad(out, text);
        self.zero = zero;
    }

    fn cut<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(mut left) = self.precision else { return text };
        let mut at = 0;
        while at < text.len() {
            if left == 0 {
                return &text[..at];
            }
            left -= 1;
            at += crate::parse::rune(&text[at..]).1;
        }
        text
    }

    pub(super) fn string(&self, out: &mut Vec<u8>, text: &[u8]) {
        self.pad(out, self.cut(text));
    }

    pub(super) fn quoted(&self, out: &mut Vec<u8>, text: &[u8]) {
        let text = self.cut(text);
        if self.sharp && quote::can_backquote(text) {
            return self.pad(out, &[b"`", text, b"`"].concat());
        }
        self.pad(out, &quote::quote_with(text, b'"', self.plus));
    }

    pub(super) fn hex(&self, out: &mut Vec<u8>, text: &[u8], upper: bool) {
        let text = &text[..self.precision.map_or(text.len(), |most| most.min(text.len()))];
        let prefix = match (self.sharp, upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut inner = Vec::with_capacity(text.len() * 2);
        for (index, byte) in text.iter().enumerate() {
            if self.space && index > 0 {
                inner.push(b' ');
            }
            if index == 0 || self.space {
                inner.extend_from_slice(prefix.as_bytes());
            }
            let digits = if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            inner.extend_from_slice(digits.as_bytes());
        }
        self.pad(out, &inner);
    }

    /// Writes an integer by its absolute value and sign.
    pub(super) fn integer(&mut self, out: &mut Vec<u8>, number: u64, negative: bool, base: u32, verb: char, upper: bool) {
        let signed = negative || self.plus || self.space;
        let least = match self.precision {
            Some(0) if number == 0 => {
                let zero = std::mem::take(&mut self.zero);
                self.fill(out, self.width.unwrap_or(0));
                self.zero = zero;
                return;
            }
            Some(precision) => precision,
            None if self.zero && !self.minus => self.width.map_or(0, |width| width.saturating_sub(usize::from(signed))),
            None => 0,
        };
        let digits = match (base, upper) {
            (2, _) => format!("{number:b}"),
            (8, _) => format!("{number:o}"),
            (16, false) => format!("{number:x}"),
            (16, true) => format!("{number:X}"),
            _ => number.to_string(),
        };
        let mut text = String::new();
        match (negative, self.plus, self.space) {
            (true, ..) => text.push('-'),
            (_, true, _) => text.push('+'),
            (_, _, true) => text.push(' '),
            _ => {}
        }
        let zeros = least.saturating_sub(digits.len());
        if verb == 'O' {
            text.push_str("0o");
        }
        if self.sharp {
            match base {
                2 => text.push_str("0b"),
                8 if zeros == 0 && !digits.starts_with('0') => text.push('0'),
                16 => text.push_str(if upper { "0X" } else { "0x" }),
                _ => {}
            }
        }
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(&digits);
        self.pad_unfilled(out, text.as_bytes());
    }

    pub(super) fn character(&self, out: &mut Vec<u8>, number: u64, negative: bool) {
        self.pad(out, rune(number, negative).encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(super) fn quoted_character(&self, out: &mut Vec<u8>, number: u64, negative: bool) {
        let text = rune(number, negative).to_string();
        self.pad(out, &quote::quote_with(text.as_bytes(), b'\'', self.plus));
    }

    pub(super) fn unicode(&mut self, out: &mut Vec<u8>, number: u64) {
        let digits = self.precision.unwrap_or(4).max(4);
        let mut text = format!("U+{number:0digits$X}");
        if self.sharp
            && let Some(it) = u32::try_from(number).ok().and_then(char::from_u32)
            && quote::is_print(it)
        {
            text.push_str(&format!(" '{it}'"));
        }
        self.pad_unfilled(out, text.as_bytes());
    }

    pub(super) fn float(&mut self, out: &mut Vec<u8>, number: f64, verb: char, precision: i32) {
        let precision = self.precision.map_or(precision, |asked| i32::try_from(asked).unwrap_or(i32::MAX));
        let mut text = Vec::new();
        float::append(&mut text, number, u8::try_from(verb).unwrap_or(b'g'), precision);
        if !matches!(text.first(), Some(b'+' | b'-')) {
            text.insert(0, b'+');
        }
        if self.space && text[0] == b'+' && !self.plus {
            text[0] = b' ';
        }
        if !number.is_finite() {
            // Infinity always shows its sign, NaN only where one is asked for.
            let from = usize::from(number.is_nan() && !self.space && !self.plus);
            return self.pad_unfilled(out, &text[from..]);
        }
        if self.sharp && verb != 'b' {
            point(&mut text, verb, precision);
        }
        if self.plus || text[0] != b'+' {
            if self.zero && !self.minus && self.width.is_some_and(|width| width > text.len()) {
                out.push(text[0]);
                self.fill(out, self.width.unwrap_or(0) - text.len());
                return out.extend_from_slice(&text[1..]);
            }
            return self.pad(out, &text);
        }
        self.pad(out, &text[1..]);
    }
}

/// The `#` flag on floats: always a point, and zeros at the end stay.
fn point(text: &mut Vec<u8>, verb: char, precision: i32) {
    let mut digits = match verb {
        'g' | 'G' | 'x' => {
            if precision == -1 {
                6
            } else {
                precision
            }
        }
        _ => 0,
    };
    let hex = matches!(verb, 'x' | 'X');
    let cut =
        text.iter().position(|byte| matches!(byte, b'p' | b'P') || !hex && matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let tail = text.split_off(cut);
    let mut seen = false;
    for byte in text.iter().skip(1).filter(|byte| **byte != b'.') {
        seen |= *byte != b'0';
        digits -= i32::from(seen);
    }
    if !text.contains(&b'.') {
        if text.len() == 2 && text[1] == b'0' {
            digits -= 1;
        }
        text.push(b'.');
    }
    text.extend(std::iter::repeat_n(b'0', usize::try_from(digits).unwrap_or(0)));
    text.extend_from_slice(&tail);
}

/// An integer as a character, where it is one.
fn rune(number: u64, negative: bool) -> char {
    let code = if negative { None } else { u32::try_from(number).ok() };
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// How many characters Go counts.
fn runes(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}
