//! Walks the steps forward after a restart of the agent, without side effects: what is done is found again.

use super::steps::{Ground, STEPS, StepError};

/// Finds the steps that the record says are done. An error means that the pod's ground is lost and is to be made anew.
pub(super) async fn adopt(ground: &mut Ground) -> Result<(), StepError> {
    for step in STEPS {
        if ground.record.has(step.name()) {
            step.adopt(ground).await?;
        }
    }
    Ok(())
}

/// Whether every step is done.
pub(super) fn is_whole(ground: &Ground) -> bool {
    STEPS.iter().all(|step| ground.record.has(step.name()))
}
