//! `helm version` and `helm env`: what Helm's users ask first.

use super::flags::{Flag, Kind, Matches, of, switch};
use super::{Done, settings};
use crate::output;

pub(super) const FLAGS: &[Flag] =
    &[switch("short", "print the version number"), of(Kind::Text, "template", "template for version string format")];

pub(super) fn run(matches: &Matches) -> Done {
    let helm = chart::template::imagined().helm;
    if matches.flag("short") {
        output::line(&helm.version);
        return Ok(());
    }
    output::line(&format!(
        "version.BuildInfo{{Version:{:?}, GitCommit:{:?}, GitTreeState:{:?}, GoVersion:{:?}, KubeClientVersion:{:?}}}",
        helm.version, helm.git_commit, helm.git_tree_state, helm.go_version, helm.kube_client_version
    ));
    Ok(())
}

/// Where repositories are remembered, and which namespace is meant.
pub(super) fn env(matches: &Matches) -> Done {
    let facts = [
        ("HELM_NAMESPACE", settings::namespace(matches)),
        ("HELM_REPOSITORY_CONFIG", settings::repository_config(matches).display().to_string()),
    ];
    match matches.arguments.first() {
        None => facts.iter().for_each(|(name, value)| output::line(&format!("{name}={value:?}"))),
        Some(wanted) => {
            let value = facts.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value);
            output::line(value);
        }
    }
    Ok(())
}
