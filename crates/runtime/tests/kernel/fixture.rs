//! A pod in a temporary folder and a cgroup of its own, on an image made of busybox. Everything goes when it is dropped.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use runtime::{
    cgroup,
    container::{Container, ContainerSpec, Limits},
    image::Image,
    logs::LogFiles,
    pod::{Network, Pod, PodSpec},
    session::ExecSpec,
};
use tokio::io::AsyncReadExt as _;

pub struct Fixture {
    pub folder: Folder,
    pub cgroup: String,
    owner: bool,
}

/// A folder that goes when it is dropped, or one that is somebody else's.
pub enum Folder {
    Own(tempfile::TempDir),
    Lent(PathBuf),
}

impl Folder {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Lent(path) => path,
        }
    }
}

/// Builds a root from the static busybox of the host.
pub fn image(folder: &Path) -> Image {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    let busybox = busybox.expect("busybox is missing: apt-get install busybox-static");
    let layer = folder.join("layer");
    for name in ["bin", "etc", "tmp", "home/app"] {
        fs::create_dir_all(layer.join(name)).expect("a folder");
    }
    fs::copy(busybox, layer.join("bin/busybox")).expect("copied");
    for name in [
        "sh", "cat", "echo", "sleep", "id", "ls", "mount", "unshare", "touch", "grep", "wc", "dd", "hostname", "ps", "kill",
        "nc", "stty", "seq", "head", "tail", "mknod", "chmod", "true", "env", "tty", "umount", "readlink",
    ] {
        symlink("busybox", layer.join("bin").join(name)).expect("a link");
    }
    fs::write(layer.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n").expect("written");
    fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1001:\nextra:x:2000:app\n").expect("written");
    let mut image = Image { id: "sha256:test".into(), layers: vec![layer], ..Image::default() };
    image.config.env = vec!["PATH=/bin".into()];
    image
}

impl Fixture {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("coracle-runtime-").tempdir().expect("a folder");
        image(folder.path());
        let cgroup = format!("coracle-runtime-test-{}-{number}", std::process::id());
        Self { folder: Folder::Own(folder), cgroup, owner: true }
    }

    /// One that another process made and takes away.
    pub fn existing(folder: PathBuf, cgroup: String) -> Self {
        Self { folder: Folder::Lent(folder), cgroup, owner: false }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("pod")
    }

    pub fn spec(&self) -> PodSpec {
        PodSpec {
            id: "pod".into(),
            dir: self.dir(),
            layers: self.folder.path().join("layers"),
            fills: Some(self.folder.path().join("fills")),
            hostname: "the-pod".into(),
            network: Network::New,
            host_pid: false,
            host_ipc: false,
            share_processes: false,
            sysctls: Vec::new(),
            cgroup: format!("{}/pod", self.cgroup),
            limits: Limits::default(),
            shm_bytes: None,
        }
    }

    pub async fn pod(&self) -> Pod {
        Pod::start(self.spec()).await.unwrap_or_else(|error| panic!("the pod starts: {}", chain(&error)))
    }

    pub fn container(&self, id: &str, script: &str) -> ContainerSpec {
        let mut image = Image { id: "sha256:test".into(), layers: vec![self.folder.path().join("layer")], ..Image::default() };
        image.config.working_dir = "/".into();
        let mut spec = ContainerSpec::new(id, image, vec!["/bin/sh".into(), "-c".into(), script.into()]);
        spec.env = vec![("PATH".into(), "/bin".into())];
        spec
    }

    pub fn logs(&self, id: &str) -> LogFiles {
        LogFiles { path: self.folder.path().join(format!("logs/{id}.log")), bytes_max: 1 << 20, files_max: 3 }
    }

    /// Starts a container and waits for its end.
    pub async fn run(&self, pod: &Pod, spec: ContainerSpec) -> (i32, Vec<String>) {
        let logs = self.logs(&spec.id);
        let id = spec.id.clone();
        let started = pod.start_container(spec, logs).await;
        let container = started.unwrap_or_else(|error| panic!("{id} starts: {}", chain(&error)));
        let exit = wait(&container).await;
        (exit.code, self.lines(&id))
    }

    /// The text of a log, without times and tags.
    pub fn lines(&self, id: &str) -> Vec<String> {
        let text = fs::read_to_string(self.logs(id).path).unwrap_or_default();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned()).collect()
    }

    /// Waits until a container has said this: that it has started says nothing of what it has done.
    pub async fn said(&self, id: &str, line: &str) {
        for _ in 0..2000 {
            if self.lines(id).iter().any(|said| said == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{id} never said {line:?}: {:?}", self.lines(id));
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !self.owner {
            return;
        }
        let _ = cgroup::kill(&self.cgroup);
        let supervisors = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let dir = self.dir();
            line.split(|byte| *byte == 0).any(|word| word == dir.as_os_str().as_encoded_bytes()).then_some(pid)
        });
        for pid in supervisors {
            kill(pid);
        }
        let _ = nix::mount::umount2(&self.dir().join("shm"), nix::mount::MntFlags::MNT_DETACH);
        for _ in 0..100 {
            if cgroup::remove(&self.cgroup).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

pub async fn wait(container: &Container) -> runtime::container::Exit {
    tokio::time::timeout(Duration::from_secs(20), container.wait()).await.expect("the container ends")
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

/// Runs a script in a container and gathers what it says.
pub async fn exec(pod: &Pod, container: &str, script: &str) -> (i32, String) {
    let spec =
        ExecSpec { argv: vec!["sh".into(), "-c".into(), script.into()], stdout: true, stderr: true, ..ExecSpec::default() };
    let mut session = pod.exec(container, spec).await.unwrap_or_else(|error| panic!("the exec starts: {}", chain(&error)));
    let (mut text, mut errors) = (String::new(), String::new());
    session.stdout.take().expect("an output").read_to_string(&mut text).await.expect("read");
    session.stderr.take().expect("errors").read_to_string(&mut errors).await.expect("read");
    (session.wait().await, text + &errors)
}
