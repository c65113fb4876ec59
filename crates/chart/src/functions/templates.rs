//! Functions that render further templates. The evaluator does the work.

use super::{Call, Failure, Function};
use crate::value::{Type, Value};

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "include",
        params: &[Type::String, Type::Any],
        variadic: false,
        doc: "Renders a named template and gives its text.",
        call: include,
    },
    Function {
        name: "tpl",
        params: &[Type::String, Type::Any],
        variadic: false,
        doc: "Renders a text as a template.",
        call: tpl,
    },
];

fn include(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    call.templates.include(&args[0].as_text(), args[1].clone())
}

fn tpl(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    call.templates.tpl(&args[0].as_text(), args[1].clone())
}
