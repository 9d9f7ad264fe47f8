//! The least that a replay with sessions can take on a machine: reads a little-endian pcap of Ethernet and
//! IPv4, and does nothing to a packet but what nobody gets round. No check of its headers, no connection's
//! state, no rule, no answer, nothing counted. What `sgreplay` takes beyond it is what these take.
//!
//! `cargo run --release -p sgreplay-tools --bin floor -- CAPTURE`
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "what it measures has to be plain; lengths fit, and hashes keep what they need"
)]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::time::Instant;

const CHUNK: usize = 512 * 1024;
const LONGEST_RECORD: usize = 256 * 1024;
/// Packets whose sessions are fetched at once, so that the waits for memory overlap.
const AT_ONCE: usize = 64;

/// Reads a capture, and hands over each packet's time and bytes.
fn read(path: &str, mut each: impl FnMut(u64, &[u8])) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut header = [0; 24];
    file.read_exact(&mut header)?;
    let mut buffer = vec![0; CHUNK + LONGEST_RECORD];
    let mut end = 0;
    loop {
        let read = file.read(&mut buffer[end..end + CHUNK])?;
        end += read;
        let mut rest = &buffer[..end];
        while let Some((record, behind)) = rest.split_first_chunk::<16>() {
            let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| record[at + n]));
            let Some((data, behind)) = behind.split_at_checked(word(8) as usize) else { break };
            each(u64::from(word(0)) * 1_000_000 + u64::from(word(4)), data);
            rest = behind;
        }
        let unread = rest.len();
        if read == 0 || unread > LONGEST_RECORD {
            return if unread == 0 { Ok(()) } else { Err("damaged, or not such a pcap".into()) };
        }
        buffer.copy_within(end - unread..end, 0);
        end = unread;
    }
}

/// A connection's addresses, ports and protocol, in one order for both ways.
fn key(data: &[u8]) -> Option<[u64; 2]> {
    let (ip, rest) = data.get(14..)?.split_first_chunk::<20>()?;
    let ports = rest.first_chunk::<4>()?;
    let end = |ip: &[u8], port: &[u8]| {
        ip.iter().chain(port).fold(0, |end, byte| end << 8 | u64::from(*byte))
    };
    let (source, target) = (end(&ip[12..16], &ports[..2]), end(&ip[16..20], &ports[2..]));
    Some([source.min(target), source.max(target) | u64::from(ip[9]) << 48])
}

fn hash([a, b]: [u64; 2]) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(a ^ b.wrapping_mul(SPREAD)) * u128::from(SPREAD);
    (product as u64 ^ (product >> 64) as u64) as usize
}

#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Session {
    key: [u64; 2],
    last: u64,
    packets: u64,
}

/// Open addressing, at most three quarters full.
struct Sessions {
    slots: Vec<Session>,
    len: usize,
}

impl Sessions {
    fn find(&self, key: [u64; 2]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(key) & mask;
        while self.slots[at].packets > 0 && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        at
    }

    fn meet(&mut self, packets: &[(u64, [u64; 2])]) {
        let mask = self.slots.len() - 1;
        let homes = packets.iter().map(|(_, key)| self.slots[hash(*key) & mask].last);
        black_box(homes.fold(0, |touched, last| touched ^ last));
        for (time, key) in packets {
            let at = self.find(*key);
            let session = &mut self.slots[at];
            self.len += usize::from(session.packets == 0);
            *session = Session { key: *key, last: *time, packets: session.packets + 1 };
            if self.len * 4 > self.slots.len() * 3 {
                let twice = vec![Session::default(); self.slots.len() * 2];
                for session in std::mem::replace(&mut self.slots, twice) {
                    if session.packets > 0 {
                        let at = self.find(session.key);
                        self.slots[at] = session;
                    }
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: floor CAPTURE")?;
    let measure = |name: &str, work: &mut dyn FnMut() -> Result<u64, Box<dyn Error>>| {
        let mut turns = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let packets = work()?;
            turns.push(start.elapsed().as_nanos() as f64 / packets as f64);
        }
        let fastest = turns.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name:<26} {fastest:>7.1} ns/packet");
        Ok::<(), Box<dyn Error>>(())
    };
    measure("read", &mut || {
        let mut packets = 0;
        read(&path, |_, _| packets += 1)?;
        Ok(packets)
    })?;
    measure("read, headers", &mut || {
        let (mut packets, mut keys) = (0, 0);
        read(&path, |_, data| {
            packets += 1;
            keys ^= key(data).map_or(0, hash);
        })?;
        black_box(keys);
        Ok(packets)
    })?;
    measure("read, headers, sessions", &mut || {
        let mut sessions = Sessions { slots: vec![Session::default(); 1 << 16], len: 0 };
        let (mut packets, mut waiting) = (0, Vec::with_capacity(AT_ONCE));
        read(&path, |time, data| {
            packets += 1;
            waiting.extend(key(data).map(|key| (time, key)));
            if waiting.len() == AT_ONCE {
                sessions.meet(&waiting);
                waiting.clear();
            }
        })?;
        sessions.meet(&waiting);
        Ok(packets)
    })
}
