//! The standard streams of a container, joined from now on.

use http::{Request, Response};
use hyper::body::Incoming;

use super::exec::{begin, running};
use super::session::Wanted;
use super::{Body, Endpoint, Refusal, parameters};

/// Answers a request to attach.
pub(super) async fn serve(
    endpoint: &Endpoint,
    namespace: &str,
    pod: &str,
    container: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let mut wanted = Wanted::read(&parameters(request.uri().query().unwrap_or_default()));
    let (seen, id) = running(endpoint, namespace, pod, container)?;
    let sandbox = seen.sandbox.ok_or_else(|| Refusal::failed("the pod has no sandbox"))?;
    // A container without standard input has none to attach to.
    let has_stdin = sandbox.container(&id).is_some_and(|running| running.spec().stdin);
    wanted.stdin &= has_stdin;
    let opened = async move {
        let mut session = sandbox.attach(&id).await?;
        if !wanted.stdin {
            session.stdin = None;
        }
        if !wanted.stdout {
            session.stdout = None;
        }
        if !wanted.stderr {
            session.stderr = None;
        }
        Ok(session)
    };
    begin(request, wanted, false, opened).await
}
