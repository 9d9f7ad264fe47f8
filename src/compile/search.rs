//! The search for packets' classes on one axis: the first half of the hot path.
//!
//! Narrow axes have a table for every value, in pages of which each is there once. Addresses have a table
//! over their highest bits that says where the search among the bounds begins, and every packet takes as many
//! steps from there.

use super::TooLarge;
use super::axes::{Axis, Family, KeyWords, Value};
use super::classes::{Class, Classes};
use super::paged::Paged;
use super::simd::{Lanes, MAX_LANES, Scalar, Table, gather_cost};

/// From a key to its class on one axis.
#[derive(Debug)]
pub(super) enum Search {
    /// Of a narrow axis.
    Pages(Pages),
    /// Of IPv4 addresses.
    V4(Bounds),
    /// Of IPv6 addresses.
    V6(WideBounds),
}

impl Search {
    /// # Errors
    /// When it has more parts than can be numbered, or its pages would take more than `most` bytes.
    pub(super) fn new(
        axis: Axis,
        family: Family,
        classes: &Classes,
        most: usize,
    ) -> Result<Self, TooLarge> {
        let word = axis.first_word(family);
        Ok(match (axis, family) {
            (Axis::Service | Axis::SourcePort, _) => Self::Pages(Pages::new(word, classes, most)?),
            (Axis::Peer | Axis::Local, Family::V4) => Self::V4(Bounds::new(word, classes)?),
            (Axis::Peer | Axis::Local, Family::V6) => Self::V6(WideBounds::new(word, classes)?),
        })
    }

    pub(super) fn memory_usage(&self) -> usize {
        match self {
            Self::Pages(Pages { word: _, numbers, classes }) => {
                numbers.memory_usage() + classes.memory_usage()
            }
            Self::V4(Bounds { word: _, shift: _, steps: _, root, starts, classes }) => {
                root.memory_usage() + starts.memory_usage() + classes.memory_usage()
            }
            Self::V6(WideBounds {
                word: _,
                lowest: _,
                shift: _,
                steps: _,
                root,
                starts,
                classes,
            }) => {
                size_of_val(root.as_slice())
                    + size_of_val(starts.as_slice())
                    + size_of_val(classes.as_slice())
            }
        }
    }

    /// Says of each class what it leads to, instead of the class.
    pub(super) fn lead_to(&mut self, next: &[u16]) {
        let lead = |class: &mut Class| {
            *class = next.get(usize::from(*class)).copied().unwrap_or_default();
        };
        match self {
            Self::Pages(Pages { classes, .. }) | Self::V4(Bounds { classes, .. }) => {
                classes.numbers_mut().iter_mut().for_each(lead);
            }
            Self::V6(WideBounds { classes, .. }) => classes.iter_mut().for_each(lead),
        }
    }

    /// The classes of some keys.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    pub(super) fn classes<L: Lanes>(&self, lanes: L, keys: &[impl KeyWords]) -> L::Vector {
        match self {
            Self::Pages(pages) => pages.class(lanes, lanes.load_word(keys, pages.word)),
            Self::V4(bounds) => {
                bounds.class(lanes, bounds.steps, lanes.load_word(keys, bounds.word))
            }
            Self::V6(bounds) if L::LANES == 1 => {
                lanes.fill(|lane| keys.get(lane).map_or(0, |key| bounds.class(key)))
            }
            Self::V6(bounds) => {
                let mut classes = [0; MAX_LANES];
                bounds.classes(keys, &mut classes);
                lanes.fill(|lane| classes.get(lane).copied().unwrap_or_default())
            }
        }
    }

    /// The same without vector instructions: one step of all keys before the next, so that the step's table
    /// stays in the cache.
    pub(super) fn classes_scalar(&self, keys: &[impl KeyWords], classes: &mut [u32; MAX_LANES]) {
        let each = classes.iter_mut().zip(keys);
        match self {
            Self::Pages(pages) => {
                each.for_each(|(class, key)| *class = pages.class(Scalar, key.word(pages.word)));
            }
            Self::V4(bounds) => {
                let search = |steps| {
                    each.for_each(|(class, key)| {
                        *class = bounds.class(Scalar, steps, key.word(bounds.word));
                    });
                };
                // Loops of a constant length are unrolled.
                match bounds.steps {
                    1 => search(1),
                    2 => search(2),
                    3 => search(3),
                    4 => search(4),
                    5 => search(5),
                    6 => search(6),
                    steps => search(steps),
                }
            }
            Self::V6(bounds) => bounds.classes(keys, classes),
        }
    }
}

const PAGE_BITS: u32 = 8;

/// A table of classes in pages.
#[derive(Debug)]
pub(super) struct Pages {
    word: usize,
    /// By the highest bits a page; the last is for all that lies behind.
    numbers: Table<u16>,
    /// By page and the lowest bits a class.
    classes: Table<Class>,
}

impl Pages {
    fn new(word: usize, classes: &Classes, most: usize) -> Result<Self, TooLarge> {
        let runs: Vec<(usize, Class)> = classes.runs_as()?;
        let last = runs.last().map_or(0, |(start, _)| *start);
        let (mut pages, mut numbers) = (Paged::new(1 << PAGE_BITS, most), Vec::new());
        // Scalar page more than there are bounds in: it stands for all behind it.
        pages.enter(runs.into_iter(), (last >> PAGE_BITS) + 2, &mut numbers)?;
        Ok(Self { word, numbers: Table::new(numbers), classes: pages.table() })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn class<L: Lanes>(&self, lanes: L, value: L::Vector) -> L::Vector {
        let last = lanes.splat(self.numbers.last());
        let number = lanes.min(lanes.shift_right(value, PAGE_BITS), last);
        let page = lanes.shift_left(lanes.gather(&self.numbers, number), PAGE_BITS);
        let lowest = lanes.and(value, lanes.splat((1 << PAGE_BITS) - 1));
        lanes.gather(&self.classes, lanes.add(page, lowest))
    }
}

/// The bounds of runs of addresses.
#[derive(Debug)]
pub(super) struct Bounds {
    word: usize,
    /// By the highest bits of an address, the run in which the lowest with these lies.
    root: Table<u16>,
    shift: u32,
    /// How many steps the search takes from there, each half as far as the one before.
    steps: u32,
    /// Where the runs start, ascending, and as many as a search can go past the last.
    starts: Table<u32>,
    classes: Table<Class>,
}

/// The root is for no more bits than this.
const MOST_ROOT_BITS: u32 = 16;

/// How many bounds lie within an element of a root of so many bits, at most.
fn most_inside(runs: &[(u32, Class)], bits: u32) -> usize {
    let (shift, mask) = (u32::BITS - bits, u32::MAX >> bits);
    // A bound at an element's begin is not within it.
    let inside = runs.iter().filter(|(start, _)| start & mask != 0);
    let elements: Vec<u32> = inside.map(|(start, _)| start >> shift).collect();
    elements.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(0)
}

fn steps(inside: usize) -> u32 {
    (inside + 1).next_power_of_two().ilog2()
}

/// Where runs start, and their classes; behind the last as many of its class as a search of so many steps can
/// go past it, which start at the highest value.
fn with_room_to_search<T: Copy>(
    runs: &[(T, Class)],
    highest: T,
    steps: u32,
) -> (Vec<T>, Vec<Class>) {
    let past = std::iter::repeat_n(runs.last().map(|(_, class)| (highest, *class)), 1 << steps);
    runs.iter().copied().chain(past.flatten()).unzip()
}

impl Bounds {
    fn new(word: usize, classes: &Classes) -> Result<Self, TooLarge> {
        let runs: Vec<(u32, Class)> = classes.runs_as()?;
        // The more bits the fewer steps, but the further away the root.
        let cost = |bits: u32| {
            let steps = steps(most_inside(&runs, bits)) as usize;
            gather_cost(size_of::<u16>() << bits)
                + steps * gather_cost(size_of_val(runs.as_slice()))
        };
        let bits = (1..=MOST_ROOT_BITS).min_by_key(|bits| cost(*bits)).unwrap_or(1);
        let shift = u32::BITS - bits;
        let begins = |element: u64| {
            runs.partition_point(|(start, _)| u64::from(*start) <= element << shift) - 1
        };
        let root =
            (0..1_u64 << bits).map(|element| u16::try_from(begins(element)).map_err(|_| TooLarge));
        let root = Table::new(root.collect::<Result<_, TooLarge>>()?);
        let steps = steps(most_inside(&runs, bits));
        let (starts, of_runs) = with_room_to_search(&runs, u32::MAX, steps);
        let (starts, classes) = (Table::new(starts), Table::new(of_runs));
        Ok(Self { word, root, shift, steps, starts, classes })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn class<L: Lanes>(&self, lanes: L, steps: u32, address: L::Vector) -> L::Vector {
        let mut at = lanes.gather(&self.root, lanes.shift_right(address, self.shift));
        for step in (0..steps).rev() {
            let further = lanes.add(at, lanes.splat(1 << step));
            at = lanes.step_if_le(at, step, lanes.gather_wide(&self.starts, further), address);
        }
        lanes.gather(&self.classes, at)
    }
}

/// The same of IPv6. Most addresses have their highest bits in common, so the root is for those behind the
/// lowest bound.
#[derive(Debug)]
pub(super) struct WideBounds {
    word: usize,
    lowest: u128,
    /// By the bits that are left after so many, of how far an address lies behind the lowest bound.
    shift: u32,
    root: Vec<u16>,
    steps: u32,
    starts: Vec<u128>,
    classes: Vec<Class>,
}

/// The root is at most so many times as long as there are runs.
const ROOT_PER_RUN: usize = 8;

impl WideBounds {
    fn new(word: usize, classes: &Classes) -> Result<Self, TooLarge> {
        let runs = classes.runs.as_slice();
        let lowest = runs.get(1).map_or(0, |(start, _)| *start);
        let span = runs.last().map_or(0, |(start, _)| start.saturating_sub(lowest));
        let bits = (runs.len() * ROOT_PER_RUN).ilog2().min(MOST_ROOT_BITS);
        let shift = (Value::BITS - span.leading_zeros()).saturating_sub(bits);
        let begin = |element: Value| element.checked_mul(1 << shift)?.checked_add(lowest);
        let runs_before =
            |end: Value| runs.partition_point(|(start, _)| *start < end).saturating_sub(1);
        let (mut root, mut most_inside) = (Vec::new(), 0);
        for element in 0..=span >> shift {
            let last = begin(element + 1).map_or(runs.len() - 1, runs_before);
            // What lies before the lowest bound comes to the first element too.
            let first = begin(element).filter(|_| element > 0);
            let first = first.map_or(0, |begin| runs_before(begin.saturating_add(1)));
            most_inside = most_inside.max(last.saturating_sub(first));
            root.push(u16::try_from(first).map_err(|_| TooLarge)?);
        }
        let steps = steps(most_inside);
        let (starts, classes) = with_room_to_search(runs, Value::MAX, steps);
        Ok(Self { word, lowest, shift, root, steps, starts, classes })
    }

    /// The run in which the search begins.
    #[inline]
    fn begin(&self, address: u128) -> u32 {
        let element = address.saturating_sub(self.lowest) >> self.shift;
        let element = usize::try_from(element).unwrap_or(usize::MAX);
        let element = element.min(self.root.len().wrapping_sub(1));
        self.root.get(element).copied().unwrap_or_default().into()
    }

    /// Moves 2^`step` runs on if that run starts at or below the address.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: a call costs as much as the step")]
    fn step_if_le(&self, at: u32, step: u32, address: u128) -> u32 {
        let start = self.starts.get(at as usize + (1 << step)).copied().unwrap_or(Value::MAX);
        // Branchless: the branch would be mispredicted half the time.
        at + (u32::from(start <= address) << step)
    }

    #[inline]
    fn of_run(&self, at: u32) -> u32 {
        self.classes.get(at as usize).copied().unwrap_or_default().into()
    }

    #[inline]
    fn class(&self, key: &impl KeyWords) -> u32 {
        let address = key.address(self.word);
        let steps = (0..self.steps).rev();
        self.of_run(steps.fold(self.begin(address), |at, step| self.step_if_le(at, step, address)))
    }

    /// Scalar step of all keys before the next, so that their waits for memory overlap.
    fn classes(&self, keys: &[impl KeyWords], classes: &mut [u32; MAX_LANES]) {
        let (mut addresses, mut all) = ([0; MAX_LANES], [0; MAX_LANES]);
        for ((address, at), key) in addresses.iter_mut().zip(&mut all).zip(keys) {
            *address = key.address(self.word);
            *at = self.begin(*address);
        }
        for step in (0..self.steps).rev() {
            for (at, address) in all.iter_mut().zip(addresses).take(keys.len()) {
                *at = self.step_if_le(*at, step, address);
            }
        }
        for (class, at) in classes.iter_mut().zip(all).take(keys.len()) {
            *class = self.of_run(at);
        }
    }
}
