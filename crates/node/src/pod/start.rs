//! Walks the steps forward, noting on disk what is done.

use super::steps::{Ground, STEPS, Step, StepError, sandbox};

/// Does the steps that are not done yet, until one fails.
pub(super) async fn start(ground: &mut Ground) -> Result<(), StepError> {
    // The longest of them needs nothing of those before it for most of its way.
    sandbox::begin(ground);
    walk(STEPS, ground).await
}

pub(super) async fn walk(steps: &[&dyn Step], ground: &mut Ground) -> Result<(), StepError> {
    for step in steps {
        if ground.record.has(step.name()) {
            continue;
        }
        step.start(ground).await?;
        ground.record.steps.push(step.name().to_owned());
        // Steps with nothing to find again need no note; the record before the sandbox is what a crash needs.
        if matches!(step.name(), "address" | "sandbox" | "probes") {
            note(ground);
        }
    }
    Ok(())
}

/// Writes the record; a disk that refuses costs only the return after a restart.
pub(super) fn note(ground: &mut Ground) {
    let folder = ground.folder.clone();
    if let Err(error) = ground.record.write(&folder) {
        tracing::warn!(error = &error as &dyn std::error::Error, "a pod's record is not written");
    }
}
