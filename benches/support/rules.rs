//! Seeded security groups, shaped as people write them: few services, many peers, a drop here and there.

use std::fmt::Write;

use super::traffic::{Random, SERVICES};

/// The use cases of the cloud's documents, an interface each.
pub(crate) const SCENARIOS: &str = include_str!("scenarios.yaml");

/// A rules file of one group with this many rules.
pub(crate) fn rules_file(rules: usize) -> String {
    let mut random = Random(7);
    let mut text = "security_groups:\n  - id: sg-bench\n    rules:\n".to_owned();
    for number in 0..rules {
        let [a, b, c, d, ..] = random.next().to_le_bytes();
        let length = [8, 16, 24, 24, 32, 32][random.below(6) as usize];
        let ports = match random.below(4) {
            0 => format!("{0}/{1}", 1024 + random.below(1000), 3000 + random.below(60_000)),
            _ => SERVICES[random.below(SERVICES.len() as u64) as usize].to_string(),
        };
        let policy = if random.below(4) == 0 { "drop" } else { "accept" };
        let protocol = if random.below(5) == 0 { "udp" } else { "tcp" };
        let priority = 1 + random.below(100);
        writeln!(
            text,
            "      - {{id: r{number}, direction: ingress, policy: {policy}, priority: {priority}, \
             protocol: {protocol}, ports: {ports}, source: {}.{b}.{c}.{d}/{length}}}",
            a % 222 + 1,
        )
        .expect("text grows");
    }
    text
}
