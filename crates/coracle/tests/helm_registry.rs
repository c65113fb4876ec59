//! Charts in an OCI registry: what Helm pushes, Coracle pulls, and the other way round; against a small registry on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, copy, helm, run, sources};

/// Blobs by digest, manifests by repository and tag or digest.
#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
}

/// Serves until the test ends; only for `user:secret` where it is `guarded`.
fn registry(guarded: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let content = Arc::new(Mutex::new(Content::default()));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let content = content.clone();
            std::thread::spawn(move || serve(stream, &content, guarded));
        }
    });
    address
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// One request, and the connection ends.
fn serve(mut stream: TcpStream, content: &Mutex<Content>, guarded: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut known) = (0, !guarded);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
        known |= line == "authorization: basic dxnlcjpzzwnyzxq=";
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let words: Vec<&str> = first.split(' ').collect();
    let (method, target) = (words[0], words.get(1).copied().unwrap_or_default());
    let (status, headers, answer) = if known {
        let mut content = content.lock().expect("the content");
        respond(&mut content, method, target, body)
    } else {
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned(), Vec::new())
    };
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", answer.len());
    stream.write_all(head.as_bytes())?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(&answer) }
}

type Response = (&'static str, String, Vec<u8>);

fn respond(content: &mut Content, method: &str, target: &str, body: Vec<u8>) -> Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let missing = || ("404 Not Found", String::new(), b"{\"errors\":[]}".to_vec());
    let path = path.trim_start_matches("/v2/");
    if let Some((name, _)) = path.split_once("/blobs/uploads") {
        if method == "POST" {
            return ("202 Accepted", format!("Location: /v2/{name}/blobs/uploads/one\r\n"), Vec::new());
        }
        let found = digest(&body);
        assert!(query.replace("%3A", ":").contains(&found), "a blob is what it is said to be");
        content.blobs.insert(found.clone(), body);
        return ("201 Created", format!("Location: /v2/{name}/blobs/{found}\r\n"), Vec::new());
    }
    if let Some((_, wanted)) = path.split_once("/blobs/") {
        let Some(blob) = content.blobs.get(wanted) else { return missing() };
        return ("200 OK", format!("Docker-Content-Digest: {wanted}\r\n"), blob.clone());
    }
    if let Some((name, tag)) = path.split_once("/manifests/") {
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        if method == "PUT" {
            let found = digest(&body);
            content.manifests.insert(format!("{name}:{tag}"), body.clone());
            content.manifests.insert(format!("{name}:{found}"), body);
            let headers = format!("Location: /v2/{name}/manifests/{found}\r\nDocker-Content-Digest: {found}\r\n");
            return ("201 Created", headers, Vec::new());
        }
        let Some(manifest) = content.manifests.get(&format!("{name}:{tag}")) else { return missing() };
        return ("200 OK", format!("{kind}Docker-Content-Digest: {}\r\n", digest(manifest)), manifest.clone());
    }
    if let Some((name, _)) = path.split_once("/tags/list") {
        let prefix = format!("{name}:");
        let tags: Vec<String> = content
            .manifests
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix))
            .filter(|tag| !tag.contains(':'))
            .map(|tag| format!("{tag:?}"))
            .collect();
        if tags.is_empty() {
            return missing();
        }
        let kind = "Content-Type: application/json\r\n".to_owned();
        return ("200 OK", kind, format!("{{\"name\":{name:?},\"tags\":[{}]}}", tags.join(",")).into_bytes());
    }
    ("200 OK", String::new(), b"{}".to_vec())
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-registry").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("folder");
    folder
}

/// A folder with the charts, and a home.
struct Place(PathBuf, PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let (folder, home) = (scratch(name), scratch(&format!("{name}-home")));
        copy(&sources().join("charts"), &folder);
        Self(folder, home)
    }

    fn run(&self, path: &Path, line: &str) -> Outcome {
        let before: &[&str] = if path.ends_with("coracle") { &["helm"] } else { &[] };
        run(path, before, &line.split(' ').collect::<Vec<_>>(), &self.0, &self.1)
    }

    fn done(&self, path: &Path, line: &str) -> Outcome {
        let outcome = self.run(path, line);
        assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
        outcome
    }
}

#[test]
fn charts_pushed_by_helm_are_found_as_helm_finds_them() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let address = registry(false);
    let place = Place::new("pushed");
    for version in ["1.2.3", "1.3.0", "2.0.0-beta.1", "1.3.1+build.7"] {
        place.done(&helm, &format!("package plain --version {version}"));
        place.done(&helm, &format!("push plain-{version}.tgz oci://{address}/charts --plain-http"));
    }
    let lines = [
        "pull oci://R/charts/plain --plain-http",
        "pull oci://R/charts/plain --plain-http --version 1.2.3 -d packed",
        "pull oci://R/charts/plain:1.2.3 --plain-http",
        "pull oci://R/charts/plain --plain-http --version 1.3.1+build.7 --untar --untardir out",
        "pull oci://R/charts/plain --plain-http --version ^1",
        "pull oci://R/charts/plain --plain-http --devel",
        "show chart oci://R/charts/plain --plain-http",
        "template oci://R/charts/plain --plain-http --version 1.2.3",
        "template oci://R/charts/plain --plain-http --version 9",
        "pull oci://R/charts/plain:1.2.3 --plain-http --version 1.3.0",
    ];
    let mut wrong = Vec::new();
    for line in lines {
        let line = line.replace("oci://R", &format!("oci://{address}"));
        let (theirs, mine) = (Place::new("theirs"), Place::new("mine"));
        for place in [&theirs, &mine] {
            fs::create_dir_all(place.0.join("packed")).expect("folder");
        }
        let (theirs, mine) = (theirs.run(&helm, &line), mine.run(ours, &line));
        if theirs != mine {
            wrong.push(format!("{line}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_chart_that_coracle_pushes_is_the_same_for_helm() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let address = registry(true);
    let place = Place::new("own");
    place.done(&helm, "package plain --version 1.2.3+meta");
    let login = format!("registry login {address} --plain-http -u user -p");
    let refused = place.run(ours, &format!("{login} wrong"));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    place.done(ours, &format!("{login} secret"));
    let push = format!("push plain-1.2.3+meta.tgz oci://{address}/own --plain-http");
    let mine = place.done(ours, &push);
    let theirs = place.done(&helm, &push);
    assert_eq!(mine, theirs, "the same manifest, config and words");
    place.done(&helm, &format!("pull oci://{address}/own/plain --version 1.2.3+meta --plain-http -d library"));
    let bytes = |name: &str| fs::read(place.0.join(name)).expect("an archive");
    assert!(bytes("library/plain-1.2.3+meta.tgz") == bytes("plain-1.2.3+meta.tgz"));
    place.done(ours, &format!("registry logout {address}"));
    let refused = place.run(ours, &push);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[test]
fn charts_of_a_registry_are_needed_as_with_helm() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let address = registry(false);
    let place = Place::new("stocked");
    for version in ["1.2.3", "1.3.0", "2.0.0-beta.1"] {
        place.done(&helm, &format!("package plain --version {version}"));
        place.done(&helm, &format!("push plain-{version}.tgz oci://{address}/charts --plain-http"));
    }
    let cases = [
        ("plain", "^1", "update"),
        ("plain", "^1", "build"),
        ("plain", "1.2.3", "update"),
        ("plain", "9.9.9", "update"),
        ("plain", "^9", "update"),
        ("none", "1.0.0", "update"),
        ("plain", "~1.2", "update --skip-refresh"),
    ];
    let mut wrong = Vec::new();
    for (name, version, verb) in cases {
        let play = |path: &Path| {
            let place = Place::new("needing");
            let chart = format!(
                "apiVersion: v2\nname: needing\nversion: 0.1.0\ndependencies:\n- {{name: {name}, version: \"{version}\", repository: \"oci://{address}/charts\"}}\n"
            );
            fs::create_dir_all(place.0.join("needing")).expect("folder");
            fs::write(place.0.join("needing/Chart.yaml"), chart).expect("file");
            let first = place.run(path, &format!("dependency {verb} needing --plain-http"));
            let again = place.run(path, "dependency build needing --plain-http");
            let lock = fs::read_to_string(place.0.join("needing/Chart.lock")).unwrap_or_default();
            let lock: Vec<String> = lock.lines().filter(|line| !line.starts_with("generated")).map(str::to_owned).collect();
            let mut charts: Vec<_> =
                fs::read_dir(place.0.join("needing/charts")).into_iter().flatten().flatten().map(|it| it.file_name()).collect();
            charts.sort();
            (first, again, lock, charts)
        };
        let (theirs, mine) = (play(&helm), play(ours));
        if theirs != mine {
            wrong.push(format!("{name} {version} {verb}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
