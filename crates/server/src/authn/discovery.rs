//! The issuer's discovery documents, by which others verify service-account tokens.

use super::service_account::ISSUER;
use crate::pki::ServiceAccountKeys;

/// Where the discovery document is served.
pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";
/// Where the public keys are served.
pub const KEYS_PATH: &str = "/openid/v1/jwks";
/// The content type of the keys.
pub const KEYS_TYPE: &str = "application/jwk-set+json";

/// The document at [`CONFIGURATION_PATH`].
pub fn configuration(server_url: &str) -> serde_json::Value {
    serde_json::json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{}{KEYS_PATH}", server_url.trim_end_matches('/')),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// The document at [`KEYS_PATH`].
pub fn keys(keys: &ServiceAccountKeys) -> serde_json::Value {
    keys.jwks()
}
