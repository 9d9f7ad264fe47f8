//! The arguments of `sgreplay explain`.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use sgreplay::flow::Direction;
use sgreplay::rules::RuleProtocol;

use crate::args::{TextOrJson, cidr, direction, whole};
use crate::command::judging::SwitchArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay explain --rules web.yaml --direction ingress --proto tcp --src 203.0.113.9:40000 --dst 10.0.0.5:22
  sgreplay explain --rules web.yaml --frame 17 ssh.pcap")]
pub(crate) struct ExplainArgs {
    /// The rules; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    /// The packet's direction at the interface
    #[arg(long, value_name = "WAY", required_unless_present = "frame", value_parser = direction)]
    pub direction: Option<Direction>,
    /// tcp, udp, icmp, icmpv6, gre, or a number
    #[arg(long, value_name = "PROTOCOL", required_unless_present = "frame")]
    pub proto: Option<RuleProtocol>,
    /// Source, with its port where there is one: 203.0.113.9:40000, [`2001:db8::9`]:40000
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present = "frame", value_parser = endpoint)]
    pub src: Option<Endpoint>,
    /// Destination: 10.0.0.5:22, 10.0.0.5:SSH
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present = "frame", value_parser = endpoint)]
    pub dst: Option<Endpoint>,
    /// ICMP type, and code after a slash; an echo request if not given
    #[arg(long, value_name = "TYPE[/CODE]", value_parser = icmp_type)]
    pub icmp_type: Option<(u8, u8)>,
    /// The interface, where the rules file lists several and the address does not tell
    #[arg(long, value_name = "ENI")]
    pub interface: Option<String>,
    /// A packet of a capture instead, as `replay` judges it
    #[arg(long, value_name = "N", value_parser = whole::<u64>, requires = "capture", conflicts_with_all = ["direction", "proto", "src", "dst", "icmp_type", "interface"])]
    pub frame: Option<u64>,
    /// The capture; `-` is standard input
    #[arg(value_name = "CAPTURE", requires = "frame")]
    pub capture: Option<PathBuf>,
    /// With --frame: look at the packet inside a tunnel instead, as in replay
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',')]
    pub decap: Vec<String>,
    /// With --frame: addresses of the one interface, where the rules file lists none
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
    /// Text for people, json for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TextOrJson,
}

/// An address, and what was written after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub addr: IpAddr,
    pub port: Option<String>,
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
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

fn icmp_type(text: &str) -> Result<(u8, u8), String> {
    let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
    let numbers = kind.parse().ok().zip(code.parse().ok());
    numbers.ok_or_else(|| "expected a type such as 8, or type and code such as 3/4".to_owned())
}
