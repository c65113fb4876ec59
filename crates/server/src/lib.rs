//! The Kubernetes API over HTTP: request in, response out.
//!
//! A request walks one list of steps ([`request`]); what a verb means stands in `verb/`, and [`write`] is the single way into the store.
//! Kinds are rows of `api::kind`; nothing here knows one by name but where Kubernetes itself gives it a meaning of its own.

pub mod admission;
mod aggregation;
mod allocate;
pub mod authn;
pub mod authz;
mod body;
mod conversion;
mod custom_kinds;
mod discovery;
pub mod encryption;
mod expression;
mod limits;
pub mod listen;
pub mod metrics;
mod node_proxy;
mod outbound;
mod path;
pub mod pki;
mod policy;
mod protobuf;
mod render;
mod request;
mod rotation;
pub mod security;
mod security_feed;
pub mod signing;
mod state;
mod subresource;
#[cfg(test)]
mod testing;
mod verb;
mod webhook;
mod write;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};

pub use body::Body;
pub use state::{OpenError, Settings, State};

/// A server over its store. Serves nobody by itself: give [`Server::service`] to a listener or call it in process.
pub struct Server {
    state: Arc<State>,
    _feeds: security_feed::Feeds,
}

impl Server {
    /// Opens keys and store, and makes what every cluster starts with.
    ///
    /// # Errors
    /// When the keys or the store cannot be opened.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let state = Arc::new(State::open(settings).await?);
        let feeds = security_feed::start(&state).await.map_err(OpenError::WriteFirstObjects)?;
        custom_kinds::load(&state);
        aggregation::start(&state);
        rotation::resume(&state);
        Ok(Self { state, _feeds: feeds })
    }

    /// The API as a service; clones share everything.
    pub fn service(&self) -> ApiService {
        ApiService { state: Arc::clone(&self.state) }
    }

    /// What the server knows.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }
}

/// The API: `http::Request` in, `http::Response` out; it never fails, it answers with a `Status`.
#[derive(Clone)]
pub struct ApiService {
    state: Arc<State>,
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = Arc::clone(&self.state);
        Box::pin(async move { Ok(request::serve(state, request).await) })
    }
}
