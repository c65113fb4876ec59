//! Trust bundles and the certificates of pods: names of signers, what may not change, and how a request may end. What is inside of
//! certificates and requests is looked at by admission in the server, which has the time and X.509.

use super::{FieldError, RuleContext, Rules, change, names};
use crate::document::{Map, Value, meta};

/// The rules of ClusterTrustBundles.
pub struct BundleRules;
/// The rules of PodCertificateRequests.
pub struct PodCertificateRules;

/// The shortest life that may be asked for.
pub const SECONDS_MIN: i64 = 60 * 60;
/// The longest.
pub const SECONDS_MAX: i64 = 91 * 24 * 60 * 60;
/// The longest of Kubernetes' own signers.
pub const OWN_SECONDS_MAX: i64 = 24 * 60 * 60;
const UID_MAX: usize = 128;
const SIGNER_MAX: usize = 253 + 253 + 63 + 1 + 1;
/// The conditions that end a request.
pub const VERDICTS: [&str; 3] = ["Denied", "Failed", "Issued"];

impl Rules for BundleRules {
    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let signer = new.str_at(&["spec", "signerName"]).unwrap_or_default();
        let name = meta::name(new);
        let mut errors: Vec<FieldError> =
            bundle_name(signer, name).into_iter().map(|problem| FieldError::invalid("metadata.name", name, problem)).collect();
        if !signer.is_empty() {
            signer_name("spec.signerName", signer, &mut errors);
        }
        if let Some(old) = old {
            change::fixed(new, old, &["spec", "signerName"], &mut errors);
        }
        errors
    }
}

impl Rules for PodCertificateRules {
    fn default(&self, request: &mut Value) {
        request.default_at(&["spec", "maxExpirationSeconds"], OWN_SECONDS_MAX);
    }

    /// A status write leaves the metadata as it is.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        if context.subresource != Some("status") {
            return;
        }
        for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
            match old.and_then(|old| old.get(&["metadata", field])) {
                Some(value) => meta::set(new, field, value.clone()),
                None => drop(new.remove_at(&["metadata", field])),
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match (old, subresource) {
            (None, _) => check_request(new, &mut errors),
            (Some(old), Some("status")) => check_verdict(new, old, &mut errors),
            (Some(old), _) => change::fixed(new, old, &["spec"], &mut errors),
        }
        errors
    }
}

fn check_request(request: &Value, errors: &mut Vec<FieldError>) {
    let text = |field: &str| request.str_at(&["spec", field]).unwrap_or_default();
    signer_name("spec.signerName", text("signerName"), errors);
    annotations("spec.unverifiedUserAnnotations", request.object_at(&["spec", "unverifiedUserAnnotations"]), errors);
    for (holder, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        let invalid = |problem| FieldError::invalid(format!("spec.{holder}"), text(holder), problem);
        errors.extend(names::dns_subdomain(text(holder)).into_iter().map(invalid));
        if text(uid).is_empty() {
            errors.push(FieldError::invalid(format!("spec.{uid}"), "", "must not be empty"));
        } else if text(uid).len() > UID_MAX {
            errors.push(FieldError::too_long(format!("spec.{uid}"), UID_MAX));
        }
    }
    let Some(seconds) = request.i64_at(&["spec", "maxExpirationSeconds"]) else {
        return errors.push(FieldError::required("spec.maxExpirationSeconds", "must be set"));
    };
    let longest = seconds_max(text("signerName"));
    if !(SECONDS_MIN..=longest).contains(&seconds) {
        let range = format!("must be in the range [{SECONDS_MIN}, {longest}]");
        errors.push(FieldError::invalid("spec.maxExpirationSeconds", seconds, range));
    }
}

/// A request ends once, in one way, and then stays as it is.
fn check_verdict(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let conditions = new.array_at(&["status", "conditions"]);
    let mut verdicts = 0;
    for (at, condition) in conditions.iter().enumerate() {
        let text = |field: &str| condition.str_at(&[field]).unwrap_or_default();
        let field = |name: &str| format!("status.conditions.[{at}].{name}");
        if !VERDICTS.contains(&text("type")) {
            errors.push(FieldError::not_supported(field("type"), text("type"), &["Denied", "Failed", "Issued"]));
            continue;
        }
        verdicts += 1;
        if verdicts > 1 {
            let one = r#"There may be at most one condition with type "Issued", "Denied", or "Failed""#;
            errors.push(FieldError::invalid(field("type"), text("type"), one));
        }
        if text("status") != "True" {
            errors.push(FieldError::not_supported(field("status"), text("status"), &["True"]));
        }
        if text("reason").is_empty() {
            errors.push(FieldError::required(format!("status.conditions[{at}].reason"), ""));
        }
        if text("lastTransitionTime").is_empty() {
            errors.push(FieldError::required(format!("status.conditions[{at}].lastTransitionTime"), ""));
        }
    }
    if !errors.is_empty() {
        return;
    }
    let fixed = |detail: &str| FieldError::invalid("status", Value::Null, detail);
    if verdict(old).is_some() {
        if !same_status(new, old) {
            errors.push(fixed("immutable after PodCertificateRequest is issued, denied, or failed"));
        }
        return;
    }
    match verdict(new) {
        Some("Issued") => {}
        Some(_) => {
            let fields = new.object_at(&["status"]).into_iter().flat_map(Map::keys);
            let others = fields.filter(|name| *name != "conditions");
            if others.into_iter().any(|name| new.get(&["status", name]).is_some_and(|value| !value.is_empty())) {
                let detail = "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
                errors.push(fixed(detail));
            }
        }
        None if same_status(new, old) => {}
        None => errors.push(fixed("status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"")),
    }
}

fn same_status(new: &Value, old: &Value) -> bool {
    let status = |object: &Value| object.field("status").cloned().filter(|status| !status.is_empty());
    status(new) == status(old)
}

/// How a request ended, if it has.
pub fn verdict(request: &Value) -> Option<&str> {
    let conditions = request.array_at(&["status", "conditions"]).iter();
    let mut verdicts = conditions.filter(|condition| condition.str_at(&["status"]) == Some("True"));
    verdicts.find_map(|condition| condition.str_at(&["type"]).filter(|kind| VERDICTS.contains(kind)))
}

/// The longest life that a signer's certificates may have.
pub fn seconds_max(signer: &str) -> i64 {
    let host = signer.split('/').next().unwrap_or_default();
    let own = host == "kubernetes.io" || host.ends_with(".kubernetes.io");
    if own { OWN_SECONDS_MAX } else { SECONDS_MAX }
}

/// What is wrong with the name of a signer, `domain/path`.
pub fn signer_name(field: &str, signer: &str, errors: &mut Vec<FieldError>) {
    if signer.is_empty() {
        return errors.push(FieldError::required(field, ""));
    }
    let Some((domain, path)) = signer.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return errors.push(FieldError::invalid(field, signer, form));
    };
    if domain.len() > 253 {
        errors.push(FieldError::too_long(field, 253));
    }
    let mut check = |part: &str, rule: fn(&str) -> Vec<String>| {
        for label in part.split('.') {
            let problems = rule(label);
            let broken = !problems.is_empty();
            let told = |problem| FieldError::invalid(field, part, format!("validating label {label:?}: {problem}"));
            errors.extend(problems.into_iter().map(told));
            if broken {
                break;
            }
        }
    };
    check(domain, names::dns_label);
    check(path, names::dns_subdomain);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(field, domain, detail));
    }
    if signer.len() > SIGNER_MAX {
        errors.push(FieldError::too_long(field, SIGNER_MAX));
    }
}

/// What is wrong with the name of a trust bundle of a signer (empty when it has none).
pub fn bundle_name(signer: &str, name: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return names::dns_subdomain(name);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => names::dns_subdomain(rest),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")],
    }
}

/// What is wrong with the annotations that a user gives to a signer.
pub fn annotations(field: &str, given: Option<&Map>, errors: &mut Vec<FieldError>) {
    for key in given.into_iter().flat_map(Map::keys) {
        let invalid = |problem| FieldError::invalid(field, key, problem);
        if key.contains('/') {
            errors.extend(names::qualified_name(&key.to_lowercase()).into_iter().map(invalid));
        } else {
            errors.push(invalid("must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn names_of_signers_and_bundles_fit_together() {
        let problems = |signer: &str| {
            let mut errors = Vec::new();
            signer_name("f", signer, &mut errors);
            errors.len()
        };
        for (signer, count) in [("a.io/b", 0), ("a.io/b.c", 0), ("", 1), ("a.io", 1), ("a.io/b/c", 1), ("a/b", 1), ("a.io/B", 1)]
        {
            assert_eq!(problems(signer), count, "{signer}");
        }
        for (signer, name, good) in [
            ("", "plain.name", true),
            ("", "a:b", false),
            ("a.io/b", "a.io:b:one", true),
            ("a.io/b", "other", false),
            ("a.io/b", "a.io:b:O", false),
        ] {
            assert_eq!(bundle_name(signer, name).is_empty(), good, "{signer} {name}");
        }
    }

    #[test]
    fn a_request_ends_once() {
        let with = |status: Value| {
            let mut request = value!({"metadata": {"name": "a"}, "spec": {}});
            request.set_at(&["status"], status);
            request
        };
        let ended = |kind: &str| value!({"conditions": [{"type": kind, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        let errors = |new: Value, old: Value| PodCertificateRules.validate(&with(new), Some(&with(old)), Some("status")).len();
        assert_eq!(errors(ended("Issued"), Value::object()), 0);
        assert_eq!(errors(ended("Denied"), Value::object()), 0);
        assert_eq!(errors(ended("Odd"), Value::object()), 1);
        assert_eq!(errors(ended("Issued"), ended("Denied")), 1);
        assert_eq!(errors(ended("Denied"), ended("Denied")), 0);
        assert_eq!(errors(value!({"certificateChain": "x"}), Value::object()), 1);
        let mut both = ended("Failed");
        both.set_at(&["certificateChain"], "x");
        assert_eq!(errors(both, Value::object()), 1);
    }
}
