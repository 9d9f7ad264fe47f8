//! Captures in which much depends on other packets, in 16 files that follow each other or overlap in time.

use std::path::{Path, PathBuf};

use super::{Dice, ipv4};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// Frames, each with a time where it has one, in files that follow each other.
pub(crate) type Files = Vec<Vec<(Option<u64>, Vec<u8>)>>;

pub(crate) fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

/// The same packet between IPv6 addresses; a fragment has its header.
pub(crate) fn ipv6(v4: &[u8]) -> Vec<u8> {
    let (proto, payload) = (if v4[9] == 1 { 58 } else { v4[9] }, &v4[20..]);
    let is_fragment = v4[6] & 0x3f != 0 || v4[7] != 0;
    let more = if is_fragment { 8 } else { 0 };
    let len = u16::try_from(payload.len() + more).unwrap();
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend([if is_fragment { 44 } else { proto }, 64]);
    for addr in [&v4[12..16], &v4[16..20]] {
        let host = if addr[0] == 10 { [0, 0] } else { [1, addr[2]] };
        bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, host[0], host[1], 0, addr[3]]);
    }
    if is_fragment {
        let offset = v4[7] << 3 | v4[6] >> 5 & 1;
        bytes.extend([proto, 0, 0, offset, 0, 0, 0, v4[5]]);
    }
    bytes.extend(payload);
    bytes
}

fn end(dice: &mut Dice, hosts: usize) -> String {
    let addr = match dice.throw(2) {
        0 => dice.one_of(&["10.0.0.5", "10.0.0.6", "10.0.0.9"]).to_owned(),
        _ => format!("198.51.100.{}", dice.throw(hosts)),
    };
    format!("{addr}:{}", dice.one_of(&[22, 53, 80, 443, 5432, 40_000, 40_001, 40_002]))
}

/// An ICMP error or echo to the sender of an earlier packet.
fn icmp(dice: &mut Dice, packet: &[u8], quoted: &[u8]) -> Vec<u8> {
    let kind = dice.one_of(&[3, 3, 3, 11, 8, 0, 13]);
    let mut error = packet[..20].to_vec();
    (error[3], error[9]) = (56, 1);
    error[16..20].copy_from_slice(&quoted[12..16]);
    error.extend([kind, 0, 0, 0, 0, octet(dice.throw(3)), 0, 0]);
    error.extend(&quoted[..28]);
    error
}

/// Flags in any order, long transfers, silences, a clock that runs backwards and jumps ahead, ICMP errors about anything,
/// fragments before their first ones and without them, frames that hold no packet or no time.
pub(crate) fn adversarial(seed: u64, frames: usize, hosts: usize) -> Files {
    const FLAGS: [&str; 10] = ["S", "S", "S.", ".", "P.", "F.", "F.", "R", "R.", "udp"];
    let mut dice = Dice(seed);
    let (mut now, mut latest) = (1_700_000_000 * SECOND, 0);
    let (mut files, mut all): (Files, Vec<Vec<u8>>) = (vec![Vec::new()], Vec::new());
    let per_file = frames / 16;
    while all.len() < frames {
        now = match dice.throw(2_000) {
            0 => now + 25 * 3600 * SECOND,
            1..8 => now.saturating_sub(40 * SECOND),
            8..40 => now.saturating_sub(2 * SECOND),
            40..60 => now + 1_000 * SECOND,
            60..100 => now + dice.throw(60) as u64 * SECOND,
            _ => now + dice.throw(200_000_000) as u64,
        };
        if files.last().is_some_and(|file| file.len() >= per_file) && files.len() < 16 {
            files.push(Vec::new());
            now = now.max(latest + dice.throw(2) as u64 * SECOND);
        }
        let ends = [end(&mut dice, hosts), end(&mut dice, hosts)];
        let mut packet = ipv4(&ends[0], &ends[1], dice.one_of(&FLAGS));
        // How many packets of the connection follow at once.
        let mut more = 0;
        // A fragment amid them opens the connection anew.
        let mut anew = false;
        let last = all.len().saturating_sub(1 + dice.throw(50));
        match dice.throw(20) {
            0 if let Some(quoted) = all.get(last).filter(|of| of.len() >= 28) => {
                packet = icmp(&mut dice, &packet, quoted);
            }
            // A fragment: a first, a later or the last one of few datagrams.
            1 | 2 => {
                if dice.throw(10) == 0 {
                    let quoted = ipv4(&ends[1], &ends[0], "udp");
                    packet = icmp(&mut dice, &packet, &quoted);
                }
                packet[5] = octet(dice.throw(4));
                (packet[6], packet[7]) = dice.one_of(&[(0x20, 0), (0x20, 4), (0, 8)]);
                packet[12..20].copy_from_slice(&[198, 51, 100, dice.one_of(&[7, 8]), 10, 0, 0, 5]);
            }
            3 if dice.throw(10) == 0 => packet.truncate(dice.throw(24)),
            4 => packet[9] = dice.one_of(&[47, 50]),
            5..8 => more = 1 + dice.throw(25),
            8 if dice.throw(3) == 0 => {
                packet = ipv4(&ends[0], &ends[1], "R");
                (more, anew) = (8, true);
            }
            _ => {}
        }
        let family = match packet.len() >= 28 && dice.throw(3) == 0 {
            true => ipv6,
            false => <[u8]>::to_vec,
        };
        // The first of a file has a time, by which files are put in order.
        let is_timed = files.last().is_some_and(Vec::is_empty) || dice.throw(300) != 0;
        let mut add = |now: u64, is_timed: bool, packet: Vec<u8>| {
            latest = if is_timed { now.max(latest) } else { latest };
            files.last_mut().unwrap().push((is_timed.then_some(now), packet));
        };
        add(now, is_timed, family(&packet));
        all.push(packet);
        for n in 0..more {
            now += dice.one_of(&[1, 10, 1_000]) * dice.throw(4_000_000) as u64;
            let flags = if ipv4(&ends[0], &ends[1], ".")[9] == 6 { "." } else { "udp" };
            let flags = if all.last().is_some_and(|of| of[9] == 17) { "udp" } else { flags };
            let (a, b) = if dice.throw(3) == 0 { (1, 0) } else { (0, 1) };
            let mut packet = ipv4(&ends[a], &ends[b], flags);
            let room = dice.throw(9);
            packet.extend(vec![0; room]);
            if anew && n == 4 {
                packet = ipv4(&ends[0], &ends[1], "S");
                packet[6] = 0x20;
            }
            add(now, true, family(&packet));
            all.push(packet);
        }
    }
    files
}

/// The frames of [`adversarial`] as several sensors record them: each has a clock of its own, and packets that another one has
/// too. Their files overlap a little, where one follows the other, or all the time, and are named in any order.
pub(crate) fn overlapping(seed: u64, frames: usize, hosts: usize) -> Files {
    let mut dice = Dice(seed + 1_000);
    let all = adversarial(seed, frames, hosts).concat();
    let begin = 1_700_000_000 * SECOND;
    let skew: Vec<u64> = (0..16)
        .map(|_| dice.one_of(&[0, 1, 20_000, 3_000_000, SECOND, 5 * SECOND]) * dice.throw(2) as u64)
        .collect();
    // Times that are close, and many that are equal.
    let (closer, round) = [(1, 1), (1, 1_000_000_000), (200, 1), (200, 1_000_000)][dice.throw(4)];
    let sensors = dice.one_of(&[1, 2, 4, 16]);
    let (in_turn, per_file) = (16 / sensors, all.len().div_ceil(16 / sensors));
    let mut files: Files = vec![Vec::new(); 16];
    for (n, (time, packet)) in all.into_iter().enumerate() {
        // Near its end a file has frames of the next one already.
        let n = if dice.throw(4) == 0 { n + dice.throw(60) } else { n };
        let file = (n / per_file).min(in_turn - 1);
        for _ in 0..=dice.throw(4) / 3 {
            let file = file * sensors + dice.throw(sensors);
            let time = time.map(|time| {
                let time = if time < begin { time } else { begin + (time - begin) / closer };
                (time + skew[file]) / round * round
            });
            files[file].push((time, packet.clone()));
        }
    }
    for n in 1..files.len() {
        files.swap(n, dice.throw(n + 1));
    }
    files
}

/// A pcapng, whose simple packets have no time.
pub(crate) fn pcapng(frames: &[(Option<u64>, Vec<u8>)]) -> Vec<u8> {
    let at_first = frames.iter().map(|(time, data)| (0, *time, data.clone()));
    pcapng_at(&[""], &at_first.collect::<Vec<_>>())
}

/// A frame with the interface of the capturing machine and the time, where it has one.
pub(crate) type FrameAt = (usize, Option<u64>, Vec<u8>);

/// The same of several interfaces, with names where these are not empty; simple packets are of the first.
pub(crate) fn pcapng_at(names: &[&str], frames: &[FrameAt]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(12 + body.len().next_multiple_of(4)).unwrap();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(len.to_le_bytes());
    };
    block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for name in names {
        // Raw IP, times in nanoseconds.
        let mut body = vec![101, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0];
        if !name.is_empty() {
            body.extend([2, 0, octet(name.len()), 0]);
            body.extend(name.as_bytes());
            body.resize(body.len().next_multiple_of(4), 0);
        }
        block(1, &[&body[..], &[0; 4]].concat());
    }
    for (interface, time, data) in frames {
        let len = u32::try_from(data.len()).unwrap().to_le_bytes();
        match time {
            None => block(3, &[&len[..], data].concat()),
            Some(time) => {
                let [high, low] = [time >> 32, time & 0xffff_ffff]
                    .map(|half| u32::try_from(half).unwrap().to_le_bytes());
                let interface = u32::try_from(*interface).unwrap().to_le_bytes();
                block(6, &[&interface[..], &high, &low, &len, &len, data].concat());
            }
        }
    }
    bytes
}

/// Writes captures, and returns their paths.
pub(crate) fn write(dir: &Path, files: &Files) -> Vec<PathBuf> {
    let write = |(n, frames): (usize, &Vec<_>)| {
        let path = dir.join(format!("{n:02}.pcapng"));
        std::fs::write(&path, pcapng(frames)).unwrap();
        path
    };
    files.iter().enumerate().map(write).collect()
}
