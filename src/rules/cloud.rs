//! What differs from one cloud to another: the profile that a rule set has.
//!
//! One order serves them all: by priority, drops first at equal priority, and the first rule that matches
//! decides (SEMANTICS A4). The rest is in the methods here.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::field::FieldError;
use super::{GroupType, Policy, Timeouts};
use crate::flow::Direction;

/// Whose rules they are, and so what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Security groups of Alibaba Cloud ECS: SEMANTICS.
    #[default]
    Alibaba,
    /// Security groups of AWS: they only allow, and no rule comes before another.
    Aws,
    /// Network security groups of Azure: one at the subnet, one at the network interface, and both must
    /// allow.
    Azure,
    /// Firewall rules of a VPC network of Google Cloud, chosen by the tags of instances.
    Google,
    /// Filters of `ClassBench`, for those who compare classifiers: the first line that matches decides.
    ClassBench,
}

impl Cloud {
    /// All.
    pub const ALL: &'static [Self] =
        &[Self::Alibaba, Self::Aws, Self::Azure, Self::Google, Self::ClassBench];

    /// The word in a rules file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alibaba => "alibaba",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Google => "google",
            Self::ClassBench => "classbench",
        }
    }

    /// What they are called, and how they are judged where that is not as Alibaba Cloud does it.
    pub fn profile(self) -> &'static str {
        match self {
            Self::Alibaba => "security groups of Alibaba Cloud",
            Self::Aws => {
                "security groups of AWS: every rule allows, what none allows is denied both ways, answers of \
                 connections pass, members of a group reach each other only by a rule"
            }
            Self::Azure => {
                "network security groups of Azure: the lowest priority decides, the default rules stand at the end, \
                 answers of connections pass; where an interface has two groups, the subnet's and its own, both \
                 must allow"
            }
            Self::Google => {
                "firewall rules of Google Cloud: the lowest priority decides, denies before allows; what none \
                 matches is denied in and allowed out; answers of connections pass"
            }
            Self::ClassBench => {
                "filters of ClassBench: the first line that matches decides, what none matches is denied; every packet is \
                 judged once, by both its ends"
            }
        }
    }

    /// The command whose answer has the interfaces and their groups.
    pub fn lists_interfaces_by(self) -> &'static str {
        match self {
            Self::Alibaba => "`aliyun ecs DescribeNetworkInterfaces`",
            Self::Aws => "`aws ec2 describe-network-interfaces`",
            Self::Azure => "`az network nic list`",
            Self::Google => "`gcloud compute instances list --format=json`",
            Self::ClassBench => "`interfaces:`",
        }
    }

    /// How to come by a prefix list that is not in the files, in words.
    pub fn prefix_list_hint(self, id: &str) -> String {
        let command = match self {
            Self::Aws => "aws ec2 get-managed-prefix-list-entries --prefix-list-id",
            _ => "aliyun ecs DescribePrefixListAttributes --PrefixListId",
        };
        format!(
            "`{command} {id} > {id}.json` beside the cloud's files has it, or --define {id}=CIDR,… says it"
        )
    }

    /// How to come by what a tag stands for, in words.
    pub fn tag_hint(self, name: &str) -> &'static str {
        match (self, name) {
            (Self::Azure, "VirtualNetwork") => {
                "`az network vnet list` has the addresses of networks and of their peers"
            }
            (Self::Azure, "Internet") => {
                "it is every address that is none of the virtual network's"
            }
            (Self::Azure, _) => {
                "`az network list-service-tags --location LOCATION` has those of service tags, and `az network nic list` \
                 beside the rules the members of application security groups"
            }
            _ => {
                "`gcloud compute instances list --format=json` beside the rules has the tags and accounts of all instances"
            }
        }
    }

    /// The priorities that rules of security groups may have, beside the 110 of old rules of Alibaba Cloud.
    pub fn priorities(self) -> RangeInclusive<u32> {
        match self {
            Self::Alibaba => 1..=100,
            Self::Aws => 1..=1,
            Self::Azure | Self::Google => 0..=65_535,
            Self::ClassBench => 1..=u32::MAX,
        }
    }

    /// The highest priority of rules of security groups that people write. Those behind it are the cloud's own, and
    /// nobody can remove them (SEMANTICS F27): Azure's default rules.
    pub fn lowest_custom(self) -> u32 {
        match self {
            Self::Azure => 4_096,
            Self::Alibaba | Self::Aws | Self::Google | Self::ClassBench => u32::MAX,
        }
    }

    /// Whether subnets have network ACLs beside the security groups of interfaces ([`Layer`](super::Layer)).
    pub fn has_network_acls(self) -> bool {
        matches!(self, Self::Alibaba | Self::Aws)
    }

    /// What becomes of a packet that no rule of a security group matches (SEMANTICS A5 step 5).
    pub fn default(self, direction: Direction, of: Option<GroupType>) -> Policy {
        match (self, direction, of) {
            (Self::Alibaba, Direction::Egress, Some(GroupType::Basic))
            // Filters say nothing of what is sent.
            | (Self::Google | Self::ClassBench, Direction::Egress, _) => Policy::Accept,
            _ => Policy::Drop,
        }
    }

    /// Whether what belongs to an allowed connection passes the security groups, whichever way it goes.
    pub fn is_stateful(self) -> bool {
        self != Self::ClassBench
    }

    /// Whether a packet is judged once by all that is asked of it, as something that comes in, and not where
    /// it is sent and where it is received.
    pub fn is_one_way(self) -> bool {
        self == Self::ClassBench
    }

    /// Whether the groups of an interface are layers, all of which must allow; else their rules are one
    /// list.
    pub fn is_layered(self) -> bool {
        self == Self::Azure
    }

    /// Idle timeouts of sessions where nothing else is said. Those of AWS and Google Cloud are documented
    /// ("Connection tracking" in the guides of both); Azure documents none, and has ours.
    pub fn timeouts(self) -> Timeouts {
        let s = Duration::from_secs;
        let ours = Timeouts::default();
        match self {
            // Five days, and 180 s for UDP after more than one exchange.
            Self::Aws => Timeouts {
                tcp_established: s(432_000),
                udp_stream: Some(s(180)),
                other: s(600),
                ..ours
            },
            Self::Google => {
                let all = s(600);
                Timeouts { tcp_established: all, udp: all, icmp: all, other: all, ..ours }
            }
            Self::Alibaba | Self::Azure | Self::ClassBench => ours,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Cloud {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let found =
            Self::ALL.iter().copied().find(|cloud| cloud.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let words: Vec<String> = Self::ALL.iter().map(|cloud| format!("`{cloud}`")).collect();
            FieldError::new(text, format!("a cloud is one of {}", words.join(", ")))
        })
    }
}
