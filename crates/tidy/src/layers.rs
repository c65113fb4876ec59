//! Which crate may lean on which. The whole graph is a golden file; what must never be reachable is a table here.

use std::collections::{BTreeMap, BTreeSet};

/// A crate and those that it depends on directly, build and test dependencies left out.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// `from` never reaches `to`, through whatever.
pub struct Ban {
    /// The crates that are bound.
    pub from: &'static [&'static str],
    /// The crates that they never reach.
    pub to: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

/// What must never be reachable.
pub const BANS: &[Ban] = &[
    Ban {
        from: &["control", "node", "net", "platform"],
        to: &["server", "store"],
        reason: "they speak to the API like anyone else: authenticated, authorised and admitted",
    },
    Ban {
        from: &["decide", "chart", "api"],
        to: &["tokio", "mio", "getrandom", "rand", "hyper", "rustls", "nix", "rustix"],
        reason: "they are pure: clock, entropy, disk and network are parameters",
    },
    Ban { from: &["store", "runtime"], to: &["api"], reason: "they know bytes and processes, not kinds" },
    Ban { from: &["api"], to: &["decide", "chart", "client"], reason: "api is the bottom layer" },
    Ban { from: &["client"], to: &["decide", "control", "net", "runtime"], reason: "client is only the door to the API" },
    Ban { from: &["net", "runtime"], to: &["client", "kube"], reason: "they receive data and watch nothing" },
];

/// Crates whose way to entropy is harmless: the seed of a hash table, on which nothing that they give back depends, or a source that
/// they offer behind a feature which other members of the workspace turn on, and which `clippy.toml` bans where it must not be used.
const HARMLESS: &[&str] = &["ahash", "crypto-common", "jsonschema", "jsonschema-value", "rand_core", "referencing"];

/// The graph without what is harmless in it.
pub fn essential(mut graph: Graph) -> Graph {
    for name in HARMLESS {
        if let Some(dependencies) = graph.get_mut(*name) {
            dependencies.remove("getrandom");
        }
    }
    graph
}

/// Everything reachable from `start`, itself left out.
pub fn closure(graph: &Graph, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![start.to_owned()];
    while let Some(name) = next.pop() {
        for dependency in graph.get(&name).into_iter().flatten() {
            if seen.insert(dependency.clone()) {
                next.push(dependency.clone());
            }
        }
    }
    seen
}

/// One line a broken ban.
pub fn broken(graph: &Graph, bans: &[Ban]) -> Vec<String> {
    let mut lines = Vec::new();
    for ban in bans {
        for from in ban.from {
            let reached = closure(graph, from);
            for to in ban.to.iter().filter(|to| reached.contains(**to)) {
                lines.push(format!("{from} reaches {to}: {}", ban.reason));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_found_through_a_crate_between() {
        let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|name| (*name).to_owned()).collect());
        let graph: Graph = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &[])].into();
        let bans = [Ban { from: &["a"], to: &["c"], reason: "no" }, Ban { from: &["c"], to: &["a"], reason: "no" }];
        assert_eq!(broken(&graph, &bans), ["a reaches c: no"]);
    }
}
