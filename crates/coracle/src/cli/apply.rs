//! `coracle apply`: brings manifests into a cluster by server-side apply, for machines without kubectl, and waits for what was applied.

mod wait;

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery::{ApiCapabilities, ApiResource, Scope},
};
use serde::Serialize;

use crate::{
    cluster::{self, Target},
    output::{Form, table},
};

/// What to apply, and where.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
    /// Files or folders of YAML or JSON; `-` is the standard input
    #[arg(long, short, required = true)]
    filename: Vec<PathBuf>,
    /// Take fields over from other managers
    #[arg(long)]
    force_conflicts: bool,
    /// Return only when everything that was applied is ready
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = super::token::duration)]
    timeout: jiff::SignedDuration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    resource_version: String,
}

/// Applies everything, in the order in which it stands.
///
/// # Errors
/// When a manifest is malformed, or the cluster refuses one.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let documents = read_all(&arguments.filename)?;
    let applied = cluster::block_on(async {
        let client = arguments.target.client().await?;
        let mut known = Known { client: client.clone(), resources: BTreeMap::new() };
        let mut applied = Vec::new();
        for object in documents {
            applied.push(apply(&mut known, object, arguments.force_conflicts).await?);
        }
        if arguments.wait {
            wait::until_ready(&known, &applied, arguments.timeout.unsigned_abs()).await?;
        }
        Ok(applied)
    })?;
    arguments.form.print(&applied, |applied| {
        let rows: Vec<Vec<String>> =
            applied.iter().map(|one| vec![one.kind.clone(), one.namespace.clone(), one.name.clone()]).collect();
        table(&["APPLIED", "NAMESPACE", "NAME"], &rows)
    });
    Ok(())
}

/// The resources that were looked up; a definition that was just applied is looked up when its first object comes.
struct Known {
    client: Client,
    resources: BTreeMap<String, (ApiResource, ApiCapabilities)>,
}

impl Known {
    async fn resource(&mut self, kind: &GroupVersionKind) -> anyhow::Result<&(ApiResource, ApiCapabilities)> {
        let key = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
        if !self.resources.contains_key(&key) {
            let found = look_up(&self.client, kind)
                .await
                .with_context(|| format!("the cluster does not know the kind {} of {}", kind.kind, kind.api_version()))?;
            self.resources.insert(key.clone(), found);
        }
        Ok(&self.resources[&key])
    }
}

/// A definition that was applied a moment ago may not be served yet: a few more looks are given to it.
async fn look_up(client: &Client, kind: &GroupVersionKind) -> kube::Result<(ApiResource, ApiCapabilities)> {
    const LOOKS: u32 = 20;
    let mut looks = 0;
    loop {
        match kube::discovery::pinned_kind(client, kind).await {
            Err(_) if looks < LOOKS && kind.group.contains('.') => looks += 1,
            found => return found,
        }
        wait::pause().await;
    }
}

async fn apply(known: &mut Known, object: DynamicObject, force: bool) -> anyhow::Result<Applied> {
    let meta = object.types.clone().context("a manifest lacks apiVersion or kind")?;
    let kind = GroupVersionKind::try_from(&meta).context("a manifest's apiVersion is malformed")?;
    let name = object.metadata.name.clone().with_context(|| format!("a {} lacks metadata.name", kind.kind))?;
    let client = known.client.clone();
    let (resource, capabilities) = known.resource(&kind).await?;
    let namespace = match capabilities.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => object.metadata.namespace.clone().unwrap_or_else(|| "default".into()),
    };
    let api = objects(client, &namespace, resource);
    let mut how = PatchParams::apply("coracle");
    how.force = force;
    let applied = api
        .patch(&name, &how, &Patch::Apply(&object))
        .await
        .with_context(|| format!("the cluster refused {} {name:?}", kind.kind))?;
    let resource_version = applied.metadata.resource_version.unwrap_or_default();
    Ok(Applied { api_version: kind.api_version(), kind: kind.kind, namespace, name, resource_version })
}

fn objects(client: Client, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
    if namespace.is_empty() { Api::all_with(client, resource) } else { Api::namespaced_with(client, namespace, resource) }
}

/// The documents of all files; those of a folder in the order of their names.
fn read_all(names: &[PathBuf]) -> anyhow::Result<Vec<DynamicObject>> {
    let mut documents = Vec::new();
    for name in names {
        for (path, text) in texts(name)? {
            documents.extend(parse(&text).with_context(|| format!("{} cannot be applied", path.display()))?);
        }
    }
    if documents.is_empty() {
        bail!(
            "there is nothing to apply in {}",
            names.iter().map(|name| name.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(documents)
}

fn texts(name: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    if name == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
        return Ok(vec![("the standard input".into(), text)]);
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path, text))
    };
    if !name.is_dir() {
        return Ok(vec![read(name.to_owned())?]);
    }
    let entries = fs::read_dir(name).with_context(|| format!("cannot list {}", name.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json"));
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn parse(text: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text)?;
    let objects = documents.into_iter().filter(|document| !document.is_null()).flat_map(|document| match document {
        serde_json::Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
            list.remove("items").and_then(|items| items.as_array().cloned()).unwrap_or_default()
        }
        document => vec![document],
    });
    objects.map(|document| Ok(serde_json::from_value(document)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_empty_parts_become_objects() {
        let text = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n";
        let names: Vec<_> = parse(text).expect("parses").into_iter().filter_map(|object| object.metadata.name).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
