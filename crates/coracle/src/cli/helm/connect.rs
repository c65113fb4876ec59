//! Reaching the cluster that a command line means, and what templates may ask of it.

use std::path::PathBuf;

use chart::functions::Facts;
use chart::render::Capabilities;
use chart::template;
use chart::value::Value;
use kube::config::{KubeConfigOptions, Kubeconfig};
use platform::helm::Cluster;
use serde_json::Value as Json;

use super::flags::Matches;
use super::world::Machine;
use super::{Fault, settings};

/// A way to a cluster, and the runtime that walks it.
pub(super) struct Connection {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) cluster: Cluster,
    config: kube::Config,
    client: kube::Client,
}

fn unreachable(why: impl std::fmt::Display) -> Fault {
    Fault::new(format!("kubernetes cluster unreachable: {why}"))
}

fn kubeconfig(matches: &Matches) -> Result<Kubeconfig, Fault> {
    let named = matches.text("kubeconfig");
    let read = if named.is_empty() { Kubeconfig::read() } else { Kubeconfig::read_from(PathBuf::from(named)) };
    read.map_err(unreachable)
}

/// Connects as the flags say.
pub(super) fn connect(matches: &Matches) -> Result<Connection, Fault> {
    // A provider is chosen once a process; a second choice of the same is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let context = Some(matches.text("kube-context").to_owned()).filter(|name| !name.is_empty());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let kubeconfig = kubeconfig(matches)?;
    let config = runtime.block_on(kube::Config::from_custom_kubeconfig(kubeconfig, &options)).map_err(unreachable)?;
    let namespace = if matches.said("namespace") || std::env::var_os("HELM_NAMESPACE").is_some() {
        settings::namespace(matches)
    } else {
        config.default_namespace.clone()
    };
    let client = {
        let _inside = runtime.enter();
        kube::Client::try_from(config.clone()).map_err(unreachable)?
    };
    let cluster = Cluster::new(client.clone(), &namespace);
    Ok(Connection { runtime, cluster, config, client })
}

impl Connection {
    fn get(&self, path: &str) -> Result<Json, Fault> {
        self.runtime.block_on(get(&self.client, path)).map_err(unreachable)
    }

    /// Whether the cluster answers.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.get("/version").map(drop)
    }

    /// What the cluster serves.
    pub(super) fn capabilities(&self) -> Result<Capabilities, Fault> {
        let mut capabilities = template::imagined();
        let version = self.get("/version")?;
        let text = version["gitVersion"].as_str().unwrap_or_default();
        capabilities.kube = template::kube_version(text).map_err(Fault::new)?;
        let groups = self.get("/apis")?;
        let mut served = vec!["v1".to_owned()];
        for group in groups["groups"].as_array().into_iter().flatten() {
            let versions = group["versions"].as_array().into_iter().flatten();
            served.extend(versions.filter_map(|it| it["groupVersion"].as_str().map(str::to_owned)));
        }
        capabilities.api_versions.clear();
        for version in served {
            let root = if version.contains('/') { "apis" } else { "api" };
            let list = self.get(&format!("/{root}/{version}")).unwrap_or_default();
            let kinds = list["resources"].as_array().into_iter().flatten().filter_map(|it| it["kind"].as_str());
            capabilities.api_versions.extend(kinds.map(|kind| format!("{version}/{kind}")));
            capabilities.api_versions.push(version);
        }
        capabilities.api_versions.dedup();
        Ok(capabilities)
    }

    /// What templates may ask.
    pub(super) fn facts(&self, dns: bool) -> Live {
        Live { machine: Machine { dns }, config: self.config.clone() }
    }
}

async fn get(client: &kube::Client, path: &str) -> Result<Json, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request::<Json>(request).await
}

/// This machine and a cluster.
pub(super) struct Live {
    machine: Machine,
    config: kube::Config,
}

impl Facts for Live {
    fn now(&self) -> jiff::Timestamp {
        self.machine.now()
    }

    fn zone(&self) -> jiff::tz::TimeZone {
        self.machine.zone()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.machine.random(bytes);
    }

    fn resolve_host(&self, name: &str) -> String {
        self.machine.resolve_host(name)
    }

    fn lookup(&self, version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        let config = self.config.clone();
        // Rendering holds this thread, so that another one has to ask.
        let asked = std::thread::scope(|scope| scope.spawn(move || look_up(config, version, kind, namespace, name)).join());
        let found = asked.map_err(|_| "the look-up ended".to_owned())??;
        Ok(found.map_or_else(|| Value::Map(chart::value::Map::any()), |object| Value::from_json(&object)))
    }
}

fn look_up(config: kube::Config, version: &str, kind: &str, namespace: &str, name: &str) -> Result<Option<Json>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = kube::Client::try_from(config).map_err(|error| error.to_string())?;
        let root = if version.contains('/') { "apis" } else { "api" };
        let found = |answer: Result<Json, kube::Error>| match answer {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        let list = found(get(&client, &format!("/{root}/{version}")).await)?.unwrap_or_default();
        let plain = |it: &&Json| it["kind"] == kind && it["name"].as_str().is_some_and(|name| !name.contains('/'));
        let Some(resource) = list["resources"].as_array().into_iter().flatten().find(plain) else { return Ok(None) };
        let plural = resource["name"].as_str().unwrap_or_default();
        let place = if resource["namespaced"] == true && !namespace.is_empty() {
            format!("namespaces/{namespace}/")
        } else {
            String::new()
        };
        let object = if name.is_empty() { String::new() } else { format!("/{name}") };
        found(get(&client, &format!("/{root}/{version}/{place}{plural}{object}")).await)
    })
}
