//! Choosing: defaults, the first that is set, what is needed, and what ends the rendering.

use super::same::{deep_equal, is_empty};
use super::{Call, Failure, Function};
use crate::value::{Type, Value};

const ANY: Type = Type::Any;
const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] =
    &[
        Function::many("all", &[ANY], "Whether no value is empty.", |_, args| Ok((!args.iter().any(is_empty)).into())),
        Function::many("any", &[ANY], "Whether a value is not empty.", |_, args| {
            Ok(args.iter().any(|value| !is_empty(value)).into())
        }),
        Function::many("coalesce", &[ANY], "The first value that is not empty.", |_, args| {
            Ok(args.iter().find(|value| !is_empty(value)).cloned().unwrap_or_default())
        }),
        Function::fixed("deepEqual", &[ANY, ANY], "Whether values are alike in type and content.", |_, args| {
            Ok(deep_equal(&args[0], &args[1]).into())
        }),
        Function::many("default", &[ANY, ANY], "The second value, or the first where that is empty.", default),
        Function::fixed("empty", &[ANY], "Whether a value is nil, zero or without elements.", |_, args| {
            Ok(is_empty(&args[0]).into())
        }),
        Function::fixed("fail", &[TEXT], "Ends the rendering with a message.", fail),
        Function::fixed("kindIs", &[TEXT, ANY], "Whether a value is of a kind.", |_, args| {
            Ok((args[0].as_text() == *args[1].kind().name()).into())
        }),
        Function::fixed("kindOf", &[ANY], "The kind of a value.", |_, args| Ok(args[0].kind().name().into())),
        Function::fixed("required", &[TEXT, ANY], "A value, or an error with a message where it is missing.", required),
        Function::fixed("ternary", &[ANY, ANY, Type::Bool], "The first value for true, else the second.", ternary),
        Function::fixed("typeIs", &[TEXT, ANY], "Whether a value is of a type.", |_, args| {
            Ok((args[0].as_text() == *args[1].type_name().as_str()).into())
        }),
        Function::fixed("typeIsLike", &[TEXT, ANY], "Whether a value is of a type, or points to one.", type_is_like),
        Function::fixed("typeOf", &[ANY], "The type of a value.", |_, args| Ok(args[0].type_name().into())),
    ];

type Answer = Result<Value, Failure>;

fn default(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args.get(1).filter(|given| !is_empty(given)).unwrap_or(&args[0]).clone())
}

fn ternary(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(args[usize::from(!args[2].truth())].clone())
}

fn type_is_like(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let (wanted, found) = (args[0].as_text().lossy().into_owned(), args[1].type_name());
    Ok((wanted == found || format!("*{wanted}") == found).into())
}

/// Marks a message so that Helm finds it inside an error.
fn marked(message: &Value) -> Failure {
    Failure::new(format!("HELM_ERR_START{}HELM_ERR_END", message.as_text().lossy()))
}

fn fail(call: &mut Call<'_>, args: &[Value]) -> Answer {
    if call.lint { Ok("".into()) } else { Err(marked(&args[0])) }
}

fn required(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let missing = match &args[1] {
        Value::Nil => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    match (missing, call.lint) {
        (false, _) => Ok(args[1].clone()),
        (true, true) => Ok("".into()),
        (true, false) => Err(marked(&args[0])),
    }
}
