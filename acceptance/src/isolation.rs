//! An own network and mount namespace and an own cgroup for a test program, so that its cluster meets nobody else's.

use std::{env, process::ExitCode};

use crate::program::Program;

const INSIDE: &str = "CORACLE_ACCEPTANCE_INSIDE";
/// The variable by which Coracle is told another cgroup than its usual one.
const CGROUP: &str = "CORACLE_CGROUP";

/// Starts this program again inside; the exit code of that, or nothing when this is the inside already.
pub fn enter() -> Option<ExitCode> {
    if env::var_os(INSIDE).is_some() {
        return None;
    }
    let own = env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    // An own `/run/netns`: names of namespaces are files there. The loopback of a new namespace is down.
    let script = "mkdir -p /run/netns /run/coracle && mount -t tmpfs tmpfs /run/netns && mount -t tmpfs tmpfs /run/coracle \
                  && ip link set lo up && exec \"$0\" \"$@\"";
    let mut arguments = vec!["--net".to_owned(), "--mount".into(), "sh".into(), "-c".into(), script.into(), own];
    arguments.extend(env::args().skip(1));
    let code = Program::new("unshare")
        .arguments(arguments)
        .variable(INSIDE, "1")
        .variable(CGROUP, &format!("/coracle-acceptance-{}", std::process::id()))
        .through();
    Some(code.map_or(ExitCode::from(101), |code| ExitCode::from(u8::try_from(code).unwrap_or(101))))
}
