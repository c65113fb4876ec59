//! Numbers, dates and truth values of TOML.

use crate::functions::dates::Time;
use crate::golang::layout;
use crate::golang::moment::Zone;
use crate::golang::number::{self, NumberError};
use crate::golang::runes;
use crate::print::quote::quoted;
use crate::value::Value;

use super::Zones;
use super::scan::{Fault, Scanner, quoted_rune};

impl Scanner<'_> {
    /// A text, number, date or truth value; `first` is its first character, not yet passed.
    pub fn scalar(&mut self, first: char, zones: &Zones) -> Result<Value, Fault> {
        let from = self.at;
        self.next()?;
        match first {
            '"' | '\'' => return self.any_text(first).map(Value::from),
            '0' => return self.based(from, zones),
            '1'..='9' => return self.number_or_date(from, zones),
            '.' => return Err(self.fault("floats must start with a digit, not '.'")),
            'i' | 'n' if self.accept('n')? && self.accept('f')? || self.accept('a')? && self.accept('n')? => {
                return self.float(from);
            }
            '-' | '+' => return self.signed(from),
            _ => {}
        }
        if runes::is_letter(first) {
            self.backup();
            return self.word();
        }
        let problem = format!("expected value but found {} instead", quoted_rune(Some(first)));
        Err(if first == '\n' { self.fault_line_before(problem) } else { self.fault(problem) })
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let from = self.at;
        while self.next()?.is_some_and(runes::is_letter) {}
        self.backup();
        match &self.text[from..self.at] {
            b"true" => Ok(true.into()),
            b"false" => Ok(false.into()),
            other => Err(self.fault(format!("expected value but found {} instead", quoted(other)))),
        }
    }

    /// What starts with a zero: a number of another base, a float, a date, or an integer.
    fn based(&mut self, from: usize, zones: &Zones) -> Result<Value, Fault> {
        let (belongs, name): (fn(char) -> bool, _) = match self.next()? {
            Some('0'..='9') => return self.number_or_date(from, zones),
            Some('_') => return self.decimal(from),
            Some('.' | 'e' | 'E') => return self.rest_of_float(from),
            Some('b') => (|character| matches!(character, '0' | '1'), "a binary"),
            Some('o') => (|character| matches!(character, '0'..='7'), "an octal"),
            Some('x') => (|character| character.is_ascii_hexdigit(), "a hexadecimal"),
            _ => {
                self.backup();
                return self.integer(from);
            }
        };
        let digit = self.peek()?;
        if !digit.is_some_and(belongs) {
            let shown = String::from_utf8_lossy(&self.text[from..self.at]).into_owned();
            return Err(self.fault(format!("not {name} number: '{shown}{}'", digit.unwrap_or('\0'))));
        }
        while self.next()?.is_some_and(|character| character == '_' || belongs(character)) {}
        self.backup();
        self.integer(from)
    }

    fn number_or_date(&mut self, from: usize, zones: &Zones) -> Result<Value, Fault> {
        loop {
            match self.next()? {
                Some('0'..='9') => {}
                Some('-' | ':') => return self.date(from, zones),
                Some('_') => return self.decimal(from),
                Some('.' | 'e' | 'E') => return self.rest_of_float(from),
                _ => {
                    self.backup();
                    return self.integer(from);
                }
            }
        }
    }

    fn decimal(&mut self, from: usize) -> Result<Value, Fault> {
        loop {
            match self.next()? {
                Some('0'..='9' | '_') => {}
                Some('.' | 'e' | 'E') => return self.rest_of_float(from),
                _ => {
                    self.backup();
                    return self.integer(from);
                }
            }
        }
    }

    fn signed(&mut self, from: usize) -> Result<Value, Fault> {
        let first = self.next()?;
        let shown = |scanner: &Self| String::from_utf8_lossy(&scanner.text[from..scanner.at]).into_owned();
        match first {
            Some('i') if self.accept('n')? && self.accept('f')? => self.float(from),
            Some('n') if self.accept('a')? && self.accept('n')? => self.float(from),
            Some('i' | 'n') => Err(self.fault(format!("invalid float: '{}'", shown(self)))),
            Some('0') if matches!(self.peek()?, Some('b' | 'o' | 'x')) => {
                let base = self.peek()?.unwrap_or_default();
                Err(self.fault(format!("cannot use sign with non-decimal numbers: '{}{base}'", shown(self))))
            }
            Some('.') => Err(self.fault("floats must start with a digit, not '.'")),
            Some('0'..='9') => self.decimal(from),
            other => Err(self.fault(format!("expected a digit but got {}", quoted_rune(other)))),
        }
    }

    fn rest_of_float(&mut self, from: usize) -> Result<Value, Fault> {
        while matches!(self.next()?, Some('0'..='9' | '_' | '.' | '-' | '+' | 'e' | 'E')) {}
        self.backup();
        self.float(from)
    }

    fn integer(&mut self, from: usize) -> Result<Value, Fault> {
        let shown = &self.text[from..self.at];
        if !underscores_stand_well(shown) {
            return Err(self.fault(format!("Invalid integer {}: underscores must be surrounded by digits", quoted(shown))));
        }
        if has_leading_zero(shown) {
            return Err(self.fault(format!("Invalid integer {}: cannot have leading zeroes", quoted(shown))));
        }
        match number::parse_int(shown, 0) {
            Ok(number) => Ok(Value::int64(number)),
            Err(NumberError::Range(_) | NumberError::Syntax) => {
                Err(self.fault(format!("{} is out of range for int64", String::from_utf8_lossy(shown))))
            }
        }
    }

    fn float(&mut self, from: usize) -> Result<Value, Fault> {
        let shown = &self.text[from..self.at];
        let invalid = |why: &str| self.fault(format!("Invalid float {}: {why}", quoted(shown)));
        let mut parts = shown.split(|byte| matches!(byte, b'.' | b'e' | b'E')).filter(|part| !part.is_empty()).peekable();
        let first = parts.peek().copied().unwrap_or_default();
        if !parts.all(underscores_stand_well) {
            return Err(invalid("underscores must be surrounded by digits"));
        }
        if has_leading_zero(first) {
            return Err(invalid("cannot have leading zeroes"));
        }
        let point_without_digit =
            shown.iter().enumerate().any(|(at, byte)| *byte == b'.' && !shown.get(at + 1).is_some_and(u8::is_ascii_digit));
        if point_without_digit {
            return Err(invalid("'.' must be followed by one or more digits"));
        }
        let plain: Vec<u8> = shown.iter().copied().filter(|byte| *byte != b'_').collect();
        match plain.as_slice() {
            b"+nan" => return Ok(f64::NAN.into()),
            b"-nan" => return Ok((-f64::NAN).into()),
            _ => {}
        }
        if let Some(number) = number::parse_float(&plain) {
            return Ok(number.into());
        }
        let readable = std::str::from_utf8(&plain).ok().and_then(|plain| plain.parse::<f64>().ok());
        let digits = plain.iter().any(u8::is_ascii_digit);
        Err(self.fault(match readable {
            Some(_) if digits => format!("{} is out of range for float64", String::from_utf8_lossy(shown)),
            _ => format!("Invalid float value: {}", quoted(shown)),
        }))
    }

    fn date(&mut self, from: usize, zones: &Zones) -> Result<Value, Fault> {
        while matches!(self.next()?, Some('0'..='9' | '-' | ':' | 'T' | 't' | ' ' | '.' | 'Z' | 'z' | '+')) {}
        self.backup();
        let written = self.text[from..self.at].trim_ascii();
        let upper = |byte: &u8| if matches!(byte, b't' | b' ') { b'T' } else { byte.to_ascii_uppercase() };
        let shown: Vec<u8> = written.iter().map(upper).collect();
        let invalid = || self.fault(format!("invalid datetime: {}", quoted(&shown)));
        let local = |name: &str| Zone::Fixed(name.to_owned(), zones.offset);
        let forms: [(&str, Zone); 7] = [
            (layout::RFC3339_NANO, zones.local.clone()),
            ("2006-01-02T15:04:05.999999999", local(LOCAL_DATETIME)),
            ("2006-01-02", local(LOCAL_DATE)),
            ("15:04:05.999999999", local(LOCAL_TIME)),
            ("2006-01-02T15:04Z07:00", zones.local.clone()),
            ("2006-01-02T15:04", local(LOCAL_DATETIME)),
            ("15:04", local(LOCAL_TIME)),
        ];
        for (form, zone) in forms {
            if let Ok(moment) = layout::read(form.as_bytes(), &shown, &zone) {
                return if lacks_leading_zero(&shown, form) { Err(invalid()) } else { Ok(Value::object(Time(moment))) };
            }
        }
        Err(invalid())
    }
}

/// The names of the zones that stand for none.
pub const LOCAL_DATETIME: &str = "datetime-local";
/// Of a date alone.
pub const LOCAL_DATE: &str = "date-local";
/// Of a time of day alone.
pub const LOCAL_TIME: &str = "time-local";

/// Whether the signs between numbers stand elsewhere than in the layout.
fn lacks_leading_zero(shown: &[u8], form: &str) -> bool {
    for (at, byte) in form.bytes().enumerate() {
        if matches!(byte, b'.' | b'Z') {
            return false;
        }
        if !byte.is_ascii_digit() && shown.get(at) != Some(&byte) {
            return true;
        }
    }
    false
}

fn has_leading_zero(shown: &[u8]) -> bool {
    match shown {
        [b'0', second, ..] => !matches!(second, b'b' | b'o' | b'x'),
        [b'-' | b'+', b'0', _, ..] => true,
        _ => false,
    }
}

fn underscores_stand_well(shown: &[u8]) -> bool {
    if matches!(shown, b"nan" | b"+nan" | b"-nan" | b"inf" | b"-inf" | b"+inf") {
        return true;
    }
    let mut accept = false;
    for byte in shown {
        if *byte == b'_' && !accept {
            return false;
        }
        accept = byte.is_ascii_hexdigit();
    }
    accept
}
