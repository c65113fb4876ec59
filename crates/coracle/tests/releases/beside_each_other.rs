//! Command lines that need a cluster, by both programs on one API, each in a namespace of its own.

use std::process::Output;

use regex::Regex;

use super::api::{Api, Who};

/// What differs by nature: times, identities, versions, and the namespace.
fn plain(text: &str, namespace: &str) -> String {
    let patterns = [
        (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "TIME"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?\+0000 UTC|Z)?", "TIME"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r#"("?)resourceVersion("?): ?"?\d+"?"#, "resourceVersion"),
        (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\b\d+(ms|s)\b", "AGE"),
        (r"modifiedAt(\W+)\d+", "modifiedAt$1N"),
        (r" +\n", "\n"),
        (r"(TIME|UPDATED) +\t", "$1\t"),
    ];
    let text = text.replace(namespace, "NAMESPACE");
    let text = patterns
        .iter()
        .fold(text, |text, (pattern, name)| Regex::new(pattern).expect("a pattern").replace_all(&text, *name).into_owned());
    // Helm shows resources in no order.
    match text.split_once("RESOURCES:\n") {
        None => text,
        Some((before, rest)) => {
            let (resources, after) = rest.split_once("TEST SUITE").unwrap_or((rest, ""));
            let mut parts: Vec<&str> = resources.split("==> ").collect();
            parts.sort_unstable();
            let (narrow, flat) = (Regex::new(" {2,}").expect("a pattern"), Regex::new("\n{2,}").expect("a pattern"));
            let parts = parts.concat();
            let parts = narrow.replace_all(&parts, "  ");
            format!("{before}RESOURCES:\n{}TEST SUITE{after}", flat.replace_all(&parts, "\n"))
        }
    }
}

fn outcome(done: &Output, namespace: &str) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| plain(&String::from_utf8_lossy(bytes), namespace);
    let told = |line: &&str| !line.starts_with("level=INFO") && !line.starts_with("level=DEBUG");
    let remarks = text(&done.stderr).lines().filter(told).collect::<Vec<_>>().join("\n");
    (done.status.code(), text(&done.stdout), remarks)
}

#[test]
fn command_lines_that_need_a_cluster_end_as_with_helm() {
    let api = Api::coracle();
    let places = [(Who::Helm, "ns-helm"), (Who::Coracle, "ns-ours")];
    places.iter().for_each(|(_, namespace)| api.namespace(namespace));
    let table = include_str!("commands.txt");
    let lines: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut wrong = Vec::new();
    for line in &lines {
        let (code_alone, words) = line.strip_prefix("~ ").map_or((false, *line), |words| (true, words));
        let words: Vec<&str> = words.split(' ').collect();
        let [theirs, ours] = places.map(|(who, namespace)| outcome(&api.run(who, namespace, &words), namespace));
        if theirs != ours && !(code_alone && theirs.0 == ours.0) {
            wrong.push(format!("{line}\n  helm:    {theirs:?}\n  coracle: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}
