//! The commands that change a cluster: install, upgrade, rollback, uninstall, test. What they do is platform's.

use std::collections::BTreeMap;
use std::time::Duration;

use chart::release::{Hook, Release, Status};
use chart::template::{self, Rendered, Request};
use chart::values::{self, Values};
use platform::helm::{self, Applied, Rollback, Store, Uninstall, Wish};

use super::connect::{Connection, connect};
use super::flags::{Flag, Kind, Matches, duration, of, switch};
use super::report;
use super::{Done, Fault, chart_files, locate, settings, template as offline};
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
    switch("install", "if a release by this name doesn't already exist, run an install").short('i'),
    switch("reset-values", "when upgrading, reset the values to the ones built into the chart"),
    switch("reuse-values", "when upgrading, reuse the last release's values and merge in any overrides"),
    switch("reset-then-reuse-values", "reset the values to the chart's, apply the last release's and merge in overrides"),
    of(Kind::Number, "history-max", "limit the maximum number of revisions saved per release").default("10"),
    switch("cleanup-on-fail", "allow deletion of new resources created in this upgrade when upgrade fails"),
];

pub(super) const ROLLBACK_FLAGS: &[Flag] = &[
    switch("force-replace", "force resource updates by replacement"),
    switch("force-conflicts", "if set server-side apply will force changes against conflicts"),
    of(Kind::Text, "server-side", "must be \"true\", \"false\" or \"auto\"").default("auto"),
    switch("no-hooks", "prevent hooks from running during rollback"),
    switch("cleanup-on-fail", "allow deletion of new resources created in this rollback when rollback fails"),
    switch("wait-for-jobs", "if set and --wait enabled, will wait until all Jobs have been completed"),
    of(Kind::Wait, "wait", "wait until resources are ready").default("hookOnly").bare("watcher"),
    of(Kind::Duration, "timeout", "time to wait for any individual Kubernetes operation").default("5m0s"),
    of(Kind::Number, "history-max", "limit the maximum number of revisions saved per release").default("10"),
    of(Kind::Text, "description", "add a custom description"),
];

pub(super) const UNINSTALL_FLAGS: &[Flag] = &[
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
    of(Kind::List, "filter", "specify tests by attribute (currently \"name\") using attribute=value syntax"),
    switch("logs", "dump the logs from test pods"),
    switch("hide-notes", "if set, do not show notes in test output"),
];

fn timeout(matches: &Matches) -> Duration {
    let nanoseconds = duration(matches.text("timeout")).unwrap_or(300_000_000_000);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

fn how(matches: &Matches, server_side: Option<bool>) -> Applied {
    let undo = matches.flag("rollback-on-failure") || matches.flag("atomic");
    Applied {
        server_side,
        force_conflicts: matches.flag("force-conflicts"),
        wait: undo || matches!(matches.text("wait"), "watcher" | "legacy" | "true"),
        wait_for_jobs: matches.flag("wait-for-jobs"),
        no_hooks: matches.flag("no-hooks"),
        undo,
        take_ownership: matches.flag("take-ownership"),
        timeout: timeout(matches),
        history_max: matches.text("history-max").parse().unwrap_or(10),
        description: matches.text("description").to_owned(),
    }
}

fn labels(matches: &Matches) -> BTreeMap<String, String> {
    matches.list("labels").iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn render(
    matches: &Matches,
    connection: &Connection,
    chart: chart::chart::Chart,
    values: &Values,
    release: chart::render::Release,
) -> Result<Rendered, Fault> {
    let request = Request {
        values,
        release,
        capabilities: connection.capabilities()?,
        include_crds: false,
        skip_schema: matches.flag("skip-schema-validation"),
        subchart_notes: matches.flag("render-subchart-notes"),
    };
    let rendered = template::template(chart, request, &connection.facts(matches.flag("enable-dns")))?;
    rendered.warnings.iter().for_each(|line| output::remark(line));
    Ok(rendered)
}

pub(super) fn install(matches: &Matches) -> Done {
    install_as(matches, None).map_err(|fault| Fault { text: format!("INSTALLATION FAILED: {}", fault.text), ..fault })
}

fn install_as(matches: &Matches, known: Option<Connection>) -> Done {
    let (name, reference) = offline::name_and_chart(matches, "")?;
    let path = locate::locate(matches, reference)?;
    let values = settings::values_of(matches)?;
    let chart = chart_files::load(&path)?;
    offline::check_chart(&chart)?;
    let connection = known.map_or_else(|| connect(matches), Ok)?;
    let failed = |why: String| Fault::new(format!("release name check failed: {why}"));
    offline::check_name(&name).map_err(failed)?;
    let cluster = &connection.cluster;
    let free = helm::check_free(cluster, &name, matches.flag("replace"));
    connection.runtime.block_on(free).map_err(|why| {
        output::remark(&format!("level=ERROR msg=\"release name check failed\" error={:?}", why.to_string()));
        failed(why.to_string())
    })?;
    if !matches.flag("skip-crds") {
        connection.runtime.block_on(install_crds(cluster, &chart))?;
    }
    let release =
        chart::render::Release { name: name.clone(), namespace: cluster.namespace.clone(), revision: 1, upgrade: false };
    let rendered = render(matches, &connection, chart, &values, release)?;
    if !matches!(matches.text("dry-run"), "none" | "false") {
        return dry(matches, &name, &connection, &rendered, 1);
    }
    if matches.flag("create-namespace") {
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": cluster.namespace, "labels": {"name": cluster.namespace}},
        });
        connection.runtime.block_on(cluster.create(&namespace))?;
    }
    let wish = Wish {
        name: &name,
        rendered: &rendered,
        config: config(&values),
        labels: labels(matches),
        how: how(matches, Some(matches.flag("server-side"))),
    };
    let release = connection.runtime.block_on(helm::install(cluster, wish))?;
    report::print(matches, &release, matches.flag("hide-notes"))
}

async fn install_crds(cluster: &helm::Cluster, chart: &chart::chart::Chart) -> Done {
    for crd in chart.crds() {
        for document in chart::release::documents(&String::from_utf8_lossy(&crd.data)) {
            let failed = |why: String| Fault::new(format!("failed to install CRD {}: {why}", crd.path));
            let object = chart::yaml::read(document.as_bytes()).map_err(|error| failed(error.to_string()))?;
            cluster.create(&object).await.map_err(|error| failed(error.to_string()))?;
        }
    }
    Ok(())
}

/// Values as a record keeps them: whole numbers are such.
fn config(values: &Values) -> Values {
    match chart::schema::whole(&serde_json::Value::Object(values.clone())) {
        serde_json::Value::Object(map) => map,
        _ => Values::new(),
    }
}

fn dry(matches: &Matches, name: &str, connection: &Connection, rendered: &Rendered, revision: i64) -> Done {
    let now = jiff::Timestamp::now().to_string();
    let release = Release {
        name: name.to_owned(),
        namespace: connection.cluster.namespace.clone(),
        version: revision,
        manifest: rendered.manifest.clone(),
        hooks: rendered.hooks.clone(),
        chart: chart::release::chart_record(&rendered.chart),
        info: chart::release::Info {
            status: if revision == 1 { Status::PendingInstall } else { Status::PendingUpgrade },
            description: "Dry run complete".to_owned(),
            last_deployed: now,
            notes: rendered.notes.clone(),
            ..chart::release::Info::default()
        },
        ..Release::default()
    };
    report::print(matches, &release, matches.flag("hide-notes"))
}

pub(super) fn upgrade(matches: &Matches) -> Done {
    let name = matches.argument(0).to_owned();
    let connection = connect(matches)?;
    let store = Store::new(&connection.cluster);
    let history = connection.runtime.block_on(store.history(&name))?;
    let failed = |fault: Fault| Fault { text: format!("UPGRADE FAILED: {}", fault.text), ..fault };
    let gone = history.last().is_none_or(|last| last.info.status == Status::Uninstalled);
    if matches.flag("install") && gone {
        if matches.text("output") == "table" {
            output::line(&format!("Release {name:?} does not exist. Installing it now."));
        }
        return install_as(matches, Some(connection));
    }
    upgrade_known(matches, &name, &connection, &history).map_err(failed)
}

fn upgrade_known(matches: &Matches, name: &str, connection: &Connection, history: &[Release]) -> Done {
    let path = locate::locate(matches, matches.argument(1))?;
    let given = settings::values_of(matches)?;
    let mut chart = chart_files::load(&path)?;
    offline::check_chart(&chart)?;
    let Some(last) = history.last() else {
        return Err(Fault::new(format!("{name:?} has no deployed releases")));
    };
    let current = history.iter().rev().find(|it| it.info.status == Status::Deployed).unwrap_or(last);
    let old = values::with_floats(current.config.clone());
    let values = if matches.flag("reset-values") {
        given
    } else if matches.flag("reuse-values") {
        reuse_defaults(&mut chart, current);
        values::coalesce_tables(&given, &old)
    } else if matches.flag("reset-then-reuse-values") || given.is_empty() {
        values::coalesce_tables(&given, &old)
    } else {
        given
    };
    let release = chart::render::Release {
        name: name.to_owned(),
        namespace: connection.cluster.namespace.clone(),
        revision: last.version + 1,
        upgrade: true,
    };
    let rendered = render(matches, connection, chart, &values, release)?;
    if !matches!(matches.text("dry-run"), "none" | "false") {
        return dry(matches, name, connection, &rendered, last.version + 1);
    }
    let server_side = matches.said("server-side").then(|| matches.flag("server-side"));
    let wish =
        Wish { name, rendered: &rendered, config: config(&values), labels: labels(matches), how: how(matches, server_side) };
    let release = connection.runtime.block_on(helm::upgrade(&connection.cluster, wish))?;
    if matches.text("output") == "table" {
        output::line(&format!("Release {name:?} has been upgraded. Happy Helming!"));
    }
    report::print(matches, &release, matches.flag("hide-notes"))
}

/// The defaults of the revision in force stand in for the new chart's.
fn reuse_defaults(chart: &mut chart::chart::Chart, current: &Release) {
    if let Some(defaults) = current.chart.get("values").and_then(serde_json::Value::as_object) {
        chart.values = values::with_floats(defaults.clone());
    }
}

pub(super) fn rollback(matches: &Matches) -> Done {
    let revision = match matches.arguments.get(1) {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            Fault::new(format!("could not convert revision to a number: strconv.Atoi: parsing {text:?}: invalid syntax"))
        })?,
    };
    let connection = connect(matches)?;
    let server_side = match matches.text("server-side") {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    let wish = Rollback { revision, how: how(matches, server_side) };
    connection.runtime.block_on(helm::rollback(&connection.cluster, matches.argument(0), &wish))?;
    output::line("Rollback was a success! Happy Helming!");
    Ok(())
}

pub(super) fn uninstall(matches: &Matches) -> Done {
    let propagation = match matches.text("cascade") {
        "background" => "Background",
        "foreground" => "Foreground",
        "orphan" => "Orphan",
        other => {
            let text = format!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"");
            return Err(Fault::new(text));
        }
    };
    let connection = connect(matches)?;
    let wish = Uninstall {
        keep_history: matches.flag("keep-history"),
        no_hooks: matches.flag("no-hooks"),
        wait: matches!(matches.text("wait"), "watcher" | "legacy" | "true"),
        propagation,
        timeout: timeout(matches),
        description: matches.text("description").to_owned(),
    };
    for name in &matches.arguments {
        match connection.runtime.block_on(helm::uninstall(&connection.cluster, name, &wish)) {
            Ok(kept) if !kept.is_empty() => output::line(&kept),
            Ok(_) => {}
            Err(helm::HelmError::FindRelease) if matches.flag("ignore-not-found") => {}
            Err(error @ helm::HelmError::FindRelease) => {
                return Err(Fault::new(format!("uninstall: Release not loaded: {name}: {error}")));
            }
            Err(error) => return Err(Fault::new(error.to_string())),
        }
        output::line(&format!("release {name:?} uninstalled"));
    }
    Ok(())
}

pub(super) fn test(matches: &Matches) -> Done {
    let connection = connect(matches)?;
    let filters: Vec<(bool, &str)> = matches
        .list("filter")
        .iter()
        .filter_map(|text| match text.split_once("!name=") {
            Some((_, name)) => Some((false, name)),
            None => text.strip_prefix("name=").map(|name| (true, name)),
        })
        .collect();
    let chosen = |hook: &Hook| {
        let wanted = filters.iter().filter(|(wants, _)| *wants).collect::<Vec<_>>();
        let refused = filters.iter().any(|(wants, name)| !wants && *name == hook.name);
        !refused && (wanted.is_empty() || wanted.iter().any(|(_, name)| *name == hook.name))
    };
    let run = helm::run_tests(&connection.cluster, matches.argument(0), timeout(matches), chosen);
    match connection.runtime.block_on(run) {
        Ok(release) => report::print(matches, &release, matches.flag("hide-notes")),
        Err((release, error)) => {
            if let Some(release) = release {
                report::print(matches, &release, matches.flag("hide-notes"))?;
            }
            Err(Fault::new(error.to_string()))
        }
    }
}
