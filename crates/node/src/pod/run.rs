//! One run of a container: from its image to its process, and from the wish that it ends to its end.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, ResourceRequirements};
use runtime::container::Container as Running;
use runtime::logs::LogFiles;
use runtime::pod::PodError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::container::{self, Parts};
use super::steps::chain;
use super::steps::volumes::Volumes;
use super::{hook, images};
use crate::site::Site;

/// A log file this long is rotated away; so many are kept.
const LOG_BYTES_MAX: u64 = 10 << 20;
const LOG_FILES_MAX: u32 = 5;
/// What a container has after its preStop hook took all the time.
const AFTER_HOOK_SECONDS: i64 = 2;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What a worker holds of a container that starts or runs.
pub(super) struct Live {
    /// The container, once it runs.
    pub(super) container: Option<Running>,
    /// Ends a start that has not come far.
    pub(super) cancelled: CancellationToken,
    /// When it is killed, once it is to end.
    pub(super) kill_at: watch::Sender<Option<Timestamp>>,
    /// The waiter, the postStart hook and the probes; they end with the run.
    pub(super) tasks: JoinSet<()>,
    /// Who stops it.
    pub(super) stopping: Option<AbortOnDropHandle<()>>,
    /// What its bounds are being changed to, or could not be.
    pub(super) resizing: Option<ResourceRequirements>,
}

impl Live {
    pub(super) fn starting(cancelled: CancellationToken) -> Self {
        Self {
            container: None,
            cancelled,
            kill_at: watch::Sender::new(None),
            tasks: JoinSet::new(),
            stopping: None,
            resizing: None,
        }
    }

    pub(super) fn running(container: Running) -> Self {
        Self { container: Some(container), ..Self::starting(CancellationToken::new()) }
    }
}

/// All that a start needs.
pub(super) struct Starting {
    pub(super) site: Arc<Site>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) folder: PathBuf,
    pub(super) volumes: Arc<Volumes>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) sandbox: runtime::pod::Pod,
    pub(super) restart: i32,
}

/// A container that runs.
pub(super) struct Started {
    pub(super) container: Running,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) restart: i32,
    /// By which it is bounded.
    pub(super) resources: Option<ResourceRequirements>,
}

/// Why a container does not run.
pub(super) enum NotStarted {
    /// It is not wanted any more.
    Cancelled,
    /// Its image is not to be had.
    NoImage { reason: &'static str, message: String },
    /// It cannot be made as it is asked for.
    Unfit { reason: &'static str, message: String },
    /// Its program cannot be executed.
    Program { message: String, code: i32, restart: i32 },
}

/// What hooks and probes of a run reach.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) site: Arc<Site>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: Container,
    pub(super) sandbox: runtime::pod::Pod,
    pub(super) running: Running,
    pub(super) address: IpAddr,
}

/// The container of a name; an ephemeral one as if it were a main one.
pub(super) fn container_of(pod: &Pod, name: &str) -> Option<Container> {
    use decide::pod_lifecycle::{containers, ephemeral_containers, init_containers};
    let plain = containers(pod).iter().chain(init_containers(pod)).find(|container| container.name == name);
    plain.cloned().or_else(|| {
        let ephemeral = ephemeral_containers(pod).iter().find(|container| container.name == name)?;
        serde_json::from_value(serde_json::to_value(ephemeral).ok()?).ok()
    })
}

/// Whether a run is one of the container of this name.
pub(super) fn is_of(running: &Running, name: &str) -> bool {
    running.spec().id.rsplit_once('-').is_some_and(|(own, _)| own == name)
}

/// Gets the image, makes the container and starts it.
pub(super) async fn start(starting: &Starting, cancelled: &CancellationToken) -> Result<Started, NotStarted> {
    let Starting { site, pod, container: spec, .. } = starting;
    let name = spec.name.as_str();
    let image = spec.image.clone().unwrap_or_default();
    let policy = spec.image_pull_policy.as_deref().unwrap_or_else(|| images::default_policy(&image));
    let ensured = cancelled.run_until_cancelled(images::ensure(site, pod, Some(name), &image, policy)).await;
    let found = ensured.ok_or(NotStarted::Cancelled)?;
    let found = found.map_err(|error| NotStarted::NoImage { reason: error.reason, message: error.message })?;
    clear_earlier(starting).await;
    let parts = Parts {
        site,
        pod,
        container: spec,
        folder: &starting.folder,
        volumes: &starting.volumes,
        addresses: &starting.addresses,
        image: &found,
        restart: u32::try_from(starting.restart).unwrap_or(0),
    };
    let built = cancelled.run_until_cancelled(container::build(&parts)).await.ok_or(NotStarted::Cancelled)?;
    let built = built.map_err(|unfit| {
        site.warning(pod, Some(name), "Failed", format!("Error: {}", unfit.message));
        NotStarted::Unfit { reason: unfit.reason, message: unfit.message }
    })?;
    let path = site.log_folder(pod, name).join(format!("{}.log", starting.restart));
    let logs = LogFiles { path, bytes_max: LOG_BYTES_MAX, files_max: LOG_FILES_MAX };
    let container = starting.sandbox.start_container(built, logs).await.map_err(|error| refused(starting, &error))?;
    site.normal(pod, Some(name), "Created", "Container created".into());
    site.normal(pod, Some(name), "Started", "Container started".into());
    let shown = found.names.first().cloned().unwrap_or(image);
    let image_id = found.digests.first().cloned().unwrap_or(found.id);
    let resources = Some(spec.resources.clone().unwrap_or_default());
    Ok(Started { container, image: shown, image_id, restart: starting.restart, resources })
}

fn refused(starting: &Starting, error: &PodError) -> NotStarted {
    let (site, pod, name) = (&starting.site, &starting.pod, starting.container.name.as_str());
    let message = chain(error);
    site.warning(pod, Some(name), "Failed", format!("Error: {message}"));
    match error {
        PodError::ExecuteProgram { code, .. } => {
            // Upstream's runtimes report 128 where the program could not be executed.
            let code = if *code == 126 || *code == 127 { 128 } else { *code };
            NotStarted::Program { message, code, restart: starting.restart }
        }
        _ => NotStarted::Unfit { reason: "CreateContainerError", message },
    }
}

/// Takes the runs before this one away; the log of the last one stays, for those who ask for the previous.
async fn clear_earlier(starting: &Starting) {
    let name = &starting.container.name;
    for earlier in starting.sandbox.containers() {
        if is_of(&earlier, name)
            && let Err(error) = starting.sandbox.remove_container(&earlier.spec().id).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "an earlier run of a container stays");
        }
    }
    let folder = starting.site.log_folder(&starting.pod, name);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let restart = file.split('.').next().and_then(|number| number.parse::<i32>().ok());
        if restart.is_some_and(|restart| restart + 1 < starting.restart) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Runs the postStart hook; false when the container must go.
pub(super) async fn post_start(target: &Option<Target>, handler: &LifecycleHandler) -> bool {
    let Some(target) = target else { return true };
    match hook::run(target, handler).await {
        Ok(()) => true,
        Err(why) => {
            target.site.warning(
                &target.pod,
                Some(&target.container.name),
                "FailedPostStartHook",
                format!("PostStartHook failed: {why}"),
            );
            false
        }
    }
}

/// Ends a run: its preStop hook, the signal that asks, and at the end of its time the one that does not.
pub(super) async fn stop(target: Target, mut kill_at: watch::Receiver<Option<Timestamp>>) {
    let handler = target.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
    let mut least = Timestamp::MIN;
    if let Some(handler) = handler {
        tokio::select! {
            ran = hook::run(&target, &handler) => {
                if let Err(why) = ran {
                    let name = &target.container.name;
                    target.site.warning(&target.pod, Some(name), "FailedPreStopHook", format!("PreStopHook failed: {why}"));
                }
            }
            () = passed(&mut kill_at, Timestamp::MIN) => {}
            _ = target.running.wait() => return,
        }
        let short = jiff::SignedDuration::from_secs(AFTER_HOOK_SECONDS);
        least = Timestamp::now().checked_add(short).unwrap_or(least);
    }
    let _ = target.running.signal(stop_signal(&target)).await;
    tokio::select! {
        _ = target.running.wait() => return,
        () = passed(&mut kill_at, least) => {}
    }
    let _ = target.running.signal(SIGKILL).await;
}

/// Waits until a time that may come nearer meanwhile, but not before `least`.
async fn passed(at: &mut watch::Receiver<Option<Timestamp>>, least: Timestamp) {
    loop {
        let until = at.borrow_and_update().unwrap_or(Timestamp::MAX).max(least);
        let left: std::time::Duration = until.duration_since(Timestamp::now()).try_into().unwrap_or_default();
        match tokio::time::timeout(left, at.changed()).await {
            Ok(Ok(())) => {}
            // Nobody can change it any more.
            Ok(Err(_)) => {
                ::client::queue::pause(left).await;
                return;
            }
            Err(_) => return,
        }
    }
}

/// The signal that asks a container to end: its own, its image's, or SIGTERM.
fn stop_signal(target: &Target) -> i32 {
    let own = target.container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    let of_image = target.running.spec().image.config.stop_signal.as_deref();
    own.or(of_image).and_then(signal_number).unwrap_or(SIGTERM)
}

fn signal_number(text: &str) -> Option<i32> {
    const NAMES: &[(&str, i32)] = &[
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("CHLD", 17),
        ("CONT", 18),
        ("STOP", 19),
        ("WINCH", 28),
        ("PWR", 30),
    ];
    if let Some(offset) = text.strip_prefix("SIGRTMIN+").or_else(|| text.strip_prefix("RTMIN+")) {
        return offset.parse::<i32>().ok().map(|offset| 34 + offset);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    name.parse().ok().or_else(|| NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number))
}
