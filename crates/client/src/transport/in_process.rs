//! The server in this very process: no socket, no TLS, no copy of a body on its way. Bodies stream as the server makes them.

use api::identity::Identity;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt};

/// A client of `service` that acts as `identity`, which the server takes from the request's extensions as already authenticated.
/// Must be called within a tokio runtime. Clones share one light task.
pub fn in_process<S, B>(service: S, identity: Identity) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let named = service.map_request(move |mut request: Request<Body>| {
        request.headers_mut().entry(header::USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
        request.extensions_mut().insert(identity.clone());
        request
    });
    kube::Client::new(named, "default")
}
