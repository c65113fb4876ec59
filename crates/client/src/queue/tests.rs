use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Queue;

async fn nothing_comes(queue: &Queue<&'static str>) -> bool {
    timeout(Duration::from_millis(1), queue.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_once_and_keys_come_in_order() {
    let queue = Queue::new();
    for key in ["a", "b", "a", "c"] {
        queue.add(key);
    }
    assert_eq!((queue.next().await, queue.next().await, queue.next().await), ("a", "b", "c"));
    assert!(nothing_comes(&queue).await);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_with_one_worker_at_a_time_and_changes_meanwhile_are_not_lost() {
    let queue = Queue::new();
    queue.add("a");
    assert_eq!(queue.next().await, "a");
    queue.add("a");
    assert!(nothing_comes(&queue).await);
    queue.done(&"a");
    assert_eq!(queue.next().await, "a");
    queue.done(&"a");
    assert!(nothing_comes(&queue).await && queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_at_the_earliest_of_its_times() {
    let queue = Queue::new();
    let begun = Instant::now();
    queue.add_after("a", Duration::from_secs(5));
    queue.add_after("a", Duration::from_secs(2));
    queue.add_after("a", Duration::from_secs(9));
    assert_eq!(queue.next().await, "a");
    assert_eq!(begun.elapsed().as_secs(), 2);
    queue.done(&"a");
    assert!(timeout(Duration::from_secs(60), queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_delay_a_key_longer_until_it_succeeds() {
    let queue = Queue::new();
    let delays: Vec<_> = (0..4).map(|_| queue.retry("a").as_millis()).collect();
    assert_eq!(delays, [5, 10, 20, 40]);
    queue.succeeded(&"a");
    assert_eq!(queue.retry("a").as_millis(), 5);
}
