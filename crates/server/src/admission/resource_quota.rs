//! ResourceQuotas: what a namespace may hold. Usage is counted from the newest stored objects plus what was admitted and is on
//! its way into the store, so that a burst of writers cannot overtake the count. Without a quota nothing is counted.

mod usage;

pub use usage::{pod_total, usage_of};

use super::{Ground, Operation, Review, limit_ranger::quantity};
use crate::security::Objects;
use api::document::{Value, meta};
use api::quantity::Quantity;
use api::status::Status;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// How long an admitted write counts before its object is seen in the store.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

struct Reservation {
    namespace: String,
    resource: String,
    name: String,
    usage: Amounts,
    /// Scopes that the object falls under.
    object: Value,
    at: SystemTime,
}

/// Writes admitted and not yet seen stored.
#[derive(Default)]
pub struct Ledger(Mutex<Vec<Reservation>>);

impl Ledger {
    /// The store shows what became of these: `/group/plural/namespace/name`. They are counted from there now, or gone.
    pub fn seen<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.is_empty() {
            return;
        }
        for key in keys {
            let parts: Vec<&str> = key.split('/').skip(1).collect();
            let [group, plural, namespace, name] = parts[..] else { continue };
            let resource = usage::qualified(if group == "core" { "" } else { group }, plural);
            ledger.retain(|r| r.namespace != namespace || r.name != name || r.resource != resource);
        }
    }
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let counted = matches!(review.operation, Operation::Create | Operation::Update)
        && (review.subresource.is_empty() || review.subresource == "resize")
        && !review.namespace.is_empty();
    if !counted || (review.group.is_empty() && review.resource == "resourcequotas") {
        return Ok(());
    }
    let quotas = ground.objects.objects("", "resourcequotas", review.namespace);
    if quotas.is_empty() {
        return Ok(());
    }
    let mut wanted = usage_of(review.group, review.resource, review.object);
    if let Some(old) = review.old.filter(|_| review.operation == Operation::Update) {
        for (name, amount) in usage_of(review.group, review.resource, old) {
            *wanted.entry(name).or_default() -= amount;
        }
        wanted.retain(|_, amount| !amount.is_zero() && !amount.is_negative());
    }
    if wanted.is_empty() {
        return Ok(());
    }
    // One at a time: what one is granted, the next one sees.
    let mut ledger = ground.security.quota.0.lock().unwrap_or_else(PoisonError::into_inner);
    let now = ground.security.now();
    ledger.retain(|r| now.duration_since(r.at).is_ok_and(|age| age < ON_ITS_WAY) && !stored(r, ground));
    // Admission runs again when another write came first: what it granted this object before is not counted twice.
    let name = if review.name.is_empty() { meta::name(review.object) } else { review.name }.to_owned();
    let resource = usage::qualified(review.group, review.resource);
    ledger.retain(|r| r.namespace != review.namespace || r.name != name || r.resource != resource);
    for quota in &quotas {
        check(review, ground, quota, &wanted, &ledger)?;
    }
    if !review.dry_run && review.operation == Operation::Create {
        let namespace = review.namespace.to_owned();
        ledger.push(Reservation { namespace, resource, name, usage: wanted, object: review.object.clone(), at: now });
    }
    Ok(())
}

fn stored(reservation: &Reservation, ground: &Ground<'_>) -> bool {
    let (resource, group) = reservation.resource.split_once('.').unwrap_or((&reservation.resource, ""));
    ground.objects.object(group, resource, &reservation.namespace, &reservation.name).is_some()
}

fn check(
    review: &Review<'_>,
    ground: &Ground<'_>,
    quota: &Value,
    wanted: &Amounts,
    ledger: &[Reservation],
) -> Result<(), Status> {
    let pod = review.group.is_empty() && review.resource == "pods";
    if !usage::in_scope(quota, pod.then_some(&*review.object)) {
        return Ok(());
    }
    let name = meta::name(quota);
    let hard: Amounts = hard_limits(quota);
    let relevant: Vec<(&String, &Quantity)> = hard.iter().filter(|(k, _)| wanted.contains_key(*k)).collect();
    if pod && review.operation == Operation::Create {
        let missing = usage::unspecified(review.object, &hard);
        if !missing.is_empty() {
            return Err(review.forbidden(format!("failed quota: {name}: must specify {}", missing.join("; "))));
        }
    }
    if relevant.is_empty() {
        return Ok(());
    }
    let used = used(review.namespace, quota, ground.objects, ledger);
    let exceeded: Vec<&String> = relevant
        .iter()
        .filter(|(k, limit)| used.get(*k).copied().unwrap_or_default() + wanted[*k] > **limit)
        .map(|(k, _)| *k)
        .collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    let list = |of: &dyn Fn(&String) -> Quantity| exceeded.iter().map(|k| format!("{k}={}", of(k))).collect::<Vec<_>>().join(",");
    Err(review.forbidden(format!(
        "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
        list(&|k| wanted[k]),
        list(&|k| used.get(k).copied().unwrap_or_default()),
        list(&|k| hard[k]),
    )))
}

fn hard_limits(quota: &Value) -> Amounts {
    let map = quota.object_at(&["spec", "hard"]).into_iter().flat_map(|m| m.iter());
    map.filter_map(|(k, v)| Some((k.to_string(), quantity(v)?))).collect()
}

/// What a quota's namespace holds now, of what the quota limits.
fn used(namespace: &str, quota: &Value, objects: &dyn Objects, ledger: &[Reservation]) -> Amounts {
    let hard = hard_limits(quota);
    let mut total = Amounts::new();
    for (group, resource) in usage::sources(&hard) {
        for object in objects.objects(&group, &resource, namespace) {
            let pod = group.is_empty() && resource == "pods";
            if usage::in_scope(quota, pod.then_some(&object)) {
                add(&mut total, usage_of(&group, &resource, &object));
            }
        }
    }
    for reservation in ledger.iter().filter(|r| r.namespace == namespace) {
        let pod = reservation.resource == "pods";
        if usage::in_scope(quota, pod.then_some(&reservation.object)) {
            add(&mut total, reservation.usage.clone());
        }
    }
    total.retain(|name, _| hard.contains_key(name));
    total
}

/// The status that a quota should have by what is stored: its limits, and what is used of each.
pub fn status(quota: &Value, objects: &dyn Objects) -> Value {
    let used = used(meta::namespace(quota), quota, objects, &[]);
    let mut status = Value::object();
    for (name, limit) in hard_limits(quota) {
        let amount = used.get(&name).copied().unwrap_or_default();
        status.set_at(&["hard", &name], limit.to_string());
        status.set_at(&["used", &name], amount.to_string());
    }
    status
}

fn add(total: &mut Amounts, more: Amounts) {
    for (name, amount) in more {
        *total.entry(name).or_default() += amount;
    }
}
