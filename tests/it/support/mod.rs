//! What several tests need: the program as a process, tuples and frames from words, places.

pub(crate) mod adversarial;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sgreplay::capture::{Frame, LinkType};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::rules::RuleSet;

/// Numbers that look random and are the same for a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn throw(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.throw(all.len())]
    }
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `captures/`.
pub(crate) fn capture(name: &str) -> PathBuf {
    root().join("captures").join(name)
}

/// Every capture of `captures/`, by name.
pub(crate) fn captures() -> Vec<PathBuf> {
    let dir = std::fs::read_dir(root().join("captures")).unwrap();
    let mut found: Vec<PathBuf> = dir.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ext| ext == "pcap" || ext == "pcapng"));
    found.sort();
    assert!(found.len() > 15, "the captures are missing");
    found
}

/// Every capture of the corpus that has an oracle beside it, by name.
pub(crate) fn corpus(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.to_str().and_then(|name| name.strip_suffix(".csv.gz")) {
            Some(capture) => found.push(PathBuf::from(capture)),
            None if path.is_dir() => found.extend(corpus(&path)),
            None => {}
        }
    }
    found.sort();
    found
}

/// Where the IP header of a frame starts, for link layers without tags and the like.
pub(crate) fn ip_offset(link: LinkType, data: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
    let is_ip = |at: usize| number(at).is_some_and(|of| [0x0800, 0x86dd].contains(&of));
    match link {
        LinkType::ETHERNET if is_ip(12) => Some(14),
        LinkType::LINUX_SLL if is_ip(14) => Some(16),
        LinkType::LINUX_SLL2 if is_ip(0) => Some(20),
        LinkType::NULL | LinkType::LOOP => Some(4),
        LinkType::PPP if number(0)? == 0xff03 && [0x21, 0x57].contains(&number(2)?) => Some(4),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::IPV4 | LinkType::IPV6 => Some(0),
        LinkType::C_HDLC if is_ip(2) => Some(4),
        LinkType::FDDI if is_ip(19) => Some(21),
        _ => None,
    }
}

/// Runs the program in `captures/`, so that no path of this machine shows, and pictures what came
/// back: status, standard output, standard error.
pub(crate) fn run(args: &[&str]) -> String {
    run_in(&root().join("captures"), args, b"")
}

/// The same in another directory, with standard input.
pub(crate) fn run_in(dir: &Path, args: &[&str], stdin: &[u8]) -> String {
    let (status, stdout, stderr) = output_in(dir, args, stdin);
    format!("status {status}\n── stdout\n{stdout}── stderr\n{stderr}")
}

/// Status, standard output and standard error.
pub(crate) fn output_in(dir: &Path, args: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may stop reading before the end.
        let _ = input.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (status, stdout) = (output.status.code().unwrap(), text(output.stdout));
    crate::schemas::hold(args, status, &stdout);
    (status, stdout, text(output.stderr))
}

/// `203.0.113.9:40000`, `[2001:db8::9]:40000`, `203.0.113.9`
pub(crate) fn endpoint(text: &str) -> (IpAddr, Option<u16>) {
    match text.parse::<std::net::SocketAddr>() {
        Ok(addr) => (addr.ip(), Some(addr.port())),
        Err(_) => (text.parse().unwrap(), None),
    }
}

/// `ingress tcp 203.0.113.9:40000 10.0.0.5:22`, with `type/code` at the end for ICMP.
pub(crate) fn packet(text: &str) -> (Direction, FlowTuple) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let direction = match words[0] {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        other => panic!("no direction: {other}"),
    };
    let proto = Protocol::from_name(words[1]).unwrap();
    let ((src, sport), (dst, dport)) = (endpoint(words[2]), endpoint(words[3]));
    let transport = match (sport, dport, words.get(4).and_then(|icmp| icmp.split_once('/'))) {
        (Some(src), Some(dst), None) => Transport::Ports { src, dst },
        (None, None, Some((kind, code))) => {
            Transport::Icmp { kind: kind.parse().unwrap(), code: code.parse().unwrap(), id: None }
        }
        (None, None, None) => Transport::Absent,
        _ => panic!("a packet with ports and a type: {text}"),
    };
    (direction, FlowTuple { src, dst, proto, transport })
}

/// The interface whose address is the packet's near end; the only one where none is listed.
pub(crate) fn interface(rules: &RuleSet, addr: IpAddr) -> usize {
    let owner = rules
        .interfaces()
        .iter()
        .position(|eni| eni.addresses.iter().any(|net| net.contains(&addr)));
    owner.unwrap_or(0)
}

/// The bytes of a raw IPv4 packet: `flags` of TCP, or the payload's length of UDP.
pub(crate) fn ipv4(src: &str, dst: &str, flags: &str) -> Vec<u8> {
    let ((IpAddr::V4(src), Some(sport)), (IpAddr::V4(dst), Some(dport))) =
        (endpoint(src), endpoint(dst))
    else {
        panic!("an IPv4 packet has IPv4 addresses and ports")
    };
    let udp = flags == "udp";
    let mut bytes =
        vec![0x45, 0, 0, if udp { 28 } else { 40 }, 0, 0, 0, 0, 64, if udp { 17 } else { 6 }, 0, 0];
    bytes.extend(src.octets());
    bytes.extend(dst.octets());
    bytes.extend(sport.to_be_bytes());
    bytes.extend(dport.to_be_bytes());
    if udp {
        bytes.extend([0, 8, 0, 0]);
    } else {
        let names = [('F', 1), ('S', 2), ('R', 4), ('P', 8), ('.', 16)];
        let bits =
            names.iter().filter(|(name, _)| flags.contains(*name)).map(|(_, bit)| bit).sum::<u8>();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, bits, 0, 0, 0, 0, 0, 0]);
    }
    bytes
}

/// A classic pcap with times in nanoseconds, of one link type.
pub(crate) fn pcap_ns(link: u32, packets: &[(u64, &[u8])]) -> Vec<u8> {
    let header: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (time_ns, packet) in packets {
        record(&mut bytes, *time_ns, 1_000_000_000, packet);
    }
    bytes
}

/// A raw IP frame at a time in seconds.
pub(crate) fn frame(number: u64, seconds: f64, data: &[u8]) -> Frame<'_> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of tests")]
    let time_ns = (seconds * 1e9) as u64;
    Frame::new(number, LinkType::RAW, data).at(time_ns)
}

/// A classic little-endian pcap with µs times, of one link type: a packet a second.
pub(crate) fn pcap(link: u32, packets: &[&[u8]]) -> Vec<u8> {
    pcap_every(1_000_000, link, packets)
}

/// The same with so many microseconds between packets.
pub(crate) fn pcap_every(micros: u64, link: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link];
    bytes.extend(header.iter().flat_map(|word| word.to_le_bytes()));
    for (n, packet) in (0_u64..).zip(packets) {
        record(&mut bytes, 1_700_000_000_000_000 + n * micros, 1_000_000, packet);
    }
    bytes
}

/// One record, its time in units of which so many are a second.
fn record(bytes: &mut Vec<u8>, time: u64, per_second: u64, packet: &[u8]) {
    let len = u32::try_from(packet.len()).unwrap();
    let [seconds, fraction] =
        [time / per_second, time % per_second].map(|part| u32::try_from(part).unwrap());
    bytes.extend([seconds, fraction, len, len].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(packet);
}

/// The folders of real files, each with another reader's tables under `expected`, that `SGREPLAY_FORMATS` names with
/// colons between.
pub(crate) fn formats() -> Option<Vec<PathBuf>> {
    let folders = std::env::var("SGREPLAY_FORMATS").ok()?;
    Some(folders.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect())
}

/// The program, with the signals that end it at their defaults: where the tests run in the background or by `nohup`,
/// some are ignored, and the program leaves them so.
pub(crate) fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_sgreplay");
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", program]);
    command
}

/// Status, and standard error, of a run within so many MiB of address space and a minute of processor time; no status
/// where a signal ended it.
pub(crate) fn within(mib: usize, dir: &Path, words: &[&str]) -> (Option<i32>, String) {
    let line = format!("ulimit -v {}; ulimit -t 60; ulimit -c 0; exec \"$0\" \"$@\"", mib << 10);
    let output = Command::new("sh")
        .args(["-c", &line, env!("CARGO_BIN_EXE_sgreplay")])
        .args(words)
        // glibc may reserve 64 MiB of address space for a second thread, or may not, as it happens.
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir(dir)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}
