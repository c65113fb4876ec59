//! `serviceaccounts/token`: a TokenRequest becomes a signed token. Nothing is stored; the token is in the answer alone.

use crate::admission::{self, Operation, Review};
use crate::authn::service_account::{Claims, ISSUER, KubernetesClaims, Reference, seconds};
use crate::body::{Body, whole};
use crate::request::Call;
use crate::security::{Objects, Security};
use api::document::{Value, meta};
use api::status::{FieldError, Status};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const LIFETIME_DEFAULT: i64 = 3600;
const LIFETIME_MIN: i64 = 600;
const LIFETIME_MAX: i64 = 1 << 32;
/// No token lives longer, whatever is asked for.
const LIFETIME_GRANTED_MAX: i64 = 365 * 86_400;
/// What the mounted tokens of pods ask for: they get a year, and a mark after which their use is late.
const MOUNTED: i64 = 3607;

/// Answers a `POST` of a TokenRequest.
pub(crate) async fn serve(call: Call, body: Bytes) -> Result<Response<Body>, Status> {
    let mut request = match body.is_empty() {
        true => Value::object(),
        false => crate::verb::input::parse(&call, &body)?.document,
    };
    let (namespace, name) = (call.path.namespace.as_str(), call.path.name.as_str());
    prepare(&mut request, namespace, name, &*call.state)?;
    let mut review = Review {
        identity: &call.identity,
        operation: Operation::Create,
        group: "",
        version: "v1",
        kind: KIND,
        resource: "serviceaccounts",
        subresource: "token",
        namespace,
        name,
        object: &mut request,
        old: None,
        options: &Value::Null,
        dry_run: false,
        warnings: Vec::new(),
    };
    admission::mutate(&mut review, &call.state).await?;
    admission::validate(&mut review, &call.state).await?;
    let answer = issue(&request, namespace, name, &*call.state, &call.state.security)?;
    let mut response = Response::new(whole(answer.to_json()));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

/// Fills in and checks a request before admission sees it.
pub fn prepare(request: &mut Value, namespace: &str, name: &str, objects: &dyn Objects) -> Result<(), Status> {
    let account = account(namespace, name, objects)?;
    for (field, own, what) in [("name", name, "name"), ("namespace", namespace, "namespace")] {
        let given = request.str_at(&["metadata", field]).unwrap_or_default();
        if !given.is_empty() && given != own {
            let detail = format!("must match the service account {what} if specified");
            let error = FieldError::invalid(format!("metadata.{field}"), given, detail);
            return Err(Status::invalid(GROUP, KIND, name, &[error]));
        }
        request.set_at(&["metadata", field], own);
    }
    let uid = meta::uid(&account);
    let given = meta::uid(request);
    if !given.is_empty() && given != uid {
        let why = format!("the UID in the token request ({given}) does not match the UID of the service account ({uid})");
        return Err(Status::conflict(GROUP, KIND, name, &why));
    }
    request.set_at(&["metadata", "uid"], uid);
    if request.array_at(&["spec", "audiences"]).is_empty() {
        request.set_at(&["spec", "audiences"], vec![Value::from(ISSUER)]);
    }
    request.default_at(&["spec", "expirationSeconds"], LIFETIME_DEFAULT);
    request.remove_at(&["status"]);
    let asked = request.i64_at(&["spec", "expirationSeconds"]).unwrap_or(LIFETIME_DEFAULT);
    let detail = match asked {
        ..LIFETIME_MIN => "may not specify a duration less than 10 minutes",
        LIFETIME_MIN..=LIFETIME_MAX => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let error = FieldError::invalid("spec.expirationSeconds", asked, detail);
    Err(Status::invalid(GROUP, KIND, "", &[error]))
}

/// Signs a prepared and admitted request. The answer is the request with its status.
pub fn issue(request: &Value, namespace: &str, name: &str, objects: &dyn Objects, security: &Security) -> Result<Value, Status> {
    let account = account(namespace, name, objects)?;
    let mut bound = KubernetesClaims {
        namespace: namespace.to_owned(),
        service_account: Reference { name: name.to_owned(), uid: meta::uid(&account).to_owned() },
        ..KubernetesClaims::default()
    };
    bind(request, namespace, name, objects, &mut bound)?;
    let audiences: Vec<String> =
        request.array_at(&["spec", "audiences"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let now = security.now();
    let asked = request.i64_at(&["spec", "expirationSeconds"]).unwrap_or(LIFETIME_DEFAULT);
    let asked = asked.min(LIFETIME_GRANTED_MAX);
    let mut lifetime = asked;
    if asked == MOUNTED && bound.pod.is_some() && audiences.iter().any(|a| a == ISSUER) {
        bound.warn_after = Some(seconds(now) + asked);
        lifetime = LIFETIME_GRANTED_MAX;
    }
    let claims = Claims {
        audiences,
        expires: seconds(now) + lifetime,
        issued_at: seconds(now),
        issuer: ISSUER.to_owned(),
        id: Some(uuid::Uuid::new_v4().to_string()),
        kubernetes: bound,
        not_before: Some(seconds(now)),
        subject: format!("system:serviceaccount:{namespace}:{name}"),
    };
    let token = security.tokens.sign(&claims).map_err(Status::internal)?;
    let time = |seconds: i64| jiff::Timestamp::from_second(seconds).map(meta::format_time).unwrap_or_default();
    let mut answer = request.clone();
    answer.set_at(&["apiVersion"], format!("{GROUP}/v1"));
    answer.set_at(&["kind"], KIND);
    answer.set_at(&["metadata", "creationTimestamp"], time(claims.issued_at));
    answer.set_at(&["status", "token"], token);
    // The end that its holder should go by, also when the token is good for longer.
    answer.set_at(&["status", "expirationTimestamp"], time(claims.issued_at + asked));
    Ok(answer)
}

fn account(namespace: &str, name: &str, objects: &dyn Objects) -> Result<Value, Status> {
    let found = objects.object("", "serviceaccounts", namespace, name);
    found.ok_or_else(|| Status::not_found("", "serviceaccounts", name))
}

fn bind(
    request: &Value,
    namespace: &str,
    account: &str,
    objects: &dyn Objects,
    bound: &mut KubernetesClaims,
) -> Result<(), Status> {
    let Some(reference) = request.get(&["spec", "boundObjectRef"]).filter(|r| !r.is_null()) else { return Ok(()) };
    let text = |field| reference.str_at(&[field]).unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let (resource, scope) = match (text("apiVersion"), kind) {
        ("v1", "Pod") => ("pods", namespace),
        ("v1", "Secret") => ("secrets", namespace),
        ("v1", "Node") => ("nodes", ""),
        (version, _) => {
            let what = format!("cannot bind token to object of type /{version}, Kind={kind}");
            return Err(Status::bad_request(what));
        }
    };
    let object = objects.object("", resource, scope, name).ok_or_else(|| Status::not_found("", resource, name))?;
    let uid = meta::uid(&object);
    let given = text("uid");
    if !given.is_empty() && given != uid {
        let why = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", resource, name, &why));
    }
    let reference = Some(Reference { name: name.to_owned(), uid: uid.to_owned() });
    match kind {
        "Pod" => {
            if object.str_at(&["spec", "serviceAccountName"]) != Some(account) {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            bound.pod = reference;
            if let Some(node) = object.str_at(&["spec", "nodeName"]).filter(|n| !n.is_empty()) {
                let stored = objects.object("", "nodes", "", node);
                let uid = stored.as_ref().map(|n| meta::uid(n).to_owned()).unwrap_or_default();
                bound.node = Some(Reference { name: node.to_owned(), uid });
            }
        }
        "Secret" => bound.secret = reference,
        _ => bound.node = reference,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, json};

    fn cluster() -> Cluster {
        let mut cluster = Cluster::new();
        cluster.objects.put("", "serviceaccounts", json(r#"{"metadata":{"namespace":"ns","name":"sa","uid":"u1"}}"#));
        let pod = r#"{"metadata":{"namespace":"ns","name":"p","uid":"u2"},"spec":{"serviceAccountName":"sa","nodeName":"n"}}"#;
        cluster.objects.put("", "pods", json(pod));
        cluster.objects.put("", "nodes", json(r#"{"metadata":{"name":"n","uid":"u3"}}"#));
        cluster
    }

    fn request(cluster: &Cluster, text: &str) -> Result<Value, Status> {
        let mut request = json(text);
        prepare(&mut request, "ns", "sa", &cluster.objects)?;
        issue(&request, "ns", "sa", &cluster.objects, &cluster.security)
    }

    #[test]
    fn a_token_for_a_pod_is_accepted_as_its_account() {
        let cluster = cluster();
        let text =
            r#"{"spec":{"expirationSeconds":3607,"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u2"}}}"#;
        let answer = request(&cluster, text).unwrap();
        let token = answer.str_at(&["status", "token"]).unwrap();
        let now = cluster.security.now();
        let (identity, audiences) = cluster.security.tokens.review(token, &[ISSUER], &cluster.objects, now).unwrap();
        assert_eq!(identity.name, "system:serviceaccount:ns:sa");
        assert_eq!(identity.extra["authentication.kubernetes.io/node-uid"], ["u3"]);
        assert_eq!(audiences, [ISSUER]);
        let later = now + std::time::Duration::from_secs(86_400);
        assert!(cluster.security.tokens.review(token, &[ISSUER], &cluster.objects, later).is_ok());
        let answered = meta::parse_time(answer.str_at(&["status", "expirationTimestamp"]).unwrap()).unwrap();
        assert!(answered.as_second() <= seconds(now) + 3608);
    }

    #[test]
    fn a_token_for_another_audience_is_not_for_the_api() {
        let cluster = cluster();
        let answer = request(&cluster, r#"{"spec":{"audiences":["vault"],"expirationSeconds":600}}"#).unwrap();
        let token = answer.str_at(&["status", "token"]).unwrap();
        let review = |audience| cluster.security.tokens.review(token, &[audience], &cluster.objects, cluster.security.now());
        assert!(review(ISSUER).is_err());
        assert!(review("vault").is_ok());
    }

    #[test]
    fn requests_that_make_no_sense_are_refused() {
        let cluster = cluster();
        let table = [
            (r#"{"spec":{"expirationSeconds":5}}"#, 422),
            (r#"{"metadata":{"name":"other"},"spec":{}}"#, 422),
            (r#"{"metadata":{"uid":"other"},"spec":{}}"#, 409),
            (r#"{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"gone"}}}"#, 404),
            (r#"{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"p","uid":"x"}}}"#, 409),
            (r#"{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"ConfigMap","name":"c"}}}"#, 400),
        ];
        for (text, code) in table {
            assert_eq!(request(&cluster, text).unwrap_err().code, code, "{text}");
        }
        let mut other = json("{}");
        assert_eq!(prepare(&mut other, "ns", "gone", &cluster.objects).unwrap_err().code, 404);
    }
}
