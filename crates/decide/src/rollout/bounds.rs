//! How many pods a rolling update may have too many or too few. Pure arithmetic.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::util::intstr::IntOrString};

/// The bounds of a rolling update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Pods beyond the wanted number.
    pub surge: i32,
    /// Pods that may be missing.
    pub unavailable: i32,
}

impl Bounds {
    /// Those of a Deployment; none for `Recreate`.
    pub fn of(deployment: &Deployment) -> Self {
        if super::strategy(deployment) != "RollingUpdate" {
            return Self { surge: 0, unavailable: 0 };
        }
        let wanted = replicas(deployment);
        let rolling = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let surge = resolve(rolling.and_then(|rolling| rolling.max_surge.as_ref()), "25%", wanted, true);
        let mut unavailable = resolve(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), "25%", wanted, false);
        if surge == 0 && unavailable == 0 {
            // Neither would ever move, most often since both are shares of a small number.
            unavailable = 1;
        }
        Self { surge, unavailable: unavailable.min(wanted) }
    }
}

/// The wanted number of pods.
pub fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// A number, or a share of `total`.
pub fn resolve(value: Option<&IntOrString>, default: &str, total: i32, round_up: bool) -> i32 {
    let share = |text: &str| {
        let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
        let scaled = percent * i64::from(total);
        let whole = if round_up { (scaled + 99).div_euclid(100) } else { scaled.div_euclid(100) };
        i32::try_from(whole).unwrap_or(i32::MAX)
    };
    match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => share(text),
        None => share(default),
    }
}
