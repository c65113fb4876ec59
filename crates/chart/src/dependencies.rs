//! Which subcharts are on, under which names, and what of their values their parents take. It never fetches charts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::chart::{Chart, Dependency};
use crate::semver::{Constraint, Version};
use crate::value::Value;
use crate::values::{self, CoalesceError, Values, coalesce, leaf, table};

/// Whether a version fits a constraint; what cannot be read fits nothing.
#[must_use]
pub fn fits(constraint: &str, version: &str) -> bool {
    match (Version::parse(version), Constraint::parse(constraint)) {
        (Ok(version), Ok(constraint)) => constraint.check(&version),
        _ => false,
    }
}

/// Takes disabled subcharts out, gives others their aliases, and imports values. What Helm logs comes back.
pub fn process(chart: &mut Chart, values: &Values) -> Result<Vec<String>, CoalesceError> {
    let mut warnings = Vec::new();
    enable(chart, values, "", &mut warnings)?;
    import_below(chart, &mut warnings)?;
    Ok(warnings)
}

fn enable(chart: &mut Chart, given: &Values, path: &str, warnings: &mut Vec<String>) -> Result<(), CoalesceError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    rename(chart);
    for dependency in &mut chart.metadata.dependencies {
        dependency.enabled = true;
    }
    let coalesced = coalesce(chart, given)?;
    warnings.extend(coalesced.warnings);
    let values = values::to_tree(&coalesced.values);
    for dependency in &mut chart.metadata.dependencies {
        apply_tags(dependency, &values, warnings);
        apply_condition(dependency, &values, path, warnings);
    }
    let off: BTreeSet<String> = chart.metadata.dependencies.iter().filter(|it| !it.enabled).map(|it| it.name.clone()).collect();
    chart.dependencies.retain(|subchart| !off.contains(subchart.name()));
    chart.metadata.dependencies.retain(|dependency| !off.contains(&dependency.name));
    for subchart in &mut chart.dependencies {
        let below = format!("{path}{}.", subchart.name());
        enable(subchart, &values, &below, warnings)?;
    }
    Ok(())
}

/// Subcharts that nobody asked for stay first; those asked for follow once for each time, under their aliases.
fn rename(chart: &mut Chart) {
    let asked = |subchart: &Chart, dependency: &Dependency| {
        subchart.name() == dependency.name && fits(&dependency.version, &subchart.metadata.version)
    };
    let dependencies = &mut chart.metadata.dependencies;
    let first = |dependency: &Dependency| chart.dependencies.iter().position(|subchart| asked(subchart, dependency));
    let wanted: Vec<Option<usize>> = dependencies.iter().map(first).collect();
    let (asked, mut subcharts): (Vec<_>, Vec<_>) = std::mem::take(&mut chart.dependencies)
        .into_iter()
        .enumerate()
        .partition(|(_, subchart)| dependencies.iter().any(|dependency| asked(subchart, dependency)));
    let mut asked: BTreeMap<usize, Chart> = asked.into_iter().collect();
    for (at, dependency) in dependencies.iter_mut().enumerate() {
        let again = wanted[at + 1..].contains(&wanted[at]);
        let found = wanted[at].and_then(|place| if again { asked.get(&place).cloned() } else { asked.remove(&place) });
        if let Some(mut subchart) = found {
            if !dependency.alias.is_empty() {
                subchart.metadata.name.clone_from(&dependency.alias);
            }
            subcharts.push((at, subchart));
        }
        if !dependency.alias.is_empty() {
            dependency.name.clone_from(&dependency.alias);
        }
    }
    chart.dependencies = subcharts.into_iter().map(|(_, subchart)| subchart).collect();
}

fn apply_tags(dependency: &mut Dependency, values: &Values, warnings: &mut Vec<String>) {
    let Some(tags) = table(values, "tags") else { return };
    let (mut on, mut off) = (false, false);
    for tag in &dependency.tags {
        match tags.get(tag) {
            Some(Json::Bool(true)) => on = true,
            Some(Json::Bool(false)) => off = true,
            Some(_) => warnings.push(warning("returned non-bool value", &[("tag", tag), ("chart", &dependency.name)])),
            None => {}
        }
    }
    dependency.enabled = on || !off;
}

/// The first condition that says something decides.
fn apply_condition(dependency: &mut Dependency, values: &Values, path: &str, warnings: &mut Vec<String>) {
    for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
        match leaf(values, &format!("{path}{condition}")) {
            Some(Json::Bool(on)) => {
                dependency.enabled = *on;
                return;
            }
            Some(_) => warnings.push(warning("returned non-bool value", &[("path", condition), ("chart", &dependency.name)])),
            None => {}
        }
    }
}

/// A line as Helm's logger writes it.
fn warning(message: &str, facts: &[(&str, &str)]) -> String {
    let facts: String = facts.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("level=WARN msg={message:?}{facts}")
}

fn import_below(chart: &mut Chart, warnings: &mut Vec<String>) -> Result<(), CoalesceError> {
    for subchart in &mut chart.dependencies {
        import_below(subchart, warnings)?;
    }
    import(chart, warnings)
}

/// Values of subcharts go under the chart's own.
fn import(chart: &mut Chart, warnings: &mut Vec<String>) -> Result<(), CoalesceError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let merged = values::merge(chart, &Values::new())?;
    warnings.extend(merged.warnings);
    let all = values::to_tree(&merged.values);
    let mut imported = Values::new();
    for dependency in &mut chart.metadata.dependencies {
        let mut seen = Vec::new();
        for wish in &dependency.import_values {
            let (child, parent) = match wish {
                Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                Json::Object(pair) => (printed(pair.get("child")), printed(pair.get("parent"))),
                _ => continue,
            };
            let pair = [("child", &child), ("parent", &parent)];
            seen.push(Json::Object(pair.into_iter().map(|(key, text)| (key.to_owned(), text.clone().into())).collect()));
            let path = format!("{}.{child}", dependency.name);
            match table(&all, &path) {
                Some(found) => imported = values::merge_tables(&imported, &nested(&parent, found.clone())),
                None => warnings.push(missing(wish, &dependency.name, &all, &path)),
            }
        }
        dependency.import_values = seen;
    }
    chart.values = if imported.is_empty() { all } else { values::merge_tables(&all, &imported) };
    Ok(())
}

fn printed(value: Option<&Json>) -> String {
    let value = value.map_or(Value::Nil, Value::from_tree);
    crate::print::display(&value).to_string()
}

fn nested(path: &str, inner: Values) -> Values {
    if path == "." {
        return inner;
    }
    path.split('.').rev().fold(inner, |inner, name| {
        let mut outer = Map::new();
        outer.insert(name.to_owned(), Json::Object(inner));
        outer
    })
}

fn missing(wish: &Json, chart: &str, values: &Values, path: &str) -> String {
    let mut at = Some(values);
    let broken = path.split('.').find(|name| {
        at = at.and_then(|table| table.get(*name)).and_then(Json::as_object);
        at.is_none()
    });
    let error = format!("{:?}", format!("{:?} is not a table", broken.unwrap_or(path)));
    if wish.is_string() {
        warning("ImportValues missing table", &[("error", &error)])
    } else {
        warning("ImportValues missing table from chart", &[("chart", chart), ("error", &error)])
    }
}
