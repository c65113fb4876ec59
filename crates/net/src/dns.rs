//! The node's DNS server: UDP and TCP, answers about the cluster out of a snapshot that is read without a lock, and everything else from
//! the servers that the node itself asks. What a name means is decided in `decide::dns_answer`. Idle while nobody asks.

mod cache;
mod respond;
mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use decide::dns_answer::Zone;
use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use respond::{Step, respond, wire};
use upstream::Upstream;

/// Requests are small; what is longer is none.
const REQUEST_BYTES_MAX: usize = 4096;
const CONNECTIONS_MAX: usize = 256;
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(10);
const FAILURE_PAUSE: Duration = Duration::from_millis(20);
/// Questions of UDP clients that wait for servers elsewhere.
const FORWARDED_MAX: usize = 1000;

/// Why there is no DNS server.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The address is taken or not ours.
    #[error("cannot listen for DNS on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Sockets that listen, in the network namespace of the thread that bound them.
#[derive(Debug)]
pub struct DnsSockets {
    address: SocketAddr,
    udp: StdUdpSocket,
    tcp: StdTcpListener,
}

impl DnsSockets {
    /// Listens on both transports of an address.
    ///
    /// # Errors
    /// When it is taken, or no link has it.
    pub fn bind(address: SocketAddr) -> Result<Self, DnsError> {
        let failed = |source| DnsError::Listen { address, source };
        let udp = StdUdpSocket::bind(address).map_err(failed)?;
        // With port 0, both get the one that UDP got.
        let address = udp.local_addr().map_err(failed)?;
        let tcp = StdTcpListener::bind(address).map_err(failed)?;
        udp.set_nonblocking(true).and_then(|()| tcp.set_nonblocking(true)).map_err(failed)?;
        Ok(Self { address, udp, tcp })
    }

    /// Where they listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A DNS server that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct DnsServer {
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    zone: Arc<ArcSwap<Zone>>,
    upstream: Upstream,
    /// Which of several addresses is said first moves on with every question.
    turn: AtomicUsize,
    connections: Arc<Semaphore>,
    forwarded: Arc<Semaphore>,
}

impl DnsServer {
    /// Serves; must be called within a tokio runtime. `resolv_conf` lists the servers for all names that are not the cluster's; it is
    /// read anew when it changes, and what it lists of ourselves is left out.
    ///
    /// # Errors
    /// When the runtime does not take the sockets.
    pub fn start(sockets: DnsSockets, zone: Arc<ArcSwap<Zone>>, resolv_conf: PathBuf) -> Result<Self, DnsError> {
        let address = sockets.address;
        let failed = |source| DnsError::Listen { address, source };
        let udp = Arc::new(UdpSocket::from_std(sockets.udp).map_err(failed)?);
        let tcp = TcpListener::from_std(sockets.tcp).map_err(failed)?;
        let shared = Arc::new(Shared {
            zone,
            upstream: Upstream::new(resolv_conf, address),
            turn: AtomicUsize::new(0),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            forwarded: Arc::new(Semaphore::new(FORWARDED_MAX)),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
        tasks.spawn(serve_tcp(tcp, shared));
        Ok(Self { _tasks: tasks })
    }
}

impl Shared {
    /// What can be said at once.
    fn step(&self, request: &Message) -> Option<Step> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        respond(&self.zone.load(), request, turn)
    }

    /// The answer to a request; none to what is not one.
    async fn answer(&self, step: Step) -> Message {
        match step {
            Step::Done(response) => response,
            Step::Forward { response, question } => respond::merge(response, self.upstream.ask(&question).await),
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; REQUEST_BYTES_MAX];
    // Answers that wait for others end with the server.
    let mut waiting = JoinSet::new();
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            pause_after_failure().await;
            continue;
        };
        while waiting.try_join_next().is_some() {}
        let Ok(request) = Message::from_vec(&buffer[..length]) else { continue };
        let room = respond::udp_room(&request);
        match shared.step(&request) {
            None => {}
            Some(Step::Done(response)) => {
                // A full send buffer loses the answer as the wire might; the client asks again.
                let _ = socket.try_send_to(&wire(&response, room), client);
            }
            Some(step) => {
                let Ok(permit) = Arc::clone(&shared.forwarded).try_acquire_owned() else { continue };
                let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
                waiting.spawn(async move {
                    let response = shared.answer(step).await;
                    let _ = socket.send_to(&wire(&response, room), client).await;
                    drop(permit);
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        // The client's loss, or out of descriptors until a connection ends.
        let Ok((stream, _)) = accepted else {
            pause_after_failure().await;
            continue;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // However it ends, it is over.
            let _ = serve_connection(stream, &shared).await;
            drop(permit);
        });
    }
}

/// A socket that fails must not keep a processor busy.
#[expect(clippy::disallowed_methods, reason = "there is no event for a failure that passes")]
async fn pause_after_failure() {
    tokio::time::sleep(FAILURE_PAUSE).await;
}

async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let length = timeout(CONNECTION_IDLE_MAX, stream.read_u16()).await??;
        let mut request = vec![0; usize::from(length)];
        timeout(CONNECTION_IDLE_MAX, stream.read_exact(&mut request)).await??;
        let Some(step) = Message::from_vec(&request).ok().and_then(|request| shared.step(&request)) else { return Ok(()) };
        let response = wire(&shared.answer(step).await, usize::from(u16::MAX));
        let mut framed = u16::try_from(response.len()).unwrap_or(0).to_be_bytes().to_vec();
        framed.extend(response);
        timeout(CONNECTION_IDLE_MAX, stream.write_all(&framed)).await??;
    }
}

/// What the server would say to these bytes if nobody else could be asked. For tests that throw anything at it.
#[must_use]
pub fn answer_offline(zone: &Zone, request: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).ok()?;
    let response = match respond(zone, &request, 0)? {
        Step::Done(response) => response,
        Step::Forward { response, .. } => respond::merge(response, None),
    };
    Some(wire(&response, respond::udp_room(&request)))
}
