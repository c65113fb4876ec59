//! Certificate requests: what they ask for, which of them are approved without a person, and signing. Pure but for the
//! authority's key: [`crate::security_feed`] brings requests here as they are stored, and stores the answer.

use crate::authz::{Attributes, Indexes, ResourceTarget, Target};
use crate::pki::{Authority, PkiError, SIGNING_LIFETIME, Usage};
use api::document::{Value, meta};
use api::identity::{Identity, NODES};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// The group of certificate requests.
pub const GROUP: &str = "certificates.k8s.io";
/// Their plural.
pub const RESOURCE: &str = "certificatesigningrequests";
/// Signs certificates for users of the API.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Signs the certificates by which nodes call the API.
pub const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signs the certificates by which nodes answer the API.
pub const NODE_SERVING: &str = "kubernetes.io/kubelet-serving";

/// Shorter than this nobody can use a certificate.
const LIFETIME_MIN: Duration = Duration::from_secs(600);

/// A request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not a PEM block of a certificate request.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Encoding,
    /// Not a certificate request inside.
    #[error("the certificate request is malformed")]
    Malformed,
    /// Whoever made it does not hold the key.
    #[error("the certificate request's signature is wrong")]
    Signature,
}

/// What a certificate request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The request itself.
    pub pem: String,
    /// Common name.
    pub name: String,
    /// Organizations.
    pub organizations: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether there are e-mail addresses or URIs, which no signer here takes.
    pub foreign_names: bool,
    /// Usages, as the object names them.
    pub usages: Vec<String>,
}

impl Request {
    /// Reads `spec.request` and `spec.usages` of a CertificateSigningRequest.
    pub fn read(object: &Value) -> Result<Self, RequestError> {
        let encoded = object.str_at(&["spec", "request"]).ok_or(RequestError::Encoding)?;
        let pem = STANDARD.decode(encoded).map_err(|_| RequestError::Encoding)?;
        let pem = String::from_utf8(pem).map_err(|_| RequestError::Encoding)?;
        let mut request = Self::parse(&pem)?;
        let usages = object.array_at(&["spec", "usages"]).iter().filter_map(Value::as_str);
        request.usages = usages.map(str::to_owned).collect();
        request.usages.sort();
        Ok(request)
    }

    fn parse(pem: &str) -> Result<Self, RequestError> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| RequestError::Encoding)?;
        if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(RequestError::Encoding);
        }
        let parsed = X509CertificationRequest::from_der(&block.contents);
        let (_, csr) = parsed.map_err(|_| RequestError::Malformed)?;
        csr.verify_signature().map_err(|_| RequestError::Signature)?;
        let subject = &csr.certification_request_info.subject;
        let text = |a: &x509_parser::x509::AttributeTypeAndValue<'_>| a.as_str().ok().map(str::to_owned);
        let mut request = Self {
            pem: pem.to_owned(),
            name: subject.iter_common_name().find_map(text).unwrap_or_default(),
            organizations: subject.iter_organization().filter_map(text).collect(),
            ..Self::default()
        };
        for extension in csr.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| request.add_name(name));
            }
        }
        Ok(request)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(dns) => self.dns.push((*dns).to_owned()),
            GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(v4), _) => self.addresses.push(v4.into()),
                (_, Ok(v6)) => self.addresses.push(v6.into()),
                _ => self.foreign_names = true,
            },
            _ => self.foreign_names = true,
        }
    }

    fn used_for(&self, purpose: &str) -> bool {
        let with: [&str; 3] = match purpose {
            "client auth" => ["client auth", "digital signature", "key encipherment"],
            _ => ["digital signature", "key encipherment", "server auth"],
        };
        let without: Vec<&str> = with.into_iter().filter(|u| *u != "key encipherment").collect();
        self.usages == with || self.usages == without
    }

    fn named_as_node(&self) -> bool {
        self.organizations == [NODES] && self.name.starts_with("system:node:")
    }

    /// Fit for [`NODE_CLIENT`].
    fn is_node_client(&self) -> bool {
        let bare = self.dns.is_empty() && self.addresses.is_empty() && !self.foreign_names;
        self.named_as_node() && bare && self.used_for("client auth")
    }

    /// Fit for [`NODE_SERVING`].
    fn is_node_serving(&self) -> bool {
        let named = (!self.dns.is_empty() || !self.addresses.is_empty()) && !self.foreign_names;
        self.named_as_node() && named && self.used_for("server auth")
    }
}

/// Whether a condition of this type is true.
pub fn condition(object: &Value, kind: &str) -> bool {
    object
        .array_at(&["status", "conditions"])
        .iter()
        .any(|c| c.str_at(&["type"]) == Some(kind) && c.str_at(&["status"]) != Some("False"))
}

/// What is to be done with a stored request.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: a person decides, or all is done.
    Wait,
    /// Approve it, with this message.
    Approve(&'static str),
    /// Sign it.
    Sign,
    /// It can never be signed; why.
    Fail(String),
}

/// Decides. `nodes` are the stored nodes: none of another name may already answer on an address that is asked for.
pub fn decide(object: &Value, indexes: &Indexes, nodes: &[Value]) -> Action {
    let signer = object.str_at(&["spec", "signerName"]).unwrap_or_default();
    let ours = [CLIENT, NODE_CLIENT, NODE_SERVING].contains(&signer);
    let done = object.str_at(&["status", "certificate"]).is_some_and(|c| !c.is_empty());
    if !ours || done || condition(object, "Denied") || condition(object, "Failed") {
        return Action::Wait;
    }
    let request = match Request::read(object) {
        Ok(request) => request,
        Err(error) => return Action::Fail(error.to_string()),
    };
    if condition(object, "Approved") {
        return match unfit(&request, signer) {
            None => Action::Sign,
            Some(why) => Action::Fail(why.to_owned()),
        };
    }
    approval(object, &request, signer, indexes, nodes).map_or(Action::Wait, Action::Approve)
}

fn unfit(request: &Request, signer: &str) -> Option<&'static str> {
    match signer {
        NODE_CLIENT if !request.is_node_client() => Some("the request is not one for a node's client certificate"),
        NODE_SERVING if !request.is_node_serving() => Some("the request is not one for a node's serving certificate"),
        CLIENT if !request.usages.iter().any(|u| u == "client auth") => Some("the request is not for client auth"),
        _ => None,
    }
}

fn approval(object: &Value, request: &Request, signer: &str, indexes: &Indexes, nodes: &[Value]) -> Option<&'static str> {
    let requester = requester(object);
    let may = |subresource: &str| {
        let target = ResourceTarget { group: GROUP, version: "*", resource: RESOURCE, subresource, ..<_>::default() };
        let attributes = Attributes { identity: &requester, verb: "create", target: Target::Resource(target) };
        indexes.authorize(&attributes).allowed()
    };
    let own = requester.name == request.name;
    match signer {
        NODE_CLIENT if request.is_node_client() => {
            if own && may("selfnodeclient") {
                return Some("Auto approving self kubelet client certificate after SubjectAccessReview.");
            }
            may("nodeclient").then_some("Auto approving kubelet client certificate after SubjectAccessReview.")
        }
        // A node's name is what the server verifies; its addresses must at least not be another node's.
        NODE_SERVING if request.is_node_serving() && own && requester.node_name().is_some() => {
            let node = requester.node_name().unwrap_or_default();
            let named = request.dns.iter().all(|d| d == node || d == "localhost");
            let free = request.addresses.iter().all(|a| a.is_loopback() || !taken(*a, node, nodes));
            (named && free).then_some("Auto approving self kubelet serving certificate.")
        }
        _ => None,
    }
}

fn requester(object: &Value) -> Identity {
    let groups = object.array_at(&["spec", "groups"]).iter().filter_map(Value::as_str);
    Identity::new(object.str_at(&["spec", "username"]).unwrap_or_default(), groups)
}

fn taken(address: IpAddr, node: &str, nodes: &[Value]) -> bool {
    nodes.iter().filter(|n| meta::name(n) != node).any(|n| {
        let addresses = n.array_at(&["status", "addresses"]).iter().filter_map(|a| a.str_at(&["address"]));
        addresses.filter_map(|a| a.parse::<IpAddr>().ok()).any(|a| a == address)
    })
}

/// Signs an approved request.
pub fn sign(object: &Value, authority: &Authority, now: SystemTime) -> Result<String, PkiError> {
    let refused = |e: RequestError| PkiError::RefusedRequest { reason: e.to_string() };
    let request = Request::read(object).map_err(refused)?;
    let usage = match object.str_at(&["spec", "signerName"]) {
        Some(NODE_SERVING) => Usage::Server,
        _ => Usage::Client,
    };
    let asked = object.i64_at(&["spec", "expirationSeconds"]).and_then(|s| u64::try_from(s).ok());
    let lifetime = asked.map_or(SIGNING_LIFETIME, Duration::from_secs).clamp(LIFETIME_MIN, SIGNING_LIFETIME);
    authority.sign_request(&request.pem, usage, lifetime, now)
}

/// The object after an action that changes it; none when there is nothing to do.
pub fn answered(object: &Value, action: &Action, authority: &Authority, now: SystemTime) -> Option<Value> {
    let mut answered = object.clone();
    match action {
        Action::Wait => return None,
        Action::Approve(message) => add_condition(&mut answered, "Approved", "AutoApproved", message, now),
        Action::Fail(why) => add_condition(&mut answered, "Failed", "SignerValidationFailure", why, now),
        Action::Sign => match sign(object, authority, now) {
            Ok(pem) => answered.set_at(&["status", "certificate"], STANDARD.encode(pem)),
            Err(error) => add_condition(&mut answered, "Failed", "SigningError", &error.to_string(), now),
        },
    }
    Some(answered)
}

fn add_condition(object: &mut Value, kind: &str, reason: &str, message: &str, now: SystemTime) {
    let time = jiff::Timestamp::try_from(now).map(meta::format_time).unwrap_or_default();
    let mut conditions = object.array_at(&["status", "conditions"]).to_vec();
    conditions.push(Value::from(serde_json::json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastUpdateTime": time, "lastTransitionTime": time,
    })));
    object.set_at(&["status", "conditions"], conditions);
}

#[cfg(test)]
mod tests;
