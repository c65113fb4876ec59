//! Regular expressions. Without `must` a bad pattern still ends the rendering, by Go's panic and with its text.

use std::rc::Rc;

use super::limits::TEXT_BYTES_MAX;
use super::{Failure, Function, limits};
use crate::golang::regexp::{self, Regexp};
use crate::value::{INT, List, STRINGS, Str, Type, Value};

const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("mustRegexFind", &[TEXT, TEXT], "As regexFind.", |_, args| find(&*returned(args)?, args)),
    Function::fixed("mustRegexFindAll", &[TEXT, TEXT, INT], "As regexFindAll.", |_, args| find_all(&*returned(args)?, args)),
    Function::fixed("mustRegexMatch", &[TEXT, TEXT], "As regexMatch; a bad pattern is an error.", |_, args| {
        Ok(returned(args)?.is_match(&args[1].as_text()).into())
    }),
    Function::fixed("mustRegexReplaceAll", &[TEXT, TEXT, TEXT], "As regexReplaceAll.", |_, args| {
        replace_all(&*returned(args)?, args)
    }),
    Function::fixed("mustRegexReplaceAllLiteral", &[TEXT, TEXT, TEXT], "As regexReplaceAllLiteral.", |_, args| {
        replace_literally(&*returned(args)?, args)
    }),
    Function::fixed("mustRegexSplit", &[TEXT, TEXT, INT], "As regexSplit.", |_, args| split(&*returned(args)?, args)),
    Function::fixed("regexFind", &[TEXT, TEXT], "The first match.", |_, args| find(&*panicked(args)?, args)),
    Function::fixed("regexFindAll", &[TEXT, TEXT, INT], "All matches, or so many.", |_, args| find_all(&*panicked(args)?, args)),
    Function::fixed("regexMatch", &[TEXT, TEXT], "Whether a pattern matches; a bad one does not.", |_, args| {
        Ok(returned(args).is_ok_and(|regexp| regexp.is_match(&args[1].as_text())).into())
    }),
    Function::fixed("regexQuoteMeta", &[TEXT], "A text as pattern for itself.", |_, args| {
        Ok(Str::from(regexp::quote_meta(&args[0].as_text())).into())
    }),
    Function::fixed("regexReplaceAll", &[TEXT, TEXT, TEXT], "Matches replaced, with $1 and ${name} filled in.", |_, args| {
        replace_all(&*panicked(args)?, args)
    }),
    Function::fixed("regexReplaceAllLiteral", &[TEXT, TEXT, TEXT], "Matches replaced by a text as it is.", |_, args| {
        replace_literally(&*panicked(args)?, args)
    }),
    Function::fixed("regexSplit", &[TEXT, TEXT, INT], "The parts between matches.", |_, args| split(&*panicked(args)?, args)),
];

type Answer = Result<Value, Failure>;

/// The pattern; the error is the one that Go returns.
fn returned(args: &[Value]) -> Result<Rc<Regexp>, Failure> {
    regexp::compile(&args[0].as_text()).map_err(|error| Failure::new(error.to_string()))
}

/// The pattern; the error is the one that Go panics with.
fn panicked(args: &[Value]) -> Result<Rc<Regexp>, Failure> {
    let pattern = args[0].as_text();
    regexp::compile(&pattern).map_err(|error| Failure::new(error.compiling(&pattern)))
}

fn text(bytes: &[u8]) -> Value {
    Str::from(bytes).into()
}

fn find(regexp: &Regexp, args: &[Value]) -> Answer {
    Ok(text(regexp.find(&args[1].as_text()).unwrap_or_default()))
}

fn find_all(regexp: &Regexp, args: &[Value]) -> Answer {
    let given = args[1].as_text();
    let found = regexp.find_all(&given, args[2].as_int());
    limits::list(found.len())?;
    if found.is_empty() {
        return Ok(List::nil(STRINGS).into());
    }
    Ok(List::strings(found.into_iter().map(|(start, end)| &given[start..end])).into())
}

fn unless_too_long(replaced: Option<Vec<u8>>) -> Answer {
    match replaced {
        Some(bytes) => Ok(Str::from(bytes).into()),
        None => limits::text(TEXT_BYTES_MAX + 1).map(|_| Value::Nil),
    }
}

fn replace_all(regexp: &Regexp, args: &[Value]) -> Answer {
    unless_too_long(regexp.replace_all(&args[1].as_text(), &args[2].as_text(), TEXT_BYTES_MAX))
}

fn replace_literally(regexp: &Regexp, args: &[Value]) -> Answer {
    unless_too_long(regexp.replace_literally(&args[1].as_text(), &args[2].as_text(), TEXT_BYTES_MAX))
}

fn split(regexp: &Regexp, args: &[Value]) -> Answer {
    let given = args[1].as_text();
    Ok(regexp.split(&given, args[2].as_int()).map_or_else(|| List::nil(STRINGS), List::strings).into())
}
