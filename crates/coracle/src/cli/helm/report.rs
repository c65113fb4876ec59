//! The commands that only look at one release: status, history, get. They change nothing.

use chart::release::{Apply, HookEvent, Release};
use chart::values;
use platform::helm::{self, Store};
use serde_json::{Value as Json, json};

use super::connect::{Connection, connect};
use super::flags::{Flag, Kind, Matches, of, switch};
use super::tables::{self, table};
use super::template::check_name;
use super::{Done, Fault};
use crate::output;

pub(super) const FORM_FLAGS: &[Flag] =
    &[of(Kind::Text, "output", "prints the output in the specified format. Allowed values: table, json, yaml")
        .short('o')
        .default("table")];

pub(super) const REVISION_FLAGS: &[Flag] = &[of(Kind::Number, "revision", "the revision of the release").default("0")];

pub(super) const TEMPLATE_FLAGS: &[Flag] =
    &[of(Kind::Text, "template", "go template for formatting the output, eg: {{.Release.Name}}")];

pub(super) const VALUES_FLAGS: &[Flag] = &[switch("all", "dump all (computed) values").short('a')];

pub(super) const HISTORY_FLAGS: &[Flag] = &[
    of(Kind::Number, "max", "maximum number of revision to include in history").default("256"),
    switch("show-rollback-revision", "show the rollback revision column in table output"),
];

pub(super) fn check_form(matches: &Matches) -> Done {
    match matches.text("output") {
        "" | "table" | "json" | "yaml" => Ok(()),
        other => {
            let flag = "\"-o, --output\"";
            Err(Fault::new(format!("invalid argument {other:?} for {flag} flag: invalid format type")))
        }
    }
}

/// JSON as Go writes it: safe to stand in a page.
fn go_json(value: &Json) -> String {
    let text = value.to_string();
    [('<', "003c"), ('>', "003e"), ('&', "0026"), ('\u{2028}', "2028"), ('\u{2029}', "2029")]
        .into_iter()
        .fold(text, |text, (letter, code)| text.replace(letter, &format!("\\u{code}")))
}

/// Prints as JSON or YAML; false where a table is wanted.
pub(super) fn print_data(matches: &Matches, value: &Json) -> bool {
    match matches.text("output") {
        "json" => output::line(&go_json(value)),
        "yaml" => output::text(&chart::yaml::to_yaml(value).unwrap_or_default()),
        _ => return false,
    }
    true
}

/// A time in the form of C's `asctime`.
fn plain_time(text: &str) -> String {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.map_or_else(
        |_| text.to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string(),
    )
}

pub(super) fn chart_text(release: &Release, field: &str) -> String {
    release.chart.pointer(&format!("/metadata/{field}")).and_then(Json::as_str).unwrap_or_default().to_owned()
}

pub(super) fn chart_name(release: &Release) -> String {
    format!("{}-{}", chart_text(release, "name"), chart_text(release, "version"))
}

/// Prints a release as changing it does.
pub(super) fn print(matches: &Matches, release: &Release, hide_notes: bool) -> Done {
    check_form(matches)?;
    let data = serde_json::to_value(release).unwrap_or_default();
    if !print_data(matches, &data) {
        let shown = Shown { all: matches.flag("debug"), metadata: false, hide_notes, resources: "" };
        output::text(&described(release, &shown));
    }
    Ok(())
}

/// What of a release is shown to people.
struct Shown<'s> {
    /// Its values, hooks and manifest too.
    all: bool,
    /// The chart's name and versions.
    metadata: bool,
    hide_notes: bool,
    /// Its objects, as a text.
    resources: &'s str,
}

fn described(release: &Release, shown: &Shown<'_>) -> String {
    let mut text = format!("NAME: {}\n", release.name);
    if !release.info.last_deployed.is_empty() {
        text.push_str(&format!("LAST DEPLOYED: {}\n", plain_time(&release.info.last_deployed)));
    }
    let (namespace, status, revision) = (&release.namespace, release.info.status.name(), release.version);
    text.push_str(&format!("NAMESPACE: {namespace}\nSTATUS: {status}\nREVISION: {revision}\n"));
    if shown.metadata {
        let fields = [("CHART", "name"), ("VERSION", "version"), ("APP_VERSION", "appVersion")];
        fields.iter().for_each(|(title, field)| text.push_str(&format!("{title}: {}\n", chart_text(release, field))));
    }
    text.push_str(&format!("DESCRIPTION: {}\n", release.info.description));
    if !shown.resources.is_empty() {
        text.push_str(&format!("RESOURCES:\n{}\n", shown.resources));
    }
    let tests = release.hooks.iter().filter(|hook| hook.events.contains(&HookEvent::Test)).collect::<Vec<_>>();
    if tests.is_empty() {
        text.push_str("TEST SUITE: None\n");
    }
    for test in tests.into_iter().filter(|test| !test.last_run.started_at.is_empty()) {
        let run = &test.last_run;
        text.push_str(&format!(
            "TEST SUITE:     {}\nLast Started:   {}\nLast Completed: {}\nPhase:          {:?}\n",
            test.name,
            plain_time(&run.started_at),
            plain_time(&run.completed_at),
            run.phase,
        ));
    }
    if shown.all {
        let set = if release.config.is_empty() { Json::Null } else { Json::Object(release.config.clone()) };
        let set = chart::yaml::to_yaml(&set).unwrap_or_default();
        let all = chart::yaml::to_yaml(&computed(release)).unwrap_or_default();
        text.push_str(&format!("USER-SUPPLIED VALUES:\n{set}\nCOMPUTED VALUES:\n{all}\n"));
    }
    if shown.all || release.info.description.eq_ignore_ascii_case("Dry run complete") {
        text.push_str("HOOKS:\n");
        for hook in &release.hooks {
            text.push_str(&chart::template::with_source(&hook.path, &hook.manifest));
        }
        text.push_str(&format!("MANIFEST:\n{}\n", release.manifest));
    }
    if !shown.hide_notes && !release.info.notes.is_empty() {
        text.push_str(&format!("NOTES:\n{}\n", release.info.notes.trim()));
    }
    text
}

/// What the user set, over what the chart says.
fn computed(release: &Release) -> Json {
    let defaults = release.chart.get("values").and_then(Json::as_object).cloned().unwrap_or_default();
    Json::Object(values::coalesce_tables(&release.config, &defaults))
}

/// The revision of a release that is meant.
fn find(matches: &Matches) -> Result<(Connection, Release), Fault> {
    check_form(matches)?;
    let name = matches.argument(0);
    let connection = connect(matches)?;
    check_name(name).map_err(|_| Fault::new(format!("releaseContent: Release name is invalid: {name}")))?;
    let store = Store::new(&connection.cluster);
    let history = connection.runtime.block_on(store.history(name))?;
    let wanted: i64 = matches.text("revision").parse().unwrap_or(0);
    let found = history.into_iter().rev().find(|release| wanted == 0 || release.version == wanted);
    let release = found.ok_or_else(|| Fault::new("release: not found"))?;
    Ok((connection, release))
}

pub(super) fn status(matches: &Matches) -> Done {
    let (connection, release) = find(matches)?;
    let table = matches.text("output") == "table";
    let resources = connection.runtime.block_on(helm::resources(&connection.cluster, &release.manifest, table))?;
    let mut data = serde_json::to_value(&release).unwrap_or_default();
    if let Some(data) = data.as_object_mut() {
        data.shift_remove("chart");
    }
    if !table && !resources.is_empty() {
        let all: Json = resources.iter().map(|(kind, objects)| (kind.clone(), Json::from(objects.clone()))).collect();
        data["info"]["resources"] = sorted(all);
    }
    if !print_data(matches, &data) {
        let resources = tables::of_objects(&resources);
        let shown = Shown { all: false, metadata: false, hide_notes: false, resources: &resources };
        output::text(&described(&release, &shown));
    }
    Ok(())
}

/// With the keys of all objects in order, as Go writes maps.
fn sorted(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut pairs: Vec<(String, Json)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(pairs.into_iter().collect())
        }
        Json::Array(all) => Json::Array(all.into_iter().map(sorted).collect()),
        other => other,
    }
}

pub(super) fn get_all(matches: &Matches) -> Done {
    let (_, release) = find(matches)?;
    if matches.said("template") {
        return Err(Fault::new("get all --template is not supported: use -o json of the other commands"));
    }
    output::text(&described(&release, &Shown { all: true, metadata: true, hide_notes: false, resources: "" }));
    Ok(())
}

/// Labels as one text, in order.
fn joined(labels: &Json) -> String {
    let mut pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    pairs.join(",")
}

pub(super) fn get_metadata(matches: &Matches) -> Done {
    let (connection, mut release) = find(matches)?;
    if matches.text("revision") == "0" {
        let store = Store::new(&connection.cluster);
        release.labels = connection.runtime.block_on(store.labels(&release))?;
    }
    let metadata = &release.chart["metadata"];
    let mut data = json!({
        "name": release.name,
        "chart": chart_text(&release, "name"),
        "version": chart_text(&release, "version"),
        "appVersion": chart_text(&release, "appVersion"),
    });
    let filled = |value: &Json| {
        value.as_object().is_some_and(|map| !map.is_empty()) || value.as_array().is_some_and(|all| !all.is_empty())
    };
    let labels = json!(release.labels);
    for (field, value) in
        [("annotations", &metadata["annotations"]), ("labels", &labels), ("dependencies", &metadata["dependencies"])]
    {
        if filled(value) {
            data[field] = value.clone();
        }
    }
    let deployed = whole_seconds(&release.info.last_deployed);
    data["namespace"] = json!(release.namespace);
    data["revision"] = json!(release.version);
    data["status"] = json!(release.info.status.name());
    data["deployedAt"] = json!(deployed);
    let method = match release.apply_method {
        Apply::Unsaid => "client-side apply (defaulted)",
        Apply::Client => "client-side apply",
        Apply::Server => "server-side apply",
    };
    if release.apply_method != Apply::Unsaid {
        data["applyMethod"] = json!(release.apply_method);
    }
    if print_data(matches, &data) {
        return Ok(());
    }
    let dependencies = metadata["dependencies"].as_array().into_iter().flatten();
    let mut names: Vec<&str> = dependencies.filter_map(|it| it["name"].as_str()).collect();
    names.sort_unstable();
    let lines = [
        ("NAME", release.name.clone()),
        ("CHART", chart_text(&release, "name")),
        ("VERSION", chart_text(&release, "version")),
        ("APP_VERSION", chart_text(&release, "appVersion")),
        ("ANNOTATIONS", joined(&metadata["annotations"])),
        ("LABELS", joined(&labels)),
        ("DEPENDENCIES", names.join(",")),
        ("NAMESPACE", release.namespace.clone()),
        ("REVISION", release.version.to_string()),
        ("STATUS", release.info.status.name().to_owned()),
        ("DEPLOYED_AT", deployed),
        ("APPLY_METHOD", method.to_owned()),
    ];
    output::text(&lines.map(|(title, value)| format!("{title}: {value}\n")).concat());
    Ok(())
}

/// A time in the form of RFC 3339 without parts of seconds, in the zone in which it stands.
fn whole_seconds(text: &str) -> String {
    match (text.find('.'), text.rfind(['Z', '+', '-'])) {
        (Some(dot), Some(zone)) if dot < zone => format!("{}{}", &text[..dot], &text[zone..]),
        _ => text.to_owned(),
    }
}

pub(super) fn get_manifest(matches: &Matches) -> Done {
    let (_, release) = find(matches)?;
    output::line(&release.manifest);
    Ok(())
}

pub(super) fn get_notes(matches: &Matches) -> Done {
    let (_, release) = find(matches)?;
    if !release.info.notes.is_empty() {
        output::text(&format!("NOTES:\n{}\n", release.info.notes));
    }
    Ok(())
}

pub(super) fn get_hooks(matches: &Matches) -> Done {
    let (_, release) = find(matches)?;
    release.hooks.iter().for_each(|hook| output::text(&chart::template::with_source(&hook.path, &hook.manifest)));
    Ok(())
}

pub(super) fn get_values(matches: &Matches) -> Done {
    let (_, release) = find(matches)?;
    let all = matches.flag("all");
    let shown = if all {
        computed(&release)
    } else if release.config.is_empty() {
        Json::Null
    } else {
        Json::Object(release.config)
    };
    if !print_data(matches, &shown) {
        let title = if all { "COMPUTED VALUES:" } else { "USER-SUPPLIED VALUES:" };
        output::text(&format!("{title}\n{}", chart::yaml::to_yaml(&shown).unwrap_or_default()));
    }
    Ok(())
}

pub(super) fn history(matches: &Matches) -> Done {
    check_form(matches)?;
    let name = matches.argument(0);
    let connection = connect(matches)?;
    connection.check()?;
    check_name(name).map_err(|_| Fault::new(format!("release name is invalid: {name}")))?;
    let all = connection.runtime.block_on(Store::new(&connection.cluster).history(name))?;
    if all.is_empty() {
        return Err(Fault::new("release: not found"));
    }
    let max: usize = matches.text("max").parse().unwrap_or(256);
    let shown = &all[all.len().saturating_sub(max)..];
    let data: Vec<Json> = shown
        .iter()
        .map(|release| {
            let mut row = json!({
                "revision": release.version,
                "updated": release.info.last_deployed,
                "status": release.info.status.name(),
                "chart": chart_name(release),
                "app_version": chart_text(release, "appVersion"),
            });
            if release.info.rollback_revision != 0 {
                row["rollback_revision"] = json!(release.info.rollback_revision);
            }
            row["description"] = json!(release.info.description);
            row
        })
        .collect();
    if print_data(matches, &Json::Array(data)) {
        return Ok(());
    }
    let rollbacks = matches.flag("show-rollback-revision");
    let mut rows =
        vec![["REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "ROLLBACK", "DESCRIPTION"].map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|release| {
        let rollback = Some(release.info.rollback_revision).filter(|revision| *revision > 0);
        vec![
            release.version.to_string(),
            plain_time(&release.info.last_deployed),
            release.info.status.name().to_owned(),
            chart_name(release),
            chart_text(release, "appVersion"),
            rollback.map(|revision| revision.to_string()).unwrap_or_default(),
            release.info.description.clone(),
        ]
    }));
    if !rollbacks {
        rows.iter_mut().for_each(|row| drop(row.remove(5)));
    }
    output::line(&table(&rows, usize::MAX));
    Ok(())
}
