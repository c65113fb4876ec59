//! The servers for all names that are not the cluster's: which they are, asking them, and remembering what they said. The same question
//! is asked once at a time; so even a server that asks us in turn meets its own question and no flood.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::cache::{Cache, Key};
use super::respond::text_of;

/// How long one server may take; two of them fit into the five seconds that clients wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// As the C library has it.
const SERVERS_MAX: usize = 3;
const PORT: u16 = 53;
const ANSWER_BYTES_MAX: u16 = 4096;

#[derive(Debug)]
pub(super) struct Upstream {
    resolv_conf: PathBuf,
    ourselves: SocketAddr,
    servers: Mutex<Servers>,
    cache: Mutex<Cache>,
    asked: Mutex<HashMap<Key, watch::Receiver<Option<Said>>>>,
}

type Said = Option<Arc<Message>>;

#[derive(Debug, Default)]
struct Servers {
    read: Option<SystemTime>,
    list: Vec<SocketAddr>,
}

impl Upstream {
    pub(super) fn new(resolv_conf: PathBuf, ourselves: SocketAddr) -> Self {
        Self { resolv_conf, ourselves, servers: Mutex::default(), cache: Mutex::default(), asked: Mutex::default() }
    }

    /// What the servers say; nothing if there is none, or none answers.
    pub(super) async fn ask(&self, question: &Query) -> Said {
        let key = (text_of(question.name()), question.query_type());
        if let Some(said) = lock(&self.cache).get(&key, Instant::now()) {
            return Some(said);
        }
        let answer = {
            let mut asked = lock(&self.asked);
            match asked.get(&key) {
                Some(waiting) => Err(waiting.clone()),
                None => {
                    let (answer, waiting) = watch::channel(None);
                    asked.insert(key.clone(), waiting);
                    Ok(answer)
                }
            }
        };
        match answer {
            // It ends unanswered if whoever asked first was cut off.
            Err(mut waiting) => waiting.wait_for(Option::is_some).await.ok().and_then(|said| said.clone()).flatten(),
            Ok(answer) => {
                let _cleared = Cleared { upstream: self, key: &key };
                let said = self.ask_servers(question).await.map(Arc::new);
                if let Some(said) = &said {
                    lock(&self.cache).put(key.clone(), Arc::clone(said), Instant::now());
                }
                answer.send_replace(Some(said.clone()));
                said
            }
        }
    }

    async fn ask_servers(&self, question: &Query) -> Option<Message> {
        let mut last = None;
        for server in self.servers() {
            match timeout(PATIENCE, ask_one(server, question)).await {
                Ok(Ok(said)) if matches!(said.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => {
                    return Some(said);
                }
                Ok(Ok(said)) => last = Some(said),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a DNS server did not answer"),
                Err(_) => tracing::debug!(%server, "a DNS server did not answer in time"),
            }
        }
        last
    }

    /// The servers as the file has them now.
    fn servers(&self) -> Vec<SocketAddr> {
        let changed = std::fs::metadata(&self.resolv_conf).and_then(|found| found.modified()).ok();
        let mut servers = lock(&self.servers);
        if changed.is_none() || servers.read != changed {
            let text = std::fs::read_to_string(&self.resolv_conf).unwrap_or_default();
            servers.list = parse(&text).filter(|server| *server != self.ourselves).take(SERVERS_MAX).collect();
            servers.read = changed;
        }
        servers.list.clone()
    }
}

/// Takes the question off the list when it is answered or given up.
struct Cleared<'a> {
    upstream: &'a Upstream,
    key: &'a Key,
}

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        lock(&self.upstream.asked).remove(self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The servers that a `resolv.conf` lists. A port may follow the address, as `[::1]:53` or `127.0.0.1:53`.
fn parse(text: &str) -> impl Iterator<Item = SocketAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        let address = server.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        address.or_else(|_| server.parse()).ok()
    })
}

async fn ask_one(server: SocketAddr, question: &Query) -> io::Result<Message> {
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    request.set_edns(edns);
    let bytes = request.to_vec().map_err(io::Error::other)?;
    // A socket of its own: its port is as hard to guess as the number.
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0; usize::from(ANSWER_BYTES_MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Some(said) = Message::from_vec(&buffer[..length]).ok().filter(|said| answers(said, &request)) else { continue };
        return if said.metadata.truncation { ask_over_tcp(server, &request, &bytes).await } else { Ok(said) };
    }
}

async fn ask_over_tcp(server: SocketAddr, request: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    let said = Message::from_vec(&buffer).map_err(io::Error::other)?;
    if answers(&said, request) { Ok(said) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn answers(said: &Message, request: &Message) -> bool {
    said.metadata.id == request.metadata.id
        && said.metadata.message_type == hickory_proto::op::MessageType::Response
        && said.queries == request.queries
}

#[cfg(test)]
mod tests;
