//! The kind `RedisCluster`: what a user writes, what the controller answers, and the definition that the API server is given.

use std::borrow::Cow;

use kube::{
    Resource,
    core::{NamespaceResourceScope, ObjectMeta},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The group of all kinds of the platform.
pub const GROUP: &str = "coracle.dev";
/// The image when none is named.
pub const IMAGE: &str = concat!("coracle.dev/redis:", env!("CARGO_PKG_VERSION"));

/// A Redis Cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisCluster {
    /// Name, namespace and the rest.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: Spec,
    /// What there is.
    #[serde(default)]
    pub status: Option<Status>,
}

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// How many shards share the slots.
    pub shards: u16,
    /// How many copies each shard has beside its master.
    pub replicas: u16,
    /// The image of the servers.
    #[serde(default = "image")]
    pub image: String,
    /// Where the password stands.
    pub password_secret: PasswordSecret,
    /// The disk of each server.
    #[serde(default)]
    pub storage: Storage,
    /// The resources of each server, as a container's.
    #[serde(default)]
    pub resources: Option<Value>,
    /// After how many milliseconds without an answer a server is taken for dead.
    #[serde(default = "node_timeout")]
    pub node_timeout_millis: u32,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PasswordSecret {
    /// The Secret, in the same namespace.
    pub name: String,
    /// The key in it.
    #[serde(default = "password_key")]
    pub key: String,
}

/// A server's disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// How large.
    #[serde(default = "size")]
    pub size: String,
    /// Of which class; the cluster's default when none is named.
    #[serde(default)]
    pub class_name: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: size(), class_name: None }
    }
}

fn image() -> String {
    IMAGE.to_owned()
}

fn node_timeout() -> u32 {
    2000
}

fn password_key() -> String {
    "password".to_owned()
}

fn size() -> String {
    "256Mi".to_owned()
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The generation that this is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// In one word.
    #[serde(default)]
    pub phase: String,
    /// Members that answer, of all.
    #[serde(default)]
    pub members_ready: String,
    /// Slots that a master serves; 16384 is all.
    #[serde(default)]
    pub slots: u32,
    /// Every member.
    #[serde(default)]
    pub members: Vec<MemberStatus>,
    /// Whether it is as it should be, and why not.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A member as it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its pod.
    pub name: String,
    /// Its shard, from 1.
    pub shard: u16,
    /// `master`, `replica`, or `away`.
    pub role: String,
    /// The Kubernetes node that its disk lies on.
    pub node: String,
    /// Where it listens.
    #[serde(default)]
    pub address: String,
    /// The slots that it serves.
    #[serde(default)]
    pub slots: String,
    /// Redis's identity of it.
    #[serde(default)]
    pub id: String,
    /// The claim that this identity was seen on: another claim is another disk.
    #[serde(default)]
    pub disk: String,
}

/// A condition, in the form that Kubernetes gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// Since when.
    pub last_transition_time: String,
    /// The generation that this is about.
    #[serde(default)]
    pub observed_generation: i64,
}

impl Resource for RedisCluster {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "RedisCluster".into()
    }
    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }
    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        "redisclusters".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The definitions.
#[must_use]
pub fn definitions() -> Vec<Value> {
    let column = |name: &str, kind: &str, path: &str, text: &str| json!({"name": name, "type": kind, "jsonPath": path, "description": text});
    vec![json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("redisclusters.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "RedisCluster", "listKind": "RedisClusterList", "plural": "redisclusters", "singular": "rediscluster",
                "shortNames": ["redis"], "categories": ["all"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Phase", "string", ".status.phase", "In one word"),
                    column("Shards", "integer", ".spec.shards", "Shards that share the slots"),
                    column("Replicas", "integer", ".spec.replicas", "Copies of each shard beside its master"),
                    column("Members", "string", ".status.membersReady", "Members that answer, of all"),
                    column("Slots", "integer", ".status.slots", "Slots that a master serves, of 16384"),
                    column("Age", "date", ".metadata.creationTimestamp", "Since when it exists"),
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "description": "A Redis Cluster: its shards and replicas on pods of their own, spread over the nodes.",
                    "properties": {"spec": spec_schema(), "status": status_schema()},
                }},
            }],
        },
    })]
}

fn spec_schema() -> Value {
    let number = |least: u32, most: u32, default: Option<u32>, text: &str| {
        let mut schema = json!({"type": "integer", "minimum": least, "maximum": most, "description": text});
        if let Some(default) = default {
            schema["default"] = json!(default);
        }
        schema
    };
    json!({
        "type": "object", "required": ["passwordSecret"], "description": "What you want.",
        "properties": {
            "shards": number(1, 100, Some(3), "How many shards share the slots; with fewer than three Redis cannot elect a master by itself."),
            "replicas": number(0, 5, Some(1), "How many copies each shard has beside its master."),
            "image": {"type": "string", "default": IMAGE, "minLength": 1, "description": "The image of the servers."},
            "passwordSecret": {
                "type": "object", "required": ["name"], "description": "Where the password stands; printable, without quotes and blanks.",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "description": "The Secret, in the same namespace."},
                    "key": {"type": "string", "default": "password", "description": "The key in it."},
                },
            },
            "storage": {
                "type": "object", "default": {}, "description": "The disk of each server.",
                "properties": {
                    "size": {"type": "string", "default": size(), "description": "How large, as a quantity."},
                    "className": {"type": "string", "description": "Of which storage class; the default one when none is named."},
                },
            },
            "resources": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "description": "The resources of each server, as a container's.",
            },
            "nodeTimeoutMillis": number(500, 60_000, Some(2000), "After how many milliseconds without an answer a server is taken for dead."),
        },
    })
}

fn status_schema() -> Value {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    json!({
        "type": "object", "description": "What there is.",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "phase": text, "membersReady": text, "slots": number,
            "members": {"type": "array", "items": {
                "type": "object", "required": ["name", "shard", "role", "node"],
                "properties": {
                    "name": text, "shard": number, "role": text, "node": text,
                    "address": text, "slots": text, "id": text, "disk": text,
                },
            }},
            "conditions": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object", "required": ["type", "status", "reason", "lastTransitionTime"],
                    "properties": {
                        "type": text, "status": {"type": "string", "enum": ["True", "False", "Unknown"]}, "reason": text, "message": text,
                        "lastTransitionTime": {"type": "string", "format": "date-time"}, "observedGeneration": {"type": "integer", "format": "int64"},
                    },
                },
            },
        },
    })
}
