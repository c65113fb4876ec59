//! Redis Cluster: on which node each of its members belongs, who holds which slots, and what is to be done next so that it is so.
//!
//! A *seat* is a place in the cluster's shape: shard and index. A *member* is the Redis server that sits there, on a disk of its own;
//! its identity (Redis's node id) lives and dies with that disk, never with an address. Owns choices alone: whoever observed and whoever
//! acts stand elsewhere. Never moves slots off a master that may live, never makes a second cluster beside one that may exist.

mod check;
mod facts;
mod masters;
mod place;
mod plan;
mod slots;
mod upkeep;
mod view;

pub use check::{check_placement, check_plan};
pub use facts::{Member, Seen, Snapshot};
pub use place::{Placement, Unplaced, place};
pub use plan::{Action, CATCH_UP_SLACK_BYTES, How, Plan, SETTLED_SECONDS, Step, TAKE_OVER_AFTER_SECONDS, Wait, plan};
pub use slots::{Range, SLOTS, SlotSet};
pub use upkeep::{Berth, Disk, Nodes, Pod, Upkeep, upkeep};
pub use view::{Known, Role, View, table};

use serde::{Deserialize, Serialize};

/// The port of those that were made to be masters.
pub const MASTER_PORT: u16 = 7000;
/// The port of those that were made to be replicas.
pub const REPLICA_PORT: u16 = 7003;
/// What Redis adds to a port for the bus between members.
pub const BUS_OFFSET: u16 = 10_000;

/// The shape that the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How many shards share the slots.
    pub shards: u16,
    /// How many copies each shard has beside its master.
    pub replicas: u16,
}

/// A place in the shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The shard, from 1.
    pub shard: u16,
    /// 0 is the one that shall be master, the others its replicas.
    pub index: u16,
}

impl Shape {
    /// Every seat: first all that shall be masters, then the replicas.
    pub fn seats(self) -> impl Iterator<Item = Seat> {
        (0..=self.replicas).flat_map(move |index| (1..=self.shards).map(move |shard| Seat { shard, index }))
    }

    /// The slots of a shard: equal parts, the larger ones spread evenly, exactly as `redis-cli --cluster create` cuts them.
    #[must_use]
    pub fn slots(self, shard: u16) -> Range {
        let cut = |shard: u16| {
            let exact = f64::from(SLOTS) / f64::from(self.shards.max(1)) * f64::from(shard);
            // Between 0 and 16,384 by construction.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 16,384")]
            let slot = exact.round() as u16;
            slot
        };
        Range { first: cut(shard - 1), last: cut(shard) - 1 }
    }
}

impl Seat {
    /// Whether the one that sits here shall be master.
    #[must_use]
    pub fn is_masters(self) -> bool {
        self.index == 0
    }

    /// The port, given for good by the role at creation.
    #[must_use]
    pub fn port(self) -> u16 {
        if self.is_masters() { MASTER_PORT } else { REPLICA_PORT }
    }

    /// The name of the member, and of its pod, in a cluster of this name.
    #[must_use]
    pub fn name(self, cluster: &str) -> String {
        format!("{cluster}-{}-{}", self.shard, self.index)
    }
}

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.shard, self.index)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
