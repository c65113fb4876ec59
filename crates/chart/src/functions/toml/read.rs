//! Reading TOML, with the rules and error texts of BurntSushi's library, which Helm uses.
//!
//! Characters and values stand in `read/scan.rs` and `read/text.rs`; here are tables, keys, and what may be said twice.

use std::collections::HashSet;

use crate::golang::moment::Zone;
use crate::print::quote::quoted;
use crate::value::{ANY_MAP, List, Map, Str, Type, Value};

mod number;
mod scan;
mod text;

use scan::{Fault, Scanner};

const TABLES: Type = Type::List(&ANY_MAP);
/// Lists and tables in one another that are still read.
const DEPTH_MAX: usize = 500;

/// The zones that dates without one are in: the local zone, and its offset at present.
pub struct Zones {
    /// The local zone.
    pub local: Zone,
    /// Its offset in seconds.
    pub offset: i64,
}

/// Reads a document; an error is Go's text.
pub fn read(text: &[u8], zones: &Zones) -> Result<Map, String> {
    let mut reader = Reader {
        scan: Scanner::new(text),
        zones,
        root: Map::any(),
        context: Vec::new(),
        current: Str::default(),
        key_line: 1,
        implicit: HashSet::new(),
        lists: HashSet::new(),
    };
    if text.iter().take(6).any(|byte| *byte == 0) {
        return Err("toml: line 1: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8".to_owned());
    }
    match reader.document() {
        Ok(()) => Ok(reader.root),
        Err(fault) => {
            let key = reader.last_key();
            let after = if key.is_empty() { String::new() } else { format!(" (last key {})", quoted(key.as_bytes())) };
            Err(format!("toml: line {}{after}: {}", fault.line, fault.problem))
        }
    }
}

type Read<T> = Result<T, Fault>;

struct Reader<'a> {
    scan: Scanner<'a>,
    zones: &'a Zones,
    root: Map,
    /// The table at hand.
    context: Vec<Str>,
    /// The key at hand, once it is read whole.
    current: Str,
    /// Where the first part of the key at hand stands.
    key_line: usize,
    /// Tables that are there only because something stands below them.
    implicit: HashSet<String>,
    /// Keys whose value is a plain list.
    lists: HashSet<String>,
}

/// A key as errors show it: parts with dots between, quoted where need be.
fn shown(key: &[Str]) -> String {
    let bare =
        |part: &Str| !part.is_empty() && part.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let part = |part: &Str| {
        if bare(part) {
            return part.lossy().into_owned();
        }
        let mut out = Vec::new();
        super::quote_into(&mut out, part);
        crate::value::lossy(&out).into_owned()
    };
    key.iter().map(part).collect::<Vec<_>>().join(".")
}

fn joined(key: &[Str], last: &Str) -> Vec<Str> {
    [key, std::slice::from_ref(last)].concat()
}

impl Reader<'_> {
    fn last_key(&self) -> String {
        match (self.context.is_empty(), self.current.is_empty()) {
            (_, true) => shown(&self.context),
            (true, false) => self.current.lossy().into_owned(),
            (false, false) => format!("{}.{}", shown(&self.context), self.current.lossy()),
        }
    }

    /// An error about the key at hand.
    fn key_fault(&self, problem: String) -> Fault {
        Fault { line: self.key_line, problem }
    }

    fn document(&mut self) -> Read<()> {
        loop {
            match self.scan.next()? {
                Some(' ' | '\t' | '\n' | '\r') => {}
                Some('#') => self.scan.comment()?,
                Some('[') => {
                    self.table()?;
                    if !self.line_end()? {
                        return Ok(());
                    }
                }
                None => return Ok(()),
                Some(_) => {
                    self.scan.backup();
                    self.pair(0)?;
                    if !self.line_end()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// What may follow a table's name or a value; says whether there may be more.
    fn line_end(&mut self) -> Read<bool> {
        loop {
            match self.scan.next()? {
                Some(' ' | '\t') => {}
                Some('#') => {
                    self.scan.comment()?;
                    return Ok(true);
                }
                Some('\n' | '\r') => return Ok(true),
                None => return Ok(false),
                Some(other) => {
                    let problem = "expected a top-level item to end with a newline, comment, or EOF, but got";
                    return Err(self.scan.fault(format!("{problem} {} instead", scan::quoted_rune(Some(other)))));
                }
            }
        }
    }

    fn table(&mut self) -> Read<()> {
        let list = self.scan.peek()? == Some('[');
        if list {
            self.scan.next()?;
        }
        let key = self.key(
            ']',
            "unexpected end of table name (table names cannot be empty)",
            "unexpected table separator (table names cannot be empty)",
            |scan, other| {
                let problem = "expected '.' or ']' to end table name, but got";
                scan.fault(format!("{problem} {} instead", scan::quoted_rune(other)))
            },
        )?;
        if list {
            let after = self.scan.next()?;
            if after != Some(']') {
                let problem = "expected end of table array name delimiter ']', but got";
                return Err(self.scan.fault(format!("{problem} {} instead", scan::quoted_rune(after))));
            }
        }
        self.add_context(&key, list)
    }

    /// A key of parts with points between, and what ends it. The faults: there is no part, a point stands where a part should, and
    /// something else follows a part.
    fn key(
        &mut self,
        end: char,
        no_part: &str,
        point: &str,
        wrong: impl Fn(&Scanner<'_>, Option<char>) -> Fault,
    ) -> Read<Vec<Str>> {
        let mut key = Vec::new();
        loop {
            self.scan.blanks()?;
            let part = match self.scan.peek()? {
                Some('.') => return Err(self.scan.fault(point)),
                Some(first) if first != end => self.key_part(first, key.is_empty())?,
                _ => return Err(self.scan.fault(no_part)),
            };
            key.push(part);
            self.scan.blanks()?;
            match self.scan.next()? {
                Some('.') => {}
                other if other == Some(end) => return Ok(key),
                other => return Err(wrong(&self.scan, other)),
            }
        }
    }

    /// One part of a key; `first` is the character that it starts with.
    fn key_part(&mut self, first: char, leading: bool) -> Read<Str> {
        let part = match first {
            '"' | '\'' => {
                self.scan.next()?;
                self.scan.quoted(first)?
            }
            _ => self.scan.bare_key()?,
        };
        if leading {
            self.key_line = self.scan.line;
        }
        Ok(part)
    }

    /// A key with its value. `depth` says how deep in lists and tables it stands.
    fn pair(&mut self, depth: usize) -> Read<(Vec<Str>, Value)> {
        self.scan.blanks()?;
        match self.scan.peek()? {
            Some('=') | None => return Err(self.scan.fault("unexpected '=': key name appears blank")),
            Some('.') => return Err(self.scan.fault("unexpected '.': keys cannot start with a '.'")),
            Some(_) => {}
        }
        let key = self.key('=', "unexpected '='", "unexpected '.'", |scan, other| {
            if other.is_none() {
                return scan.fault("unexpected EOF; expected key separator '='");
            }
            let problem = format!("expected '.' or '=', but got {} instead", scan::quoted_rune(other));
            let before = usize::from(other == Some('\n'));
            Fault { line: scan.line - before, problem }
        })?;
        let outer = self.context.clone();
        let (last, parents) = key.split_last().expect("a key has a part");
        self.current = last.clone();
        for parent in parents {
            let context = joined(&self.context, parent);
            self.implicit.insert(shown(&context));
            self.add_context(&context, false)?;
        }
        let value = self.value(depth)?;
        self.set(last, value.clone())?;
        self.note_list(&value);
        if depth == 0 {
            self.context = outer;
            self.current = Str::default();
        }
        Ok((key, value))
    }

    /// Remembers whether the value of the key at hand is a plain list.
    fn note_list(&mut self, value: &Value) {
        let key = shown(&joined(&self.context, &self.current));
        if matches!(value, Value::List(_)) {
            self.lists.insert(key);
        } else {
            self.lists.remove(&key);
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > DEPTH_MAX {
            return Err(self.scan.fault(format!("a document of more than {DEPTH_MAX} levels is refused")));
        }
        self.scan.blanks()?;
        match self.scan.next()? {
            Some('[') => self.list(depth),
            Some('{') => self.inline_table(depth),
            Some(first) => {
                self.scan.backup();
                self.scan.scalar(first, self.zones)
            }
            None => Err(self.scan.fault("unexpected EOF; expected value")),
        }
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let key = if self.current.is_empty() { self.context.clone() } else { joined(&self.context, &self.current) };
        self.lists.insert(shown(&key));
        let mut items = Vec::new();
        loop {
            match self.scan.next()? {
                Some(' ' | '\t' | '\n' | '\r') => continue,
                Some('#') => {
                    self.scan.comment()?;
                    continue;
                }
                Some(',') => return Err(self.scan.fault("unexpected comma")),
                Some(']') => return Ok(Value::list(items)),
                _ => self.scan.backup(),
            }
            items.push(self.value(depth + 1)?);
            loop {
                match self.scan.next()? {
                    Some(' ' | '\t' | '\n' | '\r') => {}
                    Some('#') => self.scan.comment()?,
                    Some(',') => break,
                    Some(']') => return Ok(Value::list(items)),
                    other => {
                        let problem = "expected a comma (',') or array terminator (']'), but got";
                        return Err(self.scan.fault(format!("{problem} {}", scan::rune_or_end(other))));
                    }
                }
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Read<Value> {
        let table = Map::any();
        let (outer_context, outer_key) = (self.context.clone(), self.current.clone());
        let inner = joined(&self.context, &self.current);
        self.current = Str::default();
        self.implicit.insert(shown(&inner));
        // Each table of a list of tables is one of its own; a key within it may be said again in the next.
        self.add_context(&inner, depth > 0 && self.lists.contains(&shown(&inner)))?;
        let inner = self.context.clone();
        loop {
            match self.scan.next()? {
                Some(' ' | '\t' | '\n' | '\r') => continue,
                Some('#') => {
                    self.scan.comment()?;
                    continue;
                }
                Some(',') => return Err(self.scan.fault("unexpected comma")),
                Some('}') => break,
                _ => self.scan.backup(),
            }
            let (key, value) = self.pair(depth + 1)?;
            self.place(&table, &key, value)?;
            self.context.clone_from(&inner);
            if self.inline_table_ends()? {
                break;
            }
        }
        (self.context, self.current) = (outer_context, outer_key);
        Ok(table.into())
    }

    /// What follows a pair of an inline table; says whether the table ends.
    fn inline_table_ends(&mut self) -> Read<bool> {
        loop {
            match self.scan.next()? {
                Some(' ' | '\t' | '\n' | '\r') => {}
                Some('#') => self.scan.comment()?,
                Some(',') => {
                    self.scan.blanks()?;
                    if self.scan.peek()? != Some('}') {
                        return Ok(false);
                    }
                }
                Some('}') => return Ok(true),
                other => {
                    let problem = "expected a comma or an inline table terminator '}', but got";
                    return Err(self.scan.fault(format!("{problem} {} instead", scan::rune_or_end(other))));
                }
            }
        }
    }

    /// Puts a value of an inline table under its key.
    fn place(&mut self, table: &Map, key: &[Str], value: Value) -> Read<()> {
        let (last, parents) = key.split_last().expect("a key has a part");
        let mut at = table.clone();
        for parent in parents {
            let next = at.get(parent).unwrap_or_else(|| Map::any().into());
            let Value::Map(map) = &next else {
                return Err(self.key_fault(format!("{} is not a table", quoted(shown(&self.context).as_bytes()))));
            };
            at.insert(parent.clone(), next.clone());
            at = map.clone();
        }
        at.insert(last.clone(), value);
        Ok(())
    }

    /// Goes to a table, from the root, making what is missing.
    fn add_context(&mut self, key: &[Str], list: bool) -> Read<()> {
        let (last, parents) = key.split_last().expect("a key has a part");
        let mut at = self.root.clone();
        for (index, parent) in parents.iter().enumerate() {
            let context = &key[..=index];
            if !at.contains(parent) {
                self.implicit.insert(shown(context));
                at.insert(parent.clone(), Map::any().into());
            }
            at = table_of(at.get(parent))
                .ok_or_else(|| self.key_fault(format!("Key '{}' was already created as a hash.", shown(context))))?;
        }
        self.context = parents.to_vec();
        if list {
            let tables = at.get(last).unwrap_or_else(|| List::of(TABLES, Vec::new()).into());
            match &tables {
                Value::List(tables) if tables.go_type() == TABLES => tables.change(|items| items.push(Map::any().into())),
                _ => {
                    return Err(
                        self.key_fault(format!("Key '{}' was already created and cannot be used as an array.", shown(key)))
                    );
                }
            }
            at.insert(last.clone(), tables);
        } else {
            self.set(last, Map::any().into())?;
        }
        self.context.push(last.clone());
        Ok(())
    }

    /// Sets a key of the table at hand; what was said outright may not be said again.
    fn set(&mut self, key: &Str, value: Value) -> Read<()> {
        let mut at = self.root.clone();
        for index in 0..self.context.len() {
            let context = &self.context[..=index];
            let defined = || self.key_fault(format!("Key '{}' has already been defined.", shown(context)));
            at = table_of(at.get(&self.context[index])).ok_or_else(defined)?;
        }
        let name = shown(&joined(&self.context, key));
        if at.contains(key) {
            if !self.implicit.remove(&name) {
                return Err(self.key_fault(format!("Key '{name}' has already been defined.")));
            }
            if !self.lists.contains(&name) {
                return Ok(());
            }
        }
        at.insert(key.clone(), value);
        Ok(())
    }
}

/// The table that a value is, or the last of a list of tables.
fn table_of(value: Option<Value>) -> Option<Map> {
    match value? {
        Value::Map(map) => Some(map),
        Value::List(list) if list.go_type() == TABLES => list.items().pop().map(|last| last.as_map()),
        _ => None,
    }
}
