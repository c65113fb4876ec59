//! The operator against the real API server and real Redis servers, on a node that the test plays.
#![expect(clippy::print_stderr, reason = "how long things took is shown to whoever runs the tests")]

mod world;

use std::collections::BTreeSet;

use platform::redis::kinds::Status;
use world::{World, pause};

/// Shard, role, node and port of every member.
fn table(status: &Status) -> Vec<String> {
    let mut rows: Vec<String> = status
        .members
        .iter()
        .map(|member| format!("{} {} {} {}", member.shard, member.role, member.node, member.address.rsplit(':').next().unwrap()))
        .collect();
    rows.sort();
    rows
}

const BRIEF: [&str; 6] = [
    "1 master node-1 7000",
    "1 replica node-2 7003",
    "2 master node-2 7000",
    "2 replica node-3 7003",
    "3 master node-3 7000",
    "3 replica node-1 7003",
];

fn ids(status: &Status) -> BTreeSet<String> {
    status.members.iter().map(|member| member.id.clone()).collect()
}

/// Every member knows exactly the members: there is one cluster, and nothing of the past.
async fn assert_one_cluster(world: &World, status: &Status) {
    for member in &status.members {
        let mut redis = world.redis(&member.address).await;
        let nodes: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut redis).await.unwrap();
        let known: BTreeSet<String> = nodes.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(known, ids(status), "{} knows others:\n{nodes}", member.name);
    }
}

// What users of other operators suffer from: a shard's master and replica end on one node, or one node holds two masters after failovers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_made_as_the_brief_draws_it_and_stays_whole_through_every_loss() {
    let world = World::new(71, 3).await;
    world.create_cluster().await;
    let (made, time) = world.settled("creation").await;
    eprintln!("made in {time:?}");
    assert_eq!(table(&made), BRIEF);
    assert_eq!(made.slots, 16_384);
    assert_one_cluster(&world, &made).await;

    world.machines.kill("sessions-1-0");
    let moved =
        |status: &Status| status.members.iter().any(|m| m.name == "sessions-1-1" && m.role == "master" && !m.slots.is_empty());
    let (_, time) = world.until("failover", 20, moved).await;
    eprintln!("failed over in {time:?}");
    world.come_back("sessions-1-0").await;
    pause(300).await;
    let (back, time) = world.settled("a killed master returns at another address").await;
    eprintln!("back in {time:?}");
    assert_eq!((table(&back), ids(&back)), (table(&made), ids(&made)), "it keeps its identity and gets its place back");

    world.delete_pod("sessions-2-1").await;
    world.until("a deleted replica", 20, |status| status.phase != "Ready").await;
    let (back, _) = world.settled("a deleted replica").await;
    assert_eq!(ids(&back), ids(&made));

    world.machines.kill("sessions-3-0");
    world.machines.wipe("sessions-3-0");
    world
        .until("failover", 20, |status| {
            status.members.iter().any(|m| m.name == "sessions-3-1" && m.role == "master" && !m.slots.is_empty())
        })
        .await;
    world.come_back("sessions-3-0").await;
    pause(300).await;
    let (emptied, time) = world.settled("an emptied disk").await;
    eprintln!("emptied disk repaired in {time:?}");
    assert_eq!(table(&emptied), BRIEF);
    assert_eq!(ids(&emptied).difference(&ids(&made)).count(), 1);
    assert_one_cluster(&world, &emptied).await;

    world.machines.kill("sessions-2-0");
    world.machines.kill("sessions-1-1");
    world.add_node("node-4").await;
    world.remove_node("node-2").await;
    world.until("node gone", 60, |status| status.members.iter().all(|m| m.node != "node-2") && status.members.len() == 6).await;
    let (replaced, time) = world.settled("a node that is gone for good").await;
    eprintln!("node replaced in {time:?}");
    assert_eq!(table(&replaced), BRIEF.map(|row| row.replace("node-2", "node-4")));
    assert_one_cluster(&world, &replaced).await;
    assert_eq!(world.claims().await.len(), 6);
}

// What users of other operators suffer from: a restart creates a second cluster; after a restart, members keep stale addresses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_while_it_creates_makes_one_cluster_all_the_same() {
    let mut world = World::new(72, 3).await;
    world.create_cluster().await;
    for millis in [30, 60, 90, 130, 170, 220, 300, 400, 600] {
        pause(millis).await;
        world.stop_operator();
        world.start_operator();
    }
    let (status, _) = world.settled("creation with a dying operator").await;
    assert_eq!(table(&status), BRIEF);
    assert_one_cluster(&world, &status).await;
    world.stop_operator();
    let pods: Vec<String> = status.members.iter().map(|member| member.name.clone()).collect();
    pods.iter().for_each(|pod| world.machines.kill(pod));
    for pod in &pods {
        world.come_back(pod).await;
    }
    world.start_operator();
    world
        .until("all at new addresses", 30, |now| now.phase != "Ready" || now.members[0].address != status.members[0].address)
        .await;
    let (again, _) = world.settled("all return at new addresses").await;
    assert_eq!((table(&again), ids(&again)), (table(&status), ids(&status)));
    assert_one_cluster(&world, &again).await;
}
