//! Pipelines, commands, and chains of fields.

use super::{At, Eval, Slot, State};
use crate::functions::Function;
use crate::parse::node::{Callee, Command, Ideal, Number, Pipe, Term, Word};
use crate::value::{Object, Str, Type, Value};

/// How a field or method is asked for: where, and with which arguments.
#[derive(Clone, Copy)]
pub(super) struct Asked<'t, 'd> {
    pub(super) dot: &'d Slot,
    pub(super) at: At<'t>,
    pub(super) words: &'t [Word],
}

impl<'t> State<'t, '_, '_> {
    /// What a pipeline gives, out of its interface. Variables that it declares stay until their block ends.
    pub(super) fn pipeline(&mut self, dot: &Slot, pipe: &'t Pipe) -> Eval<Slot> {
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?.unboxed());
        }
        let value = value.unwrap_or(Slot::Invalid);
        for name in &pipe.declared {
            if pipe.assign {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Slot, command: &'t Command, last: Option<Slot>) -> Eval<Slot> {
        let first = &command.words[0];
        let words = &command.words[1..];
        match &first.term {
            Term::Field(fields) => {
                self.at = At::Word(first);
                self.chain(Asked { dot, at: At::Word(first), words }, dot.clone(), fields, last)
            }
            Term::Chain(inner, fields) => self.chain_of(dot, first, inner, fields, words, last),
            Term::Function(name, callee) => {
                self.at = At::Word(first);
                self.function(Asked { dot, at: At::Command(command), words }, name, *callee, last)
            }
            Term::Pipe(pipe) => {
                self.no_arguments(first, words, last.as_ref())?;
                self.nested(dot, pipe)
            }
            Term::Variable(name, fields) => self.variable(dot, first, name, fields, words, last),
            _ => {
                self.at = At::Word(first);
                self.no_arguments(first, words, last.as_ref())?;
                self.operand(dot, first)
            }
        }
    }

    /// An operand that is no function, field, variable or pipeline.
    fn operand(&mut self, dot: &Slot, word: &'t Word) -> Eval<Slot> {
        match &word.term {
            Term::Bool(truth) => Ok(Slot::Plain(Value::Bool(*truth))),
            Term::Dot => Ok(dot.clone()),
            Term::Number(text, number) => self.constant(word, text, number),
            Term::String(_, text) => Ok(Slot::Plain(Value::String(text.clone()))),
            _ => Err(self.error("nil is not a command")),
        }
    }

    /// A number where no type is asked for.
    pub(super) fn constant(&mut self, word: &'t Word, text: &Str, number: &Number) -> Eval<Slot> {
        self.at = At::Word(word);
        match &number.ideal {
            Ideal::Is(value) => Ok(Slot::Plain(value.clone())),
            Ideal::Overflow => Err(self.error(format!("{text} overflows int"))),
            Ideal::Nothing => Ok(Slot::Invalid),
        }
    }

    fn no_arguments(&self, first: &Word, words: &[Word], last: Option<&Slot>) -> Eval<()> {
        if words.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.error(format!("can't give argument to non-function {}", first.shown())))
    }

    pub(super) fn nested(&mut self, dot: &Slot, pipe: &'t Pipe) -> Eval<Slot> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || self.pipeline(dot, pipe))
    }

    pub(super) fn chain_of(
        &mut self,
        dot: &Slot,
        whole: &'t Word,
        inner: &'t Word,
        fields: &'t [Str],
        words: &'t [Word],
        last: Option<Slot>,
    ) -> Eval<Slot> {
        self.at = At::Word(whole);
        let receiver = self.receiver(dot, inner)?;
        self.chain(Asked { dot, at: At::Word(whole), words }, receiver, fields, last)
    }

    /// What a chain hangs on.
    fn receiver(&mut self, dot: &Slot, word: &'t Word) -> Eval<Slot> {
        self.at = At::Word(word);
        match &word.term {
            Term::Pipe(pipe) => self.nested(dot, pipe),
            Term::Function(name, callee) => self.function(Asked { dot, at: At::Word(word), words: &[] }, name, *callee, None),
            Term::Chain(inner, fields) => self.chain_of(dot, word, inner, fields, &[], None),
            _ => self.operand(dot, word),
        }
    }

    pub(super) fn variable(
        &mut self,
        dot: &Slot,
        word: &'t Word,
        name: &Str,
        fields: &'t [Str],
        words: &'t [Word],
        last: Option<Slot>,
    ) -> Eval<Slot> {
        self.at = At::Word(word);
        let Some((_, value)) = self.variables.iter().rev().find(|(have, _)| have == name) else {
            return Err(self.error(format!("undefined variable: {name}")));
        };
        let value = value.clone();
        if fields.is_empty() {
            // Go names the word that is given arguments, which is the variable itself.
            self.no_arguments(word, words, last.as_ref())?;
            return Ok(value);
        }
        self.chain(Asked { dot, at: At::Word(word), words }, value, fields, last)
    }

    /// `.a.b.c` on a receiver; arguments go to the last.
    pub(super) fn chain(&mut self, asked: Asked<'t, '_>, receiver: Slot, fields: &'t [Str], last: Option<Slot>) -> Eval<Slot> {
        let Some((end, before)) = fields.split_last() else { return Ok(receiver) };
        let mut receiver = receiver;
        for name in before {
            receiver = self.field(Asked { words: &[], ..asked }, name, receiver, None)?;
        }
        self.field(asked, end, receiver, last)
    }

    fn field(&mut self, asked: Asked<'t, '_>, name: &Str, receiver: Slot, last: Option<Slot>) -> Eval<Slot> {
        let boxed = matches!(receiver, Slot::Boxed(_));
        let value = match receiver {
            Slot::Invalid if self.machine.strict => {
                return Err(self.error(format!("nil data; no entry for key {}", quoted(name))));
            }
            Slot::Invalid => return Ok(Slot::Invalid),
            Slot::Boxed(Value::Nil) => return Err(self.error(format!("nil pointer evaluating interface {{}}.{name}"))),
            Slot::Plain(value) | Slot::Boxed(value) => value,
        };
        // Methods that can be seen begin with a capital letter.
        if name.first().is_some_and(u8::is_ascii_uppercase)
            && let Some(method) = methods(&value).iter().find(|method| name == method.name)
        {
            return self.method(asked, name, method, value, last);
        }
        let has_arguments = !asked.words.is_empty() || last.is_some();
        match &value {
            Value::Map(_) if has_arguments => return Err(self.error(format!("{name} is not a method but has arguments"))),
            Value::Map(map) => {
                let of = map.go_type().element();
                if let Some(found) = map.get(name) {
                    return Ok(Slot::element(found, of));
                }
                if self.machine.strict {
                    return Err(self.error(format!("map has no entry for key {}", quoted(name))));
                }
                return Ok(Slot::element(Value::zero(of), of));
            }
            Value::Object(object) => {
                if let Some(found) = field_of(&**object, name) {
                    if object.is_nil() {
                        return Err(self.error(format!("nil pointer evaluating {}.{name}", value.type_name())));
                    }
                    if has_arguments {
                        return Err(self.error(format!("{name} has arguments but cannot be invoked as function")));
                    }
                    return Ok(Slot::element(found, Type::String));
                }
                if object.fields().iter().any(|(have, _)| name == have) {
                    return Err(self.error(format!("{name} is an unexported field of struct type {}", value.type_name())));
                }
            }
            _ => {}
        }
        let of = if boxed { "interface {}".to_owned() } else { value.type_name() };
        Err(self.error(format!("can't evaluate field {name} in type {of}")))
    }

    pub(super) fn function(&mut self, asked: Asked<'t, '_>, name: &Str, callee: Callee, last: Option<Slot>) -> Eval<Slot> {
        match callee {
            Callee::Row(function) => {
                let arguments = self.arguments(asked, name, function, None, last)?;
                self.call(asked.at, name, function, &arguments)
            }
            Callee::Builtin(builtin) => self.builtin(asked, name, builtin, last),
        }
    }

    fn method(
        &mut self,
        asked: Asked<'t, '_>,
        name: &Str,
        method: &'static Function,
        on: Value,
        last: Option<Slot>,
    ) -> Eval<Slot> {
        let arguments = self.arguments(asked, name, method, Some(on), last)?;
        self.call(asked.at, name, method, &arguments)
    }
}

fn quoted(name: &Str) -> String {
    crate::print::quote::quoted(name)
}

fn field_of(object: &dyn Object, name: &Str) -> Option<Value> {
    object.field(name.as_str()?)
}

/// The methods of a value's type.
fn methods(value: &Value) -> &'static [Function] {
    let of = match value {
        Value::Map(map) => map.go_type(),
        Value::List(list) => list.go_type(),
        Value::Object(object) => return object.methods(),
        _ => return &[],
    };
    if let Type::Named(named) = of { named.methods } else { &[] }
}
