//! The JSON paths of a CustomResourceDefinition's columns and scales: fields, indexes, wildcards, filters and descent.

mod parse;

use super::cells;
use crate::document::Value;
use jiff::Timestamp;

/// A parsed path such as `.spec.replicas` or `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Every,
    /// `..name`: the field anywhere below.
    Anywhere(String),
    /// `[?(@.path op literal)]`; without an operator the path must lead somewhere.
    Filter(Vec<Step>, Option<(Compare, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl JsonPath {
    /// Reads a path; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self { text: text.to_owned(), steps: parse::steps(text)? })
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names, if the path is made of fields alone.
    pub fn fields(&self) -> Option<Vec<String>> {
        let field = |step: &Step| match step {
            Step::Field(name) => Some(name.clone()),
            _ => None,
        };
        self.steps.iter().map(field).collect()
    }

    /// Every value that the path leads to.
    pub fn find<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        walk(&self.steps, object)
    }

    /// The cell of an object, by the column's type. Only the first value is shown.
    pub fn cell(&self, object: &Value, kind: &str, now: Timestamp) -> Value {
        let Some(value) = self.find(object).first().copied() else { return Value::Null };
        match kind {
            "integer" => {
                value.as_i64().map_or_else(|| value.as_f64().map_or(Value::Null, |number| Value::Int(number as i64)), Value::Int)
            }
            "number" => value.as_f64().map_or(Value::Null, |_| value.clone()),
            "boolean" => value.as_bool().map_or(Value::Null, Value::Bool),
            "date" => match value {
                Value::String(text) => match text.parse::<Timestamp>() {
                    Ok(then) => cells::human(now.as_second() - then.as_second()).into(),
                    Err(_) => "<invalid>".into(),
                },
                _ => Value::Null,
            },
            _ => match value {
                Value::String(_) => value.clone(),
                Value::Null => "<nil>".into(),
                other => other.to_string().into(),
            },
        }
    }
}

fn walk<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return vec![value] };
    let next: Vec<&Value> = match step {
        Step::Field(name) => value.field(name).into_iter().collect(),
        Step::Index(index) => at(value, *index).into_iter().collect(),
        Step::Slice(from, to) => slice(value, *from, *to),
        Step::Every => children(value),
        Step::Anywhere(name) => {
            let mut found = Vec::new();
            anywhere(value, name, &mut found);
            found
        }
        Step::Filter(path, compare) => {
            let items = value.as_array().unwrap_or_default().iter();
            items.filter(|item| holds(item, path, compare.as_ref())).collect()
        }
    };
    next.into_iter().flat_map(|value| walk(rest, value)).collect()
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let index = if index < 0 { i64::try_from(items.len()).ok()? + index } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>) -> Vec<&Value> {
    let items = value.as_array().unwrap_or_default();
    let place = |index: i64| {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        usize::try_from(if index < 0 { length + index } else { index.min(length) }).unwrap_or(0)
    };
    let (from, to) = (from.map_or(0, place), to.map_or(items.len(), place));
    items.get(from..to).map(|found| found.iter().collect()).unwrap_or_default()
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn anywhere<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
    found.extend(value.field(name));
    for child in children(value) {
        anywhere(child, name, found);
    }
}

fn holds(item: &Value, path: &[Step], compare: Option<&(Compare, Value)>) -> bool {
    let found = walk(path, item);
    let Some((compare, wanted)) = compare else { return !found.is_empty() };
    found.first().is_some_and(|value| {
        let order = match (value, wanted) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (a, b) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        };
        match compare {
            Compare::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Compare::Unequal => order.is_none_or(std::cmp::Ordering::is_ne),
            Compare::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Compare::AtMost => order.is_some_and(std::cmp::Ordering::is_le),
            Compare::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Compare::AtLeast => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_fields_items_and_what_a_filter_keeps() {
        let object = crate::value!({
            "spec": {"replicas": 3, "on": true, "hosts": ["a", "b"], "map": {"x.y/z": "dotted"}},
            "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        for (path, kind, expected) in [
            (".spec.replicas", "integer", crate::value!(3)),
            ("{.spec.replicas}", "string", crate::value!("3")),
            (".spec.on", "boolean", crate::value!(true)),
            (".spec.hosts[0]", "string", crate::value!("a")),
            (".spec.hosts[-1]", "string", crate::value!("b")),
            (".spec.hosts", "string", crate::value!("[\"a\",\"b\"]")),
            (".spec.map.x\\.y/z", "string", crate::value!("dotted")),
            (".spec.map['x.y/z']", "string", crate::value!("dotted")),
            (".status.conditions[?(@.type==\"Ready\")].status", "string", crate::value!("True")),
            (".status.conditions[?(@.type=='Ready')].status", "string", crate::value!("True")),
            (".spec.nothing", "string", Value::Null),
        ] {
            let parsed = JsonPath::parse(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(parsed.cell(&object, kind, Timestamp::UNIX_EPOCH), expected, "{path}");
        }
        assert!(JsonPath::parse(".spec[").is_none());
        assert!(JsonPath::parse("spec").is_some());
    }
}
