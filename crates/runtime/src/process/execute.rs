//! The last step: environment, folder and the program itself, found as a shell would find it.

use std::{ffi::CString, io, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Attempt as _, Failure, privileges};
use crate::plan::Plan;

const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Executes `argv` in `folder`; returns only when that failed.
pub(super) fn run(plan: &Plan, argv: &[String], extra: &[(String, String)], folder: &str) -> Result<(), Failure> {
    let environment = environment(plan, extra);
    // Everything above the standard streams ends with the execution, whoever opened it.
    // SAFETY: marks descriptors of this process; none is closed yet.
    unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    let folder = if folder.is_empty() { "/" } else { folder };
    let before = std::env::set_current_dir(folder);
    // Not for the supervisor's own files: a program starts with the mask that a login gives.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    privileges::give_up(plan)?;
    // A folder that root may not enter may be open to the user.
    if before.is_err() {
        std::env::set_current_dir(folder).attempt(format_args!("chdir to cwd (\"{folder}\") set in config.json failed"))?;
    }
    if !std::env::current_dir().is_ok_and(|path| path.is_absolute()) {
        return Err(Failure::step("enter the working folder", "it lies outside of the container"));
    }
    let Some(name) = argv.first() else { return Err(Failure::step("execute", "no command specified")) };
    let path = environment.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH_DEFAULT);
    let program = find(name, path)?;
    execute(name, &program, argv, &environment)
}

fn execute(name: &str, program: &str, argv: &[String], environment: &[String]) -> Result<(), Failure> {
    let strings = |list: &[String]| list.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
    let argv = strings(argv).attempt("execute: an argument holds a zero byte")?;
    let environment = strings(environment).attempt("execute: a variable holds a zero byte")?;
    let program = CString::new(program).attempt("execute: the name holds a zero byte")?;
    let pointers =
        |list: &[CString]| list.iter().map(|text| text.as_ptr()).chain(std::iter::once(std::ptr::null())).collect::<Vec<_>>();
    let (arguments, variables) = (pointers(&argv), pointers(&environment));
    // SAFETY: both lists are ended by a null pointer, and the strings that they point to live until the call returns.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    let error = io::Error::last_os_error();
    let why = match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory".to_owned(),
        Some(libc::EACCES) => "permission denied".to_owned(),
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        _ => error.to_string(),
    };
    Err(Failure {
        code: if error.raw_os_error() == Some(libc::ENOENT) { 127 } else { 126 },
        message: format!("exec {name}: {why}"),
    })
}

/// Where the program is, in the words that container engines use when it is not.
fn find(name: &str, path: &str) -> Result<String, Failure> {
    let failure = |code, why: String| Failure { code, message: format!("exec: \"{name}\": {why}") };
    if name.contains('/') {
        return match std::fs::metadata(name) {
            Ok(found) if found.is_dir() => Err(failure(126, "is a directory".into())),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => Err(failure(126, "permission denied".into())),
            Ok(_) => Ok(name.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failure(126, "permission denied".into())),
            Err(_) => Err(failure(127, format!("stat {name}: no such file or directory"))),
        };
    }
    let mut denied = false;
    for folder in path.split(':') {
        let candidate = Path::new(if folder.is_empty() { "." } else { folder }).join(name);
        match std::fs::metadata(&candidate) {
            Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate.to_string_lossy().into_owned());
            }
            Ok(found) => denied |= found.is_file(),
            Err(_) => {}
        }
    }
    Err(if denied { failure(126, "permission denied".into()) } else { failure(127, "executable file not found in $PATH".into()) })
}

/// The container's environment with what every program expects; a later value of a name wins.
fn environment(plan: &Plan, extra: &[(String, String)]) -> Vec<String> {
    let spec = &plan.container;
    let mut list: Vec<(&str, &str)> = Vec::new();
    for (name, value) in spec.env.iter().chain(extra) {
        match list.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => list.push((name, value)),
        }
    }
    let has = |list: &[(&str, &str)], wanted: &str| list.iter().any(|(name, _)| *name == wanted);
    let home = home(spec.user.uid);
    for (name, value) in [("PATH", PATH_DEFAULT), ("HOSTNAME", plan.hostname.as_str()), ("HOME", home.as_str())] {
        if !has(&list, name) {
            list.push((name, value));
        }
    }
    if spec.tty && !has(&list, "TERM") {
        list.push(("TERM", "xterm"));
    }
    list.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The user's folder as this container's `/etc/passwd` has it.
fn home(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(uid)).then(|| fields.nth(2).unwrap_or("/").to_owned())
    };
    passwd.lines().find_map(of).filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned())
}
