use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::simulation::Simulation;
use super::*;

const THREE: Shape = Shape { shards: 3, replicas: 1 };

fn nodes(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("node-{number}")).collect()
}

fn seat(shard: u16, index: u16) -> Seat {
    Seat { shard, index }
}

#[test]
fn three_nodes_get_exactly_the_table_of_the_brief() {
    let placement = place(THREE, &nodes(3), &BTreeMap::new());
    let placed: Vec<(String, u16, &str)> =
        placement.seats.iter().map(|(seat, node)| (seat.name("sessions"), seat.port(), node.as_str())).collect();
    assert_eq!(
        placed,
        [
            ("sessions-1-0".to_owned(), 7000, "node-1"),
            ("sessions-1-1".to_owned(), 7003, "node-2"),
            ("sessions-2-0".to_owned(), 7000, "node-2"),
            ("sessions-2-1".to_owned(), 7003, "node-3"),
            ("sessions-3-0".to_owned(), 7000, "node-3"),
            ("sessions-3-1".to_owned(), 7003, "node-1"),
        ]
    );
    assert!(placement.unplaced.is_empty());
}

#[test]
fn slots_are_cut_as_redis_cli_cuts_them() {
    let cut: Vec<String> = (1..=3).map(|shard| THREE.slots(shard).to_string()).collect();
    assert_eq!(cut, ["0-5460", "5461-10922", "10923-16383"]);
}

#[test]
fn a_replica_is_refused_rather_than_put_beside_its_master() {
    let placement = place(THREE, &nodes(1), &BTreeMap::new());
    assert_eq!(placement.seats.len(), 3);
    assert_eq!(placement.unplaced[0].why, "every one of the 1 nodes that take members holds a member of shard 1 already");
}

#[test]
fn a_node_that_is_gone_for_good_is_replaced_and_nobody_else_moves() {
    let mut bound = place(THREE, &nodes(3), &BTreeMap::new()).seats;
    bound.retain(|_, node| node != "node-2");
    let left = ["node-1", "node-3", "node-10"].map(str::to_owned);
    let placement = place(THREE, &left, &bound);
    assert_eq!(check_placement(THREE, &left, &bound, &placement), Vec::<String>::new());
    assert_eq!((placement.seats[&seat(2, 0)].as_str(), placement.seats[&seat(1, 1)].as_str()), ("node-10", "node-10"));
}

#[test]
fn masters_that_were_made_on_one_node_are_spread_once_their_replicas_lie_on_others() {
    let mut simulation = Simulation::new(THREE);
    settles(&mut simulation).unwrap();
    let mut snapshot = simulation.snapshot();
    for member in &mut snapshot.members {
        member.node = if member.seat.is_masters() { "node-1".to_owned() } else { format!("node-{}", member.seat.shard) };
    }
    let plan = plan(&snapshot);
    assert_eq!(check_plan(&snapshot, &plan), Vec::<String>::new());
    let steps: Vec<_> = plan.steps.iter().map(|step| (step.at, step.action.clone())).collect();
    assert_eq!(steps, [(seat(2, 1), Action::Failover(How::HandOver))]);
}

#[test]
fn nobody_moves_for_a_member_that_is_away_for_a_moment_but_masters_are_evened_without_one_that_stays_away() {
    let mut simulation = Simulation::new(THREE);
    settles(&mut simulation).unwrap();
    simulation.stop(seat(1, 0));
    (0..10).for_each(|_| drop((simulation.plan(usize::MAX), simulation.tick())));
    let mut snapshot = simulation.snapshot();
    for member in &mut snapshot.members {
        let number = if member.seat.is_masters() { member.seat.shard } else { member.seat.shard % 3 + 1 };
        member.node = format!("node-{number}");
    }
    assert_eq!(plan(&snapshot).steps, []);
    snapshot.now = snapshot.now.checked_add(jiff::SignedDuration::from_secs(SETTLED_SECONDS)).unwrap();
    let plan = plan(&snapshot);
    assert_eq!(check_plan(&snapshot, &plan), Vec::<String>::new());
    assert_eq!(plan.steps.len(), 1, "node-2 has two masters, node-1 none and a replica: {plan:#?}");
}

#[test]
fn a_master_that_most_masters_miss_is_replaced_at_once_unless_its_replica_may_lack_writes() {
    let mut simulation = Simulation::new(THREE);
    settles(&mut simulation).unwrap();
    simulation.stop(seat(1, 0));
    let snapshot = simulation.snapshot();
    let forced = |snapshot: &Snapshot| {
        let plan = plan(snapshot);
        assert_eq!(check_plan(snapshot, &plan), Vec::<String>::new());
        assert!(plan.is_failing_over() || !plan.steps.is_empty());
        plan.steps.iter().map(|step| (step.at, step.action.clone())).collect::<Vec<_>>()
    };
    assert_eq!(forced(&snapshot), [(seat(1, 1), Action::Failover(How::Force))]);
    let with = |change: fn(Seat, &mut Seen)| {
        let mut snapshot = snapshot.clone();
        for member in &mut snapshot.members {
            member.seen.iter_mut().for_each(|seen| change(member.seat, seen));
        }
        forced(&snapshot)
    };
    let one_hears_it = |at: Seat, seen: &mut Seen| {
        if at == seat(2, 0) {
            seen.view.0.iter_mut().for_each(|known| known.failed = false);
        }
    };
    assert_eq!(with(one_hears_it), []);
    let was_cut_off = |at: Seat, seen: &mut Seen| {
        if at == seat(1, 1) {
            seen.cut_off_seconds = Some(30);
        }
    };
    assert_eq!(with(was_cut_off), []);
}

#[test]
fn an_online_replica_that_is_behind_is_not_handed_the_shard() {
    let mut simulation = Simulation::new(THREE);
    settles(&mut simulation).unwrap();
    simulation.stop(seat(1, 0));
    (0..10).for_each(|_| simulation.tick());
    simulation.start(seat(1, 0));
    (0..4).for_each(|_| simulation.tick());
    let mut snapshot = simulation.snapshot();
    let steps = |snapshot: &Snapshot| plan(snapshot).steps.into_iter().map(|step| (step.at, step.action)).collect::<Vec<_>>();
    assert_eq!(steps(&snapshot), [(seat(1, 0), Action::Failover(How::HandOver))]);
    let returned = snapshot.members.iter_mut().find(|member| member.seat == seat(1, 1)).unwrap();
    returned.seen.as_mut().unwrap().offset += CATCH_UP_SLACK_BYTES + 1;
    assert_eq!(steps(&snapshot), []);
    assert_eq!(plan(&snapshot).waits[0].reason, "CatchingUp");
}

#[test]
fn an_emptied_disk_beside_members_that_are_away_never_starts_a_second_cluster() {
    let mut simulation = Simulation::new(THREE);
    settles(&mut simulation).unwrap();
    for shard in 1..=3 {
        simulation.empty(seat(shard, 0));
        simulation.stop(seat(shard, 1));
    }
    for _ in 0..50 {
        assert!(simulation.plan(usize::MAX).steps.iter().all(|step| matches!(step.action, Action::Meet(..))));
        simulation.tick();
    }
    (1..=3).for_each(|shard| simulation.start(seat(shard, 1)));
    settles(&mut simulation).unwrap();
    for (shard, newest) in &simulation.acknowledged {
        assert!(simulation.servers[&simulation.master(*shard).unwrap()].data >= *newest);
    }
}

fn berths(lost: &str) -> BTreeMap<Seat, Berth> {
    let placed = place(THREE, &nodes(3), &BTreeMap::new()).seats;
    let berth =
        |node: String| Berth { answers: node != lost, disk: Some(Disk { node, ending: false }), pod: Some(Pod::default()) };
    placed.into_iter().map(|(seat, node)| (seat, berth(node))).collect()
}

#[test]
fn a_disk_moves_only_when_its_node_is_gone_for_good_and_its_data_lives_elsewhere() {
    let mut nodes = Nodes { all: nodes(4).into_iter().collect(), open: nodes(4) };
    let mut berths = berths("node-2");
    assert_eq!(upkeep(THREE, &nodes, &berths, false), (vec![], vec![]), "a node that is down comes back");
    nodes.all.remove("node-2");
    nodes.open.retain(|node| node != "node-2");
    let (work, _) = upkeep(THREE, &nodes, &berths, false);
    let (lost_master, lost_replica) = (seat(2, 0), seat(1, 1));
    let drop = |seat| [Upkeep::DeletePod(seat, true), Upkeep::DropDisk(seat)];
    assert_eq!(work, [drop(lost_master), drop(lost_replica)].concat());
    berths.get_mut(&seat(2, 1)).unwrap().answers = false;
    let (work, waits) = upkeep(THREE, &nodes, &berths, false);
    assert!(!work.contains(&Upkeep::DropDisk(lost_master)));
    assert_eq!(waits[0].reason, "OnlyCopy");
    for seat in [lost_master, lost_replica] {
        berths.remove(&seat);
    }
    let (work, _) = upkeep(THREE, &nodes, &berths, false);
    let make = |seat| [Upkeep::MakeDisk(seat, "node-4".to_owned()), Upkeep::MakePod(seat, "node-4".to_owned())];
    assert_eq!(work, [make(lost_master), make(lost_replica)].concat());
}

#[test]
fn pods_that_ended_are_replaced_at_once_and_outdated_ones_one_by_one_replicas_first() {
    let nodes = Nodes { all: nodes(3).into_iter().collect(), open: nodes(3) };
    let mut berths = berths("");
    berths.values_mut().for_each(|berth| berth.pod = Some(Pod { outdated: true, ..Pod::default() }));
    assert_eq!(upkeep(THREE, &nodes, &berths, false).0, []);
    assert_eq!(upkeep(THREE, &nodes, &berths, true).0, [Upkeep::DeletePod(seat(3, 1), false)]);
    berths.get_mut(&seat(1, 0)).unwrap().pod = Some(Pod { ended: true, ..Pod::default() });
    assert_eq!(upkeep(THREE, &nodes, &berths, true).0, [Upkeep::DeletePod(seat(1, 0), false)]);
    berths.get_mut(&seat(1, 0)).unwrap().pod = None;
    assert_eq!(upkeep(THREE, &nodes, &berths, true).0, [Upkeep::MakePod(seat(1, 0), "node-1".to_owned())]);
}

#[test]
fn the_text_of_cluster_nodes_is_read_and_laid_out_as_a_table() {
    let text = "\
aaa 10.42.0.5:7000@17000,sessions-1-0.node-1 myself,master - 0 0 1 connected 0-5460
bbb 10.42.1.4:7003@17003,sessions-1-1.node-2 slave aaa 0 1 1 connected
ccc 10.42.1.5:7000@17000,sessions-2-0.node-2 master,fail? - 0 1 2 disconnected 5461-10922 [5461->-aaa]
ddd 10.42.9.9:7000@17000 handshake - 0 1 0 disconnected
junk
";
    let view = View::parse(text);
    assert_eq!(view.0.len(), 4);
    assert_eq!(view.myself().unwrap().pod_and_node(), Some(("sessions-1-0", "node-1")));
    assert!(view.get("ddd").is_none(), "an id in handshake is not yet an identity");
    assert_eq!(
        table(&view),
        "\
SHARD  ROLE           NODE    POD           ADDRESS         SLOTS       NODE ID
1      master         node-1  sessions-1-0  10.42.0.5:7000  0-5460      aaa
1      replica        node-2  sessions-1-1  10.42.1.4:7003  -           bbb
2      master (away)  node-2  sessions-2-0  10.42.1.5:7000  5461-10922  ccc
-      master         -       -             10.42.9.9:7000  -           ddd
"
    );
}

proptest! {
    // A simulated cluster is much work for a debug build; the generator finds what there is to find within a few.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_placement_obeys_its_rules(
        (shards, replicas, count) in (1u16..12, 0u16..4, 0usize..9),
        lost in proptest::collection::btree_set(0usize..9, 0..3),
    ) {
        let shape = Shape { shards, replicas };
        let nodes = nodes(count);
        let placement = place(shape, &nodes, &BTreeMap::new());
        prop_assert_eq!(check_placement(shape, &nodes, &BTreeMap::new(), &placement), Vec::<String>::new());
        prop_assert_eq!(placement.unplaced.is_empty(), usize::from(replicas) < count);
        let gone: BTreeSet<String> = lost.iter().map(|number| format!("node-{number}")).collect();
        let left: Vec<String> = nodes.into_iter().filter(|node| !gone.contains(node)).collect();
        let mut bound = placement.seats;
        bound.retain(|_, node| !gone.contains(node));
        let again = place(shape, &left, &bound);
        prop_assert_eq!(check_placement(shape, &left, &bound, &again), Vec::<String>::new());
    }

    #[test]
    fn whatever_befalls_it_one_whole_cluster_comes_back(
        shape in (1u16..5, 1u16..3).prop_map(|(shards, replicas)| Shape { shards, replicas }),
        blows in proptest::collection::vec((0u8..4, 0usize..16, 0usize..6, 0usize..30), 0..12),
    ) {
        let mut simulation = Simulation::new(shape);
        let seats: Vec<Seat> = shape.seats().collect();
        for (blow, who, crash_after, ticks) in blows {
            let at = seats[who % seats.len()];
            match blow {
                0 => simulation.stop(at),
                1 if !simulation.is_up(at) => simulation.start(at),
                2 => simulation.empty(at),
                _ => {}
            }
            for _ in 0..ticks {
                simulation.plan(crash_after);
                simulation.tick();
            }
        }
        seats.iter().filter(|seat| !simulation.is_up(**seat)).copied().collect::<Vec<_>>().into_iter().for_each(|seat| simulation.start(seat));
        settles(&mut simulation)?;
    }

    #[test]
    fn no_acknowledged_write_is_lost_when_members_fail_one_at_a_time(
        blows in proptest::collection::vec((any::<bool>(), 0usize..6, 0usize..20), 1..8),
    ) {
        let mut simulation = Simulation::new(THREE);
        settles(&mut simulation)?;
        let seats: Vec<Seat> = THREE.seats().collect();
        for (empties, who, ticks) in blows {
            simulation.stop(seats[who]);
            for _ in 0..ticks {
                simulation.plan(usize::MAX);
                simulation.tick();
            }
            if empties { simulation.empty(seats[who]) } else { simulation.start(seats[who]) }
            settles(&mut simulation)?;
            for (shard, newest) in &simulation.acknowledged {
                let master = simulation.master(*shard).unwrap();
                prop_assert!(simulation.servers[&master].data >= *newest, "shard {} lost writes", shard);
            }
        }
    }
}

/// With everybody up, the cluster becomes whole, with masters where they were made to be, within a bound.
fn settles(simulation: &mut Simulation) -> Result<(), TestCaseError> {
    let mut plan = Plan::default();
    for _ in 0..120 {
        plan = simulation.plan(usize::MAX);
        if plan.is_settled() {
            for shard in 1..=simulation.shape.shards {
                prop_assert_eq!(simulation.master(shard), Some(seat(shard, 0)));
            }
            let views: Vec<_> = simulation.snapshot().members.into_iter().map(|member| member.seen.unwrap().view).collect();
            let ids = |view: &View| view.0.iter().map(|known| known.id.clone()).collect::<BTreeSet<_>>();
            prop_assert!(views.iter().all(|view| ids(view) == ids(&views[0])), "more than one cluster");
            prop_assert_eq!(ids(&views[0]).len(), simulation.servers.len());
            return Ok(());
        }
        simulation.tick();
    }
    Err(TestCaseError::fail(format!("not settled: {plan:#?}")))
}
