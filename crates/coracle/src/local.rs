//! The cluster of this machine: which processes it consists of, starting and resuming them, and taking everything away. The keeper owns
//! the processes; this module tells it what to keep.

mod names;
mod processes;
mod take_down;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use net::machine::Machine as Network;
use runtime::keeper;

use crate::{cluster, config, data_dir::DataDir, machine::Machine, notify, output::Progress, preflight};

pub use take_down::{remove_node, take_down};

/// How long `up` waits for a process to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the machine says which data directory runs on it: one cluster a network namespace, since ports and addresses are one.
const OWNER: &str = "/run/coracle/owner";

/// The local cluster of a data directory.
pub struct Local {
    /// The data directory.
    pub dir: DataDir,
    /// What the machine was made into.
    pub machine: Machine,
    /// The network of its nodes.
    pub network: Network,
}

impl Local {
    /// The cluster of a data directory, which is made when it is not there.
    ///
    /// # Errors
    /// When the directory is not one of ours.
    pub fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        let dir = DataDir::open(path)?;
        let machine = Machine::load(&dir)?;
        Ok(Self { dir, machine, network: Network::default() })
    }

    /// The cluster of a data directory that was started before.
    ///
    /// # Errors
    /// When none was.
    pub fn existing(path: &std::path::Path) -> anyhow::Result<Self> {
        let dir = DataDir::at(path);
        if !dir.exists() {
            bail!("no cluster was started in {}: run `coracle up`, or name its --data-dir", dir.path().display());
        }
        Self::open(path)
    }

    /// The keeper, if it runs.
    pub async fn keeper(&self) -> Option<keeper::Client> {
        keeper::Client::connect(&self.dir.keeper_socket()).await.ok()
    }

    /// The keeper, which must run.
    ///
    /// # Errors
    /// When it does not.
    pub async fn running_keeper(&self) -> anyhow::Result<keeper::Client> {
        match self.keeper().await {
            Some(keeper) => Ok(keeper),
            None => bail!("no cluster runs from {}: run `coracle up`", self.dir.path().display()),
        }
    }

    /// Starts what is missing, and returns when every node is ready. Whether anything had to be started.
    ///
    /// # Errors
    /// When the machine lacks something, or a process does not become ready.
    pub async fn up(&mut self, progress: &Progress) -> anyhow::Result<bool> {
        let kept = match self.keeper().await {
            Some(keeper) => Some((keeper.list().await.context("the keeper does not answer")?, keeper)),
            None => None,
        };
        let keeper = match &kept {
            Some((_, keeper)) => keeper.clone(),
            None => {
                // First of all, since strays go by the same names as what another cluster runs.
                self.claim_machine().await?;
                take_down::end_strays(&self.machine);
                if self.machine.joined.is_none() { preflight::check() } else { preflight::check_node() }?;
                self.arrange_network()?;
                keeper::Client::spawn(&self.dir.keeper_socket(), &self.dir.log("keeper")).await?
            }
        };
        let running: BTreeSet<String> =
            kept.iter().flat_map(|(list, _)| list).filter(|kept| kept.pid.is_some()).map(|kept| kept.name.clone()).collect();
        let ready = notify::Listener::bind(&self.dir.run().join("notify.sock"))?;
        let mut started = false;
        if self.machine.joined.is_none() && !running.contains(processes::SERVER) {
            progress.step("starting the server");
            keeper.start(&processes::server(&self.dir, &self.machine)?).await?;
            self.hear(&ready, &keeper, BTreeSet::from([processes::SERVER.to_owned()])).await?;
            progress.done("the API answers");
            started = true;
        }
        let missing: Vec<u16> =
            self.machine.nodes.iter().copied().filter(|number| !self.machine.stopped.contains(number)).collect();
        let missing: Vec<u16> = missing.into_iter().filter(|number| !running.contains(&self.machine.name(*number))).collect();
        if !missing.is_empty() {
            progress.step("starting the nodes");
            self.start_nodes(&keeper, &missing).await?;
            self.hear(&ready, &keeper, missing.iter().map(|number| self.machine.name(*number)).collect()).await?;
            let plural = if missing.len() == 1 { "node is" } else { "nodes are" };
            if self.machine.joined.is_none() && missing.contains(&1) {
                names::answered().await?;
            }
            progress.done(&format!("{} {plural} ready, and names are answered", missing.len()));
            started = true;
        }
        Ok(started)
    }

    /// Starts nodes, with a token for those that have no identity yet.
    async fn start_nodes(&self, keeper: &keeper::Client, numbers: &[u16]) -> anyhow::Result<()> {
        let token = if self.machine.joined.is_none() && numbers.iter().any(|number| !self.is_registered(*number)) {
            let client = cluster::client(&self.dir.admin_kubeconfig()).await?;
            let expires =
                jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_mins(10)).context("the clock stands at its end")?;
            Some(crate::cli::token::create(&client, expires).await?)
        } else {
            None
        };
        for number in numbers {
            if *number > 1 {
                self.network.add_node(&config::node_name(*number), config::node_address(*number))?;
            }
            let program = processes::node(&self.dir, &self.machine, *number, token.as_ref())?;
            keeper.start(&program).await?;
        }
        Ok(())
    }

    /// Whether a node has its own certificate.
    fn is_registered(&self, number: u16) -> bool {
        self.dir.node(&self.machine.name(number)).join("pki/kubelet-client.pem").exists()
    }

    /// Waits until these processes said that they are ready; tells what a process logged when it does not become so.
    async fn hear(&self, ready: &notify::Listener, keeper: &keeper::Client, mut awaited: BTreeSet<String>) -> anyhow::Result<()> {
        while !awaited.is_empty() {
            match ready.next(PATIENCE).await? {
                Some(name) => {
                    awaited.remove(&name);
                }
                None => {
                    let names: Vec<String> = awaited.into_iter().collect();
                    let kept = keeper.list().await.unwrap_or_default();
                    let restarts: u32 = kept.iter().filter(|kept| names.contains(&kept.name)).map(|kept| kept.restarts).sum();
                    let logs: String = names.iter().map(|name| self.tail(name)).collect();
                    bail!("not ready within {PATIENCE:?} (started again {restarts} times): {}\n{logs}", names.join(", "));
                }
            }
        }
        Ok(())
    }

    /// The end of a process's log.
    fn tail(&self, process: &str) -> String {
        let path = self.dir.log(process);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        format!("{}:\n  {last}\n", path.display())
    }

    /// One cluster at a time, since its ports and addresses are the machine's.
    async fn claim_machine(&self) -> anyhow::Result<()> {
        if let Some(other) = self.other_cluster().await {
            bail!("another cluster runs on this machine, from {other}: end it by `coracle down --data-dir {other}`");
        }
        std::fs::create_dir_all("/run/coracle")
            .and_then(|()| std::fs::write(OWNER, self.dir.path().display().to_string()))
            .with_context(|| format!("cannot write {OWNER}"))
    }

    /// The data dir of another cluster that runs on this machine.
    async fn other_cluster(&self) -> Option<String> {
        let owner = std::fs::read_to_string(OWNER).ok()?;
        let other = DataDir::at(owner.trim().as_ref());
        let is_other = other.path() != self.dir.path() && keeper::Client::connect(&other.keeper_socket()).await.is_ok();
        is_other.then(|| owner.trim().to_owned())
    }

    /// The machine's part of the network; how the machine was before is kept first.
    fn arrange_network(&mut self) -> anyhow::Result<()> {
        if self.machine.sysctls.is_empty() {
            for name in net::machine::settings_changed() {
                if let Ok(value) = std::fs::read_to_string(format!("/proc/sys/{name}")) {
                    self.machine.sysctls.insert(name.to_owned(), value.trim().to_owned());
                }
            }
            self.machine.save(&self.dir)?;
        }
        if self.machine.joined.is_none() {
            self.network.set_up()?;
        }
        Ok(())
    }
}

/// Where the programs of this process tree come from: this very file.
fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}
