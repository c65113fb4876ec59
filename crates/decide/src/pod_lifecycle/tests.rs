use super::*;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn pod(spec: serde_json::Value) -> Pod {
    let meta = json!({ "name": "p", "namespace": "ns", "uid": "u", "generation": 1 });
    serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
}

fn plain(policy: &str) -> Pod {
    pod(json!({ "restartPolicy": policy, "containers": [{ "name": "a", "image": "i" }] }))
}

fn with_init() -> Pod {
    pod(json!({
        "restartPolicy": "Always",
        "initContainers": [
            { "name": "first", "image": "i" },
            { "name": "side", "image": "i", "restartPolicy": "Always" },
            { "name": "second", "image": "i" },
        ],
        "containers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }],
    }))
}

fn leaving(mut pod: Pod, grace: i64) -> Pod {
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    pod
}

fn running() -> ContainerFacts {
    ContainerFacts { run: Run::Running { id: "r".into(), since: at(0) }, settled: true, ..<_>::default() }
}

fn exited(code: i32) -> ContainerFacts {
    let reason = if code == 0 { "Completed" } else { "Error" };
    let exit = Exit {
        id: "x".into(),
        code,
        signal: None,
        reason: reason.into(),
        message: String::new(),
        started: at(0),
        finished: at(1),
    };
    ContainerFacts { run: Run::Exited(exit), ..<_>::default() }
}

fn facts(containers: &[(&str, ContainerFacts)]) -> Facts {
    Facts {
        ground: Ground::Ready,
        addresses: vec!["10.42.0.2".into()],
        started: Some(at(0)),
        containers: containers.iter().map(|(n, f)| ((*n).to_owned(), f.clone())).collect(),
        ..<_>::default()
    }
}

/// The plan in short: `start a`, `stop a`, `release`, …
fn steps(pod: &Pod, facts: &Facts, now: Timestamp) -> String {
    let told = |action: &Action| match action {
        Action::Prepare => "prepare".to_owned(),
        Action::Start(name) => format!("start {name}"),
        Action::Stop(stop) => format!("stop {} by {}", stop.container, stop.kill_at.duration_since(at(0)).as_secs()),
        Action::End(ended) => format!("end {}", ended.reason),
        Action::Release => "release".to_owned(),
        Action::Finish => "finish".to_owned(),
    };
    plan(pod, facts, now).actions.iter().map(told).collect::<Vec<_>>().join(", ")
}

#[test]
fn containers_start_in_order_with_sidecars_beside_them() {
    let table: &[(&[(&str, ContainerFacts)], &str)] = &[
        (&[], "start first"),
        (&[("first", running())], ""),
        (&[("first", exited(0))], "start side"),
        (&[("first", exited(0)), ("side", running())], "start second"),
        (&[("first", exited(0)), ("side", running()), ("second", exited(1))], "start second"),
        (&[("first", exited(0)), ("side", running()), ("second", exited(0))], "start a, start b"),
        (&[("first", exited(0)), ("side", exited(0)), ("second", exited(0)), ("a", running()), ("b", running())], "start side"),
    ];
    for (known, expected) in table {
        assert_eq!(steps(&with_init(), &facts(known), at(2)), *expected, "{known:?}");
    }
}

#[test]
fn what_ends_is_restarted_as_the_policy_says() {
    for (policy, code, expected) in [
        ("Always", 0, "start a"),
        ("Always", 1, "start a"),
        ("OnFailure", 1, "start a"),
        ("OnFailure", 0, "release"),
        ("Never", 1, "release"),
        ("Never", 0, "release"),
    ] {
        assert_eq!(steps(&plain(policy), &facts(&[("a", exited(code))]), at(2)), expected, "{policy} {code}");
    }
}

#[test]
fn a_container_that_went_with_its_machine_is_started_at_once_however_often_that_happens() {
    let mut own = exited(1);
    for second in 0..5 {
        own.run = Run::Exited(Exit::lost("id".into(), at(second), at(second)));
        assert_eq!(steps(&plain("Always"), &facts(&[("a", own.clone())]), at(second)), "start a");
        own.note_restart(at(second));
    }
    assert_eq!(own.restart_back_off, BackOff::default());
}

#[test]
fn a_crashing_container_waits_longer_each_time_and_says_so() {
    let mut own = exited(1);
    let mut waits = Vec::new();
    for _ in 0..7 {
        own.restart_back_off = own.restart_back_off.raise(at(1), RESTART_MAX_SECONDS);
        waits.push(own.restart_back_off.seconds);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    own.restart_back_off = BackOff::default().raise(at(0), RESTART_MAX_SECONDS);
    let facts = facts(&[("a", own)]);
    assert_eq!(steps(&plain("Always"), &facts, at(10)), "");
    assert_eq!(plan(&plain("Always"), &facts, at(10)).wake, Some(at(11)));
    assert_eq!(steps(&plain("Always"), &facts, at(11)), "start a");
    let told = status(&plain("Always"), &facts, at(2), &Place::default(), &PodStatus::default());
    let container = &told.container_statuses.unwrap()[0];
    let waiting = container.state.as_ref().unwrap().waiting.clone().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(waiting.message.as_deref(), Some("back-off 10s restarting failed container=a pod=p_ns(u)"));
    assert_eq!(container.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 1);
    assert_eq!(told.phase.as_deref(), Some("Running"));
}

#[test]
fn a_pod_that_leaves_stops_its_sidecars_last_and_then_its_ground() {
    let pod = leaving(with_init(), 20);
    let mut known = facts(&[("side", running()), ("a", running()), ("b", exited(0))]);
    known.stop_began = Some(at(0));
    assert_eq!(steps(&pod, &known, at(0)), "stop a by 20");
    known.containers.get_mut("a").unwrap().stopping = Some(at(20));
    assert_eq!(steps(&pod, &known, at(1)), "");
    known.containers.insert("a".into(), exited(143));
    assert_eq!(steps(&pod, &known, at(3)), "stop side by 20");
    assert_eq!(steps(&pod, &known, at(25)), "stop side by 27");
    known.containers.insert("side".into(), exited(0));
    assert_eq!(steps(&pod, &known, at(4)), "release");
    known.ground = Ground::Released;
    assert_eq!(steps(&pod, &known, at(4)), "finish");
}

#[test]
fn a_shorter_grace_is_taken_over_and_a_longer_one_is_not() {
    let mut known = facts(&[("a", running())]);
    known.stop_began = Some(at(0));
    known.containers.get_mut("a").unwrap().stopping = Some(at(30));
    assert_eq!(steps(&leaving(plain("Always"), 5), &known, at(1)), "stop a by 5");
    assert_eq!(steps(&leaving(plain("Always"), 60), &known, at(1)), "");
}

#[test]
fn a_failed_probe_stops_and_the_policy_starts_again() {
    let mut own = running();
    own.probed.live = Some(false);
    let actions = plan(&plain("Always"), &facts(&[("a", own)]), at(5)).actions;
    let [Action::Stop(stop)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(stop.message, "Container a failed liveness probe, will be restarted");
}

#[test]
fn a_pod_past_its_deadline_ends_failed() {
    let mut pod = plain("Always");
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(10);
    let mut known = facts(&[("a", running())]);
    assert_eq!(plan(&pod, &known, at(3)).wake, Some(at(10)));
    let actions = plan(&pod, &known, at(10)).actions;
    let [Action::End(ended)] = actions.as_slice() else { panic!("{actions:?}") };
    known.ended = Some(ended.clone());
    assert_eq!(steps(&pod, &known, at(10)), "stop a by 40");
    let told = status(&pod, &known, at(10), &Place::default(), &PodStatus::default());
    assert_eq!(told.phase.as_deref(), Some("Failed"));
    assert_eq!(told.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn phases_follow_the_containers() {
    type Row<'a> = (&'a str, &'a [(&'a str, ContainerFacts)], &'a str);
    let table: &[Row<'_>] = &[
        ("Always", &[], "Pending"),
        ("Always", &[("a", running())], "Running"),
        ("Always", &[("a", exited(0))], "Running"),
        ("OnFailure", &[("a", exited(1))], "Running"),
        ("OnFailure", &[("a", exited(0))], "Succeeded"),
        ("Never", &[("a", exited(0))], "Succeeded"),
        ("Never", &[("a", exited(3))], "Failed"),
    ];
    for (policy, known, expected) in table {
        let told = status(&plain(policy), &facts(known), at(2), &Place::default(), &PodStatus::default());
        assert_eq!(told.phase.as_deref(), Some(*expected), "{policy} {known:?}");
    }
    let gone = leaving(plain("Always"), 1);
    let told = status(&gone, &facts(&[("a", exited(137))]), at(2), &Place::default(), &PodStatus::default());
    assert_eq!(told.phase.as_deref(), Some("Failed"));
}

#[test]
fn an_init_container_that_fails_for_good_fails_the_pod() {
    let mut pod = with_init();
    pod.spec.as_mut().unwrap().restart_policy = Some("Never".into());
    let known = facts(&[("first", exited(1))]);
    assert_eq!(steps(&pod, &known, at(2)), "release");
    let told = status(&pod, &known, at(2), &Place::default(), &PodStatus::default());
    assert_eq!(told.phase.as_deref(), Some("Failed"));
}

#[test]
fn conditions_name_the_containers_that_are_not_there_yet() {
    let condition = |status: &PodStatus, kind: &str| {
        let found = status.conditions.iter().flatten().find(|c| c.type_ == kind).cloned().unwrap();
        (found.status, found.reason.unwrap_or_default(), found.message.unwrap_or_default())
    };
    let told = |pod: &Pod, known: &Facts, before: &PodStatus| status(pod, known, at(2), &Place::default(), before);
    let first = told(&with_init(), &facts(&[]), &PodStatus::default());
    let message = "containers with incomplete status: [first side second]";
    assert_eq!(condition(&first, "Initialized"), ("False".into(), "ContainersNotInitialized".into(), message.into()));
    let message = "containers with unready status: [side a b]";
    assert_eq!(condition(&first, "Ready"), ("False".into(), "ContainersNotReady".into(), message.into()));
    let waiting = first.container_statuses.as_ref().unwrap()[0].state.as_ref().unwrap().waiting.clone().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("PodInitializing"));

    let mut gated = plain("Always");
    gated.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(json!([{ "conditionType": "lb" }])).unwrap();
    let known = facts(&[("a", running())]);
    let closed = told(&gated, &known, &PodStatus::default());
    let message = "corresponding condition of pod readiness gate \"lb\" does not exist.";
    assert_eq!(condition(&closed, "Ready"), ("False".into(), "ReadinessGatesNotReady".into(), message.into()));
    assert_eq!(condition(&closed, "ContainersReady").0, "True");
    let mut before = closed.clone();
    let lb = json!({ "type": "lb", "status": "True" });
    before.conditions.as_mut().unwrap().push(serde_json::from_value(lb).unwrap());
    let open = told(&gated, &known, &before);
    assert_eq!(condition(&open, "Ready").0, "True");
    assert_eq!(open.conditions.unwrap().len(), 6, "the gate's own condition stays");
}

#[test]
fn a_pull_that_failed_first_says_so_and_then_that_it_waits() {
    let failure = Failure { reason: "ErrImagePull".into(), message: "no such image".into(), at: at(0) };
    let image_back_off = BackOff::default().raise(at(0), IMAGE_MAX_SECONDS);
    let own = ContainerFacts { failure: Some(failure), image_back_off, ..<_>::default() };
    let known = facts(&[("a", own)]);
    let reason = |now| {
        let told = status(&plain("Always"), &known, now, &Place::default(), &PodStatus::default());
        let waiting = told.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
        (waiting.reason.unwrap(), waiting.message.unwrap())
    };
    assert_eq!(reason(at(0)).0, "ErrImagePull");
    let waits = ("ImagePullBackOff".to_owned(), "Back-off pulling image \"i\": ErrImagePull: no such image".to_owned());
    assert_eq!(reason(at(2)), waits);
    assert_eq!(steps(&plain("Always"), &known, at(9)), "");
    assert_eq!(steps(&plain("Always"), &known, at(10)), "start a");
}
