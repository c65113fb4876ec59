//! Which kinds the API has right now, custom ones too, for controllers that care for objects of every kind.

use kube::client::APIGroupDiscoveryList;

/// A resource in the version that its group prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its group, empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The name in paths.
    pub plural: String,
    /// The kind.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    verbs: Vec<String>,
}

impl Resource {
    /// Whether it has this verb.
    pub fn has(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Whether these are the names of one kind.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// `group/version`, as objects say.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of its objects, in a namespace or everywhere.
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        let plural = &self.plural;
        if namespace.is_empty() {
            format!("{root}/{version}/{plural}")
        } else {
            format!("{root}/{version}/namespaces/{namespace}/{plural}")
        }
    }
}

/// All resources.
///
/// # Errors
/// What the server says.
pub async fn discover(client: &kube::Client) -> Result<Vec<Resource>, kube::Error> {
    let core = client.list_core_api_versions_aggregated().await?;
    let groups = client.list_api_groups_aggregated().await?;
    let mut all: Vec<Resource> = Vec::new();
    for list in [core, groups] {
        take(list, &mut all);
    }
    Ok(all)
}

fn take(list: APIGroupDiscoveryList, all: &mut Vec<Resource>) {
    for group in list.items {
        let name = group.metadata.and_then(|meta| meta.name).unwrap_or_default();
        for version in group.versions {
            let version_name = version.version.unwrap_or_default();
            for resource in version.resources {
                let plural = resource.resource.unwrap_or_default();
                if all.iter().any(|known| known.is(&name, &plural)) {
                    continue;
                }
                all.push(Resource {
                    group: name.clone(),
                    version: version_name.clone(),
                    plural,
                    kind: resource.response_kind.and_then(|kind| kind.kind).unwrap_or_default(),
                    namespaced: resource.scope.as_deref() == Some("Namespaced"),
                    verbs: resource.verbs,
                });
            }
        }
    }
}
