//! The texts of the files.

use std::fmt::Write;
use std::path::Path;

use sgreplay::escape;
use sgreplay::flow::Direction;
use sgreplay::parse;
use sgreplay::report::{Learned, plural};
use sgreplay::rules::{Peer, Policy, Ports, Rule, RuleSet, cidr_text, services};
use sgreplay::suggest::{Observation, count};

use super::{CONFIG, CURRENT, InitArgs, PROPOSED, captures};
use crate::command::schema;
use crate::command::suggest::Suggested;

/// A rules file that says what it is for, and of each rule what it was made of.
pub(super) fn rules_file(name: &str, args: &InitArgs, found: &Suggested) -> String {
    let Suggested { learned, rules, observed, .. } = found;
    let (connections, captures) = (plural(learned.connections, "connection"), captures(args));
    let mut out = schema::modeline("rules");
    let mut say = |line: &str| {
        let _ = writeln!(out, "# {}", escape::line(line));
    };
    match name {
        CURRENT => {
            say(
                "The rules in force. These stand for them: put what your cloud prints in their place, or name that file",
            );
            say(&format!(
                "under `current:` in {CONFIG}. `sgreplay convert --help` lists the formats."
            ));
        }
        _ => {
            say(
                "The rules to try. Change them; `sgreplay ci` says what the change does to the traffic that was captured.",
            );
        }
    }
    say("");
    let allowed = match args.current {
        Some(_) => format!("the {connections} of {captures} that the current rules allow"),
        None => format!("the {connections} of {captures}"),
    };
    say(&format!("Made by `sgreplay init`: they allow {allowed}, and nothing else."));
    if learned.scans > 0 {
        say(&format!("{} left out as scans.", plural(learned.scans, "connection")));
    }
    say(
        "A rule has a direction, a protocol, ports or service names (`sgreplay services`) and a source or destination:",
    );
    say(
        "  {id: sgr-office, direction: ingress, protocol: tcp, ports: SSH, source: 203.0.113.0/24}",
    );
    say("`0.0.0.0/0` is any IPv4 address, `::/0` any IPv6 address.");
    out.replace("# \n", "#\n") + &commented(rules, observed)
}

/// The rules with a comment above each.
fn commented(rules: &RuleSet, observed: &[Observation]) -> String {
    const RULE: &str = "      - ";
    let mut all = rules
        .groups()
        .iter()
        .enumerate()
        .flat_map(|(group, of)| of.rules.iter().map(move |rule| (group, rule)));
    let mut out = String::new();
    for line in parse::print(rules).lines() {
        // Only rules are indented so far.
        if line.starts_with(RULE)
            && let Some((group, rule)) = all.next()
        {
            let _ = writeln!(out, "      # {}", escape::line(&made_of(group, rule, observed)));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The connections that a rule allows, in words.
fn made_of(group: usize, rule: &Rule, observed: &[Observation]) -> String {
    const SHOWN: usize = 4;
    if rule.policy == Policy::Drop {
        return match rule.direction {
            Direction::Ingress => "everything else to the instance".to_owned(),
            Direction::Egress => {
                "everything else from the instance: egress is an allow-list".to_owned()
            }
        };
    }
    let has_port = |port: u16| {
        rule.ports.iter().any(|ports| matches!(ports, Ports::Range(range) if range.contains(port)))
    };
    let fits = |one: &&Observation| {
        let port = one.flow.transport.ports().map(|(_, port)| port);
        one.interface == group
            && one.direction == rule.direction
            && rule.protocol.matches(one.flow.proto)
            && (rule.ports.is_empty() || port.is_some_and(has_port))
            && rule
                .peers
                .iter()
                .any(|peer| matches!(peer, Peer::Cidr(net) if net.contains(&one.peer)))
    };
    let made_of: Vec<Observation> = observed.iter().filter(fits).copied().collect();
    let mut names: Vec<String> = made_of.iter().map(|one| services::of_flow(&one.flow)).collect();
    let mut peers: Vec<String> = made_of.iter().map(|one| cidr_text(&one.peer)).collect();
    for list in [&mut names, &mut peers] {
        list.sort();
        list.dedup();
        let more = list.len().saturating_sub(SHOWN);
        list.truncate(SHOWN);
        if more > 0 {
            list.push(format!("{more} more"));
        }
    }
    let way = if rule.direction == Direction::Ingress { "from" } else { "to" };
    let connections = plural(count(&made_of), "connection");
    format!("{}: {connections} {way} {}", names.join(", "), peers.join(", "))
}

/// What `sgreplay ci` asks.
pub(super) fn config(args: &InitArgs, learned: &Learned) -> String {
    let word = |path: &Path| parse::quoted(&from_dir(path, &args.dir));
    let current = args.current.as_deref().map_or_else(|| CURRENT.to_owned(), word);
    let captures: Vec<String> = args.captures.iter().map(|path| word(path)).collect();
    let how = match learned.local.assumed {
        true => format!("inferred: {}", learned.local.why),
        false => "as said to `sgreplay init`".to_owned(),
    };
    let mut out = schema::modeline("ci");
    let _ = write!(
        out,
        "# What is asked of the rules: `sgreplay ci {CONFIG}`. Paths are relative to this file.\n\
         current: {current}\n\
         proposed: {PROPOSED}\n\
         captures: [{}]\n\
         # The instance's addresses ({})\n\
         local: [{}]\n",
        captures.join(", "),
        escape::line(&how),
        learned
            .local
            .addresses
            .iter()
            .map(|text| parse::quoted(text))
            .collect::<Vec<_>>()
            .join(", "),
    );
    for (key, list) in [("decap", &args.decap), ("groups", &args.groups)] {
        if !list.is_empty() {
            let list: Vec<String> = list.iter().map(|text| parse::quoted(text)).collect();
            let _ = writeln!(out, "{key}: [{}]", list.join(", "));
        }
    }
    out.push_str(
        "# The proposal fails if a connection is newly denied, or `sgreplay check` finds a new error.\n\
         fail_on: [newly-denied, new-error]\n\
         # Also: newly-allowed, new-warning, error, warning, expectations.\n\
         # expectations: expectations.yaml   # what must hold for every possible packet: `sgreplay test --help`\n\
         # accept: accepted.yaml             # approved changes: `sgreplay diff --help`\n\
         # markdown: summary.md              # for a pull request; also sarif, junit, code_quality\n",
    );
    out
}

/// A path as a file in a directory names it: relative where both are relative and the directory is this one.
fn from_dir(path: &Path, dir: &Path) -> String {
    let is_here = dir.components().all(|part| part == std::path::Component::CurDir);
    let path = match is_here || path.is_absolute() {
        true => path.to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    };
    path.to_string_lossy().into_owned()
}
