//! [`Ordered`] entries → an index whose lookup does not walk the list.
//!
//! Every condition of an entry is a set of intervals on one axis of the packet: a port range; a CIDR,
//! which is an address range; a protocol, which is a point. The bounds of all entries cut an axis
//! into elementary intervals, within which the same entries match, and intervals of the same entries
//! are one class. The index finds a packet's class on each axis, and then asks one axis after the other
//! for what the answers so far have left: a decision diagram, in tables of class × class. Axes that no
//! entry restricts (source port, local address, ICMP) are never asked and cost nothing.
//!
//! Memory is bounded. Where the diagrams of a list would take more, it is indexed by bitmaps, whose
//! lookup grows with the list but whose memory hardly does; where tens of thousands of different entries make
//! even those too large, the list is walked.
//!
//! ```
//! # let text = "{security_groups: [{id: sg-a, rules: [
//! #   {direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}]}]}";
//! # let rules = sgreplay::parse::yaml("example.yaml", text).unwrap();
//! use sgreplay::compile::{CompiledRules, Layout};
//! use sgreplay::flow::Direction;
//!
//! let ordered = rules.ordered(0, Direction::Ingress);
//! let compiled = CompiledRules::new(&ordered, sgreplay::compile::MOST_MEMORY);
//! assert_eq!(compiled.layout(), Layout::Diagrams);
//! assert!(compiled.memory_usage() < 20_000);
//! ```

pub(crate) mod axes;
mod axis;
mod bitmaps;
pub(crate) mod classes;
mod diagram;
mod distinct;
mod paged;
mod search;
mod simd;
mod walk;

use crate::flow::{Direction, FlowTuple};
use crate::rules::{Entry, EntryIndex, Ordered};
use axes::{Conditions, Family};
pub use axes::{Key, KeyV4, KeyV6};
use bitmaps::Bitmaps;
pub use simd::Instructions;
use walk::{Forest, Walk};

/// The bound on an index's memory, in bytes, where nobody asks for another: 64 MiB.
pub const MOST_MEMORY: usize = 64 << 20;

/// Flows whose keys are made at once.
const TOGETHER: usize = 64;

/// An index over the entries of one interface and direction.
#[derive(Debug)]
pub struct CompiledRules {
    direction: Direction,
    index: Index,
    instructions: Instructions,
}

#[derive(Debug)]
enum Index {
    Diagrams(Box<Diagrams>),
    Bitmaps(Box<Bitmaps>),
    List(Box<Ordered>),
}

/// The bound was reached.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// How the entries are indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Decision diagrams: the time of a lookup hardly depends on the number of entries.
    Diagrams,
    /// Bitmaps of entries: time grows with the number of entries, by a 64th of what walking the list
    /// would cost.
    Bitmaps,
    /// None: the list is walked.
    List,
}

impl Layout {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diagrams => "diagrams",
            Self::Bitmaps => "bitmaps",
            Self::List => "the list itself",
        }
    }
}

#[derive(Debug)]
struct Diagrams {
    v4: Forest,
    v6: Forest,
}

impl Diagrams {
    fn new(ordered: &Ordered, most_memory: usize) -> Result<Self, TooLarge> {
        let forest = |family, most| {
            let conditions = |entry: &Entry| Conditions::new(&entry.matcher, family);
            let entries = ordered.entries().iter().map(conditions);
            Forest::plant(entries, family, most)
        };
        let v4 = forest(Family::V4, most_memory)?;
        let v6 = forest(Family::V6, most_memory.saturating_sub(v4.memory_usage()))?;
        let diagrams = Self { v4, v6 };
        if diagrams.memory_usage() > most_memory { Err(TooLarge) } else { Ok(diagrams) }
    }

    fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.v4.memory_usage() + self.v6.memory_usage()
    }
}

impl CompiledRules {
    /// Compiles the entries. The index takes no more than `most_memory` bytes unless even bitmaps
    /// need more; those take no more than 256 MiB an axis.
    pub fn new(ordered: &Ordered, most_memory: usize) -> Self {
        let bitmaps = || match Bitmaps::new(ordered) {
            Ok(bitmaps) => Index::Bitmaps(Box::new(bitmaps)),
            Err(TooLarge) => Index::List(Box::new(ordered.clone())),
        };
        let diagrams = Diagrams::new(ordered, most_memory);
        let index = diagrams.map_or_else(|TooLarge| bitmaps(), |of| Index::Diagrams(Box::new(of)));
        Self { direction: ordered.direction(), index, instructions: Instructions::best() }
    }

    /// Looks many packets up by these instructions instead of the best that there are: to compare them.
    pub fn search_by(&mut self, instructions: Instructions) {
        self.instructions = instructions;
    }

    /// The first entry that matches.
    #[inline]
    pub fn first_match(&self, flow: &FlowTuple) -> EntryIndex {
        match &self.index {
            Index::Diagrams(diagrams) => match Key::new(flow, self.direction) {
                Key::V4(key) => diagrams.v4.walk_one(&key),
                Key::V6(key) => diagrams.v6.walk_one(&key),
            },
            Index::Bitmaps(bitmaps) => bitmaps.first_match(flow),
            Index::List(list) => first_in(list, flow),
        }
    }

    /// The first entries that match each of some flows; `found` takes as many as it has room for.
    /// Gives the same answers as [`CompiledRules::first_match`], faster: the packets are walked side by
    /// side, by the vector instructions that the processor has.
    pub fn first_matches(&self, flows: &[FlowTuple], found: &mut [EntryIndex]) {
        let Diagrams { v4, v6 } = match &self.index {
            Index::Diagrams(diagrams) => &**diagrams,
            Index::Bitmaps(bitmaps) => {
                for (flow, found) in flows.iter().zip(found) {
                    *found = bitmaps.first_match(flow);
                }
                return;
            }
            Index::List(list) => {
                for (flow, found) in flows.iter().zip(found) {
                    *found = first_in(list, flow);
                }
                return;
            }
        };
        let (mut keys_v4, mut keys_v6) = ([KeyV4::default(); TOGETHER], Vec::new());
        for (flows, places) in flows.chunks(TOGETHER).zip(found.chunks_mut(TOGETHER)) {
            for (key, flow) in keys_v4.iter_mut().zip(flows) {
                match Key::new(flow, self.direction) {
                    Key::V4(of_flow) => *key = of_flow,
                    Key::V6(of_flow) => keys_v6.push(of_flow),
                }
            }
            if keys_v6.len() < flows.len() {
                let keys = keys_v4.get(..places.len()).unwrap_or_default();
                self.instructions.run(Walk { forest: v4, keys, found: places });
            }
            if !keys_v6.is_empty() {
                let mut found = [EntryIndex(0); TOGETHER];
                self.instructions.run(Walk { forest: v6, keys: &keys_v6, found: &mut found });
                let places = places.iter_mut().zip(flows).filter(|(_, flow)| flow.src.is_ipv6());
                for ((place, _), found) in places.zip(found) {
                    *place = found;
                }
                keys_v6.clear();
            }
        }
    }

    /// The same for keys that are made already; `false` when this index has [`Layout::Bitmaps`], which
    /// do not look at keys.
    pub fn first_matches_v4(&self, keys: &[KeyV4], found: &mut [EntryIndex]) -> bool {
        let Index::Diagrams(diagrams) = &self.index else { return false };
        self.instructions.run(Walk { forest: &diagrams.v4, keys, found });
        true
    }

    /// How the entries are indexed.
    pub fn layout(&self) -> Layout {
        match self.index {
            Index::Diagrams(_) => Layout::Diagrams,
            Index::Bitmaps(_) => Layout::Bitmaps,
            Index::List(_) => Layout::List,
        }
    }

    /// Bytes on the heap.
    pub fn memory_usage(&self) -> usize {
        match &self.index {
            Index::Diagrams(diagrams) => diagrams.memory_usage(),
            Index::Bitmaps(bitmaps) => bitmaps.memory_usage(),
            Index::List(list) => size_of_val(list.entries()),
        }
    }
}

/// The first entry of a list that matches.
fn first_in(list: &Ordered, flow: &FlowTuple) -> EntryIndex {
    let entries = (0..).map(EntryIndex).zip(list.entries());
    let mut matching =
        entries.filter(|(_, entry)| entry.matcher.fails_on(flow, list.direction()).is_none());
    // INVARIANT: the last entry matches everything.
    matching.next().map_or(EntryIndex(u32::MAX), |(index, _)| index)
}
