//! Which file takes which bound, and in which words.

use std::path::Path;

use crate::container::Limits;

const PERIOD_US: u64 = 100_000;

/// Controller, file and text for each bound that is set.
pub(super) fn values(limits: &Limits, unified: bool) -> Vec<(&'static str, String, String)> {
    let mut values = Vec::new();
    let mut add = |controller, file: &str, value: String| values.push((controller, file.to_owned(), value));
    if unified {
        if let Some(shares) = limits.cpu_shares {
            add("cpu", "cpu.weight", weight(shares).to_string());
        }
        if let Some(quota) = limits.cpu_quota_us {
            let period = limits.cpu_period_us.unwrap_or(PERIOD_US);
            add("cpu", "cpu.max", if quota > 0 { format!("{quota} {period}") } else { format!("max {period}") });
        }
        if let Some(bytes) = limits.memory_bytes {
            add("memory", "memory.max", bound(bytes, "max"));
            add("memory", "memory.swap.max", "0".to_owned());
        }
        if let Some(bytes) = limits.memory_low_bytes {
            add("memory", "memory.low", bytes.to_string());
        }
    } else {
        if let Some(shares) = limits.cpu_shares {
            add("cpu", "cpu.shares", shares.max(2).to_string());
        }
        if let Some(period) = limits.cpu_period_us {
            add("cpu", "cpu.cfs_period_us", period.to_string());
        }
        if let Some(quota) = limits.cpu_quota_us {
            add("cpu", "cpu.cfs_quota_us", if quota > 0 { quota.to_string() } else { "-1".to_owned() });
        }
        if let Some(bytes) = limits.memory_bytes {
            add("memory", "memory.limit_in_bytes", bound(bytes, "-1"));
            add("memory", "memory.memsw.limit_in_bytes", bound(bytes, "-1"));
        }
    }
    if let Some(pids) = limits.pids {
        add("pids", "pids.max", bound(pids, "max"));
    }
    if let Some(cpus) = &limits.cpuset {
        add("cpuset", "cpuset.cpus", cpus.clone());
    }
    for (size, bytes) in &limits.hugepages {
        let file = if unified { format!("hugetlb.{size}.max") } else { format!("hugetlb.{size}.limit_in_bytes") };
        add("hugetlb", &file, bytes.to_string());
    }
    values
}

/// No bound is a bound of zero.
fn bound(value: u64, none: &str) -> String {
    if value == 0 { none.to_owned() } else { value.to_string() }
}

/// v1's shares (2 to 262144) as v2's weight (1 to 10000), by the curve on which 1024 is 100.
pub(super) fn weight(shares: u64) -> u64 {
    if shares == 0 {
        return 100;
    }
    #[expect(clippy::cast_precision_loss, reason = "a weight has five digits")]
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = log.mul_add(log, 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000 by the clamp")]
    let weight = 10_f64.powf(exponent).ceil().clamp(1.0, 10_000.0) as u64;
    weight
}

/// Whether the machine may do without this file.
pub(super) fn is_optional(file: &Path) -> bool {
    file.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.contains("memsw") || name.contains("swap") || name.starts_with("hugetlb")
    })
}
