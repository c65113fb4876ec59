//! The walks over the steps: failing and stopping at each index in turn, with steps that only keep count.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::{Attached, Done, Ground, STEPS, Step, StepError, address};
use crate::pod::{record, start, stop};
use crate::site::Site;

/// A network that gives everyone the same.
struct Still;

impl address::PodNetwork for Still {
    fn attach<'a>(&'a self, _: &'a Pod) -> BoxFuture<'a, Result<Attached, address::NetworkError>> {
        Box::pin(async { Ok(Attached { namespace: "/proc/self/ns/net".into(), addresses: vec![Ipv4Addr::LOCALHOST.into()] }) })
    }

    fn namespace(&self, _: &str) -> std::path::PathBuf {
        "/proc/self/ns/net".into()
    }

    fn protect<'a>(&'a self, _: &'a Pod) -> BoxFuture<'a, Result<(), address::NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn detach<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), address::NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn adopt<'a>(&'a self, _: &'a str, _: &'a Attached) -> BoxFuture<'a, Result<(), address::NetworkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A step that keeps count of what is there, and fails as it is told.
struct Counting {
    name: &'static str,
    there: Arc<Mutex<Vec<&'static str>>>,
    fails: bool,
    stays: bool,
}

impl Step for Counting {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            // Half done is what a failure leaves.
            self.there.lock().unwrap().push(self.name);
            if self.fails { Err(StepError::new("Failed", self.name)) } else { Ok(()) }
        })
    }

    fn stop<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if self.stays {
                return Err(StepError::new("Failed", self.name));
            }
            self.there.lock().unwrap().retain(|name| *name != self.name);
            Ok(())
        })
    }

    fn adopt<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

fn ground(folder: &std::path::Path) -> Ground {
    let pod = Arc::new(Pod::default());
    let (_, seen) = watch::channel(Arc::clone(&pod));
    Ground {
        site: Arc::new(Site::for_tests(folder, Arc::new(Still))),
        pod,
        seen,
        uid: "u".into(),
        folder: folder.to_owned(),
        record: record::Record::default(),
        begun: None,
        sandbox: None,
        volumes: Arc::default(),
    }
}

const NAMES: [&str; 8] = ["address", "policy", "sandbox", "volumes", "images", "init", "containers", "probes"];

fn steps(there: &Arc<Mutex<Vec<&'static str>>>, fails: Option<usize>, stays: Option<usize>) -> Vec<Counting> {
    let step = |(at, name): (usize, &'static str)| Counting {
        name,
        there: Arc::clone(there),
        fails: fails == Some(at),
        stays: stays == Some(at),
    };
    NAMES.into_iter().enumerate().map(step).collect()
}

#[test]
fn the_steps_are_these_in_this_order() {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name()).collect();
    assert_eq!(names, NAMES);
}

#[tokio::test]
async fn whichever_step_fails_nothing_is_left_and_the_next_try_goes_through() {
    for failing in 0..NAMES.len() {
        let dir = tempfile::tempdir().unwrap();
        let there = Arc::default();
        let mut ground = ground(dir.path());
        let broken = steps(&there, Some(failing), None);
        let broken: Vec<&dyn Step> = broken.iter().map(|step| step as &dyn Step).collect();
        let error = start::walk(&broken, &mut ground).await.unwrap_err();
        assert_eq!(error.message, NAMES[failing]);
        assert_eq!(ground.record.steps, NAMES[..failing], "what is done is noted, what failed is not");
        assert!(stop::walk(&broken, &mut ground).await.is_empty());
        assert!(there.lock().unwrap().is_empty(), "failed at {failing}");
        let whole = steps(&there, None, None);
        let whole: Vec<&dyn Step> = whole.iter().map(|step| step as &dyn Step).collect();
        start::walk(&whole, &mut ground).await.unwrap();
        assert_eq!(*there.lock().unwrap(), NAMES);
    }
}

#[tokio::test]
async fn an_agent_that_dies_after_any_step_goes_on_with_the_next() {
    for done in 0..=NAMES.len() {
        let dir = tempfile::tempdir().unwrap();
        let there = Arc::default();
        let mut first = ground(dir.path());
        let all = steps(&there, None, None);
        let all: Vec<&dyn Step> = all.iter().map(|step| step as &dyn Step).collect();
        start::walk(&all[..done], &mut first).await.unwrap();
        first.record.write(dir.path()).unwrap();
        there.lock().unwrap().clear();
        let mut second = ground(dir.path());
        second.record = record::Record::read(dir.path()).unwrap();
        start::walk(&all, &mut second).await.unwrap();
        assert_eq!(*there.lock().unwrap(), NAMES[done..], "after {done}");
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_told_and_keeps_nothing_else_from_being_undone() {
    for (staying, name) in NAMES.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let there = Arc::default();
        let mut ground = ground(dir.path());
        let all = steps(&there, None, Some(staying));
        let all: Vec<&dyn Step> = all.iter().map(|step| step as &dyn Step).collect();
        start::walk(&all, &mut ground).await.unwrap();
        let failures = stop::walk(&all, &mut ground).await;
        assert_eq!(failures.len(), 1);
        assert_eq!(*there.lock().unwrap(), [name]);
        assert_eq!(ground.record.steps, [name], "it is known that this one is still there");
    }
}

#[tokio::test]
async fn undoing_what_never_was_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = ground(dir.path());
    let failures = stop::stop(&mut ground).await;
    assert!(failures.is_empty(), "{failures:?}");
}
