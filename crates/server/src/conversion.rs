//! Custom kinds whose versions differ in more than their name: a webhook turns objects of one into another, as the definition says.

use std::time::Duration;

use api::document::{Value, meta};
use api::kind::Kind;
use api::status::{Reason, Status};

use crate::State;
use crate::outbound::Target;

/// The forms of the question that we speak.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
/// How long a conversion may take (upstream's default).
const TIMEOUT: Duration = Duration::from_secs(30);

/// The object in another version.
pub(crate) async fn one(state: &State, kind: &Kind, object: Value, api_version: &str) -> Result<Value, Status> {
    Ok(all(state, kind, vec![object], api_version).await?.pop().unwrap_or_default())
}

/// The objects in another version, in their order; those that are in it already are not sent.
pub(crate) async fn all(state: &State, kind: &Kind, mut objects: Vec<Value>, api_version: &str) -> Result<Vec<Value>, Status> {
    let Some(webhook) = &kind.conversion else { return Ok(objects) };
    let foreign: Vec<usize> = (0..objects.len()).filter(|at| meta::api_version(&objects[*at]) != api_version).collect();
    if foreign.is_empty() {
        return Ok(objects);
    }
    let spoken = webhook.array_at(&["conversionReviewVersions"]).iter().filter_map(Value::as_str);
    let spoken = spoken.filter(|version| REVIEWS.contains(version)).map(str::to_owned).next();
    let mut review = api::value!({"kind": "ConversionReview"});
    review.set_at(&["apiVersion"], format!("apiextensions.k8s.io/{}", spoken.as_deref().unwrap_or(REVIEWS[0])));
    review.set_at(&["request", "uid"], uuid::Uuid::new_v4().to_string());
    review.set_at(&["request", "desiredAPIVersion"], api_version);
    review.set_at(&["request", "objects"], Value::Array(foreign.iter().map(|at| objects[*at].clone()).collect()));
    let failed = |why: String| {
        let from = foreign.first().map(|at| meta::api_version(&objects[*at]).to_owned()).unwrap_or_default();
        Status::new(Reason::Unknown, format!("conversion webhook for {from}, Kind={} failed: {why}", kind.kind))
    };
    let client = webhook.get(&["clientConfig"]).cloned().unwrap_or_default();
    let target = Target::of_client(state, &client).map_err(|error| failed(error.to_string()))?;
    let answer = target.post(&review, TIMEOUT).await.map_err(|error| failed(error.to_string()))?;
    if answer.str_at(&["response", "result", "status"]) != Some("Success") {
        return Err(failed(answer.str_at(&["response", "result", "message"]).unwrap_or("no reason was given").to_owned()));
    }
    let converted = answer.array_at(&["response", "convertedObjects"]);
    if converted.len() != foreign.len() {
        return Err(failed(format!("webhook returned {} objects, expected {}", converted.len(), foreign.len())));
    }
    let good = converted.iter().all(|object| meta::api_version(object) == api_version);
    if !good {
        return Err(failed(format!("webhook returned an object of another version than {api_version}")));
    }
    for (at, object) in foreign.into_iter().zip(converted) {
        // Who an object is, is not for a webhook to change: labels and annotations alone are.
        let mut object = object.clone();
        let mut metadata = objects[at].get(&["metadata"]).cloned().unwrap_or_default();
        for field in ["labels", "annotations"] {
            match object.get(&["metadata", field]) {
                Some(value) => metadata.set_at(&[field], value.clone()),
                None => drop(metadata.remove_at(&[field])),
            }
        }
        object.set_at(&["metadata"], metadata);
        objects[at] = object;
    }
    Ok(objects)
}
