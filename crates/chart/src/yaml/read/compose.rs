//! From tokens to nodes with anchors resolved: the grammar of YAML. It never gives scalars a meaning.

use std::collections::HashMap;

use super::input::Input;
use super::scan::{DEPTH_MAX, Mark, Problem, Scanner, Token, TokenKind};

/// A place in [`Document::nodes`].
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar {
        value: String,
        tag: Option<String>,
        implicit: bool,
    },
    Sequence(Vec<NodeId>),
    /// Keys and values in turn.
    Mapping(Vec<NodeId>),
    Alias {
        name: String,
        target: NodeId,
    },
}

#[derive(Debug)]
pub(super) struct Document {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

type Compose<T> = Result<T, Problem>;

/// Where a node stands, which tells what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Flow,
    Block,
    /// A key or value of a block mapping, whose sequence need not be indented.
    BlockMapping,
}

pub(super) fn compose(text: &[u8]) -> Result<Option<Document>, String> {
    let mut composer =
        Composer { scanner: Scanner::new(Input::new(text)), nodes: Vec::new(), anchors: HashMap::new(), handles: HashMap::new() };
    let root = composer.document().map_err(|problem| match problem.line {
        0 => problem.text,
        line => format!("line {line}: {}", problem.text),
    })?;
    Ok(root.map(|root| Document { nodes: composer.nodes, root }))
}

struct Composer {
    scanner: Scanner,
    nodes: Vec<Node>,
    anchors: HashMap<String, NodeId>,
    /// Tag handles and what they stand for.
    handles: HashMap<String, String>,
}

#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
}

/// A problem of the grammar: its line counts from zero, and on the first line that of the context is said.
fn problem(text: &str, context: Mark, at: Mark) -> Problem {
    let line = if at.line == 0 { context.line } else { at.line };
    Problem { text: text.to_owned(), line }
}

fn too_deep() -> Problem {
    Problem { text: format!("exceeded max depth of {DEPTH_MAX}"), line: 0 }
}

impl Composer {
    fn document(&mut self) -> Compose<Option<NodeId>> {
        let mut explicit = false;
        let mut version = false;
        loop {
            let token = self.scanner.peek()?.clone();
            match token.kind {
                TokenKind::Version(major, minor) => {
                    if version {
                        return Err(problem("found duplicate %YAML directive", Mark::default(), token.start));
                    }
                    if (major, minor) != (1, 1) {
                        return Err(problem("found incompatible YAML document", Mark::default(), token.start));
                    }
                    version = true;
                }
                TokenKind::TagDirective { handle, prefix } => {
                    if self.handles.insert(handle, prefix).is_some() {
                        return Err(problem("found duplicate %TAG directive", Mark::default(), token.start));
                    }
                }
                TokenKind::DocumentStart => {
                    self.scanner.skip_token();
                    explicit = true;
                    break;
                }
                TokenKind::StreamEnd if !version && self.handles.is_empty() => return Ok(None),
                _ if !version && self.handles.is_empty() => break,
                _ => return Err(problem("did not find expected <document start>", Mark::default(), token.start)),
            }
            self.scanner.skip_token();
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            self.handles.entry(handle.to_owned()).or_insert_with(|| prefix.to_owned());
        }
        let token = self.scanner.peek()?;
        let empty = explicit
            && matches!(
                token.kind,
                TokenKind::Version(..)
                    | TokenKind::TagDirective { .. }
                    | TokenKind::DocumentStart
                    | TokenKind::DocumentEnd
                    | TokenKind::StreamEnd
            );
        let at = token.start;
        let root = if empty { self.empty(at) } else { self.node(Place::Block, 0)? };
        self.scanner.peek()?;
        Ok(Some(root))
    }

    fn add(&mut self, line: usize, anchor: Option<String>, kind: Kind) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node { line, kind });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn empty(&mut self, at: Mark) -> NodeId {
        self.add(at.line, None, Kind::Scalar { value: String::new(), tag: None, implicit: true })
    }

    fn properties(&mut self) -> Compose<Properties> {
        let mut properties = Properties::default();
        let mut tag: Option<(String, String, Mark)> = None;
        let start = self.scanner.peek()?.start;
        for _ in 0..2 {
            match &self.scanner.peek()?.kind {
                TokenKind::Anchor(_) if properties.anchor.is_none() => {
                    if let Token { kind: TokenKind::Anchor(name), .. } = self.scanner.next()? {
                        properties.anchor = Some(name);
                    }
                }
                TokenKind::Tag { .. } if tag.is_none() => {
                    if let Token { kind: TokenKind::Tag { handle, suffix }, start, .. } = self.scanner.next()? {
                        tag = Some((handle, suffix, start));
                    }
                }
                _ => break,
            }
        }
        // go-yaml looks at the token behind before it looks at the tag.
        self.scanner.peek()?;
        if let Some((handle, suffix, at)) = tag {
            properties.tag = Some(if handle.is_empty() {
                suffix
            } else {
                match self.handles.get(&handle) {
                    Some(prefix) => format!("{prefix}{suffix}"),
                    None => return Err(problem("found undefined tag handle", start, at)),
                }
            });
        }
        Ok(properties)
    }

    fn node(&mut self, place: Place, depth: usize) -> Compose<NodeId> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || self.node_here(place, depth))
    }

    fn node_here(&mut self, place: Place, depth: usize) -> Compose<NodeId> {
        let start = self.scanner.peek()?.start;
        if let TokenKind::Alias(name) = &self.scanner.peek()?.kind {
            let name = name.clone();
            self.scanner.skip_token();
            let Some(target) = self.anchors.get(&name).copied() else {
                return Err(Problem { text: format!("unknown anchor '{name}' referenced"), line: 0 });
            };
            return Ok(self.add(start.line, None, Kind::Alias { name, target }));
        }
        let Properties { anchor, tag } = self.properties()?;
        let in_block = place != Place::Flow;
        let token = self.scanner.peek()?;
        let at = token.start;
        let (id, children) = match &token.kind {
            TokenKind::BlockEntry if place == Place::BlockMapping => {
                let id = self.add(start.line, anchor, Kind::Sequence(Vec::new()));
                (id, Kind::Sequence(self.indentless_sequence(depth)?))
            }
            TokenKind::Scalar { .. } => {
                let Token { kind: TokenKind::Scalar { value, plain }, .. } = self.scanner.next()? else {
                    return Err(problem("did not find expected node content", start, at));
                };
                let implicit = match tag.as_deref() {
                    None | Some("") => plain,
                    Some(tag) => tag == "!",
                };
                return Ok(self.add(start.line, anchor, Kind::Scalar { value, tag, implicit }));
            }
            TokenKind::FlowSequenceStart => {
                let id = self.add(start.line, anchor, Kind::Sequence(Vec::new()));
                (id, Kind::Sequence(self.flow_sequence(depth)?))
            }
            TokenKind::FlowMappingStart => {
                let id = self.add(start.line, anchor, Kind::Mapping(Vec::new()));
                (id, Kind::Mapping(self.flow_mapping(depth)?))
            }
            TokenKind::BlockSequenceStart if in_block => {
                let id = self.add(start.line, anchor, Kind::Sequence(Vec::new()));
                (id, Kind::Sequence(self.block_sequence(depth)?))
            }
            TokenKind::BlockMappingStart if in_block => {
                let id = self.add(start.line, anchor, Kind::Mapping(Vec::new()));
                (id, Kind::Mapping(self.block_mapping(depth)?))
            }
            _ if anchor.is_some() || tag.as_deref().is_some_and(|tag| !tag.is_empty()) => {
                let implicit = tag.as_deref().is_none_or(str::is_empty);
                return Ok(self.add(start.line, anchor, Kind::Scalar { value: String::new(), tag, implicit }));
            }
            _ => return Err(problem("did not find expected node content", start, at)),
        };
        self.nodes[id].kind = children;
        Ok(id)
    }
}

mod collection;
