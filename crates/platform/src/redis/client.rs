//! The way to the servers: one connection each, kept while it lives; its end wakes whoever watches over the cluster.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use decide::redis_slots::{Action, How, Seen, View};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, PushKind,
    RedisConnectionInfo, RedisError,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

/// How long a server may take to accept a connection, and to answer.
pub const PATIENCE: Duration = Duration::from_millis(1000);
/// The kernel asks after a silent peer this often, and gives it up after so many questions: a node that lost its power closes nothing.
const KEEPALIVE: (Duration, u32) = (Duration::from_secs(1), 2);

/// A server could not be asked or told.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: RedisError,
    },
    /// No answer.
    #[error("{address} does not say what it knows")]
    Ask {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: RedisError,
    },
    /// It does not know itself.
    #[error("{address} does not name itself in what it knows")]
    FindItself {
        /// Where.
        address: String,
    },
    /// It refuses.
    #[error("{address} refuses {command}")]
    Tell {
        /// Where.
        address: String,
        /// What.
        command: String,
        /// Why.
        #[source]
        source: RedisError,
    },
}

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its pod's address.
    pub ip: String,
    /// Its port.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.ip, self.port)
    }
}

/// Connections to servers. Clones share them.
#[derive(Clone, Default)]
pub struct Servers(Arc<Mutex<HashMap<Address, MultiplexedConnection>>>);

impl Servers {
    /// Asks a server for all that a plan needs, and waits `patience` for a connection. `ended` is called when it breaks later.
    ///
    /// # Errors
    /// When it cannot be reached or has not read its disk yet.
    pub async fn ask(
        &self,
        address: &Address,
        password: &str,
        patience: Duration,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<Seen, ServerError> {
        let mut connection = self.connection(address, password, patience, ended).await?;
        let mut questions = redis::pipe();
        questions.cmd("CLUSTER").arg("NODES").cmd("INFO").arg("replication").cmd("DBSIZE");
        let answers: Result<(String, String, u64), RedisError> = questions.query_async(&mut connection).await;
        let (nodes, replication, keys) = answers.map_err(|source| {
            self.forget(address);
            ServerError::Ask { address: address.to_string(), source }
        })?;
        seen(address, &nodes, &replication, keys).ok_or_else(|| ServerError::FindItself { address: address.to_string() })
    }

    /// Tells a server to do something.
    ///
    /// # Errors
    /// When it cannot be reached or refuses.
    pub async fn tell(&self, address: &Address, password: &str, action: &Action) -> Result<(), ServerError> {
        let mut connection = self.connection(address, password, PATIENCE, || ()).await?;
        let command = command(action);
        let told: Result<redis::Value, RedisError> = command.query_async(&mut connection).await;
        told.map(drop).map_err(|source| ServerError::Tell {
            address: address.to_string(),
            command: format!("{action:?}"),
            source,
        })
    }

    /// Drops the connections to servers that are not among these.
    pub fn keep(&self, alive: impl Fn(&Address) -> bool) {
        self.connections().retain(|address, _| alive(address));
    }

    fn forget(&self, address: &Address) {
        self.connections().remove(address);
    }

    async fn connection(
        &self,
        address: &Address,
        password: &str,
        patience: Duration,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, ServerError> {
        if let Some(connection) = self.connections().get(address) {
            return Ok(connection.clone());
        }
        let failed = |source| ServerError::Connect { address: address.to_string(), source };
        // Only with this protocol does a connection tell of its end.
        let settings = RedisConnectionInfo::default().set_password(password).set_protocol(ProtocolVersion::RESP3);
        let place = ConnectionAddr::Tcp(address.ip.clone(), address.port);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE.0).with_interval(KEEPALIVE.0).with_retries(KEEPALIVE.1);
        let link = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
        let info = place.into_connection_info().map_err(failed)?.set_redis_settings(settings).set_tcp_settings(link);
        let (servers, broken) = (self.clone(), address.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(move |push: redis::PushInfo| {
                if push.kind == PushKind::Disconnection {
                    servers.forget(&broken);
                    ended();
                }
                Ok::<(), std::convert::Infallible>(())
            });
        let client = Client::open(info).map_err(failed)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
        self.connections().insert(address.clone(), connection.clone());
        Ok(connection)
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<Address, MultiplexedConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerError {
    /// Whether the server is there, and reads its disk.
    pub fn is_loading(&self) -> bool {
        matches!(self, Self::Connect { source, .. } | Self::Ask { source, .. }
            if matches!(source.kind(), ErrorKind::Server(redis::ServerErrorKind::BusyLoading)))
    }
}

fn seen(address: &Address, nodes: &str, replication: &str, keys: u64) -> Option<Seen> {
    let view = View::parse(nodes);
    let field = |name: &str| replication.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| field(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let is_replica = field("role") == Some("slave");
    Some(Seen {
        id: view.myself()?.id.clone(),
        ip: address.ip.clone(),
        port: address.port,
        offset: number(if is_replica { "slave_repl_offset" } else { "master_repl_offset" }),
        cut_off_seconds: match field("master_link_status") {
            Some("up") => Some(0),
            _ => field("master_link_down_since_seconds").and_then(|value| value.parse().ok()).filter(|seconds| *seconds >= 0),
        },
        synced: is_replica && field("master_link_status") == Some("up") && field("master_sync_in_progress") == Some("0"),
        keys,
        view,
    })
}

fn command(action: &Action) -> redis::Cmd {
    let mut command = redis::cmd(if *action == Action::Empty { "FLUSHALL" } else { "CLUSTER" });
    match action {
        Action::SetEpoch(epoch) => command.arg("SET-CONFIG-EPOCH").arg(*epoch),
        Action::AddSlots(ranges) => {
            ranges.iter().fold(command.arg("ADDSLOTSRANGE"), |command, range| command.arg(range.first).arg(range.last))
        }
        Action::Meet(ip, port) => command.arg("MEET").arg(ip).arg(*port),
        Action::Empty => &mut command,
        Action::Replicate(master) => command.arg("REPLICATE").arg(master),
        Action::Failover(How::HandOver) => command.arg("FAILOVER"),
        Action::Failover(How::Force) => command.arg("FAILOVER").arg("FORCE"),
        Action::Failover(How::TakeOver) => command.arg("FAILOVER").arg("TAKEOVER"),
        Action::Forget(id) => command.arg("FORGET").arg(id),
    };
    command
}
