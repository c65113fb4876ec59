//! The session app: sign in, see your sessions, sign out; the tokens live in a Redis Cluster.
//!
//! An ordinary client of the platform: it knows addresses, a password file and nothing of Kubernetes.

mod accounts;
mod config;
mod metrics;
mod placement;
mod sessions;
mod token;
mod web;

use std::{io::Read as _, net::SocketAddr, process::ExitCode, sync::Arc};

use thiserror::Error;
use tracing::{error, info};

/// Why the program ended.
#[derive(Debug, Error)]
enum StartError {
    #[error("the configuration is wrong")]
    Configure(#[from] config::ConfigError),
    #[error("the accounts cannot be used")]
    LoadAccounts(#[from] accounts::AccountsError),
    #[error("the Redis settings cannot be used")]
    OpenSessions(#[from] sessions::SessionsError),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("serving stopped")]
    Serve(#[source] std::io::Error),
    #[error("cannot read the password from standard input")]
    ReadPassword(#[source] std::io::Error),
    #[error("use: session [hash-password NAME < password]")]
    Usage,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => serve(),
        ["hash-password", name] => hash_password(name),
        _ => Err(StartError::Usage),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(start_error) => {
            tracing_subscriber::fmt().json().with_writer(std::io::stderr).try_init().ok();
            error!(error = &start_error as &dyn std::error::Error, "session ends");
            ExitCode::FAILURE
        }
    }
}

/// Prints the line of the accounts file for `name` and the password on standard input.
#[expect(clippy::print_stdout, reason = "the line is this subcommand's result")]
fn hash_password(name: &str) -> Result<(), StartError> {
    let mut password = String::new();
    std::io::stdin().read_to_string(&mut password).map_err(StartError::ReadPassword)?;
    println!("{}", accounts::line(name, password.trim_end_matches('\n'))?);
    Ok(())
}

#[tokio::main]
async fn serve() -> Result<(), StartError> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .init();
    let config = config::Config::from_environment()?;
    let accounts = accounts::Accounts::read(&config.accounts_file)?;
    let sessions = sessions::Sessions::new(&config)?;
    let address = config.listen;
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    info!(%address, "listening");
    let app = web::router(Arc::new(web::App::new(config, accounts, sessions)));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop_signal())
        .await
        .map_err(StartError::Serve)
}

/// Resolves when the process is asked to stop.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        error!("signals cannot be heard: the process ends only when it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping: open requests are answered first");
}
