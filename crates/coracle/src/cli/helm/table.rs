//! The table of Helm's commands.

use super::flags::{Arity, Matches, Verb};
use super::{
    Done, create, dependency, lint, list, locate, options, package, provenance, pull, push, release, repo, report, search,
    settings, show, supply, template, version,
};

const fn group(name: &'static str, usage: &'static str, short: &'static str, children: &'static [Verb]) -> Verb {
    Verb { name, aliases: &[], usage, short, arity: Arity::None, flags: &[], run: nothing, children }
}

fn nothing(_: &Matches) -> Done {
    Ok(())
}

const fn shown(name: &'static str, usage: &'static str, short: &'static str, run: fn(&Matches) -> Done) -> Verb {
    Verb {
        name,
        aliases: &[],
        usage,
        short,
        arity: Arity::Exactly(1),
        flags: &[locate::LOCATE_FLAGS, locate::ACCESS_FLAGS, show::VALUES_FLAGS],
        run,
        children: &[],
    }
}

/// All commands.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "create",
        aliases: &[],
        usage: "helm create NAME [flags]",
        short: "create a new chart with the given name",
        arity: Arity::Exactly(1),
        flags: &[create::FLAGS],
        run: create::run,
        children: &[],
    },
    Verb {
        aliases: &["dep", "dependencies"],
        ..group("dependency", "helm dependency [command]", "manage a chart's dependencies", DEPENDENCY)
    },
    Verb {
        name: "env",
        aliases: &[],
        usage: "helm env [flags]",
        short: "helm client environment information",
        arity: Arity::AtMost(1),
        flags: &[],
        run: version::env,
        children: &[],
    },
    group("get", "helm get [command]", "download extended information of a named release", GET),
    Verb {
        name: "history",
        aliases: &["hist"],
        usage: "helm history RELEASE_NAME [flags]",
        short: "fetch release history",
        arity: Arity::Exactly(1),
        flags: &[report::FORM_FLAGS, report::HISTORY_FLAGS],
        run: report::history,
        children: &[],
    },
    Verb {
        name: "install",
        aliases: &[],
        usage: "helm install [NAME] [CHART] [flags]",
        short: "install a chart",
        arity: Arity::AtLeast(1),
        flags: &[
            options::OUTPUT_FLAGS,
            template::INSTALL_FLAGS,
            settings::VALUE_FLAGS,
            locate::LOCATE_FLAGS,
            locate::ACCESS_FLAGS,
        ],
        run: release::install,
        children: &[],
    },
    Verb {
        name: "lint",
        aliases: &[],
        usage: "helm lint PATH [flags]",
        short: "examine a chart for possible issues",
        arity: Arity::AtLeast(1),
        flags: &[lint::FLAGS, settings::VALUE_FLAGS],
        run: lint::run,
        children: &[],
    },
    Verb {
        name: "list",
        aliases: &["ls"],
        usage: "helm list [flags]",
        short: "list releases",
        arity: Arity::None,
        flags: &[report::FORM_FLAGS, list::LIST_FLAGS],
        run: list::list,
        children: &[],
    },
    Verb {
        name: "package",
        aliases: &[],
        usage: "helm package [CHART_PATH] [...] [flags]",
        short: "package a chart directory into a chart archive",
        arity: Arity::Any,
        flags: &[package::FLAGS, locate::ACCESS_FLAGS],
        run: package::run,
        children: &[],
    },
    Verb {
        name: "pull",
        aliases: &["fetch"],
        usage: "helm pull [chart URL | repo/chartname] [...] [flags]",
        short: "download a chart from a repository and (optionally) unpack it in local directory",
        arity: Arity::AtLeast(1),
        flags: &[pull::FLAGS, locate::LOCATE_FLAGS, locate::ACCESS_FLAGS],
        run: pull::run,
        children: &[],
    },
    Verb {
        name: "push",
        aliases: &[],
        usage: "helm push [chart] [remote] [flags]",
        short: "push a chart to remote",
        arity: Arity::AtLeast(2),
        flags: &[push::FLAGS],
        run: push::run,
        children: &[],
    },
    group("registry", "helm registry [command]", "login to or logout from a registry", REGISTRY),
    group("repo", "helm repo [command]", "add, list, remove, update, and index chart repositories", REPO),
    Verb {
        name: "rollback",
        aliases: &[],
        usage: "helm rollback <RELEASE> [REVISION] [flags]",
        short: "roll back a release to a previous revision",
        arity: Arity::AtLeast(1),
        flags: &[options::ROLLBACK_FLAGS],
        run: release::rollback,
        children: &[],
    },
    group("search", "helm search [command]", "search for a keyword in charts", SEARCH),
    Verb { aliases: &["inspect"], ..group("show", "helm show [command]", "show information of a chart", SHOW) },
    Verb {
        name: "status",
        aliases: &[],
        usage: "helm status RELEASE_NAME [flags]",
        short: "display the status of the named release",
        arity: Arity::Exactly(1),
        flags: &[report::FORM_FLAGS, report::REVISION_FLAGS],
        run: report::status,
        children: &[],
    },
    Verb {
        name: "template",
        aliases: &[],
        usage: "helm template [NAME] [CHART] [flags]",
        short: "locally render templates",
        arity: Arity::AtLeast(1),
        flags: &[template::FLAGS, template::INSTALL_FLAGS, settings::VALUE_FLAGS, locate::LOCATE_FLAGS, locate::ACCESS_FLAGS],
        run: template::run,
        children: &[],
    },
    Verb {
        name: "test",
        aliases: &[],
        usage: "helm test [RELEASE] [flags]",
        short: "run tests for a release",
        arity: Arity::Exactly(1),
        flags: &[report::FORM_FLAGS, options::TEST_FLAGS],
        run: release::test,
        children: &[],
    },
    Verb {
        name: "uninstall",
        aliases: &["del", "delete", "un"],
        usage: "helm uninstall RELEASE_NAME [...] [flags]",
        short: "uninstall a release",
        arity: Arity::AtLeast(1),
        flags: &[options::UNINSTALL_FLAGS],
        run: release::uninstall,
        children: &[],
    },
    Verb {
        name: "upgrade",
        aliases: &[],
        usage: "helm upgrade [RELEASE] [CHART] [flags]",
        short: "upgrade a release",
        arity: Arity::Exactly(2),
        flags: &[
            options::UPGRADE_FLAGS,
            options::OUTPUT_FLAGS,
            template::INSTALL_FLAGS,
            settings::VALUE_FLAGS,
            locate::LOCATE_FLAGS,
            locate::ACCESS_FLAGS,
        ],
        run: release::upgrade,
        children: &[],
    },
    Verb {
        name: "verify",
        aliases: &[],
        usage: "helm verify PATH [flags]",
        short: "verify that a chart at the given path has been signed and is valid",
        arity: Arity::Exactly(1),
        flags: &[provenance::FLAGS],
        run: provenance::run,
        children: &[],
    },
    Verb {
        name: "version",
        aliases: &[],
        usage: "helm version [flags]",
        short: "print the helm version information",
        arity: Arity::None,
        flags: &[version::FLAGS],
        run: version::run,
        children: &[],
    },
];

const DEPENDENCY: &[Verb] = &[
    Verb {
        name: "build",
        aliases: &[],
        usage: "helm dependency build CHART [flags]",
        short: "rebuild the charts/ directory based on the Chart.lock file",
        arity: Arity::AtMost(1),
        flags: &[supply::FLAGS, locate::ACCESS_FLAGS],
        run: supply::build,
        children: &[],
    },
    Verb {
        name: "list",
        aliases: &["ls"],
        usage: "helm dependency list CHART [flags]",
        short: "list the dependencies for the given chart",
        arity: Arity::AtMost(1),
        flags: &[dependency::LIST_FLAGS],
        run: dependency::list,
        children: &[],
    },
    Verb {
        name: "update",
        aliases: &["up"],
        usage: "helm dependency update CHART [flags]",
        short: "update charts/ based on the contents of Chart.yaml",
        arity: Arity::AtMost(1),
        flags: &[supply::FLAGS, locate::ACCESS_FLAGS],
        run: supply::update,
        children: &[],
    },
];

const GET: &[Verb] = &[
    Verb {
        name: "all",
        aliases: &[],
        usage: "helm get all RELEASE_NAME [flags]",
        short: "download all information for a named release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::TEMPLATE_FLAGS],
        run: report::get_all,
        children: &[],
    },
    Verb {
        name: "metadata",
        aliases: &[],
        usage: "helm get metadata RELEASE_NAME [flags]",
        short: "This command fetches metadata for a given release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::FORM_FLAGS],
        run: report::get_metadata,
        children: &[],
    },
    Verb {
        name: "hooks",
        aliases: &[],
        usage: "helm get hooks RELEASE_NAME [flags]",
        short: "download all hooks for a named release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::FORM_FLAGS],
        run: report::get_hooks,
        children: &[],
    },
    Verb {
        name: "manifest",
        aliases: &[],
        usage: "helm get manifest RELEASE_NAME [flags]",
        short: "download the manifest for a named release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::FORM_FLAGS],
        run: report::get_manifest,
        children: &[],
    },
    Verb {
        name: "notes",
        aliases: &[],
        usage: "helm get notes RELEASE_NAME [flags]",
        short: "download the notes for a named release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::FORM_FLAGS],
        run: report::get_notes,
        children: &[],
    },
    Verb {
        name: "values",
        aliases: &[],
        usage: "helm get values RELEASE_NAME [flags]",
        short: "download the values file for a named release",
        arity: Arity::Exactly(1),
        flags: &[report::REVISION_FLAGS, report::FORM_FLAGS, report::VALUES_FLAGS],
        run: report::get_values,
        children: &[],
    },
];

const REGISTRY: &[Verb] = &[
    Verb {
        name: "login",
        aliases: &[],
        usage: "helm registry login [host] [flags]",
        short: "login to a registry",
        arity: Arity::AtLeast(1),
        flags: &[push::LOGIN_FLAGS],
        run: push::login,
        children: &[],
    },
    Verb {
        name: "logout",
        aliases: &[],
        usage: "helm registry logout [host] [flags]",
        short: "logout from a registry",
        arity: Arity::AtLeast(1),
        flags: &[],
        run: push::logout,
        children: &[],
    },
];

const REPO: &[Verb] = &[
    Verb {
        name: "add",
        aliases: &[],
        usage: "helm repo add [NAME] [URL] [flags]",
        short: "add a chart repository",
        arity: Arity::Exactly(2),
        flags: &[repo::ADD_FLAGS],
        run: repo::add,
        children: &[],
    },
    Verb {
        name: "update",
        aliases: &["up"],
        usage: "helm repo update [REPO1 [REPO2 ...]] [flags]",
        short: "update information of available charts locally from chart repositories",
        arity: Arity::Any,
        flags: &[repo::UPDATE_FLAGS],
        run: repo::update,
        children: &[],
    },
    Verb {
        name: "list",
        aliases: &["ls"],
        usage: "helm repo list [flags]",
        short: "list chart repositories",
        arity: Arity::None,
        flags: &[repo::LIST_FLAGS],
        run: repo::list,
        children: &[],
    },
    Verb {
        name: "remove",
        aliases: &["rm"],
        usage: "helm repo remove [REPO1 [REPO2 ...]] [flags]",
        short: "remove one or more chart repositories",
        arity: Arity::AtLeast(1),
        flags: &[],
        run: repo::remove,
        children: &[],
    },
    Verb {
        name: "index",
        aliases: &[],
        usage: "helm repo index [DIR] [flags]",
        short: "generate an index file given a directory containing packaged charts",
        arity: Arity::Exactly(1),
        flags: &[repo::INDEX_FLAGS],
        run: repo::index,
        children: &[],
    },
];

const SEARCH: &[Verb] = &[
    Verb {
        name: "hub",
        aliases: &[],
        usage: "helm search hub [KEYWORD] [flags]",
        short: "search for charts in the Artifact Hub or your own hub instance",
        arity: Arity::Any,
        flags: &[],
        run: search::hub,
        children: &[],
    },
    Verb {
        name: "repo",
        aliases: &[],
        usage: "helm search repo [keyword] [flags]",
        short: "search repositories for a keyword in charts",
        arity: Arity::Any,
        flags: &[search::REPO_FLAGS],
        run: search::repo,
        children: &[],
    },
];

const SHOW: &[Verb] = &[
    shown("all", "helm show all [CHART] [flags]", "show all information of the chart", show::all),
    shown("chart", "helm show chart [CHART] [flags]", "show the chart's definition", show::chart),
    shown("crds", "helm show crds [CHART] [flags]", "show the chart's CRDs", show::crds),
    shown("readme", "helm show readme [CHART] [flags]", "show the chart's README", show::readme),
    shown("values", "helm show values [CHART] [flags]", "show the chart's values", show::values),
];

/// Commands that look like what was said, in the form of an error's tail.
pub(super) fn similar(word: &str) -> String {
    let near: Vec<String> = VERBS
        .iter()
        .map(|verb| verb.name)
        .filter(|name| distance(&word.to_lowercase(), name) <= 2 || name.starts_with(&word.to_lowercase()))
        .map(|name| format!("\t{name}\n"))
        .collect();
    if near.is_empty() { String::new() } else { format!("\n\nDid you mean this?\n{}", near.concat()) }
}

/// How many letters have to change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (to, other) in b.iter().enumerate() {
            let change = corner + usize::from(from != *other);
            corner = row[to + 1];
            row[to + 1] = change.min(row[to] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
