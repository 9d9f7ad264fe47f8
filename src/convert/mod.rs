//! Rules in others' words: for the cloud, for Terraform, for a host's firewall, for tcpdump, for a review.
//!
//! What a target cannot say is an error that names the rule: nothing is widened or left out without a word.

mod alibaba;
mod bpf;
mod firewall;
mod review;
mod table;
mod terraform;

pub use alibaba::alibaba_json;
pub use bpf::bpf;
pub use firewall::{Family, iptables, iptables_rules, nft_rules, nftables};
pub use review::markdown;
pub use table::{TABLE_COLUMNS, table_csv};
pub use terraform::terraform;

/// Something that the target has no words for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct CannotSay {
    /// The rule, or the interface.
    pub what: String,
    /// What of it, and what would be right.
    pub why: String,
}
