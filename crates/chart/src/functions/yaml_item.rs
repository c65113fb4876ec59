//! Values as the YAML writer takes them.

use std::borrow::Cow;

use crate::golang::base;
use crate::value::{Value, lossy};
use crate::yaml::Item;

/// Beyond it a value is taken for one that holds itself.
const DEPTH_MAX: usize = 1000;

/// The item of a value. `direct` is for the writer that sees Go's values, not their JSON.
pub fn item(value: &Value, direct: bool) -> Item<'static> {
    nested(value, direct, 0)
}

fn nested(value: &Value, direct: bool, depth: usize) -> Item<'static> {
    if depth > DEPTH_MAX {
        return Item::Null;
    }
    match value {
        Value::Nil | Value::Complex(..) => Item::Null,
        Value::Bool(truth) => Item::Bool(*truth),
        Value::Int(number, _) => Item::Int(*number),
        Value::Uint(number, _) => Item::Uint(*number),
        Value::Float(number) => Item::Float(*number),
        // What is no text goes into YAML as bytes.
        Value::String(text) if direct && text.as_str().is_none() => {
            Item::Plain(format!("!!binary {}", base::encode64(text)).into())
        }
        Value::String(text) => Item::Text(text.lossy().into_owned().into()),
        Value::List(list) => match list.as_bytes() {
            Some(bytes) if !direct && !list.is_nil() => Item::Text(base::encode64(&bytes).into()),
            // Seen through JSON a nil list is null, seen directly it is an empty one.
            _ if list.is_nil() && !direct => Item::Null,
            _ => Item::List(list.items().iter().map(|item| nested(item, direct, depth + 1)).collect()),
        },
        Value::Map(map) if map.is_nil() && !direct => Item::Null,
        Value::Map(map) => {
            let entry = |(key, value): (crate::value::Str, Value)| {
                (Cow::Owned(lossy(&key).into_owned()), nested(&value, direct, depth + 1))
            };
            Item::Map(map.entries().into_iter().map(entry).collect())
        }
        Value::Object(object) if object.is_nil() => Item::Null,
        Value::Object(object) if direct && matches!(object.type_name(), "time.Time") => {
            Item::Plain(lossy(&object.to_json().as_text()).into_owned().into())
        }
        Value::Object(object) if direct && object.type_name() == "time.Duration" => {
            Item::Text(lossy(&object.print().unwrap_or_default()).into_owned().into())
        }
        Value::Object(object) if direct && object.print().is_none() && object.scalar().is_none() => {
            // The third generation of go-yaml writes the fields of structs in their order, in lower case.
            let fields = object.fields().into_iter();
            Item::Struct(fields.map(|(name, value)| (name.to_lowercase().into(), nested(&value, direct, depth + 1))).collect())
        }
        Value::Object(object) => nested(&object.to_json(), direct, depth + 1),
    }
}
