//! The common ports (SEMANTICS C1), as data in one place: names that work wherever a port does.

use std::sync::LazyLock;

use super::field::{FieldError, PortRange, nearest};
use crate::flow::{FlowTuple, Protocol};

/// A service with its default ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The name to print.
    pub name: &'static str,
    /// Other names it goes by.
    pub aliases: &'static [&'static str],
    /// Ports by protocol; TCP first where a service has both.
    pub ports: &'static [(Protocol, PortRange)],
    /// What it is for.
    pub class: Class,
    /// What to know before opening it.
    pub note: &'static str,
}

/// What a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Remote shells and desktops.
    Administration,
    /// Databases.
    Database,
    /// All others.
    Other,
}

const fn tcp(first: u16, last: u16) -> (Protocol, PortRange) {
    (Protocol::TCP, range(first, last))
}

const fn udp(first: u16, last: u16) -> (Protocol, PortRange) {
    (Protocol::UDP, range(first, last))
}

#[expect(clippy::unwrap_used, reason = "in constants only: a wrong one does not compile")]
const fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

const fn service(
    name: &'static str,
    aliases: &'static [&'static str],
    ports: &'static [(Protocol, PortRange)],
    note: &'static str,
) -> Service {
    Service { name, aliases, ports, class: Class::Other, note }
}

const fn administration(service: Service) -> Service {
    Service { class: Class::Administration, ..service }
}

const fn database(service: Service) -> Service {
    Service { class: Class::Database, ..service }
}

/// Every service, by port.
pub const SERVICES: [Service; 18] = [
    service(
        "FTP",
        &[],
        &[tcp(21, 21)],
        "control connection; passive mode needs its data ports too",
    ),
    administration(service("SSH", &[], &[tcp(22, 22)], "remote shell of Linux instances")),
    administration(service("Telnet", &[], &[tcp(23, 23)], "remote shell, unencrypted")),
    service("SMTP", &[], &[tcp(25, 25)], "restricted by default, some carriers block it; use 465"),
    service(
        "DNS",
        &["domain"],
        &[tcp(53, 53), udp(53, 53)],
        "open egress UDP 53 with an egress allow-list",
    ),
    service("HTTP", &["web"], &[tcp(80, 80)], ""),
    service("POP3", &[], &[tcp(110, 110)], "mail retrieval"),
    service(
        "NetBIOS",
        &["netbios-ns", "netbios-dgm", "netbios-ssn"],
        &[tcp(139, 139), udp(137, 138)],
        "name and datagram service UDP 137 and 138, session TCP 139, which some carriers block",
    ),
    service("IMAP", &[], &[tcp(143, 143)], "mail retrieval"),
    service("HTTPS", &["tls", "ssl"], &[tcp(443, 443)], ""),
    database(service(
        "SQL Server",
        &["mssql", "ms sql"],
        &[tcp(1433, 1433), udp(1434, 1434)],
        "UDP 1434 is the SQL Server Browser",
    )),
    service(
        "SQL Server Browser",
        &["mssql browser"],
        &[udp(1434, 1434)],
        "open it only if the Browser service is used",
    ),
    database(service("Oracle", &[], &[tcp(1521, 1521)], "")),
    database(service("MySQL", &[], &[tcp(3306, 3306)], "")),
    administration(service(
        "RDP",
        &["Windows Server Remote Desktop Services", "remote desktop"],
        &[tcp(3389, 3389)],
        "Windows Server Remote Desktop Services",
    )),
    database(service("PostgreSQL", &["postgres"], &[tcp(5432, 5432)], "")),
    database(service("Redis", &[], &[tcp(6379, 6379)], "")),
    service("HTTP proxy", &["proxy", "http-alt"], &[tcp(8080, 8080)], "alternative to 80"),
];

/// No service has a port above it.
static HIGHEST_PORT: LazyLock<u16> = LazyLock::new(|| {
    let ports = SERVICES.iter().flat_map(|service| service.ports);
    ports.map(|(_, range)| range.last()).max().unwrap_or(0)
});

/// The service whose default port this is, for labels; in doubt the more specific one.
pub fn of_port(proto: Protocol, port: u16) -> Option<&'static Service> {
    // Most ports are a client's.
    if port > *HIGHEST_PORT {
        return None;
    }
    let has = |s: &&Service| s.ports.iter().any(|(p, range)| *p == proto && range.contains(port));
    SERVICES.iter().rfind(has)
}

/// The service of a flow in words: `tcp 22 (SSH)`.
pub fn of_flow(flow: &FlowTuple) -> String {
    match (flow.transport.ports(), flow.transport.icmp()) {
        (Some((_, port)), _) => {
            let name = of_port(flow.proto, port).map(|service| format!(" ({})", service.name));
            format!("{} {port}{}", flow.proto, name.unwrap_or_default())
        }
        (None, Some((kind, _))) => format!("{} type {kind}", flow.proto),
        (None, None) => flow.proto.to_string(),
    }
}

/// The ports that a service name stands for: `SSH`, `ssh`, `SSH (22)`. With a protocol, those that
/// the service has in it, else all.
///
/// # Errors
/// When no service has that name (the nearest one is named), or the number in parentheses is not
/// its port.
pub fn ports(text: &str, proto: Option<Protocol>) -> Result<Vec<PortRange>, FieldError> {
    let (name, number) = match text.split_once('(') {
        Some((name, number)) => (name.trim(), Some(number.trim_end_matches(')').trim())),
        None => (text.trim(), None),
    };
    let named = |service: &&Service| {
        service.name.eq_ignore_ascii_case(name)
            || service.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    };
    let Some(service) = SERVICES.iter().find(named) else {
        let names = SERVICES.iter().flat_map(|s| std::iter::once(&s.name).chain(s.aliases));
        let nearest = nearest(name, names.copied());
        let hint = nearest.map_or_else(String::new, |n| format!("did you mean `{n}`? "));
        return Err(FieldError {
            found: format!("`{text}`"),
            expected: format!("{hint}`sgreplay services` lists the names; else write the port"),
        });
    };
    let in_proto: Vec<PortRange> =
        service.ports.iter().filter(|(p, _)| proto == Some(*p)).map(|(_, range)| *range).collect();
    let ranges = match in_proto.is_empty() {
        true => service.ports.iter().map(|(_, range)| *range).collect(),
        false => in_proto,
    };
    match number {
        None => Ok(merged(ranges)),
        Some(number) => {
            let range: PortRange = number.parse()?;
            let fits = |p: &(Protocol, PortRange)| {
                p.1.contains(range.first()) && p.1.contains(range.last())
            };
            if service.ports.iter().any(fits) {
                Ok(vec![range])
            } else {
                let found = format!("`{text}`");
                let port = ranges.first().map_or_else(String::new, ToString::to_string);
                let expected = format!("{} is {port}; write the port alone", service.name);
                Err(FieldError { found, expected })
            }
        }
    }
}

/// DNS has one number in two protocols.
fn merged(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}
