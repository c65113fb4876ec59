//! A Redis Cluster of plain data, for tests: what the servers do by themselves between two plans, and what may befall them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Action, How, Known, Member, Plan, Role, Seat, Seen, Shape, SlotSet, Snapshot, View, check_plan, plan};

/// One server and its disk.
#[derive(Debug, Clone)]
pub struct Server {
    id: String,
    ip: String,
    up: bool,
    down_ticks: i64,
    /// What it knows, itself included, by id.
    known: BTreeMap<String, Known>,
    /// The newest write that it holds.
    pub data: u64,
    synced: bool,
    /// The tick at which it last had a link to its master.
    linked_at: Option<i64>,
    blocked: BTreeMap<String, u8>,
}

/// All servers, and who was last seen where.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub shape: Shape,
    pub servers: BTreeMap<Seat, Server>,
    last_ids: BTreeMap<Seat, String>,
    made: u64,
    ticks: i64,
    /// The newest acknowledged write of each shard: held by its master and a replica.
    pub acknowledged: BTreeMap<u16, u64>,
}

impl Simulation {
    pub fn new(shape: Shape) -> Self {
        let mut simulation =
            Self { shape, servers: BTreeMap::new(), last_ids: BTreeMap::new(), made: 0, ticks: 0, acknowledged: BTreeMap::new() };
        shape.seats().for_each(|seat| simulation.empty(seat));
        simulation
    }

    /// The server at `seat` starts on an empty disk.
    pub fn empty(&mut self, seat: Seat) {
        self.made += 1;
        // Scattered, so that no rule may lean on the order of ids.
        let id = format!("{:08x}", (self.made.wrapping_mul(2_654_435_761)) & 0xffff_ffff);
        let ip = format!("10.0.0.{}", self.made);
        let myself = Known {
            id: id.clone(),
            ip: ip.clone(),
            port: seat.port(),
            hostname: String::new(),
            role: Role::Master,
            epoch: 0,
            myself: true,
            linked: true,
            failed: false,
            suspect: false,
            handshake: false,
            slots: SlotSet::default(),
        };
        let known = [(id.clone(), myself)].into();
        let server =
            Server { id, ip, up: true, down_ticks: 0, known, data: 0, synced: false, linked_at: None, blocked: BTreeMap::new() };
        self.servers.insert(seat, server);
    }

    pub fn stop(&mut self, seat: Seat) {
        let server = self.servers.get_mut(&seat).unwrap();
        server.up = false;
    }

    /// Starts it again, at another address.
    pub fn start(&mut self, seat: Seat) {
        self.made += 1;
        let ip = format!("10.0.0.{}", self.made);
        let server = self.servers.get_mut(&seat).unwrap();
        let id = server.id.clone();
        server.known.get_mut(&id).unwrap().ip.clone_from(&ip);
        (server.up, server.down_ticks, server.synced, server.linked_at, server.ip) = (true, 0, false, None, ip);
    }

    pub fn is_up(&self, seat: Seat) -> bool {
        self.servers[&seat].up
    }

    pub fn master(&self, shard: u16) -> Option<Seat> {
        let owns = |server: &&Server| !server.known[&server.id].slots.is_empty();
        let seats = self.servers.iter().filter(|(seat, _)| seat.shard == shard);
        seats
            .filter(|(_, server)| server.up && owns(server))
            .max_by_key(|(_, server)| server.known[&server.id].epoch)
            .map(|(s, _)| *s)
    }

    pub fn snapshot(&mut self) -> Snapshot {
        let mut members = Vec::new();
        for (seat, server) in &self.servers {
            let seen = server.up.then(|| self.seen(*seat, server));
            if server.up {
                self.last_ids.insert(*seat, server.id.clone());
            }
            members.push(Member {
                seat: *seat,
                node: format!("node-{}", seat.shard),
                last_id: self.last_ids.get(seat).cloned(),
                away_since: seen.is_none().then(|| Timestamp::from_second(self.ticks - server.down_ticks).unwrap()),
                seen,
            });
        }
        Snapshot { shape: self.shape, members, now: Timestamp::from_second(self.ticks).unwrap(), told: None }
    }

    fn seen(&self, seat: Seat, server: &Server) -> Seen {
        let mut view = View(server.known.values().cloned().collect());
        for known in &mut view.0 {
            known.linked = known.myself || self.at(&known.ip).is_some_and(|other| other.id == known.id);
            known.failed = !known.linked;
        }
        let (id, ip) = (server.id.clone(), server.ip.clone());
        let cut_off_seconds = server.linked_at.map(|tick| self.ticks - tick);
        let (offset, keys) = (server.data, server.data);
        Seen { id, ip, port: seat.port(), view, offset, synced: server.synced, cut_off_seconds, keys }
    }

    fn at(&self, ip: &str) -> Option<&Server> {
        self.servers.values().find(|server| server.up && server.ip == ip)
    }

    /// Plans, checks the plan, and carries out as many of its steps as `crash_after` allows.
    pub fn plan(&mut self, crash_after: usize) -> Plan {
        let snapshot = self.snapshot();
        let plan = plan(&snapshot);
        assert_eq!(check_plan(&snapshot, &plan), Vec::<String>::new(), "{plan:#?}");
        for step in plan.steps.iter().take(crash_after) {
            self.act(step.at, &step.action);
        }
        plan
    }

    fn act(&mut self, at: Seat, action: &Action) {
        let highest = self.servers.values().flat_map(|server| server.known.values()).map(|known| known.epoch).max().unwrap_or(0);
        let target = match action {
            Action::Meet(ip, _) => self.servers.iter().find(|(_, s)| s.up && s.ip == *ip).map(|(seat, _)| *seat),
            _ => None,
        };
        if let Some(target) = target {
            let (a, b) = (self.introduction(at), self.introduction(target));
            self.servers.get_mut(&at).unwrap().learn(b, true);
            self.servers.get_mut(&target).unwrap().learn(a, true);
        }
        let server = self.servers.get_mut(&at).unwrap();
        let myself = server.known.get_mut(&server.id).unwrap();
        match action {
            Action::SetEpoch(epoch) => myself.epoch = *epoch,
            Action::AddSlots(ranges) => myself.slots.extend(&SlotSet::of(ranges.iter().copied())),
            Action::Replicate(master) => {
                assert!(myself.slots.is_empty() && (server.data == 0 || myself.role != Role::Master), "Redis would refuse");
                myself.role = Role::Replica(master.clone());
                server.synced = false;
            }
            Action::Empty => server.data = 0,
            Action::Failover(_) => server.promote(highest + 1),
            Action::Forget(id) => {
                server.known.remove(id);
                server.blocked.insert(id.clone(), 20);
            }
            Action::Meet(..) => {}
        }
        if matches!(action, Action::Failover(How::HandOver)) {
            let newest = self.servers.iter().filter(|(s, server)| s.shard == at.shard && server.up).map(|(_, s)| s.data).max();
            self.servers.get_mut(&at).unwrap().data = newest.unwrap_or(0);
        }
    }

    fn introduction(&self, seat: Seat) -> Known {
        let server = &self.servers[&seat];
        let mut known = server.known[&server.id].clone();
        known.myself = false;
        known
    }

    /// What happens in a second without the operator.
    pub fn tick(&mut self) {
        self.ticks += 1;
        self.servers.values_mut().filter(|server| !server.up).for_each(|server| server.down_ticks += 1);
        let seats: Vec<Seat> = self.servers.keys().copied().filter(|seat| self.is_up(*seat)).collect();
        for a in &seats {
            for b in &seats {
                if a != b && self.servers[a].known.get(&self.servers[b].id).is_some_and(|known| known.ip == self.servers[b].ip) {
                    self.gossip(*a, *b);
                }
            }
        }
        seats.iter().for_each(|seat| self.elect(*seat));
        seats.iter().for_each(|seat| self.copy(*seat));
        for shard in 1..=self.shape.shards {
            self.write(shard);
        }
    }

    /// `a` pings `b`: each hears about the other, and `b` about whom `a` knows.
    fn gossip(&mut self, a: Seat, b: Seat) {
        let (from, back) = (self.introduction(a), self.introduction(b));
        let told: Vec<Known> = self.servers[&a].known.values().filter(|known| !known.myself).cloned().collect();
        let knows_sender = self.servers[&b].known.contains_key(&from.id);
        self.servers.get_mut(&a).unwrap().learn(back, false);
        if !knows_sender {
            return;
        }
        let reached: Vec<Known> = told
            .into_iter()
            .filter(|known| self.at(&known.ip).is_some_and(|other| other.id == known.id))
            .map(|mut known| {
                (known.slots, known.epoch) = (SlotSet::default(), 0);
                known
            })
            .collect();
        let server = self.servers.get_mut(&b).unwrap();
        server.learn(from, false);
        for known in reached {
            if !server.known.contains_key(&known.id) && !server.blocked.contains_key(&known.id) {
                server.learn(known, false);
            }
        }
        server.blocked.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }

    /// A replica whose master is dead becomes master, if most masters with slots are there to agree.
    fn elect(&mut self, seat: Seat) {
        let server = &self.servers[&seat];
        let Role::Replica(master) = server.known[&server.id].role.clone() else { return };
        let down = self.servers.values().all(|other| other.id != master || !other.up && other.down_ticks > 2);
        let owners: Vec<&Known> = server.known.values().filter(|known| !known.slots.is_empty()).collect();
        let voters = owners.iter().filter(|known| self.at(&known.ip).is_some_and(|other| other.id == known.id)).count();
        let rivals =
            self.servers.values().filter(|other| other.up && other.known[&other.id].role == Role::Replica(master.clone()));
        let best = rivals.map(|other| other.data).max().unwrap_or(0) <= server.data;
        if !down || voters * 2 <= owners.len() || !best || !server.known.contains_key(&master) {
            return;
        }
        let highest = server.known.values().map(|known| known.epoch).max().unwrap_or(0);
        self.servers.get_mut(&seat).unwrap().promote(highest + 1);
    }

    fn copy(&mut self, seat: Seat) {
        let server = &self.servers[&seat];
        let Role::Replica(master) = server.known[&server.id].role.clone() else { return };
        let from =
            self.servers.values().find(|other| other.up && other.id == master && other.known[&other.id].role == Role::Master);
        let (copied, ticks) = (from.map(|other| other.data), self.ticks);
        let server = self.servers.get_mut(&seat).unwrap();
        server.synced = copied.is_some();
        server.linked_at = copied.map(|_| ticks).or(server.linked_at);
        server.data = copied.unwrap_or(server.data);
    }

    fn write(&mut self, shard: u16) {
        let Some(seat) = self.master(shard) else { return };
        let id = self.servers[&seat].id.clone();
        let data = self.servers[&seat].data + 1_000;
        self.servers.get_mut(&seat).unwrap().data = data;
        for server in self.servers.values_mut().filter(|server| server.up && server.synced) {
            if server.known[&server.id].role == Role::Replica(id.clone()) {
                server.data = data;
                self.acknowledged.insert(shard, data);
            }
        }
    }
}

impl Server {
    /// What another one says of itself, or is said of it: the higher epoch wins a slot.
    fn learn(&mut self, told: Known, met: bool) {
        if met {
            self.blocked.remove(&told.id);
        }
        let me = self.id.clone();
        let clash = self.known[&me].epoch == told.epoch && self.known[&me].role == Role::Master && told.role == Role::Master;
        if clash && me < told.id {
            let highest = self.known.values().map(|known| known.epoch).max().unwrap_or(0);
            self.known.get_mut(&me).unwrap().epoch = highest + 1;
        }
        let mut won = told.slots.clone();
        for known in self.known.values_mut().filter(|known| known.id != told.id) {
            if known.epoch < told.epoch {
                let had = !known.slots.is_empty();
                known.slots = known.slots.without(&told.slots);
                if known.myself && had && known.slots.is_empty() {
                    known.role = Role::Replica(told.id.clone());
                    self.synced = false;
                }
            } else {
                won = won.without(&known.slots);
            }
        }
        if let Some(old) = self.known.get(&told.id)
            && told.epoch == 0
            && told.slots.is_empty()
        {
            won = old.slots.clone();
        }
        self.known.insert(told.id.clone(), Known { slots: won, ..told });
    }

    fn promote(&mut self, epoch: u64) {
        let Role::Replica(master) = self.known[&self.id].role.clone() else { return };
        let slots = self.known.get_mut(&master).map(|known| std::mem::take(&mut known.slots)).unwrap_or_default();
        let myself = self.known.get_mut(&self.id).unwrap();
        (myself.role, myself.epoch) = (Role::Master, epoch);
        myself.slots.extend(&slots);
    }
}
