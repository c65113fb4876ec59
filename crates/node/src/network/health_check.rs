//! Ports where load balancers ask whether a service has endpoints on this node (`healthCheckNodePort`). Each answers what it was told last,
//! in the words of Kubernetes' own proxy.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decide::network_rules::HealthCheck;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Load balancers that may ask one port at once.
const CONNECTIONS_MAX: usize = 32;
/// After an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The ports that are open.
#[derive(Default)]
pub(super) struct HealthChecks {
    open: BTreeMap<u16, Port>,
}

struct Port {
    told: watch::Sender<HealthCheck>,
    _tasks: JoinSet<()>,
}

impl HealthChecks {
    /// Opens and closes ports so that exactly these are open.
    ///
    /// The error is the first port's that could not be opened; the others are.
    pub(super) async fn set(&mut self, wanted: BTreeMap<u16, HealthCheck>) -> io::Result<()> {
        self.open.retain(|number, _| wanted.contains_key(number));
        let mut outcome = Ok(());
        for (number, check) in wanted {
            if let Some(port) = self.open.get(&number) {
                port.told.send_if_modified(|told| {
                    *told != check && {
                        *told = check;
                        true
                    }
                });
                continue;
            }
            match TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).await {
                Ok(listener) => {
                    let (told, seen) = watch::channel(check);
                    let mut tasks = JoinSet::new();
                    tasks.spawn(serve(listener, seen));
                    self.open.insert(number, Port { told, _tasks: tasks });
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

async fn serve(listener: TcpListener, told: watch::Receiver<HealthCheck>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, as a rule: some will be free again.
            client::queue::pause(ACCEPT_AGAIN).await;
            continue;
        };
        let told = told.clone();
        connections.spawn(async move {
            let answer = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(answer(&told.borrow()))));
            // However the connection ends, it is over.
            let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
            drop(permit);
        });
    }
}

fn answer(check: &HealthCheck) -> Response<Full<Bytes>> {
    let body = json!({
        "service": {"namespace": check.service.namespace, "name": check.service.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": true,
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = if check.local_endpoints > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    headers.insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
    headers.insert("x-load-balancing-endpoint-weight", http::HeaderValue::from(check.local_endpoints));
    response
}

#[cfg(test)]
mod tests {
    use decide::network_rules::Name;

    use super::*;

    #[test]
    fn a_service_without_endpoints_here_is_not_to_be_sent_to() {
        let check = |local_endpoints| HealthCheck { service: Name::new("ns", "web"), local_endpoints };
        assert_eq!(answer(&check(0)).status(), StatusCode::SERVICE_UNAVAILABLE);
        let response = answer(&check(2));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-load-balancing-endpoint-weight"], "2");
    }
}
