//! What every backend must keep: order, preconditions, snapshots, watches.

mod fixture;

use std::collections::BTreeMap;

use fixture::{Opened, delete, put};
use proptest::prelude::*;
use store::{Change, CommitError, Expect, Op, WatchError};

#[tokio::test]
async fn a_change_is_visible_with_its_revision_when_it_is_acknowledged() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let second = opened.store.commit(put("/a", "2", Expect::Revision(first))).await.unwrap();
    assert!(second > first);
    let snapshot = opened.store.snapshot();
    let entry = snapshot.get("/a").unwrap();
    assert_eq!((&entry.value[..], entry.created, entry.modified, entry.fields), (&b"2"[..], first, second, 1));
    assert_eq!(snapshot.revision(), second);
}

#[tokio::test]
async fn what_is_expected_must_hold() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let refused = opened.store.commit(put("/a", "2", Expect::Absent)).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { current: Some(current), .. } if current == first), "{refused}");
    let refused = opened.store.commit(put("/b", "2", Expect::Revision(first))).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { current: None, .. }), "{refused}");
    opened.store.commit(delete("/a", Expect::Revision(first))).await.unwrap();
    assert!(opened.store.snapshot().get("/a").is_none());
}

#[tokio::test]
async fn a_transaction_is_made_whole_or_not_at_all() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let changes = vec![put("/b", "1", Expect::Absent), put("/a", "2", Expect::Absent)];
    opened.store.transact(changes).await.unwrap_err();
    assert!(opened.store.snapshot().get("/b").is_none());
    let check = Change { op: Op::Check, ..put("/a", "", Expect::Revision(first)) };
    let revision =
        opened.store.transact(vec![put("/b", "1", Expect::Absent), put("/c", "1", Expect::Absent), check]).await.unwrap();
    let snapshot = opened.store.snapshot();
    assert_eq!([snapshot.get("/b").unwrap().modified, snapshot.get("/c").unwrap().modified], [revision; 2]);
}

#[tokio::test]
async fn of_many_who_expect_the_same_revision_one_wins() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "0", Expect::Absent)).await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|i| {
            let store = opened.store.clone();
            tokio::spawn(async move { store.commit(put("/a", &i.to_string(), Expect::Revision(first))).await.is_ok() })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_range_is_in_order_and_goes_on_after_a_key() {
    let opened = Opened::fresh().await;
    for key in ["/p/c", "/p/a", "/q/a", "/p/b", "/o"] {
        opened.store.commit(put(key, key, Expect::Absent)).await.unwrap();
    }
    let snapshot = opened.store.snapshot();
    let keys = |prefix, after| snapshot.range(prefix, after).map(|entry| entry.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys("/p/", None), ["/p/a", "/p/b", "/p/c"]);
    assert_eq!(keys("/p/", Some("/p/a")), ["/p/b", "/p/c"]);
    assert_eq!(keys("/p/", Some("/a")), ["/p/a", "/p/b", "/p/c"]);
    assert_eq!(snapshot.count("/q/"), 1);
}

#[tokio::test]
async fn a_snapshot_never_changes_and_an_older_one_can_be_seen_again() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let held = opened.store.snapshot();
    opened.store.commit(put("/a", "2", Expect::Any)).await.unwrap();
    opened.store.commit(put("/b", "1", Expect::Any)).await.unwrap();
    let last = opened.store.commit(delete("/a", Expect::Any)).await.unwrap();
    assert_eq!(&held.get("/a").unwrap().value[..], b"1");
    let again = opened.store.snapshot_at(first).unwrap();
    assert_eq!((again.len(), &again.get("/a").unwrap().value[..]), (1, &b"1"[..]));
    opened.store.compact(last);
    assert_eq!(opened.store.snapshot_at(first).err().unwrap().oldest, last);
}

#[tokio::test]
async fn a_watch_sees_every_change_under_its_prefix_once_and_in_order() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/p/a", "1", Expect::Absent)).await.unwrap();
    let mut watch = opened.store.watch("/p/", first - 1).unwrap();
    let store = opened.store.clone();
    let writer = tokio::spawn(async move {
        for i in 0..500 {
            store.commit(put(&format!("/p/{}", i % 7), "x", Expect::Any)).await.unwrap();
            store.commit(put("/other", "x", Expect::Any)).await.unwrap();
        }
        store.commit(delete("/p/a", Expect::Any)).await.unwrap()
    });
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &(u64, bool)| !event.1) {
        seen.extend(watch.next().await.unwrap().events.iter().map(|event| (event.revision, event.deleted)));
    }
    assert_eq!(seen.len(), 502);
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(seen.last().unwrap().0, writer.await.unwrap());
    assert_eq!(watch.progress(), seen.last().unwrap().0);
}

#[tokio::test]
async fn a_watch_from_before_what_is_kept_is_refused_and_a_slow_one_is_told() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let mut slow = opened.store.watch("/", first).unwrap();
    let last = opened.store.commit(put("/a", "2", Expect::Any)).await.unwrap();
    opened.store.compact(last);
    assert!(opened.store.watch("/", first).is_err());
    assert!(matches!(slow.next().await, Err(WatchError::Compacted(_))));
}

#[tokio::test]
async fn a_watch_where_nothing_happens_loses_nothing_by_what_is_forgotten_elsewhere() {
    let opened = Opened::fresh().await;
    let mut quiet = opened.store.watch("/quiet/", 0).unwrap();
    assert!(quiet.poll().unwrap().events.is_empty());
    for i in 0..3 {
        let last = opened.store.commit(put(&format!("/busy/{i}"), "", Expect::Any)).await.unwrap();
        opened.store.compact(last);
    }
    opened.store.commit(put("/quiet/a", "", Expect::Any)).await.unwrap();
    assert_eq!(quiet.poll().unwrap().events.len(), 1);
    let last = opened.store.commit(put("/quiet/b", "", Expect::Any)).await.unwrap();
    opened.store.compact(last);
    assert!(quiet.poll().is_err(), "this one was lost");
}

#[tokio::test]
async fn the_history_is_bounded_by_count_and_a_watch_that_keeps_up_is_not_disturbed() {
    let opened = Opened::fresh().await;
    let first = opened.store.commit(put("/a", "1", Expect::Absent)).await.unwrap();
    let mut watch = opened.store.watch("/", first).unwrap();
    let mut seen = 0;
    for _ in 0..20 {
        let changes = (0..1000).map(|i| put(&format!("/n/{i}"), "x", Expect::Any)).collect();
        opened.store.transact(changes).await.unwrap();
        while seen % 1000 < 1000 {
            let batch = watch.poll().unwrap();
            if batch.events.is_empty() {
                break;
            }
            seen += batch.events.len();
        }
    }
    assert_eq!(seen, 20_000);
    assert!(opened.store.watch("/", first).is_err());
}

#[tokio::test]
async fn a_watch_ends_when_the_store_is_closed() {
    let opened = Opened::fresh().await;
    let mut watch = opened.store.watch("/", 0).unwrap();
    let waiting = tokio::spawn(async move { watch.next().await.map(|_| ()) });
    tokio::task::yield_now().await;
    drop(opened.store);
    assert_eq!(waiting.await.unwrap(), Err(WatchError::Closed));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, bool),
    Delete(u8),
    Stale(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, any::<u8>(), any::<bool>()).prop_map(|(key, value, durable)| Step::Put(key, value, durable)),
        3 => (0..6_u8).prop_map(Step::Delete),
        1 => (0..6_u8).prop_map(Step::Stale),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against a map: every acknowledged durable change is there, revisions only grow, also over reopening and checkpoints.
    #[test]
    fn the_store_behaves_as_a_map_with_revisions(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut opened = Opened::with_checkpoints_at(400).await;
            let mut model: BTreeMap<String, (String, u64)> = BTreeMap::new();
            let mut unsafe_keys: Vec<String> = Vec::new();
            let mut last = 0;
            for step in steps {
                match step {
                    Step::Put(key, value, durable) => {
                        let key = format!("/{key}");
                        let change = Change { durable, ..put(&key, &value.to_string(), Expect::Any) };
                        let revision = opened.store.commit(change).await.unwrap();
                        assert!(revision > last);
                        last = revision;
                        unsafe_keys.retain(|other| *other != key);
                        if !durable { unsafe_keys.push(key.clone()); }
                        model.insert(key, (value.to_string(), revision));
                    }
                    Step::Delete(key) => {
                        let key = format!("/{key}");
                        last = opened.store.commit(delete(&key, Expect::Any)).await.unwrap().max(last);
                        unsafe_keys.retain(|other| *other != key);
                        model.remove(&key);
                    }
                    Step::Stale(key) => {
                        let change = put(&format!("/{key}"), "no", Expect::Revision(last + 100));
                        assert!(opened.store.commit(change).await.is_err());
                    }
                    Step::Reopen => {
                        opened = opened.reopen().await;
                        let snapshot = opened.store.snapshot();
                        // What need not be durable may be gone or be as it was before; take what is there.
                        for key in unsafe_keys.drain(..) {
                            match snapshot.get(&key) {
                                Some(entry) => { model.insert(key, (String::from_utf8_lossy(&entry.value).into(), entry.modified)); }
                                None => { model.remove(&key); }
                            }
                        }
                    }
                }
                let snapshot = opened.store.snapshot();
                let found: BTreeMap<String, (String, u64)> = snapshot
                    .range("", None)
                    .map(|entry| (entry.key.to_string(), (String::from_utf8_lossy(&entry.value).into(), entry.modified)))
                    .collect();
                assert_eq!(&found, &model);
            }
        });
    }
}
