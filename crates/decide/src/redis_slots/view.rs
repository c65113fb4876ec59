//! What one member knows of the cluster: the text of `CLUSTER NODES`, read; and the table that people look at.

use super::{Range, SlotSet};

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A master, with or without slots.
    Master,
    /// A replica of the master with this id.
    Replica(String),
}

/// One line: a member as another one knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Redis's identity, 40 hex digits.
    pub id: String,
    /// Its address, as far as known.
    pub ip: String,
    /// Its port for clients.
    pub port: u16,
    /// What it announces as its host name: `pod.node`.
    pub hostname: String,
    /// Master or replica.
    pub role: Role,
    /// Its configuration epoch: the higher one wins a slot.
    pub epoch: u64,
    /// The line is about the one that speaks.
    pub myself: bool,
    /// The one that speaks has a link to it.
    pub linked: bool,
    /// The majority holds it to be failed.
    pub failed: bool,
    /// The one that speaks does not reach it at the moment.
    pub suspect: bool,
    /// Not yet known by its true id.
    pub handshake: bool,
    /// Its slots.
    pub slots: SlotSet,
}

/// All lines of one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View(pub Vec<Known>);

impl View {
    /// Reads the text; lines that are none are skipped.
    ///
    /// Fields: `id ip:port@bus[,hostname] flags master ping-sent pong-received epoch link slot…`, as the command's reference says.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(line).collect())
    }

    /// The line about the one that speaks.
    #[must_use]
    pub fn myself(&self) -> Option<&Known> {
        self.0.iter().find(|known| known.myself)
    }

    /// The line about an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Known> {
        self.0.iter().find(|known| known.id == id && !known.handshake)
    }
}

impl Known {
    /// The pod and the Kubernetes node out of the announced host name; nothing for a server that does not announce so.
    #[must_use]
    pub fn pod_and_node(&self) -> Option<(&str, &str)> {
        self.hostname.split_once('.')
    }
}

fn line(text: &str) -> Option<Known> {
    let mut fields = text.split_whitespace();
    let (id, address, flags, master) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (epoch, link) = (fields.nth(2)?, fields.next()?);
    let (endpoint, hostname) = address.split_once(',').unwrap_or((address, ""));
    let (ip, port) = endpoint.split('@').next()?.rsplit_once(':')?;
    let flag = |name: &str| flags.split(',').any(|flag| flag == name);
    let role = if flag("slave") { Role::Replica(master.to_owned()) } else { Role::Master };
    Some(Known {
        id: id.to_owned(),
        ip: if flag("noaddr") { String::new() } else { ip.to_owned() },
        port: port.parse().ok()?,
        hostname: hostname.split(',').next().unwrap_or_default().to_owned(),
        role,
        epoch: epoch.parse().ok()?,
        myself: flag("myself"),
        linked: link == "connected" || flag("myself"),
        failed: flag("fail"),
        suspect: flag("fail?"),
        handshake: flag("handshake"),
        slots: SlotSet::of(fields.filter_map(Range::parse)),
    })
}

/// The placement as people read it: one line a member, by shard, master first.
#[must_use]
pub fn table(view: &View) -> String {
    let mut masters: Vec<&Known> =
        view.0.iter().filter(|known| known.role == Role::Master && !known.slots.is_empty() && !known.failed).collect();
    masters.sort_by_key(|known| known.slots.iter().next());
    let mut rows = vec![["SHARD", "ROLE", "NODE", "POD", "ADDRESS", "SLOTS", "NODE ID"].map(str::to_owned)];
    let mut listed: Vec<&str> = Vec::new();
    for (number, master) in masters.iter().enumerate() {
        let mut replicas: Vec<&Known> = view.0.iter().filter(|known| known.role == Role::Replica(master.id.clone())).collect();
        replicas.sort_by_key(|known| (&known.hostname, &known.id));
        for known in std::iter::once(*master).chain(replicas) {
            let role = if known.role == Role::Master { "master" } else { "replica" };
            rows.push(row(&(number + 1).to_string(), role, known));
            listed.push(&known.id);
        }
    }
    for known in view.0.iter().filter(|known| !listed.contains(&known.id.as_str())) {
        rows.push(row("-", if known.role == Role::Master { "master" } else { "replica" }, known));
    }
    layout(&rows)
}

fn row(shard: &str, role: &str, known: &Known) -> [String; 7] {
    let (pod, node) = known.pod_and_node().unwrap_or(("-", "-"));
    let state = if known.failed || known.suspect { " (away)" } else { "" };
    let slots = if known.slots.is_empty() { "-".to_owned() } else { known.slots.to_string() };
    let address = format!("{}:{}", known.ip, known.port);
    [shard.to_owned(), format!("{role}{state}"), node.to_owned(), pod.to_owned(), address, slots, known.id.clone()]
}

fn layout(rows: &[[String; 7]]) -> String {
    let widths: [usize; 7] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
