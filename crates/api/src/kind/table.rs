//! The table of all kinds: static and custom rows together, immutable; a change makes a new table.

use super::{Kind, Version};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The built-in kinds.
pub static KINDS: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(crate::kinds::all);

/// A group with its versions, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name; empty for core.
    pub name: String,
    /// The served versions, by priority.
    pub versions: Vec<String>,
}

/// All kinds, looked up by resource or kind.
#[derive(Clone, Debug)]
pub struct KindTable {
    kinds: Vec<Arc<Kind>>,
    by_resource: HashMap<(String, String), usize>,
    by_kind: HashMap<(String, String), usize>,
}

impl Default for KindTable {
    fn default() -> Self {
        Self::built_in()
    }
}

impl KindTable {
    /// The built-in kinds alone.
    pub fn built_in() -> Self {
        Self::with_custom([])
    }

    /// The built-in kinds and these. A custom kind never hides a built-in one.
    pub fn with_custom(custom: impl IntoIterator<Item = Arc<Kind>>) -> Self {
        let mut table = Self { kinds: Vec::new(), by_resource: HashMap::new(), by_kind: HashMap::new() };
        for kind in KINDS.iter().cloned().chain(custom) {
            let resource = (kind.group.to_string(), kind.plural.to_string());
            if table.by_resource.contains_key(&resource) {
                continue;
            }
            let index = table.kinds.len();
            table.by_resource.insert(resource, index);
            table.by_kind.entry((kind.group.to_string(), kind.kind.to_string())).or_insert(index);
            table.kinds.push(kind);
        }
        table
    }

    /// Every kind.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }

    /// A kind by group and plural, whatever the version.
    pub fn resource(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_resource.get(&(group.to_owned(), plural.to_owned())).map(|index| &self.kinds[*index])
    }

    /// A kind and a served version by group, version and plural.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<(&Arc<Kind>, &Version)> {
        served(self.resource(group, plural)?, version)
    }

    /// A kind and a served version by group, version and kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<(&Arc<Kind>, &Version)> {
        let index = *self.by_kind.get(&(group.to_owned(), kind.to_owned()))?;
        served(&self.kinds[index], version)
    }

    /// The groups that are served, core first, then in upstream's order of priority, custom ones last by name.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for kind in &self.kinds {
            let index = groups.iter().position(|group| group.name == kind.group).unwrap_or_else(|| {
                groups.push(Group { name: kind.group.to_string(), versions: Vec::new() });
                groups.len() - 1
            });
            for version in kind.versions.iter().filter(|version| version.served) {
                if !groups[index].versions.iter().any(|known| known == &version.name) {
                    groups[index].versions.push(version.name.to_string());
                }
            }
        }
        groups.retain(|group| !group.versions.is_empty());
        for group in &mut groups {
            group.versions.sort_by_key(|version| std::cmp::Reverse(version_order(version)));
        }
        let built_in = |group: &Group| KINDS.iter().position(|kind| kind.group == group.name);
        groups.sort_by(|a, b| {
            (built_in(a).unwrap_or(usize::MAX), a.name.as_str()).cmp(&(built_in(b).unwrap_or(usize::MAX), b.name.as_str()))
        });
        groups
    }

    /// The kinds that a group serves in a version, by plural.
    pub fn in_version<'t>(&'t self, group: &'t str, version: &'t str) -> impl Iterator<Item = (&'t Arc<Kind>, &'t Version)> {
        self.kinds.iter().filter(move |kind| kind.group == group).filter_map(move |kind| served(kind, version))
    }
}

fn served<'t>(kind: &'t Arc<Kind>, version: &str) -> Option<(&'t Arc<Kind>, &'t Version)> {
    let version = kind.version(version)?;
    version.served.then_some((kind, version))
}

/// Kubernetes' order of versions: stable over beta over alpha, higher numbers first; other names come last.
pub(super) fn version_order(name: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let parse = || {
        let rest = name.strip_prefix('v')?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..end].parse::<u64>().ok()?;
        let (stage, minor) = match &rest[end..] {
            "" => return Some((3, major, 0)),
            text if text.starts_with("beta") => (2, &text[4..]),
            text if text.starts_with("alpha") => (1, &text[5..]),
            _ => return None,
        };
        Some((stage, major, minor.parse().ok()?))
    };
    let (stage, major, minor) = parse().unwrap_or((0, 0, 0));
    (stage, major, minor, std::cmp::Reverse(name.to_owned()))
}
