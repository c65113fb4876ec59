//! A further program in a container, with its streams carried to the client.

use http::{Request, Response};
use hyper::body::Incoming;
use runtime::session::{ExecSpec, Session};

use super::session::{self, Wanted};
use super::{Body, Endpoint, Refusal, parameters, spdy, websocket};
use crate::pod::Seen;

/// The protocols of sessions over a WebSocket, the best first.
const PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io", websocket::PLAIN];

/// The run of a container that lives, and its pod.
pub(super) fn running(endpoint: &Endpoint, namespace: &str, pod: &str, container: &str) -> Result<(Seen, String), Refusal> {
    let seen = endpoint.pods.find(namespace, pod);
    let seen = seen.ok_or_else(|| Refusal::missing(format!("pod \"{pod}\" not found")))?;
    let own = seen.facts.container(container);
    if !own.runs() {
        return Err(Refusal::failed(format!("unable to upgrade connection: container not found (\"{container}\")")));
    }
    let id = format!("{container}-{}", own.restarts);
    drop(own);
    Ok((seen, id))
}

/// Answers a request for an exec.
pub(super) async fn serve(
    endpoint: &Endpoint,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let asked = parameters(request.uri().query().unwrap_or_default());
    let wanted = Wanted::read(&asked);
    let argv: Vec<String> = asked.into_iter().filter(|(key, _)| key == "command").map(|(_, value)| value).collect();
    if argv.is_empty() {
        return Err(Refusal::bad("you must specify a command"));
    }
    let (seen, id) = running(endpoint, namespace, pod, container)?;
    let sandbox = seen.sandbox.ok_or_else(|| Refusal::failed("the pod has no sandbox"))?;
    let exec =
        ExecSpec { argv, env: Vec::new(), tty: wanted.tty, stdin: wanted.stdin, stdout: wanted.stdout, stderr: wanted.stderr };
    begin(request, wanted, true, async move { sandbox.exec(&id, exec).await }).await
}

/// Agrees on a carrier with the client, opens the session and has it carried.
pub(super) async fn begin<F>(
    mut request: Request<Incoming>,
    wanted: Wanted,
    is_exec: bool,
    open: F,
) -> Result<Response<Body>, Refusal>
where
    F: Future<Output = Result<Session, runtime::pod::PodError>> + Send + 'static,
{
    if websocket::is_asked(&request) {
        let (response, protocol, upgrade) = websocket::agree(&mut request, PROTOCOLS)?.split();
        tokio::spawn(async move {
            if let Some(wire) = websocket::channels(upgrade, protocol).await {
                carry(open, wire, is_exec).await;
            }
        });
        return Ok(response);
    }
    if spdy::is_asked(&request) {
        let (response, upgrade) = spdy::agree(&mut request, &["v5.channel.k8s.io", "v4.channel.k8s.io"])?;
        tokio::spawn(async move {
            if let Some(wire) = spdy::channels(upgrade, wanted).await {
                carry(open, wire, is_exec).await;
            }
        });
        return Ok(response);
    }
    Err(Refusal::bad("Upgrade request required"))
}

async fn carry<F>(open: F, wire: session::Wire, is_exec: bool)
where
    F: Future<Output = Result<Session, runtime::pod::PodError>> + Send + 'static,
{
    match open.await {
        Ok(opened) => session::run(opened, wire, is_exec).await,
        Err(runtime::pod::PodError::ExecuteProgram { message, code }) => {
            let text = format!("error executing command in container: failed to exec in container: {message}");
            session::refuse_with(wire, &text, code).await;
        }
        Err(error) => session::refuse(wire, &crate::pod::steps::chain(&error)).await,
    }
}
