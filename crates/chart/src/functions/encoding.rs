//! Values in other notations: JSON, YAML, TOML, base 64 and 32. Functions without `must` swallow errors as Sprig and Helm do.

use serde_json::Value as Json;

use super::toml;
use super::yaml_item::item;
use super::{Call, Failure, Function};
use crate::golang::base;
use crate::golang::json::{self, Style};
use crate::golang::moment::Zone;
use crate::value::{ANY_LIST, ANY_MAP, List, Map, Str, Type, Value};
use crate::yaml;

const ANY: Type = Type::Any;
const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("b32dec", &[TEXT], "Reads base 32; an error comes as text.", |_, args| {
        Ok(base::decode32(&args[0].as_text()).map_or_else(|error| error.to_string().into(), |bytes| Str::from(bytes).into()))
    }),
    Function::fixed("b32enc", &[TEXT], "Writes base 32.", |_, args| Ok(base::encode32(&args[0].as_text()).into())),
    Function::fixed("b64dec", &[TEXT], "Reads base 64; an error comes as text.", |_, args| {
        Ok(base::decode64(&args[0].as_text()).map_or_else(|error| error.to_string().into(), |bytes| Str::from(bytes).into()))
    }),
    Function::fixed("b64enc", &[TEXT], "Writes base 64.", |_, args| Ok(base::encode64(&args[0].as_text()).into())),
    Function::fixed("fromJson", &[TEXT], "Reads a JSON map; an error stands under the key Error.", from_json),
    Function::fixed("fromJsonArray", &[TEXT], "Reads a JSON list; an error is its only element.", from_json_array),
    Function::fixed("fromToml", &[TEXT], "Reads TOML; an error stands under the key Error.", from_toml),
    Function::fixed("fromYaml", &[TEXT], "Reads a YAML map; an error stands under the key Error.", from_yaml),
    Function::fixed("fromYamlArray", &[TEXT], "Reads a YAML list; an error is its only element.", from_yaml_array),
    Function::fixed("mustFromJson", &[TEXT], "Reads JSON of any sort.", must_from_json),
    Function::fixed("mustToJson", &[ANY], "As toJson; an error ends the rendering.", |_, args| as_json(&args[0], COMPACT)),
    Function::fixed("mustToPrettyJson", &[ANY], "As toPrettyJson; an error ends the rendering.", |_, args| {
        as_json(&args[0], PRETTY)
    }),
    Function::fixed("mustToRawJson", &[ANY], "As toRawJson; an error ends the rendering.", |_, args| as_json(&args[0], RAW)),
    Function::fixed("mustToToml", &[ANY], "As toToml; an error ends the rendering.", |_, args| as_toml(&args[0])),
    Function::fixed("mustToYaml", &[ANY], "As toYaml; an error ends the rendering.", |_, args| as_yaml(&args[0])),
    Function::fixed("toJson", &[ANY], "Writes JSON.", |_, args| Ok(or_empty(as_json(&args[0], COMPACT)))),
    Function::fixed("toPrettyJson", &[ANY], "Writes JSON with line ends and indentation.", |_, args| {
        Ok(or_empty(as_json(&args[0], PRETTY)))
    }),
    Function::fixed("toRawJson", &[ANY], "Writes JSON and leaves <, > and & as they are.", |_, args| as_json(&args[0], RAW)),
    Function::fixed("toToml", &[ANY], "Writes TOML; an error comes as text.", |_, args| {
        // Nil is no document at all, and ends the rendering here too.
        if args[0].is_nil() { as_toml(&args[0]) } else { Ok(as_toml(&args[0]).unwrap_or_else(|error| error.text.into())) }
    }),
    Function::fixed("toYaml", &[ANY], "Writes YAML.", |_, args| Ok(or_empty(as_yaml(&args[0])))),
    Function::fixed("toYamlPretty", &[ANY], "Writes YAML with lists moved right.", to_yaml_pretty),
];

type Answer = Result<Value, Failure>;

const COMPACT: Style = Style { escape_html: true, pretty: false };
const PRETTY: Style = Style { escape_html: true, pretty: true };
const RAW: Style = Style { escape_html: false, pretty: false };

fn failure(error: impl std::error::Error) -> Failure {
    Failure::new(error.to_string())
}

fn or_empty(answer: Answer) -> Value {
    answer.unwrap_or_else(|_| "".into())
}

fn as_json(value: &Value, style: Style) -> Answer {
    json::write(value, style).map(Value::from).map_err(failure)
}

fn as_toml(value: &Value) -> Answer {
    toml::write(value).map(Value::from).map_err(failure)
}

/// Helm goes through JSON; what JSON cannot say is an error before YAML is thought of.
fn as_yaml(value: &Value) -> Answer {
    json::write(value, COMPACT).map_err(|error| Failure::new(format!("error marshaling into JSON: {error}")))?;
    let text = yaml::write(&item(value, false)).map_err(failure)?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).into())
}

fn to_yaml_pretty(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let text = yaml::write_pretty(&item(&args[0], true)).unwrap_or_default();
    Ok(text.strip_suffix('\n').unwrap_or(&text).into())
}

/// What Go calls the kind of a document in its errors.
fn kind_of_document(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}

fn mismatch(value: &Value, wanted: Type) -> String {
    format!("json: cannot unmarshal {} into Go value of type {wanted}", kind_of_document(value))
}

/// A map of an error alone, or with what was read.
fn with_error(map: Map, error: Option<String>) -> Value {
    if let Some(error) = error {
        map.insert("Error", error.into());
    }
    map.into()
}

fn from_json(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(match json::read(&args[0].as_text()) {
        Err(error) => with_error(Map::any(), Some(error.to_string())),
        Ok(document) => match document.value {
            Value::Map(map) => with_error(map, document.too_large),
            // A number that is too large reads as nil, and is still no map.
            Value::Nil if document.too_large.is_none() => Map::nil(ANY_MAP).into(),
            other => with_error(Map::any(), Some(mismatch(&other, ANY_MAP))),
        },
    })
}

fn from_json_array(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let failed = |error: String| Ok(Value::list(vec![error.into()]));
    match json::read(&args[0].as_text()) {
        Err(error) => failed(error.to_string()),
        Ok(document) => match (document.value, document.too_large) {
            (Value::List(_), Some(error)) => failed(error),
            (list @ Value::List(_), None) => Ok(list),
            (Value::Nil, None) => Ok(List::nil(ANY_LIST).into()),
            (other, _) => failed(mismatch(&other, ANY_LIST)),
        },
    }
}

fn must_from_json(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let document = json::read(&args[0].as_text()).map_err(failure)?;
    document.too_large.map_or(Ok(document.value), |error| Err(error.into()))
}

fn yaml_mismatch(value: &Value, wanted: Type) -> String {
    format!("error unmarshaling JSON: while decoding JSON: {}", mismatch(value, wanted))
}

fn from_yaml(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(match yaml::read(&args[0].as_text()) {
        Err(error) => with_error(Map::any(), Some(error.to_string())),
        Ok(Json::Null) => Map::any().into(),
        Ok(json) => match Value::from_json(&json) {
            Value::Map(map) => map.into(),
            other => with_error(Map::any(), Some(yaml_mismatch(&other, ANY_MAP))),
        },
    })
}

fn from_yaml_array(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let failed = |error: String| Ok(Value::list(vec![error.into()]));
    match yaml::read(&args[0].as_text()) {
        Err(error) => failed(error.to_string()),
        Ok(Json::Null) => Ok(Value::list(Vec::new())),
        Ok(json) => match Value::from_json(&json) {
            list @ Value::List(_) => Ok(list),
            other => failed(yaml_mismatch(&other, ANY_LIST)),
        },
    }
}

fn from_toml(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let local = Zone::local(&call.facts.zone());
    let offset = local.at(call.facts.now().as_second()).0;
    Ok(match toml::read(&args[0].as_text(), &toml::Zones { local, offset }) {
        Ok(map) => map.into(),
        Err(error) => with_error(Map::any(), Some(error)),
    })
}
