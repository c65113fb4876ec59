//! Values down a tree of charts: what the user says over what charts say, globals shared, nulls that delete. Tables are
//! shared between levels exactly where Go shares its maps, since charts see the effects. It never renders.

use std::collections::BTreeSet;

use serde_json::{Map as JsonMap, Number, Value as Json};

use super::{GLOBAL, Values};
use crate::chart::Chart;
use crate::print::quote::quoted;
use crate::print::{display, sprintf};
use crate::value::{Map, Value};

/// Values ready for templates, and what Helm logs on the way.
#[derive(Clone, Debug)]
pub struct Coalesced {
    /// The values of the root chart, its subcharts' in it.
    pub values: Map,
    /// Lines that Helm logs.
    pub warnings: Vec<String>,
}

/// Why values do not fit a chart; the text is Helm's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CoalesceError {
    /// A subchart's values are no table.
    #[error("type mismatch on {name}: {found}")]
    Table {
        /// The subchart.
        name: String,
        /// Its value, printed by Go as if it were a boolean.
        found: String,
    },
}

/// The user's values over the chart's; nulls delete.
pub fn coalesce(chart: &Chart, values: &Values) -> Result<Coalesced, CoalesceError> {
    run(chart, values, false)
}

/// As [`coalesce`], but nulls stay.
pub fn merge(chart: &Chart, values: &Values) -> Result<Coalesced, CoalesceError> {
    run(chart, values, true)
}

/// Lays `over` upon `under`; nulls delete.
#[must_use]
pub fn coalesce_tables(over: &Values, under: &Values) -> Values {
    tables(over, under, false)
}

/// Lays `over` upon `under`; nulls stay.
#[must_use]
pub fn merge_tables(over: &Values, under: &Values) -> Values {
    tables(over, under, true)
}

fn tables(over: &Values, under: &Values, merge: bool) -> Values {
    let over = from_tree(over);
    Walk::default().tables(&over, &from_tree(under), "", merge);
    to_tree(&over)
}

fn run(chart: &Chart, values: &Values, merge: bool) -> Result<Coalesced, CoalesceError> {
    let values = from_tree(values);
    let mut walk = Walk::default();
    walk.chart(chart, &values, "", merge)?;
    Ok(Coalesced { values, warnings: walk.warnings })
}

/// Values as templates see them.
#[must_use]
pub fn from_tree(values: &Values) -> Map {
    values.iter().map(|(key, value)| (key.as_str().into(), Value::from_tree(value))).collect()
}

/// Values as a tree again, integers and floats kept apart.
#[must_use]
pub fn to_tree(values: &Map) -> Values {
    values.entries().into_iter().map(|(key, value)| (key.lossy().into_owned(), to_json(&value))).collect()
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::List(list) if !list.is_nil() => list.with(|items| items.iter().map(to_json).collect()),
        Value::Map(map) if !map.is_nil() => Json::Object(to_tree(map).into_iter().collect::<JsonMap<_, _>>()),
        other => other.to_json(),
    }
}

fn dotted(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn as_table(value: &Value) -> Option<&Map> {
    if let Value::Map(map) = value { Some(map) } else { None }
}

#[derive(Default)]
struct Walk {
    warnings: Vec<String>,
}

impl Walk {
    /// Remembers a line as Helm logs it.
    fn warn(&mut self, message: impl AsRef<[u8]>) {
        self.warnings.push(format!("level=INFO msg={}", quoted(message.as_ref())));
    }

    fn chart(&mut self, chart: &Chart, values: &Map, prefix: &str, merge: bool) -> Result<(), CoalesceError> {
        self.own(chart, values, prefix, merge);
        for subchart in &chart.dependencies {
            let name = subchart.name();
            let table = match values.get(name) {
                None => {
                    let table = Map::any();
                    values.insert(name, Value::Map(table.clone()));
                    table
                }
                Some(Value::Map(table)) => table,
                Some(other) => {
                    return Err(CoalesceError::Table {
                        name: name.to_owned(),
                        found: String::from_utf8_lossy(&sprintf(b"%t", &[other])).into_owned(),
                    });
                }
            };
            let below = dotted(prefix, chart.name());
            self.globals(&table, values, &below);
            self.chart(subchart, &table, &below, merge)?;
        }
        Ok(())
    }

    /// The chart's own defaults under `values`.
    fn own(&mut self, chart: &Chart, values: &Map, prefix: &str, merge: bool) {
        let prefix = dotted(prefix, chart.name());
        for (key, default) in from_tree(&chart.values).entries() {
            let name = key.lossy().into_owned();
            match values.get(&key) {
                None => {
                    if !merge {
                        if default.is_nil() {
                            continue;
                        }
                        if let Value::Map(table) = &default {
                            drop_nulls(table);
                        }
                    }
                    values.insert(key, default);
                }
                Some(Value::Nil) if !merge => {
                    values.remove(&key);
                }
                Some(Value::Map(over)) => match &default {
                    Value::Map(under) => {
                        let merge = merge || chart.dependencies.iter().any(|subchart| subchart.name() == name);
                        if !merge {
                            drop_nulls(under);
                        }
                        self.tables(&over, under, &dotted(&prefix, &name), merge);
                    }
                    Value::Nil => {}
                    _ => self.warn(format!("warning: skipped value for {prefix}.{name}: Not a table.")),
                },
                Some(_) => {}
            }
        }
    }

    /// Lays the parent's globals over a subchart's.
    fn globals(&mut self, over: &Map, from: &Map, prefix: &str) {
        let table = |values: &Map| match values.get(GLOBAL) {
            None => Some(Map::any()),
            Some(Value::Map(table)) => Some(table),
            Some(_) => None,
        };
        let Some(into) = table(over) else {
            self.warn("warning: skipping globals because destination global is not a table.");
            return;
        };
        let Some(globals) = table(from) else {
            self.warn("warning: skipping globals because source global is not a table.");
            return;
        };
        for (key, value) in globals.entries() {
            let old = into.get(&key);
            let name = key.lossy().into_owned();
            match (&value, &old) {
                (Value::Map(table), None) => into.insert(key, Value::Map(table.shallow(table.go_type()))),
                (Value::Map(table), Some(Value::Map(under))) => {
                    // The copy is of one level: deeper tables are the parent's own, which so learn of the subchart's.
                    let copy = table.shallow(table.go_type());
                    self.tables(&copy, under, &dotted(prefix, &name), true);
                    into.insert(key, Value::Map(copy));
                }
                (Value::Map(_), Some(_)) => {
                    self.warn(format!("Conflict: cannot merge map onto non-map for {name:?}. Skipping."));
                }
                (_, Some(Value::Map(_))) => self.warn(format!("key {name} is table. Skipping")),
                _ => into.insert(key, value),
            }
        }
        over.insert(GLOBAL, Value::Map(into));
    }

    fn tables(&mut self, over: &Map, under: &Map, prefix: &str, merge: bool) {
        let said: BTreeSet<_> = under.entries().into_iter().filter(|(_, value)| !value.is_nil()).map(|(key, _)| key).collect();
        for (key, value) in over.entries() {
            if value.is_nil() {
                under.insert(key, Value::Nil);
            }
        }
        for (key, value) in under.entries() {
            let name = dotted(prefix, &key.lossy());
            match over.get(&key) {
                None => over.insert(key, value),
                Some(Value::Nil) if !merge && said.contains(&key) => {
                    over.remove(&key);
                }
                Some(old) => match (as_table(&value), as_table(&old)) {
                    (Some(under), Some(over)) => self.tables(over, under, &name, merge),
                    (Some(_), None) => {
                        self.warn(format!("warning: cannot overwrite table with non table for {name} ({})", display(&value)))
                    }
                    (None, Some(_)) if !value.is_nil() => self.warn(format!(
                        "warning: destination for {name} is a table. Ignoring non-table value ({})",
                        display(&value)
                    )),
                    _ => {}
                },
            }
        }
    }
}

fn drop_nulls(table: &Map) {
    for (key, value) in table.entries() {
        match value {
            Value::Nil => {
                table.remove(&key);
            }
            Value::Map(inner) => drop_nulls(&inner),
            _ => {}
        }
    }
}
