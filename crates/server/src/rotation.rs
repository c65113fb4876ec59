//! Rotation of the keys of encryption at rest while the server runs: a new first key, every value written anew by it, the old keys forgotten.
//!
//! `POST /coracle/encryption-key` makes a new key; with `?reload=true` it takes one that stands first in the key file by now. `GET` tells how many
//! keys there are. Both are for those who may do everything. A backup opens with the keys that were in force when it was made, so they are to be kept with it.

use std::sync::Arc;

use api::status::{Reason, Status};
use http::{Method, Response, StatusCode, request::Parts};

use crate::{State, body::Body, encryption::EncryptionError, path::Query, request::answer};

const PATH: &str = "/coracle/encryption-key";

/// Why the keys are not rotated. The values that are there stay readable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    /// The key file.
    #[error("the encryption keys could not be changed")]
    ChangeKeys(#[source] EncryptionError),
    /// The values.
    #[error("the values could not be written by the new key; the old one is kept")]
    RewriteValues(#[source] store::RewriteError),
}

/// Whether a request is about the keys.
pub(crate) fn is_asked(parts: &Parts) -> bool {
    parts.uri.path() == PATH
}

/// Answers it.
pub(crate) async fn serve(state: &State, parts: &Parts, query: &Query) -> Result<Response<Body>, Status> {
    match parts.method {
        Method::GET => {}
        Method::POST => rotate(state, query.flag("reload")).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the encryption keys were not rotated");
            Status::internal(error)
        })?,
        _ => return Err(Status::new(Reason::MethodNotAllowed, "the keys are read by GET and rotated by POST")),
    }
    let count = i64::try_from(state.encryption.count()).unwrap_or(i64::MAX);
    Ok(answer(StatusCode::OK, &api::value!({"keys": count})))
}

/// Seals everything by a new key, and forgets the old ones.
async fn rotate(state: &State, reload: bool) -> Result<(), RotationError> {
    let _alone = state.rotating.lock().await;
    let changed = if reload { state.encryption.reload() } else { state.encryption.rotate() };
    changed.map_err(RotationError::ChangeKeys)?;
    finish(state).await
}

async fn finish(state: &State) -> Result<(), RotationError> {
    if state.encryption.count() == 1 {
        return Ok(());
    }
    state.store.rewrite().await.map_err(RotationError::RewriteValues)?;
    state.encryption.forget_old().map_err(RotationError::ChangeKeys)?;
    tracing::info!("every value is sealed by the new encryption key");
    Ok(())
}

/// Ends a rotation that a server before this one began.
pub(crate) fn resume(state: &Arc<State>) {
    if state.encryption.count() == 1 {
        return;
    }
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let _alone = state.rotating.lock().await;
        if let Err(error) = finish(&state).await {
            tracing::error!(error = &error as &dyn std::error::Error, "a rotation of encryption keys could not be ended");
        }
    });
}
