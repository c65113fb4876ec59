//! A way to an API that kills its user at a certain write: a proxy on loopback that counts what passes.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

/// When the user dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// The write is not carried out.
    Before,
    /// It is, and its answer never comes.
    After,
}

#[derive(Default)]
struct State {
    /// How many writes pass until it is time; none for ever.
    left: Option<usize>,
    when: Option<When>,
    victim: Option<Child>,
    killed: bool,
}

/// The proxy.
pub struct Cut {
    state: Arc<Mutex<State>>,
    kubeconfig: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn kill(&mut self) {
        if let Some(victim) = &mut self.victim {
            let _ = victim.kill();
            self.killed = true;
        }
    }
}

impl Cut {
    pub fn new(runtime: &tokio::runtime::Runtime, client: kube::Client, folder: &Path) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let socket = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a socket");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let kubeconfig = folder.join("kubeconfig-cut");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "cut",
            "clusters": [{"name": "cut", "cluster": {"server": url}}],
            "users": [{"name": "cut", "user": {}}],
            "contexts": [{"name": "cut", "context": {"cluster": "cut", "user": "cut"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).expect("a file");
        let shared = Arc::clone(&state);
        let task = runtime.spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (client, state) = (client.clone(), Arc::clone(&shared));
                let service = service_fn(move |request| pass(client.clone(), Arc::clone(&state), request));
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A connection whose user was killed ends as it ends.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { state, kubeconfig, task }
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs a program that is killed at the write after `left` others; false if it came to its end before.
    pub fn kills(&self, mut command: std::process::Command, left: usize, when: When) -> bool {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, err) = {
            let mut state = lock();
            let mut victim = command.spawn().expect("the program starts");
            let pipes = (victim.stdout.take().expect("a pipe"), victim.stderr.take().expect("a pipe"));
            *state = State { left: Some(left), when: Some(when), victim: Some(victim), killed: false };
            pipes
        };
        // Its output ends when it does.
        let said = [std::io::read_to_string(out), std::io::read_to_string(err)];
        let mut state = lock();
        let status = state.victim.take().expect("it was started").wait().expect("it ended");
        assert!(state.killed || status.success(), "it failed by itself: {said:?}");
        state.killed
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn pass(
    client: kube::Client,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<kube::client::Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(http::header::HOST);
    let body = http_body_util::BodyExt::collect(body).await?.to_bytes();
    let fatal = parts.method != Method::GET && {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let fatal = state.left == Some(0);
        state.left = state.left.and_then(|left| left.checked_sub(1));
        if fatal && state.when == Some(When::Before) {
            state.kill();
            return Err("the user is dead".into());
        }
        fatal
    };
    let answer = client.send(Request::from_parts(parts, kube::client::Body::from(body.to_vec()))).await?;
    if fatal {
        state.lock().unwrap_or_else(PoisonError::into_inner).kill();
        return Err("the user is dead".into());
    }
    Ok(answer)
}
