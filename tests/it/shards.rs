//! No result depends on the number of threads, or on how packets are shared out among the shards of a replay.

use std::num::NonZeroUsize;

use sgreplay::capture::{Capture, LinkType};
use sgreplay::decode::decode;
use sgreplay::replay::{Options, Replay, Workers};
use sgreplay::sources::Input;
use sgreplay::verdict::{Judged, Judgement};

use crate::support::{self, Dice, ipv4, pcap_ns};

/// Two instances, members of one group.
const RULES: &str = "
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 198.51.100.0/24},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 198.51.100.128/25, policy: drop}]}
  - {id: sg-db, inner_access_policy: drop, rules: [
      {id: db, direction: ingress, protocol: tcp, ports: 5432, source: 10.0.0.5/32},
      {id: ping, direction: ingress, protocol: icmp, source: 10.0.0.0/24}]}
interfaces:
  - {id: web, addresses: [10.0.0.5], security_groups: [sg-web]}
  - {id: db, addresses: [10.0.0.6], security_groups: [sg-db, sg-web]}
";

/// A capture in which much depends on other packets: flags in any order, silences, a clock that runs backwards, ICMP
/// errors about earlier and later packets, fragments before their first ones, frames that hold no packet.
fn adversarial(seed: u64, frames: usize) -> Vec<u8> {
    const FLAGS: [&str; 10] = ["S", "S", "S.", ".", "P.", "F.", "F.", "R", "R.", "udp"];
    let mut dice = Dice(seed);
    let (mut now, mut all): (u64, Vec<(u64, Vec<u8>)>) = (1_700_000_000_000_000_000, Vec::new());
    let end = |dice: &mut Dice| {
        let host = ["10.0.0.5", "10.0.0.6", "10.0.0.9"];
        let addr = match dice.throw(2) {
            0 => dice.one_of(&host).to_owned(),
            _ => format!("198.51.100.{}", dice.throw(40)),
        };
        format!("{addr}:{}", dice.one_of(&[22, 53, 80, 443, 5432, 40_000, 40_001, 40_002]))
    };
    for _ in 0..frames {
        now = match dice.throw(4_000) {
            _ if all.len() < 1_500 => now + dice.throw(200_000_000) as u64,
            0 => now + 25 * 3600 * 1_000_000_000,
            1..4 => now.saturating_sub(40_000_000_000),
            4..20 => now + 1_000_000_000_000,
            _ => now + dice.throw(200_000_000) as u64,
        };
        let mut packet = ipv4(&end(&mut dice), &end(&mut dice), dice.one_of(&FLAGS));
        let last = all.len().saturating_sub(1 + dice.throw(50));
        match dice.throw(20) {
            // An ICMP error or echo to the sender of an earlier packet.
            0 if let Some((_, quoted)) = all.get(last).filter(|(_, of)| of.len() >= 28) => {
                let kind = dice.one_of(&[3, 3, 3, 11, 8, 0]);
                let mut error = packet[..20].to_vec();
                (error[3], error[9]) = (56, 1);
                error[16..20].copy_from_slice(&quoted[12..16]);
                error.extend([kind, 0, 0, 0, 0, u8::try_from(dice.throw(3)).unwrap(), 0, 0]);
                error.extend(&quoted[..28]);
                packet = error;
            }
            // A fragment: a first, a later or the last one of few datagrams.
            1 | 2 => {
                packet[5] = u8::try_from(dice.throw(4)).unwrap();
                (packet[6], packet[7]) = dice.one_of(&[(0x20, 0), (0x20, 4), (0, 8)]);
                let host = dice.one_of(&[7, 8]);
                packet[12..20].copy_from_slice(&[198, 51, 100, host, 10, 0, 0, 5]);
            }
            3 if dice.throw(10) == 0 => packet.truncate(dice.throw(24)),
            _ => {}
        }
        all.push((now, packet));
    }
    let all: Vec<(u64, &[u8])> = all.iter().map(|(time, packet)| (*time, &**packet)).collect();
    pcap_ns(LinkType::RAW.0, &all)
}

/// The rows of the table of answers: all that is said of a packet.
fn row(judged: &Judged) -> String {
    let at = |of: &Judgement| {
        let stopped = of.reply.map(|reply| (reply.other_entry, reply.stopped));
        let (interface, direction, verdict, reason) =
            (of.interface, of.direction, of.verdict, of.reason);
        let (decided, entry, connection) = (of.decided_in, of.entry, of.connection);
        format!(
            "{interface} {direction:?} {verdict:?} {reason:?} {decided:?} {entry:?} {connection:?} {:?} {} {stopped:?}",
            of.opened, of.stray
        )
    };
    let all: Vec<String> = judged.judgements().map(at).collect();
    format!("{:?} {all:?}", judged.verdict())
}

/// Everything that a replay says of a capture.
fn answers<'r>(
    mut replay: Replay<'r>,
    capture: &[u8],
    judge: impl Fn(&mut Replay<'r>, &[Input<'_>]) -> Vec<Judged>,
) -> Vec<String> {
    let source = Box::new(std::io::Cursor::new(capture.to_vec()));
    let mut capture = Capture::from_reader("x.pcap", source).unwrap();
    let mut batch = sgreplay::capture::Batch::default();
    let mut rows = Vec::new();
    while capture.next_batch(&mut batch).unwrap() {
        let decoded: Vec<_> = batch.frames().map(|frame| decode(frame.link, frame.data)).collect();
        let input = |(frame, decoded)| Input { frame, decoded, selected: true, in_window: true };
        let inputs: Vec<Input<'_>> = batch.frames().zip(&decoded).map(input).collect();
        rows.extend(judge(&mut replay, &inputs).iter().map(row));
    }
    let stats = replay.stats();
    for (class, count) in stats.flow_classes() {
        rows.push(format!("{class:?} {count:?}"));
    }
    rows.push(format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        stats.packets(),
        stats.connections(),
        stats.strays(),
        stats.unevaluated().counts(),
        stats.guessed(),
        stats.midstream().collect::<Vec<_>>(),
        stats.cut(),
    ));
    rows
}

fn in_batches(replay: &mut Replay<'_>, inputs: &[Input<'_>]) -> Vec<Judged> {
    let mut answers = Vec::new();
    let done: Result<(), ()> = replay.judge_batch(inputs, |_, judged| {
        answers.push(*judged);
        Ok(())
    });
    done.unwrap();
    answers
}

/// Frames one by one, in batches, on several threads, and by a replay that has one shard, which a limit that nothing
/// reaches gives it.
#[test]
fn shards_judge_as_one_does() {
    let rules = sgreplay::parse::yaml("rules.yaml", RULES).unwrap();
    let options = Options::default();
    for seed in 0..4 {
        let capture = adversarial(seed, 6_000);
        let new = |options| Replay::new(&rules, options);
        let one_shard = new(options.with_max_sessions(Some(1 << 30)));
        let one = answers(one_shard, &capture, in_batches);
        for says in ["ConnectionDenied", "FragmentWithoutFirst", "AcceptingPort", "NotLocal"] {
            assert!(one.iter().any(|row| row.contains(says)), "{says} occurs");
        }
        let by_frame = answers(new(options), &capture, |replay, inputs| {
            inputs.iter().map(|input| replay.judge(&input.frame, input.decoded)).collect()
        });
        equal(&one, &by_frame, "frame by frame");
        for threads in [1, 2, 5] {
            let workers = Workers::new(NonZeroUsize::new(threads).unwrap());
            let several = answers(new(options).with_workers(workers), &capture, in_batches);
            equal(&one, &several, &format!("by {threads} threads, seed {seed}"));
        }
    }
}

fn equal(expected: &[String], found: &[String], how: &str) {
    let differs = expected.iter().zip(found).position(|(a, b)| a != b);
    let rows = differs.map(|n| [&expected[n], &found[n]]);
    assert_eq!((differs, rows), (None, None), "{how}");
    assert_eq!(expected.len(), found.len(), "{how}");
}

/// Every output of every command that judges, by 1 to 8 threads, and by more than a machine can have.
#[test]
fn no_output_depends_on_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    let closed = RULES.replace("ports: 80,", "ports: 443,").replace("0.0.0.0/0", "198.51.100.0/25");
    std::fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(dir.path().join("closed.yaml"), closed).unwrap();
    std::fs::write(dir.path().join("x.pcap"), adversarial(7, 20_000)).unwrap();
    let replay = ["replay", "--rules", "rules.yaml"];
    let diff = ["diff", "--current", "rules.yaml", "--proposed", "closed.yaml"];
    let commands = [
        [&replay[..], &["-f", "json"]].concat(),
        [&replay[..], &[]].concat(),
        [&replay[..], &["--per", "packet", "-f", "csv"]].concat(),
        [&replay[..], &["--per", "connection", "-f", "ndjson"]].concat(),
        [&replay[..], &["--per", "connection", "-f", "csv", "--session-memory", "64kB"]].concat(),
        [&replay[..], &["-f", "json", "--max-sessions", "20"]].concat(),
        [&replay[..], &["-f", "json", "--coverage", "--sessions", "off"]].concat(),
        [&replay[..], &["-f", "json", "--filter", "tcp port 80"]].concat(),
        [&diff[..], &["-f", "json"]].concat(),
        [&diff[..], &["-f", "csv", "--memory", "64kB"]].concat(),
        vec!["suggest", "--local", "10.0.0.5"],
    ];
    for command in commands {
        let by = |threads| {
            let input = ["--threads", threads, "x.pcap"];
            support::output_in(dir.path(), &[&command[..], &input].concat(), b"")
        };
        let one = by("1");
        assert!(one.0 == 0 && one.1.len() > 200, "{command:?}: {one:?}");
        for threads in ["2", "3", "4", "8", "100000"] {
            assert_eq!(by(threads), one, "{command:?} by {threads} threads");
        }
    }
}
