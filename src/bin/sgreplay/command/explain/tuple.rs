//! A packet in one line, as other output prints it.

use sgreplay::flow::Direction;
use sgreplay::rules::RuleProtocol;

use super::Endpoint;
use super::args::{endpoint, icmp_type};

/// A packet as a line states it.
#[derive(Debug, PartialEq)]
pub(super) struct Stated {
    pub direction: Option<Direction>,
    pub interface: Option<String>,
    pub proto: RuleProtocol,
    pub src: Endpoint,
    pub dst: Endpoint,
    pub icmp_type: Option<(u8, u8)>,
}

/// Reads a line: this program's (`ingress local  tcp 203.0.113.9:40000 > 10.0.0.5:22`), tcpdump's, or a record of
/// Zeek's conn.log.
pub(super) fn parse(line: &str) -> Result<Stated, String> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    if let [_, _, src, sport, dst, dport, proto, ..] = *fields.as_slice() {
        return zeek(proto, (src, sport), (dst, dport));
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(arrow) = words.iter().position(|word| *word == ">" || *word == "->") else {
        return Err(expected(line));
    };
    let (before, after) = words.split_at(arrow);
    let (Some((src, before)), Some((dst, after))) =
        (before.split_last(), after.get(1..).and_then(<[_]>::split_first))
    else {
        return Err(expected(line));
    };
    if before.iter().any(|word| *word == "IP" || *word == "IP6") {
        return tcpdump(src, dst, after);
    }
    let (proto, before) = before.split_last().ok_or_else(|| expected(line))?;
    let mut stated = ends(protocol(proto)?, src, dst)?;
    for word in before {
        match Direction::BOTH.into_iter().find(|direction| direction.as_str() == *word) {
            Some(direction) => stated.direction = Some(direction),
            // An interface follows its direction; what comes before is a frame's number and time.
            None if stated.direction.is_some() => stated.interface = Some((*word).to_owned()),
            None => {}
        }
    }
    let number = |name: &str| {
        let at = after.iter().position(|word| *word == name)?;
        after.get(at + 1).copied()
    };
    if let Some(kind) = number("type") {
        stated.icmp_type = Some(icmp_type(&format!("{kind}/{}", number("code").unwrap_or("0")))?);
    }
    Ok(stated)
}

fn expected(line: &str) -> String {
    format!(
        "`{line}` states no packet; expected 'tcp 203.0.113.9:40000 > 10.0.0.5:22', a line of tcpdump -n, or a record \
         of Zeek's conn.log; for a packet of a capture: --frame N CAPTURE"
    )
}

fn protocol(word: &str) -> Result<RuleProtocol, String> {
    word.to_ascii_lowercase().parse().map_err(|error| format!("{error}"))
}

fn ends(proto: RuleProtocol, src: &str, dst: &str) -> Result<Stated, String> {
    let (src, dst) = (endpoint(src)?, endpoint(dst)?);
    Ok(Stated { direction: None, interface: None, proto, src, dst, icmp_type: None })
}

/// `IP 203.0.113.9.40000 > 10.0.0.5.22: Flags [S], seq 1`
fn tcpdump(src: &str, dst: &str, after: &[&str]) -> Result<Stated, String> {
    let dst = dst.strip_suffix(':').unwrap_or(dst);
    let proto = match after.first().copied().unwrap_or_default().trim_end_matches(',') {
        "Flags" => "tcp",
        "UDP" => "udp",
        "ICMP" => "icmp",
        "ICMP6" => "icmpv6",
        _ => {
            return Err(
                "this line of tcpdump names no protocol (its decoder prints what is inside): write it as \
                 'udp 203.0.113.9:40000 > 10.0.0.5:53'"
                    .to_owned(),
            );
        }
    };
    let has_ports = matches!(proto, "tcp" | "udp");
    let mut stated = ends(protocol(proto)?, &dotted(src, has_ports), &dotted(dst, has_ports))?;
    let is = |word: &str| after.iter().any(|of| of.trim_end_matches(',') == word);
    stated.icmp_type = match (has_ports, is("echo"), is("request"), is("reply"), proto) {
        (true, ..) | (_, true, true, _, _) => None,
        (_, true, _, true, "icmp") => Some((0, 0)),
        (_, true, _, true, _) => Some((129, 0)),
        _ => {
            return Err(
                "this line of tcpdump is of an ICMP type that is not read: use --icmp-type"
                    .to_owned(),
            );
        }
    };
    Ok(stated)
}

/// An end as tcpdump writes it, with the port behind the last dot, as it is written here.
fn dotted(end: &str, has_port: bool) -> String {
    match end.rsplit_once('.') {
        Some((addr, port)) if has_port && addr.contains(':') => format!("[{addr}]:{port}"),
        Some((addr, port)) if has_port => format!("{addr}:{port}"),
        _ => end.to_owned(),
    }
}

/// The first fields of a record: ts, uid, and both ends.
fn zeek(proto: &str, src: (&str, &str), dst: (&str, &str)) -> Result<Stated, String> {
    let is_icmp = proto.eq_ignore_ascii_case("icmp");
    let name = if is_icmp && src.0.contains(':') { "icmpv6" } else { proto };
    let end = |(addr, port): (&str, &str)| match (is_icmp, addr.contains(':')) {
        (true, _) => addr.to_owned(),
        (false, true) => format!("[{addr}]:{port}"),
        (false, false) => format!("{addr}:{port}"),
    };
    let mut stated = ends(protocol(name)?, &end(src), &end(dst))?;
    if is_icmp {
        // Zeek has the type and the code where others have ports.
        stated.icmp_type = Some(icmp_type(&format!("{}/{}", src.1, dst.1))?);
    }
    Ok(stated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_programs_state_packets() {
        let ours = parse("tcp 203.0.113.9:40000 > 10.0.0.5:22").unwrap();
        assert_eq!(ours.dst.port.as_deref(), Some("22"));
        let lines = [
            "12:00:00.000001 IP 203.0.113.9.40000 > 10.0.0.5.22: Flags [S], seq 1, win 64240, length 0",
            "1600000000.1\tCxyz\t203.0.113.9\t40000\t10.0.0.5\t22\ttcp\tssh\t0.1",
        ];
        for line in lines {
            assert_eq!(parse(line).unwrap(), ours, "{line}");
        }
        let ours = parse(
            "     7      0.000100  ingress eni-web  tcp [2001:db8::9]:40000 > [2001:db8::5]:443",
        )
        .unwrap();
        assert_eq!(
            (ours.direction, ours.interface.as_deref()),
            (Some(Direction::Ingress), Some("eni-web"))
        );
        let theirs = parse("IP6 2001:db8::9.40000 > 2001:db8::5.443: Flags [S], length 0").unwrap();
        assert_eq!((&theirs.src, &theirs.dst), (&ours.src, &ours.dst));
        let error = parse("icmp 10.0.0.1 > 10.0.0.5 type 3 code 4").unwrap();
        assert_eq!(error.icmp_type, Some((3, 4)));
        let echo =
            parse("IP 203.0.113.9 > 10.0.0.5: ICMP echo reply, id 1, seq 1, length 64").unwrap();
        assert_eq!(echo.icmp_type, Some((0, 0)));
        assert!(parse("IP 203.0.113.9.5353 > 10.0.0.5.53: 1+ A? example.org. (29)").is_err());
        assert!(parse("web.pcap").is_err());
    }
}
