//! How large each ReplicaSet of a Deployment is to be in this round.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::{
    Plan,
    annotations::{self, DESIRED_REPLICAS, MAX_REPLICAS},
    bounds::{Bounds, replicas},
    replica_sets::{Sets, size},
};

/// The size of the new set among `total` pods that all sets together ask for, of which it has `own`.
pub fn new_size(deployment: &Deployment, total: i32, own: i32) -> i32 {
    let wanted = replicas(deployment);
    if super::strategy(deployment) == "Recreate" {
        return wanted;
    }
    let room = wanted + Bounds::of(deployment).surge - total;
    if room <= 0 { own } else { own + room.min(wanted - own) }
}

/// Brings the new set towards the wanted size. Whether that changed it, in which case the old ones wait for the next round.
pub fn new_up(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) -> bool {
    let Some(place) = sets.new_place() else { return false };
    let own = size(sets.at(place));
    let wanted = replicas(deployment);
    let to = match own.cmp(&wanted) {
        std::cmp::Ordering::Equal => return false,
        std::cmp::Ordering::Greater => wanted,
        std::cmp::Ordering::Less => new_size(deployment, sets.all().map(size).sum(), own),
    };
    sets.scale(deployment, place, to, plan)
}

/// Takes pods from the old sets: first those that do not work anyway, then as many as the available ones allow.
pub fn old_down(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) {
    if sets.old().map(size).sum::<i32>() == 0 {
        return;
    }
    let needed = replicas(deployment) - Bounds::of(deployment).unavailable;
    let total: i32 = sets.all().map(size).sum();
    let new_missing = sets.new_set().map_or(0, |set| size(set) - available(set));
    let mut spare = total - needed - new_missing;
    if spare <= 0 {
        return;
    }
    for place in sets.old_places() {
        let set = sets.at(place);
        let broken = (size(set) - available(set)).clamp(0, spare);
        if broken > 0 {
            let to = size(set) - broken;
            spare -= broken;
            sets.scale(deployment, place, to, plan);
        }
    }
    let mut spare = sets.all().map(available).sum::<i32>() - needed;
    for place in sets.old_places() {
        let less = size(sets.at(place)).min(spare);
        if less > 0 {
            let to = size(sets.at(place)) - less;
            spare -= less;
            sets.scale(deployment, place, to, plan);
        }
    }
}

/// Takes all pods from the old sets. Whether there were any.
pub fn old_to_nothing(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) -> bool {
    let mut any = false;
    for place in sets.old_places() {
        if size(sets.at(place)) > 0 {
            any |= sets.scale(deployment, place, 0, plan);
        }
    }
    any
}

/// Brings the sets to a new wanted number, each by its share.
pub fn spread(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) {
    if let Some(place) = only_active_or_latest(sets) {
        if size(sets.at(place)) != replicas(deployment) {
            sets.scale(deployment, place, replicas(deployment), plan);
        }
        return;
    }
    if is_saturated(deployment, sets) {
        old_to_nothing(deployment, sets, plan);
        return;
    }
    if super::strategy(deployment) == "RollingUpdate" {
        spread_by_share(deployment, sets, plan);
    }
}

/// The set that alone has pods, or, if none has, the new one or the youngest.
fn only_active_or_latest(sets: &Sets) -> Option<usize> {
    let active: Vec<_> = (0..sets.len()).filter(|place| size(sets.at(*place)) > 0).collect();
    match active.as_slice() {
        [] => sets.new_place().or_else(|| sets.len().checked_sub(1)),
        [only] => Some(*only),
        _ => None,
    }
}

fn is_saturated(deployment: &Deployment, sets: &Sets) -> bool {
    let wanted = replicas(deployment);
    sets.new_set().is_some_and(|set| {
        size(set) == wanted && available(set) == wanted && annotations::number(set, DESIRED_REPLICAS) == Some(wanted)
    })
}

fn spread_by_share(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) {
    let wanted = replicas(deployment);
    let allowed = if wanted > 0 { wanted + Bounds::of(deployment).surge } else { 0 };
    let mut places: Vec<_> = (0..sets.len()).filter(|place| size(sets.at(*place)) > 0).collect();
    let add = allowed - places.iter().map(|place| size(sets.at(*place))).sum::<i32>();
    // The largest first; among equals the youngest grows, and the oldest shrinks, first.
    if add > 0 {
        places.reverse();
    }
    places.sort_by_key(|place| -size(sets.at(*place)));
    let mut added = 0;
    let mut to: Vec<i32> = Vec::new();
    for place in &places {
        let share = share(deployment, sets.at(*place), add, added);
        added += share;
        to.push(size(sets.at(*place)) + share);
    }
    if let Some(first) = to.first_mut() {
        *first = (*first + add - added).max(0);
    }
    for (place, to) in places.into_iter().zip(to) {
        sets.scale(deployment, place, to, plan);
    }
}

/// What a set gets of `add`, of which `added` are given away already.
fn share(deployment: &Deployment, set: &ReplicaSet, add: i32, added: i32) -> i32 {
    if add == 0 || add == added {
        return 0;
    }
    let own = size(set);
    if replicas(deployment) == 0 {
        return -own;
    }
    let largest = f64::from(replicas(deployment) + Bounds::of(deployment).surge);
    let status = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let before = f64::from(annotations::number(set, MAX_REPLICAS).unwrap_or(status).max(1));
    #[expect(clippy::cast_possible_truncation, reason = "sizes are small")]
    let fraction = (f64::from(own) * largest / before).round() as i32 - own;
    if add > 0 { fraction.min(add - added) } else { fraction.max(add - added) }
}

/// The available pods of a set.
pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}
