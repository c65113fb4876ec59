//! Which system calls a container may make. The list is data; it is compiled by the agent and only installed by the child.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::Failure;
use crate::container::{ContainerSpec, Seccomp};

#[cfg_attr(target_arch = "x86_64", path = "filter/numbers_x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "filter/numbers_aarch64.rs")]
mod numbers;
mod profile;

/// Why a filter could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The machine has a processor for which there is no list.
    #[error("no system call filter for this processor")]
    Target(#[source] seccompiler::BackendError),
    /// A rule cannot be expressed.
    #[error("cannot compile a system call filter")]
    Compile(#[source] seccompiler::BackendError),
    /// The profile is not one.
    #[error("cannot read the seccomp profile: {0}")]
    ReadProfile(String),
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A filter that does `matched` for what the rules name and `else_` for the rest, as packed instructions.
fn compile(rules: Rules, matched: SeccompAction, else_: SeccompAction) -> Result<Vec<u64>, FilterError> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(FilterError::Target)?;
    let filter = SeccompFilter::new(rules, else_, matched, target).map_err(FilterError::Compile)?;
    let program: BpfProgram = filter.try_into().map_err(FilterError::Compile)?;
    Ok(program
        .into_iter()
        .map(|one| u64::from(one.code) | u64::from(one.jt) << 16 | u64::from(one.jf) << 24 | u64::from(one.k) << 32)
        .collect())
}

/// The filters of a container, in the order of their installation.
pub(crate) fn for_container(spec: &ContainerSpec) -> Result<Vec<Vec<u64>>, FilterError> {
    match &spec.seccomp {
        Seccomp::Unconfined => Ok(Vec::new()),
        Seccomp::RuntimeDefault if spec.privileged => Ok(Vec::new()),
        Seccomp::RuntimeDefault => runtime_default(&spec.capabilities.bounding).map(|filters| filters.as_ref().clone()),
        Seccomp::Profile(profile) => profile::compile_profile(profile, &spec.capabilities.bounding),
    }
}

type Compiled = Arc<Vec<Vec<u64>>>;

/// The default filters for a set of capabilities; compiled once, since most containers have the same.
fn runtime_default(capabilities: &[String]) -> Result<Compiled, FilterError> {
    static KNOWN: Mutex<BTreeMap<Vec<String>, Compiled>> = Mutex::new(BTreeMap::new());
    if let Some(filters) = KNOWN.lock().ok().and_then(|known| known.get(capabilities).cloned()) {
        return Ok(filters);
    }
    let mut rules = Rules::new();
    let has = |name: &str| capabilities.iter().any(|one| one == name);
    for line in
        include_str!("filter/allowed.txt").lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (condition, names) = line.split_once(':').unwrap_or(("", line));
        if condition.is_empty() || condition.split('|').any(|name| has(name.trim())) {
            for number in names.split_ascii_whitespace().filter_map(number) {
                rules.insert(number, Vec::new());
            }
        }
    }
    if !has("CAP_SYS_ADMIN") {
        restrict(&mut rules)?;
    }
    let mut filters = vec![compile(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM.cast_unsigned()))?];
    // Programs fall back to `clone`, whose flags can be looked at, only when there is no `clone3` at all.
    if !has("CAP_SYS_ADMIN") {
        let absent = number("clone3").map(|number| (number, Vec::new())).into_iter().collect();
        filters.push(compile(absent, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()), SeccompAction::Allow)?);
    }
    let filters = Arc::new(filters);
    if let Ok(mut known) = KNOWN.lock() {
        known.insert(capabilities.to_vec(), Arc::clone(&filters));
    }
    Ok(filters)
}

/// Calls that are allowed with some arguments alone.
fn restrict(rules: &mut Rules) -> Result<(), FilterError> {
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let namespaces = namespaces.into_iter().fold(0, |all, one| all | u64::from(one.cast_unsigned()));
    let only = |argument, compare, value| {
        let condition = SeccompCondition::new(argument, Length::Qword, compare, value).map_err(FilterError::Compile)?;
        SeccompRule::new(vec![condition]).map_err(FilterError::Compile)
    };
    let mut set = |name: &str, list: Vec<SeccompRule>| number(name).map(|number| rules.insert(number, list));
    set("clone", vec![only(0, Compare::MaskedEq(namespaces), 0)?]);
    let families = u64::from(libc::AF_VSOCK.cast_unsigned());
    set("socket", vec![only(0, Compare::Ne, families)?]);
    let personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
    let personalities = personalities.into_iter().map(|value| only(0, Compare::Eq, value)).collect::<Result<Vec<_>, _>>()?;
    set("personality", personalities);
    Ok(())
}

/// The number of a system call on this processor.
fn number(name: &str) -> Option<i64> {
    numbers::NUMBERS.binary_search_by_key(&name, |(known, _)| known).ok().map(|index| numbers::NUMBERS[index].1)
}

/// Installs filters in this process, for good.
pub(super) fn install(filters: &[Vec<u64>]) -> Result<(), Failure> {
    for filter in filters {
        #[expect(clippy::cast_possible_truncation, reason = "takes apart what was packed")]
        let program: Vec<libc::sock_filter> = filter
            .iter()
            .map(|one| libc::sock_filter {
                code: *one as u16,
                jt: (one >> 16) as u8,
                jf: (one >> 24) as u8,
                k: (one >> 32) as u32,
            })
            .collect();
        let length = libc::c_ushort::try_from(program.len()).map_err(|error| Failure::step("install the filter", error))?;
        let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
        // SAFETY: the header and the instructions that it points to live until the call returns; the kernel copies them.
        let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const header) };
        if done != 0 {
            return Err(Failure::step("install the filter", io::Error::last_os_error()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
