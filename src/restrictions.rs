//! What is likely to be blocked on the way although the rules allow it (SEMANTICS A9). These are
//! warnings beside a verdict, never the verdict.

use std::net::IpAddr;

use crate::flow::{Direction, FlowTuple, Protocol};

/// Ports that some carriers block on the Internet, in some regions. The list is not complete ("such as"),
/// so a rules file may name others.
pub const CARRIER_BLOCKED: [u16; 7] = [25, 135, 139, 444, 445, 5800, 5900];

/// The port of e-mail between servers.
pub(crate) const SMTP: u16 = 25;

/// Where a connection that the rules allow is likely to end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Obstacle {
    /// Ingress from the Internet to a port that some carriers block (SEMANTICS F9: TCP and UDP).
    Carrier,
    /// Egress to TCP port 25 on the Internet, which the cloud restricts by default.
    Smtp,
}

impl Obstacle {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Carrier => "carrier",
            Self::Smtp => "smtp",
        }
    }
}

/// What stands in the way of a connection opened by this packet, where carriers block these ports.
///
/// ```
/// use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
/// use sgreplay::restrictions::{CARRIER_BLOCKED, Obstacle, obstacle};
///
/// let (src, dst) = ("203.0.113.9".parse().unwrap(), "10.0.0.5".parse().unwrap());
/// let transport = Transport::Ports { src: 40000, dst: 445 };
/// let smb = FlowTuple { src, dst, proto: Protocol::TCP, transport };
/// assert_eq!(obstacle(Direction::Ingress, &smb, &CARRIER_BLOCKED), Some(Obstacle::Carrier));
/// assert_eq!(obstacle(Direction::Egress, &smb, &CARRIER_BLOCKED), None);
/// ```
pub fn obstacle(direction: Direction, flow: &FlowTuple, carrier_ports: &[u16]) -> Option<Obstacle> {
    let (_, port) = flow.transport.ports()?;
    let obstacle = match (direction, flow.proto) {
        (Direction::Ingress, Protocol::TCP | Protocol::UDP) if carrier_ports.contains(&port) => {
            Obstacle::Carrier
        }
        (Direction::Egress, Protocol::TCP) if port == SMTP => Obstacle::Smtp,
        _ => return None,
    };
    on_the_internet(flow.peer(direction)).then_some(obstacle)
}

/// Not private, shared, local to a link or a host, or multicast.
fn on_the_internet(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, ..] = addr.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(addr.is_private()
                || shared
                || addr.is_loopback()
                || addr.is_link_local()
                || addr.is_multicast()
                || addr.is_broadcast()
                || a == 0)
        }
        IpAddr::V6(addr) => {
            !(addr.is_unique_local()
                || addr.is_unicast_link_local()
                || addr.is_loopback()
                || addr.is_unspecified()
                || addr.is_multicast())
        }
    }
}
