//! The functions of the language itself. They see values as Go's reflection does, nil and all.

use super::call::Signature;
use super::expression::Asked;
use super::{Arguments, Eval, Slot, State, compare, escape};
use crate::functions::Failure;
use crate::parse::node::Builtin;
use crate::print;
use crate::value::{List, Str, Type, Value};

const REFLECT: &[Type] = &[Type::Reflect];
const PAIR: &[Type] = &[Type::Reflect, Type::Reflect];

fn signature(builtin: Builtin) -> Signature {
    use Builtin::*;
    let (params, variadic): (&'static [Type], bool) = match builtin {
        And | Or | Call | Index | Slice | Eq => (PAIR, true),
        Html | Js | Urlquery | Print | Println => (&[Type::Any], true),
        Printf => (&[Type::String, Type::Any], true),
        Len | Not => (REFLECT, false),
        Ge | Gt | Le | Lt | Ne => (PAIR, false),
    };
    Signature { params, variadic }
}

impl<'t> State<'t, '_, '_> {
    pub(super) fn builtin(&mut self, asked: Asked<'t, '_>, name: &Str, builtin: Builtin, last: Option<Slot>) -> Eval<Slot> {
        use Builtin::*;
        let signature = signature(builtin);
        self.count_arguments(name, signature, asked.words.len(), last.is_some())?;
        if matches!(builtin, And | Or) {
            return self.short_circuit(asked, builtin == Or, last);
        }
        let done = match builtin {
            Html | Js | Urlquery | Print | Println | Printf => {
                Ok(Slot::Plain(Value::string(self.text(asked, signature, builtin, last)?)))
            }
            _ => {
                let callee = if builtin == Call { callee(asked, last.as_ref()) } else { String::new() };
                let mut slots = Vec::with_capacity(asked.words.len() + 1);
                for word in asked.words {
                    slots.push(self.slot(asked.dot, word)?);
                }
                slots.extend(last);
                of_slots(builtin, slots, &callee)
            }
        };
        done.map_err(|failure| {
            self.at = asked.at;
            self.error_wrapping(&format!("error calling {name}: "), failure)
        })
    }

    /// `and` and `or`: later arguments are not looked at once one decides.
    fn short_circuit(&mut self, asked: Asked<'t, '_>, or: bool, last: Option<Slot>) -> Eval<Slot> {
        let mut value = Slot::Invalid;
        for word in asked.words {
            value = self.slot(asked.dot, word)?;
            if value.truth() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn text(&mut self, asked: Asked<'t, '_>, signature: Signature, builtin: Builtin, last: Option<Slot>) -> Eval<Vec<u8>> {
        let mut values = Arguments::new();
        for (place, word) in asked.words.iter().enumerate() {
            values.push(self.argument(asked.dot, signature.params[place.min(signature.params.len() - 1)], word)?);
        }
        if let Some(last) = last {
            let place = values.len().min(signature.params.len() - 1);
            values.push(self.validate(last, signature.params[place])?);
        }
        Ok(match builtin {
            Builtin::Print => print::sprint(&values),
            Builtin::Println => print::sprintln(&values),
            Builtin::Printf => print::sprintf(&values[0].as_text(), &values[1..]),
            Builtin::Html => escape::html(&joined(values)),
            Builtin::Js => escape::js(&joined(values)),
            _ => escape::urlquery(&joined(values)),
        })
    }
}

/// The text that an escape works on.
fn joined(values: Arguments) -> Vec<u8> {
    let shown: Vec<Value> =
        values.into_iter().map(|value| if value.is_nil() { Value::string(super::NO_VALUE) } else { value }).collect();
    print::sprint(&shown)
}

/// How `call` names what it was to call.
fn callee(asked: Asked<'_, '_>, last: Option<&Slot>) -> String {
    match (asked.words.first(), last) {
        (Some(word), _) => word.shown(),
        (None, Some(Slot::Plain(Value::String(text)))) => text.to_string(),
        (None, Some(slot)) => format!("<{} Value>", slot.type_name()),
        (None, None) => String::new(),
    }
}

fn of_slots(builtin: Builtin, slots: Vec<Slot>, callee: &str) -> Result<Slot, Failure> {
    let mut slots = slots.into_iter();
    let first = slots.next().unwrap_or(Slot::Invalid);
    let truth = |truth: bool| Ok(Slot::Plain(Value::Bool(truth)));
    match builtin {
        Builtin::Not => truth(!first.truth()),
        Builtin::Len => len(first),
        Builtin::Index => index(first, slots.collect()),
        Builtin::Slice => slice(first, slots.collect()),
        Builtin::Eq => truth(compare::eq(first, slots.collect())?),
        Builtin::Call => match first.unboxed() {
            Slot::Invalid => Err(Failure::new("call of nil")),
            other => Err(Failure::new(format!("non-function {callee} of type {}", other.type_name()))),
        },
        _ => {
            let second = slots.next().unwrap_or(Slot::Invalid);
            truth(match builtin {
                Builtin::Ne => !compare::eq(first, vec![second])?,
                Builtin::Lt => compare::lt(&first.value(), &second.value())?,
                Builtin::Le => compare::le(&first.value(), &second.value())?,
                Builtin::Gt => !compare::le(&first.value(), &second.value())?,
                _ => !compare::lt(&first.value(), &second.value())?,
            })
        }
    }
}

fn int(number: usize) -> Value {
    Value::int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn len(item: Slot) -> Result<Slot, Failure> {
    let value = match item {
        Slot::Invalid => return Err(Failure::new("reflect: call of reflect.Value.Type on zero Value")),
        Slot::Boxed(Value::Nil) => return Err(Failure::new("len of nil pointer")),
        Slot::Plain(value) | Slot::Boxed(value) => value,
    };
    Ok(Slot::Plain(match &value {
        Value::String(text) => int(text.len()),
        Value::List(list) => int(list.len()),
        Value::Map(map) => int(map.len()),
        other => return Err(Failure::new(format!("len of type {}", other.type_name().trim_start_matches('*')))),
    }))
}

/// An index as Go takes it; one past the end is for the caller to refuse.
fn place(index: &Slot, most: usize) -> Result<usize, Failure> {
    let number = match index {
        Slot::Invalid | Slot::Boxed(Value::Nil) => return Err(Failure::new("cannot index slice/array with nil")),
        Slot::Plain(value) | Slot::Boxed(value) => match value {
            Value::Int(number, _) => *number,
            Value::Uint(number, _) => number.cast_signed(),
            other => return Err(Failure::new(format!("cannot index slice/array with type {}", other.type_name()))),
        },
    };
    match usize::try_from(number) {
        Ok(at) if at <= most => Ok(at),
        _ => Err(Failure::new(format!("index out of range: {number}"))),
    }
}

fn index(item: Slot, indexes: Vec<Slot>) -> Result<Slot, Failure> {
    let mut item = item.unboxed();
    if matches!(item, Slot::Invalid) {
        return Err(Failure::new("index of untyped nil"));
    }
    for index in indexes {
        let value = match item {
            Slot::Invalid | Slot::Boxed(Value::Nil) => return Err(Failure::new("index of nil pointer")),
            Slot::Plain(value) | Slot::Boxed(value) => value,
        };
        item = match &value {
            Value::List(list) => {
                let at = place(&index, list.len())?;
                let of = list.go_type().element();
                Slot::element(list.get(at).ok_or_else(|| Failure::new("reflect: slice index out of range"))?, of)
            }
            Value::String(text) => {
                let at = place(&index, text.len())?;
                Slot::Plain(Value::byte(*text.get(at).ok_or_else(|| Failure::new("reflect: string index out of range"))?))
            }
            Value::Map(map) => {
                let of = map.go_type().element();
                match index.unboxed() {
                    Slot::Invalid => return Err(Failure::new("value is nil; should be of type string")),
                    Slot::Plain(Value::String(key)) => Slot::element(map.get(key).unwrap_or_else(|| Value::zero(of)), of),
                    other => return Err(Failure::new(format!("value has type {}; should be string", other.type_name()))),
                }
            }
            other => return Err(Failure::new(format!("can't index item of type {}", other.type_name().trim_start_matches('*')))),
        };
    }
    Ok(item)
}

fn slice(item: Slot, indexes: Vec<Slot>) -> Result<Slot, Failure> {
    let value = match item.unboxed() {
        Slot::Plain(value) => value,
        _ => return Err(Failure::new("slice of untyped nil")),
    };
    if indexes.len() > 3 {
        return Err(Failure::new(format!("too many slice indexes: {}", indexes.len())));
    }
    let length = match &value {
        Value::String(_) if indexes.len() == 3 => return Err(Failure::new("cannot 3-index slice a string")),
        Value::String(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(Failure::new(format!("can't slice item of type {}", other.type_name()))),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(&indexes) {
        *bound = place(index, length)?;
    }
    for (low, high) in [(bounds[0], bounds[1]), (bounds[1], bounds[2])] {
        if low > high {
            return Err(Failure::new(format!("invalid slice index: {low} > {high}")));
        }
    }
    Ok(Slot::Plain(match &value {
        Value::String(text) => Value::string(&text[bounds[0]..bounds[1]]),
        Value::List(list) => Value::List(List::of(list.go_type(), list.items()[bounds[0]..bounds[1]].to_vec())),
        _ => Value::Nil,
    }))
}
