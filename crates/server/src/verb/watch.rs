//! `watch`: the changes of a collection from a revision on, resumed exactly or refused with `410`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use api::{
    document::{Value, meta},
    kind::{Kind, Version},
    status::{FieldError, Status},
};
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use jiff::Timestamp;
use store::{Event, Revision, Watch, WatchError};
use tokio::time::Instant;

use crate::{
    State,
    body::{self, Body},
    conversion,
    limits::{BOOKMARK_EVERY, LIST_PIECE_BYTES, WATCH_SECONDS_MIN},
    render::{self, Form, Rows},
    request::Call,
    state::{Fields, Filter, Projection, Stored, decode},
    verb::list,
};

/// The end of the initial events of a streamed list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A change of one object: what it was, what it is, and when.
type Seen<'e> = (Option<&'e Stored>, Option<&'e Stored>, Revision);

/// How events of this watch are written.
struct Writer {
    kind: Arc<Kind>,
    version: Version,
    form: Form,
    rows: Rows,
    /// A table's columns are sent with its first event alone.
    columns_sent: bool,
}

/// A running watch.
struct Running {
    state: Arc<State>,
    watch: Watch<Projection>,
    filter: Filter,
    writer: Writer,
    initial: VecDeque<Stored>,
    /// The bookmark that ends the initial events, while it is due.
    initial_end: Option<Revision>,
    bookmarks: bool,
    bookmarked: Instant,
    deadline: Instant,
    ended: bool,
}

/// Answers with the stream of events.
pub fn serve(call: &Call) -> Result<Response<Body>, Status> {
    let filter = list::filter(call)?;
    let prefix = list::collection(call);
    let from = list::revision(call.query.get("resourceVersion"))?;
    let streamed_list = call.query.flag("sendInitialEvents");
    let bookmarks = call.query.flag("allowWatchBookmarks");
    check_options(call)?;
    let snapshot = call.state.snapshot();
    if from > snapshot.revision() {
        return Err(list::too_large(from, snapshot.revision()));
    }
    let wants_none = call.query.get("sendInitialEvents").is_some() && !streamed_list;
    let (start, initial) = if streamed_list || (from == 0 && !wants_none) {
        let matching = snapshot.range(&prefix, None).filter(|entry| filter.matches(&call.kind, entry));
        (snapshot.revision(), matching.cloned().collect())
    } else {
        (if from == 0 { snapshot.revision() } else { from }, VecDeque::new())
    };
    let watch = call.state.store.watch(&prefix, start);
    let now = Instant::now();
    let seconds = call.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0);
    // Spread over as much again, so that watches which began together do not all come back together.
    let spread = WATCH_SECONDS_MIN + u64::from(call.now.subsec_nanosecond().unsigned_abs()) % WATCH_SECONDS_MIN;
    let writer = Writer {
        kind: Arc::clone(&call.kind),
        version: call.version().clone(),
        form: call.form,
        rows: Rows::parse(call.query.get("includeObject")),
        columns_sent: false,
    };
    let watch = match watch {
        Ok(watch) => watch,
        Err(compacted) => {
            let mut piece = Vec::new();
            error_event(&mut piece, &Status::too_old_revision(compacted.asked, compacted.oldest));
            return Ok(render::respond(StatusCode::OK, "application/json", body::whole(piece)));
        }
    };
    let running = Running {
        state: Arc::clone(&call.state),
        watch,
        filter,
        writer,
        initial,
        initial_end: (streamed_list && bookmarks).then_some(start),
        bookmarks,
        bookmarked: now,
        deadline: now + Duration::from_secs(seconds.unwrap_or(spread)),
        ended: false,
    };
    Ok(render::respond(StatusCode::OK, "application/json", body::pieces(stream::unfold(running, next_piece))))
}

/// Whether the parameters of a watch fit together (KEP-3157).
fn check_options(call: &Call) -> Result<(), Status> {
    let rule = call.query.get("resourceVersionMatch");
    let text = match (call.query.get("sendInitialEvents").is_some(), rule) {
        (true, Some("NotOlderThan")) | (false, None) => return Ok(()),
        (true, _) => "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        (false, Some(_)) => "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    };
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[FieldError::forbidden("resourceVersionMatch", text)]))
}

/// The next events, as soon as there are some.
async fn next_piece(mut running: Running) -> Option<(Bytes, Running)> {
    let mut piece = Vec::new();
    loop {
        if running.ended {
            return (!piece.is_empty()).then(|| (piece.into(), running));
        }
        if running.writer.kind.conversion.is_some() && !running.initial.is_empty() {
            let entries: Vec<Stored> = running.initial.drain(..).collect();
            let events: Vec<Seen> = entries.iter().map(|entry| (None, Some(entry), entry.modified)).collect();
            running.write_converted(&mut piece, &events).await;
        }
        while let Some(entry) = running.initial.pop_front() {
            running.writer.event(&mut piece, "ADDED", &entry, entry.modified);
            if piece.len() >= LIST_PIECE_BYTES {
                return Some((piece.into(), running));
            }
        }
        if let Some(revision) = running.initial_end.take() {
            running.writer.bookmark(&mut piece, revision, true);
        }
        if !piece.is_empty() {
            return Some((piece.into(), running));
        }
        running.wait(&mut piece).await;
    }
}

impl Running {
    /// Waits for events, for the time of a bookmark, or for the end.
    async fn wait(&mut self, piece: &mut Vec<u8>) {
        let bookmark_due = self.bookmarked + BOOKMARK_EVERY;
        let until = if self.bookmarks { bookmark_due.min(self.deadline) } else { self.deadline };
        match tokio::time::timeout_at(until, self.watch.next()).await {
            Ok(Ok(batch)) if self.writer.kind.conversion.is_some() => {
                let seen = |event: &Arc<Event<Fields>>| {
                    (event.previous.clone(), (!event.deleted).then(|| event.entry.clone()), event.revision)
                };
                let changes: Vec<_> = batch.events.iter().map(seen).collect();
                let events: Vec<Seen> =
                    changes.iter().map(|(before, after, at)| (before.as_ref(), after.as_ref(), *at)).collect();
                self.write_converted(piece, &events).await;
            }
            Ok(Ok(batch)) => {
                for event in &batch.events {
                    self.write(piece, event);
                }
            }
            Ok(Err(WatchError::Compacted(compacted))) => {
                error_event(piece, &Status::too_old_revision(compacted.asked, compacted.oldest));
                self.ended = true;
            }
            Ok(Err(WatchError::Closed)) => self.ended = true,
            Err(_) => {
                // `next` looks before it waits, so everything up to the watch's place has been written.
                if self.bookmarks {
                    self.writer.bookmark(piece, self.watch.progress(), false);
                    self.bookmarked = Instant::now();
                }
                self.ended = Instant::now() >= self.deadline;
            }
        }
    }

    /// Changes of objects that a webhook turns into the version of the watch, all with one call. One that fails ends the watch.
    async fn write_converted(&mut self, piece: &mut Vec<u8>, events: &[Seen<'_>]) {
        let kind = Arc::clone(&self.writer.kind);
        let chosen = |entry: &&Stored| self.filter.matches(&kind, entry);
        let events: Vec<Seen> =
            events.iter().map(|(before, after, at)| (before.filter(chosen), after.filter(chosen), *at)).collect();
        let objects =
            events.iter().flat_map(|(before, after, _)| [*before, *after]).flatten().map(|entry| decode(entry)).collect();
        let mut objects = match conversion::all(&self.state, &kind, objects, &self.writer.api_version()).await {
            Ok(objects) => objects.into_iter(),
            Err(status) => {
                error_event(piece, &status);
                self.ended = true;
                return;
            }
        };
        for (before, after, revision) in events {
            let mut next = |entry: Option<&Stored>| {
                let object = entry.and_then(|_| objects.next());
                object.filter(|object| self.filter.matches_converted(object))
            };
            let (before, after) = (next(before), next(after));
            let word = match (&before, &after) {
                (None, Some(_)) => "ADDED",
                (Some(_), Some(_)) => "MODIFIED",
                _ => "DELETED",
            };
            if let Some(object) = after.or(before) {
                self.writer.object_event(piece, word, object, revision);
            }
        }
    }

    /// A change seen through the filter: what came to match was added, what ceased to match was deleted.
    fn write(&mut self, piece: &mut Vec<u8>, event: &Event<Fields>) {
        let kind = &self.writer.kind;
        let before = event.previous.as_ref().is_some_and(|entry| self.filter.matches(kind, entry));
        let after = !event.deleted && self.filter.matches(kind, &event.entry);
        match (before, after) {
            (false, true) => self.writer.event(piece, "ADDED", &event.entry, event.revision),
            (true, true) => self.writer.event(piece, "MODIFIED", &event.entry, event.revision),
            (true, false) => {
                let last = event.previous.as_ref().unwrap_or(&event.entry);
                self.writer.event(piece, "DELETED", last, event.revision);
            }
            (false, false) => {}
        }
    }
}

impl Writer {
    fn api_version(&self) -> String {
        meta::join_api_version(&self.kind.group, &self.version.name)
    }

    fn event(&mut self, piece: &mut Vec<u8>, word: &str, entry: &Stored, revision: Revision) {
        if self.form != Form::Object {
            return self.object_event(piece, word, decode(entry), revision);
        }
        open(piece, word);
        render::object(piece, &self.kind, &self.version, entry, revision);
        piece.extend_from_slice(b"}\n");
    }

    /// An event of an object that was read, and is in the version of the watch or needs no webhook to get there.
    fn object_event(&mut self, piece: &mut Vec<u8>, word: &str, mut object: Value, revision: Revision) {
        open(piece, word);
        meta::set(&mut object, "resourceVersion", revision.to_string());
        match self.form {
            Form::Object => {
                self.kind.to_served(&self.version, &mut object);
                object.write_json(piece);
            }
            Form::Table => {
                let row = render::row(&self.kind, &self.version, object, self.rows, Timestamp::now());
                let mut table = self.table(revision);
                table.set_at(&["rows"], Value::Array(vec![row]));
                table.write_json(piece);
            }
            Form::Metadata => render::metadata_only(&object).write_json(piece),
        }
        piece.extend_from_slice(b"}\n");
    }

    fn table(&mut self, revision: Revision) -> Value {
        let mut table = render::table_head(&self.version);
        if std::mem::replace(&mut self.columns_sent, true) {
            table.set_at(&["columnDefinitions"], Value::Null);
        }
        table.set_at(&["metadata", "resourceVersion"], revision.to_string());
        table
    }

    fn bookmark(&mut self, piece: &mut Vec<u8>, revision: Revision, initial_end: bool) {
        open(piece, "BOOKMARK");
        let mut object = match self.form {
            Form::Table => self.table(revision),
            Form::Object | Form::Metadata => Value::object(),
        };
        if self.form == Form::Object {
            object.set_at(&["kind"], self.kind.kind.clone());
            object.set_at(&["apiVersion"], self.api_version());
        } else if self.form == Form::Metadata {
            object = render::metadata_only(&object);
        }
        let mut bare = Value::object();
        bare.set_at(&["resourceVersion"], revision.to_string());
        bare.set_at(&["creationTimestamp"], Value::Null);
        if initial_end {
            bare.set_at(&["annotations", INITIAL_EVENTS_END], "true");
        }
        if self.form == Form::Table {
            let mut row = Value::object();
            row.set_at(&["cells"], Value::Array(Vec::new()));
            let mut partial = render::metadata_only(&Value::object());
            partial.set_at(&["metadata"], bare);
            row.set_at(&["object"], partial);
            object.set_at(&["rows"], Value::Array(vec![row]));
        } else {
            object.set_at(&["metadata"], bare);
        }
        object.write_json(piece);
        piece.extend_from_slice(b"}\n");
    }
}

fn open(piece: &mut Vec<u8>, word: &str) {
    piece.extend_from_slice(b"{\"type\":\"");
    piece.extend_from_slice(word.as_bytes());
    piece.extend_from_slice(b"\",\"object\":");
}

fn error_event(piece: &mut Vec<u8>, status: &Status) {
    open(piece, "ERROR");
    piece.extend_from_slice(&status.to_json());
    piece.extend_from_slice(b"}\n");
}
