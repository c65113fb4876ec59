//! Which shard and node hold a key, read from the text of `CLUSTER NODES`.

/// Where a key lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The key's slot, 0 to 16,383.
    pub slot: u16,
    /// The shard, from 1, in the order of its first slot.
    pub shard: usize,
    /// The node that takes its writes.
    pub master: Member,
    /// The nodes that hold copies.
    pub replicas: Vec<Member>,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Redis's own identity of the node, 40 hex digits.
    pub id: String,
    /// `host:port` for clients.
    pub address: String,
    /// The machine that it runs on: Redis announces `pod.node`, or just a host name. Empty when there is none.
    pub node: String,
    /// The pod that it runs in; empty outside of Kubernetes.
    pub pod: String,
    /// Whether the answering node can reach it.
    pub connected: bool,
}

struct Line<'a> {
    member: Member,
    master: bool,
    master_id: &'a str,
    slots: Vec<(u16, u16)>,
}

/// Finds the shard of `slot` in the text of `CLUSTER NODES`; `None` when nobody serves it.
///
/// Fields: `id ip:port@cport[,hostname] flags master ping pong epoch link slot…`, as the command's reference documents.
pub fn of_slot(nodes: &str, slot: u16) -> Option<Placement> {
    let lines: Vec<Line<'_>> = nodes.lines().filter_map(line).collect();
    let mut masters: Vec<&Line<'_>> = lines.iter().filter(|line| line.master && !line.slots.is_empty()).collect();
    masters.sort_by_key(|line| line.slots.iter().map(|(first, _)| *first).min());
    let index = masters.iter().position(|line| line.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot)))?;
    let master = masters[index].member.clone();
    let replicas = lines.iter().filter(|line| line.master_id == master.id).map(|line| line.member.clone()).collect();
    Some(Placement { slot, shard: index + 1, master, replicas })
}

fn line(text: &str) -> Option<Line<'_>> {
    let mut fields = text.split_whitespace();
    let (id, address, flags, master_id) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let link = fields.nth(3)?;
    let (endpoint, hostname) = address.split_once(',').unwrap_or((address, ""));
    let flags: Vec<&str> = flags.split(',').collect();
    let slots = fields
        .filter(|range| !range.starts_with('['))
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    let failed = flags.contains(&"fail");
    let hostname = hostname.split(',').next().unwrap_or_default();
    let (pod, node) = hostname.split_once('.').unwrap_or(("", hostname));
    Some(Line {
        member: Member {
            id: id.to_owned(),
            address: endpoint.split('@').next().unwrap_or(endpoint).to_owned(),
            node: node.to_owned(),
            pod: pod.to_owned(),
            connected: (link == "connected" || flags.contains(&"myself")) && !failed,
        },
        master: flags.contains(&"master") && !failed,
        master_id,
        slots,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aaa 10.0.1.1:7000@17000,sessions-1-0.node-1.example myself,master - 0 0 1 connected 0-5460
bbb 10.0.2.1:7000@17000,node2 master - 0 1 2 connected 5461-10922 [5461->-ccc]
ccc 10.0.3.1:7000@17000,node3 master - 0 1 3 connected 10923-16383
ddd 10.0.2.1:7003@17003,node2 slave aaa 0 1 1 connected
eee 10.0.3.1:7003@17003,node3 slave bbb 0 1 2 disconnected
fff 10.0.9.1:7000@17000 master,fail - 0 1 1 disconnected 0-5460
";

    #[test]
    fn a_slot_names_its_shard_master_and_replicas() {
        let place = of_slot(NODES, 5461).unwrap();
        assert_eq!((place.shard, place.master.address.as_str(), place.master.node.as_str()), (2, "10.0.2.1:7000", "node2"));
        assert_eq!(place.replicas.len(), 1);
        assert!(!place.replicas[0].connected);
    }

    #[test]
    fn a_failed_master_holds_nothing_and_an_uncovered_slot_has_no_place() {
        let first = of_slot(NODES, 0).unwrap().master;
        assert_eq!((first.id.as_str(), first.pod.as_str(), first.node.as_str()), ("aaa", "sessions-1-0", "node-1.example"));
        assert_eq!(of_slot("aaa 10.0.1.1:7000@17000 master - 0 0 1 connected 0-5460\nnonsense\n", 9000), None);
    }
}
