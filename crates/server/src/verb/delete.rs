//! `delete`: at once, or after a grace period, or when the last finalizer is gone.

use api::{
    document::{Value, meta},
    kind::Propagation,
    status::Status,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};

use crate::{
    body::Body,
    request::{Call, answer},
    state::{decode, key},
    verb::{input, list},
};

/// The finalizer that makes the owner wait for its dependents.
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that makes the dependents lose their owner first.
const ORPHAN: &str = "orphan";
/// A pod's grace period when it names none, in seconds.
const GRACE_SECONDS: i64 = 30;

/// What the client asked of the deletion.
#[derive(Default)]
struct Wish {
    grace_seconds: Option<i64>,
    propagation: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    dry_run: bool,
    /// Whether it is an eviction, which the pod is told as a condition.
    evicts: bool,
}

/// Deletes the named object.
pub async fn serve(call: &Call, body: Bytes) -> Result<Response<Body>, Status> {
    let wish = wish(call, &body)?;
    let (object, gone) = delete(call, &call.path.name, &wish).await?;
    if gone {
        let status = Status::success(&call.kind.group, &call.kind.plural, &call.path.name, meta::uid(&object));
        return Ok(answer(StatusCode::OK, &status.to_value()));
    }
    let mut object = shown(call, object).await;
    call.kind.to_served(call.version(), &mut object);
    Ok(answer(StatusCode::OK, &object))
}

/// Deletes what the selectors ask for, and answers with the list of it.
pub async fn serve_collection(call: &Call, body: Bytes) -> Result<Response<Body>, Status> {
    let wish = wish(call, &body)?;
    let filter = list::filter(call)?;
    let prefix = list::collection(call);
    let snapshot = call.state.snapshot();
    let mut found: Vec<_> = snapshot.range(&prefix, None).filter(|entry| filter.matches(&call.kind, entry)).cloned().collect();
    if filter.needs_conversion() {
        let objects = found.iter().map(|entry| decode(entry)).collect();
        let objects = crate::conversion::all(&call.state, &call.kind, objects, &call.api_version()).await?;
        let mut selected = objects.iter().map(|object| filter.matches_converted(object));
        found.retain(|_| selected.next().unwrap_or(false));
    }
    let mut items = Vec::with_capacity(found.len());
    for entry in found {
        let (namespace, name) = crate::state::names(&entry.key);
        match delete_at(call, namespace, name, &wish).await {
            Ok((object, _)) => {
                let mut object = shown(call, object).await;
                call.kind.to_served(call.version(), &mut object);
                items.push(object);
            }
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    let mut list = Value::object();
    list.set_at(&["kind"], call.kind.list_kind.clone());
    list.set_at(&["apiVersion"], meta::join_api_version(&call.kind.group, &call.version().name));
    list.set_at(&["metadata", "resourceVersion"], call.state.snapshot().revision().to_string());
    list.set_at(&["items"], Value::Array(items));
    Ok(answer(StatusCode::OK, &list))
}

/// The object in the version of the call. It is deleted by now, so a webhook that fails is no reason to say that it was not.
async fn shown(call: &Call, object: Value) -> Value {
    match crate::conversion::one(&call.state, &call.kind, object.clone(), &call.api_version()).await {
        Ok(converted) => converted,
        Err(_) => object,
    }
}

/// The options: in the body, or in the query.
fn wish(call: &Call, body: &[u8]) -> Result<Wish, Status> {
    let options = if body.is_empty() { Value::object() } else { input::parse(call, body)?.document };
    let text = |path: &[&str]| options.str_at(path).map(str::to_owned);
    let query = |name: &str| call.query.get(name).map(str::to_owned);
    let grace = options.i64_at(&["gracePeriodSeconds"]).or_else(|| call.query.get("gracePeriodSeconds")?.parse().ok());
    let orphans = options.bool_at(&["orphanDependents"]).map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned());
    let wish = Wish {
        grace_seconds: grace,
        propagation: text(&["propagationPolicy"]).or_else(|| query("propagationPolicy")).or(orphans),
        uid: text(&["preconditions", "uid"]),
        resource_version: text(&["preconditions", "resourceVersion"]),
        dry_run: input::options(call)?.dry_run || !options.array_at(&["dryRun"]).is_empty(),
        evicts: false,
    };
    if let Some(policy) = &wish.propagation
        && !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan")
    {
        let error =
            api::status::FieldError::not_supported("propagationPolicy", policy.as_str(), &["Foreground", "Background", "Orphan"]);
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
    }
    Ok(wish)
}

/// Deletes one object of the call's namespace. Returns it, and whether it is gone.
async fn delete(call: &Call, name: &str, wish: &Wish) -> Result<(Value, bool), Status> {
    delete_at(call, call.namespace(), name, wish).await
}

async fn delete_at(call: &Call, namespace: &str, name: &str, wish: &Wish) -> Result<(Value, bool), Status> {
    let key = key(&call.kind, namespace, name);
    for _ in 0..crate::limits::WRITE_TRIES {
        let snapshot = call.state.snapshot();
        let entry = snapshot.get(&key).ok_or_else(|| Status::not_found(&call.kind.group, &call.kind.plural, name))?;
        let old = decode(entry);
        check_preconditions(call, name, wish, &old)?;
        crate::write::review_deletion(call, namespace, name, &old, wish.dry_run).await?;
        let mut new = old.clone();
        if crate::custom_kinds::is_definition(&call.kind) && !wish.dry_run {
            let cleared = crate::custom_kinds::clear(&call.state, &old, call.now).await;
            if !cleared.map_err(|error| crate::write::commit_failed(&error))? {
                crate::custom_kinds::hold(&mut new, call.now);
            }
        }
        let gone = mark(call, wish, &mut new);
        if wish.evicts && !gone && !meta::is_deleted(&old) {
            note_eviction(&mut new, call.now);
        }
        if !gone && new == old {
            return Ok((old, false));
        }
        if wish.dry_run {
            return Ok((new, gone));
        }
        if let Some(result) = crate::write::replace(call, entry, &old, new, gone).await? {
            return Ok((result, gone));
        }
    }
    Err(Status::modified(&call.kind.group, &call.kind.plural, name))
}

fn check_preconditions(call: &Call, name: &str, wish: &Wish, old: &Value) -> Result<(), Status> {
    let kind = &call.kind;
    let checks = [("UID", &wish.uid, meta::uid(old)), ("ResourceVersion", &wish.resource_version, meta::resource_version(old))];
    for (what, wanted, current) in checks {
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != current) {
            let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {current}");
            return Err(Status::conflict(&kind.group, &kind.plural, name, &why));
        }
    }
    Ok(())
}

/// Marks the object as being deleted, if it must wait for something. Whether it may go at once.
fn mark(call: &Call, wish: &Wish, object: &mut Value) -> bool {
    let grace = grace_seconds(call, wish, object);
    let was_deleted = meta::is_deleted(object);
    set_propagation(call, wish, object);
    let waits =
        meta::finalizers(object).next().is_some() || (is_namespace(call) && !object.array_at(&["spec", "finalizers"]).is_empty());
    if !waits && grace == 0 {
        return true;
    }
    if was_deleted {
        // A deletion under way can only be made faster.
        if meta::deletion_grace_seconds(object).is_some_and(|running| grace < running) {
            set_deletion(object, call.now, grace);
        }
        return false;
    }
    set_deletion(object, call.now, grace);
    let generation = meta::generation(object);
    if generation > 0 {
        meta::set(object, "generation", generation + 1);
    }
    if is_namespace(call) {
        object.set_at(&["status", "phase"], "Terminating");
    }
    false
}

fn is_namespace(call: &Call) -> bool {
    call.kind.group.is_empty() && call.kind.plural == "namespaces"
}

fn set_deletion(object: &mut Value, now: Timestamp, grace: i64) {
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    meta::set(object, "deletionTimestamp", meta::format_time(at));
    meta::set(object, "deletionGracePeriodSeconds", grace);
}

/// The grace of a pod: as asked, or as it says; none for one that no node runs.
fn grace_seconds(call: &Call, wish: &Wish, object: &Value) -> i64 {
    if !call.kind.graceful_deletion {
        return 0;
    }
    let idle = object.str_at(&["spec", "nodeName"]).unwrap_or_default().is_empty()
        || matches!(object.str_at(&["status", "phase"]), Some("Succeeded" | "Failed"));
    let own = object.i64_at(&["spec", "terminationGracePeriodSeconds"]).unwrap_or(GRACE_SECONDS);
    let grace = wish.grace_seconds.unwrap_or(own);
    // A negative one means as little as the pod itself may have: a second.
    let grace = if grace < 0 { 1 } else { grace };
    if idle { 0 } else { grace }
}

fn set_propagation(call: &Call, wish: &Wish, object: &mut Value) {
    let default = match call.kind.propagation {
        Propagation::Orphan => "Orphan",
        Propagation::Background => "Background",
    };
    let had = [FOREGROUND, ORPHAN].into_iter().find(|finalizer| meta::has_finalizer(object, finalizer));
    match wish.propagation.as_deref() {
        None if had.is_some() => {}
        policy => {
            meta::remove_finalizer(object, FOREGROUND);
            meta::remove_finalizer(object, ORPHAN);
            match policy.unwrap_or(default) {
                "Foreground" => meta::add_finalizer(object, FOREGROUND),
                "Orphan" => meta::add_finalizer(object, ORPHAN),
                _ => {}
            }
        }
    }
}

/// Deletes a pod for an eviction, with the options that it carries.
pub async fn evict(call: &Call, name: &str, options: Option<&Value>, dry_run: bool) -> Result<(), Status> {
    let wish = Wish {
        grace_seconds: options.and_then(|options| options.i64_at(&["gracePeriodSeconds"])),
        uid: options.and_then(|options| options.str_at(&["preconditions", "uid"])).map(str::to_owned),
        resource_version: options.and_then(|options| options.str_at(&["preconditions", "resourceVersion"])).map(str::to_owned),
        dry_run,
        evicts: true,
        ..Wish::default()
    };
    delete(call, name, &wish).await.map(|_| ())
}

/// Whoever asks later why the pod ended, such as the failure policy of a Job, sees that it was not the pod's own doing.
fn note_eviction(pod: &mut Value, now: Timestamp) {
    let kept = pod.array_at(&["status", "conditions"]).iter().filter(|c| c.str_at(&["type"]) != Some("DisruptionTarget"));
    let mut conditions: Vec<Value> = kept.cloned().collect();
    conditions.push(api::value!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        "lastProbeTime": null, "lastTransitionTime": meta::format_time(now),
    }));
    pod.set_at(&["status", "conditions"], conditions);
}

/// Notes in a budget that a pod is being disrupted, so that no second eviction counts on the same allowance.
pub async fn disrupt(call: &Call, budget: &Value, pod: &Value) -> Result<(), Status> {
    let kinds = call.state.kinds();
    let kind = kinds.resource("policy", "poddisruptionbudgets").ok_or_else(Status::no_such_resource)?;
    let key = key(kind, meta::namespace(budget), meta::name(budget));
    let snapshot = call.state.snapshot();
    let entry = snapshot.get(&key).ok_or_else(|| Status::not_found("policy", "poddisruptionbudgets", meta::name(budget)))?;
    let mut new = decode(entry);
    let allowed = new.i64_at(&["status", "disruptionsAllowed"]).unwrap_or(0);
    if allowed < 1 {
        return Err(Status::modified("policy", "poddisruptionbudgets", meta::name(budget)));
    }
    new.set_at(&["status", "disruptionsAllowed"], allowed - 1);
    new.set_at(&["status", "disruptedPods", meta::name(pod)], meta::format_time(call.now));
    let old = decode(entry);
    match crate::write::replace(call, entry, &old, new, false).await? {
        Some(_) => Ok(()),
        None => Err(Status::too_many_requests("Cannot evict pod as its disruption budget is being changed.", 1)),
    }
}
