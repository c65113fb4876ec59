//! From a path to what it is about. Nothing is registered by hand: the kind table says what exists.

/// What a path names, before the kind table is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePath {
    /// The group; empty for core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace; empty at cluster scope or across namespaces.
    pub namespace: String,
    /// The plural; empty when the path names a group and version only.
    pub resource: String,
    /// The object's name; empty for a collection.
    pub name: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
    /// What comes after the subresource, as `proxy` passes on.
    pub rest: String,
    /// Whether the old form `/watch/` was used.
    pub watch: bool,
}

/// Reads a resource path below `/api` or `/apis`; `None` for anything else.
///
/// The rules are those of upstream's `RequestInfoFactory`: `/api/v1/namespaces/a/pods/b/log`, where `namespaces/a` alone, or with
/// `status` or `finalize`, is the namespace itself.
pub fn resource(path: &str) -> Option<ResourcePath> {
    let mut parts = path.trim_matches('/').split('/');
    let mut found = ResourcePath::default();
    match parts.next()? {
        "api" => found.version = decoded(parts.next()?),
        "apis" => {
            found.group = decoded(parts.next()?);
            found.version = decoded(parts.next()?);
        }
        _ => return None,
    }
    let mut rest: Vec<&str> = parts.collect();
    if rest.first() == Some(&"watch") {
        found.watch = true;
        rest.remove(0);
    }
    if let ["namespaces", namespace, below, ..] = rest.as_slice()
        && !matches!(*below, "status" | "finalize")
    {
        found.namespace = decoded(namespace);
        rest.drain(..2);
    }
    let mut rest = rest.into_iter();
    found.resource = rest.next().map(decoded).unwrap_or_default();
    found.name = rest.next().map(decoded).unwrap_or_default();
    found.subresource = rest.next().map(decoded).unwrap_or_default();
    found.rest = rest.collect::<Vec<_>>().join("/");
    if found.resource == "namespaces" && found.group.is_empty() {
        found.namespace.clone_from(&found.name);
    }
    Some(found)
}

fn decoded(part: &str) -> String {
    percent_decode(part)
}

/// Undoes `%41`; what is malformed stays as it is.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The parameters of a query, decoded, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    pub fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    /// The first value of a parameter, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter says yes, as Go's `ParseBool` and upstream's conversion read it.
    pub fn flag(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(found, value)| found == name && !matches!(value.as_str(), "false" | "0" | "F" | "f" | "False" | "FALSE"))
    }

    /// Every value of a parameter.
    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_group_namespace_resource_name_and_subresource() {
        let read = |path| {
            let found = resource(path).unwrap();
            [found.group, found.version, found.namespace, found.resource, found.name, found.subresource, found.rest]
        };
        for (path, expected) in [
            ("/api/v1", ["", "v1", "", "", "", "", ""]),
            ("/api/v1/pods", ["", "v1", "", "pods", "", "", ""]),
            ("/api/v1/namespaces", ["", "v1", "", "namespaces", "", "", ""]),
            ("/api/v1/namespaces/a", ["", "v1", "a", "namespaces", "a", "", ""]),
            ("/api/v1/namespaces/a/finalize", ["", "v1", "a", "namespaces", "a", "finalize", ""]),
            ("/api/v1/namespaces/a/pods/b/log", ["", "v1", "a", "pods", "b", "log", ""]),
            ("/apis/apps/v1/namespaces/a/deployments", ["apps", "v1", "a", "deployments", "", "", ""]),
            ("/api/v1/namespaces/a/services/b/proxy/x/y", ["", "v1", "a", "services", "b", "proxy", "x/y"]),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                ["rbac.authorization.k8s.io", "v1", "", "clusterroles", "system:node", "", ""],
            ),
        ] {
            assert_eq!(read(path), expected.map(str::to_owned), "{path}");
        }
        assert_eq!(resource("/healthz"), None);
        assert!(resource("/api/v1/watch/pods").unwrap().watch);
    }

    #[test]
    fn a_query_is_decoded_and_flags_are_read_as_go_does() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc&watch=1&x=&command=a&command=b+c&pretty=false"));
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.get("x"), None);
        assert!(query.flag("watch") && !query.flag("pretty") && !query.flag("none"));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["a", "b c"]);
    }
}
