//! The directives of `printf`: flags, widths, precisions and argument indexes between `%` and the verb.

use super::pad::Flags;
use super::{Printer, Value};

/// The widest width or precision; Go refuses more.
const WIDEST: i64 = 1_000_000;

/// `fmt.Sprintf`.
pub fn sprintf(format: &[u8], arguments: &[Value]) -> Vec<u8> {
    let mut reader = Reader { format, at: 0, arguments, next: 0, reordered: false, good: true, after_index: false };
    let mut out = Vec::with_capacity(format.len() + 16 * arguments.len());
    while reader.at < format.len() {
        let rest = &format[reader.at..];
        let plain = memchr::memchr(b'%', rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        reader.at += plain;
        if reader.at < format.len() {
            reader.at += 1;
            reader.directive(&mut out);
        }
    }
    if !reader.reordered && reader.next < arguments.len() {
        extra(&mut out, &arguments[reader.next..]);
    }
    out
}

fn extra(out: &mut Vec<u8>, left: &[Value]) {
    out.extend_from_slice(b"%!(EXTRA ");
    for (index, value) in left.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        if !value.is_nil() {
            out.extend_from_slice(value.type_name().as_bytes());
            out.push(b'=');
        }
        super::append(out, value);
    }
    out.push(b')');
}

struct Reader<'f> {
    format: &'f [u8],
    at: usize,
    arguments: &'f [Value],
    /// The next argument.
    next: usize,
    /// Whether an index such as `[3]` was seen, after which left-over arguments are no mistake.
    reordered: bool,
    /// Whether the indexes of this directive were in range.
    good: bool,
    after_index: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn directive(&mut self, out: &mut Vec<u8>) {
        self.good = true;
        self.after_index = false;
        let mut flags = Flags::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        self.index();
        self.width(out, &mut flags);
        if self.peek() == Some(b'.') && self.at + 1 < self.format.len() {
            self.precision(out, &mut flags);
        }
        if !self.after_index {
            self.index();
        }
        if self.at >= self.format.len() {
            return out.extend_from_slice(b"%!(NOVERB)");
        }
        let (code, width) = crate::parse::rune(&self.format[self.at..]);
        let verb = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.at += width;
        self.verb(out, flags, verb);
    }

    fn verb(&mut self, out: &mut Vec<u8>, mut flags: Flags, verb: char) {
        if verb == '%' {
            return out.push(b'%');
        }
        let wrong = if !self.good {
            Some("(BADINDEX)")
        } else if self.next >= self.arguments.len() {
            Some("(MISSING)")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return out.extend_from_slice(format!("%!{verb}{wrong}").as_bytes());
        }
        if matches!(verb, 'v' | 'w') {
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        Printer { out, flags, erroring: false, open: Vec::new() }.argument(&self.arguments[self.next], verb);
        self.next += 1;
    }

    fn width(&mut self, out: &mut Vec<u8>, flags: &mut Flags) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.asterisk() {
                Some(width) => {
                    flags.width = usize::try_from(width.abs()).ok();
                    if width < 0 {
                        flags.minus = true;
                        flags.zero = false;
                    }
                }
                None => out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            self.after_index = false;
        } else {
            flags.width = self.number();
            self.good &= !(self.after_index && flags.width.is_some());
        }
    }

    fn precision(&mut self, out: &mut Vec<u8>, flags: &mut Flags) {
        self.at += 1;
        self.good &= !self.after_index;
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            flags.precision = self.asterisk().and_then(|precision| usize::try_from(precision).ok());
            if flags.precision.is_none() {
                out.extend_from_slice(b"%!(BADPREC)");
            }
            self.after_index = false;
        } else {
            flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// A width or precision out of the arguments.
    fn asterisk(&mut self) -> Option<i64> {
        let value = self.arguments.get(self.next)?;
        self.next += 1;
        let plain = if let Value::Object(object) = value { object.scalar() } else { None };
        let number = match plain.as_ref().unwrap_or(value) {
            Value::Int(number, _) => *number,
            Value::Uint(number, _) => i64::try_from(*number).ok()?,
            _ => return None,
        };
        (-WIDEST..=WIDEST).contains(&number).then_some(number)
    }

    /// Digits; none where there are none, or where they say too much (they are skipped nevertheless).
    fn number(&mut self) -> Option<usize> {
        let from = self.at;
        let mut number: i64 = 0;
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            if number > WIDEST {
                self.at = self.format.len();
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
            self.at += 1;
        }
        if from == self.at { None } else { usize::try_from(number).ok() }
    }

    /// An argument index in brackets.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 { None } else { memchr::memchr(b']', rest) };
        let Some(close) = close else {
            self.at += 1;
            self.good = false;
            return;
        };
        let end = self.at + close;
        self.at += 1;
        let index = self.number().filter(|_| self.at == end);
        self.at = end + 1;
        self.after_index = index.is_some();
        match index {
            Some(index) if (1..=self.arguments.len()).contains(&index) => self.next = index - 1,
            _ => self.good = false,
        }
    }
}
