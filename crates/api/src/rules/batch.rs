//! Jobs and CronJobs.

use super::{FieldError, FieldPath, RuleContext, Rules, change, pod};
use crate::document::{Value, meta};

/// The rules of Jobs.
pub struct JobRules;
/// The rules of CronJobs.
pub struct CronJobRules;

/// The labels by which a Job finds its pods, and the old ones beside them.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// A CronJob's name leaves room for the time in the names of its Jobs.
const CRON_NAME_MAX: usize = 52;

/// Fills in the spec of a Job or of the template of one.
fn default_spec(spec: &mut Value) {
    let fixed_count = spec.get(&["completions"]).is_some_and(|value| !value.is_null());
    let parallel = spec.get(&["parallelism"]).is_some_and(|value| !value.is_null());
    if !fixed_count && !parallel {
        spec.set_at(&["completions"], 1_i64);
    }
    spec.default_at(&["parallelism"], 1_i64);
    let per_index = spec.get(&["backoffLimitPerIndex"]).is_some_and(|value| !value.is_null());
    spec.default_at(&["backoffLimit"], if per_index { i64::from(i32::MAX) } else { 6 });
    spec.default_at(&["completionMode"], "NonIndexed");
    spec.default_at(&["suspend"], false);
    let by_failure = spec.get(&["podFailurePolicy"]).is_some_and(|value| !value.is_null());
    spec.default_at(&["podReplacementPolicy"], if by_failure { "Failed" } else { "TerminatingOrFailed" });
    for rule in spec.get_mut(&["podFailurePolicy", "rules"]).and_then(Value::as_array_mut).into_iter().flatten() {
        for condition in rule.get_mut(&["onPodConditions"]).and_then(Value::as_array_mut).into_iter().flatten() {
            condition.default_at(&["status"], "True");
        }
    }
    if let Some(template) = spec.get_mut(&["template", "spec"]) {
        pod::default_spec(template);
    }
}

fn check_spec(spec: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut below = Vec::new();
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        change::not_negative(spec, &[field], &mut below);
    }
    change::one_of(spec, &["completionMode"], &["NonIndexed", "Indexed"], &mut below);
    for mut error in below {
        error.field = format!("{path}.{}", error.field);
        errors.push(error);
    }
    if spec.str_at(&["completionMode"]) == Some("Indexed") && spec.i64_at(&["completions"]).is_none() {
        let text = "when completion mode is Indexed";
        errors.push(FieldError::required(path.child("completions"), text));
    }
    let template = path.child("template").child("spec");
    match spec.get(&["template", "spec"]) {
        Some(pod_spec) => {
            errors.extend(pod::validate_spec(pod_spec, template.as_str()));
            let policy = pod_spec.str_at(&["restartPolicy"]).unwrap_or_default();
            if policy == "Always" {
                errors.push(FieldError::not_supported(template.child("restartPolicy"), policy, &["OnFailure", "Never"]));
            }
        }
        None => errors.push(FieldError::required(template, "")),
    }
}

impl Rules for JobRules {
    fn default(&self, job: &mut Value) {
        if let Some(spec) = job.get_mut(&["spec"]) {
            default_spec(spec);
        }
        let bare = meta::labels(job).is_none_or(crate::document::Map::is_empty);
        if let (true, Some(labels)) = (bare, job.get(&["spec", "template", "metadata", "labels"]).cloned()) {
            meta::set(job, "labels", labels);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                new.set_at(&["status"], Value::object());
                if new.bool_at(&["spec", "manualSelector"]) != Some(true) {
                    generate_selector(new);
                }
            }
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource.is_some() {
            return errors;
        }
        if let Some(spec) = new.get(&["spec"]) {
            check_spec(spec, &FieldPath::new("spec"), &mut errors);
        } else {
            errors.push(FieldError::required("spec", ""));
        }
        let selector = new.get(&["spec", "selector"]).map(crate::selector::LabelSelector::from_object);
        match selector {
            Some(Ok(selector)) if !selector.matches(new.object_at(&["spec", "template", "metadata", "labels"])) => {
                let labels = new.get(&["spec", "template", "metadata", "labels"]).cloned().unwrap_or_else(Value::object);
                errors.push(FieldError::invalid(
                    "spec.template.metadata.labels",
                    labels,
                    "`selector` does not match template `labels`",
                ));
            }
            None => errors.push(FieldError::required("spec.selector", "")),
            _ => {}
        }
        if let Some(old) = old {
            check_job_change(new, old, &mut errors);
        }
        errors
    }
}

fn check_job_change(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    for field in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        change::fixed(new, old, &["spec", field], errors);
    }
    // An indexed Job may be scaled with its parallelism.
    let elastic = new.str_at(&["spec", "completionMode"]) == Some("Indexed")
        && new.get(&["spec", "completions"]) == new.get(&["spec", "parallelism"])
        && old.get(&["spec", "completions"]) == old.get(&["spec", "parallelism"]);
    if !elastic {
        change::fixed(new, old, &["spec", "completions"], errors);
    }
    let mut template = new.get(&["spec", "template"]).cloned().unwrap_or_default();
    let before = old.get(&["spec", "template"]).cloned().unwrap_or_default();
    if old.bool_at(&["spec", "suspend"]) == Some(true) && old.get(&["status", "startTime"]).is_none_or(Value::is_null) {
        // Before its first pod, where a Job's pods go may still change.
        for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
            pod::keep(&mut template, &before, &["spec", field]);
        }
        pod::keep(&mut template, &before, &["metadata"]);
        if let Some(containers) = before.get(&["spec", "containers"]) {
            template.set_at(&["spec", "containers"], containers.clone());
        }
    }
    if template != before {
        let shown = new.get(&["spec", "template"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.template", shown, "field is immutable"));
    }
}

/// A Job finds its pods by its own uid.
fn generate_selector(job: &mut Value) {
    let (uid, name) = (meta::uid(job).to_owned(), meta::name(job).to_owned());
    for label in UID_LABELS {
        job.set_at(&["spec", "template", "metadata", "labels", label], uid.as_str());
    }
    for label in NAME_LABELS {
        job.set_at(&["spec", "template", "metadata", "labels", label], name.as_str());
    }
    job.set_at(&["spec", "selector", "matchLabels", UID_LABELS[0]], uid.as_str());
}

impl Rules for CronJobRules {
    fn default(&self, job: &mut Value) {
        job.default_at(&["spec", "concurrencyPolicy"], "Allow");
        job.default_at(&["spec", "suspend"], false);
        job.default_at(&["spec", "successfulJobsHistoryLimit"], 3_i64);
        job.default_at(&["spec", "failedJobsHistoryLimit"], 1_i64);
        if let Some(template) = job.get_mut(&["spec", "jobTemplate", "spec", "template", "spec"]) {
            pod::default_spec(template);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => new.set_at(&["status"], Value::object()),
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource.is_some() {
            return errors;
        }
        if meta::name(new).len() > CRON_NAME_MAX {
            errors.push(FieldError::invalid(
                "metadata.name",
                meta::name(new),
                format!("must be no more than {CRON_NAME_MAX} characters"),
            ));
        }
        let schedule = new.str_at(&["spec", "schedule"]).unwrap_or_default();
        if schedule.is_empty() {
            errors.push(FieldError::required("spec.schedule", ""));
        } else if schedule.contains("TZ") {
            let text = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            errors.push(FieldError::invalid("spec.schedule", schedule, text));
        } else if let Some(problem) = schedule_problem(schedule) {
            errors.push(FieldError::invalid("spec.schedule", schedule, problem));
        }
        if let Some(zone) = new.str_at(&["spec", "timeZone"]) {
            let strange = zone.is_empty() || zone.eq_ignore_ascii_case("local") || zone.contains("..") || zone.contains(' ');
            if strange {
                errors.push(FieldError::invalid("spec.timeZone", zone, format!("unknown time zone {zone}")));
            }
        }
        change::one_of(new, &["spec", "concurrencyPolicy"], &["Allow", "Forbid", "Replace"], &mut errors);
        for field in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            change::not_negative(new, &["spec", field], &mut errors);
        }
        if let Some(spec) = new.get(&["spec", "jobTemplate", "spec"]) {
            check_spec(spec, &FieldPath::new("spec.jobTemplate.spec"), &mut errors);
        }
        errors
    }
}

/// What is wrong with a schedule: five fields of numbers, names, ranges, lists and steps, or a word such as `@hourly`.
fn schedule_problem(schedule: &str) -> Option<String> {
    if let Some(word) = schedule.strip_prefix('@') {
        let known = matches!(word, "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly");
        return (!known && !word.starts_with("every ")).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    const BOUNDS: [(i64, i64); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != BOUNDS.len() {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    fields.iter().zip(BOUNDS).find_map(|(field, bounds)| field.split(',').find_map(|part| part_problem(part, bounds)))
}

fn part_problem(part: &str, (least, most): (i64, i64)) -> Option<String> {
    const NAMES: [&str; 19] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun", "mon", "tue", "wed", "thu",
        "fri", "sat",
    ];
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    if let Some(step) = step
        && step.parse::<u32>().ok().filter(|step| *step > 0).is_none()
    {
        return Some(format!("step of range should be a positive number: {part}"));
    }
    if matches!(range, "*" | "?") {
        return None;
    }
    let value = |text: &str| -> Option<i64> {
        let named = NAMES.contains(&text.to_lowercase().as_str());
        if named { Some(least) } else { text.parse().ok() }
    };
    for text in range.split('-') {
        match value(text) {
            None => return Some(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax")),
            Some(number) if number < least => {
                return Some(format!("beginning of range ({number}) below minimum ({least}): {part}"));
            }
            // Sunday is 7 too.
            Some(number) if number > most && !(most == 6 && number == 7) => {
                return Some(format!("end of range ({number}) above maximum ({most}): {part}"));
            }
            Some(_) => {}
        }
    }
    None
}
