//! The compiled evaluator against the reference: the whole decision, not only allow or deny.
//!
//! Values come from a small universe with edges (0 to 15 and the last two), so that the ends of
//! intervals meet; uniform values find hardly any bug of an interval's end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sgreplay::compile::{CompiledRules, Instructions, Layout, MOST_MEMORY};
use sgreplay::evaluate::{Compiled, Evaluator, Reference};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::rules::{
    Addresses, Builtin, Entry, EntryIndex, EntryKind, IcmpTypes, Matcher, Ordered, Policy,
    PortRange, RuleProtocol,
};

#[path = "../../benches/support/mod.rs"]
pub(crate) mod support;

use support::sets::{self, Draw, Shape};

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![4 => 0_u32..16, 1 => u32::MAX - 1..=u32::MAX].prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![4 => 0_u128..16, 1 => u128::MAX - 1..=u128::MAX].prop_map(Ipv6Addr::from)
}

fn net() -> impl Strategy<Value = IpNet> {
    let len4 = prop_oneof![4 => 28_u8..=32, 1 => 0_u8..=1];
    let len6 = prop_oneof![4 => 124_u8..=128, 1 => 0_u8..=1];
    prop_oneof![
        (v4(), len4).prop_map(|(addr, len)| Ipv4Net::new(addr, len).unwrap().trunc().into()),
        (v6(), len6).prop_map(|(addr, len)| Ipv6Net::new(addr, len).unwrap().trunc().into()),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0_u16..16, 1 => u16::MAX - 1..=u16::MAX]
}

fn ranges() -> impl Strategy<Value = Vec<PortRange>> {
    let range =
        (port(), port()).prop_filter_map("a range", |(a, b)| PortRange::new(a.min(b), a.max(b)));
    prop_oneof![2 => Just(Vec::new()), 3 => vec(range, 1..3)]
}

fn addresses() -> impl Strategy<Value = Addresses> {
    prop_oneof![1 => Just(Addresses::Any), 4 => vec(net(), 0..3).prop_map(Addresses::Nets)]
}

fn proto() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        Just(Protocol::TCP),
        Just(Protocol::UDP),
        Just(Protocol::ICMP),
        Just(Protocol::ICMPV6),
        Just(Protocol(0)),
        Just(Protocol(255))
    ]
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let protocol = prop_oneof![Just(RuleProtocol::All), proto().prop_map(RuleProtocol::Only)];
    let local = prop_oneof![3 => Just(Addresses::Any), 1 => addresses()];
    let source_ports = prop_oneof![3 => Just(Vec::new()), 1 => ranges()];
    let one = (0_u8..4, option::of(0_u8..4)).prop_map(|(kind, code)| IcmpTypes::one(kind, code));
    let range = (0_u8..3, 0_u8..3).prop_map(|(first, more)| IcmpTypes::range(first, first + more));
    let icmp = prop_oneof![6 => Just(None), 1 => prop_oneof![one, range].prop_map(Some)];
    (protocol, ranges(), source_ports, addresses(), local, icmp, any::<bool>()).prop_map(
        |(protocol, ports, source_ports, peer, local, icmp, accept)| {
            let policy = if accept { Policy::Accept } else { Policy::Drop };
            let matcher = Matcher { protocol, ports, source_ports, peer, local, icmp };
            Entry::new(policy, EntryKind::System(Builtin::Slb), matcher)
        },
    )
}

pub(crate) fn flow() -> impl Strategy<Value = FlowTuple> {
    let ends = prop_oneof![
        (v4(), v4()).prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b))),
        (v6(), v6()).prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b))),
    ];
    let transport = prop_oneof![
        3 => (port(), port()).prop_map(|(src, dst)| Transport::Ports { src, dst }),
        1 => (0_u8..4, 0_u8..4).prop_map(|(kind, code)| Transport::Icmp { kind, code, id: None }),
        1 => Just(Transport::Absent),
    ];
    (ends, proto(), transport).prop_map(|((src, dst), proto, transport)| FlowTuple {
        src,
        dst,
        proto,
        transport,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Up to 200 entries: several words of the bitmaps.
    #[test]
    fn compiled_is_reference(
        entries in prop_oneof![vec(entry(), 0..6), vec(entry(), 60..70), vec(entry(), 120..200)],
        flows in vec(flow(), 150),
        ingress in any::<bool>(),
    ) {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let ordered = Ordered::new(direction, entries, Policy::Drop);
        let diagrams = Compiled::new(&ordered);
        prop_assert_eq!(diagrams.index().layout(), Layout::Diagrams);
        let bitmaps = Compiled::within(&ordered, 0);
        prop_assert_eq!(bitmaps.index().layout(), Layout::Bitmaps);
        for compiled in [&diagrams, &bitmaps] {
            let mut all = vec![EntryIndex(0); flows.len()];
            compiled.decide_all(&flows, &mut all);
            for (flow, of_all) in flows.iter().zip(all) {
                let reference = Reference(&ordered).decide(flow);
                prop_assert_eq!(compiled.decide(flow), reference, "{} {:?}", flow, compiled.index().layout());
                prop_assert_eq!(of_all, reference, "{}", flow);
            }
        }
        let by_reference: Vec<EntryIndex> =
            flows.iter().map(|flow| Reference(&ordered).decide(flow)).collect();
        for (_, found) in by_each(&ordered, &flows) {
            prop_assert_eq!(&found, &by_reference);
        }
    }
}

/// What is found by each of the instructions that this processor has.
fn by_each(
    ordered: &Ordered,
    flows: &[FlowTuple],
) -> impl Iterator<Item = (Instructions, Vec<EntryIndex>)> {
    let mut compiled = CompiledRules::new(ordered, MOST_MEMORY);
    Instructions::available().map(move |instructions| {
        compiled.search_by(instructions);
        let mut found = vec![EntryIndex(0); flows.len()];
        compiled.first_matches(flows, &mut found);
        (instructions, found)
    })
}

/// The same list of IPv6: every address behind `2001:db8::/32`.
fn in_v6(ordered: &Ordered) -> Ordered {
    let addresses = |addresses: &Addresses| match addresses {
        Addresses::Any => Addresses::Any,
        Addresses::Nets(nets) => Addresses::Nets(nets.iter().map(net_in_v6).collect()),
    };
    let entries = ordered.entries().split_last().map_or(&[][..], |(_default, entries)| entries);
    let entry = |entry: &Entry| {
        let Matcher { peer, local, .. } = &entry.matcher;
        let (peer, local) = (addresses(peer), addresses(local));
        Entry { matcher: Matcher { peer, local, ..entry.matcher.clone() }, ..entry.clone() }
    };
    Ordered::new(ordered.direction(), entries.iter().map(entry).collect(), Policy::Drop)
}

fn net_in_v6(net: &IpNet) -> IpNet {
    let IpNet::V4(net) = net else { panic!("{net}") };
    IpNet::new(addr_in_v6(net.network().into()), net.prefix_len() + 32).unwrap()
}

fn addr_in_v6(addr: IpAddr) -> IpAddr {
    let IpAddr::V4(addr) = addr else { panic!("{addr}") };
    Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(addr.to_bits()) << 64).into()
}

/// Lists as long as real ones get, in the shapes that the benches measure: the index takes wide entries
/// out into diagrams of their own there.
#[test]
fn long_lists() {
    for shape in [Shape::Group, Shape::Acl, Shape::Firewall, Shape::Chain] {
        let v4 = sets::ordered(shape, 1_000, 1);
        let v6 = in_v6(&v4);
        for draw in Draw::ALL {
            let flows = sets::flows(&v4, draw, 300, 1);
            all_agree(&v4, &flows);
            let ends = |flow: &FlowTuple| (addr_in_v6(flow.src), addr_in_v6(flow.dst));
            let of_v6 = flows.iter().map(|flow| (flow, ends(flow)));
            let of_v6 = of_v6.map(|(flow, (src, dst))| FlowTuple { src, dst, ..*flow });
            all_agree(&v6, &of_v6.collect::<Vec<_>>());
        }
    }
}

/// Lists of which only bitmaps can be had, which are cut into blocks; their memory grows with the list, not with its
/// square.
#[test]
fn lists_too_long_for_diagrams() {
    let mut memory = Vec::new();
    for rules in [12_000, 48_000] {
        let ordered = sets::ordered(Shape::Group, rules, 1);
        let compiled = Compiled::within(&ordered, 0);
        assert_eq!(compiled.index().layout(), Layout::Bitmaps);
        memory.push(compiled.index().memory_usage());
        for draw in Draw::ALL {
            for flow in sets::flows(&ordered, draw, 200, 1) {
                assert_eq!(compiled.decide(&flow), Reference(&ordered).decide(&flow), "{flow}");
            }
        }
    }
    assert!(memory[1] < 5 * memory[0] && memory[1] < 128 << 20, "{memory:?}");
}

/// Few entries with so many networks that blocks have fewer entries than others.
#[test]
fn entries_with_many_networks() {
    let entry = |n: u32| {
        let net =
            |m: u32| IpNet::from(IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + m * 300 + n)));
        let peer = Addresses::Nets((0..2_000).map(net).collect());
        let policy = if n.is_multiple_of(2) { Policy::Accept } else { Policy::Drop };
        Entry::new(policy, EntryKind::System(Builtin::Slb), Matcher { peer, ..Matcher::any() })
    };
    let entries = (0..300).map(entry).collect();
    let ordered = Ordered::new(Direction::Ingress, entries, Policy::Drop);
    let compiled = Compiled::within(&ordered, 0);
    for flow in sets::flows(&ordered, Draw::Rules, 1_000, 1) {
        assert_eq!(compiled.decide(&flow), Reference(&ordered).decide(&flow), "{flow}");
    }
}

fn all_agree(ordered: &Ordered, flows: &[FlowTuple]) {
    let compiled = Compiled::new(ordered);
    assert_eq!(compiled.index().layout(), Layout::Diagrams);
    let mut all = vec![EntryIndex(0); flows.len()];
    compiled.decide_all(flows, &mut all);
    for (flow, of_all) in flows.iter().zip(all.iter().copied()) {
        let reference = Reference(ordered).decide(flow);
        assert_eq!(compiled.decide(flow), reference, "{flow}");
        assert_eq!(of_all, reference, "{flow}");
    }
    for (instructions, found) in by_each(ordered, flows) {
        assert_eq!(found, all, "{instructions:?}");
    }
}
