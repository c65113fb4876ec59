//! What is kept of an object beside its bytes, so that lists and watches filter without decoding: labels, and the fields by which its
//! kind can be selected.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use api::{
    document::{Value, meta},
    kind::{Kind, KindTable, SelectableField, Version},
    selector::{FieldSelector, LabelSelector},
};
use arc_swap::ArcSwap;
use serde::Deserialize;
use store::{Entry, Project};

/// What is kept of one object.
#[derive(Debug, Default)]
pub struct Fields {
    labels: Box<[(Box<str>, Box<str>)]>,
    /// The selectable fields of the kind, in its order; empty when the kind was not known yet.
    selectable: Box<[Box<str>]>,
}

/// Extracts [`Fields`] by the kinds that are known.
pub struct Projection {
    kinds: Arc<ArcSwap<KindTable>>,
}

impl Projection {
    pub(super) fn new(kinds: Arc<ArcSwap<KindTable>>) -> Self {
        Self { kinds }
    }
}

impl Project for Projection {
    type Fields = Fields;

    fn project(&self, key: &str, value: &[u8]) -> Fields {
        let mut parts = key.split('/').skip(1);
        let group = parts.next().filter(|group| *group != "core").unwrap_or_default();
        let kinds = self.kinds.load();
        let kind = parts.next().and_then(|plural| kinds.resource(group, plural));
        let Some(kind) = kind.filter(|kind| !kind.storage_version().selectable_fields.is_empty()) else {
            return Fields { labels: labels_alone(value), selectable: Box::default() };
        };
        let Ok((object, _)) = Value::parse_json(value) else { return Fields::default() };
        let labels = meta::labels(&object)
            .map(|labels| labels.iter().filter_map(|(name, value)| Some((name.into(), value.as_str()?.into()))).collect());
        let selectable = kind.storage_version().selectable_fields.iter();
        let selectable = selectable.map(|field| field.value(&object).as_ref().into()).collect();
        Fields { labels: labels.unwrap_or_default(), selectable }
    }
}

/// The labels of an object, with the rest of it skipped rather than read.
fn labels_alone(value: &[u8]) -> Box<[(Box<str>, Box<str>)]> {
    #[derive(Deserialize)]
    struct Head<'v> {
        #[serde(borrow, default)]
        metadata: Metadata<'v>,
    }
    #[derive(Deserialize, Default)]
    struct Metadata<'v> {
        #[serde(borrow, default)]
        labels: Option<BTreeMap<Cow<'v, str>, Cow<'v, str>>>,
    }
    let Ok(Head { metadata }) = serde_json::from_slice(value) else { return Box::default() };
    metadata.labels.into_iter().flatten().map(|(name, value)| (name.as_ref().into(), value.as_ref().into())).collect()
}

/// What a list or watch asks for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
    /// By fields of the request's version, which a webhook has to make of the stored one first.
    converted: Option<(FieldSelector, Arc<[SelectableField]>)>,
    /// The fields of the request's version where they are not those of the stored one.
    own: Option<Arc<[SelectableField]>>,
}

impl Filter {
    /// What selectors ask for in a version of a kind.
    pub fn new(kind: &Kind, version: &Version, labels: LabelSelector, mut fields: FieldSelector) -> Self {
        if !kind.custom {
            return Self { labels, fields, converted: None, own: None };
        }
        if kind.conversion.is_none() {
            let own = (!version.storage).then(|| Arc::clone(&version.selectable_fields));
            return Self { labels, fields, converted: None, own };
        }
        let (known, inside): (Vec<_>, Vec<_>) =
            std::mem::take(&mut fields.requirements).into_iter().partition(|part| part.field.starts_with("metadata."));
        fields.requirements = known;
        let selected = FieldSelector { requirements: inside };
        let converted = (!selected.is_everything()).then(|| (selected, Arc::clone(&version.selectable_fields)));
        Self { labels, fields, converted, own: None }
    }

    /// Whether everything is asked for.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.converted.is_none()
    }

    /// Whether [`Filter::matches`] is not the whole answer.
    pub fn needs_conversion(&self) -> bool {
        self.converted.is_some()
    }

    /// Whether an object that was converted into the request's version is asked for, which [`Filter::matches`] has let through.
    pub fn matches_converted(&self, object: &Value) -> bool {
        let Some((fields, selectable)) = &self.converted else { return true };
        fields.matches_by(|field| {
            let found = selectable.iter().find(|selectable| selectable.name == field)?;
            Some(found.value(object).into_owned().into())
        })
    }

    /// Whether an object is asked for, as far as its stored version tells.
    pub fn matches(&self, kind: &Kind, entry: &Entry<Fields>) -> bool {
        if self.labels.is_everything() && self.fields.is_everything() {
            return true;
        }
        let fields = &entry.fields;
        let label = |name: &str| fields.labels.iter().find(|(found, _)| &**found == name).map(|(_, value)| &**value);
        if !self.labels.matches_by(label) {
            return false;
        }
        let (namespace, name) = names(&entry.key);
        self.fields.matches_by(|field| {
            Some(match field {
                "metadata.name" => name.into(),
                "metadata.namespace" => namespace.into(),
                _ if self.own.is_some() => {
                    let found = self.own.iter().flat_map(|own| own.iter()).find(|selectable| selectable.name == field)?;
                    found.value(&super::decode(entry)).into_owned().into()
                }
                _ => {
                    let at = kind.storage_version().selectable_fields.iter().position(|selectable| selectable.name == field)?;
                    let extracted = fields.selectable.get(at).filter(|_| !kind.custom || entry.modified > kind.schemas_since);
                    match extracted {
                        Some(value) => (&**value).into(),
                        // Loaded before its kind was known, or was another: look it up.
                        None => kind.storage_version().selectable_fields[at].value(&super::decode(entry)).into_owned().into(),
                    }
                }
            })
        })
    }
}

/// Namespace and name out of a key.
pub fn names(key: &str) -> (&str, &str) {
    let mut parts = key.rsplitn(3, '/');
    let name = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default(), name)
}
