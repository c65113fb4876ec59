//! Configuration by environment; secrets by file. Each setting is read here and nowhere else.

use std::{env, fs, net::SocketAddr, path::PathBuf, time::Duration};

use thiserror::Error;

/// What the environment said.
pub struct Config {
    /// `SESSION_LISTEN`: where to serve; default `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// `SESSION_REDIS`: some nodes of the cluster as `host:port`, comma-separated.
    pub redis_nodes: Vec<String>,
    /// `SESSION_REDIS_PASSWORD_FILE`: the file that holds Redis's password.
    pub redis_password: Option<String>,
    /// `SESSION_ACCOUNTS_FILE`: lines of `name:argon2id hash`.
    pub accounts_file: PathBuf,
    /// `SESSION_COOKIE_SECURE`: `true` behind TLS; the cookie then bears the `__Host-` prefix.
    pub cookie_secure: bool,
    /// `SESSION_IDLE_SECONDS`: a session ends when it is not used for so long; default 30 minutes.
    pub idle: Duration,
    /// `SESSION_ABSOLUTE_SECONDS`: a session ends after so long in any case; default 12 hours.
    pub absolute: Duration,
    /// `SESSION_SIGN_INS_PER_MINUTE`: attempts an account and address; default 10.
    pub sign_ins_per_minute: u32,
    /// `SESSION_POD_NAME` and `SESSION_NODE_NAME`: shown on the page, so that one sees which instance answered.
    pub instance: String,
}

/// A setting that is missing or wrong.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{name} is not set: {fix}")]
    Missing { name: &'static str, fix: &'static str },
    #[error("{name} is {value:?}, which is not {expected}")]
    Invalid { name: &'static str, value: String, expected: &'static str },
    #[error("the file {path} named by {name} cannot be read")]
    ReadFile {
        name: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// When one is missing or does not parse, or a named file cannot be read.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let nodes = env::var("SESSION_REDIS").map_err(|_| ConfigError::Missing {
            name: "SESSION_REDIS",
            fix: "name some nodes of the cluster as host:port, comma-separated",
        })?;
        let accounts_file = env::var("SESSION_ACCOUNTS_FILE").map_err(|_| ConfigError::Missing {
            name: "SESSION_ACCOUNTS_FILE",
            fix: "make its lines by `session hash-password NAME`",
        })?;
        Ok(Self {
            listen: parsed("SESSION_LISTEN", "an address and a port", SocketAddr::from(([0, 0, 0, 0], 8080)))?,
            redis_nodes: nodes.split(',').map(|node| node.trim().to_owned()).filter(|node| !node.is_empty()).collect(),
            redis_password: password_file("SESSION_REDIS_PASSWORD_FILE")?,
            accounts_file: accounts_file.into(),
            cookie_secure: parsed("SESSION_COOKIE_SECURE", "true or false", true)?,
            idle: Duration::from_secs(parsed("SESSION_IDLE_SECONDS", "a number of seconds", 30 * 60)?),
            absolute: Duration::from_secs(parsed("SESSION_ABSOLUTE_SECONDS", "a number of seconds", 12 * 60 * 60)?),
            sign_ins_per_minute: parsed("SESSION_SIGN_INS_PER_MINUTE", "a number", 10)?,
            instance: instance(),
        })
    }
}

fn instance() -> String {
    let pod = env::var("SESSION_POD_NAME").unwrap_or_else(|_| "local".to_owned());
    env::var("SESSION_NODE_NAME").map_or(pod.clone(), |node| format!("{pod} on {node}"))
}

fn parsed<T: std::str::FromStr>(name: &'static str, expected: &'static str, default: T) -> Result<T, ConfigError> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(value) => value.parse().map_err(|_| ConfigError::Invalid { name, value, expected }),
    }
}

fn password_file(name: &'static str) -> Result<Option<String>, ConfigError> {
    let Ok(path) = env::var(name) else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end().to_owned())),
        Err(source) => Err(ConfigError::ReadFile { name, path, source }),
    }
}
