//! The parse tree, and how error texts print its parts.

use std::rc::Rc;

use crate::functions::Function;
use crate::print::quote;
use crate::value::{Str, Value};

/// A parsed template: a file, or a `define` or `block` in one.
#[derive(Debug)]
pub struct Tree {
    /// The name under which it is found.
    pub name: Str,
    /// The file that it stands in, as errors name it.
    pub parse_name: Str,
    /// The text of the file.
    pub text: Rc<[u8]>,
    /// What it does.
    pub root: Vec<Node>,
    /// How deep its nodes nest.
    pub(super) depth: usize,
}

/// A step of a template.
#[derive(Debug)]
pub enum Node {
    /// Text, by its place in the file
    Text(usize, usize),
    /// `{{ pipeline }}`
    Action(usize, Pipe),
    /// `{{ if }}`
    If(Box<Branch>),
    /// `{{ with }}`
    With(Box<Branch>),
    /// `{{ range }}`
    Range(Box<Branch>),
    /// `{{ template }}`, and what a `{{ block }}` leaves where it stands
    Template(usize, Str, Option<Box<Pipe>>),
    /// `{{ break }}`
    Break,
    /// `{{ continue }}`
    Continue,
}

/// A pipeline with one or two bodies.
#[derive(Debug)]
pub struct Branch {
    /// Where it stands.
    pub pos: usize,
    /// What decides.
    pub pipe: Pipe,
    /// The body.
    pub list: Vec<Node>,
    /// The body otherwise.
    pub otherwise: Option<Vec<Node>>,
}

/// A pipeline.
#[derive(Debug)]
pub struct Pipe {
    /// Where it stands.
    pub pos: usize,
    /// Whether variables are set, not declared.
    pub assign: bool,
    /// The variables, at most two.
    pub declared: Vec<Str>,
    /// The commands.
    pub commands: Vec<Command>,
}

/// A command of a pipeline: a function, method or operand, and its arguments.
#[derive(Debug)]
pub struct Command {
    /// Where it stands.
    pub pos: usize,
    /// Never empty.
    pub words: Vec<Word>,
}

/// An operand and its place.
#[derive(Debug)]
pub struct Word {
    /// Where it stands.
    pub pos: usize,
    /// What it is.
    pub term: Term,
}

/// What an operand is.
#[derive(Debug)]
pub enum Term {
    /// `.a.b`
    Field(Vec<Str>),
    /// `$x` and `$x.a.b`; the name has its `$`
    Variable(Str, Vec<Str>),
    /// `(…).a.b`
    Chain(Box<Word>, Vec<Str>),
    /// A function
    Function(Str, Callee),
    /// `(…)`
    Pipe(Box<Pipe>),
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A number or character, with its text
    Number(Str, Box<Number>),
    /// A string, with its text in quotes
    String(Str, Str),
}

/// What a name calls.
#[derive(Clone, Copy, Debug)]
pub enum Callee {
    /// A row of the table of functions
    Row(&'static Function),
    /// A function of the language itself
    Builtin(Builtin),
}

/// The functions of the language itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in templates")]
pub enum Builtin {
    And,
    Call,
    Html,
    Index,
    Slice,
    Js,
    Len,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Urlquery,
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
    Ne,
}

/// A constant, as every type that it can be.
#[derive(Debug)]
pub struct Number {
    /// As a signed integer.
    pub int: Option<i64>,
    /// As an unsigned integer.
    pub uint: Option<u64>,
    /// As a float.
    pub float: Option<f64>,
    /// As a complex number, where it was written as one.
    pub complex: Option<(f64, f64)>,
    /// What it is where no type is asked for.
    pub ideal: Ideal,
}

/// What a constant is where no type is asked for.
#[derive(Debug)]
pub enum Ideal {
    /// This
    Is(Value),
    /// More than an `int` holds
    Overflow,
    /// Nothing
    Nothing,
}

impl Builtin {
    /// By name.
    pub fn find(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"and" => Self::And,
            b"call" => Self::Call,
            b"html" => Self::Html,
            b"index" => Self::Index,
            b"slice" => Self::Slice,
            b"js" => Self::Js,
            b"len" => Self::Len,
            b"not" => Self::Not,
            b"or" => Self::Or,
            b"print" => Self::Print,
            b"printf" => Self::Printf,
            b"println" => Self::Println,
            b"urlquery" => Self::Urlquery,
            b"eq" => Self::Eq,
            b"ge" => Self::Ge,
            b"gt" => Self::Gt,
            b"le" => Self::Le,
            b"lt" => Self::Lt,
            b"ne" => Self::Ne,
            _ => return None,
        })
    }
}

impl Drop for Tree {
    /// A tree that nests deeply is taken apart on a stack of its own size.
    fn drop(&mut self) {
        if self.depth > 100 {
            let root = std::mem::take(&mut self.root);
            stacker::grow(self.depth * 4096 + (1 << 20), || drop(root));
        }
    }
}

impl Tree {
    /// Whether it holds nothing but space and definitions.
    pub fn is_empty(&self) -> bool {
        self.root.iter().all(|node| matches!(node, Node::Text(from, to) if self.text[*from..*to].trim_ascii().is_empty()))
    }

    /// `file:line:column` of a place, as errors have it.
    pub fn location(&self, pos: usize) -> String {
        let before = &self.text[..pos.min(self.text.len())];
        let column = memchr::memrchr(b'\n', before).map_or(pos, |newline| pos - newline - 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        format!("{}:{line}:{column}", self.parse_name)
    }
}

fn chain(out: &mut String, fields: &[Str]) {
    for field in fields {
        out.push('.');
        out.push_str(&field.lossy());
    }
}

impl Node {
    /// Where it stands.
    pub fn pos(&self) -> usize {
        match self {
            Self::Text(pos, _) | Self::Action(pos, _) | Self::Template(pos, ..) => *pos,
            Self::If(branch) | Self::With(branch) | Self::Range(branch) => branch.pos,
            Self::Break | Self::Continue => 0,
        }
    }

    /// As errors print it. Of branches they print none.
    pub fn print(&self, out: &mut String) {
        match self {
            Self::Action(_, pipe) => {
                out.push_str("{{");
                pipe.print(out);
                out.push_str("}}");
            }
            Self::Template(_, name, pipe) => {
                out.push_str("{{template ");
                out.push_str(&quote::quoted(name));
                if let Some(pipe) = pipe {
                    out.push(' ');
                    pipe.print(out);
                }
                out.push_str("}}");
            }
            Self::Break => out.push_str("{{break}}"),
            Self::Continue => out.push_str("{{continue}}"),
            Self::Text(..) | Self::If(_) | Self::With(_) | Self::Range(_) => {}
        }
    }
}

impl Pipe {
    /// As errors print it.
    pub fn print(&self, out: &mut String) {
        for (index, name) in self.declared.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(&name.lossy());
        }
        if !self.declared.is_empty() {
            out.push_str(if self.assign { " = " } else { " := " });
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                out.push_str(" | ");
            }
            command.print(out);
        }
    }
}

impl Command {
    /// As errors print it.
    pub fn print(&self, out: &mut String) {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            word.print_in_parens(out);
        }
    }
}

impl Word {
    fn print_in_parens(&self, out: &mut String) {
        if matches!(self.term, Term::Pipe(_)) {
            out.push('(');
            self.print(out);
            out.push(')');
        } else {
            self.print(out);
        }
    }

    /// As errors print it.
    pub fn print(&self, out: &mut String) {
        match &self.term {
            Term::Field(fields) => chain(out, fields),
            Term::Variable(name, fields) => {
                out.push_str(&name.lossy());
                chain(out, fields);
            }
            Term::Chain(inner, fields) => {
                inner.print_in_parens(out);
                chain(out, fields);
            }
            Term::Function(name, _) | Term::Number(name, _) | Term::String(name, _) => out.push_str(&name.lossy()),
            Term::Pipe(pipe) => stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || pipe.print(out)),
            Term::Dot => out.push('.'),
            Term::Nil => out.push_str("nil"),
            Term::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        }
    }

    /// As errors print it.
    pub fn shown(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }
}
