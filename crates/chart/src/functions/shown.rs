//! Values as texts, the way Sprig turns them into such.

use crate::value::{Str, Value};

/// As `%v` prints.
pub fn plain(value: &Value) -> Str {
    let mut out = Vec::new();
    write(&mut out, value, 0);
    out.into()
}

/// As Sprig's `toString` has it: texts and bytes as they are, all else as `%v` prints.
pub fn text_of(value: &Value) -> Str {
    match value {
        Value::String(text) => text.clone(),
        Value::List(list) => list.as_bytes().map_or_else(|| plain(value), Str::from),
        _ => plain(value),
    }
}

/// The texts of a list, nils left out; of anything else but nil its own text.
pub fn texts_of(value: &Value) -> Vec<Str> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(list) => list.items().iter().filter(|item| !item.is_nil()).map(text_of).collect(),
        _ => vec![text_of(value)],
    }
}

fn write(out: &mut Vec<u8>, value: &Value, depth: usize) {
    match value {
        Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
        Value::Int(number, _) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Uint(number, _) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) => out.extend_from_slice(crate::golang::number::format_general(*number).as_bytes()),
        Value::Complex(..) => out.extend_from_slice(b"(0+0i)"),
        Value::String(text) => out.extend_from_slice(text),
        _ if depth > 1000 => out.extend_from_slice(b"..."),
        Value::List(list) => {
            out.push(b'[');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                write(out, item, depth + 1);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.extend_from_slice(b"map[");
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(key);
                out.push(b':');
                write(out, item, depth + 1);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            if let Some(text) = object.print() {
                out.extend_from_slice(&text);
                return;
            }
            out.push(b'{');
            for (index, (_, item)) in object.fields().iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                write(out, item, depth + 1);
            }
            out.push(b'}');
        }
    }
}
