//! Workers of a queue: each key is handed to one function; what fails or panics is counted and tried again later.

use std::{
    any::Any,
    error::Error,
    fmt::Debug,
    future::Future,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::queue::Queue;

/// When a key that went well is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// When something happens.
    OnChange,
    /// After this time at the latest.
    After(Duration),
}

/// What the workers of one controller have done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Keys that were handed out.
    pub runs: AtomicU64,
    /// Of these, how many failed.
    pub errors: AtomicU64,
    /// Of these, how many panicked.
    pub panics: AtomicU64,
}

/// Hands the keys of `queue` to `reconcile`, at most `workers` at a time, until it is dropped.
pub async fn run<K, F, Run, E>(name: &'static str, queue: Queue<K>, workers: usize, counts: Arc<Counts>, reconcile: F)
where
    K: Clone + Eq + Hash + Debug + Send + Sync + 'static,
    F: Fn(K) -> Run,
    Run: Future<Output = Result<Next, E>> + Send + 'static,
    E: Error + 'static,
{
    let free = Arc::new(Semaphore::new(workers));
    let mut running = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&free).acquire_owned().await else { return };
        let key = queue.next().await;
        while running.try_join_next().is_some() {}
        let (queue, counts) = (queue.clone(), Arc::clone(&counts));
        let work = AssertUnwindSafe(reconcile(key.clone())).catch_unwind();
        running.spawn(async move {
            let result = work.await;
            counts.runs.fetch_add(1, Ordering::Relaxed);
            match result {
                Ok(Ok(next)) => {
                    queue.succeeded(&key);
                    if let Next::After(delay) = next {
                        queue.add_after(key.clone(), delay);
                    }
                }
                Ok(Err(error)) => {
                    counts.errors.fetch_add(1, Ordering::Relaxed);
                    let delay = queue.retry(key.clone());
                    tracing::debug!(controller = name, ?key, ?delay, error = &error as &dyn Error, "tried in vain");
                }
                Err(panic) => {
                    counts.panics.fetch_add(1, Ordering::Relaxed);
                    queue.retry(key.clone());
                    tracing::error!(controller = name, ?key, panic = text(panic.as_ref()), "a reconcile panicked");
                }
            }
            queue.done(&key);
            drop(slot);
        });
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
