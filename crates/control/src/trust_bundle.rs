//! The trust bundle by which everyone can know the API server: one object named after what is in it, so that a new one never overwrites the old.

use std::sync::Arc;

use client::{Key, Options, Queue, reconcile::Next};
use k8s_openapi::{
    api::certificates::v1::{ClusterTrustBundle, ClusterTrustBundleSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use sha2::{Digest as _, Sha256};

use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};

const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";
/// So much of the hash is in the name, in bytes.
const HASH_LENGTH: usize = 12;

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let queue = Queue::new();
        let own = Options { fields: format!("spec.signerName={SIGNER}"), ..Options::default() };
        let bundles = wiring.caches.part::<ClusterTrustBundle>(own);
        let changed = queue.clone();
        bundles.on_change(move |_| changed.add(Key::cluster(SIGNER)));
        queue.add(Key::cluster(SIGNER));
        bundles.synced().await;
        let wanted = Arc::new(bundle(&wiring.settings.root_ca_pem));
        let api: Api<ClusterTrustBundle> = Api::all(wiring.client.clone());
        let reconcile = move |_: Key| {
            let (all, wanted, api) = (bundles.list(), Arc::clone(&wanted), api.clone());
            async move {
                if !all.iter().any(|bundle| bundle.name_any() == wanted.name_any()) {
                    match api.create(&PostParams::default(), &wanted).await {
                        Err(error) if !apply::is_there_already(&error) => {
                            return Err(ApplyError::write("a trust bundle")(error));
                        }
                        _ => {}
                    }
                }
                for old in all.iter().filter(|bundle| bundle.name_any() != wanted.name_any()) {
                    match api.delete(&old.name_any(), &DeleteParams::default()).await {
                        Err(error) if !apply::is_not_found(&error) => return Err(ApplyError::write("a trust bundle")(error)),
                        _ => {}
                    }
                }
                Ok(Next::OnChange)
            }
        };
        wiring.work(queue, 1, reconcile).await;
    })
}

fn bundle(pem: &str) -> ClusterTrustBundle {
    let hash = Sha256::digest(pem);
    let hash: String = hash.iter().take(HASH_LENGTH).map(|byte| format!("{byte:02x}")).collect();
    ClusterTrustBundle {
        metadata: ObjectMeta { name: Some(format!("{}:{hash}", SIGNER.replace('/', ":"))), ..ObjectMeta::default() },
        spec: ClusterTrustBundleSpec { signer_name: Some(SIGNER.to_owned()), trust_bundle: pem.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_named_after_its_signer_and_what_is_in_it() {
        let name = bundle("x").name_any();
        assert_eq!(name, "kubernetes.io:kube-apiserver-serving:2d711642b726b04401627ca9");
    }
}
