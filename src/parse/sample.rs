//! Small rule sets of many shapes, for tests: groups whose members reach each other, network ACLs, near sides,
//! interfaces with several addresses and with networks, all in a universe so small that everything meets.

use std::fmt::Write;

use crate::rules::RuleSet;

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn one_of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        let position = self.below(words.len() as u64);
        usize::try_from(position).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
    }

    fn address(&mut self, v6: bool) -> String {
        match (v6, self.below(9)) {
            (false, 0) => "0.0.0.0/0".to_owned(),
            (false, 1) => "10.0.0.0/28".to_owned(),
            (false, 2) => "10.0.0.4/30".to_owned(),
            (false, 3) => "10.0.0.0/8".to_owned(),
            (false, _) => format!("10.0.0.{}", 1 + self.below(11)),
            (true, 0..2) => "::/0".to_owned(),
            (true, 2..4) => "2001:db8::/64".to_owned(),
            (true, _) => format!("2001:db8::{}", 1 + self.below(4)),
        }
    }
}

/// The rules file of a seed.
pub(crate) fn text(seed: u64) -> String {
    let mut random = Random(seed);
    let groups = 1 + random.below(3);
    let mut out = "security_groups:\n".to_owned();
    for group in 0..groups {
        let inner = random.one_of(&["accept", "drop"]);
        let _ = writeln!(out, "  - id: sg-{group}\n    inner_access_policy: {inner}\n    rules:");
        rules(&mut out, &mut random, |random, v6| match random.below(4) {
            0 if groups > 1 => (format!("sg-{}", (group + 1) % groups), None),
            _ => {
                let near = (random.below(3) == 0).then(|| random.address(v6));
                (random.address(v6), near)
            }
        });
    }
    let acls = random.below(3) == 0;
    if acls {
        out.push_str("network_acls:\n  - id: acl-0\n    networks: [10.0.0.0/29]\n    rules:\n");
        rules(&mut out, &mut random, |random, v6| (random.address(v6), None));
    }
    out.push_str("interfaces:\n");
    for number in 0..2 + random.below(12) {
        let mut addresses = Vec::new();
        for _ in 0..=random.below(2) {
            addresses.push(match random.below(6) {
                0 => "10.0.0.4/30".to_owned(),
                1 | 2 => format!("\"2001:db8::{}\"", 1 + random.below(4)),
                _ => format!("10.0.0.{}", 1 + random.below(11)),
            });
        }
        addresses.dedup();
        let first = random.below(groups);
        let second = match random.below(2) {
            0 if groups > 1 => format!(", sg-{}", (first + 1) % groups),
            _ => String::new(),
        };
        let addresses = addresses.join(", ");
        let _ = writeln!(
            out,
            "  - {{id: eni-{number}, addresses: [{addresses}], security_groups: [sg-{first}{second}]}}"
        );
    }
    out
}

fn rules(
    out: &mut String,
    random: &mut Random,
    peers: impl Fn(&mut Random, bool) -> (String, Option<String>),
) {
    for number in 1..=1 + random.below(6) {
        let direction = random.one_of(&["ingress", "egress"]);
        let v6 = random.below(4) == 0;
        let (peer, near) = peers(random, v6);
        let (far, side) = match direction {
            "ingress" => ("source", "destination"),
            _ => ("destination", "source"),
        };
        let near = near.filter(|near| *near != peer);
        let near = near.map_or_else(String::new, |near| format!(", {side}: \"{near}\""));
        let policy = random.one_of(&["accept", "drop"]);
        let ports = random.one_of(&["22", "80", "20/90", "1/65535"]);
        // Numbers of rules of a network ACL, of which no two are equal.
        let _ = writeln!(
            out,
            "      - {{direction: {direction}, policy: {policy}, priority: {number}, protocol: tcp, ports: {ports}, \
             {far}: \"{peer}\"{near}}}"
        );
    }
}

/// The rules of a seed; none where the cloud would refuse them.
pub(crate) fn rule_set(seed: u64) -> Option<RuleSet> {
    super::yaml("sample.yaml", &text(seed)).ok()
}
