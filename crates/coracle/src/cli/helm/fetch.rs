//! One GET over HTTP or HTTPS, with the rights and limits of a command line. It knows neither charts nor repositories.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, Response, StatusCode, Url};

use super::Fault;
use super::chart_files::go_error;
use super::flags::{Matches, duration};

/// The largest index of a repository that is read; the largest public one has a third of it.
pub(super) const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest archive or file of values that is read.
pub(super) const FILE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// As many as Go follows.
const REDIRECTS_MAX: usize = 10;
/// As long as Helm waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a server is spoken to.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) ca_file: String,
    pub(super) insecure: bool,
    pub(super) plain_http: bool,
    /// Whether the password goes to every server, not to the owner's alone.
    pub(super) pass_credentials: bool,
    /// The address whose server the password is for.
    pub(super) owner: String,
    /// How long to wait, where it is not as usual.
    pub(super) timeout: Option<Duration>,
}

impl Access {
    /// As the flags of a command line say.
    pub(super) fn of(matches: &Matches) -> Self {
        let text = |flag: &str| matches.text(flag).to_owned();
        Self {
            username: text("username"),
            password: text("password"),
            cert_file: text("cert-file"),
            key_file: text("key-file"),
            ca_file: text("ca-file"),
            insecure: matches.flag("insecure-skip-tls-verify"),
            plain_http: matches.flag("plain-http"),
            pass_credentials: matches.flag("pass-credentials"),
            owner: String::new(),
            timeout: None,
        }
    }
}

/// How long a command line is ready to wait.
pub(super) fn patience(matches: &Matches) -> Option<Duration> {
    let nanos = duration(matches.text("timeout")).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// What an address answers with, no more than `limit` of it.
pub(super) fn get(address: &str, access: &Access, accept: &str, limit: usize) -> Result<Vec<u8>, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(address, access, accept, limit))
}

async fn follow(address: &str, access: &Access, accept: &str, limit: usize) -> Result<Vec<u8>, Fault> {
    let start = Url::parse(address).map_err(|error| Fault::new(format!("parse {address:?}: {error}")))?;
    let client = client(access, &start)?;
    let owner = Url::parse(&access.owner).ok();
    let known = !access.username.is_empty() && !access.password.is_empty();
    let trusted = known && (access.pass_credentials || owner.is_some_and(|owner| same_server(&owner, &start)));
    let mut at = start.clone();
    let mut told = address.to_owned();
    for _ in 0..REDIRECTS_MAX {
        let mut request = client.get(at.clone());
        if !accept.is_empty() {
            request = request.header(ACCEPT, accept);
        }
        if trusted && (access.pass_credentials || same_server(&at, &start)) {
            request = request.basic_auth(&access.username, Some(&access.password));
        }
        let response = request.send().await.map_err(|error| Fault::new(format!("Get {told:?}: {}", why(&error, &at))))?;
        let Some(next) = onward(&response) else { return body(address, response, limit).await };
        told.clone_from(&next);
        at = at.join(&next).map_err(|error| Fault::new(format!("Get {told:?}: failed to parse Location header: {error}")))?;
        if !matches!(at.scheme(), "http" | "https") {
            return Err(Fault::new(format!("Get {told:?}: unsupported protocol scheme {:?}", at.scheme())));
        }
    }
    Err(Fault::new(format!("Get {told:?}: stopped after {REDIRECTS_MAX} redirects")))
}

/// The same scheme, name and port.
pub(super) fn same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

fn onward(response: &Response) -> Option<String> {
    let moved = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let place = response.headers().get(LOCATION).filter(|_| moved.contains(&response.status()))?;
    place.to_str().ok().map(str::to_owned)
}

async fn body(address: &str, mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(Fault::new(format!("failed to fetch {address} : {status}")));
    }
    let too_large = || Fault::new(format!("failed to fetch {address} : it is larger than {limit} bytes"));
    if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Fault::new("unexpected EOF"))? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Refuses files of keys and certificates that are none.
pub(super) fn check(access: &Access) -> Result<(), Fault> {
    if access.ca_file.is_empty() && (access.cert_file.is_empty() || access.key_file.is_empty()) {
        return Ok(());
    }
    let any = Url::parse("https://localhost").map_err(|error| Fault::new(error.to_string()))?;
    client(access, &any).map(|_| ())
}

fn client(access: &Access, start: &Url) -> Result<reqwest::Client, Fault> {
    let failed = |why: String| Fault::new(format!("can't create TLS config for client: {why}"));
    let unread = |what: &str, path: &str, error: &std::io::Error| {
        failed(format!("{what}: {path:?}: {}", go_error("open", Path::new(path), error)))
    };
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .timeout(access.timeout.unwrap_or(PATIENCE))
        .user_agent(concat!("Helm/4 coracle/", env!("CARGO_PKG_VERSION")));
    let name = start.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        builder = builder.no_proxy();
    }
    if access.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if !access.cert_file.is_empty() && !access.key_file.is_empty() {
        let mut pem =
            std::fs::read(&access.cert_file).map_err(|error| unread("unable to read cert file", &access.cert_file, &error))?;
        let key = std::fs::read(&access.key_file).map_err(|error| unread("unable to read key file", &access.key_file, &error))?;
        pem.push(b'\n');
        pem.extend(key);
        let identity = Identity::from_pem(&pem).map_err(|error| failed(format!("unable to load cert from key pair: {error}")))?;
        builder = builder.identity(identity);
    }
    if !access.ca_file.is_empty() {
        let pem = std::fs::read(&access.ca_file).map_err(|error| unread("can't read CA file", &access.ca_file, &error))?;
        let roots = Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty());
        let roots = roots.ok_or_else(|| failed("failed to append certificates from pem block".to_owned()))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|error| failed(error.to_string()))
}

/// Why a request found no answer, as Go tells it.
fn why(error: &reqwest::Error, at: &Url) -> String {
    if error.is_timeout() {
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        if let Some(io) = source.downcast_ref::<std::io::Error>()
            && let Some(text) = refused(io, at)
        {
            return text;
        }
        deepest = source;
    }
    let text = deepest.to_string();
    if text.contains("UnknownIssuer") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    }
    if text.contains("connection closed before message completed") {
        return "EOF".to_owned();
    }
    text
}

fn refused(error: &std::io::Error, at: &Url) -> Option<String> {
    let host = at.host_str().unwrap_or_default();
    let port = at.port_or_known_default().unwrap_or_default();
    let what = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused",
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable",
        std::io::ErrorKind::HostUnreachable => "no route to host",
        std::io::ErrorKind::TimedOut => "connection timed out",
        _ => return None,
    };
    Some(format!("dial tcp {host}:{port}: connect: {what}"))
}
