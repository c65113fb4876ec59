//! What Go code has as structs, pointers and named scalars: capabilities, versions, times, durations, certificates.
//!
//! An object says itself which fields and methods templates may use; it holds no template state.

use std::any::Any;
use std::fmt;

use super::go_type::{Kind, Type};
use super::{Str, Value};
use crate::functions::Function;

/// A Go value that is no plain list, map or scalar.
pub trait Object: fmt::Debug {
    /// The Go type as `%T` prints it; a pointer's starts with `*`.
    fn type_name(&self) -> &'static str;

    /// The kind: a named integer such as `time.Duration` says that of its integer.
    fn kind(&self) -> Kind {
        Type::Object(self.type_name()).kind()
    }

    /// An exported field.
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    /// All fields in the order of the struct, as `%v`, `%+v` and `%#v` print them where [`Self::print`] says nothing.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Its methods: the receiver is the first argument of the call and not among the parameters.
    fn methods(&self) -> &'static [Function] {
        &[]
    }

    /// What `String()` or `Error()` gives, where the type has one.
    fn print(&self) -> Option<Str> {
        None
    }

    /// What an action that shows it where it lies prints: a method of the pointer counts there, too.
    fn print_in_place(&self) -> Option<Str> {
        self.print()
    }

    /// The plain value of a named scalar: a `time.Duration`'s `int64`.
    fn scalar(&self) -> Option<Value> {
        None
    }

    /// Whether it is a nil pointer.
    fn is_nil(&self) -> bool {
        false
    }

    /// How it is written in JSON, and so in YAML.
    fn to_json(&self) -> Value {
        self.fields().into_iter().map(|(name, value)| (Str::from(name), value)).collect::<super::Map>().into()
    }

    /// For functions that know the concrete type.
    fn as_any(&self) -> &dyn Any;
}
