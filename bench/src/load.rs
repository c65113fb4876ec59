//! Requests over many HTTPS connections at once, each waiting for its answer before the next: how many a second. Knows no cluster.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How many connections.
pub const CONNECTIONS: usize = 64;

/// Where requests go, and as whom.
#[derive(Clone)]
pub struct Target {
    tls: TlsConnector,
    host: String,
    port: u16,
}

impl Target {
    /// The server and the client certificate of a kubeconfig.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn of(kubeconfig: &Path) -> anyhow::Result<Self> {
        let config =
            kube::Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &KubeConfigOptions::default()).await?;
        let host = config.cluster_url.host().context("no host")?.to_owned();
        let port = config.cluster_url.port_u16().unwrap_or(443);
        let mut tls = kube::client::ConfigExt::rustls_client_config(&config)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), host, port })
    }

    /// One connection.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn connect(&self) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        let stream = self.tls.connect(name, stream).await.context("no TLS")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Answers a second.
    pub per_second: f64,
    /// How many in all.
    pub count: u64,
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Passed(Duration),
    /// After this many answers.
    Count(u64),
}

/// Sends requests over all connections at once; `request` makes the one of a running number.
///
/// # Errors
/// When an answer is no success.
pub async fn run(target: &Target, until: Until, request: fn(u64) -> Request<Full<Bytes>>) -> anyhow::Result<Rate> {
    let number = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(target.connect().await?);
    }
    let begun = Instant::now();
    let goes_on = move |number: u64| match until {
        Until::Passed(lasting) => begun.elapsed() < lasting,
        Until::Count(count) => number < count,
    };
    for mut connection in connections {
        let number = Arc::clone(&number);
        let host = target.host.clone();
        tasks.spawn(async move {
            let mut done = 0_u64;
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                if !goes_on(number) {
                    break;
                }
                let mut request = request(number);
                request.headers_mut().insert(header::HOST, host.parse()?);
                let answer = connection.send_request(request).await?;
                let status = answer.status();
                let body = answer.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with a few digits")]
    let per_second = count as f64 / begun.elapsed().as_secs_f64();
    Ok(Rate { per_second, count })
}

/// Sends one request, and reads its answer to the end: how long, and how many bytes.
///
/// # Errors
/// When the answer is no success.
pub async fn once(target: &Target, request: Request<Full<Bytes>>) -> anyhow::Result<(Duration, usize)> {
    let mut connection = target.connect().await?;
    let mut request = request;
    request.headers_mut().insert(header::HOST, target.host.parse()?);
    let begun = Instant::now();
    let answer = connection.send_request(request).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let mut body = answer.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok((begun.elapsed(), bytes))
}
