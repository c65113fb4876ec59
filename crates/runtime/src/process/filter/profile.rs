//! Profiles in the form that container engines read: a default action, and actions by name, argument and capability.

use std::collections::BTreeMap;

use seccompiler::{SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition, SeccompRule};
use serde::Deserialize;

use super::{FilterError, Rules, compile, number};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<Argument>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Deserialize, Default)]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

fn action(name: &str, errno: Option<u32>) -> Result<SeccompAction, FilterError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => SeccompAction::Allow,
        "SCMP_ACT_LOG" => SeccompAction::Log,
        "SCMP_ACT_ERRNO" => SeccompAction::Errno(errno.unwrap_or(libc::EPERM.cast_unsigned())),
        "SCMP_ACT_TRAP" => SeccompAction::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => SeccompAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => SeccompAction::KillProcess,
        "SCMP_ACT_TRACE" => SeccompAction::Trace(errno.unwrap_or_default()),
        unknown => return Err(FilterError::ReadProfile(format!("unknown action {unknown}"))),
    })
}

fn condition(argument: &Argument) -> Result<SeccompCondition, FilterError> {
    let (compare, value) = match argument.op.as_str() {
        "SCMP_CMP_NE" => (Compare::Ne, argument.value),
        "SCMP_CMP_LT" => (Compare::Lt, argument.value),
        "SCMP_CMP_LE" => (Compare::Le, argument.value),
        "SCMP_CMP_EQ" => (Compare::Eq, argument.value),
        "SCMP_CMP_GE" => (Compare::Ge, argument.value),
        "SCMP_CMP_GT" => (Compare::Gt, argument.value),
        "SCMP_CMP_MASKED_EQ" => (Compare::MaskedEq(argument.value), argument.value_two),
        unknown => return Err(FilterError::ReadProfile(format!("unknown comparison {unknown}"))),
    };
    SeccompCondition::new(argument.index, Length::Qword, compare, value).map_err(FilterError::Compile)
}

fn applies(entry: &Entry, capabilities: &[String]) -> bool {
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let holds = |name: &String| capabilities.contains(name);
    entry.includes.caps.iter().all(holds)
        && !entry.excludes.caps.iter().any(holds)
        && (entry.includes.arches.is_empty() || entry.includes.arches.iter().any(|one| one == arch))
        && !entry.excludes.arches.iter().any(|one| one == arch)
}

/// One filter an action. The one for the default action lets through whatever another filter judges, and these let the rest through.
pub(super) fn compile_profile(profile: &serde_json::Value, capabilities: &[String]) -> Result<Vec<Vec<u64>>, FilterError> {
    let profile = Profile::deserialize(profile).map_err(|error| FilterError::ReadProfile(error.to_string()))?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut by_action: BTreeMap<String, (SeccompAction, Rules)> = BTreeMap::new();
    let mut named = Rules::new();
    for entry in profile.syscalls.iter().filter(|entry| applies(entry, capabilities)) {
        let action = action(&entry.action, entry.errno_ret)?;
        let conditions = entry.args.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        let (_, rules) = by_action.entry(format!("{action:?}")).or_insert_with(|| (action.clone(), Rules::new()));
        for number in entry.names.iter().filter_map(|name| number(name)) {
            insert(rules, number, &conditions)?;
            insert(&mut named, number, if action == SeccompAction::Allow { &conditions } else { &[] })?;
        }
    }
    let mut filters = Vec::new();
    if default != SeccompAction::Allow {
        filters.push(compile(named, SeccompAction::Allow, default.clone())?);
    }
    for (action, rules) in by_action.into_values() {
        if action != SeccompAction::Allow && action != default && !rules.is_empty() {
            filters.push(compile(rules, action, SeccompAction::Allow)?);
        }
    }
    Ok(filters)
}

/// An entry without conditions swallows those with.
fn insert(rules: &mut Rules, number: i64, conditions: &[SeccompCondition]) -> Result<(), FilterError> {
    if conditions.is_empty() {
        rules.insert(number, Vec::new());
    } else if let Some(list) = rules.get_mut(&number) {
        if !list.is_empty() {
            list.push(SeccompRule::new(conditions.to_vec()).map_err(FilterError::Compile)?);
        }
    } else {
        rules.insert(number, vec![SeccompRule::new(conditions.to_vec()).map_err(FilterError::Compile)?]);
    }
    Ok(())
}
