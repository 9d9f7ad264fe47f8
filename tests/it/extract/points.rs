//! Captures that were made at interfaces: their packets are judged there alone, in parts as on one machine.

use std::path::{Path, PathBuf};

use sgreplay::Error;
use sgreplay::decode::Tunnels;
use sgreplay::engine::{Binding, CapturePoint};
use sgreplay::extract::{CapturePoints, Record, Scope};
use sgreplay::replay::Options;
use sgreplay::rules::RuleSet;
use sgreplay::sources::Order;

use super::{
    ASKED, asked_of_one, by_parts, changed, compared_by_one, compared_by_parts, equal, extract,
    extract_of, merge_of, options, seeds,
};
use crate::support::adversarial::{Files, FrameAt, SECOND, adversarial, overlapping, pcapng_at};
use crate::support::{Dice, ipv4};

/// Two interfaces have one address, and one lets in what the other does not; a third has connections with both.
pub(super) const TWINS: &str = "
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: web6, direction: ingress, protocol: tcp, ports: 80/443, source: '::/0'},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 198.51.100.0/24},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 0.0.0.0/0, policy: drop}]}
  - {id: sg-db, inner_access_policy: drop, rules: [
      {id: db, direction: ingress, protocol: tcp, ports: 5432, source: 10.0.0.0/24},
      {id: ping, direction: ingress, protocol: icmp, source: 10.0.0.0/24}]}
interfaces:
  - {id: web, addresses: [10.0.0.5, '2001:db8::5'], security_groups: [sg-web]}
  - {id: twin, addresses: [10.0.0.5, 10.0.0.9], security_groups: [sg-db], timeouts: {udp: 10}}
  - {id: db, addresses: [10.0.0.6, '2001:db8::6'], security_groups: [sg-db, sg-web]}
  - {id: spare, addresses: [10.0.0.77], security_groups: [sg-db]}
";

/// What pcapng calls the interfaces of the capturing machine; some are none of the rules.
const NAMES: [&str; 5] = ["lo", "eth0", "eth1", "eth2", "eth9"];

pub(super) fn point(interface: &str, source: &str) -> CapturePoint {
    CapturePoint { interface: interface.to_owned(), source: source.to_owned() }
}

fn twins() -> RuleSet {
    sgreplay::parse::yaml("rules.yaml", TWINS).unwrap()
}

/// The same interfaces in another order, and other rules.
fn changed_twins() -> RuleSet {
    let (groups, interfaces) = TWINS.split_once("interfaces:\n").unwrap();
    let reversed: Vec<&str> = interfaces.lines().rev().collect();
    let text = format!("{}interfaces:\n{}\n", changed(groups), reversed.join("\n"));
    sgreplay::parse::yaml("rules.yaml", &text).unwrap()
}

/// Frames that are seen at one interface or at two, as at both ends of a connection, there a little later where
/// captures may overlap.
fn at_interfaces(seed: u64, files: &Files, overlap: bool) -> Vec<Vec<FrameAt>> {
    let mut dice = Dice(seed + 2_000);
    let at = |dice: &mut Dice| dice.one_of(&[0, 1, 1, 1, 2, 2, 3, 3, 4]);
    let of_file = |frames: &Vec<(Option<u64>, Vec<u8>)>| {
        // Most of a file is seen at the same two interfaces, so that much collapses.
        let usual = [at(&mut dice), at(&mut dice)];
        let mut all: Vec<FrameAt> = Vec::new();
        for (time, packet) in frames {
            let rare = dice.throw(6) == 0;
            let first = if rare { at(&mut dice) } else { usual[0] };
            let later = if overlap { dice.throw(2) as u64 } else { 0 };
            all.push((first, *time, packet.clone()));
            if let (Some(time), 0) = (time, dice.throw(2)) {
                let second = if rare { at(&mut dice) } else { usual[1] };
                all.push((second, Some(time + later), packet.clone()));
            }
        }
        all
    };
    files.iter().map(of_file).collect()
}

/// Writes captures, and says where they were made: some as a whole, others as pcapng names it.
fn write(dir: &Path, files: &[Vec<FrameAt>]) -> (Vec<PathBuf>, Binding) {
    let mut interfaces = vec![
        point("web", "eth0"),
        point("twin", "eth1"),
        point("db", "eth2"),
        point("spare", "eth3"),
    ];
    let paths = files.iter().enumerate().map(|(n, frames)| {
        let path = dir.join(format!("{n:02}.pcapng"));
        std::fs::write(&path, pcapng_at(&NAMES, frames)).unwrap();
        if let Some(eni) = [None, None, Some("twin"), Some("web"), Some("db")][n % 5] {
            interfaces.push(point(eni, path.to_str().unwrap()));
        }
        path
    });
    let paths = paths.collect();
    (paths, Binding { interfaces, ..Binding::default() })
}

/// As the captures are named.
pub(super) fn points(binding: &Binding, paths: &[PathBuf]) -> CapturePoints {
    let capture = |of: &CapturePoint| {
        let named = paths.iter().position(|path| path.to_str() == Some(&of.source));
        named.map(|n| u32::try_from(n).unwrap())
    };
    binding.interfaces.iter().map(|of| (of.clone(), capture(of))).collect()
}

fn scope(rules: &RuleSet, binding: &Binding, paths: &[PathBuf]) -> Result<Scope, Error> {
    let captures = u32::try_from(paths.len()).unwrap();
    Scope::made_at(rules, Tunnels::default(), captures, points(binding, paths))
}

#[test]
fn packets_are_judged_at_their_capture_points() {
    let (rules, proposed) = (twins(), changed_twins());
    for seed in seeds() {
        let options = options(seed);
        let hosts = if seed.is_multiple_of(2) { 40 } else { 250 };
        let files = [adversarial(seed, 8_000, hosts), overlapping(seed, 8_000, hosts)];
        for (files, overlap) in files.iter().zip([false, true]) {
            let dir = tempfile::tempdir().unwrap();
            let (paths, binding) = write(dir.path(), &at_interfaces(seed, files, overlap));
            let scope = scope(&rules, &binding, &paths).unwrap().and(&proposed).unwrap();
            let extract = match overlap {
                true => merge_of(&scope, &paths).unwrap(),
                false => extract_of(&scope, &paths, Order::Time).unwrap(),
            };
            let what = |parts: u64| format!("overlapping: {overlap}, {parts} parts, seed {seed}");
            for rules in [&rules, &proposed] {
                let one = asked_of_one(rules, &paths, (Order::Time, options), ASKED, &binding);
                for parts in [1, 5] {
                    let found = by_parts(rules, &extract, parts, options).unwrap();
                    equal(&one, &found, &what(parts));
                }
                for says in ["\"twin\"", "\"web\"", "\"db\"", "connection_denied", "after_close"] {
                    assert!(one.join("\n").contains(says), "{says} occurs, seed {seed}");
                }
            }
            for both in [[&rules, &proposed], [&proposed, &rules]] {
                let one = compared_by_one(both, &paths, options, &binding);
                let parts = 1 + 4 * (seed % 2);
                let found = compared_by_parts(both, &extract, parts, options).unwrap();
                equal(&one, &found, &what(parts));
                for effect in ["newly_denied,", "newly_allowed,"] {
                    assert!(one.join("\n").contains(effect), "{effect} seed {seed}");
                }
            }
            let packets: u64 = extract.records.iter().map(Record::packets).sum();
            let records = extract.records.len() as u64;
            assert!(records * 10 < packets * 9, "packets collapse: {records} of {packets}");
            assert_eq!(extract.timeline.unseen(), [point("spare", "eth3")], "seed {seed}");
        }
    }
}

/// A transfer that is captured at both of its ends is two handfuls of records, though the packets of both come in turns.
#[test]
fn a_transfer_between_two_points_collapses() {
    let packet = |n: u64| {
        let (client, server) = ("10.0.0.6:40000", "10.0.0.5:80");
        let ends = if n.is_multiple_of(3) { [server, client] } else { [client, server] };
        let (ends, flags) = if n == 0 { ([client, server], "S") } else { (ends, ".") };
        let time = (1_700_000_000 + n) * SECOND;
        [3, 1].map(|at| (at, Some(time + at as u64), ipv4(ends[0], ends[1], flags)))
    };
    let dir = tempfile::tempdir().unwrap();
    let frames: Vec<FrameAt> = (0..2_000).flat_map(packet).collect();
    let (paths, binding) = write(dir.path(), &[frames]);
    let extract = extract_of(&scope(&twins(), &binding, &paths).unwrap(), &paths, Order::Time);
    let extract = extract.unwrap();
    assert_eq!(extract.records.len(), 4, "the opening packet and the rest, at each end");
    let found = by_parts(&twins(), &extract, 1, Options::default()).unwrap();
    let how = (Order::Time, Options::default());
    equal(&asked_of_one(&twins(), &paths, how, ASKED, &binding), &found, "a transfer");
}

/// A packet that was seen at no interface alone has the sessions of both ends, so that it ends the runs there.
#[test]
fn a_packet_of_no_point_stands_between_those_of_points() {
    let ends = ["10.0.0.6:40000", "10.0.0.9:5432"];
    let seen = [
        (0, "S", 0),
        (3, ".", 1),
        (3, ".", 2),
        (0, "R", 3),
        (3, ".", 5_000),
        (2, ".", 5_001),
        (0, ".", 5_002),
        (3, ".", 5_003),
        (0, "S", 5_004),
        (2, ".", 5_005),
        (3, ".", 5_006),
    ];
    let frames = seen.into_iter().map(|(at, flags, second)| {
        (at, Some((1_700_000_000 + second) * SECOND), ipv4(ends[0], ends[1], flags))
    });
    let dir = tempfile::tempdir().unwrap();
    let (paths, binding) = write(dir.path(), &[frames.collect()]);
    let how = (Order::Time, Options::default());
    let one = asked_of_one(&twins(), &paths, how, ASKED, &binding);
    assert!(one.iter().any(|line| line.contains("after_close")), "{one:#?}");
    let extract = extract_of(&scope(&twins(), &binding, &paths).unwrap(), &paths, Order::Time);
    let found = by_parts(&twins(), &extract.unwrap(), 1, Options::default()).unwrap();
    equal(&one, &found, "in between");
}

#[test]
fn an_extract_is_for_rules_with_its_capture_points() {
    let dir = tempfile::tempdir().unwrap();
    let frame = (1, Some(1_700_000_000 * SECOND), ipv4("198.51.100.7:40000", "10.0.0.5:80", "S"));
    let (paths, binding) = write(dir.path(), &[vec![frame]]);
    let shared = extract(&twins(), &paths, Order::Time).map(drop).unwrap_err().to_string();
    assert!(shared.contains("10.0.0.5/32 belongs to interface `web` and to `twin`"), "{shared}");
    let of = |text: &str| sgreplay::parse::yaml("rules.yaml", text).unwrap();
    let unknown = of(&TWINS.replace("{id: db, addresses", "{id: database, addresses"));
    let scope = scope(&twins(), &binding, &paths).unwrap();
    let missing = super::points::scope(&unknown, &binding, &paths).map(drop);
    let missing = missing.unwrap_err().to_string();
    assert_eq!(missing, "--interface db=eth2: the rules file has no interface `db`");
    // Other interfaces have the addresses of those at which captures were made.
    let exchanged = of(&TWINS
        .replace("id: db, addr", "id: x, addr")
        .replace("id: web, addr", "id: db, addr")
        .replace("id: x, addr", "id: web, addr"));
    let extract = extract_of(&scope, &paths, Order::Time).unwrap();
    for rules in [&unknown, &exchanged] {
        for error in [
            by_parts(rules, &extract, 1, Options::default()).map(drop),
            scope.clone().and(rules).map(drop),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("interfaces at which captures were made"), "{error}");
        }
    }
}
