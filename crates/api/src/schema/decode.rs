//! Reading a document of a built-in kind as Go's decoder would: a value of another type is refused in its words, quantities and
//! times take their canonical form.

use super::{Schema, Type};
use crate::document::Value;
use crate::quantity::Quantity;

/// Why a document cannot be decoded, as `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

/// Checks types and puts quantities and times into canonical form.
///
/// # Errors
/// The first value that does not fit its field.
pub fn decode(object: &mut Value, schema: &Schema) -> Result<(), DecodeError> {
    walk(object, schema, &Place { owner: "", path: String::new() })
}

/// Where a value stands: the struct that has the field, and the path from the top.
struct Place<'s> {
    owner: &'s str,
    path: String,
}

impl Place<'_> {
    fn refuse(&self, value: &Value, schema: &Schema) -> DecodeError {
        let found = match value {
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Float(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Null => "null",
        };
        let wanted = go_type(schema);
        if self.path.is_empty() {
            return DecodeError(format!("json: cannot unmarshal {found} into Go value of type {wanted}"));
        }
        DecodeError(format!("json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}", self.owner, self.path))
    }

    fn below(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }
}

fn walk(value: &mut Value, schema: &Schema, place: &Place<'_>) -> Result<(), DecodeError> {
    if value.is_null() || (schema.preserves_unknown() && schema.reference.is_none()) {
        return Ok(());
    }
    let kind = schema.value_type();
    match (kind, &mut *value) {
        (Type::Object, Value::Object(map)) => {
            let target = schema.target();
            let owner = target.name.as_deref().map_or(place.owner, short);
            for (name, value) in map.iter_mut() {
                if let Some(field) = schema.property(name) {
                    let path = if target.properties.is_empty() { place.path.clone() } else { place.below(name) };
                    walk(value, field, &Place { owner, path })?;
                }
            }
            Ok(())
        }
        (Type::Array, Value::Array(items)) => match schema.items() {
            Some(each) => items.iter_mut().try_for_each(|item| walk(item, each, place)),
            None => Ok(()),
        },
        (Type::String, Value::String(_)) => text(value, schema),
        (Type::Boolean, Value::Bool(_)) | (Type::Number, Value::Int(_) | Value::Float(_)) | (Type::Any, _) => Ok(()),
        (Type::Integer, Value::Int(number)) => {
            let fits = schema.value_format() != Some("int32") || i32::try_from(*number).is_ok();
            if fits { Ok(()) } else { Err(place.refuse(value, schema)) }
        }
        (Type::Integer, Value::Float(number)) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
            *value = Value::Int(*number as i64);
            Ok(())
        }
        (Type::IntOrString, Value::Int(_) | Value::Float(_) | Value::String(_)) if schema.value_format() == Some("quantity") => {
            quantity(value)
        }
        (Type::IntOrString, Value::Int(_) | Value::String(_)) => Ok(()),
        _ => Err(place.refuse(value, schema)),
    }
}

fn quantity(value: &mut Value) -> Result<(), DecodeError> {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // An empty text is what Go reads as zero.
    let text = if text.is_empty() { "0".to_owned() } else { text };
    let read: Quantity = text.trim().parse().map_err(|error: crate::quantity::QuantityError| DecodeError(error.to_string()))?;
    *value = read.to_string().into();
    Ok(())
}

fn text(value: &mut Value, schema: &Schema) -> Result<(), DecodeError> {
    let Value::String(text) = &*value else { return Ok(()) };
    match schema.value_format() {
        Some("date-time" | "micro-time") if text.is_empty() => *value = Value::Null,
        Some(format @ ("date-time" | "micro-time")) => {
            let micro = format == "micro-time";
            let Ok(time) = text.parse::<jiff::Timestamp>() else {
                return Err(DecodeError(format!(
                    "parsing time {:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {:?} as \"2006\"",
                    text, text
                )));
            };
            let canonical =
                if micro { crate::document::meta::format_micro_time(time) } else { crate::document::meta::format_time(time) };
            if *text != canonical {
                *value = canonical.into();
            }
        }
        Some("byte") => {
            use base64::Engine as _;
            let plain: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
            let engine = base64::engine::GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                base64::engine::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireCanonical)
                    .with_decode_allow_trailing_bits(true),
            );
            if engine.decode(&plain).is_err() {
                let at = plain.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !b"+/=".contains(&byte));
                let at = at.unwrap_or(plain.len());
                return Err(DecodeError(format!("illegal base64 data at input byte {at}")));
            }
            if plain.len() != text.len() {
                *value = plain.into();
            }
        }
        _ => {}
    }
    Ok(())
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The Go type of a field.
fn go_type(schema: &Schema) -> String {
    if let Some(name) = schema.reference.and_then(super::named).and_then(|target| target.name.as_deref()) {
        let mut parts = name.rsplit('.');
        let (kind, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        return format!("{package}.{kind}");
    }
    match schema.value_type() {
        Type::Boolean => "bool".into(),
        Type::Integer => schema.value_format().unwrap_or("int64").into(),
        Type::Number => "float64".into(),
        Type::String => "string".into(),
        Type::Array => format!("[]{}", schema.items().map_or_else(|| "interface {}".into(), go_type)),
        Type::Object => match &schema.target().additional {
            Some(each) => format!("map[string]{}", go_type(each)),
            None => short(schema.target().name.as_deref().unwrap_or("object")).to_owned(),
        },
        Type::IntOrString => "intstr.IntOrString".into(),
        Type::Any => "interface {}".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn a_value_of_another_type_is_refused_in_the_words_of_go() {
        let deployment = schema::named("io.k8s.api.apps.v1.Deployment").unwrap();
        for (object, expected) in [
            (
                crate::value!({"spec": {"replicas": "two"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                crate::value!({"spec": {"template": {"spec": {"containers": [{"image": 1}]}}}}),
                "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string",
            ),
            (
                crate::value!({"spec": {"template": {"spec": {"containers": {}}}}}),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                crate::value!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
        ] {
            let error = decode(&mut object.clone(), deployment).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn quantities_and_times_take_their_canonical_form() {
        let pod = schema::named("io.k8s.api.core.v1.PodSpec").unwrap();
        let mut spec = crate::value!({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1024Mi", "x": "1500m"}}}]});
        decode(&mut spec, pod).unwrap();
        let limits = spec.get(&["containers"]).unwrap().as_array().unwrap()[0].get(&["resources", "limits"]).unwrap();
        assert_eq!(limits, &crate::value!({"cpu": "1", "memory": "1Gi", "x": "1500m"}));
    }
}
