//! From nodes to values: tags, aliases with their limits, merge keys. It never reads text.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;

use super::compose::{Document, Kind, Node, NodeId};
use super::go::{Go, Key};
use crate::yaml::resolve::{Resolved, resolve};

/// Below this many steps nearly all of them may come from aliases, beyond the upper mark only a tenth.
const ALIAS_STEPS_LOW: f64 = 400_000.0;
const ALIAS_STEPS_HIGH: f64 = 4_000_000.0;
/// A walk through aliases may nest as deep as text may.
const DEPTH_MAX: usize = 1000;

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

pub(super) fn decode(document: &Document, strict: bool) -> Result<Go, String> {
    let mut decoder = Decoder {
        nodes: &document.nodes,
        strict,
        open: HashSet::new(),
        steps: 0,
        alias_steps: 0,
        alias_depth: 0,
        depth: 0,
        doubled: Vec::new(),
    };
    let value = decoder.value(document.root)?;
    if decoder.doubled.is_empty() {
        return Ok(value);
    }
    Err(format!("unmarshal errors:\n  {}", decoder.doubled.join("\n  ")))
}

struct Decoder<'d> {
    nodes: &'d [Node],
    strict: bool,
    /// Aliases that are being followed.
    open: HashSet<NodeId>,
    steps: u64,
    alias_steps: u64,
    alias_depth: u64,
    depth: usize,
    doubled: Vec<String>,
}

impl<'d> Decoder<'d> {
    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.alias_depth > 0 {
            self.alias_steps += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts far below 2^52")]
        let (steps, aliases) = (self.steps as f64, self.alias_steps as f64);
        let allowed = if steps <= ALIAS_STEPS_LOW {
            0.99
        } else if steps >= ALIAS_STEPS_HIGH {
            0.10
        } else {
            0.99 - 0.89 * ((steps - ALIAS_STEPS_LOW) / (ALIAS_STEPS_HIGH - ALIAS_STEPS_LOW))
        };
        if self.alias_steps > 100 && self.steps > 1000 && aliases / steps > allowed {
            return Err("document contains excessive aliasing".to_owned());
        }
        Ok(())
    }

    fn value(&mut self, id: NodeId) -> Result<Go, String> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || self.value_here(id))
    }

    fn value_here(&mut self, id: NodeId) -> Result<Go, String> {
        self.step()?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("exceeded max depth of {DEPTH_MAX}"));
        }
        let nodes = self.nodes;
        let value = match &nodes[id].kind {
            Kind::Scalar { value, tag, implicit } => scalar(value, tag.as_deref(), *implicit)?,
            Kind::Sequence(items) => {
                let items = items.iter().map(|item| self.value(*item)).collect::<Result<_, _>>()?;
                Go::List(items)
            }
            Kind::Mapping(children) => {
                let mut map = IndexMap::with_capacity(children.len() / 2);
                self.entries(children, &mut map)?;
                Go::Map(map)
            }
            Kind::Alias { name, target } => {
                self.enter(id, name)?;
                let value = self.value(*target)?;
                self.leave(id);
                value
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    fn enter(&mut self, alias: NodeId, name: &str) -> Result<(), String> {
        if !self.open.insert(alias) {
            return Err(format!("anchor '{name}' value contains itself"));
        }
        self.alias_depth += 1;
        Ok(())
    }

    fn leave(&mut self, alias: NodeId) {
        self.alias_depth -= 1;
        self.open.remove(&alias);
    }

    fn entries(&mut self, children: &'d [NodeId], map: &mut IndexMap<Key, Go>) -> Result<(), String> {
        for pair in children.chunks_exact(2) {
            if is_merge(&self.nodes[pair[0]]) {
                self.merge(pair[1], map)?;
                continue;
            }
            let key = self.value(pair[0])?;
            let key = Key::from_value(key).map_err(|value| format!("invalid map key: {}", value.syntax()))?;
            let value = self.value(pair[1])?;
            if self.strict && map.contains_key(&key) {
                let line = self.nodes[pair[1]].line + 1;
                let key = if key == Key::Null { "<nil>".to_owned() } else { key.syntax() };
                self.doubled.push(format!("line {line}: key {key} already set in map"));
                continue;
            }
            map.insert(key, value);
        }
        Ok(())
    }

    /// Merged keys land where they stand: they win over keys before, and lose to keys behind.
    fn merge(&mut self, id: NodeId, map: &mut IndexMap<Key, Go>) -> Result<(), String> {
        let nodes = self.nodes;
        match &nodes[id].kind {
            Kind::Sequence(items) => {
                for item in items.iter().rev() {
                    self.merge_one(*item, map)?;
                }
                Ok(())
            }
            _ => self.merge_one(id, map),
        }
    }

    fn merge_one(&mut self, id: NodeId, map: &mut IndexMap<Key, Go>) -> Result<(), String> {
        let nodes = self.nodes;
        self.step()?;
        let alias = match &nodes[id].kind {
            Kind::Alias { name, target } => Some((name, *target)),
            _ => None,
        };
        let Kind::Mapping(children) = &nodes[alias.map_or(id, |(_, target)| target)].kind else {
            return Err("map merge requires map or sequence of maps as the value".to_owned());
        };
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("exceeded max depth of {DEPTH_MAX}"));
        }
        if let Some((name, _)) = alias {
            self.enter(id, name)?;
            self.step()?;
        }
        self.entries(children, map)?;
        if alias.is_some() {
            self.leave(id);
        }
        self.depth -= 1;
        Ok(())
    }
}

fn is_merge(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar { value, tag, implicit } => {
            value == "<<" && (*implicit || tag.as_deref().is_some_and(|tag| short(tag) == "!!merge"))
        }
        _ => false,
    }
}

/// A tag in its short form, `!!int`.
fn short(tag: &str) -> String {
    tag.strip_prefix(TAG_PREFIX).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"))
}

fn scalar(text: &str, tag: Option<&str>, implicit: bool) -> Result<Go, String> {
    let Some(tag) = tag.filter(|tag| !tag.is_empty()).map(short) else {
        return Ok(if implicit { plain(resolve(text), text) } else { Go::Text(text.to_owned()) });
    };
    match tag.as_str() {
        "!!binary" => {
            let bytes = STANDARD
                .decode(text.replace(['\r', '\n'], ""))
                .map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
            Ok(Go::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        "!!str" => Ok(Go::Text(text.to_owned())),
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => {
            let found = match resolve(text) {
                // A date is only looked for where no other tag forbids it.
                Resolved::Timestamp if tag != "!!timestamp" => Resolved::Text,
                found => found,
            };
            match (tag.as_str(), &found) {
                ("!!float", Resolved::Int(value)) => {
                    #[expect(clippy::cast_precision_loss, reason = "as the tag asks")]
                    let value = *value as f64;
                    Ok(Go::Float(value))
                }
                (wanted, found) if wanted == found.tag() => Ok(plain(found.clone(), text)),
                (wanted, found) => Err(format!("cannot decode {} `{text}` as a {wanted}", found.tag())),
            }
        }
        _ => Ok(Go::Text(text.to_owned())),
    }
}

fn plain(resolved: Resolved, text: &str) -> Go {
    match resolved {
        Resolved::Null => Go::Null,
        Resolved::Bool(value) => Go::Bool(value),
        Resolved::Int(value) => Go::Int(value),
        Resolved::Uint(value) => Go::Uint(value),
        Resolved::Float(value) => Go::Float(value),
        Resolved::Timestamp | Resolved::Text => Go::Text(text.to_owned()),
    }
}
