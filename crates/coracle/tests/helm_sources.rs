//! Where charts come from: `coracle helm` beside Helm on rows of command lines that build on each other, against one server on
//! loopback. Output, remarks, exit codes and the files that are left are the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;

#[path = "helm/evil.rs"]
mod evil;
#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, copy, helm, run, sources};

/// What a path answers with.
enum Answer {
    Bytes(Vec<u8>),
    /// Only for `user:secret`.
    Guarded(Vec<u8>),
    Elsewhere(String),
    /// Zeros without end.
    Endless,
}

/// The tests share folders, whose names are in what the programs say.
static ALONE: Mutex<()> = Mutex::new(());

type Answers = Arc<BTreeMap<String, Answer>>;

/// Serves until the test ends; gives its address.
fn serve(listener: TcpListener, answers: Answers) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = answers.clone();
            std::thread::spawn(move || answer(stream, &answers));
        }
    });
}

fn answer(mut stream: TcpStream, answers: &BTreeMap<String, Answer>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    // "user:secret".
    let mut known = false;
    for line in lines {
        let line = line?.to_lowercase();
        known |= line == "authorization: basic dxnlcjpzzwnyzxq=";
        if line.is_empty() {
            break;
        }
    }
    let head = |status: &str, length: usize| format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    match answers.get(&path) {
        Some(Answer::Guarded(_)) if !known => stream.write_all((head("401 Unauthorized", 0) + "\r\n").as_bytes()),
        Some(Answer::Bytes(bytes) | Answer::Guarded(bytes)) => {
            stream.write_all((head("200 OK", bytes.len()) + "\r\n").as_bytes())?;
            stream.write_all(bytes)
        }
        Some(Answer::Elsewhere(place)) => {
            stream.write_all(format!("{}Location: {place}\r\n\r\n", head("302 Found", 0)).as_bytes())
        }
        Some(Answer::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b'0'; 65536])?;
            }
        }
        None => stream.write_all((head("404 Not Found", 0) + "\r\n").as_bytes()),
    }
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-sources").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("folder");
    folder
}

/// A repository with some versions of charts, and one for each kind of trouble.
fn answers(helm: &Path, address: &str) -> BTreeMap<String, Answer> {
    let (folder, home) = (scratch("repository"), scratch("repository-home"));
    let charts = sources().join("charts");
    let helm = |words: &[&str]| {
        let done = run(helm, &[], words, &charts, &home);
        assert_eq!(done.code, Some(0), "{words:?}: {done:?}");
    };
    let place = folder.to_string_lossy().into_owned();
    for version in ["1.2.3", "1.3.0", "2.0.0-beta.1"] {
        helm(&["package", "plain", "-d", &place, "--version", version]);
    }
    helm(&["package", "crds", "-d", &place]);
    helm(&["package", "library", "-d", &place]);
    helm(&["repo", "index", &place]);
    let index = fs::read_to_string(folder.join("index.yaml")).expect("an index");
    let mut answers = signed(&helm);
    for entry in fs::read_dir(&folder).expect("folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).expect("file");
        answers.insert(format!("/charts/{name}"), Answer::Bytes(bytes.clone()));
        answers.insert(format!("/guarded/{name}"), Answer::Guarded(bytes));
    }
    for (name, archive) in evil::archives() {
        answers.insert(format!("/evil/{name}-1.0.0.tgz"), Answer::Bytes(archive));
    }
    let digests = with_wrong_digests(&index);
    answers.insert("/wrong/index.yaml".to_owned(), Answer::Bytes(digests.into_bytes()));
    let plain = fs::read(folder.join("plain-1.2.3.tgz")).expect("file");
    for version in ["1.2.3", "1.3.0"] {
        answers.insert(format!("/wrong/plain-{version}.tgz"), Answer::Bytes(plain.clone()));
    }
    answers.insert("/elsewhere/index.yaml".to_owned(), Answer::Elsewhere(format!("{address}/charts/index.yaml")));
    answers.insert("/loop/index.yaml".to_owned(), Answer::Elsewhere("/loop/index.yaml".to_owned()));
    answers.insert("/endless/index.yaml".to_owned(), Answer::Endless);
    answers.insert("/empty/index.yaml".to_owned(), Answer::Bytes(Vec::new()));
    answers.insert("/page/index.yaml".to_owned(), Answer::Bytes(b"<html>no index</html>".to_vec()));
    answers.insert("/versionless/index.yaml".to_owned(), Answer::Bytes(b"entries: {}\n".to_vec()));
    answers.insert("/values.yaml".to_owned(), Answer::Bytes(b"name: far\n".to_vec()));
    answers.insert("/garbage.tgz".to_owned(), Answer::Bytes(b"no archive".to_vec()));
    let links = b"apiVersion: v1\nentries:\n  none:\n  - {apiVersion: v2, name: none, version: 1.0.0, urls: []}\n  bad:\n  - {name: bad, version: x}\n";
    answers.insert("/odd/index.yaml".to_owned(), Answer::Bytes(links.to_vec()));
    answers
}

/// Archives that keys signed, some of them altered since, and a repository of what the first of them signed.
fn signed(helm: &dyn Fn(&[&str])) -> BTreeMap<String, Answer> {
    let (folder, keys) = (scratch("signed"), sources().join("keys"));
    let place = |name: &str| folder.join(name);
    let (ring, passphrase) = (keys.join("secret.asc"), keys.join("passphrase"));
    for (name, key) in
        [("harbour", "Master"), ("pilot", "Pilot"), ("keeper", "Keeper"), ("sailor", "Sailor"), ("pirate", "Pirate")]
    {
        let words = ["--sign", "--key", key, "--keyring", &ring.to_string_lossy(), "--passphrase-file"];
        let place = place(name).to_string_lossy().into_owned();
        helm(&[&["package", "plain", "-d", &place][..], &words, &[&passphrase.to_string_lossy()]].concat());
    }
    helm(&["repo", "index", &place("harbour").to_string_lossy()]);
    let archive = fs::read(place("harbour/plain-1.2.3.tgz")).expect("an archive");
    let proof = fs::read_to_string(place("harbour/plain-1.2.3.tgz.prov")).expect("a provenance");
    let put = |name: &str, archive: &[u8], proof: Option<&str>| {
        let path = place(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(&path, archive).expect("file");
        proof.into_iter().for_each(|proof| fs::write(format!("{}.prov", path.display()), proof).expect("file"));
    };
    let mut other = archive.clone();
    other.push(0);
    put("tampered/plain-1.2.3.tgz", &other, Some(&proof));
    put("renamed/other-1.2.3.tgz", &archive, Some(&proof));
    put("unsigned/plain-1.2.3.tgz", &archive, None);
    put("subkey/plain-1.2.3.tgz", &archive, Some(&fs::read_to_string(keys.join("subkey.prov")).expect("a provenance")));
    put("reworded/plain-1.2.3.tgz", &archive, Some(&proof.replace("name: plain", "name: plain2")));
    put("reworded/plain-1.3.0.tgz", &archive, Some(&format!("before\n{}\nafter", proof.replace("...\n", "... \t\r\n"))));
    put("reworded/crds-0.1.0.tgz", &archive, Some(&proof.replace("Hash: SHA512", "Hash: CRC32")));
    put("garbage/plain-1.2.3.tgz", &archive, Some("nothing"));
    put("garbage/plain-1.3.0.tgz", &archive, Some(&proof[..proof.len() - 40]));
    let named = fs::read_dir(place("harbour")).expect("folder").flatten().map(|entry| {
        let name = format!("/signed/{}", entry.file_name().to_string_lossy());
        (name, Answer::Bytes(fs::read(entry.path()).expect("file")))
    });
    named.collect()
}

/// The keys in the forms in which GnuPG keeps them, armored and not.
fn put_keys(folder: &Path, home: &Path) {
    copy(&sources().join("keys"), &folder.join("keys"));
    for name in ["public", "secret"] {
        let armored = fs::read_to_string(sources().join("keys").join(format!("{name}.asc"))).expect("keys");
        let mut bytes = Vec::new();
        for block in armored.split("-----BEGIN ").skip(1) {
            let lines = block.lines().skip_while(|line| !line.is_empty()).skip(1);
            let text: String = lines.take_while(|line| !line.starts_with(['=', '-'])).collect();
            bytes.extend(base64::engine::general_purpose::STANDARD.decode(text).expect("armor"));
        }
        fs::write(folder.join("keys").join(format!("{name}.gpg")), bytes).expect("file");
    }
    fs::create_dir_all(home.join(".gnupg")).expect("folder");
    fs::copy(sources().join("keys/pubring.kbx"), home.join(".gnupg/pubring.kbx")).expect("file");
}

/// An index with digests that fit nothing.
fn with_wrong_digests(index: &str) -> String {
    let lines = index.lines().map(|line| match line.split_once("digest: ") {
        Some((before, _)) => format!("{before}digest: {}\n", "ab".repeat(32)),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// The files below a folder, but for what differs by design: locks.
fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files(&entry.path(), &name, found);
        } else if !name.ends_with(".lock") || name.ends_with("Chart.lock") {
            found.push(name);
        }
    }
    found.sort();
}

/// Runs the lines of a group one after another in a fresh folder.
fn play(path: &Path, before: &[&str], lines: &[String], address: &str) -> (Vec<Outcome>, Vec<String>) {
    let (folder, home) = (scratch("work"), scratch("home"));
    copy(&sources().join("charts"), &folder);
    copy(&sources().join("needing"), &folder);
    put_keys(&folder, &home);
    copy(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-sources/signed"), &folder.join("signed"));
    for chart in fs::read_dir(sources().join("needing")).expect("folder").flatten() {
        let file = folder.join(chart.file_name()).join("Chart.yaml");
        let text = fs::read_to_string(&file).expect("a chart").replace("{server}", address);
        fs::write(&file, text).expect("a chart");
    }
    let outcomes = lines
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            run(path, before, &words, &folder, &home)
        })
        .collect();
    let mut left = Vec::new();
    files(&home, "~", &mut left);
    files(&folder, ".", &mut left);
    (outcomes, left)
}

#[test]
fn charts_come_and_go_as_with_helm() {
    compare("sources.txt");
}

#[test]
fn signed_charts_are_told_from_others_as_with_helm() {
    compare("provenance.txt");
}

/// Plays a table by both programs.
fn compare(table: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let helm = helm();
    let ours = Path::new(env!("CARGO_BIN_EXE_coracle"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    serve(listener, Arc::new(answers(&helm, &address)));
    let table = fs::read_to_string(sources().join(table)).expect("the table").replace("{server}", &address);
    let mut wrong = Vec::new();
    let mut count = 0;
    for group in table.split("\n\n") {
        let rows: Vec<&str> = group.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let lines: Vec<String> = rows.iter().map(|row| row.trim_start_matches("~ ").to_owned()).collect();
        let (theirs, left) = play(&helm, &[], &lines, &address);
        let (mine, kept) = play(ours, &["helm"], &lines, &address);
        for (row, (theirs, mine)) in rows.iter().zip(theirs.iter().zip(&mine)) {
            count += 1;
            if theirs != mine && !(row.starts_with('~') && theirs.code == mine.code) {
                wrong.push(format!("{row}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
            }
        }
        if left != kept {
            let only =
                |some: &[String], others: &[String]| some.iter().filter(|it| !others.contains(it)).cloned().collect::<Vec<_>>();
            wrong.push(format!(
                "after {:?}\n  helm alone leaves {:?}\n  coracle alone {:?}",
                lines,
                only(&left, &kept),
                only(&kept, &left)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn hostile_repositories_are_refused_and_leave_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    serve(listener, Arc::new(answers(&helm(), &address)));
    let ours = Path::new(env!("CARGO_BIN_EXE_coracle"));
    let (folder, home) = (scratch("hostile"), scratch("hostile-home"));
    let cases = [
        (format!("repo add x {address}/endless"), "it is larger than 67108864 bytes"),
        (format!("repo add x {address}/loop"), "stopped after 10 redirects"),
        (format!("pull {address}/evil/link-1.0.0.tgz --untar"), ""),
        (format!("pull plain --repo {address}/wrong --version 1.2.3"), "its repository says sha256:abab"),
        (format!("pull plain --repo {address}/wrong --version 1.2.3 --untar"), "its repository says sha256:abab"),
    ];
    for (line, expected) in &cases {
        let words: Vec<&str> = line.split(' ').collect();
        let done = run(ours, &["helm"], &words, &folder, &home);
        assert_eq!(done.code, Some(1), "{line}");
        assert!(done.remarks.contains(expected), "{line}: {}", done.remarks);
    }
    let mut left = Vec::new();
    files(&home, "~", &mut left);
    files(&folder, ".", &mut left);
    assert!(left.is_empty(), "{left:?}");
}
