//! Releases that Helm and Coracle hand to each other, and upgrades that are killed at each of their writes in turn:
//! against Coracle's API, and against upstream's where its programs are.

mod api;
mod beside;
mod beside_each_other;
mod cut;
mod upstream;

use api::{Api, Who};
use cut::{Cut, When};

const BOTH: [Who; 2] = [Who::Helm, Who::Coracle];

/// Both say the same of a release.
fn agree(api: &Api, namespace: &str, words: &[&str]) -> String {
    // A list's version moves on with whatever else is written meanwhile.
    let moves = |line: &&str| !line.trim_start().starts_with("resourceVersion:");
    let said = |who| api.ok(who, namespace, words).lines().filter(moves).collect::<Vec<_>>().join("\n");
    let [theirs, ours] = BOTH.map(said);
    let differ: Vec<_> = theirs.lines().zip(ours.lines()).filter(|(a, b)| a != b).take(5).collect();
    assert!(theirs == ours, "{words:?}: {differ:#?}, {} and {} lines", theirs.lines().count(), ours.lines().count());
    ours
}

fn statuses(history: &str) -> Vec<String> {
    let history: serde_json::Value = serde_json::from_str(history).expect("JSON");
    let all = history.as_array().cloned().unwrap_or_default();
    all.iter().map(|it| it["status"].as_str().unwrap_or_default().to_owned()).collect()
}

/// One of the two installs, the other one upgrades, the first rolls back; both always say the same of it.
fn handed_over(api: &Api, first: Who, second: Who, server_side: bool) {
    let method = if server_side { "ssa" } else { "csa" };
    let namespace = format!("{first:?}-{method}").to_lowercase();
    api.namespace(&namespace);
    let flag = format!("--server-side={server_side}");
    api.ok(first, &namespace, &["install", "it", "boat", "--labels", "team=sea", &flag]);
    let texts = |wanted: &[(&str, &str)]| {
        let wanted: Vec<_> = wanted.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(api.maps(&namespace, "it"), wanted);
    };
    texts(&[("it-a", "first"), ("it-b", "first")]);

    api.ok(second, &namespace, &["upgrade", "it", "boat", "--set", "text=second,third=c"]);
    texts(&[("it-a", "second"), ("it-c", "second")]);
    let object = |path: &str| api.get(&format!("{path}/it").replace('@', &namespace)).expect("it is there");
    let service = object("/api/v1/namespaces/@/services");
    assert_eq!(service["spec"]["ports"].as_array().map(Vec::len), Some(1), "a dropped port goes: {service}");
    let deployment = object("/apis/apps/v1/namespaces/@/deployments");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"].as_array().map(Vec::len), Some(1), "a dropped variable goes: {container}");
    let map = api.get(&format!("/api/v1/namespaces/{namespace}/configmaps/it-a")).expect("it is there");
    assert!(map["data"].get("only-first").is_none(), "a dropped key goes: {map}");
    for words in [
        &["list", "-o", "json"][..],
        &["list"],
        &["history", "it", "-o", "json"],
        &["history", "it"],
        &["status", "it", "-o", "yaml"],
        &["get", "manifest", "it"],
        &["get", "values", "it", "-o", "json"],
        &["get", "hooks", "it"],
        &["get", "notes", "it"],
        &["get", "all", "it"],
        &["get", "metadata", "it"],
    ] {
        agree(api, &namespace, words);
    }

    api.ok(first, &namespace, &["rollback", "it", "1"]);
    texts(&[("it-a", "first"), ("it-b", "first")]);
    let service = object("/api/v1/namespaces/@/services");
    assert_eq!(service["spec"]["ports"].as_array().map(Vec::len), Some(2), "a dropped port is back: {service}");
    let history = agree(api, &namespace, &["history", "it", "-o", "json"]);
    assert_eq!(statuses(&history), ["superseded", "superseded", "deployed"]);

    api.ok(second, &namespace, &["upgrade", "it", "boat", "--set", "text=third", "--wait=hookOnly"]);
    texts(&[("it-a", "third"), ("it-b", "third")]);
    let away = if server_side { first } else { second };
    api.ok(away, &namespace, &["uninstall", "it"]);
    texts(&[]);
    assert!(agree(api, &namespace, &["list", "-q"]).is_empty());
    let secrets = api.get(&format!("/api/v1/namespaces/{namespace}/secrets")).expect("a list");
    assert_eq!(secrets["items"].as_array().map(Vec::len), Some(0), "{secrets}");
}

fn all_hand_overs(api: &Api) {
    for server_side in [true, false] {
        handed_over(api, Who::Helm, Who::Coracle, server_side);
        handed_over(api, Who::Coracle, Who::Helm, server_side);
    }
}

/// Kills an upgrade at each write in turn, before and after it is carried out; then upgrades again or rolls back.
fn killed_upgrades(api: &Api) {
    let namespace = "killed";
    api.namespace(namespace);
    let cut = Cut::new(&api.runtime, api.client.clone(), &api.kubeconfig().with_file_name(""));
    for (when, server_side) in [(When::Before, true), (When::After, false)] {
        let mut writes = 0;
        loop {
            let name = format!("{when:?}-{writes}").to_lowercase();
            let flag = format!("--server-side={server_side}");
            api.ok(Who::Coracle, namespace, &["install", &name, "boat", &flag]);
            let words = ["upgrade", &name, "boat", "--set", "text=second,third=c"];
            let command = api.command(Who::Coracle, cut.kubeconfig(), namespace, &words);
            let killed = cut.kills(command, writes, when);
            api.let_the_lease_run_out(namespace, &name);
            recovered(api, namespace, &name, writes % 2 == 0);
            if !killed {
                break;
            }
            writes += 1;
        }
        assert!(writes > 10, "an upgrade writes more than {writes} times");
    }
}

fn recovered(api: &Api, namespace: &str, name: &str, by_upgrade: bool) {
    let maps = if by_upgrade {
        api.ok(Who::Coracle, namespace, &["upgrade", name, "boat", "--set", "text=third,third=d"]);
        [("a", "third"), ("d", "third")]
    } else {
        api.ok(Who::Coracle, namespace, &["rollback", name, "1"]);
        [("a", "first"), ("b", "first")]
    };
    let maps = maps.map(|(map, text)| (format!("{name}-{map}"), text.to_owned()));
    assert_eq!(api.maps(namespace, name), maps, "{name}");
    let history = statuses(&agree(api, namespace, &["history", name, "-o", "json"]));
    assert_eq!(history.last().map(String::as_str), Some("deployed"), "{name}: {history:?}");
    assert!(!history.iter().any(|status| status.starts_with("pending")), "{name}: {history:?}");
    assert_eq!(history.iter().filter(|status| *status == "deployed").count(), 1, "{name}: {history:?}");
    // Helm goes on from there.
    api.ok(Who::Helm, namespace, &["uninstall", name]);
    assert!(api.maps(namespace, name).is_empty());
}

#[test]
fn helm_and_coracle_continue_each_others_releases() {
    all_hand_overs(&Api::coracle());
}

#[test]
fn an_upgrade_that_is_killed_at_any_write_is_recovered() {
    killed_upgrades(&Api::coracle());
}

#[test]
#[ignore = "needs upstream's programs: make -C conformance upstream"]
fn releases_live_the_same_on_upstream() {
    let api = Api::upstream();
    all_hand_overs(&api);
    killed_upgrades(&api);
}
