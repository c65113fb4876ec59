//! What `CLUSTER NODES` says of where members are: parsed, judged, shown. The format is documented with the command: id, address with the
//! bus port and a hostname, flags, the master's id, times, link, slots. Members announce the hostname `POD.NODE`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::output::table;

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// Where the members of a cluster are.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The members, by shard, masters first.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The shard, from 1, in the order of slots; 0 for one that belongs to none.
    pub shard: usize,
    /// `master` or `replica`.
    pub role: &'static str,
    /// The node of the cluster on which it runs.
    pub node: String,
    /// Its pod.
    pub pod: String,
    /// Where it is reached.
    pub address: String,
    /// The slots that it serves, as ranges.
    pub slots: String,
    /// Whether the member that was asked reaches it.
    pub reached: bool,
    /// Its id for good.
    pub id: String,
}

struct Line<'t> {
    id: &'t str,
    address: &'t str,
    pod: &'t str,
    node: &'t str,
    flags: BTreeSet<&'t str>,
    master: &'t str,
    linked: bool,
    slots: Vec<(usize, usize)>,
}

impl Placement {
    /// Reads the answer.
    ///
    /// # Errors
    /// When a line is not as documented.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let lines: Vec<Line<'_>> =
            text.lines().filter(|line| !line.trim().is_empty()).map(parse_line).collect::<anyhow::Result<_>>()?;
        let mut masters: Vec<(usize, &str)> =
            lines.iter().filter_map(|line| line.slots.first().map(|(first, _)| (*first, line.id))).collect();
        masters.sort_unstable();
        let shards: BTreeMap<&str, usize> = masters.iter().enumerate().map(|(index, (_, id))| (*id, index + 1)).collect();
        let member = |line: &Line<'_>| {
            let master = line.flags.contains("master");
            Member {
                shard: shards.get(if master { line.id } else { line.master }).copied().unwrap_or(0),
                role: if master { "master" } else { "replica" },
                node: line.node.to_owned(),
                pod: line.pod.to_owned(),
                address: line.address.to_owned(),
                slots: line.slots.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(" "),
                reached: line.linked
                    && !line.flags.iter().any(|flag| flag.starts_with("fail") || *flag == "handshake" || *flag == "noaddr"),
                id: line.id.to_owned(),
            }
        };
        let mut members: Vec<Member> = lines.iter().map(member).collect();
        members.sort_by(|a, b| (a.shard, a.role, &a.pod).cmp(&(b.shard, b.role, &b.pod)));
        Ok(Self { members })
    }

    /// What is not as it should be; empty when all is right.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let served: usize =
            self.members.iter().filter(|member| member.role == "master" && member.reached).map(Member::slots_served).sum();
        if served != SLOTS {
            wrong.push(format!("{served} of {SLOTS} slots are served"));
        }
        for member in self.members.iter().filter(|member| !member.reached) {
            wrong.push(format!("{} is not reached", member.pod));
        }
        for master in self.members.iter().filter(|member| member.role == "master") {
            let beside = |other: &&Member| other.role == "replica" && other.shard == master.shard && other.node == master.node;
            if let Some(replica) = self.members.iter().find(beside) {
                wrong.push(format!("{} is on the node of its master {}", replica.pod, master.pod));
            }
        }
        let mut masters: BTreeMap<&str, usize> = self.members.iter().map(|member| (member.node.as_str(), 0)).collect();
        for member in self.members.iter().filter(|member| member.role == "master") {
            *masters.entry(&member.node).or_default() += 1;
        }
        let (fewest, most) = (masters.values().min().copied().unwrap_or(0), masters.values().max().copied().unwrap_or(0));
        if most > fewest + 1 {
            wrong.push(format!("one node has {most} masters, another {fewest}"));
        }
        wrong
    }

    /// The table by node, then the one by member.
    pub fn tables(&self) -> String {
        let nodes: BTreeSet<&str> = self.members.iter().map(|member| member.node.as_str()).collect();
        let held = |node: &str, role: &str| {
            let held = self.members.iter().filter(|member| member.node == node && member.role == role);
            let port = |member: &Member| member.address.parse::<SocketAddr>().map_or(0, |address| address.port());
            held.map(|member| format!("shard {} (port {})", member.shard, port(member))).collect::<Vec<_>>().join(", ")
        };
        let by_node: Vec<Vec<String>> =
            nodes.iter().map(|node| vec![(*node).to_owned(), held(node, "master"), held(node, "replica")]).collect();
        let row = |member: &Member| {
            let reached = if member.reached { "yes" } else { "no" };
            vec![
                member.shard.to_string(),
                member.role.to_owned(),
                member.node.clone(),
                member.pod.clone(),
                member.address.clone(),
                member.slots.clone(),
                reached.to_owned(),
                member.id.clone(),
            ]
        };
        let by_member: Vec<Vec<String>> = self.members.iter().map(row).collect();
        format!(
            "{}\n{}",
            table(&["NODE", "MASTER OF", "REPLICA OF"], &by_node),
            table(&["SHARD", "ROLE", "NODE", "POD", "ADDRESS", "SLOTS", "REACHED", "ID"], &by_member)
        )
    }
}

impl Member {
    fn slots_served(&self) -> usize {
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
        };
        self.slots.split(' ').filter_map(range).sum()
    }
}

fn parse_line(line: &str) -> anyhow::Result<Line<'_>> {
    let mut words = line.split(' ');
    let mut next = || words.next().with_context(|| format!("the line {line:?} is too short"));
    let (id, place, flags, master) = (next()?, next()?, next()?, next()?);
    let (_, _, _, link) = (next()?, next()?, next()?, next()?);
    let (address, hostname) = place.split_once(',').unwrap_or((place, ""));
    let hostname = hostname.split(',').next().unwrap_or_default();
    let (pod, node) = hostname.split_once('.').unwrap_or((hostname, ""));
    // A slot that moves stands in brackets and is counted where it is.
    let slots = words.filter(|word| !word.starts_with('[')).filter_map(|word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    Ok(Line {
        id,
        address: address.split('@').next().unwrap_or_default(),
        pod,
        node,
        flags: flags.split(',').collect(),
        master,
        linked: link == "connected",
        slots: slots.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "\
aa 10.42.0.5:7000@17000,s-1-0.node-1 myself,master - 0 0 1 connected 0-5460
bb 10.42.1.5:7000@17000,s-2-0.node-2 master - 0 0 2 connected 5461-10922
cc 10.42.2.5:7000@17000,s-3-0.node-3 master - 0 0 3 connected 10923-16383
dd 10.42.1.6:7003@17003,s-1-1.node-2 slave aa 0 0 1 connected
ee 10.42.2.6:7003@17003,s-2-1.node-3 slave bb 0 0 2 connected
ff 10.42.0.6:7003@17003,s-3-1.node-1 slave cc 0 0 3 connected
";

    #[test]
    fn the_arrangement_of_three_nodes_is_right_and_shown_by_node() {
        let placement = Placement::parse(LIVE).expect("it is as documented");
        assert_eq!(placement.wrong(), [] as [String; 0]);
        let text = placement.tables();
        assert!(text.contains("node-1   shard 1 (port 7000)   shard 3 (port 7003)"), "{text}");
        assert!(text.contains("node-2   shard 2 (port 7000)   shard 1 (port 7003)"), "{text}");
        assert!(text.contains("node-3   shard 3 (port 7000)   shard 2 (port 7003)"), "{text}");
    }

    #[test]
    fn a_lost_master_and_a_replica_beside_its_master_are_wrong() {
        let lost = LIVE.replace(
            "bb 10.42.1.5:7000@17000,s-2-0.node-2 master - 0 0 2 connected 5461-10922",
            "bb 10.42.1.5:7000@17000,s-2-0.node-2 master,fail - 0 0 2 disconnected 5461-10922",
        );
        assert_eq!(Placement::parse(&lost).expect("parses").wrong(), ["10922 of 16384 slots are served", "s-2-0 is not reached"]);
        let beside = LIVE.replace("s-1-1.node-2", "s-1-1.node-1");
        assert_eq!(Placement::parse(&beside).expect("parses").wrong(), ["s-1-1 is on the node of its master s-1-0"]);
        assert!(Placement::parse("too short").is_err());
    }
}
