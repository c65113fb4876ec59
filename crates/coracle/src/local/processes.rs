//! The processes of a cluster on this machine, as the keeper is told of them.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use runtime::keeper::Program;
use server::pki::BootstrapToken;

use super::own_program;
use crate::{config, data_dir::DataDir, kubeconfig::write_private, machine::Machine, notify};

/// The name of the server's process.
pub const SERVER: &str = "server";
/// The verb of a node's process.
pub const AGENT: &str = "agent";

/// How long a process may take to end when asked, in milliseconds.
const GRACE_MS: u64 = 10_000;

/// What of our own environment a kept process is given beside the keeper's: settings of the allocator and of the log.
fn environment(dir: &DataDir) -> Vec<(String, String)> {
    vec![(notify::SOCKET.to_owned(), dir.run().join("notify.sock").display().to_string())]
}

/// The server with its controllers.
///
/// # Errors
/// When this program's own file is not to be found.
pub fn server(dir: &DataDir, machine: &Machine) -> anyhow::Result<Program> {
    // The last one is told to pods, also to those on other machines.
    let addresses = [Some(Ipv4Addr::LOCALHOST), Some(config::node_address(1)), machine.address];
    let mut argv = vec![
        own_program()?.display().to_string(),
        SERVER.to_owned(),
        format!("--data-dir={}", dir.server().display()),
        format!("--kubeconfig={}", dir.admin_kubeconfig().display()),
    ];
    argv.extend(addresses.iter().flatten().map(|address| format!("--listen={address}:{}", config::API_PORT)));
    Ok(Program {
        name: SERVER.to_owned(),
        argv,
        env: environment(dir),
        restart: true,
        cgroup: Some(config::cgroup(SERVER)),
        kill_cgroup: Some(config::cgroup(SERVER)),
        network: None,
        log: Some(dir.log(SERVER)),
        grace_ms: GRACE_MS,
    })
}

/// A node of this machine. `token` is for one without an identity.
///
/// # Errors
/// When its folder cannot be prepared.
pub fn node(dir: &DataDir, machine: &Machine, number: u16, token: Option<&BootstrapToken>) -> anyhow::Result<Program> {
    let name = machine.name(number);
    let folder = dir.node(&name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut argv = vec![
        own_program()?.display().to_string(),
        AGENT.to_owned(),
        format!("--name={name}"),
        format!("--node-dir={}", folder.display()),
        format!("--images={}", dir.images().display()),
        format!("--cgroup={}", config::cgroup(&name)),
        format!("--token-file={}", folder.join("token").display()),
        format!("--keeper={}", dir.keeper_socket().display()),
        format!("--address={}", machine.node_address(number)),
    ];
    argv.extend(match &machine.joined {
        Some(joined) => vec![
            format!("--server={}", joined.server),
            format!("--ca-hash={}", joined.ca_hash),
            format!("--local-network-router={}", joined.server_address),
        ],
        None => vec![
            format!("--server=https://{}:{}", config::node_address(1), config::API_PORT),
            format!("--ca-file={}", dir.server().join("pki/ca.crt").display()),
        ],
    });
    if let Some(token) = token {
        let path = folder.join("token");
        write_private(&path, &token.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Program {
        argv,
        env: environment(dir),
        restart: true,
        // The agent beside its pods, so that a kill of the whole reaches it and one of the pods alone does not.
        cgroup: Some(config::cgroup(&format!("{name}/agent"))),
        kill_cgroup: Some(config::cgroup(&name)),
        network: config::node_namespace(number).map(|namespace| net::namespace::path_of(&namespace)),
        log: Some(dir.log(&name)),
        grace_ms: GRACE_MS,
        name,
    })
}
