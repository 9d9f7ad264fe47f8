//! Flow logs in parts: each record stands alone, at the interface that it names.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sgreplay::decode::Tunnels;
use sgreplay::engine::Binding;
use sgreplay::extract::Scope;
use sgreplay::replay::Options;
use sgreplay::sources::{Order, SourceOptions, Sources};

use super::points::{TWINS, point, points};
use super::{
    ASKED, LAYERS, ONE, THREE, asked_of_one, by_parts, changed, compared_by_one, compared_by_parts,
    equal, extract, extract_of, merge, merge_of, options, seeds,
};
use crate::support::adversarial::{Files, SECOND, adversarial, overlapping, pcapng};
use crate::support::{self, Dice};

/// A packet, with its time where it has one.
type Seen = (Option<u64>, Vec<u8>);

/// Addresses, protocol and ports of a packet, where a log can tell of it.
fn told(packet: &[u8]) -> Option<([String; 2], u8, [u16; 2])> {
    // The whole of a datagram of IPv4, with ports or the header of ICMP.
    let is_whole = packet.len() >= 28 && packet[0] == 0x45 && packet[6..8] == [0, 0];
    let ends = [12..16, 16..20].map(|at| {
        let octets: Vec<String> = packet.get(at)?.iter().map(u8::to_string).collect();
        Some(octets.join("."))
    });
    let ports =
        [20, 22].map(|at| packet.get(at..at + 2).map(|of| u16::from_be_bytes([of[0], of[1]])));
    let ([Some(src), Some(dst)], [Some(sport), Some(dport)]) = (ends, ports) else { return None };
    is_whole.then_some(([src, dst], packet[9], [sport, dport]))
}

/// The second of the first packet, which the first record has: by it files are put in order.
fn first_time(frames: &[Seen]) -> Option<u64> {
    let first = frames.iter().find_map(|(time, _)| *time);
    first.map(|first| first / SECOND + 1)
}

/// Some records of AWS: with flags, by any interface, in the order in which windows end.
fn aws(dice: &mut Dice, frames: &[Seen]) -> String {
    let mut text = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status \
                    tcp-flags pkt-srcaddr pkt-dstaddr\n"
        .to_owned();
    let mut first = first_time(frames);
    for (time, packet) in frames {
        let eni = dice.one_of(&["web", "web", "db", "old", "twin", "other", "eni-unknown"]);
        let late = dice.throw(60) as u64;
        let (Some(time), Some(([src, dst], proto, [sport, dport]))) = (time, told(packet)) else {
            writeln!(text, "{eni} - - - - - - - 1700000000 1700000060 - NODATA - - -").unwrap();
            continue;
        };
        let start = first.take().unwrap_or((time / SECOND + 1).saturating_sub(late));
        let flags = if proto == 6 { dice.one_of(&["2", "18", "19", "3", "0"]) } else { "0" };
        let action = dice.one_of(&["ACCEPT", "REJECT"]);
        let packet_src = dice.one_of(&[src.as_str(), src.as_str(), "10.0.0.9", "10.0.0.5"]);
        let packets = 1 + dice.throw(300);
        writeln!(
            text,
            "{eni} {src} {dst} {sport} {dport} {proto} {packets} {} {start} {} {action} OK {flags} {packet_src} {dst}",
            packets * 60,
            start + 60,
        )
        .unwrap();
    }
    text
}

/// Some records of Google Cloud, of either end.
fn google(dice: &mut Dice, frames: &[Seen]) -> String {
    let mut text = String::new();
    let mut first = first_time(frames);
    for (time, packet) in frames {
        let (Some(time), Some(([src, dst], proto, [sport, dport]))) = (time, told(packet)) else {
            continue;
        };
        let reporter = dice.one_of(&["SRC", "DEST"]);
        let start = first.take().unwrap_or(time / SECOND + 1);
        let at = jiff::Timestamp::from_second(i64::try_from(start).unwrap()).unwrap();
        writeln!(
            text,
            "{{\"logName\": \"projects/p/logs/compute.googleapis.com%2Fvpc_flows\", \"jsonPayload\": {{\"reporter\": \
             \"{reporter}\", \"packets_sent\": \"{}\", \"bytes_sent\": \"900\", \"start_time\": \"{at}\", \"end_time\": \
             \"{at}\", \"connection\": {{\"src_ip\": \"{src}\", \"dest_ip\": \"{dst}\", \"src_port\": {sport}, \
             \"dest_port\": {dport}, \"protocol\": {proto}}}}}}}",
            1 + dice.throw(9),
        )
        .unwrap();
    }
    text
}

/// Writes captures, and logs in place of most of them. Files that follow each other still do.
fn write(dir: &Path, seed: u64, files: &Files, overlap: bool) -> Vec<PathBuf> {
    let mut dice = Dice(seed + 3_000);
    let write = |(n, frames): (usize, &Vec<Seen>)| {
        let apart = if overlap { 0 } else { n as u64 * 3 * SECOND };
        let later = |(time, packet): &Seen| (time.map(|time| time + apart), packet.clone());
        let frames: Vec<_> = frames.iter().map(later).collect();
        let path = dir.join(format!("{n:02}"));
        let bytes = match n % 4 {
            0 => pcapng(&frames),
            1 => google(&mut dice, &frames).into_bytes(),
            _ => aws(&mut dice, &frames).into_bytes(),
        };
        std::fs::write(&path, bytes).unwrap();
        path
    };
    files.iter().enumerate().map(write).collect()
}

#[test]
fn records_of_flow_logs_are_judged_as_on_one_machine() {
    let none = Binding::default();
    for seed in seeds() {
        let options = options(seed);
        for (name, text) in [("one", ONE), ("three", THREE), ("layers", LAYERS), ("twins", TWINS)] {
            let parsed = |text: &str| sgreplay::parse::yaml("rules.yaml", text).unwrap();
            let (rules, proposed) = (parsed(text), parsed(&changed(text)));
            let files = [adversarial(seed, 4_000, 40), overlapping(seed, 4_000, 40)];
            for (files, overlap) in files.iter().zip([false, true]) {
                let dir = tempfile::tempdir().unwrap();
                let paths = write(dir.path(), seed, files, overlap);
                let at = [("web", 4), ("twin", 6), ("db", 5)];
                let at = at.map(|(eni, n)| point(eni, paths[n].to_str().unwrap()));
                let at_twins = Binding { interfaces: at.to_vec(), ..Binding::default() };
                let binding = if name == "twins" { &at_twins } else { &none };
                let count = u32::try_from(paths.len()).unwrap();
                let points = points(binding, &paths);
                let scope = Scope::made_at(&rules, Tunnels::default(), count, points).unwrap();
                let scope = scope.and(&proposed).unwrap();
                let extract = match overlap {
                    true => merge_of(&scope, &paths).unwrap(),
                    false => extract_of(&scope, &paths, Order::Time).unwrap(),
                };
                let what = format!("{name} interfaces, overlapping: {overlap}, seed {seed}");
                let one = asked_of_one(&rules, &paths, (Order::Time, options), ASKED, binding);
                for parts in [1, 5] {
                    equal(&one, &by_parts(&rules, &extract, parts, options).unwrap(), &what);
                }
                for says in ["flow_log", "no_data", "other_address", "connection_denied"] {
                    assert!(one.join("\n").contains(says), "{says} occurs, {what}");
                }
                for both in [[&rules, &proposed], [&proposed, &rules]] {
                    let one = compared_by_one(both, &paths, options, binding);
                    let found = compared_by_parts(both, &extract, 3, options).unwrap();
                    equal(&one, &found, &what);
                }
            }
        }
    }
}

/// What other people's logs say, of every format.
#[test]
fn logs_of_all_formats_are_judged_as_on_one_machine() {
    let Some(folders) = support::formats() else {
        println!("SKIPPED: SGREPLAY_FORMATS names no folder of flow logs");
        return;
    };
    let text = ONE.replace(
        "addresses: [10.0.0.5, '2001:db8::5']",
        "addresses: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, '2001:470::/32', 'fe80::/16']",
    );
    let rules = sgreplay::parse::yaml("rules.yaml", &text).unwrap();
    let mut judged = 0;
    for log in folders.iter().flat_map(|of| std::fs::read_dir(of.join("flowlogs")).unwrap()) {
        let paths = [log.unwrap().path()];
        // Those that need `--fields`, or break off, are refused.
        let opens = Sources::open(paths.clone(), SourceOptions::default(), Arc::default()).is_ok();
        let Some(Ok(extract)) = opens.then(|| extract(&rules, &paths, Order::Time)) else {
            continue;
        };
        let what = paths[0].display().to_string();
        let how = (Order::Time, Options::default());
        let one = asked_of_one(&rules, &paths, how, ASKED, &Binding::default());
        equal(&one, &by_parts(&rules, &extract, 2, Options::default()).unwrap(), &what);
        let merged = merge(&rules, &paths).unwrap();
        equal(&one, &by_parts(&rules, &merged, 2, Options::default()).unwrap(), &what);
        judged += u32::from(
            one.iter().any(|line| line.contains("\"connection\"") || line.contains("FlowClass")),
        );
    }
    assert!(judged > 8, "{judged} logs have packets that are judged");
}

/// A record is judged at the interface that it names, so that rules with other interfaces are refused.
#[test]
fn an_extract_of_a_log_is_for_its_interfaces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flow.log");
    let log = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n\
        2 1 web 198.51.100.7 10.0.0.5 40000 80 6 1 40 1700000000 1700000060 ACCEPT OK\n";
    std::fs::write(&path, log).unwrap();
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let extract = extract(&rules, &[path], Order::Time).unwrap();
    let renamed =
        sgreplay::parse::yaml("rules.yaml", &ONE.replace("id: web, addr", "id: www, addr"));
    let refused = by_parts(&renamed.unwrap(), &extract, 1, Options::default()).unwrap_err();
    assert!(refused.to_string().contains("flow logs name interfaces"), "{refused}");
}

/// Who accepts connections is learned from every record, not only from those that are looked at ahead.
#[test]
fn a_record_behind_the_first_ones_shows_who_accepts_connections() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flow.log");
    let mut log = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags\n"
        .to_owned();
    let mut record = |time: u64, ends: &str, proto: u8, flags: u8| {
        let end = time + 60;
        writeln!(log, "web {ends} {proto} 1 40 {time} {end} ACCEPT OK {flags}").unwrap();
    };
    let from = 1_700_000_000;
    for n in 0..17_000 {
        record(from + n / 100, "198.51.100.7 10.0.0.5 40000 53", 17, 0);
    }
    // A SYN; then an answer on another connection, which shows nothing itself.
    record(from + 200, "198.51.100.7 10.0.0.5 41000 45678", 6, 2);
    record(from + 201, "10.0.0.5 198.51.100.9 45678 33000", 6, 0);
    std::fs::write(&path, log).unwrap();
    let rules = sgreplay::parse::yaml("rules.yaml", ONE).unwrap();
    let (paths, options) = ([path], Options::default());
    let how = (Order::Time, options);
    let one = asked_of_one(&rules, &paths, how, ASKED, &Binding::default());
    assert!(one.join("\n").contains("accepting_port"), "{one:#?}");
    for extract in [extract(&rules, &paths, Order::Time).unwrap(), merge(&rules, &paths).unwrap()] {
        equal(&one, &by_parts(&rules, &extract, 2, options).unwrap(), "a port that accepts");
    }
}
