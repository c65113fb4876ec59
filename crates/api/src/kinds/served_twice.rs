//! Resources that are kept once and served in two forms: Events by the core group and `events.k8s.io`, autoscalers as v1 and v2.

use super::cells;
use crate::document::{Value, meta};
use crate::kind::{Convert, Kind, SelectableField, StoredAs, Text, Version};
use crate::schema;
use jiff::Timestamp;

/// `events.k8s.io` keeps its Events as those of the core group.
pub(super) fn events(kind: &mut Kind) {
    kind.stored_as = Some(StoredAs { group: "", plural: "events", api_version: "v1" });
    let version = &mut kind.versions[0];
    version.convert = Some(&EventForms);
    // In the order of the core kind's, whose values are kept beside the bytes.
    let field = |(name, path): &(&'static str, &'static str)| SelectableField {
        name: Text::Borrowed(name),
        path: path.split('.').map(Text::Borrowed).collect(),
        otherwise: Vec::new(),
        default: "",
    };
    version.selectable_fields = [
        ("regarding.kind", "involvedObject.kind"),
        ("regarding.namespace", "involvedObject.namespace"),
        ("regarding.name", "involvedObject.name"),
        ("regarding.uid", "involvedObject.uid"),
        ("regarding.apiVersion", "involvedObject.apiVersion"),
        ("regarding.resourceVersion", "involvedObject.resourceVersion"),
        ("regarding.fieldPath", "involvedObject.fieldPath"),
        ("reason", "reason"),
        ("reportingController", "reportingComponent"),
        ("source", "source"),
        ("type", "type"),
    ]
    .iter()
    .map(field)
    .collect();
}

/// Fields of an Event: its name here, and in the core group.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

struct EventForms;

impl Convert for EventForms {
    fn to_stored(&self, object: &mut Value) {
        rename(object, EVENT_FIELDS.iter().map(|(here, core)| (*here, *core)));
    }

    fn to_served(&self, object: &mut Value) {
        rename(object, EVENT_FIELDS.iter().map(|(here, core)| (*core, *here)));
    }
}

fn rename<'f>(object: &mut Value, fields: impl Iterator<Item = (&'f str, &'f str)>) {
    let Some(map) = object.as_object_mut() else { return };
    for (from, to) in fields {
        if let Some(value) = map.remove(from) {
            map.insert(to, value);
        }
    }
}

/// When an Event was seen last.
pub(super) fn last_seen(object: &Value, now: Timestamp) -> Value {
    let mut core = object.clone();
    EventForms.to_stored(&mut core);
    cells::last_seen(&core, now)
}

/// What an Event is about.
pub(super) fn regarding(object: &Value, now: Timestamp) -> Value {
    let mut core = object.clone();
    EventForms.to_stored(&mut core);
    cells::involved(&core, now)
}

/// Autoscalers are kept as v2 and served as v1 too.
pub(super) fn autoscaler(kind: &mut Kind) {
    let first = Version {
        name: Text::Borrowed("v1"),
        storage: false,
        convert: Some(&AutoscalerForms),
        definition: schema::interned("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler"),
        ..kind.versions[0].clone()
    };
    kind.versions.push(first);
}

/// Where v1 carries what it has no fields for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

struct AutoscalerForms;

impl Convert for AutoscalerForms {
    fn to_stored(&self, object: &mut Value) {
        let mut metrics =
            take_annotation(object, METRICS).and_then(|value| value.as_array().map(<[Value]>::to_vec)).unwrap_or_default();
        if let Some(percent) = object.remove_at(&["spec", "targetCPUUtilizationPercentage"]).filter(|value| !value.is_null()) {
            let target = crate::value!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}});
            metrics.insert(0, target);
            metrics[0].set_at(&["resource", "target", "averageUtilization"], percent);
        }
        if !metrics.is_empty() {
            object.set_at(&["spec", "metrics"], Value::Array(metrics));
        }
        for (annotation, path) in
            [(BEHAVIOR, &["spec", "behavior"]), (CURRENT, &["status", "currentMetrics"]), (CONDITIONS, &["status", "conditions"])]
        {
            if let Some(value) = take_annotation(object, annotation) {
                object.set_at(path, value);
            }
        }
        object.remove_at(&["status", "currentCPUUtilizationPercentage"]);
    }

    fn to_served(&self, object: &mut Value) {
        if let Some(Value::Array(mut metrics)) = object.remove_at(&["spec", "metrics"]) {
            let cpu = |metric: &Value| {
                metric.str_at(&["resource", "name"]) == Some("cpu")
                    && metric.get(&["resource", "target", "averageUtilization"]).is_some_and(|value| !value.is_null())
            };
            if let Some(at) = metrics.iter().position(cpu) {
                let metric = metrics.remove(at);
                let percent = metric.get(&["resource", "target", "averageUtilization"]).cloned().unwrap_or_default();
                object.set_at(&["spec", "targetCPUUtilizationPercentage"], percent);
            }
            if !metrics.is_empty() {
                put_annotation(object, METRICS, &Value::Array(metrics));
            }
        }
        if let Some(current) = object.get(&["status", "currentMetrics"]).and_then(Value::as_array) {
            let percent = current.iter().find_map(|metric| metric.i64_at(&["resource", "current", "averageUtilization"]));
            if let Some(percent) = percent {
                object.set_at(&["status", "currentCPUUtilizationPercentage"], percent);
            }
        }
        for (annotation, path) in
            [(BEHAVIOR, ["spec", "behavior"]), (CURRENT, ["status", "currentMetrics"]), (CONDITIONS, ["status", "conditions"])]
        {
            if let Some(value) = object.remove_at(&path).filter(|value| !value.is_empty()) {
                put_annotation(object, annotation, &value);
            }
        }
    }
}

fn take_annotation(object: &mut Value, name: &str) -> Option<Value> {
    let text = object.remove_at(&["metadata", "annotations", name])?;
    if meta::annotations(object).is_some_and(crate::document::Map::is_empty) {
        object.remove_at(&["metadata", "annotations"]);
    }
    Value::parse_json(text.as_str()?.as_bytes()).ok().map(|(value, _)| value)
}

fn put_annotation(object: &mut Value, name: &str, value: &Value) {
    object.set_at(&["metadata", "annotations", name], value.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_survives_the_way_through_v1() {
        let v2 = crate::value!({
            "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}},
            ]},
            "status": {"conditions": [{"type": "AbleToScale"}]},
        });
        let mut object = v2.clone();
        AutoscalerForms.to_served(&mut object);
        assert_eq!(object.i64_at(&["spec", "targetCPUUtilizationPercentage"]), Some(70));
        AutoscalerForms.to_stored(&mut object);
        assert_eq!(object, v2);
    }

    #[test]
    fn an_event_has_other_names_in_its_own_group() {
        let core = crate::value!({"message": "m", "involvedObject": {"name": "p"}, "count": 2});
        let mut object = core.clone();
        EventForms.to_served(&mut object);
        assert_eq!(object, crate::value!({"note": "m", "regarding": {"name": "p"}, "deprecatedCount": 2}));
        EventForms.to_stored(&mut object);
        assert_eq!(object, core);
    }
}
