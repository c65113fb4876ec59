//! Logs: the files of one run, rotated ones first, filtered as asked, and followed as they grow. Woken by the kernel, never by a clock.

mod filter;
mod follow;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use decide::pod_lifecycle::Run;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;

use super::{Body, Endpoint, Refusal, flag, parameter, parameters, websocket};
use crate::pod::Seen;
use filter::Filter;

/// So many pieces wait for a reader that is slow.
const PIECES_MAX: usize = 16;

/// What was asked.
#[derive(Debug)]
struct Asked {
    follow: bool,
    previous: bool,
    tail: Option<usize>,
    filter: Filter,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Refusal> {
        let all = parameters(query);
        let number = |name: &str| match parameter(&all, name).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(Refusal::bad(format!("{{\"message\": \"Invalid request: {name}\"}}"))),
        };
        let since = match (parameter(&all, "sinceTime"), number("sinceSeconds")?) {
            (Some(text), _) => {
                Some(text.parse::<jiff::Timestamp>().map_err(|_| Refusal::bad("Unable to decode the request: sinceTime"))?)
            }
            (None, Some(seconds)) => {
                let span = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                jiff::Timestamp::now().checked_sub(span).ok()
            }
            (None, None) => None,
        };
        let filter = Filter {
            timestamps: flag(&all, "timestamps"),
            since: since.map(|since| since.to_string()),
            stream: parameter(&all, "stream").filter(|stream| *stream != "All").map(str::to_lowercase),
            bytes_left: number("limitBytes")?,
            partial: false,
        };
        let tail = number("tailLines")?.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
        Ok(Self { follow: flag(&all, "follow"), previous: flag(&all, "previous"), tail, filter })
    }
}

/// Answers a request for a log.
pub(super) async fn serve(
    endpoint: &Endpoint,
    namespace: &str,
    pod: &str,
    container: &str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let asked = Asked::read(request.uri().query().unwrap_or_default())?;
    let seen = endpoint.pods.find(namespace, pod);
    let seen = match seen {
        Some(seen) => seen,
        None => ended(endpoint, namespace, pod, container).await?,
    };
    let restart = which(&seen, pod, container, asked.previous)?;
    let path = endpoint.site.log_folder(&seen.pod, container).join(format!("{restart}.log"));
    let running = seen.sandbox.as_ref().and_then(|sandbox| sandbox.container(&format!("{container}-{restart}")));
    let running = running.filter(|running| asked.follow && !asked.previous && running.exit().is_none());
    let agreed = websocket::is_asked(&request).then(|| websocket::agree(&mut request, websocket::STREAMS)).transpose()?;
    let (sender, receiver) = mpsc::channel::<Bytes>(PIECES_MAX);
    tokio::spawn(follow::send(path, asked.tail, asked.filter, running, sender));
    if let Some(agreed) = agreed {
        let (response, protocol, upgrade) = agreed.split();
        tokio::spawn(websocket::stream(upgrade, protocol, receiver));
        return Ok(response);
    }
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// A pod that ended before this agent started has no worker, but may have its logs.
async fn ended(endpoint: &Endpoint, namespace: &str, pod: &str, container: &str) -> Result<Seen, Refusal> {
    let missing = || Refusal::missing(format!("pod \"{pod}\" not found"));
    let api: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(endpoint.site.client.clone(), namespace);
    let found = api.get(pod).await.map_err(|_| missing())?;
    if !endpoint.site.log_folder(&found, container).exists() {
        return Err(missing());
    }
    let mut facts = decide::pod_lifecycle::Facts::default();
    let statuses = found.status.as_ref().map(|status| [&status.container_statuses, &status.init_container_statuses]);
    let statuses = statuses.into_iter().flatten().flatten().flatten();
    for status in statuses.filter(|status| status.name == container) {
        let run = Run::Running { id: String::new(), since: jiff::Timestamp::UNIX_EPOCH };
        let own = decide::pod_lifecycle::ContainerFacts { run, restarts: status.restart_count, ..<_>::default() };
        facts.containers.insert(container.to_owned(), own);
    }
    Ok(Seen { pod: std::sync::Arc::new(found), sandbox: None, facts: std::sync::Arc::new(facts) })
}

/// Which run is meant, in upstream's words when there is none.
fn which(seen: &Seen, pod: &str, container: &str, previous: bool) -> Result<i32, Refusal> {
    if crate::pod::has_container(&seen.pod, container) {
        let own = seen.facts.container(container);
        let waits = || {
            let failure = own.failure.as_ref().map(|failure| failure.reason.clone());
            let reason = failure.unwrap_or_else(|| "ContainerCreating".into());
            match reason.as_str() {
                "ErrImagePull" => "trying and failing to pull image".to_owned(),
                "ContainerCreating" => "waiting to start: ContainerCreating".to_owned(),
                other => format!("waiting to start: {other}"),
            }
        };
        return match (&own.run, previous) {
            (_, true) if own.last.is_some() || (own.restarts > 0 && own.exit().is_none()) => Ok(own.restarts - 1),
            (Run::Exited(_), true) if own.restart_back_off.until(jiff::Timestamp::now()).is_some() => Ok(own.restarts),
            (_, true) => Err(Refusal::bad(format!("previous terminated container \"{container}\" in pod \"{pod}\" not found"))),
            (Run::Never, false) => Err(Refusal::bad(format!("container \"{container}\" in pod \"{pod}\" is {}", waits()))),
            (_, false) => Ok(own.restarts),
        };
    }
    Err(Refusal::bad(format!("container {container} is not valid for pod {pod}")))
}

/// The files of one log, oldest first: those that were rotated away, and the one that grows.
fn files(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_log = entries.filter(|entry| {
        let own = entry.file_name().to_string_lossy().into_owned();
        own.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'))
    });
    let mut all: Vec<PathBuf> = of_log.map(|entry| entry.path()).collect();
    all.sort();
    all.push(path.to_owned());
    all
}
