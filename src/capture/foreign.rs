//! Files that hold packets, or something like them, and are not read: their names, and the command that makes
//! one that is.

use std::path::Path;

use super::CaptureErrorKind;
use super::buffer::Buffer;
use crate::escape;

/// How far text is looked into.
const TEXT: usize = 1024;

/// What makes a file readable, as far as something does.
#[derive(Clone, Copy)]
enum Way {
    /// Wireshark's converter.
    Editcap,
    /// The same, where a pcapng cannot hold what was captured.
    EditcapToPcap,
    /// A command into whose place IN is put the file.
    Command(&'static str),
    /// Something that is no command.
    Advice(&'static str),
}

type Known = (&'static [u8], &'static str, Way);

/// By their first bytes.
const KNOWN: &[Known] = &[
    (b"GMBU", "a capture of Microsoft Network Monitor 2", Way::Editcap),
    (b"RTSS", "a capture of Microsoft Network Monitor 1", Way::Editcap),
    (b"TRSNIFF data    \x1a", "a capture of the DOS Sniffer", Way::Editcap),
    (b"XCP\0", "a capture of Windows Sniffer or NetXRay", Way::Editcap),
    (b"VL\0\0", "a capture of an old NetXRay", Way::Editcap),
    (b"iptrace ", "a capture of AIX iptrace", Way::Editcap),
    (b"TR\0d\0", "a capture of HP-UX nettl", Way::Editcap),
    (b"\x7fver", "a capture of OmniPeek", Way::Editcap),
    (b"\x05VNF", "a capture of Visual Networks", Way::Editcap),
    (b"\xaa\xaa\xaa\xaa", "a capture of 5Views", Way::Editcap),
    (b"ObserverPktBuf", "a capture of Observer", Way::Editcap),
    (b"+---------+-", "a capture of K12, as text", Way::Editcap),
    (b"\x01\x10\x4c\x00\x01\x05", "a capture of LANalyzer", Way::Editcap),
    (b"\0\0\x02\0\x12\x05\0\x10", "a capture of K12xx", Way::Editcap),
    (b"EyeSDN", "a capture of EyeSDN", Way::Editcap),
    (b"i4btrace", "a capture of ISDN", Way::Editcap),
    (b"RADCOM", "a capture of RADCOM", Way::Editcap),
    (b"\x42\xd2\x00\x34\x12\x66\x22\x88", "a capture of RADCOM", Way::Editcap),
    (b"NetS", "a capture of NetScaler", Way::Editcap),
    (b"btsnoop\0", "a capture of Bluetooth", Way::Advice("it holds no IP packets")),
    (b"\xa1\xb2\x34\xcd", MESQUITA, Way::Editcap),
    (b"\xcd\x34\xb2\xa1", MESQUITA, Way::Editcap),
    (b"\xa1\x2b\x3c\x4d", NAVTEL, Way::Editcap),
    (b"\x4d\x3c\x2b\xa1", NAVTEL, Way::Editcap),
    (b"\x1c\x00\x01\xac", IXIA, Way::Editcap),
    (b"\xac\x01\x00\x1c", IXIA, Way::Editcap),
    (b"\x1c\x00\x01\xab", IXIA, Way::Editcap),
    (b"\xab\x01\x00\x1c", IXIA, Way::Editcap),
    (b"\xa1\xb2\xc3\xcb", CBPF, NO_PACKETS),
    (b"\xcb\xc3\xb2\xa1", CBPF, NO_PACKETS),
    (b"\xff\xfe", UTF_16, Way::Command(FROM_UTF_16)),
    (b"\xfe\xff", UTF_16, Way::Command(FROM_UTF_16)),
    (b"\x0c\xa5", "a file of nfdump (nfcapd)", Way::Command("nfdump -r IN -o csv")),
    (b"\xa5\x0c", "a file of nfdump (nfcapd)", Way::Command("nfdump -r IN -o csv")),
    (b"PK\x03\x04", "a zip archive", UNZIP),
    (b"PK\x05\x06", "an empty zip archive", UNZIP),
    (b"PK\x07\x08", "a part of a zip archive", UNZIP),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", Way::Command("7z x -so IN | sgreplay … -")),
    (b"Rar!\x1a\x07", "a rar archive", Way::Command("unrar p -inul IN | sgreplay … -")),
    (b"\x1f\x9d", "compressed by compress", Way::Command("zcat IN | sgreplay … -")),
    (b"LZIP", "compressed by lzip", Way::Command("lzip -dc IN | sgreplay … -")),
    (b"MSCF", "a cabinet of Windows", Way::Command("cabextract -p IN | sgreplay … -")),
    (b"version https://git-lfs", "a pointer of git-lfs", Way::Command("git lfs pull -I IN")),
    (b"{\"index\":{\"_index\":\"packets-", TSHARK, AS_PACKETS),
    (b"No.     Time", "packets as Wireshark's text", Way::Advice("save them as pcapng instead")),
    (b"%PDF", "a PDF document", NO_PACKETS),
    (b"\x89PNG", "a picture", NO_PACKETS),
    (b"SQLite format 3\0", "a database", NO_PACKETS),
    (b"\x7fELF", "a program", NO_PACKETS),
    (b"PAR1", "a Parquet file", Way::Advice("export its flow records as CSV or JSON lines")),
];

const MESQUITA: &str = "Mesquita's variant of pcap";
const NAVTEL: &str = "Navtel's variant of pcap";
const IXIA: &str = "Ixia's variant of pcap";
const CBPF: &str = "a filter program of libpcap";
const TSHARK: &str = "packets as tshark prints them in JSON";
const NO_PACKETS: Way = Way::Advice("it holds no packets");
const UNZIP: Way = Way::Command("unzip -p IN | sgreplay … -");
const AS_PACKETS: Way = Way::Advice("let tshark write the packets themselves, with -w FILE");

/// What cannot be told by the first bytes, by the end of the name.
const BY_NAME: &[(&str, &str, Way)] = &[
    ("etl", ETL, PKTMON),
    ("erf", ERF, Way::EditcapToPcap),
    ("ncf", COMMVIEW, Way::Editcap),
    ("ncfx", COMMVIEW, Way::Editcap),
    ("lzma", "compressed by lzma", Way::Command("xz -dc IN | sgreplay … -")),
];

const UTF_16: &str = "text in UTF-16";
const FROM_UTF_16: &str = "iconv -f UTF-16 -t UTF-8 IN > OUT";
const COMMVIEW: &str = "a capture of CommView";
const ETL: &str = "a trace of Windows (ETL), as netsh and pktmon write it";
const PKTMON: Way =
    Way::Command("pktmon etl2pcap IN --out OUT.pcapng` or, of netsh, `etl2pcapng IN OUT.pcapng");
const ERF: &str = "a capture of Endace (ERF)";

/// The error that says what a file is, if it is one of these. `name` is that of the file, or of no file.
pub(super) fn recognise(
    name: &str,
    buffer: &mut Buffer,
) -> Result<Option<CaptureErrorKind>, CaptureErrorKind> {
    const LONGEST_MAGIC: usize = 32;
    buffer.fill_line(LONGEST_MAGIC)?;
    let start = buffer.unread();
    let by_magic = KNOWN.iter().find(|(magic, ..)| start.starts_with(magic));
    if let Some((_, format, way)) = by_magic {
        return Ok(Some(foreign(name, format, *way)));
    }
    if let Some(kind) = text(name, buffer)? {
        return Ok(Some(kind));
    }
    if is_etl(buffer)? {
        return Ok(Some(foreign(name, ETL, PKTMON)));
    }
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let by_name = BY_NAME
        .iter()
        .find(|(known, ..)| extension.is_some_and(|of| of.eq_ignore_ascii_case(known)));
    if let Some((_, format, way)) = by_name {
        return Ok(Some(foreign(name, format, *way)));
    }
    Ok(is_erf(buffer)?.then(|| foreign(name, ERF, Way::EditcapToPcap)))
}

/// An archive in an archive.
pub(super) fn archive(name: &str) -> CaptureErrorKind {
    foreign(name, "an archive in an archive", Way::Advice("unpack the outer one first"))
}

/// pcap as AIX writes it, with link types of its own.
pub(super) fn aix_pcap(name: &str) -> CaptureErrorKind {
    foreign(name, "AIX' variant of pcap", Way::Editcap)
}

/// snoop with another layout, or of another device.
pub(super) fn snoop(name: &str, which: &'static str) -> CaptureErrorKind {
    foreign(name, which, Way::Editcap)
}

/// Text that programs print about packets, which its first line shows. Of markup and lists, which are no flow
/// log that somebody is still writing, more is waited for.
fn text(name: &str, buffer: &mut Buffer) -> Result<Option<CaptureErrorKind>, CaptureErrorKind> {
    buffer.fill_line(TEXT)?;
    let first = buffer.unread().trim_ascii_start().first().copied();
    if matches!(first, Some(b'<' | b'[')) {
        buffer.fill_to(TEXT)?;
    }
    let start = buffer.unread();
    let start = start.get(..TEXT.min(start.len())).unwrap_or_default();
    let has = |words: &str| start.windows(words.len()).any(|of| of == words.as_bytes());
    let starts = |words: &str| {
        let start = start.trim_ascii_start();
        start.get(..words.len()).is_some_and(|of| of.eq_ignore_ascii_case(words.as_bytes()))
    };
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let (format, way) = match first {
        Some(b'<') if has("<pdml") || has("<psml") => {
            ("packets as tshark prints them in XML", AS_PACKETS)
        }
        Some(b'<') if starts("<!doctype html") || starts("<html") => {
            ("a web page", Way::Advice("fetch the file itself"))
        }
        Some(b'<') if starts("<?xml") => ("XML", NO_PACKETS),
        Some(b'[') if has("\"_index\": \"packets-") => (TSHARK, AS_PACKETS),
        _ if is_packet_line(line) => (
            "packets as tcpdump or tshark prints them",
            Way::Advice("let it write the packets themselves, with -w FILE"),
        ),
        _ if is_hex_dump(line) => {
            ("packets as a hex dump", Way::Command("text2pcap IN OUT.pcapng"))
        }
        _ => return Ok(None),
    };
    Ok(Some(foreign(name, format, way)))
}

/// A line of tcpdump, `14:22:05.123456 IP … > …`, with a date before it or not; of tshark, `1 0.000000 … → …`,
/// or the first of its details.
fn is_packet_line(line: &str) -> bool {
    let is_time = |word: &str| {
        let shape = word.bytes().map(|b| if b.is_ascii_digit() { '9' } else { char::from(b) });
        shape.collect::<String>() == "99:99:99.999999"
    };
    let is_tcpdump = line.split_ascii_whitespace().take(2).any(is_time)
        && [" > ", " ARP, "].iter().any(|words| line.contains(words));
    let is_tshark = line.trim_start().starts_with(|first: char| first.is_ascii_digit())
        && [" → ", " ARP "].iter().any(|words| line.contains(words));
    is_tcpdump || is_tshark || (line.starts_with("Frame 1: ") && line.contains(" on wire"))
}

/// `0000  45 00 …` or, as od writes it, `000000 45 00 …`
fn is_hex_dump(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_zero = |word: &str| word.len() >= 4 && word.bytes().all(|byte| byte == b'0');
    let is_byte = |word: &str| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    words.next().is_some_and(|word| is_zero(word.trim_end_matches(':')))
        && words.clone().count() >= 4
        && words.take(4).all(is_byte)
}

/// A trace of Windows starts with the size of its buffers, and behind that header with a first event, whose
/// own header has a mark.
fn is_etl(buffer: &mut Buffer) -> Result<bool, CaptureErrorKind> {
    const HEADER: usize = 72;
    const MARK: usize = HEADER + 3;
    let Some(size) = buffer.unread().first_chunk() else { return Ok(false) };
    let size = u32::from_le_bytes(*size);
    // Text and other formats have larger numbers there, so nothing is waited for.
    if !(1 << 10..=1 << 24).contains(&size) || !size.is_multiple_of(1 << 10) {
        return Ok(false);
    }
    buffer.fill_to(MARK + 1)?;
    Ok(buffer.unread().get(MARK) == Some(&0xc0))
}

/// Records of a time, a type, flags and a length; the second one tells.
fn is_erf(buffer: &mut Buffer) -> Result<bool, CaptureErrorKind> {
    const HEADER: usize = 16;
    let record = |buffer: &Buffer, at: usize| {
        let header = buffer.unread().get(at..)?.first_chunk::<HEADER>()?;
        let [_, _, _, _, a, b, c, d, kind, _, high, low, ..] = *header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let seconds = u32::from_le_bytes([a, b, c, d]);
        ((1..=48).contains(&(kind & 0x7f)) && len >= HEADER).then_some((seconds, len))
    };
    // Of text that somebody is still writing, no more than its first line is there.
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let mut line = buffer.unread().split_inclusive(|byte| *byte == b'\n');
    if line.next().is_none_or(|line| line.iter().take(HEADER).all(is_text)) {
        return Ok(false);
    }
    buffer.fill_to(HEADER)?;
    let Some((first, len)) = record(buffer, 0).filter(|(seconds, _)| *seconds > 0) else {
        return Ok(false);
    };
    buffer.fill_to(len + HEADER)?;
    Ok(record(buffer, len).is_some_and(|(second, _)| second.abs_diff(first) < 3600))
}

fn foreign(name: &str, format: &'static str, way: Way) -> CaptureErrorKind {
    let path = Path::new(name);
    let is_file = path.extension().is_some();
    let input = if is_file { escape::shell(name) } else { "IN".to_owned() };
    let output = |extension: &str| match is_file {
        true => escape::shell(&escape::path(&path.with_extension(extension))),
        false => format!("OUT.{extension}"),
    };
    let advice = match way {
        Way::Editcap => format!("`editcap {input} {}` converts it", output("pcapng")),
        Way::EditcapToPcap => format!("`editcap -F pcap {input} {}` converts it", output("pcap")),
        Way::Command(command) => {
            let command = command.replace("IN", &input);
            format!("`{}` makes it readable", command.replace("OUT.pcapng", &output("pcapng")))
        }
        Way::Advice(advice) => advice.to_owned(),
    };
    CaptureErrorKind::Foreign { format, advice }
}
