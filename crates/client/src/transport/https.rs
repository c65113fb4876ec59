//! A server across the network: HTTP/2 for everything but upgrades, which need HTTP/1.1; credentials that change while it runs.
//!
//! One connection carries all watches of a process. New credentials take effect with the next request; streams that run
//! keep the connection that they have.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::Body;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tower::{BoxError, Service};

/// How often a connection with open streams is asked whether its other end is alive, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How long a connection without streams is kept.
const IDLE: Duration = Duration::from_secs(90);

/// Where the server is, and who we are.
#[derive(Clone)]
pub struct Config {
    /// Scheme, host and port, such as `https://127.0.0.1:6443`.
    pub url: Uri,
    /// The certificates of authorities that we trust, as PEM.
    pub authorities_pem: Vec<u8>,
    /// How we prove who we are.
    pub credentials: Credentials,
}

/// How we prove who we are.
#[derive(Clone)]
pub enum Credentials {
    /// Not at all.
    None,
    /// By a bearer token.
    Token(String),
    /// By a client certificate.
    Certificate {
        /// The chain, as PEM.
        chain_pem: Vec<u8>,
        /// The key, as PEM.
        key_pem: Vec<u8>,
    },
}

/// The connection cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The authorities are not PEM.
    #[error("cannot read the certificates of the authorities")]
    ReadAuthorities(#[source] rustls::pki_types::pem::Error),
    /// The chain is not PEM.
    #[error("cannot read the client certificate")]
    ReadCertificate(#[source] rustls::pki_types::pem::Error),
    /// The key is not PEM.
    #[error("cannot read the client key")]
    ReadKey(#[source] rustls::pki_types::pem::Error),
    /// TLS refuses what it was given.
    #[error("cannot prepare TLS")]
    PrepareTls(#[source] rustls::Error),
    /// A token has letters that no header may carry.
    #[error("the token cannot be sent in a header")]
    WriteToken(#[source] header::InvalidHeaderValue),
    /// The address of the server lacks its scheme or its host.
    #[error("{url} is no address of a server")]
    ReadAddress {
        /// What was given.
        url: Uri,
    },
}

/// The credentials of a running client; renew them here.
#[derive(Clone)]
pub struct Https {
    config: Arc<Config>,
    current: Arc<ArcSwap<Current>>,
}

struct Current {
    multiplexed: Client<HttpsConnector<HttpConnector>, Body>,
    upgradable: Client<HttpsConnector<HttpConnector>, Body>,
    authorization: Option<HeaderValue>,
}

/// A client of the server at `config.url`. Must be called within a tokio runtime.
///
/// # Errors
/// When certificates, key or token are malformed.
pub fn https(config: Config) -> Result<(kube::Client, Https), HttpsError> {
    if config.url.scheme().is_none() || config.url.authority().is_none() {
        return Err(HttpsError::ReadAddress { url: config.url });
    }
    let current = Arc::new(ArcSwap::from_pointee(Current::new(&config, &config.credentials)?));
    let https = Https { config: Arc::new(config), current };
    Ok((kube::Client::new(https.clone(), "default"), https))
}

impl Https {
    /// Uses other credentials from the next request on.
    ///
    /// # Errors
    /// When they are malformed; the former ones then stay in use.
    pub fn renew(&self, credentials: &Credentials) -> Result<(), HttpsError> {
        self.current.store(Arc::new(Current::new(&self.config, credentials)?));
        Ok(())
    }

    fn address(&self, uri: &Uri) -> Result<Uri, http::uri::InvalidUriParts> {
        let mut parts = self.config.url.clone().into_parts();
        let base = self.config.url.path().trim_end_matches('/');
        let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        parts.path_and_query =
            if base.is_empty() { uri.path_and_query().cloned() } else { format!("{base}{asked}").parse().ok() };
        Uri::from_parts(parts)
    }
}

impl Current {
    fn new(config: &Config, credentials: &Credentials) -> Result<Self, HttpsError> {
        let tls = tls(&config.authorities_pem, credentials)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(10)));
        let connector = |tls: ClientConfig| hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        builder.http2_keep_alive_interval(KEEP_ALIVE.0).http2_keep_alive_timeout(KEEP_ALIVE.1);
        let authorization = match credentials {
            Credentials::Token(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(HttpsError::WriteToken)?;
                value.set_sensitive(true);
                Some(value)
            }
            Credentials::None | Credentials::Certificate { .. } => None,
        };
        Ok(Self {
            multiplexed: builder.build(connector(tls.clone()).enable_all_versions().wrap_connector(tcp.clone())),
            upgradable: builder.build(connector(tls).enable_http1().wrap_connector(tcp)),
            authorization,
        })
    }
}

fn tls(authorities: &[u8], credentials: &Credentials) -> Result<ClientConfig, HttpsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.map_err(HttpsError::ReadAuthorities)?).map_err(HttpsError::PrepareTls)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpsError::PrepareTls)?
        .with_root_certificates(roots);
    let Credentials::Certificate { chain_pem, key_pem } = credentials else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem).collect();
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(HttpsError::ReadKey)?;
    builder.with_client_auth_cert(chain.map_err(HttpsError::ReadCertificate)?, key).map_err(HttpsError::PrepareTls)
}

impl Service<Request<Body>> for Https {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let current = self.current.load();
        let address = self.address(request.uri());
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
        if let Some(authorization) = &current.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let upgrades = headers.contains_key(header::UPGRADE);
        match address {
            Ok(address) => *request.uri_mut() = address,
            Err(error) => return Box::pin(async { Err(error.into()) }),
        }
        let sent = if upgrades { current.upgradable.request(request) } else { current.multiplexed.request(request) };
        Box::pin(async { Ok(sent.await?) })
    }
}
