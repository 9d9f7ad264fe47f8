//! The neutral table: a row per rule, the same columns for every format that is read.

use ipnet::IpNet;

use crate::escape;
use crate::parse::{Found, Loaded, tag_or_account};
use crate::rules::{Cloud, Peer, Policy, PortRange, Ports, Rule, RuleId, RuleProtocol};

/// Its columns.
pub const TABLE_COLUMNS: [&str; 13] = [
    "side",
    "group",
    "direction",
    "protocol",
    "peer",
    "local",
    "src_ports",
    "dst_ports",
    "action",
    "priority",
    "id",
    "description",
    "note",
];

/// Writes the table of one rule set, or of both sides of a plan, each under its name.
///
/// # Errors
/// None, but for those of writing into memory.
pub fn table_csv(sides: &[(&str, &Loaded)]) -> std::io::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(TABLE_COLUMNS)?;
    let rows = sides.iter().flat_map(|(side, loaded)| {
        let cloud = loaded.cloud();
        loaded.rules().map(move |(group, found)| row(side, group, found, cloud))
    });
    for row in rows {
        csv.write_record(row.iter().map(|cell| escape::csv(cell).into_owned()))?;
    }
    let bytes = csv.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

fn row(side: &str, group: &str, found: &Found, cloud: Cloud) -> [String; 13] {
    let Found { rule, listed_as, note, later, .. } = found;
    let Rule {
        id,
        direction,
        policy,
        priority,
        protocol,
        ports,
        source_ports,
        peers,
        local,
        icmp,
        targets,
        nic_type: _,
        create_time: _,
        fixed: _,
        description,
    } = rule;
    let named = match (id, listed_as) {
        (_, Some(name)) | (RuleId::Named(name), None) => name.clone(),
        (RuleId::Numbered { .. }, None) => String::new(),
    };
    let peer = later.peer.clone().unwrap_or_else(|| joined(far_sides(peers, cloud)));
    // Google Cloud's targets are in the note.
    let groups = targets.iter().filter(|_| cloud == Cloud::Azure);
    let groups = groups.map(|group| format!("asg:{group}"));
    let near = joined(far_sides(local, cloud).chain(groups));
    let near = later.local.clone().unwrap_or(near);
    [
        side.to_owned(),
        group.to_owned(),
        direction.to_string(),
        match protocol {
            RuleProtocol::All => "all".to_owned(),
            RuleProtocol::Only(proto) => proto.0.to_string(),
        },
        peer,
        // Azure writes `*` there, others nothing.
        if cloud == Cloud::Azure { any(near) } else { near },
        any(joined(source_ports.iter().copied().map(range))),
        match icmp {
            Some(icmp) => super::icmp_words(*icmp),
            None => any(joined(ports.iter().filter_map(|ports| match ports {
                Ports::Any => None,
                Ports::Range(of) => Some(range(*of)),
                Ports::List(id) => Some(id.clone()),
            }))),
        },
        match policy {
            Policy::Accept => "allow",
            Policy::Drop => "deny",
        }
        .to_owned(),
        priority.get().to_string(),
        named,
        description.clone().unwrap_or_default(),
        note.clone(),
    ]
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(";")
}

fn any(text: String) -> String {
    if text.is_empty() { "any".to_owned() } else { text }
}

/// One after the other; Azure's `*`, which is both families, in a word.
fn far_sides(peers: &[Peer], cloud: Cloud) -> impl Iterator<Item = String> {
    let is_any = |peer: &Peer| matches!(peer, Peer::Cidr(net) if net.prefix_len() == 0);
    let both = cloud == Cloud::Azure && peers.iter().filter(|peer| is_any(peer)).count() == 2;
    let others = peers.iter().filter(move |peer| !(both && is_any(peer)));
    let others = others.map(move |peer| match peer {
        Peer::Cidr(of) => net(of),
        Peer::Tag(name) if cloud == Cloud::Google => tag_or_account(name),
        Peer::Group(_) | Peer::PrefixList(_) | Peer::Tag(_) => peer.to_string(),
    });
    both.then(|| "any".to_owned()).into_iter().chain(others)
}

fn net(net: &IpNet) -> String {
    format!("{}/{}", net.network(), net.prefix_len())
}

fn range(range: PortRange) -> String {
    format!("{}-{}", range.first(), range.last())
}
