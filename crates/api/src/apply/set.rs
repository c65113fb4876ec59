//! Sets of fields, as `fieldsV1` writes them: a tree whose edges are fields (`f:`), keyed items (`k:`), values (`v:`) or indexes (`i:`).

use crate::document::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// One step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of an object.
    Field(String),
    /// The item of a list that has these key fields; they are sorted, their values are JSON texts.
    Key(Vec<(String, String)>),
    /// The item of a list that is this value, as JSON text.
    Value(String),
    /// The item at this place.
    Index(i64),
}

impl Element {
    fn parse(text: &str) -> Option<Self> {
        let (sort, rest) = text.split_once(':')?;
        match sort {
            "f" => Some(Self::Field(rest.to_owned())),
            "v" => Some(Self::Value(Value::parse_json(rest.as_bytes()).ok()?.0.to_string())),
            "i" => rest.parse().ok().map(Self::Index),
            "k" => {
                let (keys, _) = Value::parse_json(rest.as_bytes()).ok()?;
                let mut keys: Vec<_> =
                    keys.as_object()?.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
                keys.sort();
                Some(Self::Key(keys))
            }
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Value(json) => format!("v:{json}"),
            Self::Index(index) => format!("i:{index}"),
            Self::Key(keys) => {
                let fields: Vec<String> =
                    keys.iter().map(|(name, json)| format!("{}:{json}", Value::from(name.as_str()))).collect();
                format!("k:{{{}}}", fields.join(","))
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(json) => write!(f, "[={json}]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(keys) => {
                let fields: Vec<String> = keys.iter().map(|(name, json)| format!("{name}={json}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
        }
    }
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<Element, Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl FieldSet {
    /// Reads `fieldsV1`; what is not understood is left out.
    pub fn parse(fields: &Value) -> Self {
        let mut set = Self::default();
        for (name, below) in fields.as_object().into_iter().flat_map(Map::iter) {
            let Some(element) = Element::parse(name) else { continue };
            let node = set.nodes.entry(element).or_default();
            node.below = Self::parse(below);
            // A leaf is a member; an inner node is one when it says so.
            node.member = below.is_empty() || below.field(".").is_some();
        }
        set
    }

    /// As `fieldsV1`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.nodes {
            let mut below = node.below.to_value();
            if node.member
                && !node.below.is_empty()
                && let Some(below) = below.as_object_mut()
            {
                below.insert_first(".", Value::object());
            }
            map.insert(element.text(), below);
        }
        Value::Object(map)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the field or anything below it is a member.
    pub fn reaches(&self, element: &Element) -> bool {
        self.nodes.contains_key(element)
    }

    /// The members below a field.
    pub fn below(&self, element: &Element) -> Option<&FieldSet> {
        self.nodes.get(element).map(|node| &node.below)
    }

    /// Puts a field in.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut set = self;
        for element in parents {
            set = &mut set.nodes.entry(element.clone()).or_default().below;
        }
        set.nodes.entry(last.clone()).or_default().member = true;
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (element, node) in &other.nodes {
            let mine = all.nodes.entry(element.clone()).or_default();
            mine.member |= node.member;
            mine.below = mine.below.union(&node.below);
        }
        all
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combined(other, |mine, theirs| mine && !theirs)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(other, |mine, theirs| mine && theirs)
    }

    fn combined(&self, other: &Self, keep: fn(bool, bool) -> bool) -> Self {
        let nothing = Node::default();
        let mut kept = BTreeMap::new();
        for (element, node) in &self.nodes {
            let theirs = other.nodes.get(element).unwrap_or(&nothing);
            let member = keep(node.member, theirs.member);
            let below = node.below.combined(&theirs.below, keep);
            if member || !below.is_empty() {
                kept.insert(element.clone(), Node { member, below });
            }
        }
        Self { nodes: kept }
    }

    /// Takes a field and all below it out.
    pub fn remove_all(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let element = Element::Field((*first).to_owned());
        if rest.is_empty() {
            self.nodes.remove(&element);
        } else if let Some(node) = self.nodes.get_mut(&element) {
            node.below.remove_all(rest);
            if !node.member && node.below.is_empty() {
                self.nodes.remove(&element);
            }
        }
    }

    /// Every member's path as upstream writes it: `.spec.containers[name="a"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect(&self, prefix: &str, found: &mut Vec<String>) {
        for (element, node) in &self.nodes {
            let path = format!("{prefix}{element}");
            if node.member {
                found.push(path.clone());
            }
            node.below.collect(&path, found);
        }
    }
}
