//! The commands that only look at releases: list, status, history, get. They change nothing.

use chart::release::{HookEvent, Release, Status};
use chart::values;
use platform::helm::Store;
use serde_json::{Value as Json, json};

use super::connect::{Connection, connect};
use super::flags::{Flag, Kind, Matches, of, switch};
use super::tables::table;
use super::template::check_name;
use super::{Done, Fault};
use crate::output;

pub(super) const FORM_FLAGS: &[Flag] =
    &[of(Kind::Text, "output", "prints the output in the specified format. Allowed values: table, json, yaml")
        .short('o')
        .default("table")];

pub(super) const REVISION_FLAGS: &[Flag] = &[of(Kind::Number, "revision", "the revision of the release").default("0")];

pub(super) const VALUES_FLAGS: &[Flag] = &[switch("all", "dump all (computed) values").short('a')];

pub(super) const HISTORY_FLAGS: &[Flag] =
    &[of(Kind::Number, "max", "maximum number of revision to include in history").default("256")];

pub(super) const LIST_FLAGS: &[Flag] = &[
    switch("all-namespaces", "list releases across all namespaces").short('A'),
    switch("short", "output short (quiet) listing format").short('q'),
    switch("date", "sort by release date").short('d'),
    switch("reverse", "reverse the sort order").short('r'),
    switch("no-headers", "don't print headers when using the default output format"),
    switch("deployed", "show deployed releases"),
    switch("failed", "show failed releases"),
    switch("pending", "show pending releases"),
    switch("superseded", "show superseded releases"),
    switch("uninstalled", "show uninstalled releases"),
    switch("uninstalling", "show releases that are currently being uninstalled"),
    of(Kind::Number, "max", "maximum number of releases to fetch").default("256").short('m'),
    of(Kind::Number, "offset", "next release index in the list, used to offset from start value").default("0"),
    of(Kind::Text, "filter", "a regular expression (Perl compatible)").short('f'),
    of(Kind::Text, "selector", "Selector (label query) to filter on").short('l'),
];

fn check_form(matches: &Matches) -> Done {
    match matches.text("output") {
        "table" | "json" | "yaml" => Ok(()),
        other => {
            let flag = "\"-o, --output\"";
            Err(Fault::new(format!("invalid argument {other:?} for {flag} flag: invalid format type")))
        }
    }
}

/// Prints as JSON or YAML; false where a table is wanted.
fn print_data(matches: &Matches, value: &Json) -> bool {
    match matches.text("output") {
        "json" => output::line(&value.to_string()),
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

/// A time in the form of Go's `String`.
fn go_time(text: &str) -> String {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.map_or_else(
        |_| "-".to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string(),
    )
}

fn chart_text(release: &Release, field: &str) -> String {
    release.chart.pointer(&format!("/metadata/{field}")).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn chart_name(release: &Release) -> String {
    format!("{}-{}", chart_text(release, "name"), chart_text(release, "version"))
}

/// Prints a release as installing and looking at it do.
pub(super) fn print(matches: &Matches, release: &Release, hide_notes: bool) -> Done {
    check_form(matches)?;
    let mut data = serde_json::to_value(release).unwrap_or_default();
    if let Some(data) = data.as_object_mut() {
        data.remove("chart");
    }
    if print_data(matches, &data) {
        return Ok(());
    }
    let mut text = format!(
        "NAME: {}\nLAST DEPLOYED: {}\nNAMESPACE: {}\nSTATUS: {}\nREVISION: {}\nDESCRIPTION: {}\n",
        release.name,
        plain_time(&release.info.last_deployed),
        release.namespace,
        release.info.status.name(),
        release.version,
        release.info.description,
    );
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
    if release.info.description.eq_ignore_ascii_case("Dry run complete") {
        text.push_str("HOOKS:\n");
        for hook in &release.hooks {
            text.push_str(&chart::template::with_source(&hook.path, &hook.manifest));
        }
        text.push_str(&format!("MANIFEST:\n{}\n", release.manifest));
    }
    if !hide_notes && !release.info.notes.is_empty() {
        text.push_str(&format!("NOTES:\n{}\n", release.info.notes.trim()));
    }
    output::text(&text);
    Ok(())
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
    let (_, release) = find(matches)?;
    print(matches, &release, false)
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
        let defaults = release.chart.get("values").and_then(Json::as_object).cloned().unwrap_or_default();
        Json::Object(values::coalesce_tables(&release.config, &defaults))
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
    let all = connection.runtime.block_on(Store::new(&connection.cluster).history(name))?;
    if all.is_empty() {
        return Err(Fault::new("release: not found"));
    }
    let max: usize = matches.text("max").parse().unwrap_or(256);
    let shown = &all[all.len().saturating_sub(max)..];
    let data: Vec<Json> = shown
        .iter()
        .map(|release| {
            json!({
                "revision": release.version,
                "updated": release.info.last_deployed,
                "status": release.info.status.name(),
                "chart": chart_name(release),
                "app_version": chart_text(release, "appVersion"),
                "description": release.info.description,
            })
        })
        .collect();
    if print_data(matches, &Json::Array(data)) {
        return Ok(());
    }
    let title = ["REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION", "DESCRIPTION"];
    let mut rows = vec![title.map(str::to_owned).to_vec()];
    rows.extend(shown.iter().map(|release| {
        vec![
            release.version.to_string(),
            plain_time(&release.info.last_deployed),
            release.info.status.name().to_owned(),
            chart_name(release),
            chart_text(release, "appVersion"),
            release.info.description.clone(),
        ]
    }));
    output::line(&table(&rows, 60));
    Ok(())
}

/// Which statuses are asked for; none said means all that are not superseded or gone.
fn wanted(matches: &Matches, status: Status) -> bool {
    let flags = [
        ("deployed", status == Status::Deployed),
        ("failed", status == Status::Failed),
        ("pending", status.is_pending()),
        ("superseded", status == Status::Superseded),
        ("uninstalled", status == Status::Uninstalled),
        ("uninstalling", status == Status::Uninstalling),
    ];
    if flags.iter().any(|(name, _)| matches.flag(name)) {
        return flags.iter().any(|(name, fits)| *fits && matches.flag(name));
    }
    true
}

pub(super) fn list(matches: &Matches) -> Done {
    check_form(matches)?;
    let connection = connect(matches)?;
    let namespace = if matches.flag("all-namespaces") { "" } else { &connection.cluster.namespace };
    let store = Store::new(&connection.cluster);
    let mut all = connection.runtime.block_on(store.list(namespace, matches.text("selector")))?;
    all.retain(|release| matches.text("filter").is_empty() || fits(&release.name, matches.text("filter")));
    if !matches.flag("superseded") {
        let newest = |release: &Release, all: &[Release]| {
            let same = |it: &&Release| it.name == release.name && it.namespace == release.namespace;
            all.iter().filter(same).all(|it| it.version <= release.version)
        };
        let keep: Vec<bool> = all.iter().map(|release| newest(release, &all)).collect();
        let mut keep = keep.into_iter();
        all.retain(|_| keep.next().unwrap_or(false));
    }
    all.retain(|release| wanted(matches, release.info.status));
    if matches.flag("date") {
        all.sort_by(|a, b| a.info.last_deployed.cmp(&b.info.last_deployed));
    } else {
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.namespace.cmp(&b.namespace)));
    }
    if matches.flag("reverse") {
        all.reverse();
    }
    let offset: usize = matches.text("offset").parse().unwrap_or(0);
    let max: usize = matches.text("max").parse().unwrap_or(256);
    let shown: Vec<Release> = all.into_iter().skip(offset).take(if max == 0 { usize::MAX } else { max }).collect();
    print_list(matches, &shown);
    Ok(())
}

/// A filter is a pattern; without signs of one it is a part of the name.
fn fits(name: &str, filter: &str) -> bool {
    let (start, rest) = filter.strip_prefix('^').map_or((false, filter), |rest| (true, rest));
    let (end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let parts: Vec<&str> = rest.split(".*").collect();
    let mut left = name;
    for (at, part) in parts.iter().enumerate() {
        match left.find(part) {
            Some(place) if at > 0 || !start || place == 0 => left = &left[place + part.len()..],
            _ => return false,
        }
    }
    !end || left.is_empty() || parts.last().is_some_and(|part| part.is_empty())
}

fn print_list(matches: &Matches, shown: &[Release]) {
    if matches.flag("short") {
        let names: Vec<Json> = shown.iter().map(|release| release.name.clone().into()).collect();
        if !print_data(matches, &Json::Array(names)) {
            shown.iter().for_each(|release| output::line(&release.name));
        }
        return;
    }
    let fields = ["name", "namespace", "revision", "updated", "status", "chart", "app_version"];
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|release| {
            vec![
                release.name.clone(),
                release.namespace.clone(),
                release.version.to_string(),
                go_time(&release.info.last_deployed),
                release.info.status.name().to_owned(),
                chart_name(release),
                chart_text(release, "appVersion"),
            ]
        })
        .collect();
    let data = cells.iter().map(|row| {
        Json::Object(fields.iter().zip(row).map(|(field, cell)| ((*field).to_owned(), cell.clone().into())).collect())
    });
    if print_data(matches, &data.collect()) {
        return;
    }
    let mut rows = Vec::new();
    if !matches.flag("no-headers") {
        rows.push(fields.iter().map(|field| field.replace('_', " ").to_uppercase()).collect());
    }
    rows.extend(cells);
    output::line(&table(&rows, 80));
}
