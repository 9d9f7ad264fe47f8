//! Bitmaps: the index for rule sets whose diagrams would need too much memory.
//!
//! A value's elementary interval on an axis gives a bitmap of the entries whose condition on that axis
//! it meets, with bit *n* for the entry at position *n*; equal bitmaps are stored once (they are the
//! axis's equivalence classes). A packet's entry is the first bit set in all its axes' bitmaps.
//!
//! Both the number of classes and their length grow with the list, so a long list is cut into blocks, each with bitmaps
//! of its own: memory grows with the list then, and not with its square. A bitmap of blocks says in which of them the
//! far side's address is met at all.

use std::net::IpAddr;

use ipnet::IpNet;

use super::TooLarge;
use super::axis::{Axis, Condition};
use crate::flow::{Direction, FlowTuple};
use crate::rules::{Addresses, Entry, EntryIndex, Ordered, PortRange, RuleProtocol};

/// Bitmaps take no more bytes.
const MOST_BITMAPS: usize = 256 << 20;
/// Nor do those of one axis, before a list is cut into more blocks.
const MOST_OF_AXIS: usize = 32 << 20;
/// Blocks have no more entries than this divided by those of the whole list: with two bounds an entry and a bit for each
/// of a block's, an axis takes [`MOST_OF_AXIS`].
const ENTRIES_BY_ENTRIES: usize = 4 * MOST_OF_AXIS;
/// The bits of a word: bitmaps of fewer entries are no shorter.
const FEWEST: usize = 64;

#[derive(Debug)]
pub(super) struct Bitmaps {
    direction: Direction,
    blocks: Vec<Block>,
    /// The blocks in which an address of the far side is met.
    met: ByFamily,
}

/// Some entries in a row.
#[derive(Debug)]
struct Block {
    /// The position of the first.
    first: u32,
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
    fn new<'a>(
        of_entries: impl Fn() -> Vec<Vec<&'a Addresses>>,
        most: usize,
    ) -> Result<Self, TooLarge> {
        let v4 = Axis::new(of_entries().into_iter().map(|of| condition(&of, v4_range)), most)?;
        let v6 = Axis::new(of_entries().into_iter().map(|of| condition(&of, v6_range)), most)?;
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

/// A condition that is met where one of several is.
fn condition<K>(any_of: &[&Addresses], range: impl Fn(&IpNet) -> Option<(K, K)>) -> Condition<K> {
    let mut intervals = Vec::new();
    for addresses in any_of {
        match addresses {
            Addresses::Any => return Condition::Any,
            Addresses::Nets(nets) => intervals.extend(nets.iter().filter_map(&range)),
        }
    }
    Condition::In(intervals)
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
        let most = (ENTRIES_BY_ENTRIES / entries.len().max(1)).next_multiple_of(FEWEST);
        let (mut blocks, mut room) = (Vec::new(), MOST_BITMAPS);
        for (n, block) in entries.chunks(most).enumerate() {
            add_blocks(block, n * most, &mut blocks, &mut room)?;
        }
        let ends = blocks.iter().skip(1).map(|of| of.first as usize).chain([entries.len()]);
        let within = blocks.iter().zip(ends).map(|(of, end)| of.first as usize..end);
        let within: Vec<&[Entry]> =
            within.map(|block| entries.get(block).unwrap_or_default()).collect();
        let peers = || {
            let entries = within.iter().map(|block| block.iter());
            entries.map(|block| block.map(|entry| &entry.matcher.peer).collect()).collect()
        };
        let met = ByFamily::new(peers, room)?;
        Ok(Self { direction: ordered.direction(), blocks, met })
    }

    /// The first entry that matches.
    #[inline]
    pub(super) fn first_match(&self, flow: &FlowTuple) -> EntryIndex {
        let peer = flow.peer(self.direction);
        for (blocks, met) in self.blocks.chunks(FEWEST).zip(self.met.matching(peer)) {
            let mut met = *met;
            while met != 0 {
                let block = blocks.get(met.trailing_zeros() as usize);
                if let Some(found) = block.and_then(|block| block.first_match(flow, self.direction))
                {
                    return found;
                }
                met &= met - 1;
            }
        }
        // INVARIANT: the last entry matches everything, so the loop has returned.
        EntryIndex(u32::MAX)
    }

    pub(super) fn memory_usage(&self) -> usize {
        self.met.memory_usage() + self.blocks.iter().map(Block::memory_usage).sum::<usize>()
    }
}

/// Adds the block of some entries, or several where it would take too much: entries may have many networks each.
fn add_blocks(
    entries: &[Entry],
    first: usize,
    to: &mut Vec<Block>,
    room: &mut usize,
) -> Result<(), TooLarge> {
    let most = if entries.len() <= FEWEST { *room } else { MOST_OF_AXIS.min(*room) };
    if let Ok(block) = Block::new(entries, first, most) {
        *room = room.checked_sub(block.memory_usage()).ok_or(TooLarge)?;
        to.push(block);
        return Ok(());
    }
    if entries.len() <= FEWEST {
        return Err(TooLarge);
    }
    let half = (entries.len() / 2).next_multiple_of(FEWEST);
    let (one, two) = entries.split_at(half);
    add_blocks(one, first, to, room)?;
    add_blocks(two, first + half, to, room)
}

impl Block {
    fn new(entries: &[Entry], first: usize, most: usize) -> Result<Self, TooLarge> {
        let matchers = || entries.iter().map(|entry| &entry.matcher);
        let protocols = matchers().map(|matcher| match matcher.protocol {
            RuleProtocol::All => Condition::Any,
            RuleProtocol::Only(proto) => Condition::In(vec![(proto.0, proto.0)]),
        });
        let icmp = matchers().any(|matcher| matcher.icmp.is_some()).then(|| {
            let types = matchers().map(|matcher| match matcher.icmp {
                None => Condition::Any,
                Some(types) => {
                    let [first, last] = types.ends().map(|(kind, code)| icmp_key(kind, code));
                    Condition::In(vec![(first, last)])
                }
            });
            Axis::new(types, most)
        });
        let source_port = matchers()
            .any(|matcher| !matcher.source_ports.is_empty())
            .then(|| Axis::new(matchers().map(|matcher| ports(&matcher.source_ports)), most));
        let locals = || matchers().map(|matcher| vec![&matcher.local]).collect();
        let local = matchers()
            .any(|matcher| matcher.local != Addresses::Any)
            .then(|| ByFamily::new(locals, most));
        let peers = || matchers().map(|matcher| vec![&matcher.peer]).collect();
        Ok(Self {
            first: u32::try_from(first).map_err(|_| TooLarge)?,
            protocol: Axis::new(protocols, most)?,
            port: Axis::new(matchers().map(|matcher| ports(&matcher.ports)), most)?,
            peer: ByFamily::new(peers, most)?,
            source_port: source_port.transpose()?,
            local: local.transpose()?,
            icmp: icmp.transpose()?,
        })
    }

    /// The first entry of the block that matches.
    #[inline]
    fn first_match(&self, flow: &FlowTuple, direction: Direction) -> Option<EntryIndex> {
        let ports = flow.transport.ports();
        let protocol = self.protocol.matching(flow.proto.0);
        let port = self.port.matching_or_absent(ports.map(|(_, dst)| dst));
        let peer = self.peer.matching(flow.peer(direction));
        let source_port = self
            .source_port
            .as_ref()
            .map(|axis| axis.matching_or_absent(ports.map(|(src, _)| src)));
        let local = self.local.as_ref().map(|axis| axis.matching(flow.local(direction)));
        let icmp = self.icmp.as_ref().map(|axis| {
            axis.matching_or_absent(flow.transport.icmp().map(|(kind, code)| icmp_key(kind, code)))
        });
        let rare = [source_port, local, icmp];
        for (word, ((a, b), c)) in (0..).zip(protocol.iter().zip(port).zip(peer)) {
            let mut all = a & b & c;
            if all == 0 {
                continue;
            }
            for bits in rare.iter().flatten() {
                all &= bits.get(word as usize).copied().unwrap_or_default();
            }
            if all != 0 {
                return Some(EntryIndex(self.first + word * u64::BITS + all.trailing_zeros()));
            }
        }
        None
    }

    fn memory_usage(&self) -> usize {
        let Self { first: _, protocol, port, peer, source_port, local, icmp } = self;
        let rare = [source_port, icmp].into_iter().flatten().map(Axis::memory_usage).sum::<usize>();
        protocol.memory_usage()
            + port.memory_usage()
            + peer.memory_usage()
            + local.as_ref().map_or(0, ByFamily::memory_usage)
            + rare
    }
}
