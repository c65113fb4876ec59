//! What holds for every kind when an object is written: defaults, preparation, validation, conversion.

use super::{Generation, Kind, Version};
use crate::document::Value;
use crate::rules::RuleContext;
use crate::status::FieldError;

impl Kind {
    /// Turns a document of a served version into the stored one.
    pub fn to_stored(&self, version: &Version, object: &mut Value) {
        // A webhook does it when the write is made.
        if self.conversion.is_some() {
            return;
        }
        if let Some(convert) = version.convert {
            convert.to_stored(object);
        }
        object.set_at(&["apiVersion"], self.storage_api_version());
    }

    /// Turns a stored document into a served version.
    pub fn to_served(&self, version: &Version, object: &mut Value) {
        object.set_at(&["apiVersion"], crate::document::meta::join_api_version(&self.group, &version.name));
        object.set_at(&["kind"], self.kind.clone());
        if let Some(convert) = version.convert {
            convert.to_served(object);
        }
        // The schema may be another one than when the object was written.
        if let Some(schema) = &version.custom_schema {
            crate::schema::prune(object, schema);
            crate::schema::default(object, schema);
        }
    }

    /// Fills in what the user left out. The document is in `version` for custom kinds' schemas and in the stored version for rules;
    /// call it after [`Kind::to_stored`].
    pub fn default(&self, object: &mut Value) {
        self.rules.default(object);
    }

    /// Readies a document for the store: status reset on the main resource, everything else kept on `status`, generation, and the kind's rules.
    /// Name, uid, timestamps and resourceVersion are the server's.
    pub fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        let has_status = self.storage_version().subresource("status").is_some();
        if has_status && context.subresource.is_none() {
            match old.and_then(|old| old.field("status")) {
                Some(status) => new.set_at(&["status"], status.clone()),
                None => drop(new.remove_at(&["status"])),
            }
        }
        self.rules.prepare(new, old, context);
        // Built-in kinds have a status from the first moment, if an empty one.
        if has_status && !self.custom {
            new.default_at(&["status"], Value::object());
        }
        // What the scheduler says is not what somebody wished for: a pod that got its node is at its first generation still.
        if context.subresource != Some("binding") {
            self.count_generation(new, old);
        }
    }

    /// Puts the generation: 1 at first, one more when what it counts has changed.
    fn count_generation(&self, new: &mut Value, old: Option<&Value>) {
        let generation = match (self.generation_on, old) {
            (Generation::Never, _) => {
                new.remove_at(&["metadata", "generation"]);
                return;
            }
            (_, None) => 1,
            (on, Some(old)) => {
                let before = crate::document::meta::generation(old);
                let changed = match on {
                    Generation::Spec => new.field("spec") != old.field("spec"),
                    Generation::Content | Generation::Never => content(new, true) != content(old, true),
                    Generation::Everything => content(new, false) != content(old, false),
                };
                if changed { before + 1 } else { before }
            }
        };
        crate::document::meta::set(new, "generation", generation);
    }

    /// What is wrong with a document: metadata, structure, the kind's rules; with `old`, also with the change.
    pub fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = crate::rules::metadata::validate(new, old);
        errors.extend(self.rules.validate(new, old, subresource));
        errors
    }

    /// What the writer should know.
    pub fn warn(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        self.rules.warn(new, old)
    }

    /// Adapts the document of a subresource that is the whole object (`status`, `approval`, …): what it may not write is taken from `old`.
    pub fn is_status(subresource: Option<&str>) -> bool {
        subresource == Some("status")
    }
}

/// Everything but `metadata`, and `status` where that is no part of it.
fn content(object: &Value, without_status: bool) -> Value {
    let mut content = object.clone();
    content.remove_at(&["metadata"]);
    content.remove_at(&["apiVersion"]);
    if without_status {
        content.remove_at(&["status"]);
    }
    content
}
