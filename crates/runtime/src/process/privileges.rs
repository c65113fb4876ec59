//! What a process gives up before its program runs. The order is the kernel's: a filter needs a privilege or the promise of none.

use std::io;

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, capability_is_in_bounding_set},
};

use super::{Attempt as _, Failure, capabilities, filter};
use crate::plan::Plan;

/// Open files that a container may have where the machine allows it.
const FILES_MAX: u64 = 1_048_576;

/// Raises how readily the kernel kills this process; lowers it where that is allowed.
pub(super) fn lower_oom_rank(score: i32) {
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
}

/// Bounds that containers have everywhere, as far as this machine lets them.
fn limit_files() {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(FILES_MAX);
    let wanted = Rlimit { current: Some(FILES_MAX), maximum: Some(FILES_MAX) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(hard.min(FILES_MAX)), maximum: Some(hard.min(FILES_MAX)) });
    }
}

/// Gives up everything that the plan does not grant.
pub(super) fn give_up(plan: &Plan) -> Result<(), Failure> {
    let spec = &plan.container;
    limit_files();
    reset_signals();
    if !spec.no_new_privileges {
        filter::install(&plan.filters)?;
    }
    let own = rustix::thread::capabilities(None).attempt("read capabilities")?.permitted;
    let bounding = capabilities::set(&spec.capabilities.bounding) & own;
    let ambient = capabilities::set(&spec.capabilities.ambient) & bounding;
    for capability in CapabilitySet::all().iter() {
        if !bounding.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability).attempt("drop capabilities")?;
        }
    }
    rustix::thread::set_keep_capabilities(true).attempt("keep capabilities")?;
    become_user(plan)?;
    let sets = rustix::thread::CapabilitySets { effective: bounding, permitted: bounding, inheritable: ambient };
    rustix::thread::set_capabilities(None, sets).attempt("set capabilities")?;
    for capability in ambient.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).attempt("set ambient capabilities")?;
    }
    if spec.no_new_privileges {
        rustix::thread::set_no_new_privs(true).attempt("give up new privileges")?;
        filter::install(&plan.filters)?;
    }
    Ok(())
}

fn become_user(plan: &Plan) -> Result<(), Failure> {
    let user = &plan.container.user;
    // SAFETY: plain calls of a process with one thread; the array is as long as said.
    let failed = unsafe {
        libc::setgroups(user.groups.len(), user.groups.as_ptr()) != 0
            || libc::setresgid(user.gid, user.gid, user.gid) != 0
            || libc::setresuid(user.uid, user.uid, user.uid) != 0
    };
    if failed {
        return Err(Failure::step("become the user", io::Error::last_os_error()));
    }
    Ok(())
}

/// Supervisor and keeper block signals and ignore some; a program expects neither.
pub(crate) fn reset_signals() {
    // SAFETY: default handlers and an empty mask are valid for every signal; those that may not be changed report so.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}
