//! Go's template language, from text to trees, with Go's error texts.
//!
//! It knows which functions exist, and nothing of values.

mod control;
mod lex;
pub mod node;
mod number;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use lex::{Item, Lexer, Token};
pub use node::Tree;
use node::{Builtin, Callee, Command, Node, Pipe, Term, Word};

use crate::functions;
use crate::print::quote;
use crate::value::Str;

/// Parentheses within parentheses, as Go bounds them.
const DEEPEST_EXPRESSION: usize = 10_000;
/// Actions within actions. Go has no bound but its stack.
const DEEPEST_ACTION: usize = 20_000;

/// Go's text of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The template is no template.
    #[error("template: {place}: {text}")]
    Read {
        /// `name:line`
        place: String,
        /// What is wrong.
        text: String,
    },
}

/// The first character as Go decodes it (each byte that is no UTF-8 is U+FFFD) and how long it is.
pub fn rune(bytes: &[u8]) -> (u32, usize) {
    match bytes.first() {
        None => (0xfffd, 0),
        Some(first) if *first < 0x80 => (u32::from(*first), 1),
        Some(_) => {
            let head = &bytes[..bytes.len().min(4)];
            let valid = match std::str::from_utf8(head) {
                Ok(text) => text,
                Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
            };
            valid.chars().next().map_or((0xfffd, 1), |it| (u32::from(it), it.len_utf8()))
        }
    }
}

/// Parses a file. The trees are those of its definitions and, last, its own.
pub fn parse(name: &Str, text: &Rc<[u8]>) -> Result<Vec<Rc<Tree>>, ParseError> {
    let mut parser = Parser {
        name,
        shared: text,
        lexer: Lexer::new(text),
        trees: Vec::new(),
        at: Progress::new(),
        nest: 0,
        deepest: 0,
        nodes: Vec::new(),
        commands: Vec::new(),
        words: Vec::new(),
    };
    let root = parser.file()?;
    parser.add(name.clone(), root)?;
    Ok(parser.trees)
}

type Parsed<T> = Result<T, ParseError>;

struct Parser<'t> {
    name: &'t Str,
    shared: &'t Rc<[u8]>,
    lexer: Lexer<'t>,
    trees: Vec<Rc<Tree>>,
    at: Progress<'t>,
    /// How deep the parser stands, and has stood in the tree that it is in.
    nest: usize,
    deepest: usize,
    /// Lists that are being read stand here one upon the other, and each is cut off once it is whole: trees hold no room to grow.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    words: Vec<Word>,
}

/// What Go's parser keeps for each tree, so that a definition starts afresh.
struct Progress<'t> {
    tokens: [Item<'t>; 3],
    peeked: usize,
    variables: Vec<Str>,
    action_line: usize,
    ranges: usize,
    parens: usize,
}

impl Progress<'_> {
    fn new() -> Self {
        let none = || Item { token: Token::Error, pos: 0, text: (&b""[..]).into(), line: 0 };
        Self {
            tokens: [none(), none(), none()],
            peeked: 0,
            variables: vec![Str::from("$")],
            action_line: 0,
            ranges: 0,
            parens: 0,
        }
    }
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Item<'t> {
        if self.at.peeked > 0 {
            self.at.peeked -= 1;
        } else {
            self.at.tokens[0] = self.lexer.item();
        }
        self.at.tokens[self.at.peeked].clone()
    }

    fn backup(&mut self) {
        self.at.peeked += 1;
    }

    fn backup2(&mut self, first: Item<'t>) {
        self.at.tokens[1] = first;
        self.at.peeked = 2;
    }

    fn backup3(&mut self, second: Item<'t>, first: Item<'t>) {
        self.at.tokens[1] = first;
        self.at.tokens[2] = second;
        self.at.peeked = 3;
    }

    fn peek(&mut self) -> &Item<'t> {
        if self.at.peeked == 0 {
            self.at.peeked = 1;
            self.at.tokens[0] = self.lexer.item();
        }
        &self.at.tokens[self.at.peeked - 1]
    }

    fn next_non_space(&mut self) -> Item<'t> {
        loop {
            let item = self.next();
            if item.token != Token::Space {
                return item;
            }
        }
    }

    fn peek_non_space(&mut self) -> &Item<'t> {
        self.next_non_space();
        self.backup();
        &self.at.tokens[self.at.peeked - 1]
    }

    fn fail<T>(&self, text: impl Into<String>) -> Parsed<T> {
        Err(ParseError::Read { place: format!("{}:{}", self.name, self.at.tokens[0].line), text: text.into() })
    }

    fn unexpected<T>(&self, item: &Item<'t>, context: &str) -> Parsed<T> {
        if item.token != Token::Error {
            return self.fail(format!("unexpected {} in {context}", item.shown()));
        }
        let mut text = item.shown();
        if self.at.action_line != 0 && self.at.action_line != item.line {
            // Never "action in action".
            let words = if text.ends_with(" action") { " started at" } else { " in action started at" };
            text = format!("{text}{words} {}:{}", self.name, self.at.action_line);
        }
        self.fail(text)
    }

    fn expect(&mut self, token: Token, context: &str) -> Parsed<Item<'t>> {
        let item = self.next_non_space();
        if item.token == token { Ok(item) } else { self.unexpected(&item, context) }
    }

    /// Installs a tree; an empty one gives way.
    fn add(&mut self, name: Str, root: Vec<Node>) -> Parsed<()> {
        let depth = std::mem::take(&mut self.deepest);
        let tree = Rc::new(Tree { name, parse_name: self.name.clone(), text: self.shared.clone(), root, depth });
        match self.trees.iter_mut().find(|have| have.name == tree.name) {
            None => self.trees.push(tree),
            Some(have) if have.is_empty() => *have = tree,
            Some(_) if tree.is_empty() => {}
            Some(_) => return self.fail(format!("template: multiple definition of template {}", quote::quoted(&tree.name))),
        }
        Ok(())
    }

    fn pipeline(&mut self, context: &str, end: Token) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, assign: false, declared: Vec::new(), commands: Vec::new() };
        while self.peek_non_space().token == Token::Variable && self.declaration(&mut pipe, context)? {}
        let mark = self.commands.len();
        loop {
            let item = self.next_non_space();
            if item.token == end {
                pipe.commands = self.commands.split_off(mark);
                return self.checked(pipe, context);
            }
            if !starts_operand(item.token) {
                return self.unexpected(&item, context);
            }
            self.backup();
            let command = self.command()?;
            self.commands.push(command);
        }
    }

    /// Reads `$x :=`, `$x =` or `$x,` if one stands here; says whether another may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.next();
        // A space after the variable must survive, or `$x foo` could not be told from `$x.foo`.
        let after = self.peek().clone();
        let next = self.peek_non_space();
        match next.token {
            Token::Assign | Token::Declare => {
                pipe.assign = next.token == Token::Assign;
                self.next_non_space();
                self.declare(pipe, &variable);
                Ok(false)
            }
            Token::Char if *next.text == *b"," => {
                self.next_non_space();
                self.declare(pipe, &variable);
                if context == "range" && pipe.declared.len() < 2 {
                    return match self.peek_non_space().token {
                        Token::Variable => Ok(true),
                        Token::RightDelim | Token::RightParen => Ok(false),
                        _ => self.fail("range can only initialize variables"),
                    };
                }
                self.fail(format!("too many declarations in {context}"))
            }
            _ if after.token == Token::Space => {
                self.backup3(variable, after);
                Ok(false)
            }
            _ => {
                self.backup2(variable);
                Ok(false)
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, variable: &Item<'t>) {
        let name = Str::from(&*variable.text);
        pipe.declared.push(name.clone());
        self.at.variables.push(name);
    }

    fn checked(&mut self, pipe: Pipe, context: &str) -> Parsed<Pipe> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(command.words[0].term, Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(..) | Term::String(..)) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Parsed<Command> {
        let pos = self.peek_non_space().pos;
        let mark = self.words.len();
        loop {
            self.peek_non_space();
            if let Some(word) = self.operand()? {
                self.words.push(word);
            }
            let item = self.next();
            match item.token {
                Token::Space => continue,
                Token::RightDelim | Token::RightParen => self.backup(),
                Token::Pipe => {}
                _ => return self.unexpected(&item, "operand"),
            }
            break;
        }
        if self.words.len() == mark {
            return self.fail("empty command");
        }
        Ok(Command { pos, words: self.words.split_off(mark) })
    }

    fn operand(&mut self) -> Parsed<Option<Word>> {
        let Some(mut word) = self.term()? else { return Ok(None) };
        if self.peek().token != Token::Field {
            return Ok(Some(word));
        }
        let pos = self.peek().pos;
        let mut fields = match &mut word.term {
            Term::Field(fields) | Term::Variable(_, fields) => std::mem::take(fields),
            _ => Vec::new(),
        };
        while self.peek().token == Token::Field {
            fields.push(Str::from(&self.next().text[1..]));
        }
        match &mut word.term {
            Term::Field(have) | Term::Variable(_, have) => {
                *have = fields;
                word.pos = pos;
            }
            Term::Bool(_) | Term::String(..) | Term::Number(..) | Term::Nil | Term::Dot => {
                return self.fail(format!("unexpected . after term {}", quote::quoted(word.shown().as_bytes())));
            }
            Term::Chain(..) | Term::Function(..) | Term::Pipe(_) => {
                word = Word { pos, term: Term::Chain(Box::new(word), fields) };
            }
        }
        Ok(Some(word))
    }

    fn term(&mut self) -> Parsed<Option<Word>> {
        let item = self.next_non_space();
        let term = match item.token {
            Token::Identifier => self.function(&item.text)?,
            Token::Dot => Term::Dot,
            Token::Nil => Term::Nil,
            Token::Variable => {
                let name = Str::from(&*item.text);
                if !self.at.variables.contains(&name) {
                    return self.fail(format!("undefined variable {}", quote::quoted(&name)));
                }
                Term::Variable(name, Vec::new())
            }
            Token::Field => Term::Field(vec![Str::from(&item.text[1..])]),
            Token::Bool => Term::Bool(*item.text == *b"true"),
            Token::CharConstant => self.number(&item, number::character)?,
            Token::Complex => self.number(&item, number::complex)?,
            Token::Number => self.number(&item, number::plain)?,
            Token::LeftParen => self.parenthesized()?,
            Token::String | Token::RawString => {
                let Some(text) = quote::unquote(&item.text) else { return self.fail("invalid syntax") };
                Term::String(Str::from(&*item.text), text.into())
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        // A parenthesized pipeline stands where it begins.
        let pos = if let Term::Pipe(pipe) = &term { pipe.pos } else { item.pos };
        Ok(Some(Word { pos, term }))
    }

    fn function(&mut self, name: &[u8]) -> Parsed<Term> {
        let row = std::str::from_utf8(name).ok().and_then(functions::find).map(Callee::Row);
        match row.or_else(|| Builtin::find(name).map(Callee::Builtin)) {
            Some(callee) => Ok(Term::Function(name.into(), callee)),
            None => self.fail(format!("function {} not defined", quote::quoted(name))),
        }
    }

    fn number(&mut self, item: &Item<'t>, read: fn(&[u8]) -> Result<node::Number, String>) -> Parsed<Term> {
        match read(&item.text) {
            Ok(number) => Ok(Term::Number(Str::from(&*item.text), Box::new(number))),
            Err(text) => self.fail(text),
        }
    }

    fn parenthesized(&mut self) -> Parsed<Term> {
        if self.at.parens >= DEEPEST_EXPRESSION {
            return self.fail("max expression depth exceeded");
        }
        self.at.parens += 1;
        let pipe = self.deeper(|parser| parser.pipeline("parenthesized pipeline", Token::RightParen));
        self.at.parens -= 1;
        Ok(Term::Pipe(Box::new(pipe?)))
    }

    /// Goes one level down, on more stack where that is needed.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nest += 1;
        self.deepest = self.deepest.max(self.nest);
        let read = stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || read(self));
        self.nest -= 1;
        read
    }
}

fn starts_operand(token: Token) -> bool {
    use Token::*;
    matches!(
        token,
        Bool | CharConstant | Complex | Dot | Field | Identifier | Number | Nil | RawString | String | Variable | LeftParen
    )
}
