//! A stage for the app: six real Redis servers on loopback addresses of their own, the built program, and a browser of a few lines.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, phc::PasswordHash},
};

pub const PASSWORD: &str = "correct horse";
const REDIS_PASSWORD: &str = "not-a-secret";

/// The servers and the app; all end with it.
pub struct Stage {
    folder: tempfile::TempDir,
    net: u8,
    redis: Vec<Option<Child>>,
    app: Child,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.redis.iter_mut().flatten().chain([&mut self.app]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test plays the machine")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

#[expect(clippy::disallowed_methods, reason = "a test that looks again")]
pub fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

impl Stage {
    /// `net`: the second byte of the loopback addresses, its own for each test.
    pub fn new(net: u8, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Cheap to verify, for an unoptimised build; the format is the same.
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash: PasswordHash = cheap.hash_password(PASSWORD.as_bytes()).unwrap();
        let accounts = folder.path().join("accounts");
        std::fs::write(&accounts, format!("ada:{hash}\nbob:{hash}\n")).unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, REDIS_PASSWORD).unwrap();
        let redis = (0..6).map(|number| Some(start_redis(folder.path(), net, number))).collect();
        let nodes: Vec<String> = (0..6).map(|number| address(net, number)).collect();
        join(&nodes);
        let app = program(env!("CARGO_BIN_EXE_session"))
            .env("SESSION_LISTEN", format!("127.{net}.0.100:8080"))
            .env("SESSION_REDIS", nodes.join(","))
            .env("SESSION_REDIS_PASSWORD_FILE", password)
            .env("SESSION_ACCOUNTS_FILE", accounts)
            .env("SESSION_COOKIE_SECURE", "false")
            .envs(settings.iter().copied())
            .stdout(std::fs::File::create(folder.path().join("app.log")).unwrap())
            .spawn()
            .unwrap();
        let stage = Self { folder, net, redis, app };
        let began = Instant::now();
        while stage.browser().try_get("/readyz").is_none_or(|page| page.code != 200) {
            assert!(began.elapsed() < Duration::from_secs(30), "not ready: {}", stage.log());
            pause(50);
        }
        stage
    }

    pub fn browser(&self) -> Browser {
        Browser { host: format!("127.{}.0.100:8080", self.net), cookie: String::new() }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("app.log")).unwrap_or_default()
    }

    /// Kills a server at once.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.redis[number].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn restart(&mut self, number: usize) {
        self.redis[number] = Some(start_redis(self.folder.path(), self.net, number));
    }

    /// The server with this address.
    pub fn number(&self, address_of_it: &str) -> usize {
        (0..6).find(|number| address(self.net, *number) == address_of_it).unwrap()
    }

    /// Asks a server; an empty text when it is not there.
    pub fn ask(&self, number: usize, words: &[&str]) -> String {
        cli(&address(self.net, number), words)
    }
}

fn address(net: u8, number: usize) -> String {
    let port = if number < 3 { 7000 } else { 7003 };
    format!("127.{net}.0.{}:{port}", number + 1)
}

fn start_redis(folder: &Path, net: u8, number: usize) -> Child {
    let address = address(net, number);
    let (ip, port) = address.split_once(':').unwrap();
    let data: PathBuf = folder.join(number.to_string());
    std::fs::create_dir_all(&data).unwrap();
    let settings = format!(
        "dir {}\nbind {ip}\nport {port}\ncluster-enabled yes\ncluster-node-timeout 1000\nappendonly yes\nsave \"\"\n\
         cluster-require-full-coverage no\ncluster-announce-ip {ip}\ncluster-announce-hostname pod-{number}.node-{}\n\
         repl-diskless-sync-delay 0\nrequirepass {REDIS_PASSWORD}\nmasterauth {REDIS_PASSWORD}\n",
        data.display(),
        number % 3 + 1
    );
    let file = folder.join(format!("{number}.conf"));
    std::fs::write(&file, settings).unwrap();
    let child = program("redis-server").arg(file).stdout(Stdio::null()).spawn();
    child.expect("redis-server is needed for this test: apt-get install redis-server")
}

/// Makes one cluster of them, replicas beside other shards' masters.
fn join(nodes: &[String]) {
    for node in nodes {
        while !cli(node, &["ping"]).contains("PONG") {
            pause(20);
        }
    }
    for (number, slots) in ["0 5460", "5461 10922", "10923 16383"].iter().enumerate() {
        cli(&nodes[number], &["cluster", "set-config-epoch", &(number + 1).to_string()]);
        let (first, last) = slots.split_once(' ').unwrap();
        cli(&nodes[number], &["cluster", "addslotsrange", first, last]);
    }
    for node in &nodes[1..] {
        let (ip, port) = node.split_once(':').unwrap();
        cli(&nodes[0], &["cluster", "meet", ip, port]);
    }
    for number in 3..6 {
        let master = cli(&nodes[number - 3], &["cluster", "myid"]);
        while cli(&nodes[number], &["cluster", "replicate", master.trim()]).trim() != "OK" {
            pause(50);
        }
    }
    for node in &nodes[3..6] {
        while !cli(node, &["info", "replication"]).contains("master_link_status:up") {
            pause(50);
        }
    }
    while nodes.iter().any(|node| {
        let info = cli(node, &["cluster", "info"]);
        !info.contains("cluster_state:ok") || !info.contains("cluster_known_nodes:6") || !info.contains("cluster_slots_ok:16384")
    }) {
        pause(50);
    }
}

fn cli(address: &str, words: &[&str]) -> String {
    let (ip, port) = address.split_once(':').unwrap();
    let output =
        program("redis-cli").env("REDISCLI_AUTH", REDIS_PASSWORD).args(["-h", ip, "-p", port]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Keeps a cookie, follows nothing.
#[derive(Clone)]
pub struct Browser {
    pub host: String,
    pub cookie: String,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub code: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    /// The text of the element with this id.
    pub fn text(&self, id: &str) -> String {
        let after = self.body.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {}", self.body)).1;
        let inside = after.split_once('>').unwrap().1;
        inside.split_once('<').unwrap().0.trim().to_owned()
    }

    /// The secret that its forms carry.
    pub fn form_secret(&self) -> String {
        let after = self.body.split_once("name=\"form_secret\" value=\"").expect("a form").1;
        after.split_once('"').unwrap().0.to_owned()
    }
}

impl Browser {
    pub fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, "", &[]).expect("an answer")
    }

    pub fn try_get(&mut self, path: &str) -> Option<Page> {
        self.send("GET", path, "", &[])
    }

    pub fn post(&mut self, path: &str, form: &str) -> Page {
        let origin = format!("http://{}", self.host);
        self.send("POST", path, form, &[("Origin", &origin)]).expect("an answer")
    }

    pub fn sign_in(&mut self, name: &str) -> Page {
        self.post("/sign-in", &format!("name={name}&password={}", PASSWORD.replace(' ', "+")))
    }

    /// One request over a connection of its own.
    pub fn send(&mut self, method: &str, path: &str, form: &str, headers: &[(&str, &str)]) -> Option<Page> {
        let mut stream = TcpStream::connect(&self.host).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: test\r\n", self.host);
        if !self.cookie.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", self.cookie));
        }
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ));
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let head = head.to_lowercase();
        let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        if set.is_some() {
            // From the answer as it was: values are told apart by case.
            let line = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie: ")).unwrap();
            self.cookie = line["set-cookie: ".len()..].split(';').next().unwrap().to_owned();
        }
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some(Page { code, head, body: body.to_owned() })
    }
}
