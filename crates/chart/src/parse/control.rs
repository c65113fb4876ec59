//! Files, definitions and control structures: what stands between `{{` and its `end`.

use super::lex::{Item, Token};
use super::node::{Branch, Node};
use super::{DEEPEST_ACTION, Parsed, Parser, Progress};
use crate::print::quote;
use crate::value::Str;

/// What was read where text or an action stood.
enum Step {
    Node(Node),
    End,
    Else,
}

impl Step {
    fn shown(&self) -> &'static str {
        if matches!(self, Self::Else) { "{{else}}" } else { "{{end}}" }
    }
}

impl<'t> Parser<'t> {
    pub(super) fn file(&mut self) -> Parsed<Vec<Node>> {
        let mark = self.nodes.len();
        while self.peek().token != Token::Eof {
            if self.peek().token == Token::LeftDelim {
                let delim = self.next();
                if self.next_non_space().token == Token::Define {
                    self.definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.step()? {
                Step::Node(node) => self.nodes.push(node),
                other => return self.fail(format!("unexpected {}", other.shown())),
            }
        }
        Ok(self.nodes.split_off(mark))
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        self.apart(|parser| {
            let item = parser.next_non_space();
            let name = parser.template_name(&item, CONTEXT)?;
            parser.expect(Token::RightDelim, CONTEXT)?;
            parser.body_of(name, CONTEXT)
        })
    }

    fn body_of(&mut self, name: Str, context: &str) -> Parsed<()> {
        let (list, end) = self.list()?;
        if !matches!(end, Step::End) {
            return self.fail(format!("unexpected {} in {context}", end.shown()));
        }
        self.add(name, list)
    }

    /// Reads a definition with variables, loops and look-ahead of its own.
    fn apart(&mut self, read: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.at, Progress::new());
        let deepest = std::mem::take(&mut self.deepest);
        let done = read(self);
        if done.is_ok() {
            self.at = outer;
        }
        self.deepest = deepest;
        done
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Step)> {
        let mark = self.nodes.len();
        while self.peek_non_space().token != Token::Eof {
            match self.step()? {
                Step::Node(node) => self.nodes.push(node),
                end => return Ok((self.nodes.split_off(mark), end)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn step(&mut self) -> Parsed<Step> {
        let item = self.next_non_space();
        match item.token {
            Token::Text => Ok(Step::Node(Node::Text(item.pos, item.pos + item.text.len()))),
            Token::LeftDelim => {
                self.at.action_line = item.line;
                if self.nest > DEEPEST_ACTION {
                    return self.fail("max action depth exceeded");
                }
                let step = self.deeper(Self::action)?;
                self.at.action_line = 0;
                Ok(step)
            }
            _ => self.unexpected(&item, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Step> {
        let item = self.next_non_space();
        let node = match item.token {
            Token::Block => self.block()?,
            Token::Break => self.jump("{{break}}", Node::Break)?,
            Token::Continue => self.jump("{{continue}}", Node::Continue)?,
            Token::Else => return self.otherwise(),
            Token::End => {
                self.expect(Token::RightDelim, "end")?;
                return Ok(Step::End);
            }
            Token::If => Node::If(Box::new(self.branch("if")?)),
            Token::Range => Node::Range(Box::new(self.branch("range")?)),
            Token::With => Node::With(Box::new(self.branch("with")?)),
            Token::Template => self.template()?,
            _ => {
                self.backup();
                let pos = self.peek().pos;
                Node::Action(pos, self.pipeline("command", Token::RightDelim)?)
            }
        };
        Ok(Step::Node(node))
    }

    fn jump(&mut self, shown: &str, node: Node) -> Parsed<Node> {
        let item = self.next_non_space();
        if item.token != Token::RightDelim {
            return self.unexpected(&item, shown);
        }
        if self.at.ranges == 0 {
            return self.fail(format!("{shown} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn otherwise(&mut self) -> Parsed<Step> {
        // An `else if` leaves its `if` to be read.
        if !matches!(self.peek_non_space().token, Token::If | Token::With) {
            self.expect(Token::RightDelim, "else")?;
        }
        Ok(Step::Else)
    }

    fn branch(&mut self, context: &str) -> Parsed<Branch> {
        let variables = self.at.variables.len();
        let pipe = self.pipeline(context, Token::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.at.ranges += in_range;
        let (list, end) = self.list()?;
        self.at.ranges -= in_range;
        let otherwise = if matches!(end, Step::Else) { Some(self.else_branch(context)?) } else { None };
        self.at.variables.truncate(variables);
        Ok(Branch { pos: pipe.pos, pipe, list, otherwise })
    }

    fn else_branch(&mut self, context: &str) -> Parsed<Vec<Node>> {
        match (context, self.peek().token) {
            ("if", Token::If) => {
                self.next();
                Ok(vec![Node::If(Box::new(self.chained("if")?))])
            }
            ("with", Token::With) => {
                self.next();
                Ok(vec![Node::With(Box::new(self.chained("with")?))])
            }
            _ => {
                let (list, end) = self.list()?;
                if !matches!(end, Step::End) {
                    return self.fail(format!("expected end; found {}", end.shown()));
                }
                Ok(list)
            }
        }
    }

    fn chained(&mut self, context: &str) -> Parsed<Branch> {
        if self.nest > DEEPEST_ACTION {
            return self.fail("max action depth exceeded");
        }
        self.deeper(|parser| parser.branch(context))
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let item = self.next_non_space();
        let name = self.template_name(&item, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Token::RightDelim)?;
        self.apart(|parser| parser.body_of(name.clone(), CONTEXT))?;
        Ok(Node::Template(item.pos, name, Some(Box::new(pipe))))
    }

    fn template(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let item = self.next_non_space();
        let name = self.template_name(&item, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().token != Token::RightDelim {
            self.backup();
            pipe = Some(Box::new(self.pipeline(CONTEXT, Token::RightDelim)?));
        }
        Ok(Node::Template(item.pos, name, pipe))
    }

    fn template_name(&mut self, item: &Item<'t>, context: &str) -> Parsed<Str> {
        if !matches!(item.token, Token::String | Token::RawString) {
            return self.unexpected(item, context);
        }
        match quote::unquote(&item.text) {
            Some(name) => Ok(name.into()),
            None => self.fail("invalid syntax"),
        }
    }
}
