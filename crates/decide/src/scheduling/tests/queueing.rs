use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::pod;
use crate::scheduling::Filter;
use crate::scheduling::queue::{Event, FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT, Queue};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000 + seconds).unwrap()
}

fn next(queue: &mut Queue, seconds: i64) -> Option<String> {
    queue.take(at(seconds)).map(|pod| pod.name.clone())
}

#[test]
fn higher_priority_goes_first_then_who_came_first() {
    let mut queue = Queue::default();
    queue.put(pod("late", json!({})), at(2));
    queue.put(pod("early", json!({})), at(1));
    queue.put(pod("important", json!({"spec": {"priority": 10}})), at(3));
    let order: Vec<_> = std::iter::from_fn(|| next(&mut queue, 4)).collect();
    assert_eq!(order, ["important", "early", "late"]);
}

#[test]
fn a_refused_pod_waits_for_what_helps_and_for_its_pause() {
    let mut queue = Queue::default();
    queue.put(pod("p", json!({})), at(0));
    assert!(next(&mut queue, 0).is_some());
    queue.refused("p", BTreeSet::from([Filter::NodeResourcesFit]), at(0));
    queue.happened(Event::NodeLabels, at(0));
    assert_eq!(queue.next_due(), Some(at(0) + LONGEST_WAIT));
    queue.happened(Event::PodLeft, at(0));
    assert_eq!(next(&mut queue, 0), None);
    assert_eq!(queue.next_due(), Some(at(0) + FIRST_PAUSE));
    assert_eq!(next(&mut queue, 1).as_deref(), Some("p"));
    queue.refused("p", BTreeSet::from([Filter::NodeResourcesFit]), at(1));
    queue.happened(Event::PodLeft, at(9));
    assert_eq!(next(&mut queue, 9).as_deref(), Some("p"));
}

#[test]
fn what_happens_while_a_pod_is_decided_about_is_not_lost() {
    let mut queue = Queue::default();
    queue.put(pod("p", json!({})), at(0));
    assert!(next(&mut queue, 0).is_some());
    queue.happened(Event::NodeAdded, at(0));
    queue.refused("p", BTreeSet::from([Filter::TaintToleration]), at(0));
    assert_eq!(queue.next_due(), Some(at(0) + FIRST_PAUSE));
}

#[test]
fn pauses_grow_to_a_limit_and_nothing_waits_for_ever() {
    let mut queue = Queue::default();
    queue.put(pod("p", json!({})), at(0));
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        queue.take(now).unwrap();
        queue.failed("p", now);
        let due = queue.next_due().unwrap();
        pauses.push(due.duration_since(now).as_secs());
        now = due;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
    assert_eq!(LONGEST_PAUSE, SignedDuration::from_secs(10));
    queue.take(now).unwrap();
    queue.refused("p", BTreeSet::from([Filter::NodeAffinity]), now);
    assert!(queue.take(now + LONGEST_WAIT).is_some());
}

#[test]
fn gates_hold_a_pod_back_and_removal_forgets_it() {
    let mut queue = Queue::default();
    queue.put(pod("p", json!({"spec": {"schedulingGates": [{"name": "g"}]}})), at(0));
    assert_eq!(next(&mut queue, 0), None);
    queue.put(pod("p", json!({})), at(1));
    assert_eq!(next(&mut queue, 1).as_deref(), Some("p"));
    queue.failed("p", at(1));
    queue.remove("p");
    assert!(queue.is_empty() && queue.next_due().is_none());
}
