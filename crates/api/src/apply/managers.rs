//! The record of who owns what: `metadata.managedFields`.

use super::Manager;
use super::set::FieldSet;
use crate::document::{Map, Value, meta};
use crate::status::{Cause, Status};

/// More managers that update than this are folded into one.
const UPDATERS_MAX: usize = 10;
/// The manager into which the oldest are folded.
const ANCIENT: &str = "ancient-changes";

/// One manager's share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) manager: String,
    pub(super) applied: bool,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: String,
    pub(super) set: FieldSet,
}

impl Share {
    /// Whether both are the same manager's. An applier is one whatever version it speaks.
    fn is_of(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.applied == other.applied
            && self.subresource == other.subresource
            && (self.applied || self.api_version == other.api_version)
    }

    /// As a conflict names it.
    fn title(&self) -> String {
        let mut title = crate::status::go_quote(&self.manager);
        if !self.subresource.is_empty() {
            title.push_str(&format!(" with subresource {}", crate::status::go_quote(&self.subresource)));
        }
        if !self.applied {
            title.push_str(&format!(" using {}", self.api_version));
        }
        title
    }
}

/// All shares of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Managers(pub(super) Vec<Share>);

impl Managers {
    /// Reads the record of an object.
    pub(super) fn of(object: &Value) -> Self {
        Self(object.array_at(&["metadata", "managedFields"]).iter().filter_map(share).collect())
    }

    /// The share of a writer who has none.
    pub(super) fn new_share(writer: Manager<'_>, applied: bool) -> Share {
        Share {
            manager: writer.name.to_owned(),
            applied,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.unwrap_or_default().to_owned(),
            time: meta::format_time(writer.now),
            set: FieldSet::default(),
        }
    }

    pub(super) fn find(&self, share: &Share) -> Option<&Share> {
        self.0.iter().find(|other| other.is_of(share))
    }

    /// Takes a share into the record in the place of the same manager's. Its time stays when its fields do.
    pub(super) fn put(&mut self, mut share: Share) {
        match self.0.iter_mut().find(|other| other.is_of(&share)) {
            Some(mine) => {
                if mine.set == share.set && mine.api_version == share.api_version {
                    share.time.clone_from(&mine.time);
                }
                *mine = share;
            }
            None => self.0.push(share),
        }
        self.0.retain(|share| !share.set.is_empty());
    }

    /// Everything that anybody owns.
    pub(super) fn everything(&self) -> FieldSet {
        self.0.iter().fold(FieldSet::default(), |all, share| all.union(&share.set))
    }

    /// The others' fields among `touched`.
    pub(super) fn conflicts<'m>(&'m self, own: &Share, touched: &FieldSet) -> Vec<(&'m Share, FieldSet)> {
        let others = self.0.iter().filter(|share| !share.is_of(own));
        others.map(|share| (share, share.set.intersection(touched))).filter(|(_, set)| !set.is_empty()).collect()
    }

    /// The others lose these fields.
    pub(super) fn take_from_others(&mut self, own: &Share, fields: &FieldSet) {
        for share in self.0.iter_mut().filter(|share| !share.is_of(own)) {
            share.set = share.set.difference(fields);
        }
        self.0.retain(|share| !share.set.is_empty() || share.is_of(own));
    }

    /// Writes the record into an object, in upstream's order.
    pub(super) fn write(mut self, object: &mut Value) {
        self.fold_ancient();
        if self.0.is_empty() {
            object.remove_at(&["metadata", "managedFields"]);
            return;
        }
        self.0.sort_by(|a, b| {
            let key = |share: &Share| {
                (!share.applied, share.time.clone(), share.manager.clone(), share.api_version.clone(), share.subresource.clone())
            };
            key(a).cmp(&key(b))
        });
        meta::set(object, "managedFields", Value::Array(self.0.iter().map(entry).collect()));
    }

    fn fold_ancient(&mut self) {
        let mut updaters: Vec<(String, usize)> =
            self.0.iter().enumerate().filter(|(_, share)| !share.applied).map(|(at, share)| (share.time.clone(), at)).collect();
        if updaters.len() <= UPDATERS_MAX {
            return;
        }
        updaters.sort();
        let mut folded: Vec<usize> = updaters[..=updaters.len() - UPDATERS_MAX].iter().map(|(_, at)| *at).collect();
        folded.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        let mut ancient: Option<Share> = None;
        for at in folded {
            let share = self.0.remove(at);
            let set = ancient.as_ref().map_or_else(|| share.set.clone(), |ancient| ancient.set.union(&share.set));
            ancient = Some(Share { manager: ANCIENT.to_owned(), set, ..share });
        }
        self.0.extend(ancient);
    }
}

fn share(entry: &Value) -> Option<Share> {
    let text = |field: &str| entry.str_at(&[field]).unwrap_or_default().to_owned();
    let operation = text("operation");
    (matches!(operation.as_str(), "Apply" | "Update")).then(|| Share {
        manager: text("manager"),
        applied: operation == "Apply",
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: text("time"),
        set: entry.field("fieldsV1").map(FieldSet::parse).unwrap_or_default(),
    })
}

fn entry(share: &Share) -> Value {
    let mut entry = Map::new();
    entry.insert("manager", share.manager.as_str());
    entry.insert("operation", if share.applied { "Apply" } else { "Update" });
    entry.insert("apiVersion", share.api_version.as_str());
    if !share.time.is_empty() {
        entry.insert("time", share.time.as_str());
    }
    entry.insert("fieldsType", "FieldsV1");
    entry.insert("fieldsV1", share.set.to_value());
    if !share.subresource.is_empty() {
        entry.insert("subresource", share.subresource.as_str());
    }
    Value::Object(entry)
}

/// The refusal that names each field and its owner.
pub(super) fn refusal(conflicts: &[(&Share, FieldSet)]) -> Status {
    let mut found: Vec<(String, String)> =
        conflicts.iter().flat_map(|(share, set)| set.paths().into_iter().map(|path| (share.title(), path))).collect();
    found.sort();
    let causes = found.iter().map(|(title, path)| Cause {
        reason: "FieldManagerConflict".into(),
        message: format!("conflict with {title}"),
        field: path.clone(),
    });
    let message = match found.as_slice() {
        [(title, path)] => format!("Apply failed with 1 conflict: conflict with {title}: {path}"),
        several => {
            let mut lines = Vec::new();
            let mut last = "";
            for (title, path) in several {
                if title != last {
                    lines.push(format!("conflicts with {title}:"));
                    last = title;
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n"))
        }
    };
    Status::apply_conflict(causes.collect(), message)
}
