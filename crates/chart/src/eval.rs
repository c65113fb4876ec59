//! Running templates: Go's `text/template` execution with Helm's `include` and `tpl`.
//!
//! One buffer takes all output; an included template writes to its end and is cut off again. Values are handles, so nothing is copied
//! but text. It knows nothing of charts.

mod builtin;
mod call;
mod compare;
mod escape;
mod expression;
mod walk;

use std::collections::HashMap;
use std::rc::Rc;

use memchr::memmem;
use smallvec::SmallVec;

use crate::functions::{Facts, Failure, Templates};
use crate::parse::node::{Command, Node, Pipe, Tree, Word};
use crate::parse::{self, ParseError};
use crate::print::quote;
use crate::render::Options;
use crate::value::{Str, Type, Value};

/// What Go writes for nothing, and Helm takes out again.
const NO_VALUE: &[u8] = b"<no value>";
/// How often Helm lets a template include itself.
const INCLUDES: usize = 1000;
/// How deep Go lets templates stand in templates.
const DEEPEST: usize = 100_000;
/// How deep `tpl` may stand in `tpl`. Go has no bound but its stack.
const DEEPEST_TPL: usize = 3000;
/// The name of the template that Helm hangs all others on, and that every `tpl` text gets.
pub(crate) const ROOT: &str = "gotpl";

/// Arguments, which are seldom many.
type Arguments = SmallVec<[Value; 4]>;
type Eval<T> = Result<T, Box<Failure>>;

/// What evaluating gives, as Go's reflection would hold it: a nil may be none at all or that of an interface, and errors name the
/// type `interface {}` for what a list or map holds as such.
#[derive(Clone, Debug)]
enum Slot {
    /// Nothing
    Invalid,
    /// A value of its own type
    Plain(Value),
    /// A value in an interface, maybe nil
    Boxed(Value),
}

impl Slot {
    /// What an element of a list or map is.
    fn element(value: Value, of: Type) -> Self {
        if matches!(of, Type::Any) || value.is_nil() { Self::Boxed(value) } else { Self::Plain(value) }
    }

    /// What `reflect.ValueOf` makes of data.
    fn of(value: Value) -> Self {
        if value.is_nil() { Self::Invalid } else { Self::Plain(value) }
    }

    /// Digs out of the interface.
    fn unboxed(self) -> Self {
        match self {
            Self::Boxed(value) => Self::of(value),
            plain => plain,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Invalid => Value::Nil,
            Self::Plain(value) | Self::Boxed(value) => value,
        }
    }

    fn truth(&self) -> bool {
        match self {
            Self::Invalid => false,
            Self::Plain(value) | Self::Boxed(value) => value.truth(),
        }
    }

    /// The static type as errors name it.
    fn type_name(&self) -> String {
        match self {
            Self::Invalid => "<nil>".to_owned(),
            Self::Plain(value) => value.type_name(),
            Self::Boxed(_) => "interface {}".to_owned(),
        }
    }
}

/// Where evaluation stands, for errors.
#[derive(Clone, Copy)]
enum At<'t> {
    Nowhere,
    Node(&'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Word(&'t Word),
}

/// Templates by name; those of a `tpl` text hide those around it.
#[derive(Default)]
pub(crate) struct Scope {
    around: Option<Rc<Self>>,
    trees: HashMap<Str, Rc<Tree>>,
}

impl Scope {
    fn find(&self, name: &[u8]) -> Option<&Rc<Tree>> {
        let mut scope = self;
        loop {
            if let Some(tree) = scope.trees.get(name) {
                return Some(tree);
            }
            scope = scope.around.as_deref()?;
        }
    }

    /// Adds a tree; one that says nothing does not replace one of that name.
    pub(crate) fn add(&mut self, tree: Rc<Tree>) {
        if !(tree.is_empty() && self.find(&tree.name).is_some()) {
            self.trees.insert(tree.name.clone(), tree);
        }
    }
}

/// What is common to all templates of a rendering.
pub(crate) struct Machine<'f> {
    facts: &'f dyn Facts,
    strict: bool,
    lint: bool,
    steps_left: u64,
    out: Vec<u8>,
    scope: Rc<Scope>,
    /// How often each template is being included now.
    including: HashMap<Str, usize>,
    /// Texts that `tpl` has seen.
    texts: HashMap<Str, Vec<Rc<Tree>>>,
    depth: usize,
    texts_open: usize,
    /// `$`
    root: Str,
}

/// A template that runs.
struct State<'t, 'm, 'f> {
    machine: &'m mut Machine<'f>,
    tree: &'t Tree,
    at: At<'t>,
    variables: Vec<(Str, Slot)>,
    depth: usize,
}

impl<'f> Machine<'f> {
    pub(crate) fn new(facts: &'f dyn Facts, scope: Scope, options: Options) -> Self {
        let scope = Rc::new(scope);
        Self {
            facts,
            strict: options.strict,
            lint: options.lint,
            steps_left: options.steps.unwrap_or(u64::MAX),
            out: Vec::new(),
            scope,
            including: HashMap::new(),
            texts: HashMap::new(),
            depth: 0,
            texts_open: 0,
            root: Str::from("$"),
        }
    }

    /// Renders a template by name, as the text of a file.
    pub(crate) fn render(&mut self, name: &Str, data: Value) -> Result<Vec<u8>, Failure> {
        self.out.clear();
        self.execute(name, data)?;
        let out = without_no_value(&self.out, 0).unwrap_or_else(|| std::mem::take(&mut self.out));
        Ok(out)
    }

    fn execute(&mut self, name: &Str, data: Value) -> Result<(), Failure> {
        let Some(tree) = self.scope.find(name).cloned() else {
            return Err(Failure::new(format!(
                "template: no template {} associated with template \"{ROOT}\"",
                quote::quoted(name)
            )));
        };
        self.run(&tree, data)
    }

    fn run(&mut self, tree: &Tree, data: Value) -> Result<(), Failure> {
        self.depth += 1;
        let data = Slot::of(data);
        let variables = vec![(self.root.clone(), data.clone())];
        let mut state = State { machine: self, tree, at: At::Nowhere, variables, depth: 0 };
        let done = if state.machine.depth > DEEPEST {
            Err(state.error(format!("exceeded maximum template depth ({DEEPEST})")))
        } else {
            state.list(&data, &tree.root).map(|_| ())
        };
        self.depth -= 1;
        done.map_err(|failure| *failure)
    }

    /// The trees of a `tpl` text, the last its own.
    fn read(&mut self, text: &Str) -> Result<Vec<Rc<Tree>>, ParseError> {
        if let Some(trees) = self.texts.get(text) {
            return Ok(trees.clone());
        }
        let trees = parse::parse(&Str::from(ROOT), &Rc::from(text.as_bytes()))?;
        self.texts.insert(text.clone(), trees.clone());
        Ok(trees)
    }
}

impl Templates for Machine<'_> {
    fn include(&mut self, name: &Str, data: Value) -> Result<Value, Failure> {
        if !self.including.contains_key(name) {
            self.including.insert(name.clone(), 0);
        }
        let Some(open) = self.including.get_mut(name) else { return Ok(Value::Nil) };
        if *open > INCLUDES {
            let inner = Failure::new("unable to execute template");
            return Err(Failure::wrapping(&format!("rendering template has a nested reference name: {name}: "), inner));
        }
        *open += 1;
        let start = self.out.len();
        let done = self.execute(name, data);
        if let Some(open) = self.including.get_mut(name) {
            *open -= 1;
        }
        let text = Str::from(&self.out[start..]);
        self.out.truncate(start);
        done.map(|()| Value::String(text))
    }

    fn tpl(&mut self, text: &Str, data: Value) -> Result<Value, Failure> {
        if memmem::find(text, b"{{").is_none() {
            return Ok(Value::String(without_no_value(text, 0).map_or_else(|| text.clone(), Str::from)));
        }
        if self.texts_open >= DEEPEST_TPL {
            return Err(Failure::new(format!("exceeded maximum tpl depth ({DEEPEST_TPL})")));
        }
        let trees = self.read(text).map_err(|error| {
            Failure::wrapping(&format!("cannot parse template {}: ", quote::quoted(text)), Failure::new(error.to_string()))
        })?;
        let mut scope = Scope { around: Some(self.scope.clone()), trees: HashMap::new() };
        trees.iter().for_each(|tree| scope.add(tree.clone()));
        let around = std::mem::replace(&mut self.scope, Rc::new(scope));
        let start = self.out.len();
        self.texts_open += 1;
        let done = trees.iter().find(|tree| tree.name == ROOT).map_or(Ok(()), |tree| self.run(tree, data));
        self.texts_open -= 1;
        self.scope = around;
        let written = without_no_value(&self.out, start).map_or_else(|| Str::from(&self.out[start..]), Str::from);
        self.out.truncate(start);
        match done {
            Ok(()) => Ok(Value::String(written)),
            Err(inner) => {
                Err(Failure::wrapping(&format!("error during tpl function execution for {}: ", quote::quoted(text)), inner))
            }
        }
    }
}

/// A text from a place on without each `<no value>`; nothing where there is none.
fn without_no_value(text: &[u8], start: usize) -> Option<Vec<u8>> {
    let text = &text[start..];
    let mut found = memmem::find_iter(text, NO_VALUE).peekable();
    found.peek()?;
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in found {
        out.extend_from_slice(&text[from..at]);
        from = at + NO_VALUE.len();
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}
