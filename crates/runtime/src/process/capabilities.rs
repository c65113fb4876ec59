//! Names and numbers of capabilities.

use rustix::thread::CapabilitySet;

use crate::container::{Capabilities, DEFAULT_CAPABILITIES};

/// The number of a name as `CAP_CHOWN`, `CHOWN` or `chown`.
fn one(name: &str) -> Option<CapabilitySet> {
    let upper = name.to_ascii_uppercase();
    CapabilitySet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper))
}

/// The set of these names; unknown ones are left out.
pub(crate) fn set(names: &[String]) -> CapabilitySet {
    names.iter().filter_map(|name| one(name)).collect()
}

fn names(set: CapabilitySet) -> Vec<String> {
    set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// See [`Capabilities::adjusted`].
pub(crate) fn adjusted(add: &[String], drop: &[String]) -> Capabilities {
    let has_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let own = rustix::thread::capabilities(None).map_or_else(|_| CapabilitySet::all(), |sets| sets.permitted);
    let base = if has_all(drop) {
        CapabilitySet::empty()
    } else if has_all(add) {
        own
    } else {
        DEFAULT_CAPABILITIES.iter().filter_map(|name| one(name)).collect()
    };
    let added = if has_all(add) { own } else { set(add) };
    let bounding = if has_all(drop) { added } else { (base | added) - set(drop) };
    Capabilities { bounding: names(bounding), ambient: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        adjusted(&owned(add), &owned(drop)).bounding
    }

    #[test]
    fn the_default_set_is_adjusted_as_container_runtimes_do() {
        assert_eq!(of(&[], &["ALL"]), Vec::<String>::new());
        assert_eq!(of(&["NET_BIND_SERVICE"], &["all"]), ["CAP_NET_BIND_SERVICE"]);
        assert!(of(&["SYS_TIME"], &[]).contains(&"CAP_SYS_TIME".to_owned()));
        assert!(!of(&[], &["CAP_CHOWN"]).contains(&"CAP_CHOWN".to_owned()));
        assert_eq!(of(&[], &[]).len(), DEFAULT_CAPABILITIES.len());
        assert_eq!(of(&["NO_SUCH"], &["ALL"]), Vec::<String>::new());
    }
}
