use super::*;

#[test]
fn the_table_is_sorted_and_every_allowed_name_is_known_somewhere() {
    assert!(numbers::NUMBERS.is_sorted());
    assert_eq!(number("read"), Some(libc::SYS_read));
    assert_eq!(number("clone3"), Some(libc::SYS_clone3));
    let unknown: Vec<&str> = include_str!("allowed.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split_once(':').map_or(line, |(_, names)| names).split_ascii_whitespace())
        .filter(|name| number(name).is_none())
        .collect();
    // Of other processors, or never in the kernel under this name.
    assert!(unknown.iter().all(|name| ["umount", "stime"].contains(name)), "{unknown:?}");
}

#[test]
fn the_default_filter_depends_on_the_capabilities() {
    let small = runtime_default(&[]).expect("compiled");
    let large = runtime_default(&["CAP_SYS_ADMIN".to_owned()]).expect("compiled");
    assert_eq!((small.len(), large.len()), (2, 1));
    assert!(large[0].len() > small[0].len());
}

#[test]
fn a_profile_of_several_actions_is_a_filter_for_each() {
    let profile = serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
            {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        ]
    });
    assert_eq!(profile::compile_profile(&profile, &[]).expect("compiled").len(), 2);
    let unknown = serde_json::json!({"defaultAction": "SCMP_ACT_WHAT"});
    assert!(matches!(profile::compile_profile(&unknown, &[]), Err(FilterError::ReadProfile(_))));
}
