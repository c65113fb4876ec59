//! The record of a revision, with the fields that Helm writes. It never encodes itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// How a revision stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody knows.
    #[default]
    Unknown,
    /// In force.
    Deployed,
    /// Taken away, its record kept.
    Uninstalled,
    /// A newer one is in force.
    Superseded,
    /// It did not come into force.
    Failed,
    /// Being taken away.
    Uninstalling,
    /// Being installed.
    PendingInstall,
    /// Being upgraded to.
    PendingUpgrade,
    /// Being rolled back to.
    PendingRollback,
}

impl Status {
    /// As Helm writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Whether someone is, or was when it ended, at work on it.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say all")]
pub enum HookEvent {
    PreInstall,
    PostInstall,
    PreDelete,
    PostDelete,
    PreUpgrade,
    PostUpgrade,
    PreRollback,
    PostRollback,
    Test,
}

impl HookEvent {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "pre-install" => Self::PreInstall,
            "post-install" => Self::PostInstall,
            "pre-delete" => Self::PreDelete,
            "post-delete" => Self::PostDelete,
            "pre-upgrade" => Self::PreUpgrade,
            "post-upgrade" => Self::PostUpgrade,
            "pre-rollback" => Self::PreRollback,
            "post-rollback" => Self::PostRollback,
            "test" | "test-success" => Self::Test,
            _ => return None,
        })
    }
}

/// How a run of a hook went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say all")]
pub enum HookPhase {
    #[default]
    #[serde(rename = "")]
    Never,
    Unknown,
    Running,
    Succeeded,
    Failed,
}

/// The last run of a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// When it began, as RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub started_at: String,
    /// When it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub completed_at: String,
    /// How it went.
    pub phase: HookPhase,
}

/// A manifest that runs at an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// When it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<HookEvent>,
    /// How it last went.
    pub last_run: Execution,
    /// Lower ones run first.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// When its object goes; none said means before the next one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<String>,
    /// When its log is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What is known of a revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// When the release was first installed, as RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub first_deployed: String,
    /// When this revision was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_deployed: String,
    /// When it was taken away.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deleted: String,
    /// A line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How it stands.
    pub status: Status,
    /// Which revision it goes back to.
    #[serde(skip_serializing_if = "is_zero")]
    pub rollback_revision: i64,
    /// What `NOTES.txt` said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// How a revision's objects were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Apply {
    /// As releases from before had it.
    #[default]
    #[serde(rename = "")]
    Unsaid,
    /// Merged by the client.
    #[serde(rename = "csa")]
    Client,
    /// Applied by the server.
    #[serde(rename = "ssa")]
    Server,
}

impl Apply {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_unsaid(&self) -> bool {
        *self == Self::Unsaid
    }
}

/// The record of one revision of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// The release.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is known of it.
    pub info: Info,
    /// The chart, as Helm writes charts.
    #[serde(skip_serializing_if = "Json::is_null")]
    pub chart: Json,
    /// What the user set.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Json>,
    /// All manifests but hooks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// All hooks.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Which revision.
    pub version: i64,
    /// Where.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// How its objects were applied.
    #[serde(skip_serializing_if = "Apply::is_unsaid")]
    pub apply_method: Apply,
    /// Labels of the user's, which the Secret carries and the record does not.
    #[serde(skip)]
    pub labels: std::collections::BTreeMap<String, String>,
}

fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A chart as records keep it: without its subcharts, files in base64.
#[must_use]
pub fn chart_record(chart: &crate::chart::Chart) -> Json {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let modified = |file: &crate::chart::File| jiff::Timestamp::from_second(file.modified?).ok();
    let stamp = |mut record: Json, file: &crate::chart::File| {
        if let Some(modified) = modified(file) {
            record["modtime"] = modified.to_string().into();
        }
        record
    };
    let file = |file: &crate::chart::File| stamp(serde_json::json!({"name": file.name, "data": encode(&file.data)}), file);
    let files =
        |files: &[crate::chart::File]| -> Option<Vec<Json>> { (!files.is_empty()).then(|| files.iter().map(file).collect()) };
    let record = serde_json::json!({
        "metadata": chart.metadata,
        "lock": chart.lock,
        "templates": files(&chart.templates),
        "values": crate::schema::whole(&Json::Object(chart.values.clone())),
        "schema": chart.schema.as_deref().map(encode),
        "schemamodtime": "0001-01-01T00:00:00Z",
        "files": files(&chart.files),
    });
    match chart.raw.iter().find(|file| file.name == "Chart.yaml") {
        Some(head) => stamp(record, head),
        None => record,
    }
}
