//! What a cgroup has used.

use std::{collections::HashMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{folder, hierarchy::Layout, layout};

/// What a cgroup has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in nanoseconds, since it was made.
    pub cpu_ns: u64,
    /// Bytes charged, file cache included.
    pub memory_bytes: u64,
    /// Bytes charged without the file cache that nobody used lately.
    pub working_set_bytes: u64,
    /// Bytes of anonymous memory.
    pub rss_bytes: u64,
    /// Major page faults.
    pub major_faults: u64,
    /// Page faults.
    pub faults: u64,
    /// Processes and threads, where they are counted.
    pub pids: Option<u64>,
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn table(file: &Path) -> HashMap<String, u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').and_then(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)));
    text.lines().filter_map(pair).collect()
}

/// What a cgroup has used.
pub fn usage(path: &str) -> io::Result<Usage> {
    usage_in(layout()?, path)
}

pub(super) fn usage_in(layout: &Layout, path: &str) -> io::Result<Usage> {
    let place = |controller| layout.find(controller).map(|hierarchy| folder(hierarchy, path));
    let memory = place("memory").filter(|folder| folder.is_dir()).ok_or(io::ErrorKind::NotFound)?;
    let stat = table(&memory.join("memory.stat"));
    let of = |name: &str| stat.get(name).copied().unwrap_or_default();
    let (current, inactive, rss, faults, major) = if layout.unified {
        ("memory.current", of("inactive_file"), of("anon"), of("pgfault"), of("pgmajfault"))
    } else {
        let faults = (of("total_pgfault"), of("total_pgmajfault"));
        ("memory.usage_in_bytes", of("total_inactive_file"), of("total_rss"), faults.0, faults.1)
    };
    let memory_bytes = number(&memory.join(current)).unwrap_or_default();
    let cpu_ns = if layout.unified {
        table(&memory.join("cpu.stat")).get("usage_usec").copied().unwrap_or_default() * 1000
    } else {
        place("cpuacct").and_then(|folder| number(&folder.join("cpuacct.usage"))).unwrap_or_default()
    };
    Ok(Usage {
        cpu_ns,
        memory_bytes,
        working_set_bytes: memory_bytes.saturating_sub(inactive),
        rss_bytes: rss,
        major_faults: major,
        faults,
        pids: place("pids").and_then(|folder| number(&folder.join("pids.current"))),
    })
}

/// How often the kernel killed one of its processes for want of memory.
pub fn oom_kills(path: &str) -> u64 {
    layout().map_or(0, |layout| oom_kills_in(layout, path))
}

pub(super) fn oom_kills_in(layout: &Layout, path: &str) -> u64 {
    let Some(hierarchy) = layout.find("memory") else { return 0 };
    let file = if layout.unified { "memory.events" } else { "memory.oom_control" };
    table(&folder(hierarchy, path).join(file)).get("oom_kill").copied().unwrap_or_default()
}
