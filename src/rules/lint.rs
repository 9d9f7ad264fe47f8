//! What can be wrong with rules, by the names that suppressions in a rules file use.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use super::field::{FieldError, nearest};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, often meant.
    Note,
    /// Probably not meant.
    Warning,
    /// Dangerous.
    Error,
}

impl Severity {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A kind of finding. The names are stable: people write them into suppressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Accepts every protocol from anywhere.
    OpenAllProtocols,
    /// Accepts every port of TCP or UDP from anywhere.
    OpenAllPorts,
    /// Accepts a remote shell or desktop from anywhere.
    OpenAdministration,
    /// Accepts a database from anywhere.
    OpenDatabase,
    /// Accepts the SQL Server Browser from anywhere.
    OpenSqlBrowser,
    /// Never decides, since rules before it match all its packets, and say otherwise.
    Shadowed,
    /// Can be removed without a change to any packet's verdict.
    Redundant,
    /// Overlaps a rule of equal priority and the other policy.
    Conflicting,
    /// Matches no packet at all.
    Unmatchable,
    /// Says for IPv4 what nothing says for IPv6.
    Ipv6Forgotten,
    /// Says for IPv6 what nothing says for IPv4.
    Ipv4Forgotten,
    /// Accepts ICMP, and nothing accepts `ICMPv6`.
    Icmpv6Forgotten,
    /// Egress is an allow-list without DNS.
    EgressWithoutDns,
    /// Egress is an allow-list without the cloud's own addresses.
    EgressWithoutCloudAssistant,
    /// Accepts FTP's control connection, and no data connection.
    FtpWithoutPassive,
    /// A network ACL lets connections pass and not their replies.
    RepliesDenied,
    /// A network was written with host bits, so it is another than it looks.
    HostBits,
    /// More rules than an interface may have.
    QuotaRules,
    /// More addresses than a group may have.
    QuotaAddresses,
    /// A suppression that suppresses nothing, or no longer.
    UnusedSuppression,
    /// A group that no interface has.
    UnusedGroup,
    /// Says what the default says.
    SameAsDefault,
    /// The general case of an exception before it.
    Generalization,
    /// Overlaps a rule of the other policy, neither holding the other.
    Correlated,
    /// Accepts a port that some carriers block on the way.
    CarrierBlocked,
    /// Accepts SMTP to the Internet, which the cloud restricts.
    SmtpRestricted,
    /// A default rule of Azure lets the virtual network in.
    VirtualNetworkAllowed,
}

impl Code {
    /// All, those of the higher severity first.
    pub const ALL: &'static [Self] = &[
        Self::OpenAllProtocols,
        Self::OpenAllPorts,
        Self::OpenAdministration,
        Self::OpenDatabase,
        Self::OpenSqlBrowser,
        Self::Shadowed,
        Self::Redundant,
        Self::Conflicting,
        Self::Unmatchable,
        Self::Ipv6Forgotten,
        Self::Ipv4Forgotten,
        Self::Icmpv6Forgotten,
        Self::EgressWithoutDns,
        Self::EgressWithoutCloudAssistant,
        Self::FtpWithoutPassive,
        Self::RepliesDenied,
        Self::HostBits,
        Self::QuotaRules,
        Self::QuotaAddresses,
        Self::UnusedSuppression,
        Self::UnusedGroup,
        Self::SameAsDefault,
        Self::Generalization,
        Self::Correlated,
        Self::CarrierBlocked,
        Self::SmtpRestricted,
        Self::VirtualNetworkAllowed,
    ];

    /// The name in reports and suppressions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAllProtocols => "open-all-protocols",
            Self::OpenAllPorts => "open-all-ports",
            Self::OpenAdministration => "open-administration",
            Self::OpenDatabase => "open-database",
            Self::OpenSqlBrowser => "open-sql-browser",
            Self::Shadowed => "shadowed",
            Self::Redundant => "redundant",
            Self::Conflicting => "conflicting",
            Self::Unmatchable => "unmatchable",
            Self::Ipv6Forgotten => "ipv6-forgotten",
            Self::Ipv4Forgotten => "ipv4-forgotten",
            Self::Icmpv6Forgotten => "icmpv6-forgotten",
            Self::EgressWithoutDns => "egress-without-dns",
            Self::EgressWithoutCloudAssistant => "egress-without-cloud-assistant",
            Self::FtpWithoutPassive => "ftp-without-passive",
            Self::RepliesDenied => "replies-denied",
            Self::HostBits => "host-bits",
            Self::QuotaRules => "quota-rules",
            Self::QuotaAddresses => "quota-addresses",
            Self::UnusedSuppression => "unused-suppression",
            Self::UnusedGroup => "unused-group",
            Self::SameAsDefault => "same-as-default",
            Self::Generalization => "generalization",
            Self::Correlated => "correlated",
            Self::CarrierBlocked => "carrier-blocked",
            Self::SmtpRestricted => "smtp-restricted",
            Self::VirtualNetworkAllowed => "virtual-network-allowed",
        }
    }

    /// How bad it is, where nothing about the rules makes it milder.
    pub fn severity(self) -> Severity {
        match self {
            Self::OpenAllProtocols
            | Self::OpenAllPorts
            | Self::OpenAdministration
            | Self::OpenDatabase => Severity::Error,
            Self::OpenSqlBrowser
            | Self::Shadowed
            | Self::Redundant
            | Self::Conflicting
            | Self::Unmatchable
            | Self::Ipv6Forgotten
            | Self::Ipv4Forgotten
            | Self::Icmpv6Forgotten
            | Self::EgressWithoutDns
            | Self::FtpWithoutPassive
            | Self::RepliesDenied
            | Self::HostBits
            | Self::QuotaRules
            | Self::QuotaAddresses
            | Self::UnusedSuppression => Severity::Warning,
            Self::EgressWithoutCloudAssistant
            | Self::UnusedGroup
            | Self::SameAsDefault
            | Self::Generalization
            | Self::Correlated
            | Self::CarrierBlocked
            | Self::SmtpRestricted
            | Self::VirtualNetworkAllowed => Severity::Note,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let known = Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            let names = Self::ALL.iter().copied().map(Self::as_str);
            let expected = match nearest(text, names) {
                Some(near) => format!("there is no such code; did you mean `{near}`?"),
                None => "there is no such code; `sgreplay check --codes` lists them".to_owned(),
            };
            FieldError { found: format!("`{text}`"), expected }
        })
    }
}

/// A finding that was looked at and is not to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Which kind.
    pub code: Code,
    /// About which rule, by its id; about any if it is not said.
    pub rule: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it holds, in UTC; for ever if it is not said.
    pub until: Option<Date>,
}
