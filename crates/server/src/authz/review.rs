//! Reviews: questions about identity and rights, asked as objects. They are answered by the same functions that judge requests,
//! and nothing is stored.

use super::{Attributes, Decision, Indexes, ResourceTarget, Target};
use crate::authn::service_account::ISSUER;
use crate::security::{Objects, Security};
use api::document::Value;
use api::identity::Identity;
use api::status::{FieldError, Status};
use std::collections::BTreeMap;

/// One sort of review.
pub struct Review {
    /// API group.
    pub group: &'static str,
    /// Plural resource name.
    pub resource: &'static str,
    answer: fn(&Question<'_>) -> Result<Value, Status>,
}

/// A review as it was posted.
pub struct Question<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// The namespace of the request, for local reviews.
    pub namespace: &'a str,
    /// The object.
    pub object: &'a Value,
    /// Keys and indexes.
    pub security: &'a Security,
    /// The cluster's objects.
    pub objects: &'a dyn Objects,
}

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Every sort of review.
pub const REVIEWS: &[Review] = &[
    Review { group: AUTHORIZATION, resource: "subjectaccessreviews", answer: subject_access },
    Review { group: AUTHORIZATION, resource: "localsubjectaccessreviews", answer: local_subject_access },
    Review { group: AUTHORIZATION, resource: "selfsubjectaccessreviews", answer: self_subject_access },
    Review { group: AUTHORIZATION, resource: "selfsubjectrulesreviews", answer: self_subject_rules },
    Review { group: AUTHENTICATION, resource: "selfsubjectreviews", answer: self_subject },
    Review { group: AUTHENTICATION, resource: "tokenreviews", answer: token },
];

/// Answers a review; none when the resource is not one.
pub fn answer(group: &str, resource: &str, question: &Question<'_>) -> Option<Result<Value, Status>> {
    let review = REVIEWS.iter().find(|r| r.group == group && r.resource == resource)?;
    Some((review.answer)(question))
}

/// Answers the `POST` of a review; none when the resource is not one. The object has been decoded and defaulted.
pub(crate) fn reviewed(call: &crate::request::Call, object: &Value) -> Option<Result<Value, Status>> {
    let state = &call.state;
    let question = Question {
        identity: &call.identity,
        namespace: &call.path.namespace,
        object,
        security: &state.security,
        objects: &**state,
    };
    answer(&call.path.group, &call.path.resource, &question)
}

fn subject_access(question: &Question<'_>) -> Result<Value, Status> {
    let spec = spec(question);
    let identity = subject(spec);
    if identity.name.is_empty() && identity.groups.is_empty() {
        let error = FieldError::invalid("spec.user", "", "at least one of user or group must be specified");
        return Err(Status::invalid(AUTHORIZATION, "SubjectAccessReview", "", &[error]));
    }
    judged(question, &identity, "SubjectAccessReview")
}

fn local_subject_access(question: &Question<'_>) -> Result<Value, Status> {
    let asked = spec(question).str_at(&["resourceAttributes", "namespace"]).unwrap_or_default();
    if asked != question.namespace {
        return Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace must match namespace: {}",
            question.namespace
        )));
    }
    judged(question, &subject(spec(question)), "LocalSubjectAccessReview")
}

fn self_subject_access(question: &Question<'_>) -> Result<Value, Status> {
    judged(question, question.identity, "SelfSubjectAccessReview")
}

fn spec<'a>(question: &Question<'a>) -> &'a Value {
    static NOTHING: Value = Value::Null;
    question.object.get(&["spec"]).unwrap_or(&NOTHING)
}

fn subject(spec: &Value) -> Identity {
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let mut extra = BTreeMap::new();
    for (key, values) in spec.object_at(&["extra"]).into_iter().flat_map(|m| m.iter()) {
        extra.insert(key.to_string(), texts(values.as_array().unwrap_or_default()));
    }
    Identity {
        name: spec.str_at(&["user"]).unwrap_or_default().to_owned(),
        uid: spec.str_at(&["uid"]).unwrap_or_default().to_owned(),
        groups: texts(spec.array_at(&["groups"])),
        extra,
    }
}

fn judged(question: &Question<'_>, identity: &Identity, kind: &str) -> Result<Value, Status> {
    let spec = spec(question);
    let one = |field| spec.get(&[field]).filter(|v| !v.is_null());
    let decision = match (one("resourceAttributes"), one("nonResourceAttributes")) {
        (Some(resource), None) => of_resource(resource, identity, &question.security.indexes),
        (None, Some(path)) => {
            let target = Target::Path(path.str_at(&["path"]).unwrap_or_default());
            let verb = path.str_at(&["verb"]).unwrap_or_default();
            question.security.indexes.authorize(&Attributes { identity, verb, target })
        }
        _ => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let error = FieldError::invalid("spec.resourceAttributes", Value::Null, detail);
            return Err(Status::invalid(AUTHORIZATION, kind, "", &[error]));
        }
    };
    let mut answer = question.object.clone();
    let mut status = Value::object();
    status.set_at(&["allowed"], decision.allowed());
    if matches!(decision, Decision::Deny { .. }) {
        status.set_at(&["denied"], true);
    }
    if !decision.reason().is_empty() {
        status.set_at(&["reason"], decision.reason());
    }
    answer.set_at(&["status"], status);
    Ok(answer)
}

fn of_resource(resource: &Value, identity: &Identity, indexes: &Indexes) -> Decision {
    let text = |field| resource.str_at(&[field]).unwrap_or_default();
    let selector = resource.str_at(&["fieldSelector", "rawSelector"]).unwrap_or_default();
    let target = ResourceTarget {
        group: text("group"),
        version: text("version"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
        field_selector: selector,
        label_selector: resource.str_at(&["labelSelector", "rawSelector"]).unwrap_or_default(),
    };
    indexes.authorize(&Attributes { identity, verb: text("verb"), target: Target::Resource(target) })
}

fn self_subject_rules(question: &Question<'_>) -> Result<Value, Status> {
    let namespace = spec(question).str_at(&["namespace"]).unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    if question.identity.is_in(api::identity::MASTERS) {
        let all = serde_json::json!(["*"]);
        resources.push(Value::from(serde_json::json!({ "verbs": all, "apiGroups": all, "resources": all })));
        paths.push(Value::from(serde_json::json!({ "verbs": all, "nonResourceURLs": all })));
    }
    for rule in question.security.indexes.rbac.rules_for(question.identity, namespace) {
        let list = if rule.non_resource_urls.is_empty() { &mut resources } else { &mut paths };
        list.push(Value::encode(&rule));
    }
    let node = question.identity.node_name().is_some();
    let mut answer = question.object.clone();
    let mut status = Value::object();
    status.set_at(&["resourceRules"], resources);
    status.set_at(&["nonResourceRules"], paths);
    status.set_at(&["incomplete"], node);
    if node {
        status.set_at(&["evaluationError"], "node authorizer does not support user rule resolution");
    }
    answer.set_at(&["status"], status);
    Ok(answer)
}

fn user_info(identity: &Identity) -> Value {
    let mut info = Value::object();
    info.set_at(&["username"], identity.name.as_str());
    if !identity.uid.is_empty() {
        info.set_at(&["uid"], identity.uid.as_str());
    }
    info.set_at(&["groups"], identity.groups.clone());
    for (key, values) in &identity.extra {
        info.set_at(&["extra", key], values.clone());
    }
    info
}

fn self_subject(question: &Question<'_>) -> Result<Value, Status> {
    let mut answer = question.object.clone();
    answer.set_at(&["status", "userInfo"], user_info(question.identity));
    Ok(answer)
}

fn token(question: &Question<'_>) -> Result<Value, Status> {
    let spec = spec(question);
    let token = spec.str_at(&["token"]).unwrap_or_default();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<&str> = spec.array_at(&["audiences"]).iter().filter_map(Value::as_str).collect();
    let audiences = if asked.is_empty() { vec![ISSUER] } else { asked };
    let security = question.security;
    let mut status = Value::object();
    match security.tokens.review(token, &audiences, question.objects, security.now()) {
        Ok((identity, fitting)) => {
            status.set_at(&["authenticated"], true);
            status.set_at(&["user"], user_info(&identity));
            status.set_at(&["audiences"], fitting);
        }
        Err(error) => {
            status.set_at(&["user"], Value::object());
            status.set_at(&["error"], format!("invalid bearer token: {error}"));
        }
    }
    let mut answer = question.object.clone();
    answer.set_at(&["status"], status);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, json};

    fn ask(cluster: &Cluster, identity: &Identity, resource: &str, object: &str) -> Result<Value, Status> {
        let (security, objects) = (&cluster.security, &cluster.objects);
        let object = json(object);
        let question = Question { identity, namespace: "ns", object: &object, security, objects };
        let group =
            if resource.starts_with("token") || resource == "selfsubjectreviews" { AUTHENTICATION } else { AUTHORIZATION };
        answer(group, resource, &question).unwrap()
    }

    #[test]
    fn reviews_answer_as_requests_are_judged() {
        let cluster = Cluster::with_defaults();
        let ann = Identity::new("ann", ["system:authenticated"]);
        let table = [
            (
                "selfsubjectaccessreviews",
                r#"{"spec":{"resourceAttributes":{"verb":"get","resource":"pods","namespace":"ns"}}}"#,
                false,
            ),
            ("selfsubjectaccessreviews", r#"{"spec":{"nonResourceAttributes":{"verb":"get","path":"/version"}}}"#, true),
            (
                "subjectaccessreviews",
                r#"{"spec":{"user":"x","groups":["system:masters"],"resourceAttributes":{"verb":"get","resource":"pods"}}}"#,
                true,
            ),
            (
                "localsubjectaccessreviews",
                r#"{"spec":{"user":"x","resourceAttributes":{"verb":"get","resource":"pods","namespace":"ns"}}}"#,
                false,
            ),
        ];
        for (resource, object, allowed) in table {
            let answer = ask(&cluster, &ann, resource, object).unwrap();
            assert_eq!(answer.bool_at(&["status", "allowed"]), Some(allowed), "{object}");
        }
        for (resource, object, code) in [
            ("selfsubjectaccessreviews", r#"{"spec":{}}"#, 422),
            ("subjectaccessreviews", r#"{"spec":{"resourceAttributes":{"verb":"get"}}}"#, 422),
            ("localsubjectaccessreviews", r#"{"spec":{"user":"x","resourceAttributes":{"namespace":"other"}}}"#, 400),
            ("selfsubjectrulesreviews", r#"{"spec":{}}"#, 400),
            ("tokenreviews", r#"{"spec":{}}"#, 400),
        ] {
            assert_eq!(ask(&cluster, &ann, resource, object).unwrap_err().code, code, "{object}");
        }
    }

    #[test]
    fn rules_and_identity_of_oneself_are_told() {
        let cluster = Cluster::with_defaults();
        let ann = Identity::new("ann", ["system:authenticated"]);
        let rules = ask(&cluster, &ann, "selfsubjectrulesreviews", r#"{"spec":{"namespace":"ns"}}"#).unwrap();
        assert!(!rules.array_at(&["status", "resourceRules"]).is_empty());
        assert!(!rules.array_at(&["status", "nonResourceRules"]).is_empty());
        let who = ask(&cluster, &ann, "selfsubjectreviews", "{}").unwrap();
        assert_eq!(who.str_at(&["status", "userInfo", "username"]), Some("ann"));
        let wrong = ask(&cluster, &ann, "tokenreviews", r#"{"spec":{"token":"a.b.c"}}"#).unwrap();
        assert_eq!(wrong.bool_at(&["status", "authenticated"]), None);
        assert!(wrong.str_at(&["status", "error"]).is_some());
    }
}
