//! The bound on how far peers are widened.

use std::net::IpAddr;

use ipnet::IpNet;

/// The largest networks that peers are widened to, by prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    /// Of IPv4: 32 for the addresses themselves.
    pub v4: u8,
    /// Of IPv6: 128 for the addresses themselves.
    pub v6: u8,
}

impl Widening {
    /// The addresses that were seen, and no others.
    pub const EXACT: Self = Self { v4: 32, v6: 128 };

    /// Bounds to choose between, the narrowest first.
    pub const STEPS: [Self; 7] = [
        Self::EXACT,
        Self { v4: 28, v6: 120 },
        Self { v4: 24, v6: 64 },
        Self { v4: 20, v6: 56 },
        Self { v4: 16, v6: 48 },
        Self { v4: 8, v6: 32 },
        Self { v4: 0, v6: 0 },
    ];

    /// The bound for the network's family.
    pub(super) fn prefix_len(self, net: &IpNet) -> u8 {
        if net.addr().is_ipv4() { self.v4 } else { self.v6 }
    }

    /// The largest network within the bound that holds an address.
    pub fn around(self, addr: IpAddr) -> IpNet {
        let len = if addr.is_ipv4() { self.v4 } else { self.v6 };
        IpNet::new(addr, len).map_or_else(|_| addr.into(), |net| net.trunc())
    }

    /// The largest network within the bound that holds a network, or the network itself if it is larger.
    pub(super) fn widen(self, net: &IpNet) -> IpNet {
        let around = self.around(net.addr());
        if around.prefix_len() < net.prefix_len() { around } else { *net }
    }
}
