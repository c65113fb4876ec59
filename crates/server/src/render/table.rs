//! Tables (KEP-0555): what `kubectl get` prints. Columns come from the kind's row.

use api::{
    document::{Map, Value},
    kind::{Kind, Version},
};
use jiff::Timestamp;

use super::metadata_only;

/// Which object a row carries beside its cells: the parameter `includeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// None.
    Bare,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

impl Rows {
    /// From the parameter; metadata when it says nothing.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("None") => Self::Bare,
            Some("Object") => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// The table without rows.
pub fn table_head(version: &Version) -> Value {
    let columns: Vec<Value> = version
        .printer_columns
        .iter()
        .map(|column| {
            let mut definition = Map::new();
            definition.insert("name", column.name.clone());
            definition.insert("type", column.kind.clone());
            definition.insert("format", column.format.clone());
            definition.insert("description", column.description.clone());
            definition.insert("priority", i64::from(column.priority));
            Value::Object(definition)
        })
        .collect();
    let mut table = Value::object();
    table.set_at(&["kind"], "Table");
    table.set_at(&["apiVersion"], "meta.k8s.io/v1");
    table.set_at(&["metadata"], Value::object());
    table.set_at(&["columnDefinitions"], Value::Array(columns));
    table.set_at(&["rows"], Value::Array(Vec::new()));
    table
}

/// The row of a stored object; the object beside it is in the request's version.
pub fn row(kind: &Kind, version: &Version, mut object: Value, rows: Rows, now: Timestamp) -> Value {
    let mut row = Value::object();
    kind.to_served(version, &mut object);
    let cells = version.printer_columns.iter().map(|column| column.value(&object, now)).collect();
    row.set_at(&["cells"], Value::Array(cells));
    match rows {
        Rows::Bare => {}
        Rows::Metadata => row.set_at(&["object"], metadata_only(&object)),
        Rows::Object => row.set_at(&["object"], object),
    }
    row
}
