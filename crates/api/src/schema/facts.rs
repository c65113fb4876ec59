//! The table of built-in schemas: parsed definition by definition when first asked for.
//!
//! `facts.txt` has a line `@name type attributes` a definition, and after it a line `field type attributes` for each field. Types: `b`oolean,
//! `i`nteger, `n`umber, `s`tring (each with `:format`), `q`uantity, `x` integer or string, `[item`, `{value`, `o`bject, `*` anything,
//! `&name` a definition. Attributes: `l:keys` list map, `set`, `atomic`, `p:strategy:key` merge strategy, `!` required, `=default`.
//! Names are shortened: `~` for `io.k8s.api.`, `^` for `io.k8s.apimachinery.pkg.apis.meta.v1.`. Both tables are written by the example
//! `schema_facts` of testkit.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, OnceLock},
};

use super::{ListType, PatchStrategy, Schema, Type};
use crate::document::Value;

const FACTS: &str = include_str!("facts.txt");
const DESCRIPTIONS: &str = include_str!("descriptions.txt");

/// The text that explains a definition or a field.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The definition itself.
    pub text: &'static str,
}

impl Description {
    /// The description of a definition (`field` empty) or of one of its fields; backslashes escape new lines.
    pub fn of(definition: &str, field: &str) -> Option<Self> {
        static PLACES: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| places(DESCRIPTIONS, '\t'));
        let lines = DESCRIPTIONS.get(*PLACES.get(&*short(definition))?..)?.lines();
        let mut block = lines.enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with('@')).map(|(_, line)| line);
        let head = block.next()?;
        let line = if field.is_empty() { head } else { block.find(|line| line.split('\t').next() == Some(field))? };
        line.split_once('\t').map(|(_, text)| Self { text })
    }

    /// The text as it was written.
    pub fn unescaped(self) -> String {
        self.text.replace("\\n", "\n").replace("\\\\", "\\")
    }
}

struct Definition {
    name: &'static str,
    text: &'static str,
    parsed: OnceLock<Schema>,
}

static DEFINITIONS: LazyLock<HashMap<&'static str, Definition>> = LazyLock::new(|| {
    let definition = |(name, at): (&'static str, usize)| (name, Definition { name, text: &FACTS[at..], parsed: OnceLock::new() });
    places(FACTS, ' ').into_iter().map(definition).collect()
});

/// Where each definition begins, by its short name.
fn places(table: &'static str, separator: char) -> HashMap<&'static str, usize> {
    let mut found = HashMap::new();
    let mut at = 0;
    for line in table.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix('@').and_then(|line| line.split([separator, '\n']).next()) {
            found.insert(name, at);
        }
        at += line.len();
    }
    found
}

fn short(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("io.k8s.apimachinery.pkg.apis.meta.v1.") {
        format!("^{rest}")
    } else if let Some(rest) = name.strip_prefix("io.k8s.api.") {
        format!("~{rest}")
    } else {
        name.to_owned()
    }
}

fn long(name: &str) -> String {
    match name.split_at_checked(1) {
        Some(("^", rest)) => format!("io.k8s.apimachinery.pkg.apis.meta.v1.{rest}"),
        Some(("~", rest)) => format!("io.k8s.api.{rest}"),
        _ => name.to_owned(),
    }
}

/// The definition of a name such as `io.k8s.api.core.v1.Pod`, or of the short form in the table.
pub fn named(name: &str) -> Option<&'static Schema> {
    let definition = DEFINITIONS.get(name).or_else(|| DEFINITIONS.get(&*short(name)))?;
    Some(definition.parsed.get_or_init(|| parse(definition)))
}

/// The names of all definitions.
pub fn names() -> impl Iterator<Item = String> {
    DEFINITIONS.keys().map(|name| long(name))
}

fn parse(definition: &Definition) -> Schema {
    let mut lines = definition.text.lines();
    let head = lines.next().and_then(|line| line.split_once(' ')).map_or("o", |(_, rest)| rest);
    let mut schema = node(head).0;
    schema.name = Some(long(definition.name).into());
    for (field, rest) in lines.take_while(|line| !line.starts_with('@')).filter_map(|line| line.split_once(' ')) {
        let field: Arc<str> = field.into();
        let (node, required) = node(rest);
        if required {
            schema.required.push(Arc::clone(&field));
        }
        schema.properties.insert(field, node);
    }
    schema
}

/// A node out of its type and attributes, and whether it is required.
fn node(text: &'static str) -> (Schema, bool) {
    let (text, default) = text.split_once(" =").map_or((text, None), |(text, default)| (text, Some(default)));
    let mut words = text.split(' ');
    let mut schema = typed(words.next().unwrap_or("*"));
    let mut required = false;
    for word in words {
        match word.split_once(':') {
            Some(("l", keys)) => schema.list = ListType::Map(keys.split(',').map(Into::into).collect()),
            Some(("p", strategy)) => schema.patch = patch_strategy(strategy),
            _ => match word {
                "set" => schema.list = ListType::Set,
                "atomic" => schema.atomic = true,
                "!" => required = true,
                _ => {}
            },
        }
    }
    schema.default = default.and_then(|text| Value::parse_json(text.as_bytes()).ok()).map(|(value, _)| value);
    (schema, required)
}

fn patch_strategy(text: &str) -> PatchStrategy {
    let (names, key) = text.split_once(':').map_or((text, None), |(names, key)| (names, Some(key)));
    let has = |name: &str| names.split(',').any(|found| found == name);
    PatchStrategy { merge: has("merge"), retain_keys: has("retainKeys"), replace: has("replace"), merge_key: key.map(Into::into) }
}

fn typed(text: &'static str) -> Schema {
    let (head, rest) = text.split_at(1.min(text.len()));
    let format = rest.strip_prefix(':').map(Arc::from);
    let plain = |kind| Schema { kind, format: format.clone(), ..Schema::default() };
    match head {
        "b" => plain(Type::Boolean),
        "i" => plain(Type::Integer),
        "n" => plain(Type::Number),
        "s" => plain(Type::String),
        "q" => Schema { kind: Type::IntOrString, format: Some("quantity".into()), ..Schema::default() },
        "x" => plain(Type::IntOrString),
        "[" => Schema { kind: Type::Array, items: Some(Arc::new(typed(rest.trim_end_matches(']')))), ..Schema::default() },
        "{" => Schema { kind: Type::Object, additional: Some(Arc::new(typed(rest.trim_end_matches('}')))), ..Schema::default() },
        "&" => Schema { reference: Some(rest), ..Schema::default() },
        "o" => plain(Type::Object),
        _ => Schema { preserve_unknown: true, ..Schema::default() },
    }
}

/// The full name of a definition as a text that lives as long as the program; empty when there is no such definition.
pub(crate) fn interned(name: &str) -> &'static str {
    DEFINITIONS.get(&*short(name)).map_or("", |definition| definition.name)
}
