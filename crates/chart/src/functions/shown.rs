//! Values as texts, the way Sprig turns them into such.

pub use crate::print::display as plain;
use crate::value::{Str, Value};

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
