//! A node's network namespace on a machine of its own, and clients within it.

pub mod api;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use net::machine::Machine;
use net::namespace::{self, Namespace};

pub const PATIENCE: Duration = Duration::from_secs(3);
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 11);
const DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);

/// Gone when dropped.
pub struct Lab {
    prefix: String,
    node: Namespace,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        let prefix = format!("nodelab{}{name}-", std::process::id());
        let host = Namespace::create(&format!("{prefix}host")).unwrap();
        let machine = Machine { prefix: prefix.clone(), ..Machine::default() };
        let made = host.run(|| machine.set_up().and_then(|()| machine.add_node("node-1", NODE))).unwrap();
        Self { prefix, node: made.unwrap() }
    }

    /// Runs inside of the node, threads of the runtime included.
    pub fn run<F: Future>(&self, work: impl FnOnce() -> F + Send) -> F::Output
    where
        F::Output: Send,
    {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        self.node.run(|| runtime().block_on(work())).unwrap()
    }

    /// The namespace of a pod that answers on port 8080.
    pub fn pod(&self, name: &str) -> Namespace {
        let pod = Namespace::create(&format!("{}{name}", self.prefix)).unwrap();
        let listener = pod.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080))).unwrap().unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(b"pod");
            }
        });
        pod
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in namespace::list().unwrap_or_default().iter().filter(|name| name.starts_with(&self.prefix)) {
            drop(namespace::remove(name));
        }
    }
}

/// What a server says to whoever connects.
pub async fn connect(address: Ipv4Addr, port: u16) -> io::Result<String> {
    let ask = move || {
        let mut stream = TcpStream::connect_timeout(&(IpAddr::V4(address), port).into(), PATIENCE)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Asks again until it is so; rules follow the API by an event that nobody here hears of.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

/// The last four bytes of the answer to a question for an address, which are that address.
pub async fn resolve(labels: &'static [&'static str]) -> io::Result<Ipv4Addr> {
    let ask = move || {
        let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend(label.bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect((DNS, 53))?;
        socket.send(&question)?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer)?;
        Ok(Ipv4Addr::from(*buffer[..length].last_chunk::<4>().unwrap()))
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}
