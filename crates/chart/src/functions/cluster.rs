//! What is asked of the world outside: objects of the cluster and addresses of hosts. The caller's facts answer.

use super::{Call, Failure, Function};
use crate::value::{Type, Value};

const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("getHostByName", &[TEXT], "An address of a host; empty unless names may be resolved.", get_host_by_name),
    Function::fixed("lookup", &[TEXT, TEXT, TEXT, TEXT], "Objects of the cluster by version, kind, namespace and name.", lookup),
];

fn get_host_by_name(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Ok(call.facts.resolve_host(&args[0].as_text().lossy()).into())
}

fn lookup(call: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    let text = |index: usize| args[index].as_text().lossy().into_owned();
    Ok(call.facts.lookup(&text(0), &text(1), &text(2), &text(3))?)
}
