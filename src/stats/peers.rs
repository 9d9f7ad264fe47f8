//! How many different peers there are: exactly up to a bound, about beyond it.

use std::fmt;
use std::net::IpAddr;

use foldhash::quality::FixedState;
use hyperloglockless::HyperLogLog;

/// Up to so many peers are kept, and counted exactly.
pub(super) const MOST: usize = 64;
/// Where there are many kinds of connections, each keeps so many.
const FEW: usize = 2;
/// 1,024 registers: an error of 3 percent or so.
const PRECISION: u8 = 10;

/// Different peers.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    first: Vec<IpAddr>,
    /// All of them, where there are more than are kept.
    estimate: Option<Box<Estimate>>,
    /// There are more, and no room to estimate how many.
    uncounted: bool,
}

/// An estimate of how many different ones there are.
pub(super) type Estimate = HyperLogLog<FixedState>;

/// Of none yet.
pub(super) fn estimate() -> Estimate {
    HyperLogLog::with_hasher(PRECISION, FixedState::default())
}

/// An estimate as its registers, from which the rest follows.
pub(super) mod registers {
    use foldhash::quality::FixedState;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Estimate, PRECISION};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in crate::stats) fn serialize<S: Serializer>(
        estimate: &Option<Estimate>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let registers = estimate.as_ref().map(|of| of.iter().collect::<Vec<u8>>());
        registers.serialize(to)
    }

    pub(in crate::stats) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Estimate>, D::Error> {
        let Some(registers) = Option::<Vec<u8>>::deserialize(from)? else { return Ok(None) };
        if registers.len() != 1 << PRECISION || registers.iter().any(|of| *of > 65) {
            return Err(D::Error::custom("no estimate of how many peers there are"));
        }
        let zeros = registers.len() - registers.iter().filter(|of| **of > 0).count();
        let sum = registers.iter().map(|of| (-f64::from(*of)).exp2()).sum();
        let registers = registers.into_boxed_slice();
        Ok(Some(Estimate::from_parts(registers, FixedState::default(), zeros, sum)))
    }
}

/// How many peers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerCount {
    /// So many.
    Exactly(u64),
    /// So many, within a few percent.
    About(u64),
    /// More than so many.
    MoreThan(u64),
}

/// Memory that the peers of all kinds may take together.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Room {
    kept: usize,
    estimates: usize,
}

impl Default for Room {
    /// 65,536 addresses, and 4 MiB of estimates.
    fn default() -> Self {
        Self { kept: 1 << 16, estimates: 1 << 12 }
    }
}

impl Room {
    /// That of one of so many, who count for themselves.
    pub(super) fn share(of: usize) -> Self {
        let Self { kept, estimates } = Self::default();
        Self { kept: kept / of.max(1), estimates: estimates / of.max(1) }
    }

    /// Of peers that were counted before, each within its own room.
    fn of_counted() -> Self {
        Self { kept: usize::MAX, estimates: usize::MAX }
    }
}

impl Peers {
    /// The peers that several have counted, each with the places that have shown those it keeps.
    pub(super) fn merged<'p>(counted: impl Iterator<Item = (&'p Self, &'p [u64])> + Clone) -> Self {
        let (mut merged, mut room) = (Self::default(), Room::of_counted());
        let kept = counted.clone().flat_map(|(of, shown)| shown.iter().zip(&of.first));
        let mut kept: Vec<(u64, IpAddr)> = kept.map(|(shown, peer)| (*shown, *peer)).collect();
        // One shard has all that a frame shows.
        kept.sort_by_key(|(shown, _)| *shown);
        for (_, peer) in kept {
            merged.add_within(peer, &mut room);
        }
        for (of, _) in counted {
            let estimate = of.estimate.clone();
            merged.merge(Self { first: Vec::new(), estimate, uncounted: of.uncounted }, &mut room);
        }
        merged
    }

    /// Adds a peer.
    pub fn add(&mut self, peer: IpAddr) {
        self.add_within(peer, &mut Room::default());
    }

    /// Adds a peer, if there is room to keep or to count it.
    pub(crate) fn add_within(&mut self, peer: IpAddr, room: &mut Room) {
        if let Some(estimate) = &mut self.estimate {
            estimate.insert(&peer);
            return;
        }
        if self.uncounted || self.first.contains(&peer) {
            return;
        }
        let most = if room.kept > 0 { MOST } else { FEW };
        if self.first.len() < most {
            room.kept = room.kept.saturating_sub(1);
            self.first.push(peer);
        } else if room.estimates > 0 {
            room.estimates -= 1;
            let mut estimate = estimate();
            estimate.insert_all(self.first.iter().chain([&peer]));
            self.estimate = Some(Box::new(estimate));
        } else {
            self.uncounted = true;
        }
    }

    /// Adds the peers of others.
    pub(crate) fn merge(&mut self, other: Self, room: &mut Room) {
        // What the others took is free again.
        room.kept = room.kept.saturating_add(other.first.len());
        room.estimates = room.estimates.saturating_add(usize::from(other.estimate.is_some()));
        for peer in &other.first {
            self.add_within(*peer, room);
        }
        self.uncounted |= other.uncounted;
        match (&mut self.estimate, other.estimate) {
            (_, None) => {}
            (Some(own), Some(others)) => self.uncounted |= own.union(&others).is_err(),
            (None, Some(mut others)) => {
                others.insert_all(self.first.iter());
                room.estimates = room.estimates.saturating_sub(1);
                self.estimate = Some(others);
            }
        }
    }

    /// Adds peers to the estimate, where there is one.
    pub(super) fn include(&mut self, others: &Estimate) {
        if let Some(estimate) = &mut self.estimate {
            self.uncounted |= estimate.union(others).is_err();
        }
    }

    /// Whether further peers change nothing.
    pub(super) fn is_full(&self) -> bool {
        self.uncounted
    }

    /// The first of them, 64 at most.
    pub fn first(&self) -> &[IpAddr] {
        &self.first
    }

    /// How many there are.
    pub fn count(&self) -> PeerCount {
        let kept = self.first.len() as u64;
        match &self.estimate {
            // An estimate may fall below what is known.
            Some(estimate) if !self.uncounted => {
                PeerCount::About((estimate.count() as u64).max(kept + 1))
            }
            Some(_) => PeerCount::MoreThan(kept),
            None if self.uncounted => PeerCount::MoreThan(kept),
            None => PeerCount::Exactly(kept),
        }
    }
}

impl PartialEq for Peers {
    fn eq(&self, other: &Self) -> bool {
        self.first == other.first && self.count() == other.count()
    }
}

impl Eq for Peers {}

impl PeerCount {
    /// The number, however exact.
    pub fn number(self) -> u64 {
        match self {
            Self::Exactly(number) | Self::About(number) | Self::MoreThan(number) => number,
        }
    }

    /// Whether it is exact.
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Exactly(_))
    }
}

impl fmt::Display for PeerCount {
    /// `63`, `about 1234`, `more than 64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "{number}"),
            Self::About(number) => write!(f, "about {number}"),
            Self::MoreThan(number) => write!(f, "more than {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(count: u32) -> Peers {
        let mut peers = Peers::default();
        // Each twice, which counts once.
        for n in (0..count).chain(0..count) {
            peers.add(std::net::Ipv4Addr::from_bits(0xc633_0000 + n).into());
        }
        peers
    }

    #[test]
    fn counts_are_exact_up_to_64_and_about_right_beyond() {
        for count in [0, 1, 2, 63, 64] {
            assert_eq!(peers(count).count(), PeerCount::Exactly(count.into()));
        }
        for count in [65, 100, 1_000, 20_000, 300_000] {
            let PeerCount::About(found) = peers(count).count() else { panic!("not an estimate") };
            assert!(found.abs_diff(count.into()) * 100 <= u64::from(count) * 8, "{count}: {found}");
        }
    }

    #[test]
    fn without_room_there_are_more() {
        let mut room = Room { kept: 0, estimates: 0 };
        let mut peers = Peers::default();
        for n in 0..5_u8 {
            peers.add_within([10, 0, 0, n].into(), &mut room);
        }
        assert_eq!(peers.count(), PeerCount::MoreThan(2));
    }
}
