//! Client certificates: the common name is the user, the organizations are the groups. The listener judged the chain once; the end of
//! its life is looked at with each request, since connections outlive certificates.

use super::Verdict;
use crate::listen::PeerCertificate;
use crate::security::{Objects, Security};
use api::identity::Identity;
use http::request::Parts;

/// The key of `extra` that names the credential, as upstream.
pub(super) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

pub(super) fn recognise(parts: &Parts, security: &Security, _: &dyn Objects) -> Verdict {
    let Some(PeerCertificate(peer)) = parts.extensions.get::<PeerCertificate>() else { return Verdict::NotMine };
    if let Some(problem) = &peer.problem {
        return Verdict::Refused(problem.clone());
    }
    if security.now() >= peer.not_after {
        return Verdict::Refused("x509: certificate has expired or is not yet valid".into());
    }
    if peer.name.is_empty() {
        return Verdict::Refused("x509: certificate without a common name".into());
    }
    let mut identity = Identity::new(peer.name.clone(), peer.organizations.iter().cloned());
    identity.extra.insert(CREDENTIAL_ID.into(), vec![peer.credential_id.clone()]);
    Verdict::Known(identity)
}
