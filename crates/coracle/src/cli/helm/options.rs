//! How releases are changed, as flags say it: which flags the commands have, and what they mean together. It acts on nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use platform::helm::Applied;

use super::flags::{Flag, Kind, Matches, duration, of, switch};
use super::{Done, Fault};
use crate::output;

pub(super) const OUTPUT_FLAGS: &[Flag] = &[
    of(Kind::Text, "output", "prints the output in the specified format. Allowed values: table, json, yaml")
        .short('o')
        .default("table"),
    of(Kind::Text, "dry-run", "simulates the operation either client-side or server-side").default("none").bare("unset"),
    switch("render-subchart-notes", "if set, render subchart notes along with the parent"),
    switch("hide-notes", "if set, do not show notes in output"),
    switch("hide-secret", "hide Kubernetes Secrets when also using the --dry-run flag"),
];

pub(super) const UPGRADE_FLAGS: &[Flag] = &[
    of(Kind::Text, "server-side", "must be \"true\", \"false\" or \"auto\"").default("auto"),
    switch("install", "if a release by this name doesn't already exist, run an install").short('i'),
    switch("reset-values", "when upgrading, reset the values to the ones built into the chart"),
    switch("reuse-values", "when upgrading, reuse the last release's values and merge in any overrides"),
    switch("reset-then-reuse-values", "reset the values to the chart's, apply the last release's and merge in overrides"),
    of(Kind::Number, "history-max", "limit the maximum number of revisions saved per release").default("10"),
    switch("cleanup-on-fail", "allow deletion of new resources created in this upgrade when upgrade fails"),
];

pub(super) const ROLLBACK_FLAGS: &[Flag] = &[
    switch("force-replace", "force resource updates by replacement"),
    switch("force", "deprecated").deprecated("use --force-replace instead"),
    switch("force-conflicts", "if set server-side apply will force changes against conflicts"),
    of(Kind::Text, "server-side", "must be \"true\", \"false\" or \"auto\"").default("auto"),
    of(Kind::Text, "dry-run", "simulates the operation either client-side or server-side").default("none").bare("unset"),
    switch("no-hooks", "prevent hooks from running during rollback"),
    switch("cleanup-on-fail", "allow deletion of new resources created in this rollback when rollback fails"),
    switch("wait-for-jobs", "if set and --wait enabled, will wait until all Jobs have been completed"),
    of(Kind::Wait, "wait", "wait until resources are ready").default("hookOnly").bare("watcher"),
    of(Kind::Duration, "timeout", "time to wait for any individual Kubernetes operation").default("5m0s"),
    of(Kind::Number, "history-max", "limit the maximum number of revisions saved per release").default("10"),
    of(Kind::Text, "description", "add a custom description"),
];

pub(super) const UNINSTALL_FLAGS: &[Flag] = &[
    switch("dry-run", "simulate a uninstall"),
    switch("no-hooks", "prevent hooks from running during uninstallation"),
    switch("ignore-not-found", "Treat \"release not found\" as a successful uninstall"),
    switch("keep-history", "mark the release as deleted, but retain the release history"),
    of(Kind::Text, "cascade", "Must be \"background\", \"orphan\", or \"foreground\"").default("background"),
    of(Kind::Wait, "wait", "wait until resources are gone").default("hookOnly").bare("watcher"),
    of(Kind::Duration, "timeout", "time to wait for any individual Kubernetes operation").default("5m0s"),
    of(Kind::Text, "description", "add a custom description"),
];

pub(super) const TEST_FLAGS: &[Flag] = &[
    of(Kind::Duration, "timeout", "time to wait for any individual Kubernetes operation").default("5m0s"),
    of(Kind::Commas, "filter", "specify tests by attribute (currently \"name\") using attribute=value syntax"),
    switch("logs", "dump the logs from test pods"),
    switch("hide-notes", "if set, do not show notes in test output"),
];

pub(super) fn timeout(matches: &Matches) -> Duration {
    let nanoseconds = duration(matches.text("timeout")).unwrap_or(300_000_000_000);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// Where a command is only played through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dry {
    No,
    Client,
    Server,
}

/// Where `--dry-run` plays; warns of forms that go away.
pub(super) fn dry_run(matches: &Matches, template: bool) -> Result<Dry, Fault> {
    let value = matches.text("dry-run");
    let two = || Fault::new(format!("invalid dry-run value ({value:?}). Must be \"server\" or \"client\""));
    let on = match value {
        "unset" => {
            output::remark("level=WARN msg=\"--dry-run is deprecated and should be replaced with '--dry-run=client'\"");
            return Ok(Dry::Client);
        }
        "client" => return Ok(Dry::Client),
        "server" => return Ok(Dry::Server),
        "none" if template => return Err(two()),
        "none" => return Ok(Dry::No),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        _ => {
            let three = "Must be \"none\", \"server\", or \"client\"";
            return Err(Fault::new(format!("invalid dry-run value ({value:?}). {three}")));
        }
    };
    if template && !on {
        return Err(two());
    }
    let (dry, name) = if on { (Dry::Client, "client") } else { (Dry::No, "none") };
    let text = format!("boolean '--dry-run={value}' flag is deprecated and must be replaced with '--dry-run={name}'");
    output::remark(&format!("level=WARN msg={text:?}"));
    Ok(dry)
}

/// Refuses flags that exclude each other.
pub(super) fn check_flags(matches: &Matches) -> Done {
    for first in ["force-replace", "force"] {
        if matches.said(first) && matches.said("force-conflicts") {
            let mut both = [first, "force-conflicts"];
            both.sort_unstable();
            let both = both.join(" ");
            let group = format!("{first} force-conflicts");
            return Err(Fault::new(format!(
                "if any flags in the group [{group}] are set none of the others can be; [{both}] were all set"
            )));
        }
    }
    if matches!(matches.text("wait"), "true" | "false") {
        let (value, name) = (matches.text("wait"), if matches.text("wait") == "true" { "watcher" } else { "hookOnly" });
        let text = format!("--wait={value} is deprecated (boolean value) and can be replaced with --wait={name}");
        output::remark(&format!("level=WARN msg={text:?}"));
    }
    Ok(())
}

/// Which side applies; nothing is as the last revision had it.
pub(super) fn side(matches: &Matches) -> Result<Option<bool>, Fault> {
    match matches.text("server-side") {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        "auto" => Ok(None),
        other => Err(Fault::new(format!("invalid/unknown release server-side apply method: {other}"))),
    }
}

pub(super) fn how(matches: &Matches, server_side: Option<bool>, dry: Dry) -> Applied {
    let undo = matches.flag("rollback-on-failure") || matches.flag("atomic");
    Applied {
        server_side,
        force_conflicts: matches.flag("force-conflicts"),
        dry: dry != Dry::No,
        force_replace: matches.flag("force-replace") || matches.flag("force"),
        cleanup: matches.flag("cleanup-on-fail"),
        wait: waits(matches) || undo,
        wait_for_jobs: matches.flag("wait-for-jobs"),
        no_hooks: matches.flag("no-hooks"),
        undo,
        take_ownership: matches.flag("take-ownership"),
        timeout: timeout(matches),
        history_max: matches.text("history-max").parse().unwrap_or(10),
        description: matches.text("description").to_owned(),
    }
}

pub(super) fn waits(matches: &Matches) -> bool {
    matches!(matches.text("wait"), "watcher" | "legacy" | "true")
}

/// Labels of Helm's own records.
const RESERVED: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

pub(super) fn labels(matches: &Matches) -> Result<BTreeMap<String, String>, Fault> {
    let pairs = matches.list("labels").iter().filter_map(|pair| pair.split_once('='));
    let labels: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if RESERVED.iter().any(|name| labels.contains_key(*name)) {
        let all = RESERVED.join(" ");
        let text = format!("user supplied labels contains system reserved label name. System labels: [{all}]");
        return Err(Fault::new(text));
    }
    Ok(labels)
}
