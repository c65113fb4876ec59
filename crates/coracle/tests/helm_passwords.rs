//! Names and passwords that are typed or piped in: `coracle helm` beside Helm, at a terminal and without one, against a server
//! on loopback that knows one name. Output, remarks, exit codes and what is kept are the same.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, helm, outcome, program, sources};

/// An empty repository and an empty registry, for `user:secret` alone; gives the address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let known = head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Basic dXNlcjpzZWNyZXQ="));
    let body = "apiVersion: v1\nentries: {}\n";
    let (status, body) = if known { ("200 OK", body) } else { ("401 Unauthorized", "") };
    let asks = "WWW-Authenticate: Basic realm=\"test\"";
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{asks}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What stands at the standard input.
#[derive(Clone, Copy)]
enum Input {
    Nothing,
    Piped(&'static str),
    Typed(&'static str),
}

/// A terminal at which something was typed, and its other end.
fn terminal(typed: &str) -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let theirs = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("a terminal");
    rustix::io::write(&ours, typed.as_bytes()).expect("typing");
    (ours, theirs)
}

fn run(path: &Path, line: &str, input: Input) -> (Outcome, Option<String>) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-passwords");
    let _ = fs::remove_dir_all(&place);
    programs::copy(&sources().join("charts/plain"), &place.join("plain"));
    programs::copy(&sources().join("keys"), &place.join("keys"));
    let before: &[&str] = if path.ends_with("coracle") { &["helm"] } else { &[] };
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = program(&path.to_string_lossy());
    command.args(before).args(&words).current_dir(&place).env_clear().env("HOME", &place);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = match input {
        Input::Nothing => programs::run(path, before, &words, &place, &place),
        Input::Piped(text) => {
            let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
            // Who does not ask does not read.
            let _ = child.stdin.take().map(|mut pipe| pipe.write_all(text.as_bytes()));
            outcome(&child.wait_with_output().expect("the program ends"))
        }
        Input::Typed(text) => {
            let (_ours, theirs) = terminal(text);
            outcome(&command.stdin(theirs).output().expect("the program starts"))
        }
    };
    let files: [PathBuf; 2] = [place.join(".config/helm/repositories.yaml"), place.join(".config/helm/registry/config.json")];
    (done, files.iter().find_map(|file| fs::read_to_string(file).ok()))
}

#[test]
fn names_and_passwords_are_asked_for_as_helm_asks() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let address = serve();
    let add = "repo add x http://R/charts --username user";
    let login = "registry login R --plain-http";
    let sign = "package plain --sign --key Pilot --keyring keys/secret.asc --passphrase-file -";
    let cases = [
        (add.to_owned(), Input::Nothing),
        (add.to_owned(), Input::Piped("secret\n")),
        (add.to_owned(), Input::Typed("secret\n")),
        (add.to_owned(), Input::Typed("wrong\n")),
        (add.to_owned(), Input::Typed("\n")),
        (format!("{add} --password-stdin"), Input::Nothing),
        (format!("{add} --password-stdin"), Input::Piped("secret\n")),
        (format!("{add} --password-stdin"), Input::Piped("secret\r\n")),
        (format!("{add} --password-stdin"), Input::Piped("secret")),
        (format!("{add} --password-stdin"), Input::Piped("secret\n\n")),
        (login.to_owned(), Input::Nothing),
        (login.to_owned(), Input::Piped("user\nsecret\n")),
        (login.to_owned(), Input::Typed("user\nsecret\n")),
        (login.to_owned(), Input::Typed("\n\n")),
        (format!("{login} -u user"), Input::Nothing),
        (format!("{login} -u user"), Input::Typed("secret\n")),
        (format!("{login} -u user"), Input::Typed("\n")),
        (format!("{login} -u user --password-stdin"), Input::Piped("secret\n")),
        (sign.to_owned(), Input::Nothing),
        (sign.to_owned(), Input::Piped("let me in\nmore\n")),
        (sign.to_owned(), Input::Piped("let me out\n")),
        (sign.to_owned(), Input::Piped("")),
        (sign.replace(" --passphrase-file -", ""), Input::Typed("let me in\n")),
        (sign.replace(" --passphrase-file -", ""), Input::Typed("let me out\n")),
    ];
    let mut wrong = Vec::new();
    for (line, input) in &cases {
        let line = line.replace("R", &address);
        let (theirs, mine) = (run(&helm, &line, *input), run(ours, &line, *input));
        let told = |outcome: &(Outcome, Option<String>)| format!("{:?} {:?}", outcome.0, outcome.1);
        if theirs != mine {
            wrong.push(format!("{line}\n  helm:    {}\n  coracle: {}", told(&theirs), told(&mine)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
