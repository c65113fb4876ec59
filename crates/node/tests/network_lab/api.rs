//! An API that lists what a test gave it, and streams to the watches what it is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::PATIENCE;

type Body = BoxBody<Bytes, Infallible>;

#[derive(Clone, Default)]
pub struct Api {
    lists: Arc<BTreeMap<&'static str, Vec<Value>>>,
    watches: Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Value>>>>,
    silent: bool,
}

impl Api {
    pub fn with<const N: usize>(lists: [(&'static str, Vec<Value>); N]) -> Self {
        Self { lists: Arc::new(lists.into()), ..Self::default() }
    }

    /// One that never answers.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        kube::Client::new(tower::service_fn(move |request| api.clone().answer(request)), "default")
    }

    async fn answer(self, request: Request<kube::client::Body>) -> Result<Response<Body>, Infallible> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        let kind = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        if !request.uri().query().unwrap_or_default().contains("watch=true") {
            let items = self.lists.get(kind.as_str()).cloned().unwrap_or_default();
            let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}, "items": items});
            return Ok(Response::new(Full::new(Bytes::from(list.to_string())).boxed()));
        }
        let (sender, mut receiver) = mpsc::unbounded_channel::<Value>();
        self.watches.lock().unwrap().insert(kind, sender);
        let frames = futures::stream::poll_fn(move |context| {
            receiver.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(Bytes::from(format!("{event}\n"))))))
        });
        Ok(Response::new(BodyExt::boxed(StreamBody::new(frames))))
    }

    /// Waits for the watch to be there, then tells it.
    pub async fn tell(&self, kind: &str, event: &str, object: Value) {
        let start = Instant::now();
        loop {
            if let Some(watch) = self.watches.lock().unwrap().get(kind) {
                watch.send(json!({"type": event, "object": object})).unwrap();
                return;
            }
            assert!(start.elapsed() < PATIENCE, "nobody watches {kind}");
            tokio::task::yield_now().await;
        }
    }
}

/// An object with a name and the rest.
pub fn object(namespace: Option<&str>, name: &str, rest: Value) -> Value {
    let mut whole = json!({"metadata": {"name": name, "namespace": namespace, "resourceVersion": "11", "uid": name}});
    whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    whole
}
