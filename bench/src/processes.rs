//! What processes use: memory (PSS), time of the processor, bytes written.

use std::fs;

use anyhow::Context as _;

/// The processes below a cgroup of ours whose command line contains a word, children included by their own lines.
pub fn with(word: &str) -> Vec<i32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).unwrap_or_default()).replace('\0', " ");
        if line.contains(word) {
            pids.push(pid);
        }
    }
    pids
}

/// Proportional memory in kB.
///
/// # Errors
/// When a process is gone.
pub fn pss_kb(pid: i32) -> anyhow::Result<u64> {
    rollup(pid, &["Pss:"])
}

/// Memory that is the process's alone, in kB.
///
/// # Errors
/// When a process is gone.
pub fn private_kb(pid: i32) -> anyhow::Result<u64> {
    rollup(pid, &["Private_Clean:", "Private_Dirty:"])
}

fn rollup(pid: i32, fields: &[&str]) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).with_context(|| format!("process {pid} is gone"))?;
    let value =
        |line: &str| fields.iter().find_map(|field| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok());
    Ok(text.lines().filter_map(value).sum())
}

/// Time of the processor so far, in milliseconds.
///
/// # Errors
/// When a process is gone.
pub fn cpu_ms(pid: i32) -> anyhow::Result<u64> {
    // Nanoseconds on the processor stand first for each thread: finer than the clock ticks of `stat`.
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(nanoseconds / 1_000_000)
}

/// Bytes that went to disk so far.
///
/// # Errors
/// When a process is gone.
pub fn written_bytes(pid: i32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).with_context(|| format!("process {pid} is gone"))?;
    let value = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|value| value.parse().ok());
    value.context("the kernel does not count I/O")
}
