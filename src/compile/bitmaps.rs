//! Bitmaps: the index for rule sets whose diagrams would need too much memory.
//!
//! A value's elementary interval on an axis gives a bitmap of the entries whose condition on that axis
//! it meets, with bit *n* for the entry at position *n*; equal bitmaps are stored once (they are the
//! axis's equivalence classes). A packet's entry is the first bit set in all its axes' bitmaps. Memory
//! grows with the bounds on each axis alone, never with their product.

use std::net::IpAddr;

use ipnet::IpNet;

use super::TooLarge;
use super::axis::{Axis, Condition};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Addresses, Entry, EntryIndex, Matcher, Ordered, PortRange, RuleProtocol};

#[derive(Debug)]
pub(super) struct Bitmaps {
    direction: Direction,
    protocol: Axis<u8>,
    port: Axis<u16>,
    peer: ByFamily,
    source_port: Option<Axis<u16>>,
    local: Option<ByFamily>,
    icmp: Option<Axis<u16>>,
}

/// An axis of addresses: no entry's network holds addresses of both families.
#[derive(Debug)]
struct ByFamily {
    v4: Axis<u32>,
    v6: Axis<u128>,
}

impl ByFamily {
    fn new(
        entries: &[Entry],
        addresses: impl Fn(&Matcher) -> &Addresses,
    ) -> Result<Self, TooLarge> {
        let v4 = Axis::new(entries.iter().map(|entry| match addresses(&entry.matcher) {
            Addresses::Any => Condition::Any,
            Addresses::Nets(nets) => Condition::In(nets.iter().filter_map(v4_range).collect()),
        }))?;
        let v6 = Axis::new(entries.iter().map(|entry| match addresses(&entry.matcher) {
            Addresses::Any => Condition::Any,
            Addresses::Nets(nets) => Condition::In(nets.iter().filter_map(v6_range).collect()),
        }))?;
        Ok(Self { v4, v6 })
    }

    #[inline]
    fn matching(&self, addr: IpAddr) -> &[u64] {
        match addr {
            IpAddr::V4(addr) => self.v4.matching(addr.to_bits()),
            IpAddr::V6(addr) => self.v6.matching(addr.to_bits()),
        }
    }

    fn memory_usage(&self) -> usize {
        self.v4.memory_usage() + self.v6.memory_usage()
    }
}

fn v4_range(net: &IpNet) -> Option<(u32, u32)> {
    match net {
        IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
        IpNet::V6(_) => None,
    }
}

fn v6_range(net: &IpNet) -> Option<(u128, u128)> {
    match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
    }
}

fn ports(ranges: &[PortRange]) -> Condition<u16> {
    match ranges {
        [] => Condition::Any,
        _ => Condition::In(ranges.iter().map(|range| (range.first(), range.last())).collect()),
    }
}

fn icmp_key(kind: u8, code: u8) -> u16 {
    u16::from_be_bytes([kind, code])
}

impl Bitmaps {
    pub(super) fn new(ordered: &Ordered) -> Result<Self, TooLarge> {
        let entries = ordered.entries();
        let matchers = || entries.iter().map(|entry| &entry.matcher);
        let protocol = Axis::new(matchers().map(|matcher| match matcher.protocol {
            RuleProtocol::All => Condition::Any,
            RuleProtocol::Only(proto) => Condition::In(vec![(proto.0, proto.0)]),
        }))?;
        let icmp = matchers().any(|matcher| matcher.icmp.is_some()).then(|| {
            Axis::new(matchers().map(|matcher| match matcher.icmp {
                None => Condition::Any,
                Some(types) => {
                    let [first, last] = types.ends().map(|(kind, code)| icmp_key(kind, code));
                    Condition::In(vec![(first, last)])
                }
            }))
        });
        let source_port = matchers()
            .any(|matcher| !matcher.source_ports.is_empty())
            .then(|| Axis::new(matchers().map(|matcher| ports(&matcher.source_ports))));
        let local = matchers()
            .any(|matcher| matcher.local != Addresses::Any)
            .then(|| ByFamily::new(entries, |matcher| &matcher.local));
        Ok(Self {
            direction: ordered.direction(),
            protocol,
            port: Axis::new(matchers().map(|matcher| ports(&matcher.ports)))?,
            peer: ByFamily::new(entries, |matcher| &matcher.peer)?,
            source_port: source_port.transpose()?,
            local: local.transpose()?,
            icmp: icmp.transpose()?,
        })
    }

    /// The first entry that matches.
    #[inline]
    pub(super) fn first_match(&self, flow: &FlowTuple) -> EntryIndex {
        let ports = flow.transport.ports();
        let protocol = self.protocol.matching(flow.proto.0);
        let port = self.port.matching_or_absent(ports.map(|(_, dst)| dst));
        let peer = self.peer.matching(flow.peer(self.direction));
        let source_port = self
            .source_port
            .as_ref()
            .map(|axis| axis.matching_or_absent(ports.map(|(src, _)| src)));
        let local = self.local.as_ref().map(|axis| axis.matching(flow.local(self.direction)));
        let icmp = self.icmp.as_ref().map(|axis| {
            axis.matching_or_absent(flow.transport.icmp().map(|(kind, code)| icmp_key(kind, code)))
        });
        let rare = [source_port, local, icmp];
        for (word, ((a, b), c)) in protocol.iter().zip(port).zip(peer).enumerate() {
            let mut all = a & b & c;
            if all == 0 {
                continue;
            }
            for bits in rare.iter().flatten() {
                all &= bits.get(word).copied().unwrap_or_default();
            }
            if all != 0 {
                return EntryIndex(
                    u32::try_from(word).unwrap_or(u32::MAX) * 64 + all.trailing_zeros(),
                );
            }
        }
        // INVARIANT: the last entry matches everything, so the loop has returned.
        EntryIndex(u32::MAX)
    }

    pub(super) fn memory_usage(&self) -> usize {
        let Self { direction: _, protocol, port, peer, source_port, local, icmp } = self;
        let rare = [source_port, icmp].into_iter().flatten().map(Axis::memory_usage).sum::<usize>();
        protocol.memory_usage()
            + port.memory_usage()
            + peer.memory_usage()
            + local.as_ref().map_or(0, ByFamily::memory_usage)
            + rare
    }
}
