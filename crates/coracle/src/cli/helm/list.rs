//! `helm list`. It changes nothing.

use chart::release::{Release, Status};
use platform::helm::Store;
use serde_json::Value as Json;

use super::connect::connect;
use super::flags::{Flag, Kind, Matches, of, switch};
use super::report::{chart_name, chart_text, check_form, print_data};
use super::tables::table;
use super::{Done, Fault};
use crate::output;

pub(super) const LIST_FLAGS: &[Flag] = &[
    switch("all-namespaces", "list releases across all namespaces").short('A'),
    switch("short", "output short (quiet) listing format").short('q'),
    switch("date", "sort by release date").short('d'),
    switch("reverse", "reverse the sort order").short('r'),
    of(Kind::Text, "time-format", "format time using golang time formatter"),
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

/// A time in the form of Go's `String`.
fn go_time(text: &str) -> String {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.map_or_else(
        |_| "-".to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string(),
    )
}

/// A time as a list shows it: in a layout of Go's, if one is said.
fn shown_time(text: &str, layout: &str) -> String {
    if layout.is_empty() {
        return go_time(text);
    }
    let parsed = text.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| "-".to_owned(), |at| chart::functions::format_time(at, &jiff::tz::TimeZone::system(), layout))
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
    connection.check()?;
    let fits = chart::functions::pattern(matches.text("filter")).map_err(Fault::new)?;
    let mut all = connection.runtime.block_on(store.list(namespace, matches.text("selector")))?;
    all.retain(|release| fits(&release.name));
    let states = ["deployed", "failed", "pending", "uninstalled", "uninstalling"];
    if !matches.flag("superseded") || states.iter().any(|state| matches.flag(state)) {
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
                shown_time(&release.info.last_deployed, matches.text("time-format")),
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
    output::line(&table(&rows, usize::MAX));
}
