//! Reads objects that the types of this program are too strict for: where a time is required, programs in Go may leave it out or write
//! `null`, and the API lets them. One such object must not keep everybody from seeing all others.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// The times that must be there, by the list or the object in which they stand.
const REQUIRED_TIMES: &[(&str, &str)] = &[("conditions", "lastTransitionTime"), ("series", "lastObservedTime")];
/// What stands for a time that nobody gave.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// An object as it comes. Read with patience, which takes longer, missing times are filled in, and what cannot be read even so is logged
/// and is none.
#[derive(Clone)]
pub(super) struct Reading<T, const PATIENT: bool>(pub(super) Option<T>);

impl<'de, T: DeserializeOwned, const PATIENT: bool> Deserialize<'de> for Reading<T, PATIENT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !PATIENT {
            return T::deserialize(deserializer).map(|object| Self(Some(object)));
        }
        let mut value = Value::deserialize(deserializer)?;
        fill_in(&mut value);
        let text = |path| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let unreadable = |error: serde_json::Error| {
            let kind = std::any::type_name::<T>();
            tracing::warn!(kind, namespace, name, %error, "an object cannot be read and counts as gone");
        };
        Ok(Self(serde_json::from_value(value).map_err(unreadable).ok()))
    }
}

fn fill_in(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fill_in),
        Value::Object(fields) => {
            for (place, time) in REQUIRED_TIMES {
                let holders = match fields.get_mut(*place) {
                    Some(Value::Array(items)) => items.as_mut_slice(),
                    Some(one) => std::slice::from_mut(one),
                    None => &mut [],
                };
                for holder in holders.iter_mut().filter_map(Value::as_object_mut) {
                    if holder.get(*time).is_none_or(Value::is_null) {
                        holder.insert((*time).to_owned(), NEVER.into());
                    }
                }
            }
            fields.values_mut().for_each(fill_in);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Pod, Service};

    use super::Reading;

    #[test]
    fn a_condition_without_a_time_is_read_with_patience_alone() {
        for time in ["", r#", "lastTransitionTime": null"#] {
            let condition = format!(r#"{{"type": "T", "status": "True"{time}}}"#);
            let text = format!(r#"{{"metadata": {{"name": "s"}}, "status": {{"conditions": [{condition}]}}}}"#);
            assert!(serde_json::from_str::<Reading<Service, false>>(&text).is_err());
            let service = serde_json::from_str::<Reading<Service, true>>(&text).unwrap().0.unwrap();
            let conditions = service.status.unwrap().conditions.unwrap();
            assert_eq!((conditions[0].type_.as_str(), conditions[0].last_transition_time.0.as_second()), ("T", 0));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_from_what_is_no_json() {
        let wrong = r#"{"metadata": {"name": "p"}, "spec": {"containers": 1}}"#;
        assert!(serde_json::from_str::<Reading<Pod, true>>(wrong).unwrap().0.is_none());
        assert!(serde_json::from_str::<Reading<Pod, true>>("{").is_err());
    }
}
