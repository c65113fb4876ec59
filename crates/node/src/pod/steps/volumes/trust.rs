//! Trust anchors out of ClusterTrustBundles: one by its name, or all of a signer that are selected; each anchor once.

use std::collections::BTreeSet;

use ::client::Cache;
use api::document::{Map, Value};
use api::selector::LabelSelector;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::ClusterTrustBundleProjection;
use x509_parser::pem::Pem;

/// The anchors that a source asks for, as PEM.
pub(super) fn anchors(bundles: &Cache<ClusterTrustBundle>, source: &ClusterTrustBundleProjection) -> Result<String, String> {
    let optional = source.optional == Some(true);
    let found = match (&source.name, &source.signer_name) {
        (Some(name), _) => match bundles.find("", name) {
            Some(bundle) => vec![bundle],
            None if optional => Vec::new(),
            None => return Err(format!("clustertrustbundle.certificates.k8s.io \"{name}\" not found")),
        },
        (None, signer) => {
            let selector = selector(source)?;
            let all = bundles.list();
            let found: Vec<_> = all.into_iter().filter(|bundle| bundle.spec.signer_name == *signer).collect();
            let found: Vec<_> = found.into_iter().filter(|bundle| selects(selector.as_ref(), bundle)).collect();
            if found.is_empty() && !optional {
                return Err("combination of signerName and labelSelector matched zero ClusterTrustBundles".into());
            }
            found
        }
    };
    Ok(join(found.iter().map(|bundle| bundle.spec.trust_bundle.as_str())))
}

/// No selector selects nothing; an empty one everything.
fn selector(source: &ClusterTrustBundleProjection) -> Result<Option<LabelSelector>, String> {
    let Some(given) = &source.label_selector else { return Ok(None) };
    let given = serde_json::to_value(given).map_err(|error| error.to_string())?;
    LabelSelector::from_object(&Value::from(given)).map(Some).map_err(|error| error.to_string())
}

fn selects(selector: Option<&LabelSelector>, bundle: &ClusterTrustBundle) -> bool {
    let labels = bundle.metadata.labels.iter().flatten();
    let labels: Map = labels.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    selector.is_some_and(|selector| selector.matches(Some(&labels)))
}

/// All anchors, each once, without what stands around them.
fn join<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    use base64::Engine as _;
    let blocks = texts.flat_map(|text| Pem::iter_from_buffer(text.as_bytes()).flatten().collect::<Vec<_>>());
    let anchors: BTreeSet<Vec<u8>> = blocks.map(|block| block.contents).collect();
    let mut joined = String::new();
    for anchor in anchors {
        joined.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64::engine::general_purpose::STANDARD.encode(anchor);
        for line in encoded.as_bytes().chunks(64) {
            joined.push_str(&String::from_utf8_lossy(line));
            joined.push('\n');
        }
        joined.push_str("-----END CERTIFICATE-----\n");
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_anchor_stands_once_and_as_pem_is_written() {
        let one = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem().replace("\r\n", "\n");
        let two = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap().cert.pem().replace("\r\n", "\n");
        let joined = join([format!("odd text\n{one}{two}").as_str(), one.as_str()].into_iter());
        assert_eq!(joined.matches("BEGIN").count(), 2);
        assert!(joined.contains(&one) && joined.contains(&two), "{joined}");
    }
}
