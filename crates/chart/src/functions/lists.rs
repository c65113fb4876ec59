//! Lists: made, taken apart, sorted, compared. A list that is given is never changed.

use super::numbers::to_int;
use super::same::{deep_equal, is_empty};
use super::shown::{text_of, texts_of};
use super::{Call, Failure, Function, limits};
use crate::value::{ANY_LIST, INT, Kind, List, STRINGS, Type, Value};

const ANY: Type = Type::Any;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("append", &[ANY, ANY], "A list with a value at the end.", push),
    Function::fixed("chunk", &[INT, ANY], "A list cut into lists of a size.", chunk),
    Function::fixed("compact", &[ANY], "A list without empty values.", compact),
    Function::many("concat", &[ANY], "Lists one after the other.", concat),
    Function::fixed("first", &[ANY], "The first element.", first),
    Function::fixed("has", &[ANY, ANY], "Whether a value is in a list.", has),
    Function::fixed("initial", &[ANY], "All but the last element.", initial),
    Function::fixed("last", &[ANY], "The last element.", last),
    Function::many("list", &[ANY], "A list of values.", list),
    Function::fixed("mustAppend", &[ANY, ANY], "As append.", push),
    Function::fixed("mustChunk", &[INT, ANY], "As chunk.", chunk),
    Function::fixed("mustCompact", &[ANY], "As compact.", compact),
    Function::fixed("mustFirst", &[ANY], "As first.", first),
    Function::fixed("mustHas", &[ANY, ANY], "As has.", has),
    Function::fixed("mustInitial", &[ANY], "As initial.", initial),
    Function::fixed("mustLast", &[ANY], "As last.", last),
    Function::fixed("mustPrepend", &[ANY, ANY], "As prepend.", prepend),
    Function::fixed("mustPush", &[ANY, ANY], "As append.", push),
    Function::fixed("mustRest", &[ANY], "As rest.", rest),
    Function::fixed("mustReverse", &[ANY], "As reverse.", reverse),
    Function::many("mustSlice", &[ANY, ANY], "As slice.", slice),
    Function::fixed("mustUniq", &[ANY], "As uniq.", uniq),
    Function::many("mustWithout", &[ANY, ANY], "As without.", without),
    Function::fixed("prepend", &[ANY, ANY], "A list with a value before its first.", prepend),
    Function::fixed("push", &[ANY, ANY], "As append.", push),
    Function::fixed("rest", &[ANY], "All but the first element.", rest),
    Function::fixed("reverse", &[ANY], "A list from its end.", reverse),
    Function::many("slice", &[ANY, ANY], "The elements from a place to a place.", slice),
    Function::fixed("sortAlpha", &[ANY], "A list's texts in order.", sort_alpha),
    Function::many("tuple", &[ANY], "As list.", list),
    Function::fixed("uniq", &[ANY], "Each value of a list once.", uniq),
    Function::many("without", &[ANY, ANY], "A list without the values named.", without),
];

type Answer = Result<Value, Failure>;

/// What Go says where reflection asks nil for its type.
pub const NIL_TYPE: &str = "runtime error: invalid memory address or nil pointer dereference";

/// The elements of a list; else Sprig's refusal, the kind's name at its end.
fn elements(value: &Value, refusal: &str) -> Result<Vec<Value>, Failure> {
    match value {
        Value::List(list) => Ok(list.items()),
        Value::Nil => Err(NIL_TYPE.into()),
        _ => Err(Failure::new(format!("{refusal}{}", value.kind().name()))),
    }
}

fn nil_list() -> Answer {
    Ok(List::nil(ANY_LIST).into())
}

fn push(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut items = elements(&args[0], "Cannot push on type ")?;
    items.push(args[1].clone());
    Ok(Value::list(items))
}

fn prepend(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut items = elements(&args[0], "Cannot prepend on type ")?;
    items.insert(0, args[1].clone());
    Ok(Value::list(items))
}

fn chunk(_: &mut Call<'_>, args: &[Value]) -> Answer {
    const CHUNKS: Type = Type::List(&ANY_LIST);
    let size = args[0].as_int();
    let items = elements(&args[1], "Cannot chunk type ")?;
    let chunks = |lists: Vec<Value>| Ok(List::of(CHUNKS, lists).into());
    if size > 0 {
        return chunks(items.chunks(size as usize).map(|chunk| Value::list(chunk.to_vec())).collect());
    }
    // Go divides floats here, so that sizes that make no sense have outcomes of their own.
    let count = ((items.len() as f64 - 1.0) / size as f64).floor() + 1.0;
    if !(0.0..=limits::LIST_ITEMS_MAX as f64).contains(&count) {
        return Err("runtime error: makeslice: len out of range".into());
    }
    match (count as usize, items.len() as i64) {
        (0, _) => chunks(Vec::new()),
        // One chunk, as long as the remainder says.
        (1, length) if size < 0 && length % size > 0 => chunks(vec![Value::list(items[..(length % size) as usize].to_vec())]),
        _ => Err("runtime error: makeslice: len out of range".into()),
    }
}

fn last(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(elements(&args[0], "Cannot find last on type ")?.pop().unwrap_or_default())
}

fn first(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(elements(&args[0], "Cannot find first on type ")?.into_iter().next().unwrap_or_default())
}

fn rest(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let items = elements(&args[0], "Cannot find rest on type ")?;
    if items.is_empty() { nil_list() } else { Ok(Value::list(items[1..].to_vec())) }
}

fn initial(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut items = elements(&args[0], "Cannot find initial on type ")?;
    if items.pop().is_none() { nil_list() } else { Ok(Value::list(items)) }
}

fn reverse(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut items = elements(&args[0], "Cannot find reverse on type ")?;
    items.reverse();
    Ok(Value::list(items))
}

fn compact(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let items = elements(&args[0], "Cannot compact on type ")?;
    Ok(Value::list(items.into_iter().filter(|item| !is_empty(item)).collect()))
}

fn is_in(list: &[Value], value: &Value) -> bool {
    list.iter().any(|item| deep_equal(value, item))
}

fn uniq(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut kept: Vec<Value> = Vec::new();
    for item in elements(&args[0], "Cannot find uniq on type ")? {
        if !is_in(&kept, &item) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn without(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let items = elements(&args[0], "Cannot find without on type ")?;
    Ok(Value::list(items.into_iter().filter(|item| !is_in(&args[1..], item)).collect()))
}

fn has(_: &mut Call<'_>, args: &[Value]) -> Answer {
    if args[1].is_nil() {
        return Ok(false.into());
    }
    Ok(is_in(&elements(&args[1], "Cannot find has on type ")?, &args[0]).into())
}

fn slice(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let items = elements(&args[0], "list should be type of slice or array but ")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, to_int);
    let end = args.get(2).map_or(items.len() as i64, to_int);
    let of = if let Value::List(list) = &args[0] { list.go_type() } else { ANY_LIST };
    if start < 0 || end < start || end > items.len() as i64 {
        return Err("reflect.Value.Slice: slice index out of bounds".into());
    }
    Ok(List::of(of, items[start as usize..end as usize].to_vec()).into())
}

fn concat(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let mut all = Vec::new();
    for list in args {
        match list {
            Value::List(list) => all.extend(list.items()),
            Value::Nil => return Err(NIL_TYPE.into()),
            _ => return Err(Failure::new(format!("Cannot concat type {} as list", list.kind().name()))),
        }
        limits::list(all.len())?;
    }
    if all.is_empty() { nil_list() } else { Ok(Value::list(all)) }
}

fn list(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Value::list(args.to_vec()))
}

fn sort_alpha(_: &mut Call<'_>, args: &[Value]) -> Answer {
    // A list of texts is sorted where it stands, for all who hold it.
    if let Value::List(list) = &args[0]
        && list.go_type() == STRINGS
    {
        list.change(|items| items.sort_by_key(Value::as_text));
        return Ok(args[0].clone());
    }
    let mut texts = match args[0].kind() {
        Kind::Slice => texts_of(&args[0]),
        _ => vec![text_of(&args[0])],
    };
    texts.sort();
    Ok(List::strings(texts).into())
}
