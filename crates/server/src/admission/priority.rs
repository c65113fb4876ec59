//! A pod's priority comes from its PriorityClass alone; one class may be the default for all.

use super::{Ground, Operation, Review};
use api::document::{Value, meta};
use api::status::Status;

const GROUP: &str = "scheduling.k8s.io";
const LOWER: &str = "PreemptLowerPriority";

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !review.is_core("pods") || !matches!(review.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if let Some(old) = review.old.filter(|_| review.operation == Operation::Update) {
        // Older clients drop the field: keep what admission once set.
        if review.object.get(&["spec", "priority"]).is_none()
            && let Some(priority) = old.get(&["spec", "priority"])
        {
            review.object.set_at(&["spec", "priority"], priority.clone());
        }
        return Ok(());
    }
    let (priority, policy) = chosen(review, ground)?;
    if let Some(asked) = review.object.i64_at(&["spec", "priority"])
        && asked != priority
    {
        return Err(review.forbidden(format!(
            "the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    let asked = review.object.str_at(&["spec", "preemptionPolicy"]);
    if let Some(asked) = asked.filter(|asked| *asked != policy) {
        return Err(review.forbidden(format!(
            "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    review.object.set_at(&["spec", "priority"], priority);
    review.object.set_at(&["spec", "preemptionPolicy"], policy);
    Ok(())
}

fn chosen(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(i64, String), Status> {
    let name = review.object.str_at(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
    if name.is_empty() {
        let classes = ground.objects.objects(GROUP, "priorityclasses", "");
        let default = classes.iter().filter(|c| c.bool_at(&["globalDefault"]) == Some(true));
        let Some(default) = default.min_by_key(|c| value(c)) else { return Ok((0, LOWER.into())) };
        review.object.set_at(&["spec", "priorityClassName"], meta::name(default));
        return Ok((value(default), policy(default)));
    }
    match ground.objects.object(GROUP, "priorityclasses", "", &name) {
        Some(class) => Ok((value(&class), policy(&class))),
        // The system's own two are there from the first moment, before their objects are.
        None => match name.as_str() {
            "system-node-critical" => Ok((2_000_001_000, LOWER.into())),
            "system-cluster-critical" => Ok((2_000_000_000, LOWER.into())),
            _ => Err(review.forbidden(format!("no PriorityClass with name {name} was found"))),
        },
    }
}

fn value(class: &Value) -> i64 {
    class.i64_at(&["value"]).unwrap_or(0)
}

fn policy(class: &Value) -> String {
    class.str_at(&["preemptionPolicy"]).unwrap_or(LOWER).to_owned()
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let class = review.group == GROUP && review.resource == "priorityclasses";
    if !class || !matches!(review.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    if review.object.bool_at(&["globalDefault"]) != Some(true) {
        return Ok(());
    }
    let own = meta::name(review.object);
    let classes = ground.objects.objects(GROUP, "priorityclasses", "");
    let other = classes.iter().find(|c| c.bool_at(&["globalDefault"]) == Some(true) && meta::name(c) != own);
    match other.map(meta::name) {
        None => Ok(()),
        Some(other) => {
            Err(review.forbidden(format!("PriorityClass {other} is already marked as default. Only one default can exist")))
        }
    }
}
