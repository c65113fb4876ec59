//! Sequences and mappings, in blocks and in flow. It never reads scalars.

use super::{Compose, Composer, Mark, NodeId, Place, TokenKind, problem};

impl Composer {
    fn skip(&mut self) -> Compose<Mark> {
        Ok(self.scanner.next()?.start)
    }

    /// A node, or an empty one where a token of the structure follows at once.
    fn node_unless(&mut self, ends: fn(&TokenKind) -> bool, at: Mark, place: Place, depth: usize) -> Compose<NodeId> {
        if ends(&self.scanner.peek()?.kind) { Ok(self.empty(at)) } else { self.node(place, depth + 1) }
    }

    pub(super) fn block_sequence(&mut self, depth: usize) -> Compose<Vec<NodeId>> {
        let context = self.skip()?;
        let mut items = Vec::new();
        loop {
            let token = self.scanner.peek()?;
            match token.kind {
                TokenKind::BlockEntry => {
                    let at = token.end;
                    self.scanner.skip_token();
                    let ends = |kind: &TokenKind| matches!(kind, TokenKind::BlockEntry | TokenKind::BlockEnd);
                    items.push(self.node_unless(ends, at, Place::Block, depth)?);
                }
                TokenKind::BlockEnd => {
                    self.scanner.skip_token();
                    return Ok(items);
                }
                _ => return Err(problem("did not find expected '-' indicator", context, token.start)),
            }
        }
    }

    pub(super) fn indentless_sequence(&mut self, depth: usize) -> Compose<Vec<NodeId>> {
        let mut items = Vec::new();
        loop {
            let token = self.scanner.peek()?;
            if token.kind != TokenKind::BlockEntry {
                return Ok(items);
            }
            let at = token.end;
            self.scanner.skip_token();
            let ends = |kind: &TokenKind| {
                matches!(kind, TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd)
            };
            items.push(self.node_unless(ends, at, Place::Block, depth)?);
        }
    }

    pub(super) fn block_mapping(&mut self, depth: usize) -> Compose<Vec<NodeId>> {
        let context = self.skip()?;
        let ends = |kind: &TokenKind| matches!(kind, TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd);
        let mut children = Vec::new();
        loop {
            let token = self.scanner.peek()?;
            match token.kind {
                TokenKind::Key => {
                    let at = token.end;
                    self.scanner.skip_token();
                    children.push(self.node_unless(ends, at, Place::BlockMapping, depth)?);
                }
                TokenKind::BlockEnd => {
                    self.scanner.skip_token();
                    return Ok(children);
                }
                _ => return Err(problem("did not find expected key", context, token.start)),
            }
            let token = self.scanner.peek()?;
            if token.kind == TokenKind::Value {
                let at = token.end;
                self.scanner.skip_token();
                children.push(self.node_unless(ends, at, Place::BlockMapping, depth)?);
            } else {
                let at = token.start;
                children.push(self.empty(at));
            }
        }
    }

    pub(super) fn flow_sequence(&mut self, depth: usize) -> Compose<Vec<NodeId>> {
        let context = self.skip()?;
        let mut items = Vec::new();
        loop {
            if !items.is_empty()
                && !self.flow_entry("did not find expected ',' or ']'", context, |kind| *kind == TokenKind::FlowSequenceEnd)?
            {
                return Ok(items);
            }
            match &self.scanner.peek()?.kind {
                TokenKind::FlowSequenceEnd => {
                    self.scanner.skip_token();
                    return Ok(items);
                }
                TokenKind::Key => items.push(self.pair(depth)?),
                _ => items.push(self.node(Place::Flow, depth + 1)?),
            }
        }
    }

    /// Past a comma; false at the end of the collection, which is taken.
    fn flow_entry(&mut self, wanted: &str, context: Mark, ends: fn(&TokenKind) -> bool) -> Compose<bool> {
        let token = self.scanner.peek()?;
        let goes_on = token.kind == TokenKind::FlowEntry;
        if !goes_on && !ends(&token.kind) {
            return Err(problem(wanted, context, token.start));
        }
        self.scanner.skip_token();
        Ok(goes_on)
    }

    /// A single pair that stands in a flow sequence as a mapping of its own.
    fn pair(&mut self, depth: usize) -> Compose<NodeId> {
        let start = self.skip()?;
        let id = self.add(start.line, None, super::Kind::Mapping(Vec::new()));
        let token = self.scanner.peek()?;
        let at = token.end;
        let key = match token.kind {
            // go-yaml takes the token, so that the value is missing too.
            TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowSequenceEnd => {
                self.scanner.skip_token();
                self.empty(at)
            }
            _ => self.node(Place::Flow, depth + 2)?,
        };
        let mut at = self.scanner.peek()?.start;
        let mut value = None;
        if self.scanner.peek()?.kind == TokenKind::Value {
            self.scanner.skip_token();
            let token = self.scanner.peek()?;
            if matches!(token.kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
                at = token.start;
            } else {
                value = Some(self.node(Place::Flow, depth + 2)?);
            }
        }
        let value = value.unwrap_or_else(|| self.empty(at));
        self.scanner.peek()?;
        self.nodes[id].kind = super::Kind::Mapping(vec![key, value]);
        Ok(id)
    }

    pub(super) fn flow_mapping(&mut self, depth: usize) -> Compose<Vec<NodeId>> {
        let context = self.skip()?;
        let ends = |kind: &TokenKind| matches!(kind, TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowMappingEnd);
        let mut children = Vec::new();
        loop {
            if !children.is_empty()
                && !self.flow_entry("did not find expected ',' or '}'", context, |kind| *kind == TokenKind::FlowMappingEnd)?
            {
                return Ok(children);
            }
            let token = self.scanner.peek()?;
            let at = token.start;
            match token.kind {
                TokenKind::FlowMappingEnd => {
                    self.scanner.skip_token();
                    return Ok(children);
                }
                TokenKind::Key => {
                    self.scanner.skip_token();
                    let at = self.scanner.peek()?.start;
                    children.push(self.node_unless(ends, at, Place::Flow, depth)?);
                    let at = self.scanner.peek()?.start;
                    if self.scanner.peek()?.kind == TokenKind::Value {
                        self.scanner.skip_token();
                        let at = self.scanner.peek()?.start;
                        let ends = |kind: &TokenKind| matches!(kind, TokenKind::FlowEntry | TokenKind::FlowMappingEnd);
                        children.push(self.node_unless(ends, at, Place::Flow, depth)?);
                    } else {
                        children.push(self.empty(at));
                    }
                }
                _ => {
                    children.push(self.node(Place::Flow, depth + 1)?);
                    let at = self.scanner.peek().map_or(at, |token| token.start);
                    children.push(self.empty(at));
                }
            }
        }
    }
}
