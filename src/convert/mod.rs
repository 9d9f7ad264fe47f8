//! Rules in others' words: for the cloud, for Terraform, for a host's firewall, for tcpdump, for a review.
//!
//! What a target cannot say is an error that names the rule: nothing is widened or left out without a word.

mod alibaba;
mod aws;
mod azure;
mod bpf;
mod commands;
mod firewall;
mod google;
mod review;
mod subnets;
mod table;
mod terraform;

pub use alibaba::alibaba_json;
pub use aws::aws_json;
pub use azure::azure_json;
pub use bpf::bpf;
pub use commands::commands;
pub use firewall::{Family, iptables, iptables_rules, nft_rules, nftables};
pub use google::google_json;
pub use review::markdown;
pub use table::{TABLE_COLUMNS, table_csv};
pub use terraform::terraform;

use crate::rules::{Cloud, Rule, RuleSet, SecurityGroup};

/// Whether the rules are of a cloud: those of others mean other things, whatever they are called.
fn of_cloud(rules: &RuleSet, wanted: Cloud) -> Result<(), CannotSay> {
    match rules.cloud() {
        cloud if cloud == wanted => Ok(()),
        cloud => Err(CannotSay {
            what: format!("rules of {cloud}"),
            why: format!(
                "this is a format of {wanted}, where they would mean something else; --to yaml, and \
                 `cloud: {wanted}` in it, says what of them is wrong there"
            ),
        }),
    }
}

/// A rule says what the target does not.
fn cannot(rule: &Rule, why: &str) -> CannotSay {
    CannotSay { what: rule.id.to_string(), why: why.to_owned() }
}

impl CannotSay {
    /// The rule is of this group.
    fn in_group(self, group: &SecurityGroup) -> Self {
        Self { what: format!("rule {} of {}", self.what, group.id), ..self }
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
