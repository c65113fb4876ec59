use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn service(more: Value) -> Service {
    let mut spec = json!({"clusterIP": "10.43.0.5", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(
        json!({"metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"team": "a"}}, "spec": spec}),
    )
    .unwrap()
}

fn pod(number: usize, ready: bool) -> Arc<Pod> {
    let status = if ready { "True" } else { "False" };
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": format!("web-{number}"), "namespace": "default", "uid": number.to_string()},
            "spec": {"nodeName": "node-1", "hostname": "h", "subdomain": "web", "containers": [
                {"name": "main", "ports": [{"name": "web", "containerPort": 8080}]},
            ]},
            "status": {"phase": "Running", "podIPs": [{"ip": format!("10.42.0.{number}")}], "conditions": [{"type": "Ready", "status": status}]},
        }))
        .unwrap(),
    )
}

fn apply(existing: &mut Vec<Arc<EndpointSlice>>, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Create(slice) => {
                let mut slice = (**slice).clone();
                slice.metadata.name = Some(format!("{}{}", slice.metadata.generate_name.as_ref().unwrap(), existing.len()));
                existing.push(Arc::new(slice));
            }
            Step::Replace(slice) => {
                let place = existing.iter().position(|old| old.metadata.name == slice.metadata.name).unwrap();
                existing[place] = Arc::new((**slice).clone());
            }
            Step::Delete(name) => existing.retain(|slice| slice.metadata.name.as_ref() != Some(name)),
        }
    }
}

fn round(service: &Service, pods: &[Arc<Pod>], existing: &mut Vec<Arc<EndpointSlice>>) -> usize {
    let steps = reconcile(&frame_of(service, "test"), slices_of(service, pods, |_| Some("here".into())), existing);
    apply(existing, &steps);
    steps.len()
}

#[test]
fn a_service_without_pods_has_one_empty_slice_and_endpoints_come_and_go_in_place() {
    let (service, mut slices) = (service(json!({})), Vec::new());
    assert_eq!((round(&service, &[], &mut slices), slices.len()), (1, 1));
    round(&service, &[pod(1, true), pod(2, false)], &mut slices);
    assert_eq!(slices.len(), 1);
    let slice = &slices[0];
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
    assert_eq!(slice.metadata.labels.as_ref().unwrap()[SERVICE_NAME], "web");
    assert_eq!(slice.metadata.labels.as_ref().unwrap()["team"], "a");
    let endpoints = slice.endpoints.clone().unwrap();
    let conditions: Vec<_> = endpoints.iter().map(|e| e.conditions.as_ref().unwrap().ready.unwrap()).collect();
    assert_eq!(conditions, [true, false]);
    assert_eq!((endpoints[0].zone.as_deref(), endpoints[0].hostname.as_deref()), (Some("here"), Some("h")));
    assert_eq!(round(&service, &[pod(2, false), pod(1, true)], &mut slices), 0, "another order is no change");
    round(&service, &[pod(2, true)], &mut slices);
    assert_eq!(slices[0].endpoints.as_ref().unwrap().len(), 1);
    round(&service, &[], &mut slices);
    assert_eq!((slices.len(), slices[0].endpoints.as_ref().unwrap().len()), (1, 0));
}

#[test]
fn slices_hold_a_hundred_and_few_are_touched() {
    let (service, mut slices) = (service(json!({})), Vec::new());
    let mut pods: Vec<_> = (0..250).map(|number| pod(number, true)).collect();
    round(&service, &pods, &mut slices);
    let sizes = |slices: &[Arc<EndpointSlice>]| slices.iter().map(|s| s.endpoints.as_ref().unwrap().len()).collect::<Vec<_>>();
    assert_eq!(sizes(&slices), [100, 100, 50]);
    pods.remove(0);
    assert_eq!((round(&service, &pods, &mut slices), sizes(&slices)), (1, vec![99, 100, 50]));
    pods.push(pod(300, true));
    assert_eq!((round(&service, &pods, &mut slices), sizes(&slices)), (1, vec![100, 100, 50]));
}

#[test]
fn an_ending_pod_serves_but_is_not_ready_unless_unready_ones_are_published() {
    let mut ending = (*pod(1, true)).clone();
    ending.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
    let ending = [Arc::new(ending)];
    for (publish, ready) in [(false, false), (true, true)] {
        let service = service(json!({"publishNotReadyAddresses": publish}));
        let wanted = slices_of(&service, &ending, |_| None);
        let conditions = wanted[0].endpoints[0].conditions.clone().unwrap();
        assert_eq!((conditions.ready, conditions.serving, conditions.terminating), (Some(ready), Some(true), Some(true)));
        assert_eq!(legacy(&service, &ending, None).unwrap().subsets.is_some(), publish);
    }
}

#[test]
fn the_older_form_groups_addresses_by_ports() {
    let service = service(json!({}));
    let endpoints = legacy(&service, &[pod(2, false), pod(1, true)], None).unwrap();
    let subset = &endpoints.subsets.as_ref().unwrap()[0];
    assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.42.0.1");
    assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.42.0.2");
    assert_eq!(legacy(&service, &[pod(1, true), pod(2, false)], Some(&endpoints)), None);
}
