//! `coracle token create`: what another machine shows once to join.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{core::v1::Secret, discovery::v1::EndpointSlice};
use kube::{Api, api::PostParams};
use serde::Serialize;
use server::pki::{BootstrapToken, TOKEN_NAMESPACE};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::FromDer as _;

use crate::{
    cluster::{self, Target},
    config,
    output::Form,
};

/// Tokens by which nodes join.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Make a token, and print the command that joins another machine with it
    Create(Create),
}

/// How long, and where.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
    /// How long the token is good
    #[arg(long, default_value = "24h", value_parser = duration)]
    ttl: jiff::SignedDuration,
}

/// A duration as people write it.
///
/// # Errors
/// When it is none.
pub fn duration(text: &str) -> Result<jiff::SignedDuration, String> {
    text.parse().map_err(|_| format!("{text:?} is no duration such as 24h or 30m"))
}

/// A token, and all that a machine needs beside it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    token: String,
    ca_hash: String,
    expires: String,
    command: String,
}

/// Does what was asked.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    let Verb::Create(arguments) = verb;
    cluster::block_on(async {
        let path = arguments.target.kubeconfig()?;
        let client = cluster::client(&path).await?;
        let expires = jiff::Timestamp::now().checked_add(arguments.ttl).context("the token would outlive time itself")?;
        let token = create(&client, expires).await?;
        let server = format!("https://{}", advertised(&client).await?);
        let (_, ca_hash) = server_and_hash(&path)?;
        let command = format!("coracle join {server} --token {token} --ca-hash {ca_hash}");
        let created = Created { token: token.to_string(), ca_hash, expires: expires.to_string(), command };
        arguments.form.print(&created, |created| {
            format!("{}\n\ngood until {}; on the other machine:\n  {}", created.token, created.expires, created.command)
        });
        Ok(())
    })
}

/// Makes a token that is good until then.
///
/// # Errors
/// When the cluster refuses it.
pub async fn create(client: &kube::Client, expires: jiff::Timestamp) -> anyhow::Result<BootstrapToken> {
    let token = BootstrapToken::generate().context("cannot make a token")?;
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let secret: Secret =
        serde_json::from_value(token.manifest(Some(&expires), "")).context("the token's manifest is malformed")?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), TOKEN_NAMESPACE);
    secrets.create(&PostParams::default(), &secret).await.context("the cluster refused the token")?;
    Ok(token)
}

/// Where the API is reached from other machines: what pods are told too.
async fn advertised(client: &kube::Client) -> anyhow::Result<SocketAddr> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let slice = slices.get("kubernetes").await.context("the API does not say where it is reached")?;
    let address = slice.endpoints.iter().flatten().find_map(|endpoint| endpoint.addresses.first()?.parse::<IpAddr>().ok());
    let address = address.context("the API does not say where it is reached")?;
    ensure!(
        address != IpAddr::from(config::node_address(1)),
        "other machines do not reach this one: `coracle down`, then `coracle up --address` with an address that they reach"
    );
    Ok(SocketAddr::new(address, config::API_PORT))
}

/// The server that a kubeconfig names, and the hash of its authority's key, as kubeadm prints it.
///
/// # Errors
/// When the kubeconfig names none.
pub fn server_and_hash(path: &std::path::Path) -> anyhow::Result<(String, String)> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path).context("cannot read the kubeconfig")?;
    let cluster = kubeconfig.clusters.into_iter().find_map(|named| named.cluster).context("the kubeconfig names no cluster")?;
    let data = cluster.certificate_authority_data.context("the kubeconfig holds no authority")?;
    let pem =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data.trim()).context("the authority is not base64")?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).context("the authority is no PEM")?;
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(&block.contents).context("the authority is no certificate")?;
    let hash = hex::encode(Sha256::digest(certificate.public_key().raw));
    Ok((cluster.server.unwrap_or_default(), format!("sha256:{hash}")))
}
