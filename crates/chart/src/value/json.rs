//! Between values and JSON trees.

use serde_json::{Number, Value as Json};

use super::{List, Map, Str, Value};

impl Value {
    /// As Go reads JSON or a values file into `interface {}`: every number is a `float64`.
    pub fn from_json(json: &Json) -> Self {
        Self::read(json, &|number| Self::Float(number.as_f64().unwrap_or(f64::NAN)))
    }

    /// As values are once `--set` has put `int64` among them: numbers that the tree holds as integers stay such.
    pub fn from_tree(tree: &Json) -> Self {
        Self::read(tree, &|number| number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN)), Self::int64))
    }

    fn read(json: &Json, number: &dyn Fn(&Number) -> Self) -> Self {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || Self::read_one(json, number))
    }

    fn read_one(json: &Json, number: &dyn Fn(&Number) -> Self) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(it) => number(it),
            Json::String(text) => Self::string(text.as_str()),
            Json::Array(items) => Self::List(List::any(items.iter().map(|item| Self::read(item, number)).collect())),
            Json::Object(entries) => Self::Map(
                entries.iter().map(|(key, value)| (Str::from(key.as_str()), Self::read(value, number))).collect::<Map>(),
            ),
        }
    }

    /// The JSON tree. Floats without a fraction become integers, as Go writes them; what JSON cannot say (NaN) becomes null, and so
    /// does what lies too deep.
    pub fn to_json(&self) -> Json {
        self.write(0)
    }

    fn write(&self, depth: usize) -> Json {
        if depth > DEEPEST {
            return Json::Null;
        }
        let depth = depth + 1;
        match self {
            Self::Nil | Self::Complex(..) => Json::Null,
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Int(number, _) => Json::from(*number),
            Self::Uint(number, _) => Json::from(*number),
            Self::Float(number) => float(*number),
            Self::String(text) => Json::String(text.lossy().into_owned()),
            Self::List(list) if list.is_nil() => Json::Null,
            Self::List(list) => list.with(|items| items.iter().map(|item| item.write(depth)).collect()),
            Self::Map(map) if map.is_nil() => Json::Null,
            Self::Map(map) => map.with(|entries| {
                Json::Object(entries.iter().map(|(key, value)| (key.lossy().into_owned(), value.write(depth))).collect())
            }),
            Self::Object(object) => object.to_json().write(depth),
        }
    }
}

/// How deep a tree may be; a map can hold itself.
const DEEPEST: usize = 500;
/// Below it every whole `f64` is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn float(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}
