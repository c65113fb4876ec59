//! The steps of a template: text, actions, branches, loops and templates within.

use std::rc::Rc;

use super::{At, DEEPEST, Eval, NO_VALUE, Slot, State};
use crate::functions::Failure;
use crate::parse::node::{Branch, Node, Pipe};
use crate::print;
use crate::print::quote;
use crate::value::{Str, Value};

/// A loop that has written so much is stopped. Go would end for want of memory.
const LONGEST: usize = 1 << 30;

/// How a step ended.
#[derive(PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t> State<'t, '_, '_> {
    /// An error as Go words it, with the place.
    pub(super) fn error(&self, text: impl AsRef<str>) -> Box<Failure> {
        Box::new(Failure::new(self.placed(text.as_ref())))
    }

    /// An error that wraps another at its end.
    pub(super) fn error_wrapping(&self, text: &str, inner: Failure) -> Box<Failure> {
        Box::new(Failure::wrapping(&self.placed(text), inner))
    }

    fn placed(&self, text: &str) -> String {
        let mut context = String::new();
        let pos = match self.at {
            At::Nowhere => return format!("template: {}: {text}", self.tree.name),
            At::Node(node) => {
                node.print(&mut context);
                node.pos()
            }
            At::Pipe(pipe) => {
                pipe.print(&mut context);
                pipe.pos
            }
            At::Command(command) => {
                command.print(&mut context);
                command.pos
            }
            At::Word(word) => {
                word.print(&mut context);
                word.pos
            }
        };
        let name = quote::quoted(&self.tree.name);
        format!("template: {}: executing {name} at <{context}>: {text}", self.tree.location(pos))
    }

    pub(super) fn list(&mut self, dot: &Slot, nodes: &'t [Node]) -> Eval<Flow> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || {
            for node in nodes {
                let flow = self.step(dot, node)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })
    }

    fn step(&mut self, dot: &Slot, node: &'t Node) -> Eval<Flow> {
        self.at = At::Node(node);
        let Some(left) = self.machine.steps_left.checked_sub(1) else {
            return Err(self.error("the rendering takes more steps than it may"));
        };
        self.machine.steps_left = left;
        match node {
            Node::Text(from, to) => self.machine.out.extend_from_slice(&self.tree.text[*from..*to]),
            Node::Action(_, pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.at = At::Node(node);
                    self.print(&value);
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template(_, name, pipe) => self.template(dot, name, pipe.as_deref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Slot) {
        let out = &mut self.machine.out;
        match value {
            Slot::Invalid | Slot::Boxed(Value::Nil) => out.extend_from_slice(NO_VALUE),
            Slot::Plain(value) | Slot::Boxed(value) => print::append_pointee(out, value),
        }
    }

    fn branch(&mut self, dot: &Slot, branch: &'t Branch, with: bool) -> Eval<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.truth() {
            self.list(if with { &value } else { dot }, &branch.list)?
        } else if let Some(otherwise) = &branch.otherwise {
            self.list(dot, otherwise)?
        } else {
            Flow::Next
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Slot, branch: &'t Branch) -> Eval<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let ran = self.iterate(branch, value)?;
        let mut flow = Flow::Next;
        if !ran && let Some(otherwise) = &branch.otherwise {
            flow = self.list(dot, otherwise)?;
        }
        self.variables.truncate(mark);
        // A `break` in the `else` part ends this loop too, as in Go; a `continue` there goes on up.
        Ok(if flow == Flow::Break { Flow::Next } else { flow })
    }

    /// Runs the body for each element; says whether there was one.
    fn iterate(&mut self, branch: &'t Branch, value: Slot) -> Eval<bool> {
        let value = match value {
            Slot::Invalid => return Ok(false),
            Slot::Plain(Value::Object(object)) => object.scalar().unwrap_or(Value::Object(object)),
            Slot::Plain(value) | Slot::Boxed(value) => value,
        };
        match value {
            Value::Int(count, width) => self
                .count(branch, u64::try_from(count).unwrap_or(0), |at| Value::Int(i64::try_from(at).unwrap_or(i64::MAX), width)),
            Value::Uint(count, width) => self.count(branch, count, |at| Value::Uint(at, width)),
            Value::List(list) => {
                let of = list.go_type().element();
                let count = list.len();
                for at in 0..count {
                    let element = Slot::element(list.get(at).unwrap_or_default(), of);
                    let index = Slot::Plain(Value::int(i64::try_from(at).unwrap_or(i64::MAX)));
                    if !self.once(branch, index, element)? {
                        break;
                    }
                }
                Ok(count > 0)
            }
            Value::Map(map) => {
                let of = map.go_type().element();
                let entries = map.entries();
                let ran = !entries.is_empty();
                for (key, element) in entries {
                    if !self.once(branch, Slot::Plain(Value::String(key)), Slot::element(element, of))? {
                        break;
                    }
                }
                Ok(ran)
            }
            other => {
                let mut shown = Vec::new();
                print::append_pointed(&mut shown, &other);
                Err(self.error(format!("range can't iterate over {}", Str::from(shown))))
            }
        }
    }

    fn count(&mut self, branch: &'t Branch, count: u64, element: impl Fn(u64) -> Value) -> Eval<bool> {
        if branch.pipe.declared.len() > 1 {
            let shown = print::display(&element(count));
            return Err(self.error(format!("can't use {shown} to iterate over more than one variable")));
        }
        for at in 0..count {
            if !self.once(branch, Slot::Invalid, Slot::Plain(element(at)))? {
                break;
            }
        }
        Ok(count > 0)
    }

    /// One round; says whether another may follow.
    fn once(&mut self, branch: &'t Branch, index: Slot, element: Slot) -> Eval<bool> {
        if self.machine.out.len() > LONGEST {
            return Err(self.error("the output is too long"));
        }
        let mark = self.variables.len();
        match &branch.pipe.declared[..] {
            [] => {}
            [one] if branch.pipe.assign => self.assign(one, element.clone())?,
            [one, two] if branch.pipe.assign => {
                self.assign(one, index)?;
                self.assign(two, element.clone())?;
            }
            [_] => self.variables[mark - 1].1 = element.clone(),
            _ => {
                self.variables[mark - 1].1 = element.clone();
                self.variables[mark - 2].1 = index;
            }
        }
        let flow = self.list(&element, &branch.list)?;
        self.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    pub(super) fn assign(&mut self, name: &Str, value: Slot) -> Eval<()> {
        match self.variables.iter_mut().rev().find(|(have, _)| have == name) {
            Some((_, slot)) => {
                *slot = value;
                Ok(())
            }
            None => Err(self.error(format!("undefined variable: {name}"))),
        }
    }

    fn template(&mut self, dot: &Slot, name: &Str, pipe: Option<&'t Pipe>) -> Eval<()> {
        let Some(tree) = self.machine.scope.find(name).cloned() else {
            return Err(self.error(format!("template {} not defined", quote::quoted(name))));
        };
        if self.depth == DEEPEST || self.machine.depth + self.depth > 2 * DEEPEST {
            return Err(self.error(format!("exceeded maximum template depth ({DEEPEST})")));
        }
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Slot::Invalid,
        };
        let tree: Rc<_> = tree;
        let variables = vec![(self.machine.root.clone(), dot.clone())];
        let mut inner = State { machine: self.machine, tree: &tree, at: At::Nowhere, variables, depth: self.depth + 1 };
        inner.list(&dot, &tree.root).map(|_| ())
    }
}
