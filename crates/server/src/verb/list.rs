//! `list`: a collection at one revision, whole or page by page, written piece by piece.

use std::{collections::VecDeque, sync::Arc};

use api::{
    document::{Value, meta},
    selector::{FieldRequirement, FieldSelector, LabelSelector},
    status::{Cause, FieldError, Status},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use store::{Revision, Snapshot};

use crate::{
    body::{self, Body},
    limits::LIST_PIECE_BYTES,
    render::{self, Form, Rows},
    request::{Call, answer},
    state::{Fields, Filter, Stored, decode, prefix},
};

/// Where the next page begins. Opaque to clients; the form is upstream's.
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    /// The revision of the list; -1 continues at the present, which is inconsistent.
    rv: i64,
    /// The key after which it goes on, below the prefix.
    start: String,
}

impl Continue {
    fn token(rv: i64, start: &str) -> String {
        let token = Self { v: "meta.k8s.io/v1".into(), rv, start: start.to_owned() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let token = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        token.ok_or_else(|| Status::bad_request("continue key is not valid: it was not made by this server"))
    }
}

/// One page.
struct Page {
    entries: VecDeque<Stored>,
    revision: Revision,
    next: Option<String>,
    remaining: Option<usize>,
}

/// Answers with the collection.
pub fn serve(call: &Call) -> Result<Response<Body>, Status> {
    let filter = filter(call)?;
    let page = page(call, &filter)?;
    Ok(match call.form {
        Form::Object => stream(call, page),
        Form::Table => {
            let mut table = render::table_head(call.version());
            set_list_metadata(&mut table, &page);
            let rows = Rows::parse(call.query.get("includeObject"));
            let row = |entry: &Stored| render::row(&call.kind, call.version(), decode(entry), rows, call.now);
            table.set_at(&["rows"], Value::Array(page.entries.iter().map(row).collect()));
            answer(StatusCode::OK, &table)
        }
        Form::Metadata => {
            let mut list = head("PartialObjectMetadataList", "meta.k8s.io/v1", &page);
            let items = page.entries.iter().map(|entry| render::metadata_only(&decode(entry))).collect();
            list.set_at(&["items"], Value::Array(items));
            answer(StatusCode::OK, &list)
        }
    })
}

/// Answers with a collection whose objects may have to be converted first.
pub async fn serve_converted(call: &Call) -> Result<Response<Body>, Status> {
    let filter = filter(call)?;
    // The metadata is the same in every version; who asks for it alone needs no webhook.
    if call.form == Form::Metadata && !filter.needs_conversion() {
        return serve(call);
    }
    let page = page(call, &filter)?;
    let objects: Vec<Value> = page.entries.iter().map(|entry| decode(entry)).collect();
    let mut objects = crate::conversion::all(&call.state, &call.kind, objects, &call.api_version()).await?;
    objects.retain(|object| filter.matches_converted(object));
    objects.iter_mut().for_each(|object| call.kind.to_served(call.version(), object));
    let mut list = match call.form {
        Form::Object => head(&call.kind.list_kind, &call.api_version(), &page),
        Form::Metadata => head("PartialObjectMetadataList", "meta.k8s.io/v1", &page),
        Form::Table => {
            let mut table = render::table_head(call.version());
            set_list_metadata(&mut table, &page);
            table
        }
    };
    let rows = Rows::parse(call.query.get("includeObject"));
    let item = |object: Value| match call.form {
        Form::Object => object,
        Form::Metadata => render::metadata_only(&object),
        Form::Table => render::row(&call.kind, call.version(), object, rows, call.now),
    };
    let field = if call.form == Form::Table { "rows" } else { "items" };
    list.set_at(&[field], Value::Array(objects.into_iter().map(item).collect()));
    Ok(answer(StatusCode::OK, &list))
}

/// What the call's selectors ask for.
pub fn filter(call: &Call) -> Result<Filter, Status> {
    let labels = match call.query.get("labelSelector") {
        Some(text) => LabelSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?,
        None => LabelSelector::everything(),
    };
    let mut fields = match call.query.get("fieldSelector") {
        Some(text) => FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?,
        None => FieldSelector::default(),
    };
    for requirement in &fields.requirements {
        let field = requirement.field.as_str();
        let known = matches!(field, "metadata.name" | "metadata.namespace")
            || call.version().selectable_fields.iter().any(|selectable| selectable.name == field);
        if !known {
            return Err(Status::bad_request(format!("field label not supported: {field}")));
        }
    }
    if !call.path.name.is_empty() {
        let name = FieldRequirement { field: "metadata.name".into(), equal: true, value: call.path.name.clone() };
        fields.requirements.push(name);
    }
    Ok(Filter::new(&call.kind, call.version(), labels, fields))
}

/// The prefix of the call's collection.
pub fn collection(call: &Call) -> String {
    let namespace = (call.kind.is_namespaced() && !call.path.namespace.is_empty()).then_some(call.path.namespace.as_str());
    prefix(&call.kind, namespace)
}

/// A revision out of a parameter; 0 when there is none.
pub fn revision(text: Option<&str>) -> Result<Revision, Status> {
    let Some(text) = text else { return Ok(0) };
    text.parse().map_err(|_| Status::bad_request(format!("resourceVersion: Invalid value: {text:?}: must be a number")))
}

fn page(call: &Call, filter: &Filter) -> Result<Page, Status> {
    let prefix = collection(call);
    let limit = call.query.get("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let (snapshot, start) = start(call, &prefix, limit.is_some())?;
    let mut found = snapshot.range(&prefix, start.as_deref()).filter(|entry| filter.matches(&call.kind, entry));
    let entries: VecDeque<Stored> = found.by_ref().take(limit.unwrap_or(usize::MAX)).cloned().collect();
    let more = limit.is_some() && found.next().is_some();
    let rest = if more && filter.is_everything() { Some(1 + found.count()) } else { None };
    let revision = snapshot.revision();
    let next = entries.back().filter(|_| more);
    let next = next.map(|last| Continue::token(i64::try_from(revision).unwrap_or(-1), &last.key[prefix.len()..]));
    Ok(Page { entries, revision, next, remaining: rest })
}

/// The snapshot that is listed and the key after which the page begins.
fn start(call: &Call, prefix: &str, limited: bool) -> Result<(Snapshot<Fields>, Option<String>), Status> {
    let now = call.state.snapshot();
    let given = call.query.get("resourceVersion");
    let rule = call.query.get("resourceVersionMatch");
    check_options(call, given, rule)?;
    if let Some(text) = call.query.get("continue") {
        let token = Continue::parse(text)?;
        if given.is_some_and(|given| given != "0") {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let start = Some(format!("{prefix}{}", token.start));
        let Ok(revision) = Revision::try_from(token.rv) else { return Ok((now, start)) };
        let snapshot = call.state.store.snapshot_at(revision).map_err(|_| expired(&token.start))?;
        return Ok((snapshot, start));
    }
    let asked = revision(given)?;
    if asked > now.revision() {
        return Err(too_large(asked, now.revision()));
    }
    // A page at a revision is exact even when it does not say so.
    if asked > 0 && (rule == Some("Exact") || (rule.is_none() && limited)) {
        let seen = call.state.store.snapshot_at(asked);
        return Ok((seen.map_err(|compacted| Status::too_old_revision(asked, compacted.oldest))?, None));
    }
    Ok((now, None))
}

/// Whether the parameters of a list fit together.
fn check_options(call: &Call, given: Option<&str>, rule: Option<&str>) -> Result<(), Status> {
    const RULES: [&str; 3] = ["", "Exact", "NotOlderThan"];
    let mut errors = Vec::new();
    let mut forbid = |field: &str, text: &str| errors.push(FieldError::forbidden(field, text));
    if call.query.get("sendInitialEvents").is_some() {
        forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    if let Some(rule) = rule {
        if given.is_none() {
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if call.query.get("continue").is_some() {
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
        }
        if rule == "Exact" && given == Some("0") {
            forbid("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        if !RULES.contains(&rule) {
            errors.push(FieldError::not_supported("resourceVersionMatch", rule, &RULES));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// A revision of the future.
pub fn too_large(asked: Revision, current: Revision) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {current}"), 1);
    let message = "Too large resource version".to_owned();
    status.details.get_or_insert_default().causes.push(Cause {
        reason: "ResourceVersionTooLarge".into(),
        message,
        ..Cause::default()
    });
    status
}

/// `410`, with a token that goes on at the present: the rest may not fit to what the client has already.
fn expired(start: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now \
         may show up in the list.",
    );
    status.next = Continue::token(-1, start);
    status
}

fn head(kind: &str, api_version: &str, page: &Page) -> Value {
    let mut list = Value::object();
    list.set_at(&["kind"], kind);
    list.set_at(&["apiVersion"], api_version);
    set_list_metadata(&mut list, page);
    list
}

fn set_list_metadata(list: &mut Value, page: &Page) {
    list.set_at(&["metadata", "resourceVersion"], page.revision.to_string());
    if let Some(token) = &page.next {
        list.set_at(&["metadata", "continue"], token.as_str());
    }
    if let Some(remaining) = page.remaining {
        list.set_at(&["metadata", "remainingItemCount"], i64::try_from(remaining).unwrap_or(i64::MAX));
    }
}

/// The list's JSON, a piece at a time: the snapshot holds the objects, so no buffer holds all their bytes.
fn stream(call: &Call, page: Page) -> Response<Body> {
    let api_version = meta::join_api_version(&call.kind.group, &call.version().name);
    let mut begun = head(&call.kind.list_kind, &api_version, &page).to_json();
    begun.pop();
    begun.extend_from_slice(b",\"items\":[");
    let (kind, version) = (Arc::clone(&call.kind), call.version().clone());
    let mut entries = page.entries;
    let mut first = true;
    let mut open = Some(begun);
    let next = std::iter::from_fn(move || {
        let mut piece = open.take()?;
        while piece.len() < LIST_PIECE_BYTES {
            let Some(entry) = entries.pop_front() else {
                piece.extend_from_slice(b"]}\n");
                return Some(piece.into());
            };
            if !std::mem::replace(&mut first, false) {
                piece.push(b',');
            }
            render::object(&mut piece, &kind, &version, &entry, entry.modified);
        }
        open = Some(Vec::with_capacity(LIST_PIECE_BYTES + LIST_PIECE_BYTES / 4));
        Some(piece.into())
    });
    render::respond(StatusCode::OK, "application/json", body::pieces(futures::stream::iter(next)))
}
