//! Table: the kinds by which the API server itself is extended and steered, and those of devices.

use super::{
    cells,
    row::{CellOf, Package},
};
use crate::kind::{Generation, Kind};
use crate::rules::{admission, devices};

type Columns = &'static [(&'static str, &'static str, &'static str, i32, CellOf)];

const fn package(group: &'static str, version: &'static str, definitions: &'static str) -> Package {
    Package { group, version, definitions }
}

const ADMISSION: Package = package("admissionregistration.k8s.io", "v1", "io.k8s.api.admissionregistration.v1.");
const REGISTRATION: Package = package("apiregistration.k8s.io", "v1", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.");
const FLOW: Package = package("flowcontrol.apiserver.k8s.io", "v1", "io.k8s.api.flowcontrol.v1.");
const RESOURCE: Package = package("resource.k8s.io", "v1", "io.k8s.api.resource.v1.");

/// The rows.
pub(super) fn rows() -> Vec<Kind> {
    let mut rows = admissions();
    rows.extend(steering());
    rows.extend(devices());
    rows
}

fn admissions() -> Vec<Kind> {
    let webhooks: Columns =
        &[("Webhooks", "integer", "", 0, |o, _| cells::count(o, &["webhooks"])), ("Age", "string", "", 0, cells::age)];
    let policy: Columns = &[
        ("Validations", "integer", "", 0, |o, _| cells::count(o, &["spec", "validations"])),
        ("ParamKind", "string", "", 0, cells::param_kind),
        ("Age", "string", "", 0, cells::age),
    ];
    let mutating_policy: Columns = &[
        ("Mutations", "integer", "", 0, |o, _| cells::count(o, &["spec", "mutations"])),
        ("ParamKind", "string", "", 0, cells::param_kind),
        ("Age", "string", "", 0, cells::age),
    ];
    let binding: Columns = &[
        ("PolicyName", "string", "", 0, |o, _| cells::text(o, &["spec", "policyName"])),
        ("ParamRef", "string", "", 0, cells::param_ref),
        ("Age", "string", "", 0, cells::age),
    ];
    let kind = |kind, plural| ADMISSION.kind(kind, plural).cluster();
    vec![
        kind("MutatingAdmissionPolicy", "mutatingadmissionpolicies")
            .generation(Generation::Spec)
            .columns(mutating_policy)
            .rules(&admission::PolicyRules)
            .done(),
        kind("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings")
            .generation(Generation::Spec)
            .columns(binding)
            .rules(&admission::BindingRules)
            .done(),
        kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
            .category("api-extensions")
            .generation(Generation::Content)
            .columns(webhooks)
            .rules(&admission::WebhookRules)
            .done(),
        kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies")
            .category("api-extensions")
            .status()
            .columns(policy)
            .rules(&admission::PolicyRules)
            .done(),
        kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
            .category("api-extensions")
            .generation(Generation::Spec)
            .columns(binding)
            .rules(&admission::BindingRules)
            .done(),
        kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
            .category("api-extensions")
            .generation(Generation::Content)
            .columns(webhooks)
            .rules(&admission::WebhookRules)
            .done(),
    ]
}

fn steering() -> Vec<Kind> {
    vec![
        REGISTRATION
            .kind("APIService", "apiservices")
            .cluster()
            .category("api-extensions")
            .status()
            .generation(Generation::Never)
            .columns(&[
                ("Service", "string", "", 0, cells::api_service),
                ("Available", "string", "", 0, cells::api_available),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&admission::RegistrationRules)
            .done(),
        FLOW.kind("FlowSchema", "flowschemas")
            .cluster()
            .status()
            .columns(&[
                ("PriorityLevel", "string", "", 0, |o, _| cells::text(o, &["spec", "priorityLevelConfiguration", "name"])),
                ("MatchingPrecedence", "string", "", 0, |o, _| cells::text(o, &["spec", "matchingPrecedence"])),
                ("DistinguisherMethod", "string", "", 0, |o, _| cells::or(o, &["spec", "distinguisherMethod", "type"], "<none>")),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&admission::FlowRules)
            .done(),
        FLOW.kind("PriorityLevelConfiguration", "prioritylevelconfigurations")
            .cluster()
            .status()
            .columns(&[
                ("Type", "string", "", 0, |o, _| cells::text(o, &["spec", "type"])),
                ("NominalConcurrencyShares", "string", "", 0, |o, _| {
                    cells::or(o, &["spec", "limited", "nominalConcurrencyShares"], "<none>")
                }),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&admission::FlowRules)
            .done(),
        package("storagemigration.k8s.io", "v1", "io.k8s.api.storagemigration.v1.")
            .kind("StorageVersionMigration", "storageversionmigrations")
            .cluster()
            .status()
            .done(),
    ]
}

fn devices() -> Vec<Kind> {
    vec![
        RESOURCE.kind("DeviceClass", "deviceclasses").cluster().generation(Generation::Spec).done(),
        RESOURCE
            .kind("ResourceClaim", "resourceclaims")
            .status()
            .columns(&[("State", "string", "", 0, cells::claim_state), ("Age", "string", "", 0, cells::age)])
            .done(),
        RESOURCE
            .kind("DeviceTaintRule", "devicetaintrules")
            .cluster()
            .status()
            .conditional_update()
            .columns(&[
                ("Key", "string", "", 0, |o, _| cells::text(o, &["spec", "taint", "key"])),
                ("Value", "string", "", 0, |o, _| cells::text(o, &["spec", "taint", "value"])),
                ("Effect", "string", "", 0, |o, _| cells::text(o, &["spec", "taint", "effect"])),
                ("TimeAdded", "string", "", 0, |o, now| cells::since(o, &["spec", "taint", "timeAdded"], now)),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&devices::TaintRules)
            .done(),
        RESOURCE.kind("ResourceClaimTemplate", "resourceclaimtemplates").done(),
        RESOURCE
            .kind("ResourceSlice", "resourceslices")
            .cluster()
            .generation(Generation::Spec)
            .select(&[("spec.nodeName", ""), ("spec.driver", "")])
            .columns(&[
                ("Node", "string", "", 0, |o, _| cells::or(o, &["spec", "nodeName"], "<unset>")),
                ("Driver", "string", "", 0, |o, _| cells::text(o, &["spec", "driver"])),
                ("Pool", "string", "", 0, |o, _| cells::text(o, &["spec", "pool", "name"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .done(),
    ]
}
