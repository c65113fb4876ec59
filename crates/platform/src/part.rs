//! The parts of the platform, one row each, and how they are started.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use api::identity::{AUTHENTICATED, Identity, MASTERS};
use client::{
    Caches,
    queue::{Backoff, pause},
};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{install, redis};

/// The namespace of what the platform runs as.
pub const NAMESPACE: &str = "coracle-system";
/// Who writes kinds and rights, before any part starts.
pub const INSTALLER: &str = "installer";

/// A part: what it adds to a cluster.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its custom kinds, as CustomResourceDefinitions.
    pub kinds: fn() -> Vec<Value>,
    /// What its controllers may do, and nothing beyond.
    pub rights: &'static [Right],
    /// Its controllers.
    pub controllers: &'static [Controller],
}

/// Verbs on resources of a group.
pub struct Right {
    /// The API group.
    pub group: &'static str,
    /// The resources.
    pub resources: &'static [&'static str],
    /// The verbs.
    pub verbs: &'static [&'static str],
}

/// A controller of a part.
pub struct Controller {
    /// Its name, that of its service account.
    pub name: &'static str,
    /// Runs it; it ends only when it fails.
    pub run: fn(Wiring) -> BoxFuture<'static, ()>,
}

/// What a controller is given.
#[derive(Clone)]
pub struct Wiring {
    /// The API, under the controller's own name.
    pub client: kube::Client,
    /// Caches under that name.
    pub caches: Caches,
}

/// Every part.
pub const PARTS: &[Part] = &[redis::PART];

/// Who somebody of this name is to the API server: a controller is its service account, the installer may do everything.
#[must_use]
pub fn identity(name: &str) -> Identity {
    if name == INSTALLER {
        return Identity::new("system:coracle-installer", [MASTERS, AUTHENTICATED]);
    }
    Identity::service_account(NAMESPACE, name, "")
}

/// The running of all parts; ends with this.
pub struct Handle {
    _tasks: JoinSet<()>,
}

/// Installs kinds and rights, then starts every controller. `client_for` makes the client of the one with that name, acting as
/// [`identity`] says. Must be called within a tokio runtime.
pub fn start(client_for: impl Fn(&str) -> kube::Client) -> Handle {
    let installer = client_for(INSTALLER);
    let installed = Arc::new(tokio::sync::OnceCell::new());
    let mut tasks = JoinSet::new();
    for controller in PARTS.iter().flat_map(|part| part.controllers) {
        let (installer, client) = (installer.clone(), client_for(controller.name));
        let installed = Arc::clone(&installed);
        tasks.spawn(async move {
            installed.get_or_init(|| install_until_done(installer)).await;
            loop {
                let wiring = Wiring { client: client.clone(), caches: Caches::new(client.clone()) };
                let ended = AssertUnwindSafe((controller.run)(wiring)).catch_unwind().await;
                tracing::error!(
                    controller = controller.name,
                    panicked = ended.is_err(),
                    "a controller ended and is started again"
                );
                pause(Duration::from_secs(1)).await;
            }
        });
    }
    Handle { _tasks: tasks }
}

async fn install_until_done(client: kube::Client) {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));
    while let Err(error) = install::install(&client).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the kinds and rights of the platform are not installed yet");
        pause(backoff.next()).await;
    }
}
