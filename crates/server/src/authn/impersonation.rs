//! Speaking for another: the `Impersonate-…` headers, each of which the caller must be allowed to set.

use crate::authz::{Attributes, Decision, ResourceTarget, Target};
use crate::security::Security;
use api::identity::{ANONYMOUS, AUTHENTICATED, Identity, SERVICE_ACCOUNTS, UNAUTHENTICATED};
use api::status::Status;
use http::request::Parts;
use std::collections::BTreeMap;

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

/// The identity that the rest of the request runs under.
pub(super) fn apply(parts: &Parts, caller: Identity, security: &Security) -> Result<Identity, Status> {
    let Some(wanted) = requested(parts)? else { return Ok(caller) };
    check(&caller, &wanted, security)?;
    Ok(complete(wanted))
}

fn requested(parts: &Parts) -> Result<Option<Identity>, Status> {
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let groups: Vec<String> = parts.headers.get_all(GROUP).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let value = value.to_str().unwrap_or_default().to_owned();
            extra.entry(percent_decoded(key)).or_default().push(value);
        }
    }
    let identity = Identity { name: text(USER), uid: text(UID), groups, extra };
    if identity == Identity::default() {
        return Ok(None);
    }
    if identity.name.is_empty() {
        let message = "requested impersonating other attributes without impersonating a user";
        return Err(Status::bad_request(message));
    }
    Ok(Some(identity))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn check(caller: &Identity, wanted: &Identity, security: &Security) -> Result<(), Status> {
    let mut questions: Vec<ResourceTarget<'_>> = Vec::new();
    match wanted.service_account_name() {
        Some((namespace, name)) => {
            questions.push(ResourceTarget { resource: "serviceaccounts", namespace, name, ..<_>::default() });
        }
        None => questions.push(ResourceTarget { resource: "users", name: &wanted.name, ..<_>::default() }),
    }
    for group in &wanted.groups {
        questions.push(ResourceTarget { resource: "groups", name: group, ..<_>::default() });
    }
    const GROUP_NAME: &str = "authentication.k8s.io";
    for (key, values) in &wanted.extra {
        for value in values {
            let target = ResourceTarget { group: GROUP_NAME, resource: "userextras", ..<_>::default() };
            questions.push(ResourceTarget { subresource: key, name: value, ..target });
        }
    }
    if !wanted.uid.is_empty() {
        let target = ResourceTarget { group: GROUP_NAME, resource: "uids", ..<_>::default() };
        questions.push(ResourceTarget { name: &wanted.uid, ..target });
    }
    for target in questions {
        let attributes = Attributes { identity: caller, verb: "impersonate", target: Target::Resource(target) };
        let decision = security.indexes.authorize(&attributes);
        if !decision.allowed() {
            return Err(refusal(&attributes, &decision));
        }
    }
    Ok(())
}

fn refusal(attributes: &Attributes<'_>, decision: &Decision) -> Status {
    crate::authz::forbidden(attributes, decision)
}

/// Service accounts get their groups, and everyone a group that says whether they are authenticated.
fn complete(mut wanted: Identity) -> Identity {
    if wanted.groups.is_empty()
        && let Some((namespace, _)) = wanted.service_account_name()
    {
        let own = format!("{SERVICE_ACCOUNTS}:{namespace}");
        wanted.groups.extend([SERVICE_ACCOUNTS.to_owned(), own]);
    }
    let group = if wanted.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !wanted.is_in(AUTHENTICATED) && !wanted.is_in(UNAUTHENTICATED) {
        wanted.groups.push(group.to_owned());
    }
    wanted
}
