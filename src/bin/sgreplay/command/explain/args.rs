//! The arguments of `sgreplay explain`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use sgreplay::flow::Direction;
use sgreplay::rules::RuleProtocol;

use crate::args::{TextOrJson, cidr, direction, whole};
use crate::command::judging::SwitchArgs;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sgreplay explain [OPTIONS] --rules <RULES> <PACKET>\n       sgreplay explain [OPTIONS] --rules <RULES> --frame <N> <CAPTURE>\n       sgreplay explain [OPTIONS] --rules <RULES> <ID> <CAPTURE>",
    after_help = "Examples:
  sgreplay explain --rules web.yaml --local 10.0.0.5 'tcp 203.0.113.9:40000 > 10.0.0.5:22'
  sgreplay explain --rules web.yaml --direction ingress --proto tcp --src 203.0.113.9:40000 --dst 10.0.0.5:22
  sgreplay explain --rules web.yaml --frame 17 ssh.pcap
  sgreplay explain --rules web.yaml 1:F+VSc3xWBFTTISaRXia2FUkMQas= ssh.pcap"
)]
pub(crate) struct ExplainArgs {
    /// Read the rules from a file or directory
    ///
    /// Read the rules from a file or directory, or from standard input (`-`)
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub rules: Option<PathBuf>,
    /// Set the direction: ingress or egress
    ///
    /// Set the direction of the packet at the interface: ingress or egress
    #[arg(long, value_name = "WAY", required_unless_present_any = ["frame", "what"], value_parser = direction, help_heading = "Packet")]
    pub direction: Option<Direction>,
    /// Set the protocol: tcp, udp, icmp, icmpv6, gre, or a number
    #[arg(
        long,
        value_name = "PROTOCOL",
        required_unless_present_any = ["frame", "what"],
        help_heading = "Packet"
    )]
    pub proto: Option<RuleProtocol>,
    /// Set the source address and port
    ///
    /// Set the source address, and its port if the protocol has ports: 203.0.113.9:40000, or an IPv6 address in brackets
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present_any = ["frame", "what"], value_parser = endpoint, help_heading = "Packet")]
    pub src: Option<Endpoint>,
    /// Set the destination address and port
    ///
    /// Set the destination address, and its port or service if the protocol has ports: 10.0.0.5:22, 10.0.0.5:SSH
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present_any = ["frame", "what"], value_parser = endpoint, help_heading = "Packet")]
    pub dst: Option<Endpoint>,
    /// Set the ICMP type and code [default: echo request]
    #[arg(long, value_name = "TYPE[/CODE]", value_parser = icmp_type, help_heading = "Packet")]
    pub icmp_type: Option<(u8, u8)>,
    /// Choose the interface
    ///
    /// Choose the interface, if the rules list several and the address does not tell
    #[arg(long, value_name = "ENI", help_heading = "Packet")]
    pub interface: Option<String>,
    /// Explain packet N of a capture, as `replay` judges it
    #[arg(long, value_name = "N", value_parser = whole::<u64>, requires = "what", conflicts_with_all = ["direction", "proto", "src", "dst", "icmp_type", "interface"], help_heading = "Input")]
    pub frame: Option<u64>,
    /// Packet in one line, or a capture behind a Community ID or with --frame
    ///
    /// A packet in one line: as this program prints it ('tcp 203.0.113.9:40000 > 10.0.0.5:22', with `ingress eni-web`
    /// before it where it is known), a line of `tcpdump -n`, or a record of Zeek's conn.log. With --frame: the capture
    /// that has it, or `-` for standard input. A Community ID (1:…, as Zeek, Suricata and `--per connection` print it) stands
    /// for the first packet of that connection in the capture behind it.
    #[arg(value_name = "PACKET|ID|CAPTURE", conflicts_with_all = ["proto", "src", "dst", "icmp_type"])]
    pub what: Vec<PathBuf>,
    /// Judge the packet inside a tunnel, e.g. vxlan
    ///
    /// Judge the packet inside a tunnel, as in `replay` (with --frame)
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',', help_heading = "Input")]
    pub decap: Vec<String>,
    /// Set the addresses of the instance [default: inferred]
    ///
    /// Set the addresses of the one interface, for rules that list no interfaces (with --frame)
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
    /// Choose the output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: TextOrJson,
}

impl ExplainArgs {
    /// The rules, which [`Command::take_rules`] has taken from the positional arguments where no option names them.
    ///
    /// [`Command::take_rules`]: crate::args::Command::take_rules
    pub(super) fn rules(&self) -> &Path {
        self.rules.as_deref().unwrap_or(Path::new(""))
    }

    /// The packet in one line, or the capture.
    pub(super) fn what(&self) -> Option<&Path> {
        let behind = usize::from(self.community_id().is_some());
        self.what.get(behind).map(PathBuf::as_path)
    }

    /// The Community ID of a connection of the capture behind it: `1:` and 20 bytes in base 64.
    pub(crate) fn community_id(&self) -> Option<&str> {
        let word = self.what.first()?.to_str()?;
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let digest = word.strip_prefix("1:")?;
        (digest.len() == 28 && digest.chars().all(is_base64)).then_some(word)
    }
}

/// An address, and what was written after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub addr: IpAddr,
    pub port: Option<String>,
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let expected = || "expected 10.0.0.5:22, [2001:db8::5]:22, or an address alone".to_owned();
    if let Ok(addr) = text.parse() {
        return Ok(Endpoint { addr, port: None });
    }
    let (addr, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let bare = addr.strip_prefix('[').and_then(|addr| addr.strip_suffix(']')).unwrap_or(addr);
    let addr: IpAddr = bare.parse().map_err(|_| expected())?;
    if addr.is_ipv6() && bare.len() == text.len() - port.len() - 1 {
        return Err("put an IPv6 address in brackets before a port: [2001:db8::5]:22".to_owned());
    }
    Ok(Endpoint { addr, port: Some(port.to_owned()) })
}

pub(super) fn icmp_type(text: &str) -> Result<(u8, u8), String> {
    let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
    let numbers = kind.parse().ok().zip(code.parse().ok());
    numbers.ok_or_else(|| "expected a type such as 8, or type and code such as 3/4".to_owned())
}
