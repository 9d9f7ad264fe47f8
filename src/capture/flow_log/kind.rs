//! Kinds of flow logs.

use serde::Serialize;

/// The kind of a flow log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowLogKind {
    /// VPC flow logs of Alibaba Cloud.
    Alibaba,
    /// VPC flow logs of AWS.
    Aws,
    /// Flow logs of network security groups and virtual networks of Azure.
    Azure,
    /// VPC flow logs of Google Cloud.
    Google,
    /// Suricata's `eve.json`.
    Suricata,
    /// Hubble's flows: Cilium's.
    Hubble,
    /// Zeek's `conn.log`.
    Zeek,
    /// The CSV of `nfdump`.
    Nfdump,
    /// Headers for filters of `ClassBench`, a benchmark of packet classifiers.
    ClassBench,
}

impl FlowLogKind {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alibaba => "Alibaba Cloud VPC flow log",
            Self::Aws => "AWS VPC flow log",
            Self::Azure => "Azure flow log",
            Self::Google => "Google Cloud VPC flow log",
            Self::Suricata => "Suricata eve.json",
            Self::Hubble => "Hubble flows",
            Self::Zeek => "Zeek conn.log",
            Self::Nfdump => "nfdump CSV",
            Self::ClassBench => "ClassBench trace",
        }
    }
}
