//! From the events of the parser to nodes with anchors resolved. It never gives scalars a meaning.

use std::collections::HashMap;

use libyaml_safer::{Error, ErrorKind, Event, EventData, Parser};

/// Deeper nesting is refused, so that no later walk runs out of stack.
const DEPTH_MAX: usize = 1000;

/// A place in [`Document::nodes`].
pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u64,
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

pub(super) fn compose(text: &[u8]) -> Result<Option<Document>, String> {
    let mut input = text;
    let mut parser = Parser::new();
    parser.set_input_string(&mut input);
    let mut composer = Composer { next: || parser.parse(), nodes: Vec::new(), anchors: HashMap::new() };
    composer.event()?;
    match composer.event()?.data {
        EventData::DocumentStart { version_directive, .. } => {
            if version_directive.is_some_and(|version| (version.major, version.minor) != (1, 1)) {
                return Err("found incompatible YAML document".to_owned());
            }
        }
        _ => return Ok(None),
    }
    let first = composer.event()?;
    let root = composer.node(first, 0)?;
    composer.event()?;
    Ok(Some(Document { nodes: composer.nodes, root }))
}

struct Composer<F> {
    next: F,
    nodes: Vec<Node>,
    anchors: HashMap<String, NodeId>,
}

impl<F: FnMut() -> Result<Event, Error>> Composer<F> {
    fn event(&mut self) -> Result<Event, String> {
        (self.next)().map_err(|error| describe(&error))
    }

    fn add(&mut self, line: u64, anchor: Option<String>, kind: Kind) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node { line, kind });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn node(&mut self, event: Event, depth: usize) -> Result<NodeId, String> {
        if depth > DEPTH_MAX {
            return Err(format!("exceeded max depth of {DEPTH_MAX}"));
        }
        let line = event.start_mark.line;
        Ok(match event.data {
            EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                self.add(line, anchor, Kind::Scalar { value, tag, implicit: plain_implicit })
            }
            EventData::Alias { anchor } => {
                let Some(target) = self.anchors.get(&anchor).copied() else {
                    return Err(format!("unknown anchor '{anchor}' referenced"));
                };
                self.add(line, None, Kind::Alias { name: anchor, target })
            }
            EventData::SequenceStart { anchor, .. } => {
                let id = self.add(line, anchor, Kind::Sequence(Vec::new()));
                let children = self.children(depth)?;
                self.nodes[id].kind = Kind::Sequence(children);
                id
            }
            EventData::MappingStart { anchor, .. } => {
                let id = self.add(line, anchor, Kind::Mapping(Vec::new()));
                let children = self.children(depth)?;
                self.nodes[id].kind = Kind::Mapping(children);
                id
            }
            _ => return Err("unknown problem parsing YAML content".to_owned()),
        })
    }

    fn children(&mut self, depth: usize) -> Result<Vec<NodeId>, String> {
        let mut children = Vec::new();
        loop {
            let event = self.event()?;
            if matches!(event.data, EventData::SequenceEnd | EventData::MappingEnd) {
                return Ok(children);
            }
            children.push(self.node(event, depth + 1)?);
        }
    }
}

/// go-yaml's way to name the line: that of a scanner's problem counts from one, others from zero, and none on the first.
fn describe(error: &Error) -> String {
    let problem = match (error.kind(), error.problem()) {
        (ErrorKind::Reader | ErrorKind::Io, "control characters are not allowed") => {
            return "control characters are not allowed".to_owned();
        }
        (ErrorKind::Reader | ErrorKind::Io, _) => return "invalid leading UTF-8 octet".to_owned(),
        (_, problem) => problem,
    };
    let at = error.problem_mark().map_or(0, |mark| mark.line);
    let line = match (at, error.kind()) {
        (0, _) => error.context_mark().map_or(0, |mark| mark.line),
        (at, ErrorKind::Scanner) => at + 1,
        (at, _) => at,
    };
    if line == 0 { problem.to_owned() } else { format!("line {line}: {problem}") }
}
