//! Sessions in the Redis Cluster: written so that losing one machine loses none of them.
//!
//! A session is a hash at `session:<hash of its token>` that expires by itself; `sessions:<user>` is a sorted set of a user's
//! hashes, scored by expiry. The index is written first: a session that is not in it could not be ended from elsewhere.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use redis::{
    AsyncCommands as _, Pipeline, RedisError, Value,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr},
};
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::{
    config::Config,
    metrics,
    placement::{self, Placement},
    token::{Token, TokenHash},
};

/// How long a write waits for its replica before it is tried again: some hundred times as long as a copy takes. Without any replica Redis
/// waits it out in full.
const REPLICA_WAIT: Duration = Duration::from_millis(200);
/// A session's last use is written at most this often, so that reading pages is not writing.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Sessions of one user; the oldest end when there are more.
const SESSIONS_MAX: isize = 50;
/// How long the client may try one command before the connection is taken for useless.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an operation is tried, with new connections, before the user is told: a failover takes a third of it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// The first pause between two tries, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A session as stored.
#[derive(Debug, Clone)]
pub struct Session {
    /// What stands for its token.
    pub hash: TokenHash,
    /// Who signed in.
    pub user: String,
    /// When, in milliseconds since 1970.
    pub created_ms: u64,
    /// Last use, in milliseconds since 1970, to [`TOUCH_EVERY`].
    pub seen_ms: u64,
    /// The browser, as it named itself at sign-in.
    pub agent: String,
    /// The address that signed in.
    pub address: String,
}

/// Why sessions could not be read or written.
#[derive(Debug, Error)]
pub enum SessionsError {
    #[error("the nodes of the cluster cannot be used")]
    Configure(#[source] RedisError),
    #[error("cannot connect to the cluster")]
    Connect(#[source] RedisError),
    #[error("cannot {attempt}")]
    Command {
        attempt: &'static str,
        #[source]
        source: RedisError,
    },
    #[error("the replica did not confirm the write within {} ms", REPLICA_WAIT.as_millis())]
    Unreplicated,
    #[error("the system gives no randomness")]
    Randomness(#[source] getrandom::Error),
}

/// The door to the cluster. Connects when first used, so that the app starts without Redis.
pub struct Sessions {
    client: ClusterClient,
    connection: Mutex<Option<ClusterConnection>>,
    idle: Duration,
    absolute: Duration,
}

impl Sessions {
    /// Checks the settings; connects to nobody yet.
    ///
    /// # Errors
    /// When a node's address cannot be one.
    pub fn new(config: &Config) -> Result<Self, SessionsError> {
        let nodes = config.redis_nodes.iter().map(|node| format!("redis://{node}"));
        let mut builder = ClusterClient::builder(nodes)
            .retries(6)
            .min_retry_wait(20)
            .max_retry_wait(200)
            .connection_timeout(Duration::from_secs(1))
            .response_timeout(Duration::from_secs(2))
            .overall_response_timeout(Some(COMMAND_TIMEOUT));
        if let Some(password) = &config.redis_password {
            builder = builder.password(password);
        }
        let client = builder.build().map_err(SessionsError::Configure)?;
        Ok(Self { client, connection: Mutex::new(None), idle: config.idle, absolute: config.absolute })
    }

    /// Starts a session of `user`, known to a replica before this returns.
    ///
    /// # Errors
    /// When Redis is away or the replica does not confirm; nobody is signed in then.
    pub async fn start(&self, user: &str, agent: &str, address: &str) -> Result<Token, SessionsError> {
        let token = Token::generate().map_err(SessionsError::Randomness)?;
        let hash = token.hash();
        let now = now_ms();
        let expiry = self.expiry_ms(now, now);
        let index = index_key(user);
        let mut listing = redis::pipe();
        listing.zadd(&index, hash.as_str(), expiry).ignore();
        listing.cmd("ZREMRANGEBYSCORE").arg(&index).arg("-inf").arg(now).ignore();
        listing.cmd("PEXPIREAT").arg(&index).arg(now + millis(self.absolute)).ignore();
        self.write("index the session", &index, listing, 3).await?;
        let key = session_key(&hash);
        let mut record = redis::pipe();
        let fields =
            [("user", user), ("created", &now.to_string()), ("seen", &now.to_string()), ("agent", agent), ("address", address)];
        record.hset_multiple(&key, &fields).ignore();
        record.cmd("PEXPIREAT").arg(&key).arg(expiry).ignore();
        self.write("write the session", &key, record, 2).await?;
        self.end_oldest(user).await?;
        Ok(token)
    }

    /// The session of a token, and its use noted; `None` when it has ended.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn find(&self, token: &Token) -> Result<Option<Session>, SessionsError> {
        let Some(session) = self.read(&token.hash()).await? else { return Ok(None) };
        let now = now_ms();
        if now >= session.created_ms + millis(self.absolute) {
            self.end(&session.user, &session.hash).await?;
            return Ok(None);
        }
        // Often enough for an idle limit of any length.
        if now >= session.seen_ms + millis(TOUCH_EVERY.min(self.idle / 4)) {
            self.touch(&session, now).await?;
        }
        Ok(Some(session))
    }

    /// All live sessions of a user, newest first.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn list(&self, user: &str) -> Result<Vec<Session>, SessionsError> {
        let mut found = Vec::new();
        for hash in self.indexed(user).await? {
            found.extend(self.read(&hash).await?.filter(|session| session.user == user));
        }
        found.sort_by_key(|session| std::cmp::Reverse(session.created_ms));
        Ok(found)
    }

    /// Ends one session of `user`; another user's is left alone.
    ///
    /// # Errors
    /// When Redis is away: the session may live on then.
    pub async fn end(&self, user: &str, hash: &TokenHash) -> Result<(), SessionsError> {
        if self.read(hash).await?.is_some_and(|session| session.user != user) {
            return Ok(());
        }
        let key = session_key(hash);
        let mut record = redis::pipe();
        record.del(&key).ignore();
        self.write("end the session", &key, record, 1).await?;
        let index = index_key(user);
        let mut listing = redis::pipe();
        listing.zrem(&index, hash.as_str()).ignore();
        self.write("unlist the session", &index, listing, 1).await
    }

    /// Ends every session of `user`, or every one but `keep`. How many ended.
    ///
    /// # Errors
    /// When Redis is away: some may live on then.
    pub async fn end_all(&self, user: &str, keep: Option<&TokenHash>) -> Result<usize, SessionsError> {
        let hashes: Vec<TokenHash> = self.indexed(user).await?.into_iter().filter(|hash| Some(hash) != keep).collect();
        for hash in &hashes {
            self.end(user, hash).await?;
        }
        Ok(hashes.len())
    }

    /// The shard and the nodes that hold a session; `None` when the cluster serves its slot nowhere.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn placement(&self, hash: &TokenHash) -> Result<Option<Placement>, SessionsError> {
        let key = &session_key(hash);
        let slot = self
            .persist(|mut connection| async move {
                let slot: Result<u16, RedisError> =
                    redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut connection).await;
                slot.map_err(|source| SessionsError::Command { attempt: "compute the slot", source })
            })
            .await?;
        let text = self.persist(|connection| ask(connection, key, &["CLUSTER", "NODES"], "read the cluster's nodes")).await?;
        Ok(placement::of_slot(&text, slot))
    }

    /// Whether the cluster answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), SessionsError> {
        let mut connection = self.connection().await?;
        let answer: Result<Value, RedisError> =
            connection.route_command(redis::cmd("PING"), RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary)).await;
        answer.map(|_| ()).map_err(|source| SessionsError::Command { attempt: "ping the cluster", source })
    }

    async fn connection(&self) -> Result<ClusterConnection, SessionsError> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = connection.as_ref() {
            return Ok(connection.clone());
        }
        let opened = self.client.get_async_connection().await.map_err(SessionsError::Connect)?;
        Ok(connection.insert(opened).clone())
    }

    /// Runs a pipeline of `commands` commands on the master of `key` and waits until a replica has it; again until it is done, so the
    /// commands must bear being repeated.
    async fn write(
        &self,
        attempt: &'static str,
        key: &str,
        mut pipeline: Pipeline,
        commands: usize,
    ) -> Result<(), SessionsError> {
        // `WAIT` counts the replicas that have the writes of its own connection, so it travels in the same pipeline.
        pipeline.cmd("WAIT").arg(1).arg(millis(REPLICA_WAIT));
        let confirmed = self.persist(|connection| write_once(connection, attempt, key, pipeline.clone(), commands)).await?;
        if !confirmed {
            metrics::UNREPLICATED.add();
            warn!(attempt, "no replica is connected: the write stands on one machine until one returns");
        }
        Ok(())
    }

    /// Tries an operation until it succeeds or [`OPERATION_TIMEOUT`] is over. A connection that failed twice is given up for a new one:
    /// it may hold a picture of the cluster from before a failover.
    async fn persist<T, F, Tried>(&self, operation: F) -> Result<T, SessionsError>
    where
        F: Fn(ClusterConnection) -> Tried,
        Tried: Future<Output = Result<T, SessionsError>> + Send,
    {
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let mut pause = PAUSE.0;
        let mut tries = 0;
        loop {
            let tried = match self.connection().await {
                Ok(connection) => operation(connection).await,
                Err(error) => Err(error),
            };
            let Err(error) = tried else { return tried };
            tries += 1;
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            debug!(tries, error = &error as &dyn std::error::Error, "tried in vain");
            if tries % 2 == 0 {
                self.connection.lock().await.take();
            }
            rest(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn read(&self, hash: &TokenHash) -> Result<Option<Session>, SessionsError> {
        let fields: HashMap<String, String> = self
            .persist(|mut connection| async move {
                let fields = connection.hgetall(session_key(hash)).await;
                fields.map_err(|source| SessionsError::Command { attempt: "read the session", source })
            })
            .await?;
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let (Some(user), Some(created_ms), Some(seen_ms)) = (fields.get("user"), number("created"), number("seen")) else {
            return Ok(None);
        };
        Ok(Some(Session {
            hash: hash.clone(),
            user: user.clone(),
            created_ms,
            seen_ms,
            agent: text("agent"),
            address: text("address"),
        }))
    }

    async fn indexed(&self, user: &str) -> Result<Vec<TokenHash>, SessionsError> {
        let hashes: Vec<String> = self
            .persist(|mut connection| async move {
                let hashes = connection.zrangebyscore(index_key(user), now_ms(), "+inf").await;
                hashes.map_err(|source| SessionsError::Command { attempt: "list the sessions", source })
            })
            .await?;
        Ok(hashes.iter().filter_map(|hash| TokenHash::parse(hash)).collect())
    }

    /// Writes the use of a session; only if it still exists, so that a session ended meanwhile stays ended.
    async fn touch(&self, session: &Session, now: u64) -> Result<(), SessionsError> {
        let expiry = self.expiry_ms(session.created_ms, now);
        let script = redis::Script::new(
            "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end \
             redis.call('HSET', KEYS[1], 'seen', ARGV[1]) return redis.call('PEXPIREAT', KEYS[1], ARGV[2])",
        );
        let (script, key, index) = (&script, &session_key(&session.hash), &index_key(&session.user));
        self.persist(|mut connection| async move {
            let failed = |source| SessionsError::Command { attempt: "note the use of the session", source };
            let lives: i64 = script.key(key).arg(now).arg(expiry).invoke_async(&mut connection).await.map_err(failed)?;
            if lives == 1 {
                let mut listing = redis::cmd("ZADD");
                listing.arg(index).arg("XX").arg(expiry).arg(session.hash.as_str());
                let () = listing.query_async(&mut connection).await.map_err(failed)?;
            }
            Ok(())
        })
        .await
    }

    async fn end_oldest(&self, user: &str) -> Result<(), SessionsError> {
        let oldest: Vec<String> = self
            .persist(|mut connection| async move {
                let oldest = connection.zrange(index_key(user), 0, -SESSIONS_MAX - 1).await;
                oldest.map_err(|source| SessionsError::Command { attempt: "list the oldest sessions", source })
            })
            .await?;
        for hash in oldest.iter().filter_map(|hash| TokenHash::parse(hash)) {
            self.end(user, &hash).await?;
        }
        Ok(())
    }

    /// The earlier of the idle and the absolute limit.
    fn expiry_ms(&self, created_ms: u64, seen_ms: u64) -> u64 {
        (seen_ms + millis(self.idle)).min(created_ms + millis(self.absolute))
    }
}

/// Writes, and waits for a replica. Whether one has it; `false` only when the master has none to wait for.
async fn write_once(
    mut connection: ClusterConnection,
    attempt: &'static str,
    key: &str,
    pipeline: Pipeline,
    commands: usize,
) -> Result<bool, SessionsError> {
    let failed = |source| SessionsError::Command { attempt, source };
    let answers = connection.route_pipeline(pipeline, 0, commands + 1, master_of(key)).await.map_err(failed)?;
    let mut confirmed = 0_u64;
    for answer in answers {
        let answer = answer.extract_error().map_err(failed)?;
        confirmed = redis::from_redis_value(answer).unwrap_or(0);
    }
    if confirmed > 0 {
        return Ok(true);
    }
    let text = ask(connection, key, &["INFO", "replication"], "ask for the replicas").await?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("role:"), field("connected_slaves:")) {
        (Some("master"), Some("0")) => Ok(false),
        // It is no master any more, or its replica is slow: what was written may be lost with it.
        _ => Err(SessionsError::Unreplicated),
    }
}

/// Asks the master of `key` something that is answered by text.
async fn ask(
    mut connection: ClusterConnection,
    key: &str,
    words: &[&str],
    attempt: &'static str,
) -> Result<String, SessionsError> {
    let mut command = redis::Cmd::new();
    command.arg(words);
    let answer = connection.route_command(command, RoutingInfo::SingleNode(master_of(key))).await;
    let text = answer.and_then(|value| redis::from_redis_value::<String>(value).map_err(RedisError::from));
    text.map_err(|source| SessionsError::Command { attempt, source })
}

#[expect(clippy::disallowed_methods, reason = "the pause between two tries of a bounded number")]
async fn rest(pause: Duration) {
    tokio::time::sleep(pause).await;
}

fn session_key(hash: &TokenHash) -> String {
    format!("session:{}", hash.as_str())
}

fn index_key(user: &str) -> String {
    format!("sessions:{user}")
}

fn master_of(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_slot(Slot::for_key(key), SlotAddr::Master))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
