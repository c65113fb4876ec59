//! Admission webhooks: servers that are asked before a write, as `MutatingWebhookConfiguration` and `ValidatingWebhookConfiguration` say.
//! Mutating ones are asked one after another, each seeing what the one before made; validating ones all at once.

pub(crate) mod matching;
mod review;

use std::time::Duration;

use api::document::{Value, meta};
use api::patch::json;
use api::status::Status;
use futures::future::join_all;

use crate::State;
use crate::admission::Review;
use crate::outbound::Target;

const GROUP: &str = "admissionregistration.k8s.io";

/// One webhook of one configuration.
struct Webhook {
    name: String,
    written: Value,
}

impl Webhook {
    fn timeout(&self) -> Duration {
        let seconds = self.written.i64_at(&["timeoutSeconds"]).unwrap_or(10);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(10).clamp(1, 30))
    }

    fn ignores_failure(&self) -> bool {
        self.written.str_at(&["failurePolicy"]) == Some("Ignore")
    }

    /// Asks. `None` when nobody answered and that does not matter.
    async fn ask(&self, state: &State, document: &Value) -> Result<Option<Value>, Status> {
        let client = self.written.get(&["clientConfig"]).cloned().unwrap_or_default();
        let answer = match Target::of_client(state, &client) {
            Ok(target) => target.post(document, self.timeout()).await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) => review::response(&answer, document),
            Err(error) => Err(format!("failed to call webhook: {error}")),
        };
        match answer {
            Ok(response) => Ok(Some(response)),
            Err(why) if self.ignores_failure() => {
                tracing::warn!(webhook = self.name, why, "a webhook failed and is ignored");
                Ok(None)
            }
            Err(why) => Err(Status::internal(format!("failed calling webhook {:?}: {why}", self.name))),
        }
    }
}

/// The webhooks that want to see this write, in order of their configurations' names.
fn wanted(review: &Review<'_>, state: &State, resource: &str) -> Result<Vec<Webhook>, Status> {
    // Nobody may lock themselves out of their own configuration.
    if review.group == GROUP {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for configuration in state.configurations(GROUP, resource) {
        for written in configuration.array_at(&["webhooks"]) {
            if matching::matches(written, review, state)? && conditions_hold(written, review, state)? {
                let name = written.str_at(&["name"]).unwrap_or_default().to_owned();
                found.push(Webhook { name, written: written.clone() });
            }
        }
    }
    Ok(found)
}

/// Whether the match conditions let the write through to the webhook. One that fails counts as the failure policy says.
fn conditions_hold(webhook: &Value, review: &Review<'_>, state: &State) -> Result<bool, Status> {
    let conditions = webhook.array_at(&["matchConditions"]);
    if conditions.is_empty() {
        return Ok(true);
    }
    let scope = crate::policy::scope(review, state, None);
    let mut failure = None;
    for condition in conditions {
        match scope.holds(condition.str_at(&["expression"]).unwrap_or_default()) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if webhook.str_at(&["failurePolicy"]) != Some("Ignore") => {
            let name = webhook.str_at(&["name"]).unwrap_or_default();
            Err(Status::forbidden(
                review.group,
                review.resource,
                review.name,
                &format!("failed to evaluate match conditions of {name:?}: {error}"),
            ))
        }
        Some(_) => Ok(false),
        None => Ok(true),
    }
}

/// The question about a write, as webhooks and expressions see it.
pub(crate) fn review_request(review: &Review<'_>, state: &State) -> Value {
    review::request(review, &review::served(review, state))
}

/// The object of a write in the version of the request.
pub(crate) fn served_object(review: &Review<'_>, state: &State) -> Value {
    review::served(review, state).object
}

/// Takes an object that a policy changed back into the review.
pub(crate) fn take_back(review: &mut Review<'_>, state: &State, object: Value) {
    review::put_back(review, state, object);
}

/// Asks the mutating webhooks and carries their patches out.
pub(crate) async fn mutate(review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    let webhooks = wanted(review, state, "mutatingwebhookconfigurations")?;
    let mut again: Vec<&Webhook> = Vec::new();
    for webhook in &webhooks {
        let changed = mutate_by(webhook, review, state).await?;
        if changed {
            // Whoever came before and wants to see later changes is asked once more.
            let reinvoked = |other: &&Webhook| other.written.str_at(&["reinvocationPolicy"]) == Some("IfNeeded");
            again.extend(webhooks.iter().take_while(|other| other.name != webhook.name).filter(reinvoked));
        }
    }
    let mut asked: Vec<&str> = Vec::new();
    for webhook in again {
        if !asked.contains(&webhook.name.as_str()) {
            asked.push(&webhook.name);
            mutate_by(webhook, review, state).await?;
        }
    }
    Ok(())
}

async fn mutate_by(webhook: &Webhook, review: &mut Review<'_>, state: &State) -> Result<bool, Status> {
    check_side_effects(webhook, review)?;
    let served = review::served(review, state);
    let document = review::request(review, &served);
    let Some(response) = webhook.ask(state, &document).await? else { return Ok(false) };
    take_warnings(review, &response);
    review::judge(&webhook.name, &response)?;
    let Some(patch) = review::patch(&webhook.name, &response)? else { return Ok(false) };
    let mut object = served.object;
    if object.is_null() {
        return Ok(false);
    }
    let before = object.clone();
    json::apply(&mut object, &patch)
        .map_err(|error| Status::internal(format!("failed calling webhook {:?}: {error}", webhook.name)))?;
    if object == before {
        return Ok(false);
    }
    review::put_back(review, state, object);
    Ok(true)
}

/// Asks the validating webhooks; the first refusal counts.
pub(crate) async fn validate(review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    let webhooks = wanted(review, state, "validatingwebhookconfigurations")?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let served = review::served(review, state);
    let mut asked = Vec::with_capacity(webhooks.len());
    for webhook in &webhooks {
        check_side_effects(webhook, review)?;
        asked.push((webhook, review::request(review, &served)));
    }
    let answers = join_all(asked.iter().map(|(webhook, document)| webhook.ask(state, document))).await;
    for ((webhook, _), answer) in asked.iter().zip(answers) {
        let Some(response) = answer? else { continue };
        take_warnings(review, &response);
        review::judge(&webhook.name, &response)?;
    }
    Ok(())
}

/// A dry run must not reach who would do something because of it.
fn check_side_effects(webhook: &Webhook, review: &Review<'_>) -> Result<(), Status> {
    let harmless = matches!(webhook.written.str_at(&["sideEffects"]), Some("None" | "NoneOnDryRun"));
    if review.dry_run && !harmless {
        let text = format!("admission webhook {:?} does not support dry run", webhook.name);
        return Err(Status::bad_request(text));
    }
    Ok(())
}

fn take_warnings(review: &mut Review<'_>, response: &Value) {
    review.warnings.extend(response.array_at(&["warnings"]).iter().filter_map(Value::as_str).map(str::to_owned));
}

impl State {
    /// Whether anyone outside may change writes at all; in most clusters nobody does.
    pub(crate) fn has_mutators(&self) -> bool {
        let snapshot = self.snapshot();
        let any = |resource: &str| snapshot.range(&format!("/{GROUP}/{resource}/"), None).next().is_some();
        any("mutatingwebhookconfigurations") || any("mutatingadmissionpolicybindings")
    }

    /// Objects of a kind by which the server is configured, by name; quick when there are none.
    pub(crate) fn configurations(&self, group: &str, resource: &str) -> Vec<Value> {
        let mut found: Vec<Value> =
            self.snapshot().range(&format!("/{group}/{resource}/"), None).map(|entry| crate::state::decode(entry)).collect();
        found.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
        found
    }
}
