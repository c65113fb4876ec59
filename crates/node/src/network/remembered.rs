//! What was last heard of services and their endpoints, in a file beside the addresses, so that an agent that starts again while the API is
//! away answers names as the one before it did. The rules need none of this: the kernel keeps them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::queue::pause;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::sources::Sources;

const FILE: &str = "names.json";
/// Many changes together cost one writing.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What was heard.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Remembered {
    pub(super) services: Vec<Service>,
    pub(super) slices: Vec<EndpointSlice>,
}

#[derive(Serialize)]
struct Borrowed<'a> {
    services: Vec<&'a Service>,
    slices: Vec<&'a EndpointSlice>,
}

/// What an agent before this one heard; nothing when there was none, or its file is of no use.
pub(super) fn read(folder: &Path) -> Option<Remembered> {
    serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
}

/// Writes what is heard, at once and then again after each change, for as long as it is polled.
pub(super) async fn keep(folder: PathBuf, sources: Arc<Sources>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        let (folder, sources) = (folder.clone(), Arc::clone(&sources));
        let written = tokio::task::spawn_blocking(move || write(&folder, &sources)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "an agent that starts while the API is away will know no names");
        }
        pause(WRITE_EVERY).await;
    }
}

fn write(folder: &Path, sources: &Sources) -> std::io::Result<()> {
    let (services, slices) = (sources.services.list(), sources.slices.list());
    let all =
        Borrowed { services: services.iter().map(AsRef::as_ref).collect(), slices: slices.iter().map(AsRef::as_ref).collect() };
    let draft = folder.join(FILE).with_extension("draft");
    std::fs::write(&draft, serde_json::to_vec(&all)?)?;
    std::fs::rename(draft, folder.join(FILE))
}
