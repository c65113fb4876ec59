//! Arguments, counted, checked and converted by a function's signature as Go's reflection does, and the call itself.

use super::expression::Asked;
use super::{Arguments, At, Eval, Slot, State};
use crate::functions::{Call, Function};
use crate::parse::node::{Term, Word};
use crate::value::{Kind, Str, Type, Value};

/// A signature, be it that of a row or of a builtin.
#[derive(Clone, Copy)]
pub(super) struct Signature {
    pub(super) params: &'static [Type],
    pub(super) variadic: bool,
}

impl Signature {
    /// The type of an argument by its place.
    fn of(self, place: usize) -> Type {
        self.params.get(place).or(self.params.last()).copied().unwrap_or(Type::Any)
    }
}

impl<'t> State<'t, '_, '_> {
    /// Whether so many arguments may be given.
    pub(super) fn count_arguments(&self, name: &Str, signature: Signature, words: usize, last: bool) -> Eval<()> {
        let given = words + usize::from(last);
        let wanted = signature.params.len();
        if signature.variadic {
            if given + 1 < wanted {
                return Err(self.error(format!("wrong number of args for {name}: want at least {} got {words}", wanted - 1)));
            }
        } else if given != wanted {
            return Err(self.error(format!("wrong number of args for {name}: want {wanted} got {given}")));
        }
        Ok(())
    }

    pub(super) fn arguments(
        &mut self,
        asked: Asked<'t, '_>,
        name: &Str,
        function: &'static Function,
        receiver: Option<Value>,
        last: Option<Slot>,
    ) -> Eval<Arguments> {
        let signature = Signature { params: function.params, variadic: function.variadic };
        self.count_arguments(name, signature, asked.words.len(), last.is_some())?;
        let mut values = Arguments::new();
        values.extend(receiver);
        for (place, word) in asked.words.iter().enumerate() {
            values.push(self.argument(asked.dot, signature.of(place), word)?);
        }
        if let Some(last) = last {
            values.push(self.validate(last, signature.of(asked.words.len()))?);
        }
        Ok(values)
    }

    pub(super) fn call(&mut self, at: At<'t>, name: &Str, function: &'static Function, values: &[Value]) -> Eval<Slot> {
        let (facts, lint) = (self.machine.facts, self.machine.lint);
        match (function.call)(&mut Call { facts, lint, templates: self.machine }, values) {
            Ok(value) => Ok(Slot::element(value, Type::String)),
            Err(failure) => {
                self.at = at;
                Err(self.error_wrapping(&format!("error calling {name}: "), failure))
            }
        }
    }

    /// Guarantees that a value is of a type, as far as Go converts.
    pub(super) fn validate(&self, slot: Slot, wanted: Type) -> Eval<Value> {
        let value = match slot {
            Slot::Invalid if wanted.can_be_nil() => return Ok(Value::zero(wanted)),
            Slot::Invalid => return Err(self.error(format!("invalid value; expected {wanted}"))),
            Slot::Plain(value) | Slot::Boxed(value) => value,
        };
        if matches!(wanted, Type::Any) {
            return Ok(value);
        }
        let Some(have) = value.go_type() else {
            return Err(self.error(format!("wrong type for value; expected {wanted}; got interface {{}}")));
        };
        if have.assignable_to(wanted) {
            return Ok(retyped(value, have, wanted));
        }
        if let (Value::Object(object), Type::Object(name)) = (&value, wanted)
            && object.type_name().strip_prefix('*') == Some(name)
        {
            if object.is_nil() {
                return Err(self.error(format!("dereference of nil pointer of type {wanted}")));
            }
            return Ok(value);
        }
        Err(self.error(format!("wrong type for value; expected {wanted}; got {have}")))
    }

    /// An argument of a type.
    pub(super) fn argument(&mut self, dot: &Slot, wanted: Type, word: &'t Word) -> Eval<Value> {
        if matches!(word.term, Term::Bool(_) | Term::Number(..) | Term::String(..)) {
            return self.literal(wanted, word);
        }
        if matches!(word.term, Term::Nil) {
            self.at = At::Word(word);
            if wanted.can_be_nil() {
                return Ok(Value::zero(wanted));
            }
            return Err(self.error(format!("cannot assign nil to {wanted}")));
        }
        let slot = self.slot(dot, word)?;
        self.validate(slot, wanted)
    }

    /// An argument as it is, for functions that take Go's `reflect.Value`.
    pub(super) fn slot(&mut self, dot: &Slot, word: &'t Word) -> Eval<Slot> {
        self.at = At::Word(word);
        match &word.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Slot::Invalid),
            Term::Field(fields) => self.chain(Asked { dot, at: At::Word(word), words: &[] }, dot.clone(), fields, None),
            Term::Variable(name, fields) => self.variable(dot, word, name, fields, &[], None),
            Term::Pipe(pipe) => self.nested(dot, pipe),
            Term::Function(name, callee) => self.function(Asked { dot, at: At::Word(word), words: &[] }, name, *callee, None),
            Term::Chain(inner, fields) => self.chain_of(dot, word, inner, fields, &[], None),
            Term::Bool(_) | Term::Number(..) | Term::String(..) => self.literal(Type::Any, word).map(Slot::Plain),
        }
    }

    fn literal(&mut self, wanted: Type, word: &'t Word) -> Eval<Value> {
        self.at = At::Word(word);
        let (expected, value) = match (wanted.kind(), &word.term) {
            (Kind::Interface, _) | (Kind::Struct, _) if matches!(wanted, Type::Any | Type::Reflect) => return self.untyped(word),
            (Kind::Bool, Term::Bool(truth)) => ("bool", Some(Value::Bool(*truth))),
            (Kind::Bool, _) => ("bool", None),
            (Kind::String, Term::String(_, text)) => ("string", Some(Value::String(text.clone()))),
            (Kind::String, _) => ("string", None),
            (Kind::Int(width), Term::Number(_, number)) => ("integer", number.int.map(|it| Value::Int(it, width))),
            (Kind::Int(_), _) => ("integer", None),
            (Kind::Uint(width), Term::Number(_, number)) => ("unsigned integer", number.uint.map(|it| Value::Uint(it, width))),
            (Kind::Uint(_), _) => ("unsigned integer", None),
            (Kind::Float64, Term::Number(_, number)) => ("float", number.float.map(Value::Float)),
            (Kind::Float64, _) => ("float", None),
            _ => return Err(self.error(format!("can't handle {} for arg of type {wanted}", word.shown()))),
        };
        value.ok_or_else(|| self.error(format!("expected {expected}; found {}", word.shown())))
    }

    fn untyped(&mut self, word: &'t Word) -> Eval<Value> {
        match &word.term {
            Term::Bool(truth) => Ok(Value::Bool(*truth)),
            Term::String(_, text) => Ok(Value::String(text.clone())),
            Term::Number(text, number) => self.constant(word, text, number).map(Slot::value),
            _ => Err(self.error(format!("can't handle assignment of {} to empty interface argument", word.shown()))),
        }
    }
}

/// A list or map of a named type is seen under the plain type where that is asked for, and the other way round.
fn retyped(value: Value, have: Type, wanted: Type) -> Value {
    if matches!(wanted, Type::Reflect) || have.identical(wanted) {
        return value;
    }
    match value {
        Value::Map(map) => Value::Map(map.retyped(wanted)),
        Value::List(list) => Value::List(list.retyped(wanted)),
        other => other,
    }
}
