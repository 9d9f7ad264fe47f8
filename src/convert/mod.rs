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

use crate::rules::{Cloud, RuleSet};

/// Whether the rules are Alibaba Cloud's: those of others mean other things, whatever they are called.
fn of_alibaba(rules: &RuleSet) -> Result<(), CannotSay> {
    match rules.cloud() {
        Cloud::Alibaba => Ok(()),
        cloud => Err(CannotSay {
            what: format!("rules of {cloud}"),
            why: "this is a format of Alibaba Cloud, where they would mean something else; --to yaml, and \
                  `cloud: alibaba` in it, says what of them is wrong there"
                .to_owned(),
        }),
    }
}

/// A type of ICMP, and its code if only one will do.
fn icmp_words((kind, code): (u8, Option<u8>)) -> String {
    let code = code.map_or_else(String::new, |code| format!(" code {code}"));
    format!("type {kind}{code}")
}

/// Something that the target has no words for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct CannotSay {
    /// The rule, or the interface.
    pub what: String,
    /// What of it, and what would be right.
    pub why: String,
}
