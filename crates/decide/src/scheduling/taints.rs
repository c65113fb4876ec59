//! Taints and who tolerates them. Shared with eviction, which asks the same question of the effect NoExecute.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether a toleration covers a taint.
#[must_use]
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    let (mine, theirs) = (toleration.value.as_deref().unwrap_or_default(), taint.value.as_deref().unwrap_or_default());
    let numbers = || mine.parse::<i64>().ok().zip(theirs.parse::<i64>().ok());
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && mine == theirs,
        "Lt" => numbers().is_some_and(|(mine, theirs)| theirs < mine),
        "Gt" => numbers().is_some_and(|(mine, theirs)| theirs > mine),
        _ => false,
    }
}

/// Whether one of the tolerations covers the taint.
#[must_use]
pub fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether a node's taints keep a pod away.
#[must_use]
pub fn repel(taints: &[Taint], tolerations: &[Toleration]) -> bool {
    let hard = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    taints.iter().filter(hard).any(|taint| !tolerated(tolerations, taint))
}

/// How many of the taints that only ask to stay away the pod does not tolerate.
#[must_use]
pub fn discouraging(taints: &[Taint], tolerations: &[Toleration]) -> i64 {
    let soft = taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    let tolerant = |taint: &Taint| {
        let fits =
            |one: &&Toleration| one.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == "PreferNoSchedule");
        tolerations.iter().filter(fits).any(|one| tolerates(one, taint))
    };
    soft.filter(|taint| !tolerant(taint)).count() as i64
}
