//! Carrying out what the plan says, and taking in what came of it.

use std::sync::Arc;

use decide::pod_lifecycle::{
    Action, ContainerFacts, Ended, Exit, Failure, Ground as Stage, IMAGE_MAX_SECONDS, RESTART_MAX_SECONDS, Resize, Run, Stop,
    infeasible, resize,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use kube::api::{Api, DeleteParams, Preconditions};
use tokio_util::sync::CancellationToken;

use super::super::last_words;
use super::super::probe::{self, Probed, Verdict};
use super::super::run::{self, Live, NotStarted, Starting};
use super::super::steps::{Ground, StepError};
use super::super::{container, start, stop};
use super::{Event, GROUND_RETRY, Worker};

impl Worker {
    pub(super) fn act(&mut self, action: Action, now: Timestamp) {
        match action {
            Action::Prepare => self.prepare(),
            Action::Start(name) => self.start(&name, now),
            Action::Stop(stop) => self.stop(stop, now),
            Action::End(ended) => self.end(ended),
            Action::Release => self.release(),
            Action::Finish => self.finish(),
        }
    }

    fn end(&mut self, ended: Ended) {
        let reason = if ended.reason == "DeadlineExceeded" { "DeadlineExceeded" } else { "Evicted" };
        self.site.warning(&self.pod, None, reason, ended.message.clone());
        self.facts.ended = Some(ended);
    }

    fn prepare(&mut self) {
        if !self.folder.exists() {
            if let Err(error) = std::fs::create_dir_all(&self.folder) {
                tracing::warn!(folder = %self.folder.display(), %error, "a pod's folder cannot be made");
            }
            self.note_pod();
        }
        let mut ground = self.ground.take().unwrap_or_else(|| self.new_ground());
        ground.pod = Arc::clone(&self.pod);
        self.facts.ground_busy = true;
        self.preparing = CancellationToken::new();
        let (events, cancelled) = (self.events.clone(), self.preparing.clone());
        tokio::spawn(Arc::clone(&ground.volumes).warm(Arc::clone(&self.site), Arc::clone(&self.pod)));
        tokio::spawn(async move {
            let walked = cancelled.run_until_cancelled(start::start(&mut ground)).await;
            let result = walked.unwrap_or_else(|| Err(StepError::new("Cancelled", "the pod is to stop")));
            let _ = events.send(Event::Grounded(ground, result));
        });
    }

    pub(super) fn grounded(&mut self, ground: Box<Ground>, result: Result<(), StepError>) {
        self.facts.ground_busy = false;
        let attached = ground.record.attached.as_ref();
        self.facts.addresses = attached.into_iter().flat_map(|a| &a.addresses).map(ToString::to_string).collect();
        match result {
            Ok(()) => {
                self.facts.ground = Stage::Ready;
                self.facts.ground_retry = None;
                self.ground_failures = 0;
            }
            Err(error) => {
                let wait = GROUND_RETRY.0.saturating_mul(1 << self.ground_failures.min(10)).min(GROUND_RETRY.1);
                self.facts.ground_retry = Timestamp::now().checked_add(wait).ok();
                self.ground_failures += 1;
                if error.reason != "Cancelled" {
                    self.site.warning(&self.pod, None, error.reason, error.message);
                }
            }
        }
        self.ground = Some(ground);
        self.show();
    }

    fn release(&mut self) {
        self.preparing.cancel();
        let Some(mut ground) = self.ground.take() else {
            // Nothing was ever made.
            self.facts.ground = Stage::Released;
            return;
        };
        self.facts.ground_busy = true;
        self.live.clear();
        let events = self.events.clone();
        let again = self.ground_failures;
        tokio::spawn(async move {
            if again > 0 {
                let wait = GROUND_RETRY.0.saturating_mul(1 << again.min(10)).min(GROUND_RETRY.1);
                ::client::queue::pause(wait.try_into().unwrap_or_default()).await;
            }
            let failures = stop::stop(&mut ground).await;
            let _ = events.send(Event::Released(ground, failures));
        });
    }

    pub(super) fn released(&mut self, ground: Box<Ground>, failures: &[StepError]) {
        self.facts.ground_busy = false;
        if failures.is_empty() {
            self.facts.ground = Stage::Released;
            self.ground_failures = 0;
        }
        for failure in failures {
            self.ground_failures += 1;
            tracing::warn!(pod = self.uid, error = %failure, "something of a pod stays; it is tried again");
        }
        self.ground = Some(ground);
        self.show();
    }

    fn finish(&mut self) {
        if self.gone {
            self.done = true;
            return;
        }
        if self.removing || !self.teller.is_quiet(&self.pod, &self.facts) {
            return;
        }
        self.removing = true;
        let meta = &self.pod.metadata;
        let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
        let preconditions = Preconditions { uid: meta.uid.clone(), resource_version: None };
        let params =
            DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteParams::default() };
        let api: Api<Pod> = Api::namespaced(self.site.client.clone(), &namespace);
        let events = self.events.clone();
        tokio::spawn(async move {
            let well = match api.delete(&name, &params).await {
                Ok(_) => true,
                // Another object of the name is told by the watch, which ends this worker.
                Err(kube::Error::Api(status)) if status.is_not_found() => true,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a pod's object is not removed yet");
                    ::client::queue::pause(std::time::Duration::from_secs(1)).await;
                    false
                }
            };
            let _ = events.send(Event::Removed(well));
        });
    }

    /// The container of a name, ephemeral ones included.
    fn spec_of(&self, name: &str) -> Option<Container> {
        run::container_of(&self.pod, name)
    }

    fn own(&mut self, name: &str) -> &mut ContainerFacts {
        self.facts.containers.entry(name.to_owned()).or_default()
    }

    fn start(&mut self, name: &str, now: Timestamp) {
        let (Some(spec), Some(ground)) = (self.spec_of(name), self.ground.as_ref()) else { return };
        let Some(sandbox) = ground.sandbox.clone() else { return };
        let attached = ground.record.attached.as_ref();
        let addresses = attached.map(|attached| attached.addresses.clone()).unwrap_or_default();
        let volumes = Arc::clone(&ground.volumes);
        let cancelled = CancellationToken::new();
        self.live.insert(name.to_owned(), Live::starting(cancelled.clone()));
        let own = self.own(name);
        own.starting = true;
        let exited = own.exit().is_some();
        own.note_restart(now);
        let restart = if exited { own.restarts + 1 } else { own.restarts };
        let starting = Starting {
            site: Arc::clone(&self.site),
            pod: Arc::clone(&self.pod),
            container: spec,
            folder: self.folder.clone(),
            volumes,
            addresses,
            sandbox,
            restart,
        };
        let (events, name) = (self.events.clone(), name.to_owned());
        tokio::spawn(async move {
            let result = run::start(&starting, &cancelled).await;
            let _ = events.send(Event::Started(name, result));
        });
    }

    pub(super) fn started(&mut self, name: &str, result: Result<run::Started, NotStarted>) {
        let now = Timestamp::now();
        let uid = self.uid.clone();
        let own = self.own(name);
        own.starting = false;
        match result {
            Ok(started) => {
                let previous = own.exit().cloned();
                if previous.is_some() {
                    own.last = previous;
                    own.restarts = started.restart;
                }
                own.failure = None;
                own.image_back_off = <_>::default();
                own.image_id = started.image_id;
                own.image = started.image;
                own.probed = <_>::default();
                own.hook_failed = false;
                own.settled = false;
                own.resources = started.resources;
                let id = started.container.spec().id.clone();
                let since = Timestamp::try_from(started.container.started()).unwrap_or(now);
                own.run = Run::Running { id: format!("{uid}-{id}"), since };
                self.follow(name, started.container, false);
                let stopping = self.own(name).stopping.take();
                if let Some(kill_at) = stopping {
                    let message = format!("Stopping container {name}");
                    self.stop(Stop { container: name.to_owned(), kill_at, message }, now);
                }
            }
            Err(failed) => self.not_started(name, failed, now),
        }
    }

    fn not_started(&mut self, name: &str, failed: NotStarted, now: Timestamp) {
        self.live.remove(name);
        let folder = self.folder.clone();
        let own = self.own(name);
        own.stopping = None;
        match failed {
            NotStarted::Cancelled => {}
            NotStarted::NoImage { reason, message } => {
                own.image_back_off = own.image_back_off.raise(now, IMAGE_MAX_SECONDS);
                own.failure = Some(Failure { reason: reason.into(), message, at: now });
            }
            NotStarted::Unfit { reason, message } => {
                own.failure = Some(Failure { reason: reason.into(), message, at: now });
            }
            NotStarted::Program { message, code, restart } => {
                let previous = own.exit().cloned();
                if previous.is_some() {
                    own.last = previous;
                    own.restarts = restart;
                }
                let said = last_words::of_file(&folder, name, restart);
                let exit = Exit {
                    id: container::id(name, restart),
                    code,
                    signal: None,
                    reason: "StartError".into(),
                    message: if said.is_empty() { message.clone() } else { said },
                    started: Timestamp::UNIX_EPOCH,
                    finished: now,
                };
                own.run = Run::Exited(exit);
                own.failure = Some(Failure { reason: "RunContainerError".into(), message, at: now });
                own.restart_back_off = own.restart_back_off.raise(now, RESTART_MAX_SECONDS);
            }
        }
    }

    /// Waits for the end of a run, and has its hook and its probes run.
    fn follow(&mut self, name: &str, running: runtime::container::Container, adopted: bool) {
        let Some(spec) = self.spec_of(name) else { return };
        let id = running.spec().id.clone();
        let mut live = Live::running(running.clone());
        let (events, waited, of, whose) = (self.events.clone(), running.clone(), name.to_owned(), id.clone());
        live.tasks.spawn(async move {
            let exit = waited.wait().await;
            let _ = events.send(Event::Exited(of, whose, exit));
        });
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone());
        let settled = self.own(name).settled;
        if !settled {
            match hook {
                None => self.own(name).settled = true,
                // Whether the hook of an earlier agent ended nobody knows: at least once is what is promised.
                Some(hook) => {
                    let ground = self.target(&spec, &running);
                    let (events, of, whose) = (self.events.clone(), name.to_owned(), id.clone());
                    live.tasks.spawn(async move {
                        let well = run::post_start(&ground, &hook).await;
                        let _ = events.send(Event::Settled(of, whose, well));
                    });
                }
            }
        }
        if let Some(target) = self.target(&spec, &running) {
            let (events, of, whose) = (self.events.clone(), name.to_owned(), id.clone());
            let tell = move |probed: Probed| drop(events.send(Event::Probed(of.clone(), whose.clone(), probed)));
            probe::spawn(&target, adopted, tell, &mut live.tasks);
        }
        self.live.insert(name.to_owned(), live);
    }

    /// What hooks and probes reach.
    fn target(&self, spec: &Container, running: &runtime::container::Container) -> Option<run::Target> {
        let ground = self.ground.as_ref()?;
        let own = ground.record.attached.as_ref().and_then(|attached| attached.addresses.first().copied());
        Some(run::Target {
            site: Arc::clone(&self.site),
            pod: Arc::clone(&self.pod),
            container: spec.clone(),
            sandbox: ground.sandbox.clone()?,
            running: running.clone(),
            address: own.unwrap_or(self.site.address),
        })
    }

    fn stop(&mut self, stop: Stop, now: Timestamp) {
        let name = stop.container.clone();
        let spec = self.spec_of(&name);
        if self.facts.stop_began.is_none() && self.is_leaving() {
            self.facts.stop_began = Some(now);
        }
        self.own(&name).stopping = Some(stop.kill_at);
        let target = self.live.get(&name).and_then(|live| live.container.clone());
        let target = spec.zip(target).and_then(|(spec, running)| self.target(&spec, &running));
        let Some(live) = self.live.get_mut(&name) else { return };
        live.cancelled.cancel();
        if live.kill_at.send_replace(Some(stop.kill_at)).is_some() {
            return;
        }
        let Some(target) = target else { return };
        self.site.normal(&self.pod, Some(&name), "Killing", stop.message);
        let kill_at = live.kill_at.subscribe();
        live.stopping = Some(tokio_util::task::AbortOnDropHandle::new(tokio::spawn(run::stop(target, kill_at))));
    }

    /// Gives running containers the bounds that their pod asks for now.
    pub(super) fn resize(&mut self) {
        let Some(sandbox) = self.ground.as_ref().and_then(|ground| ground.sandbox.clone()) else { return };
        self.facts.resize_refused = infeasible(&self.pod, &self.facts, &self.site.node.borrow());
        if self.facts.resize_refused.is_some() || self.is_leaving() {
            return;
        }
        let mut wanted = Vec::new();
        for (name, live) in &mut self.live {
            let (Some(spec), Some(running)) = (run::container_of(&self.pod, name), &live.container) else { continue };
            let resources = spec.resources.clone().unwrap_or_default();
            if resize(&spec, &self.facts.container(name)) == Resize::InPlace && live.resizing.as_ref() != Some(&resources) {
                live.resizing = Some(resources.clone());
                wanted.push((name.clone(), running.spec().id.clone(), container::limits_of(&spec), resources));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let (all, events) = (container::pod_limits(&self.pod), self.events.clone());
        tokio::spawn(async move {
            // The pod's own bounds are widened before and narrowed after those of its containers.
            let _ = sandbox.set_limits(None, &all).await;
            for (name, id, limits, resources) in wanted {
                match sandbox.set_limits(Some(&id), &limits).await {
                    Ok(()) => drop(events.send(Event::Resized(name, id, resources))),
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a container keeps its bounds"),
                }
            }
            let _ = sandbox.set_limits(None, &all).await;
        });
    }

    pub(super) fn resized(&mut self, name: &str, id: &str, resources: ResourceRequirements) {
        if self.is_run(name, id) {
            self.own(name).resources = Some(resources);
            if let Some(live) = self.live.get_mut(name) {
                live.resizing = None;
            }
        }
    }

    fn is_leaving(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some() || self.facts.ended.is_some()
    }

    fn is_run(&self, name: &str, id: &str) -> bool {
        let live = self.live.get(name).and_then(|live| live.container.as_ref());
        live.is_some_and(|container| container.spec().id == id)
    }

    pub(super) fn settled(&mut self, name: &str, id: &str, well: bool) {
        if self.is_run(name, id) {
            let own = self.own(name);
            own.settled = well;
            own.hook_failed = !well;
        }
    }

    pub(super) fn probed(&mut self, name: &str, id: &str, probed: Probed) {
        if !self.is_run(name, id) {
            return;
        }
        let own = self.own(name);
        let value = Some(probed.verdict == Verdict::Success);
        match probed.kind {
            probe::Kind::Startup => own.probed.startup = value,
            probe::Kind::Readiness => own.probed.ready = value,
            probe::Kind::Liveness => own.probed.live = value,
        }
    }

    pub(super) fn exited(&mut self, name: &str, id: &str, exit: &runtime::container::Exit) {
        if !self.is_run(name, id) {
            return;
        }
        self.live.remove(name);
        self.ended(name, id, exit);
    }

    fn ended(&mut self, name: &str, id: &str, exit: &runtime::container::Exit) {
        let exit = self.told_of(name, id, exit);
        let own = self.own(name);
        own.run = Run::Exited(exit);
        own.stopping = None;
        own.probed = <_>::default();
        own.hook_failed = false;
    }

    /// An end as the status tells it.
    fn told_of(&self, name: &str, id: &str, exit: &runtime::container::Exit) -> Exit {
        let time = |time: std::time::SystemTime| Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let (started, finished) = (time(exit.started), time(exit.finished));
        let whole_id = format!("{}-{id}", self.uid);
        if exit.unseen {
            return Exit::lost(whole_id, started, finished);
        }
        let reason = match exit {
            exit if exit.oom_killed => "OOMKilled",
            exit if exit.code == 0 => "Completed",
            _ => "Error",
        };
        let restart = id.rsplit_once('-').and_then(|(_, restart)| restart.parse().ok()).unwrap_or(0);
        let spec = self.spec_of(name);
        let logs = self.site.log_folder(&self.pod, name).join(format!("{restart}.log"));
        let message = last_words::of(&self.folder, spec.as_ref(), name, restart, exit.code, &logs);
        Exit { id: whole_id, code: exit.code, signal: exit.signal, reason: reason.into(), message, started, finished }
    }

    /// Takes up the containers that an earlier agent started.
    pub(super) fn adopt_containers(&mut self) {
        let Some(sandbox) = self.ground.as_ref().and_then(|ground| ground.sandbox.clone()) else { return };
        let names: Vec<String> = self.facts.containers.keys().cloned().collect();
        for name in names {
            let own = self.own(&name);
            let known = matches!(own.run, Run::Running { .. });
            let newest = sandbox.containers().into_iter().filter(|c| run::is_of(c, &name)).max_by_key(|c| c.spec().restart);
            let Some(container) = newest else {
                if known {
                    self.lose(&name);
                }
                continue;
            };
            // The agent may have died between a start and its note.
            let id = container.spec().id.clone();
            let restart = i32::try_from(container.spec().restart).unwrap_or(i32::MAX);
            let own = self.own(&name);
            if restart > own.restarts {
                own.last = own.exit().cloned().or(own.last.take());
                own.restarts = restart;
            }
            if own.exit().is_some_and(|exit| exit.id.ends_with(&id)) {
                continue;
            }
            match container.exit() {
                Some(exit) => self.ended(&name, &id, &exit),
                None => {
                    let since = Timestamp::try_from(container.started()).unwrap_or(Timestamp::UNIX_EPOCH);
                    let run = Run::Running { id: format!("{}-{id}", self.uid), since };
                    self.own(&name).run = run;
                    self.follow(&name, container, true);
                }
            }
        }
    }

    /// The containers that ran are gone without a trace.
    pub(super) fn lose_containers(&mut self) {
        let names: Vec<String> = self.facts.containers.keys().cloned().collect();
        for name in names {
            if self.own(&name).runs() {
                self.lose(&name);
            }
        }
    }

    fn lose(&mut self, name: &str) {
        let own = self.own(name);
        let Run::Running { id, since } = &own.run else { return };
        own.run = Run::Exited(Exit::lost(id.clone(), *since, Timestamp::now()));
        own.probed = <_>::default();
    }
}
