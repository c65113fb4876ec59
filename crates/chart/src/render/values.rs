//! `common.Values`: the type of `.Values` and of a template's dot, and its methods.

use crate::functions::{Call, Failure, Function, find};
use crate::value::{ANY_MAP, Map, Named, Type, Value};

static NAMED: Named = Named { name: "common.Values", underlying: ANY_MAP, methods: METHODS };

/// `common.Values`.
pub const VALUES: Type = Type::Named(&NAMED);

const METHODS: &[Function] = &[
    Function::fixed("AsMap", &[], "The values as a plain map.", |_, args| Ok(Value::Map(args[0].as_map().retyped(ANY_MAP)))),
    Function::fixed("PathValue", &[Type::String], "A value by a path of keys.", path_value),
    Function::fixed("Table", &[Type::String], "A table by a path of keys.", |_, args| {
        table(&args[0].as_map(), &args[1].as_text().lossy()).map(Value::Map)
    }),
    Function::fixed("YAML", &[], "The values as YAML.", yaml),
];

/// Values as their type.
pub(super) fn typed(values: &Value) -> Value {
    match values {
        Value::Map(map) => Value::Map(map.retyped(VALUES)),
        other => other.clone(),
    }
}

/// The values that a chart's templates see: all for the root, the table of its name for a chart below.
pub(super) fn scoped(around: &Map, name: Option<&str>) -> Value {
    let Some(name) = name else { return around.get("Values").unwrap_or_default() };
    Value::Map(table(around, &format!("Values.{name}")).unwrap_or_else(|_| Map::any().retyped(VALUES)))
}

fn table(from: &Map, path: &str) -> Result<Map, Failure> {
    let mut table = from.clone();
    for key in path.split('.') {
        match table.get(key) {
            Some(Value::Map(map)) if map.go_type() == ANY_MAP || map.go_type() == VALUES => table = map,
            _ => return Err(Failure::new(format!("\"{key}\" is not a table"))),
        }
    }
    Ok(table.retyped(VALUES))
}

fn path_value(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let path = args[1].as_text().lossy().into_owned();
    if path.is_empty() {
        return Err(Failure::new("YAML path cannot be empty"));
    }
    let missing = |key: &str| Failure::new(format!("\"{key}\" is not a value"));
    let (holder, key) = match path.rsplit_once('.') {
        Some((tables, key)) => (table(&args[0].as_map(), tables).map_err(|_| missing(key))?, key),
        None => (args[0].as_map(), path.as_str()),
    };
    match holder.get(key) {
        None => Err(missing(key)),
        Some(Value::Map(map)) if map.go_type() == ANY_MAP => Err(missing(key)),
        Some(value) => Ok(value),
    }
}

fn yaml(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let Some(writer) = find("toYaml") else { return Ok(Value::string("")) };
    let text = (writer.call)(call, &args[..1])?;
    Ok(Value::string([text.as_text().as_bytes(), b"\n"].concat()))
}
