//! Who asks: `AUTHENTICATORS` in order, the first that recognises a credential names the identity. A credential that is shown but
//! not recognised is refused; none at all is `system:anonymous`. Never decides what someone may do, except whether they may speak for another.

mod bootstrap_token;
mod certificate;
pub mod discovery;
mod impersonation;
pub mod service_account;

use crate::State;
use crate::security::{Objects, Security};
use api::identity::{AUTHENTICATED, Identity};
use api::status::Status;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::request::Parts;

/// What an authenticator says of a request.
pub(crate) enum Verdict {
    /// It shows no credential of this sort.
    NotMine,
    /// It is this one.
    Known(Identity),
    /// It shows a credential that is not good; why is for the log alone.
    Refused(String),
}

/// One way of proving who one is.
struct Authenticator {
    /// Its name, for logs.
    name: &'static str,
    recognise: fn(&Parts, &Security, &dyn Objects) -> Verdict,
}

/// Every authenticator, in the order of asking.
const AUTHENTICATORS: &[Authenticator] = &[
    Authenticator { name: "certificate", recognise: certificate::recognise },
    Authenticator { name: "service account token", recognise: service_account::recognise },
    Authenticator { name: "bootstrap token", recognise: bootstrap_token::recognise },
];

/// Who asks. An identity that a trusted caller in this process put beside the request is taken as it is.
pub fn authenticate(parts: &Parts, state: &State) -> Result<Identity, Status> {
    authenticate_with(parts, &state.security, state)
}

pub(crate) fn authenticate_with(parts: &Parts, security: &Security, objects: &dyn Objects) -> Result<Identity, Status> {
    let identity = match parts.extensions.get::<Identity>() {
        Some(identity) => identity.clone(),
        None => recognise(parts, security, objects)?,
    };
    impersonation::apply(parts, identity, security)
}

fn recognise(parts: &Parts, security: &Security, objects: &dyn Objects) -> Result<Identity, Status> {
    let mut refused = false;
    for authenticator in AUTHENTICATORS {
        match (authenticator.recognise)(parts, security, objects) {
            Verdict::NotMine => {}
            Verdict::Known(identity) => return Ok(with_authenticated(identity)),
            Verdict::Refused(why) => {
                tracing::debug!(authenticator = authenticator.name, %why, "credential refused");
                refused = true;
            }
        }
    }
    // A token that nobody recognises is a wrong token, not an absent one.
    if refused || bearer(parts).is_some() {
        return Err(Status::unauthorized());
    }
    Ok(Identity::anonymous())
}

fn with_authenticated(mut identity: Identity) -> Identity {
    if !identity.is_in(AUTHENTICATED) {
        identity.groups.push(AUTHENTICATED.to_owned());
    }
    identity
}

/// The bearer token of a request: its header, or the WebSocket subprotocol that browsers use since they cannot set headers.
pub(crate) fn bearer(parts: &Parts) -> Option<std::borrow::Cow<'_, str>> {
    if let Some(value) = parts.headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        let token = token.trim();
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.into());
    }
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let protocols = parts.headers.get_all("sec-websocket-protocol");
    let encoded = protocols
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .find_map(|p| p.trim().strip_prefix(PREFIX))?;
    let token = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    String::from_utf8(token).ok().map(Into::into)
}

#[cfg(test)]
mod tests;
