//! Why a pod does not fit, in upstream's words: clients and people search for them.

use std::collections::BTreeMap;
use std::fmt;

/// Who refuses a node: the filters, by upstream's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are upstream's and explain themselves")]
pub enum Filter {
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    VolumeBinding,
    PodTopologySpread,
    InterPodAffinity,
}

/// Why a node does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It takes no new pods.
    Unschedulable,
    /// It has taints that the pod does not tolerate.
    Taint,
    /// It is not among the nodes that the pod selects.
    NodeAffinity,
    /// It is not among the nodes that the pod names.
    NotNamed,
    /// A host port is taken.
    Ports,
    /// It has as many pods as it may have.
    TooManyPods,
    /// Something is used up; the flag says that an empty node would have enough.
    Insufficient(String, bool),
    /// A claim that only one pod may use is in use.
    ReadWriteOncePod,
    /// A bound volume cannot be reached from it.
    VolumeNode,
    /// No volume for a claim is to be had there.
    VolumeBind,
    /// A claim's volume is gone.
    VolumeMissing,
    /// Pods would be spread too unevenly.
    Spread,
    /// It lacks the label by which pods are to be spread.
    SpreadLabelMissing,
    /// No pods are there that the pod must be near to.
    PodAffinity,
    /// Pods are there that the pod must be far from.
    PodAntiAffinity,
    /// Pods are there that want to be far from it.
    ExistingAntiAffinity,
    /// Nobody there would have to give way.
    NoVictims,
    /// The node would not fit even without the pods on it.
    NotHelpful,
}

impl Reason {
    /// Whether it may go away when pods leave the node.
    #[must_use]
    pub fn is_resolvable(&self) -> bool {
        match self {
            Self::Insufficient(_, enough) => *enough,
            Self::Ports
            | Self::TooManyPods
            | Self::ReadWriteOncePod
            | Self::Spread
            | Self::PodAntiAffinity
            | Self::ExistingAntiAffinity => true,
            _ => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unschedulable => "node(s) were unschedulable",
            Self::Taint => "node(s) had untolerated taint(s)",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource, _) => return write!(f, "Insufficient {resource}"),
            Self::ReadWriteOncePod => {
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
            }
            Self::VolumeNode => "node(s) didn't match PersistentVolume's node affinity",
            Self::VolumeBind => "node(s) didn't find available persistent volumes to bind",
            Self::VolumeMissing => "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::SpreadLabelMissing => "node(s) didn't match pod topology spread constraints (missing required label)",
            Self::PodAffinity => "node(s) didn't match pod affinity rules",
            Self::PodAntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
            Self::NoVictims => "No preemption victims found for incoming pod",
            Self::NotHelpful => "Preemption is not helpful for scheduling",
        })
    }
}

/// One line about all nodes: how many there are, and how often each reason was given.
#[must_use]
pub fn summary<'r>(nodes: usize, reasons: impl Iterator<Item = &'r Reason>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason.to_string()).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    let listed = if parts.is_empty() { String::new() } else { format!(" {}.", parts.join(", ")) };
    format!("0/{nodes} nodes are available:{listed}")
}
