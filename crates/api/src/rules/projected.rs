//! Projected volumes: each source is one thing, files do not meet, and what signers are asked for can be given.

use super::certificates::{SECONDS_MIN, annotations, bundle_name, seconds_max, signer_name};
use super::{FieldError, names};
use crate::document::Value;

const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
const SOURCES: [&str; 6] = ["clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret", "serviceAccountToken"];
const DUPLICATE: &str = "conflicting duplicate paths";

/// What is wrong with a projected volume whose field is `field`.
pub(super) fn validate(volume: &Value, field: &str) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new(), paths: Vec::new(), field };
    for (at, source) in volume.array_at(&["sources"]).iter().enumerate() {
        let path = format!("{field}.sources[{at}]");
        let given = SOURCES.iter().filter(|name| source.get(&[*name]).is_some_and(|value| !value.is_null())).count();
        if let Some(bundle) = source.get(&["clusterTrustBundle"]).filter(|bundle| !bundle.is_null()) {
            check.bundle(bundle, &format!("{path}.clusterTrustBundle"));
        }
        if let Some(certificate) = source.get(&["podCertificate"]).filter(|certificate| !certificate.is_null()) {
            check.certificate(certificate, &format!("{path}.podCertificate"));
        }
        if given > 1 {
            check.errors.push(FieldError::forbidden(path, "may not specify more than 1 volume type per source"));
        }
    }
    check.errors
}

struct Check<'a> {
    errors: Vec<FieldError>,
    paths: Vec<String>,
    field: &'a str,
}

impl Check<'_> {
    fn bundle(&mut self, bundle: &Value, path: &str) {
        let (name, signer) = (bundle.str_at(&["name"]), bundle.str_at(&["signerName"]));
        match (name, signer) {
            (Some(_), Some(_)) => {
                let shown = Value::from("clusterTrustBundle");
                self.errors.push(FieldError::invalid(path, shown, "only one of name and signerName may be used"));
            }
            (Some(name), None) => self.bundle_by_name(bundle, name, path),
            (None, Some(signer)) => {
                let field = format!("{path}.signerName");
                if signer.is_empty() {
                    self.errors.push(FieldError::required(field.clone(), "must be a valid signer name"));
                }
                signer_name(&field, signer, &mut self.errors);
            }
            (None, None) => self.errors.push(FieldError::required(path, "either name or signerName must be specified")),
        }
        let file = bundle.str_at(&["path"]).unwrap_or_default();
        if file.is_empty() {
            self.errors.push(FieldError::required(format!("{path}.path"), ""));
        }
        self.file(file, &format!("{path}.path"));
    }

    fn bundle_by_name(&mut self, bundle: &Value, name: &str, path: &str) {
        let field = format!("{path}.name");
        if name.is_empty() {
            self.errors.push(FieldError::required(field.clone(), "must be a valid object name"));
        }
        let signer = name.rsplit_once(':').map(|(signer, _)| signer.replace(':', "/")).unwrap_or_default();
        for problem in bundle_name(&signer, name) {
            let text = format!("not a valid clustertrustbundlename: {problem}");
            self.errors.push(FieldError::invalid(field.clone(), name, text));
        }
        if bundle.get(&["labelSelector"]).is_some_and(|selector| !selector.is_null()) {
            let text = "labelSelector must be unset if name is specified";
            self.errors.push(FieldError::invalid(format!("{path}.labelSelector"), Value::from("labelSelector"), text));
        }
    }

    fn certificate(&mut self, certificate: &Value, path: &str) {
        let text = |field: &str| certificate.str_at(&[field]).unwrap_or_default();
        let signer = text("signerName");
        signer_name(&format!("{path}.signerName"), signer, &mut self.errors);
        annotations(&format!("{path}.userAnnotations"), certificate.object_at(&["userAnnotations"]), &mut self.errors);
        if !KEY_TYPES.contains(&text("keyType")) {
            self.errors.push(FieldError::not_supported(format!("{path}.keyType"), text("keyType"), &KEY_TYPES));
        }
        if let Some(seconds) = certificate.i64_at(&["maxExpirationSeconds"]) {
            let longest = seconds_max(signer);
            let problem = match seconds {
                ..SECONDS_MIN => Some(format!("if provided, maxExpirationSeconds must be >= {SECONDS_MIN}")),
                _ if seconds > longest => Some(format!("if provided, maxExpirationSeconds must be <= {longest}")),
                _ => None,
            };
            let field = format!("{path}.maxExpirationSeconds");
            self.errors.extend(problem.map(|problem| FieldError::invalid(field, seconds, problem)));
        }
        let files = ["credentialBundlePath", "keyPath", "certificateChainPath"].map(|field| (field, text(field)));
        if files.iter().all(|(_, file)| file.is_empty()) {
            let why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
            self.errors.push(FieldError::required(path, why));
        }
        for (field, file) in files.into_iter().filter(|(_, file)| !file.is_empty()) {
            self.file(file, &format!("{path}.{field}"));
        }
    }

    /// A file stays in its volume, is none of ours, and is nobody else's.
    fn file(&mut self, file: &str, field: &str) {
        if file.starts_with('/') {
            self.errors.push(FieldError::invalid(field, file, "must be a relative path"));
        }
        if file.split('/').any(|part| part == "..") {
            self.errors.push(FieldError::invalid(field, file, "must not contain '..'"));
        } else if file.starts_with("..") {
            self.errors.push(FieldError::invalid(field, file, "must not start with '..'"));
        }
        if self.paths.iter().any(|other| other == file) {
            self.errors.push(FieldError::invalid(self.field, file, DUPLICATE));
        }
        self.paths.push(file.to_owned());
    }
}

/// What is wrong with the volumes of a pod below `field`.
pub(super) fn volumes(spec: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
        let name = volume.str_at(&["name"]).unwrap_or_default();
        let path = format!("{field}.volumes[{at}]");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else {
            let invalid = |problem| FieldError::invalid(format!("{path}.name"), name, problem);
            errors.extend(names::dns_label(name).into_iter().map(invalid));
        }
        if !name.is_empty() && seen.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        seen.push(name);
        if let Some(projected) = volume.get(&["projected"]).filter(|projected| !projected.is_null()) {
            errors.extend(validate(projected, &format!("{path}.projected")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn a_source_asks_for_what_a_signer_can_give() {
        let told = |source: Value| -> String {
            let mut volume = Value::object();
            volume.set_at(&["sources"], Value::Array(vec![source]));
            validate(&volume, "v").iter().map(|error| format!("{}: {}\n", error.field, error.body())).collect()
        };
        let certificate = |seconds: i64| {
            value!({"podCertificate": {"signerName": "a.io/b", "keyType": "ECDSAP256", "credentialBundlePath": "c.pem",
                "maxExpirationSeconds": seconds}})
        };
        assert_eq!(told(certificate(3600)), "");
        assert!(told(certificate(3599)).contains("if provided, maxExpirationSeconds must be >= 3600"));
        assert!(told(certificate(7_862_401)).contains("if provided, maxExpirationSeconds must be <= 7862400"));
        assert!(told(value!({"podCertificate": {"signerName": "a.io/b", "keyType": "ED25519"}})).contains("at least one of"));
        let bundle = |name: &str| value!({"clusterTrustBundle": {"name": name, "path": "a.pem"}});
        assert_eq!(told(bundle("a.io:b:c")), "");
        assert_eq!(told(bundle("plain")), "");
        assert!(told(bundle("A")).contains("not a valid clustertrustbundlename"));
        assert!(told(value!({"clusterTrustBundle": {"path": "../x"}})).contains("must not contain '..'"));
    }
}
