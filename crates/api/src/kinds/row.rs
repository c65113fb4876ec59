//! What rows are built of: a kind with what most share, and words for what differs.

use std::sync::Arc;

use super::cells;
use crate::{
    document::Value,
    kind::{
        CREATE_ONLY, Cell, Column, Generation, Kind, NO_COLLECTION_DELETE, ScalePaths, Scope, SelectableField, Subresource,
        SubresourceKind, Text, Version,
    },
    rules::{Rules, names},
};
use jiff::Timestamp;

/// A function that makes a cell.
pub(super) type CellOf = fn(&Value, Timestamp) -> Value;

const READ_WRITE: &[&str] = &["get", "patch", "update"];

/// A group and the Go package that defines its types.
pub(super) struct Package {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    /// The prefix of its definitions, such as `io.k8s.api.apps.v1.`.
    pub(super) definitions: &'static str,
}

/// A row, being built.
pub(super) struct Row(Kind);

impl Package {
    /// A namespaced kind with every verb.
    pub(super) fn kind(&self, kind: &'static str, plural: &'static str) -> Row {
        let definition: &'static str = crate::schema::interned(&format!("{}{kind}", self.definitions));
        let version = Version {
            name: Text::Borrowed(self.version),
            served: true,
            storage: true,
            deprecated: None,
            convert: None,
            definition,
            custom_schema: None,
            custom_openapi: None,
            printer_columns: columns(&[("Age", "string", "", 0, cells::age)]),
            selectable_fields: Arc::default(),
            subresources: Arc::default(),
        };
        Row(Kind {
            group: Text::Borrowed(self.group),
            kind: Text::Borrowed(kind),
            list_kind: Text::Owned(format!("{kind}List")),
            plural: Text::Borrowed(plural),
            singular: Text::Owned(kind.to_lowercase()),
            versions: vec![version],
            ..<Kind as Default>::default()
        })
    }
}

fn columns(rest: &[(&'static str, &'static str, &'static str, i32, CellOf)]) -> Arc<[Column]> {
    let name = ("Name", "string", "name", 0, cells::name as CellOf);
    std::iter::once(&name)
        .chain(rest)
        .map(|(name, kind, format, priority, cell)| Column {
            name: Text::Borrowed(name),
            kind: Text::Borrowed(kind),
            format: Text::Borrowed(format),
            description: Text::Borrowed(""),
            priority: *priority,
            cell: Cell::Function(*cell),
        })
        .collect()
}

impl Row {
    fn version(&mut self) -> &mut Version {
        &mut self.0.versions[0]
    }

    /// Objects live in the cluster.
    pub(super) fn cluster(mut self) -> Self {
        self.0.scope = Scope::Cluster;
        self
    }

    pub(super) fn short(mut self, names: &[&'static str]) -> Self {
        self.0.short_names = names.iter().map(|name| Text::Borrowed(*name)).collect();
        self
    }

    /// In the category `all`.
    pub(super) fn in_all(mut self) -> Self {
        self.0.categories = vec![Text::Borrowed("all")];
        self
    }

    pub(super) fn category(mut self, name: &'static str) -> Self {
        self.0.categories = vec![Text::Borrowed(name)];
        self
    }

    /// The columns after the name: heading, type, format, priority, cell.
    pub(super) fn columns(mut self, rest: &[(&'static str, &'static str, &'static str, i32, CellOf)]) -> Self {
        self.version().printer_columns = columns(rest);
        self
    }

    /// Fields by which objects can be selected, such as `spec.nodeName`, with what counts when it is missing.
    pub(super) fn select(mut self, fields: &[(&'static str, &'static str)]) -> Self {
        let field = |(name, default): &(&'static str, &'static str)| SelectableField {
            name: Text::Borrowed(name),
            path: name.split('.').map(Text::Borrowed).collect(),
            otherwise: Vec::new(),
            default,
        };
        self.version().selectable_fields = fields.iter().map(field).collect();
        self
    }

    /// A field that can be selected stands elsewhere than its name says: there, or else there.
    pub(super) fn select_at(mut self, name: &str, path: &'static str, otherwise: &'static str) -> Self {
        let mut fields = self.version().selectable_fields.to_vec();
        for field in fields.iter_mut().filter(|field| field.name == name) {
            field.path = path.split('.').map(Text::Borrowed).collect();
            field.otherwise = otherwise.split('.').map(Text::Borrowed).collect();
        }
        self.version().selectable_fields = fields.into();
        self
    }

    fn subresource(mut self, subresource: Subresource) -> Self {
        let mut all = self.version().subresources.to_vec();
        all.push(subresource);
        self.version().subresources = all.into();
        self
    }

    /// With a `status` subresource; the generation counts changes of the spec.
    pub(super) fn status(mut self) -> Self {
        self.0.generation_on = Generation::Spec;
        self.subresource(Subresource {
            name: Text::Borrowed("status"),
            kind: SubresourceKind::Status,
            verbs: READ_WRITE,
            body: None,
        })
    }

    /// The generation counts changes, although there is no status.
    pub(super) fn generation(mut self, on: Generation) -> Self {
        self.0.generation_on = on;
        self
    }

    /// With a `scale` subresource of `spec.replicas`.
    pub(super) fn scale(self) -> Self {
        let path = |text: &str| text.split('.').map(str::to_owned).collect();
        let paths = ScalePaths {
            spec_replicas: path("spec.replicas"),
            status_replicas: path("status.replicas"),
            label_selector: Some(path("spec.selector")),
        };
        self.subresource(Subresource {
            name: Text::Borrowed("scale"),
            kind: SubresourceKind::Scale(paths),
            verbs: READ_WRITE,
            body: Some(("autoscaling", "v1", "Scale")),
        })
    }

    /// With a subresource through which only some fields change.
    pub(super) fn fields(self, name: &'static str, verbs: &'static [&'static str]) -> Self {
        self.subresource(Subresource { name: Text::Borrowed(name), kind: SubresourceKind::Fields, verbs, body: None })
    }

    /// With a subresource that does something; it takes and answers another kind.
    pub(super) fn action(
        self,
        name: &'static str,
        verbs: &'static [&'static str],
        body: Option<(&'static str, &'static str, &'static str)>,
    ) -> Self {
        self.subresource(Subresource { name: Text::Borrowed(name), kind: SubresourceKind::Action, verbs, body })
    }

    /// Asked and forgotten.
    pub(super) fn review(mut self) -> Self {
        self.0.verbs = CREATE_ONLY;
        self.0.stored = false;
        self
    }

    /// Nobody writes it.
    pub(super) fn read_only(mut self) -> Self {
        self.0.verbs = &["get", "list"];
        self
    }

    pub(super) fn no_collection_delete(mut self) -> Self {
        self.0.verbs = NO_COLLECTION_DELETE;
        self
    }

    /// Names with this rule.
    pub(super) fn named(mut self, rule: fn(&str) -> Vec<String>) -> Self {
        self.0.name_rule = rule;
        self
    }

    /// Names that are RBAC's: anything that fits into a path.
    pub(super) fn named_freely(self) -> Self {
        self.named(names::path_segment)
    }

    pub(super) fn create_on_update(mut self) -> Self {
        self.0.create_on_update = true;
        self
    }

    pub(super) fn conditional_update(mut self) -> Self {
        self.0.unconditional_update = false;
        self
    }

    pub(super) fn rules(mut self, rules: &'static dyn Rules) -> Self {
        self.0.rules = rules;
        self
    }

    /// Anything else.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Kind)) -> Self {
        change(&mut self.0);
        self
    }

    pub(super) fn done(self) -> Kind {
        self.0
    }
}
