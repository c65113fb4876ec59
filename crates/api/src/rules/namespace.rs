//! Namespaces: active until they are deleted, and kept by their finalizer until they are empty.

use super::{RuleContext, Rules};
use crate::document::{Value, meta};

/// The rules of namespaces.
pub struct NamespaceRules;

impl Rules for NamespaceRules {
    fn default(&self, namespace: &mut Value) {
        let name = meta::name(namespace).to_owned();
        namespace.set_at(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                new.set_at(&["spec", "finalizers"], Value::Array(vec!["kubernetes".into()]));
                new.set_at(&["status"], Value::object());
                new.set_at(&["status", "phase"], "Active");
            }
            Some(old) if context.subresource.is_none() => {
                super::pod::keep(new, old, &["spec", "finalizers"]);
                super::pod::keep(new, old, &["status"]);
            }
            Some(_) => {}
        }
    }
}
