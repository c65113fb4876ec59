//! Go's `fmt`: what `{{ … }}`, `print` and `printf` write for a value.
//!
//! It never fails: a wrong verb or a missing argument is written into the text, as Go does.

mod directive;
pub mod float;
mod pad;
pub mod quote;

use std::rc::Rc;

pub use directive::sprintf;
use pad::Flags;

use crate::value::{BYTES, Kind, List, Map, Object, Str, Type, Value};

/// Deeper values than this end in `...`, and so does what holds itself: Go would end in a stack overflow.
const DEEPEST: usize = 100_000;
/// Longer texts than this end in `...`: Go would end for want of memory.
const LONGEST: usize = 256 << 20;

/// A value as `%v` writes it. Texts are handed through without a copy.
pub fn display(value: &Value) -> Str {
    match value {
        Value::String(text) => text.clone(),
        _ => {
            let mut out = Vec::new();
            append(&mut out, value);
            out.into()
        }
    }
}

/// Appends a value as `%v` writes it.
pub fn append(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => out.extend_from_slice(text),
        Value::Float(number) => float::append(out, *number, b'g', -1),
        Value::Int(number, _) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        _ => Printer { out, flags: Flags::default(), erroring: false, open: Vec::new() }.argument(value, 'v'),
    }
}

/// Appends a value as a template's action does: as it says itself where it lies, or what a pointer points at.
pub fn append_pointee(out: &mut Vec<u8>, value: &Value) {
    if let Value::Object(object) = value
        && let Some(text) = object.print_in_place()
    {
        return out.extend_from_slice(&text);
    }
    append_pointed(out, value);
}

/// Appends a value, or what a pointer points at.
pub fn append_pointed(out: &mut Vec<u8>, value: &Value) {
    let start = out.len();
    append(out, value);
    if value.kind() == Kind::Pointer && out.get(start) == Some(&b'&') {
        out.remove(start);
    }
}

/// `fmt.Sprint`: a space between two operands where neither is a string.
pub fn sprint(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut text_before = true;
    for (index, value) in values.iter().enumerate() {
        let text = matches!(value.kind(), Kind::String);
        if index > 0 && !text && !text_before {
            out.push(b' ');
        }
        append(&mut out, value);
        text_before = text;
    }
    out
}

/// `fmt.Sprintln`: a space between all operands and a line's end.
pub fn sprintln(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        append(&mut out, value);
    }
    out.push(b'\n');
    out
}

/// What one directive is written with.
struct Printer<'o> {
    out: &'o mut Vec<u8>,
    flags: Flags,
    /// While a wrong verb is told, `String()` is not asked.
    erroring: bool,
    /// The lists and maps that are being written.
    open: Vec<usize>,
}

impl Printer<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes an argument as such: not as part of another value.
    fn argument(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.flags.pad(self.out, b"<nil>"),
            (Value::Nil, _) => self.bad_verb(value, verb),
            (_, 'T') => self.flags.string(self.out, value.type_name().as_bytes()),
            (_, 'p') => self.pointer(value, verb),
            (Value::List(list), _) if list.go_type() == BYTES => self.bytes(list, verb, "[]byte"),
            _ => {
                if !self.by_method(value, verb) {
                    self.value(value, verb, 0);
                }
            }
        }
    }

    /// Writes an element of a list, map or struct, whose static type may be an interface.
    fn element(&mut self, value: &Value, of: Type, verb: char, depth: usize) {
        if depth > DEEPEST || self.out.len() > LONGEST {
            return self.text("...");
        }
        if self.by_method(value, verb) {
            return;
        }
        if value.is_nil() {
            if !self.flags.sharp_v {
                return self.text("<nil>");
            }
            return self.text(&format!("{of}(nil)"));
        }
        self.value(value, verb, depth);
    }

    fn by_method(&mut self, value: &Value, verb: char) -> bool {
        if self.erroring {
            return false;
        }
        if verb == 'w' {
            self.bad_verb(value, verb);
            return true;
        }
        let Value::Object(object) = value else { return false };
        if self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return false;
        }
        let Some(text) = object.print() else { return false };
        self.string(&text, value, verb);
        true
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        match value {
            Value::Nil => self.text("<invalid reflect.Value>"),
            Value::Bool(truth) if matches!(verb, 't' | 'v') => self.flags.pad(self.out, if *truth { b"true" } else { b"false" }),
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(number, _) => self.integer(number.unsigned_abs(), *number < 0, true, value, verb),
            Value::Uint(number, _) => self.integer(*number, false, false, value, verb),
            Value::Float(number) => self.float(*number, value, verb),
            Value::Complex(real, imaginary) => self.complex(*real, *imaginary, value, verb),
            Value::String(text) => self.string(text, value, verb),
            Value::List(list) => self.within(list.address(), |printer| printer.list(list, verb, depth)),
            Value::Map(map) => self.within(map.address(), |printer| printer.map(map, verb, depth)),
            Value::Object(object) => self.object(object, value, verb, depth),
        }
    }

    /// Writes a list or map, unless it holds itself.
    fn within(&mut self, address: usize, write: impl FnOnce(&mut Self)) {
        if self.open.contains(&address) {
            return self.text("...");
        }
        self.open.push(address);
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || write(self));
        self.open.pop();
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) {
        let of = list.go_type();
        if matches!(verb, 's' | 'q' | 'x' | 'X') && of.underlying() == BYTES {
            return self.bytes(list, verb, &of.to_string());
        }
        let (open, between, close) = self.brackets("[", "]");
        if self.flags.sharp_v {
            self.text(&of.to_string());
            if list.is_nil() {
                return self.text("(nil)");
            }
        }
        self.text(open);
        for (index, item) in list.items().iter().enumerate() {
            if index > 0 {
                self.text(between);
            }
            self.element(item, of.element(), verb, depth + 1);
        }
        self.text(close);
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let of = map.go_type();
        let (open, between, close) = self.brackets("map[", "]");
        if self.flags.sharp_v {
            self.text(&of.to_string());
            if map.is_nil() {
                return self.text("(nil)");
            }
        }
        self.text(open);
        for (index, (key, item)) in map.entries().into_iter().enumerate() {
            if index > 0 {
                self.text(between);
            }
            self.element(&Value::String(key), Type::String, verb, depth + 1);
            self.text(":");
            self.element(&item, of.element(), verb, depth + 1);
        }
        self.text(close);
    }

    fn brackets(&self, open: &'static str, close: &'static str) -> (&'static str, &'static str, &'static str) {
        if self.flags.sharp_v { ("{", ", ", "}") } else { (open, " ", close) }
    }

    fn object(&mut self, object: &Rc<dyn Object>, value: &Value, verb: char, depth: usize) {
        if let Some(scalar) = object.scalar() {
            return self.value(&scalar, verb, depth);
        }
        let mut name = object.type_name();
        if let Some(pointed) = name.strip_prefix('*') {
            if depth > 0 || object.is_nil() {
                return self.pointer(value, verb);
            }
            self.text("&");
            name = pointed;
        }
        if self.flags.sharp_v {
            self.text(name);
        }
        let (_, between, close) = self.brackets("{", "}");
        self.text("{");
        for (index, (name, field)) in object.fields().into_iter().enumerate() {
            if index > 0 {
                self.text(between);
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.text(name);
                self.text(":");
            }
            self.element(&field, Type::Any, verb, depth + 1);
        }
        self.text(close);
    }

    fn pointer(&mut self, value: &Value, verb: char) {
        let address: u64 = match value {
            Value::Map(map) if map.is_nil() => 0,
            Value::List(list) if list.is_nil() => 0,
            Value::Object(object) if object.is_nil() => 0,
            Value::Map(_) | Value::List(_) => 0xc0_0000_0000,
            Value::Object(object) if object.kind() == Kind::Pointer => 0xc0_0000_0000,
            _ => return self.bad_verb(value, verb),
        };
        match verb {
            'v' if self.flags.sharp_v => {
                let inner = if address == 0 { "nil".to_owned() } else { format!("{address:#x}") };
                self.text(&format!("({})({inner})", value.type_name()));
            }
            'v' if address == 0 => self.flags.pad(self.out, b"<nil>"),
            'v' | 'p' => {
                let sharp = self.flags.sharp;
                self.flags.sharp = !sharp;
                self.flags.integer(self.out, address, false, 16, 'v', false);
                self.flags.sharp = sharp;
            }
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(address, false, false, value, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        let before = std::mem::replace(&mut self.erroring, true);
        self.text("%!");
        self.text(verb.encode_utf8(&mut [0; 4]));
        self.text("(");
        if value.is_nil() {
            self.text("<nil>");
        } else {
            self.text(&value.type_name());
            self.text("=");
            self.argument(value, 'v');
        }
        self.text(")");
        self.erroring = before;
    }

    fn integer(&mut self, number: u64, negative: bool, signed: bool, value: &Value, verb: char) {
        let flags = &mut self.flags;
        match verb {
            'v' if flags.sharp_v && !signed => {
                let sharp = std::mem::replace(&mut flags.sharp, true);
                flags.integer(self.out, number, negative, 16, 'v', false);
                self.flags.sharp = sharp;
            }
            'v' | 'd' => flags.integer(self.out, number, negative, 10, verb, false),
            'b' => flags.integer(self.out, number, negative, 2, verb, false),
            'o' | 'O' => flags.integer(self.out, number, negative, 8, verb, false),
            'x' => flags.integer(self.out, number, negative, 16, verb, false),
            'X' => flags.integer(self.out, number, negative, 16, verb, true),
            'c' => flags.character(self.out, number, negative),
            'q' => flags.quoted_character(self.out, number, negative),
            'U' => flags.unicode(self.out, if negative { number.wrapping_neg() } else { number }),
            _ => self.bad_verb(value, verb),
        }
    }

    fn float(&mut self, number: f64, value: &Value, verb: char) {
        match verb {
            'v' => self.flags.float(self.out, number, 'g', -1),
            'b' | 'g' | 'G' | 'x' | 'X' => self.flags.float(self.out, number, verb, -1),
            'f' | 'e' | 'E' => self.flags.float(self.out, number, verb, 6),
            'F' => self.flags.float(self.out, number, 'f', 6),
            _ => self.bad_verb(value, verb),
        }
    }

    fn complex(&mut self, real: f64, imaginary: f64, value: &Value, verb: char) {
        if !matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E') {
            return self.bad_verb(value, verb);
        }
        let plus = self.flags.plus;
        self.text("(");
        self.float(real, value, verb);
        self.flags.plus = true;
        self.float(imaginary, value, verb);
        self.text("i)");
        self.flags.plus = plus;
    }

    fn string(&mut self, text: &[u8], value: &Value, verb: char) {
        match verb {
            'v' if self.flags.sharp_v => self.flags.quoted(self.out, text),
            'v' | 's' => self.flags.string(self.out, text),
            'x' => self.flags.hex(self.out, text, false),
            'X' => self.flags.hex(self.out, text, true),
            'q' => self.flags.quoted(self.out, text),
            _ => self.bad_verb(value, verb),
        }
    }

    fn bytes(&mut self, list: &List, verb: char, type_name: &str) {
        let bytes = list.as_bytes().unwrap_or_default();
        match verb {
            'v' | 'd' if self.flags.sharp_v => {
                self.text(type_name);
                if list.is_nil() {
                    return self.text("(nil)");
                }
                let inner: Vec<String> = bytes.iter().map(|byte| format!("{byte:#x}")).collect();
                self.text(&format!("{{{}}}", inner.join(", ")));
            }
            'v' | 'd' => {
                self.text("[");
                for (index, byte) in bytes.iter().enumerate() {
                    if index > 0 {
                        self.text(" ");
                    }
                    self.flags.integer(self.out, u64::from(*byte), false, 10, verb, false);
                }
                self.text("]");
            }
            's' => self.flags.string(self.out, &bytes),
            'x' => self.flags.hex(self.out, &bytes, false),
            'X' => self.flags.hex(self.out, &bytes, true),
            'q' => self.flags.quoted(self.out, &bytes),
            _ => self.value(&Value::List(list.clone()), verb, 0),
        }
    }
}
