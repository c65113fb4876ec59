//! Walks the steps backward, all of them, whatever fails.

use super::start::note;
use super::steps::{Ground, STEPS, Step, StepError};

/// Undoes every step; returns what could not be undone. May be called again.
pub(super) async fn stop(ground: &mut Ground) -> Vec<StepError> {
    walk(STEPS, ground).await
}

pub(super) async fn walk(steps: &[&dyn Step], ground: &mut Ground) -> Vec<StepError> {
    let mut failures = Vec::new();
    for step in steps.iter().rev() {
        match step.stop(ground).await {
            Ok(()) => ground.record.steps.retain(|done| done != step.name()),
            Err(error) => failures.push(error),
        }
    }
    if !failures.is_empty() {
        note(ground);
    }
    failures
}
