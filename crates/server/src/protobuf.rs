//! Request bodies in protobuf, which clients in Go send for built-in kinds: decoded into the one document model. Field numbers and types
//! are upstream's, as data in `protobuf/numbers.txt`; answers stay JSON, which every such client accepts as well. Never trusts a
//! length: whatever does not fit is an error.

use api::document::{Map, Value, meta};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8; 4] = b"k8s\0";
/// Deeper than any kind nests.
const DEPTH_MAX: usize = 64;
const NUMBERS: &str = include_str!("protobuf/numbers.txt");

/// A body that is no protobuf of a known kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Not the wrapper that Kubernetes uses.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    /// A kind without numbers.
    #[error("{0} has no protobuf form here")]
    Kind(String),
    /// Cut off, or not protobuf.
    #[error("proto: unexpected EOF")]
    Truncated,
    /// Deeper than anything is.
    #[error("proto: too deeply nested")]
    Nested,
}

struct Field {
    name: &'static str,
    kind: &'static str,
    many: bool,
    map: bool,
    /// Whether zero is left out in JSON: it is no pointer in Go, so that zero says nothing.
    omits_zero: bool,
}

type Messages = HashMap<&'static str, HashMap<u64, Field>>;

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    let mut messages = Messages::new();
    let mut current = "";
    for line in NUMBERS.lines() {
        if let Some(name) = line.strip_prefix('@') {
            current = name;
            messages.insert(name, HashMap::new());
            continue;
        }
        let mut words = line.split(' ');
        let (Some(number), Some(name), Some(kind)) = (words.next(), words.next(), words.next()) else { continue };
        let (many, map) = (kind.starts_with('*'), kind.starts_with('%'));
        let omits_zero = words.next().is_some();
        let field = Field { name, kind: kind.trim_start_matches(['*', '%']), many, map, omits_zero };
        if let (Ok(number), Some(fields)) = (number.parse(), messages.get_mut(current)) {
            fields.insert(number, field);
        }
    }
    messages
});

/// The document in a body.
pub(crate) fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    let body = body.strip_prefix(MAGIC).ok_or(DecodeError::Prefix)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for part in parts(body) {
        match part? {
            (1, Wire::Bytes(type_meta)) => {
                for part in parts(type_meta) {
                    match part? {
                        (1, Wire::Bytes(text)) => api_version = text_of(text),
                        (2, Wire::Bytes(text)) => kind = text_of(text),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, version) = meta::split_api_version(&api_version);
    let package = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or_default() };
    let names = [format!("{package}.{version}.{kind}"), format!("meta.v1.{kind}")];
    let name = names.iter().find(|name| MESSAGES.contains_key(name.as_str()));
    let name = name.ok_or_else(|| DecodeError::Kind(format!("{api_version}, Kind={kind}")))?;
    let mut document = Map::new();
    document.insert("apiVersion", api_version.as_str());
    document.insert("kind", kind.as_str());
    let mut document = Value::Object(document);
    message(name, raw, &mut document, 0)?;
    Ok(document)
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order.
fn parts(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), DecodeError>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = next_part(&mut rest);
        if part.is_err() {
            rest = &[];
        }
        Some(part)
    })
}

fn next_part<'a>(rest: &mut &'a [u8]) -> Result<(u64, Wire<'a>), DecodeError> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(rest)?),
        1 => Wire::Number(u64::from_le_bytes(taken(rest, 8)?.try_into().map_err(|_| DecodeError::Truncated)?)),
        2 => {
            let len = usize::try_from(varint(rest)?).map_err(|_| DecodeError::Truncated)?;
            Wire::Bytes(taken(rest, len)?)
        }
        5 => Wire::Number(u32::from_le_bytes(taken(rest, 4)?.try_into().map_err(|_| DecodeError::Truncated)?).into()),
        _ => return Err(DecodeError::Truncated),
    };
    Ok((tag >> 3, wire))
}

fn taken<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (head, tail) = rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
    *rest = tail;
    Ok(head)
}

fn varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, tail) = rest.split_first().ok_or(DecodeError::Truncated)?;
        *rest = tail;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Truncated)
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two's complement, as protobuf sends negative numbers.
fn signed(number: u64) -> i64 {
    i64::from_le_bytes(number.to_le_bytes())
}

/// Adds the fields of a message to a document.
fn message(name: &str, bytes: &[u8], into: &mut Value, depth: usize) -> Result<(), DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::Nested);
    }
    let fields = MESSAGES.get(name).ok_or_else(|| DecodeError::Kind(name.to_owned()))?;
    for part in parts(bytes) {
        let (number, wire) = part?;
        let Some(field) = fields.get(&number) else { continue };
        if field.map {
            let (key, value) = map_entry(field, &wire, depth)?;
            into.set_at(&[field.name, &key], value);
            continue;
        }
        // In JSON, embedded structures stand among the fields of what holds them.
        if let Wire::Bytes(bytes) = wire
            && is_inline(name, field)
        {
            message(field.kind, bytes, into, depth + 1)?;
            continue;
        }
        let value = one(field.kind, &wire, depth)?;
        if field.many {
            let mut list = into.array_at(&[field.name]).to_vec();
            list.push(value);
            into.set_at(&[field.name], list);
        } else if !says_nothing(field, &value) {
            into.set_at(&[field.name], value);
        }
    }
    Ok(())
}

fn says_nothing(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Int(0) | Value::Bool(false) => field.omits_zero,
        _ => false,
    }
}

fn is_inline(message: &str, field: &Field) -> bool {
    matches!(
        (message, field.name),
        ("core.v1.Volume", "volumeSource")
            | ("core.v1.PersistentVolumeSpec", "persistentVolumeSource")
            | ("core.v1.Probe", "handler")
            | ("core.v1.EphemeralContainer", "ephemeralContainerCommon")
            | ("networking.v1.IngressRule", "ingressRuleValue")
            | ("admissionregistration.v1.RuleWithOperations", "rule")
            | ("admissionregistration.v1.NamedRuleWithOperations", "ruleWithOperations")
            | (_, "localObjectReference" | "deviceConfiguration")
    )
}

fn map_entry(field: &Field, wire: &Wire<'_>, depth: usize) -> Result<(String, Value), DecodeError> {
    let Wire::Bytes(entry) = wire else { return Err(DecodeError::Truncated) };
    let (mut key, mut value) = (String::new(), None);
    for part in parts(entry) {
        match part? {
            (1, Wire::Bytes(text)) => key = text_of(text),
            (2, wire) => value = Some(one(field.kind, &wire, depth + 1)?),
            _ => {}
        }
    }
    let absent = || one(field.kind, &Wire::Bytes(&[]), depth + 1);
    Ok((key, value.map_or_else(absent, Ok)?))
}

fn one(kind: &str, wire: &Wire<'_>, depth: usize) -> Result<Value, DecodeError> {
    let bytes = match (kind, wire) {
        ("b", Wire::Number(number)) => return Ok(Value::Bool(*number != 0)),
        ("d", Wire::Number(number)) => return Ok(double(f64::from_bits(*number))),
        (_, Wire::Number(number)) => return Ok(Value::Int(signed(*number))),
        (_, Wire::Bytes(bytes)) => *bytes,
    };
    match kind {
        "s" => Ok(Value::String(text_of(bytes))),
        "y" => Ok(Value::String(STANDARD.encode(bytes))),
        "meta.v1.Time" | "meta.v1.MicroTime" => time(bytes, kind == "meta.v1.MicroTime"),
        "resource.Quantity" => Ok(first_text(bytes)?.map_or(Value::from("0"), Value::String)),
        "runtime.RawExtension" | "meta.v1.FieldsV1" | "apiextensions.v1.JSON" => {
            let raw = first_text(bytes)?.unwrap_or_default();
            Ok(Value::parse_json(raw.as_bytes()).map(|(value, _)| value).unwrap_or_default())
        }
        "intstr.IntOrString" => int_or_string(bytes),
        "meta.v1.Duration" => Ok(Value::from(format!("{}ns", first_number(bytes)?))),
        "meta.v1.Verbs" => texts(bytes),
        either if either.starts_with("apiextensions.v1.JSONSchemaPropsOr") => schema_or(either, bytes, depth),
        list if list.ends_with(".ExtraValue") => texts(bytes),
        _ => {
            let mut object = Value::object();
            message(kind, bytes, &mut object, depth + 1)?;
            Ok(object)
        }
    }
}

/// Go writes a whole number without a fraction.
fn double(number: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
        return Value::Int(number as i64);
    }
    Value::Float(number)
}

/// A schema, or what may stand in its place in JSON: a truth value, a list of schemas, a list of names.
fn schema_or(kind: &str, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    const SCHEMA: &str = "apiextensions.v1.JSONSchemaProps";
    let (mut allows, mut schema, mut list, mut is_bool) = (false, None, Vec::new(), false);
    for part in parts(bytes) {
        match part? {
            (1, Wire::Number(number)) => (allows, is_bool) = (number != 0, true),
            // Where a truth value comes first, the schema is second; else a second field is one of a list.
            (1, wire @ Wire::Bytes(_)) => schema = Some(one(SCHEMA, &wire, depth)?),
            (2, wire @ Wire::Bytes(_)) if is_bool => schema = Some(one(SCHEMA, &wire, depth)?),
            (2, Wire::Bytes(name)) if kind.ends_with("StringArray") => list.push(Value::String(text_of(name))),
            (2, wire @ Wire::Bytes(_)) => list.push(one(SCHEMA, &wire, depth)?),
            _ => {}
        }
    }
    Ok(match schema {
        Some(schema) => schema,
        None if is_bool => Value::Bool(allows),
        None => Value::Array(list),
    })
}

fn first_text(bytes: &[u8]) -> Result<Option<String>, DecodeError> {
    for part in parts(bytes) {
        if let (1, Wire::Bytes(text)) = part? {
            return Ok(Some(text_of(text)));
        }
    }
    Ok(None)
}

fn first_number(bytes: &[u8]) -> Result<i64, DecodeError> {
    for part in parts(bytes) {
        if let (1, Wire::Number(number)) = part? {
            return Ok(signed(number));
        }
    }
    Ok(0)
}

fn texts(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut list = Vec::new();
    for part in parts(bytes) {
        if let (1, Wire::Bytes(text)) = part? {
            list.push(Value::String(text_of(text)));
        }
    }
    Ok(Value::Array(list))
}

fn time(bytes: &[u8], micro: bool) -> Result<Value, DecodeError> {
    let (mut seconds, mut nanos) = (None, 0);
    for part in parts(bytes) {
        match part? {
            (1, Wire::Number(number)) => seconds = Some(signed(number)),
            (2, Wire::Number(number)) => nanos = signed(number),
            _ => {}
        }
    }
    // Go's zero time is sent as an empty message, and is null in JSON.
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let Ok(time) = jiff::Timestamp::new(seconds, nanos) else { return Ok(Value::Null) };
    Ok(Value::from(if micro { meta::format_micro_time(time) } else { meta::format_time(time) }))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for part in parts(bytes) {
        match part? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = signed(value),
            (3, Wire::Bytes(bytes)) => text = text_of(bytes),
            _ => {}
        }
    }
    Ok(if is_text { Value::String(text) } else { Value::Int(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field `number` of length-delimited bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn wrapped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
    }

    #[test]
    fn a_namespace_as_kubectl_sends_it_is_read() {
        let labels = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let metadata = [field(1, b"x"), field(2, b""), field(8, &[]), labels].concat();
        let raw = [field(1, &metadata), field(2, &[]), field(3, &field(1, b""))].concat();
        let document = decode(&wrapped("v1", "Namespace", &raw)).unwrap();
        assert_eq!(document.str_at(&["kind"]), Some("Namespace"));
        assert_eq!(document.str_at(&["metadata", "name"]), Some("x"));
        assert_eq!(document.str_at(&["metadata", "labels", "a"]), Some("b"));
        assert!(document.get(&["metadata", "creationTimestamp"]).is_none());
    }

    #[test]
    fn embedded_structures_numbers_and_special_types_read_as_json() {
        let volume = [field(1, b"v"), field(2, &field(2, &field(1, b"Memory")))].concat();
        let raw = field(2, &field(1, &volume));
        let pod = decode(&wrapped("v1", "Pod", &raw)).unwrap();
        let volume = &pod.array_at(&["spec", "volumes"])[0];
        assert_eq!(volume.str_at(&["emptyDir", "medium"]), Some("Memory"));
        let data = field(2, &[field(1, b"k"), field(2, b"\x00\x01")].concat());
        let secret = decode(&wrapped("v1", "Secret", &data)).unwrap();
        assert_eq!(secret.str_at(&["data", "k"]), Some("AAE="));
        let port = field(2, &field(1, &[vec![0x18, 80], field(4, &[8, 1, 0x1a, 1, b'h'])].concat()));
        let service = decode(&wrapped("v1", "Service", &port)).unwrap();
        let port = &service.array_at(&["spec", "ports"])[0];
        assert_eq!((port.i64_at(&["port"]), port.str_at(&["targetPort"])), (Some(80), Some("h")));
    }

    #[test]
    fn a_schema_may_be_a_truth_value_a_list_or_hold_any_json() {
        let items = [field(2, &field(5, b"string")), field(2, &field(5, b"integer"))].concat();
        let schema = [
            field(8, &field(1, b"[1,null]")),
            vec![9 << 3 | 1, 0, 0, 0, 0, 0, 0, 0x24, 0x40],
            vec![0xc2, 1, u8::try_from(items.len()).unwrap()],
            items,
        ];
        let mut read = Value::object();
        message("apiextensions.v1.JSONSchemaProps", &schema.concat(), &mut read, 0).unwrap();
        assert_eq!(
            String::from_utf8(read.to_json()).unwrap(),
            r#"{"default":[1,null],"maximum":10,"items":[{"type":"string"},{"type":"integer"}]}"#
        );
        let or_bool = |bytes: &[u8]| one("apiextensions.v1.JSONSchemaPropsOrBool", &Wire::Bytes(bytes), 0).unwrap();
        assert_eq!(or_bool(&[8, 1]), Value::Bool(true));
        assert_eq!(or_bool(&[vec![8, 1], field(2, &field(5, b"string"))].concat()).str_at(&["type"]), Some("string"));
    }

    #[test]
    fn what_is_cut_off_foreign_or_endless_is_an_error() {
        let whole = wrapped("v1", "Namespace", &field(1, &field(1, b"x")));
        for cut in [1, 2, 3, whole.len() - 10] {
            assert_eq!(decode(&whole[..whole.len() - cut]), Err(DecodeError::Truncated), "{cut}");
        }
        assert_eq!(decode(b"{}"), Err(DecodeError::Prefix));
        assert!(matches!(decode(&wrapped("v1", "Nothing", &[])), Err(DecodeError::Kind(_))));
        assert_eq!(decode(&[b"k8s\0".as_slice(), &[0xff; 12]].concat()), Err(DecodeError::Truncated));
    }
}
