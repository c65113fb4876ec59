//! Maps from texts: made, read, changed, merged. Merging and setting change the map that is given, as charts expect.

use super::lists::NIL_TYPE;
use super::same::is_empty;
use super::shown::text_of;
use super::{Call, Failure, Function};
use crate::value::{ANY_MAP, List, Map, Str, Type, Value};

const ANY: Type = Type::Any;
const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("deepCopy", &[ANY], "A copy that shares nothing.", |_, args| deep_copy(&args[0])),
    Function::many("dict", &[ANY], "A map of keys and values in turn.", dict),
    Function::many("dig", &[ANY], "The value at the end of a path of keys, or a default.", dig),
    Function::fixed("get", &[ANY_MAP, TEXT], "The value of a key, or an empty text.", get),
    Function::fixed("hasKey", &[ANY_MAP, TEXT], "Whether a map has a key.", has_key),
    Function::many("keys", &[ANY_MAP], "The keys of maps.", keys),
    Function::many("merge", &[ANY_MAP, ANY_MAP], "Fills a map from others; what is there stays.", |_, args| merged(args, false)),
    Function::many("mergeOverwrite", &[ANY_MAP, ANY_MAP], "Fills a map from others; what comes later wins.", |_, args| {
        merged(args, true)
    }),
    Function::fixed("mustDeepCopy", &[ANY], "As deepCopy.", |_, args| deep_copy(&args[0])),
    Function::many("mustMerge", &[ANY_MAP, ANY_MAP], "As merge.", |_, args| merged(args, false)),
    Function::many("mustMergeOverwrite", &[ANY_MAP, ANY_MAP], "As mergeOverwrite.", |_, args| merged(args, true)),
    Function::many("omit", &[ANY_MAP, TEXT], "A map without keys.", omit),
    Function::many("pick", &[ANY_MAP, TEXT], "A map of the named keys alone.", pick),
    Function::many("pluck", &[TEXT, ANY_MAP], "The values of a key in maps.", pluck),
    Function::fixed("set", &[ANY_MAP, TEXT, ANY], "Sets a key of a map, and gives the map.", set),
    Function::fixed("unset", &[ANY_MAP, TEXT], "Takes a key out of a map, and gives the map.", unset),
    Function::fixed("values", &[ANY_MAP], "The values of a map.", values),
];

type Answer = Result<Value, Failure>;

/// What Go says where a nil map is written.
const NIL_MAP: &str = "assignment to entry in nil map";

fn get(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[0].as_map().get(args[1].as_text()).unwrap_or_else(|| "".into()))
}

fn set(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let map = args[0].as_map();
    if map.is_nil() {
        return Err(NIL_MAP.into());
    }
    map.insert(args[1].as_text(), args[2].clone());
    Ok(map.into())
}

fn unset(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let map = args[0].as_map();
    map.remove(args[1].as_text());
    Ok(map.into())
}

fn has_key(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[0].as_map().contains(args[1].as_text()).into())
}

fn pluck(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let key = args[0].as_text();
    Ok(Value::list(args[1..].iter().filter_map(|map| map.as_map().get(&key)).collect()))
}

fn keys(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(List::strings(args.iter().flat_map(|map| map.as_map().keys())).into())
}

fn values(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Value::list(args[0].as_map().entries().into_iter().map(|(_, value)| value).collect()))
}

fn pick(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let map = args[0].as_map();
    let named = args[1..].iter().map(Value::as_text);
    Ok(named.filter_map(|key| map.get(&key).map(|value| (key, value))).collect::<Map>().into())
}

fn omit(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let unwanted: Vec<Str> = args[1..].iter().map(Value::as_text).collect();
    Ok(args[0].as_map().entries().into_iter().filter(|(key, _)| !unwanted.contains(key)).collect::<Map>().into())
}

fn dict(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let pair = |pair: &[Value]| (text_of(&pair[0]), pair.get(1).cloned().unwrap_or_else(|| "".into()));
    Ok(args.chunks(2).map(pair).collect::<Map>().into())
}

/// What Go says where a value is not of the type that code takes it for.
fn conversion(value: &Value, wanted: Type) -> Failure {
    let found = if value.is_nil() { "nil".to_owned() } else { value.type_name() };
    Failure::new(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
}

fn dig(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let [path @ .., default, map] = args else { return Err("dig needs at least three arguments".into()) };
    if path.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let exact = |value: &Value| match value {
        Value::Map(map) if map.go_type() == ANY_MAP => Ok(map.clone()),
        _ => Err(conversion(value, ANY_MAP)),
    };
    let mut map = exact(map)?;
    let keys = path.iter().map(|key| match key {
        Value::String(key) => Ok(key.clone()),
        _ => Err(conversion(key, TEXT)),
    });
    let keys = keys.collect::<Result<Vec<Str>, Failure>>()?;
    for (index, key) in keys.iter().enumerate() {
        let Some(step) = map.get(key) else { return Ok(default.clone()) };
        if index + 1 == keys.len() {
            return Ok(step);
        }
        map = exact(&step)?;
    }
    Err(NIL_TYPE.into())
}

fn merged(args: &[Value], overwrite: bool) -> Answer {
    let mut target = args[0].as_map();
    for source in &args[1..] {
        let source = source.as_map();
        if target.is_nil() && !source.is_nil() {
            target = Map::any();
        }
        merge(&target, &source, overwrite, 0)?;
    }
    Ok(target.into())
}

/// Deeper than any chart, and far from the end of the stack: a map may hold itself.
const MERGE_DEPTH_MAX: usize = 1000;

fn merge(target: &Map, source: &Map, overwrite: bool, depth: usize) -> Result<(), Failure> {
    if depth > MERGE_DEPTH_MAX {
        return Err(Failure::new(format!("merging deeper than {MERGE_DEPTH_MAX} levels is refused")));
    }
    if target.same(source) || target.is_nil() {
        return Ok(());
    }
    for (key, value) in source.entries() {
        let here = target.get(&key);
        if value.is_nil() {
            if overwrite {
                store(target, key, value)?;
            }
            continue;
        }
        if let (Some(Value::Map(here)), Value::Map(value)) = (&here, &value) {
            merge(here, value, overwrite, depth + 1)?;
        }
        match &here {
            // Lists are replaced as a whole; of two maps the one that is there stays, unless it is empty even now.
            Some(here) if !is_empty(here) && matches!((here, &value), (Value::Map(_), Value::Map(_))) => {}
            Some(here) if !is_empty(here) && !overwrite => {}
            _ => store(target, key, value)?,
        }
    }
    Ok(())
}

fn store(target: &Map, key: Str, value: Value) -> Result<(), Failure> {
    let element = target.go_type().element();
    if !value.go_type().is_none_or(|of| of.assignable_to(element)) || value.is_nil() && !element.can_be_nil() {
        let found = value.go_type().map_or_else(|| "interface {}".to_owned(), |_| "interface {}".to_owned());
        return Err(Failure::new(format!(
            "reflect.Value.SetMapIndex: value of type {found} is not assignable to type {element}"
        )));
    }
    target.insert(key, value);
    Ok(())
}

/// A copy that shares no list and no map. Go would copy for ever what holds itself; here the copy ends deep down.
fn deep_copy(value: &Value) -> Answer {
    if value.is_nil() { Err("reflect: call of reflect.Value.Type on zero Value".into()) } else { Ok(copied(value, 0)) }
}

fn copied(value: &Value, depth: usize) -> Value {
    if depth > MERGE_DEPTH_MAX {
        return value.clone();
    }
    match value {
        Value::List(list) if list.is_nil() => value.clone(),
        Value::List(list) => List::of(list.go_type(), list.items().iter().map(|item| copied(item, depth + 1)).collect()).into(),
        Value::Map(map) if map.is_nil() => value.clone(),
        Value::Map(map) => {
            let entries = map.entries().into_iter().map(|(key, item)| (key, copied(&item, depth + 1))).collect();
            Map::of(map.go_type(), entries).into()
        }
        _ => super::versions::copied(value).unwrap_or_else(|| value.clone()),
    }
}
