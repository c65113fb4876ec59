//! `.Capabilities`: what the cluster and Helm say of themselves.

use std::any::Any;

use crate::functions::Function;
use crate::value::{List, Map, Named, Object, STRINGS, Str, Type, Value};

static NAMED: Named = Named {
    name: "common.VersionSet",
    underlying: STRINGS,
    methods: &[Function::fixed("Has", &[Type::String], "Whether the cluster serves an API version.", |_, args| {
        let wanted = args[1].as_text();
        Ok(Value::Bool(
            args[0].as_list().with(|items| items.iter().any(|item| matches!(item, Value::String(have) if *have == wanted))),
        ))
    })],
};

/// `.Capabilities`.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// The version of Kubernetes.
    pub kube: KubeVersion,
    /// API versions that are served, and kinds as `group/version/Kind`.
    pub api_versions: Vec<String>,
    /// What Helm's version is said to be.
    pub helm: HelmVersion,
}

/// `.Capabilities.KubeVersion`.
#[derive(Debug, Clone, Default)]
pub struct KubeVersion {
    /// As the cluster says it.
    pub version: String,
    /// Without what follows the patch number.
    pub normalized: String,
    /// The first number.
    pub major: String,
    /// The second.
    pub minor: String,
}

/// `.Capabilities.HelmVersion`.
#[derive(Debug, Clone, Default)]
pub struct HelmVersion {
    /// The version.
    pub version: String,
    /// The commit that it was made of.
    pub git_commit: String,
    /// Whether the tree was clean.
    pub git_tree_state: String,
    /// The compiler.
    pub go_version: String,
    /// The client library for Kubernetes.
    pub kube_client_version: String,
}

impl Capabilities {
    fn versions(&self) -> Value {
        let items = self.api_versions.iter().map(|version| Value::string(version.as_str())).collect();
        Value::List(List::of(Type::Named(&NAMED), items))
    }
}

impl Object for Capabilities {
    fn type_name(&self) -> &'static str {
        "*common.Capabilities"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("KubeVersion", Value::object(self.kube.clone())),
            ("APIVersions", self.versions()),
            ("HelmVersion", Value::object(self.helm.clone())),
        ]
    }

    fn methods(&self) -> &'static [Function] {
        const METHODS: &[Function] = &[Function::fixed("Copy", &[], "A copy.", |_, args| Ok(args[0].clone()))];
        METHODS
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

const KUBE_METHODS: &[Function] = &[
    Function::fixed("GitVersion", &[], "The version as the cluster says it.", |_, args| {
        Ok(Value::string(args[0].downcast::<KubeVersion>().map_or("", |it| it.version.as_str())))
    }),
    Function::fixed("String", &[], "The version without what follows the patch number.", |_, args| {
        Ok(Value::string(args[0].downcast::<KubeVersion>().map_or("", KubeVersion::shown)))
    }),
];

impl KubeVersion {
    fn shown(&self) -> &str {
        if self.normalized.is_empty() { &self.version } else { &self.normalized }
    }
}

impl Object for KubeVersion {
    fn type_name(&self) -> &'static str {
        "common.KubeVersion"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let text = match name {
            "Version" => &self.version,
            "Major" => &self.major,
            "Minor" => &self.minor,
            _ => return None,
        };
        Some(Value::string(text.as_str()))
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::string(text);
        vec![
            ("Version", text(&self.version)),
            ("normalizedVersion", text(&self.normalized)),
            ("Major", text(&self.major)),
            ("Minor", text(&self.minor)),
        ]
    }

    fn methods(&self) -> &'static [Function] {
        KUBE_METHODS
    }

    fn print_in_place(&self) -> Option<Str> {
        Some(self.shown().into())
    }

    fn to_json(&self) -> Value {
        let fields = self.fields().into_iter().filter(|(name, _)| name.starts_with(char::is_uppercase));
        Value::Map(fields.map(|(name, value)| (Str::from(name), value)).collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for HelmVersion {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::string(self.version.as_str())),
            ("GitCommit", Value::string(self.git_commit.as_str())),
            ("GitTreeState", Value::string(self.git_tree_state.as_str())),
            ("GoVersion", Value::string(self.go_version.as_str())),
            ("KubeClientVersion", Value::string(self.kube_client_version.as_str())),
        ]
    }

    fn to_json(&self) -> Value {
        let keys = ["version", "git_commit", "git_tree_state", "go_version", "kube_client_version"];
        let entries =
            keys.into_iter().zip(self.fields()).filter(|(key, (_, value))| value.truth() || *key == "kube_client_version");
        Value::Map(entries.map(|(key, (_, value))| (Str::from(key), value)).collect::<Map>())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
