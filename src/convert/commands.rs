//! Rules as commands of the clouds' command lines, which add them to the groups that there are.

use ipnet::IpNet;

use crate::escape::shell;
use crate::flow::{Direction, Protocol};
use crate::rules::{Cloud, Peer, Policy, PortRange, Ports, Rule, RuleProtocol};

/// Commands that add a rule to a group; none where a rule has what the command line does not take, or the cloud has no
/// command line. Words in capitals are for the user to fill in.
pub fn commands(cloud: Cloud, group: &str, rule: &Rule) -> Vec<String> {
    let peers = cidrs(&rule.peers);
    let (Some(peers), Some(local), Some(ports)) = (peers, cidrs(&rule.local), ranges(&rule.ports))
    else {
        return Vec::new();
    };
    let of = Words { group, rule, peers, local, ports };
    match cloud {
        Cloud::Alibaba => of.alibaba(),
        Cloud::Aws => of.aws(),
        Cloud::Azure => vec![of.azure()],
        Cloud::Google => vec![of.google()],
        Cloud::ClassBench => Vec::new(),
    }
}

fn cidrs(peers: &[Peer]) -> Option<Vec<IpNet>> {
    let net = |peer: &Peer| match peer {
        Peer::Cidr(net) => Some(*net),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => None,
    };
    peers.iter().map(net).collect()
}

fn ranges(ports: &[Ports]) -> Option<Vec<PortRange>> {
    let range = |ports: &Ports| match ports {
        Ports::Range(range) => Some(*range),
        Ports::Any | Ports::List(_) => None,
    };
    ports.iter().map(range).collect()
}

struct Words<'r> {
    group: &'r str,
    rule: &'r Rule,
    peers: Vec<IpNet>,
    /// The near side, where the rule names it.
    local: Vec<IpNet>,
    /// None for any.
    ports: Vec<PortRange>,
}

impl Words<'_> {
    /// One permission for each pair of ports and peer.
    fn alibaba(&self) -> Vec<String> {
        let Self { group, rule, peers, local, ports } = self;
        let (action, far, near) = match rule.direction {
            Direction::Ingress => ("AuthorizeSecurityGroup", "Source", "Dest"),
            Direction::Egress => ("AuthorizeSecurityGroupEgress", "Dest", "Source"),
        };
        let side = |side: &str, net: &IpNet| match net {
            IpNet::V4(_) => format!("{side}CidrIp {net}"),
            IpNet::V6(_) => format!("Ipv6{side}CidrIp {net}"),
        };
        let any = vec!["-1/-1".to_owned()];
        let ports: Vec<String> = match ports.is_empty() {
            true => any,
            false => {
                ports.iter().map(|range| format!("{}/{}", range.first(), range.last())).collect()
            }
        };
        let mut permissions = String::new();
        let pairs = ports.iter().flat_map(|ports| peers.iter().map(move |peer| (ports, peer)));
        for (n, (ports, peer)) in (1..).zip(pairs) {
            let near = local.first().map(|net| format!(" --Permissions.{n}.{}", side(near, net)));
            let protocol = rule.protocol.to_string().to_uppercase();
            let words = format!(
                " --Permissions.{n}.IpProtocol {protocol} --Permissions.{n}.PortRange {ports} --Permissions.{n}.{}{} \
                 --Permissions.{n}.Policy {} --Permissions.{n}.Priority {}",
                side(far, peer),
                near.unwrap_or_default(),
                rule.policy.as_str(),
                rule.priority.get(),
            );
            permissions.push_str(&words);
        }
        vec![format!(
            "aliyun ecs {action} --RegionId REGION --SecurityGroupId {}{permissions}",
            shell(group)
        )]
    }

    fn aws(&self) -> Vec<String> {
        let Self { group, rule, peers, ports, .. } = self;
        let action = match rule.direction {
            Direction::Ingress => "authorize-security-group-ingress",
            Direction::Egress => "authorize-security-group-egress",
        };
        let protocol = match rule.protocol {
            RuleProtocol::All => "-1".to_owned(),
            RuleProtocol::Only(only) => only.to_string(),
        };
        let numbers: Vec<(i64, i64)> = match (rule.icmp, rule.protocol) {
            (Some((kind, code)), _) => vec![(kind.into(), code.map_or(-1, i64::from))],
            (None, RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6)) => vec![(-1, -1)],
            _ => ports.iter().map(|range| (range.first().into(), range.last().into())).collect(),
        };
        let list = |key: &str, field: &str, is_v4: bool| {
            let nets = peers.iter().filter(|net| net.addr().is_ipv4() == is_v4);
            let nets: Vec<String> = nets.map(|net| format!("{{{field}={net}}}")).collect();
            if nets.is_empty() { String::new() } else { format!(",{key}=[{}]", nets.join(",")) }
        };
        let peers = list("IpRanges", "CidrIp", true) + &list("Ipv6Ranges", "CidrIpv6", false);
        let permission = |range: Option<&(i64, i64)>| {
            let ports = range.map(|(from, to)| format!(",FromPort={from},ToPort={to}"));
            shell(&format!("IpProtocol={protocol}{}{peers}", ports.unwrap_or_default()))
        };
        let permissions: Vec<String> = match numbers.is_empty() {
            true => vec![permission(None)],
            false => numbers.iter().map(|range| permission(Some(range))).collect(),
        };
        vec![format!(
            "aws ec2 {action} --group-id {} --ip-permissions {}",
            shell(group),
            permissions.join(" ")
        )]
    }

    fn azure(&self) -> String {
        let Self { group, rule, peers, ports, .. } = self;
        let (direction, side) = match rule.direction {
            Direction::Ingress => ("Inbound", "source"),
            Direction::Egress => ("Outbound", "destination"),
        };
        let access = if rule.policy == Policy::Accept { "Allow" } else { "Deny" };
        let protocol = match rule.protocol {
            RuleProtocol::All => "'*'".to_owned(),
            RuleProtocol::Only(Protocol::TCP) => "Tcp".to_owned(),
            RuleProtocol::Only(Protocol::UDP) => "Udp".to_owned(),
            RuleProtocol::Only(Protocol::ICMP | Protocol::ICMPV6) => "Icmp".to_owned(),
            RuleProtocol::Only(other) => other.to_string(),
        };
        format!(
            "az network nsg rule create --resource-group RESOURCE_GROUP --nsg-name {} --name {} --priority {} \
             --direction {direction} --access {access} --protocol {protocol} --{side}-address-prefixes {} \
             --destination-port-ranges {}",
            shell(group),
            self.name(),
            rule.priority.get(),
            joined(peers, " "),
            if ports.is_empty() { "'*'".to_owned() } else { joined(&spans(ports), " ") },
        )
    }

    fn google(&self) -> String {
        let Self { group, rule, peers, ports, .. } = self;
        let (direction, side) = match rule.direction {
            Direction::Ingress => ("INGRESS", "source"),
            Direction::Egress => ("EGRESS", "destination"),
        };
        let action = if rule.policy == Policy::Accept { "ALLOW" } else { "DENY" };
        let protocol = match rule.protocol {
            // gcloud has no name for it.
            RuleProtocol::Only(Protocol::ICMPV6) => "58".to_owned(),
            other => other.to_string(),
        };
        let services: Vec<String> = match ports.is_empty() {
            true => vec![protocol],
            false => spans(ports).iter().map(|ports| format!("{protocol}:{ports}")).collect(),
        };
        let tags = match rule.targets.is_empty() {
            true => String::new(),
            false => format!(" --target-tags {}", shell(&rule.targets.join(","))),
        };
        format!(
            "gcloud compute firewall-rules create {} --network {} --direction {direction} --action {action} --priority \
             {} --rules {} --{side}-ranges {}{tags}",
            self.name(),
            shell(group),
            rule.priority.get(),
            services.join(","),
            joined(peers, ","),
        )
    }

    /// The rule's name as clouds take it.
    fn name(&self) -> String {
        let name = self.rule.id.to_string().to_lowercase();
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        name.trim_matches('-').to_owned()
    }
}

fn joined(items: &[impl ToString], between: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// `22`, `8000-8999`
fn spans(ports: &[PortRange]) -> Vec<String> {
    let span = |range: &PortRange| match range.first() == range.last() {
        true => range.first().to_string(),
        false => format!("{}-{}", range.first(), range.last()),
    };
    ports.iter().map(span).collect()
}
