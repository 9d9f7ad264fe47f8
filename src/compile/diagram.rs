//! Entries → decision diagrams: what is left to ask of a packet after each answer.
//!
//! A node asks the packet's class on one axis, and leads each class to what is left: the entries that
//! are still possible. All nodes of a diagram that ask the same axis are one layer, and a packet goes through
//! the layers from the first to the last. Nodes of equal content are one node: this is the class × class
//! table of the axes, without the cells that say the same.
//!
//! Entries that are wide on an axis on which most are narrow would be copied below every class of it.
//! They are taken out into a diagram of their own, and the earlier of the two answers counts.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::TooLarge;
use super::axes::{Axis, Conditions, Family};
use super::classes::{Class, ClassRanges, Classes, toggle};
use super::distinct::Distinct;
use super::paged::Paged;
use super::search::Search;
use super::simd::Table;
use super::walk::{Forest, Layer, NO_ENTRY, Tree};

/// An entry that can match, by its place in evaluation order.
#[derive(Debug)]
struct Candidate {
    entry: u16,
    on: [ClassRanges; Axis::ALL.len()],
}

/// How many copies per entry a diagram may make, so that wide entries stay in it: what is tried.
const COPIES: [usize; 3] = [6, 24, 96];
/// The diagram of what was taken out may make so many times more: it has fewer entries.
const MORE_COPIES: usize = 8;
/// More diagrams than this would cost more than they save.
const MOST_TREES: usize = 6;
/// Copies of entries that the making of one diagram may look at: bounds the time, to a second or so.
const MOST_COPIES: usize = 1 << 23;

impl Forest {
    /// # Errors
    /// When the index would take more than `most` bytes, or too long to make.
    pub(super) fn plant(
        entries: impl Iterator<Item = Conditions>,
        family: Family,
        most: usize,
    ) -> Result<Self, TooLarge> {
        let entries: Vec<(usize, Conditions)> =
            entries.enumerate().filter(|(_, conditions)| !conditions.never()).collect();
        let mut candidates = Vec::with_capacity(entries.len());
        for (entry, _) in &entries {
            let entry = u16::try_from(*entry).ok().filter(|entry| *entry < NO_ENTRY);
            let entry = entry.ok_or(TooLarge)?;
            candidates.push(Candidate { entry, on: Default::default() });
        }
        let mut planter = Planter { candidates, counts: Vec::new() };
        let (mut searches, mut room) = (Vec::new(), most);
        for axis in Axis::ALL {
            let classes = Classes::new(entries.iter().map(|(_, conditions)| conditions.on(axis)))?;
            if classes.count < 2 {
                continue;
            }
            let search = Search::new(axis, family, &classes, room)?;
            room = room.checked_sub(search.memory_usage()).ok_or(TooLarge)?;
            let position = searches.len();
            searches.push(search);
            planter.counts.push(classes.count);
            for (candidate, ranges) in planter.candidates.iter_mut().zip(classes.of_entries) {
                if let Some(on) = candidate.on.get_mut(position) {
                    *on = ranges;
                }
            }
        }
        let mut best: Option<(usize, Vec<Tree>)> = None;
        for copies in COPIES {
            let Ok(trees) = planter.trees(copies, room) else { continue };
            // Where nothing was taken out, a higher bound changes nothing.
            let whole = trees.len() < 2;
            let cost = trees.iter().map(Tree::cost).sum();
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, trees));
            }
            if whole {
                break;
            }
        }
        let (_, mut trees) = best.ok_or(TooLarge)?;
        for (axis, search) in searches.iter_mut().enumerate() {
            let mut users = trees.iter_mut().filter(|tree| tree.asks(axis));
            if let (Some(tree), None) = (users.next(), users.next())
                && tree.axis == axis
                && let Some(first) = tree.first.take()
            {
                search.lead_to(first.numbers());
            }
        }
        Ok(Self { searches, trees })
    }
}

#[derive(Debug)]
struct Planter {
    candidates: Vec<Candidate>,
    /// How many classes each of the axes has that are asked; an axis goes by its position here.
    counts: Vec<usize>,
}

impl Planter {
    /// Diagrams of which the first makes no more copies per entry, as far as that can be.
    fn trees(&self, mut copies: usize, most: usize) -> Result<Vec<Tree>, TooLarge> {
        let mut left: Vec<u32> = (0..).zip(&self.candidates).map(|(n, _)| n).collect();
        let (mut trees, mut room) = (Vec::new(), most);
        while !left.is_empty() {
            let most_copies = if trees.len() + 1 == MOST_TREES { usize::MAX } else { copies };
            let (narrow, wide) = self.split(left, most_copies);
            let tree = self.tree(&narrow, copies, room)?;
            room = room.checked_sub(tree.memory_usage()).ok_or(TooLarge)?;
            trees.push(tree);
            left = wide;
            copies = copies.saturating_mul(MORE_COPIES);
        }
        // Who can answer with the earliest entries first lets the others be skipped.
        trees.sort_by_key(|tree| tree.earliest);
        Ok(trees)
    }

    fn entry(&self, candidate: Option<&u32>) -> u16 {
        let candidate = candidate.and_then(|first| self.candidates.get(*first as usize));
        candidate.map_or(NO_ENTRY, |candidate| candidate.entry)
    }

    fn on(&self, candidate: u32, axis: usize) -> Option<&[(Class, Class)]> {
        self.candidates.get(candidate as usize)?.on.get(axis)?.as_deref()
    }

    fn restricted(&self, candidate: u32, axes: &[usize]) -> bool {
        axes.iter().any(|axis| self.on(candidate, *axis).is_some())
    }

    /// Where candidates begin and cease to match on an axis, ascending.
    fn events(&self, list: &[u32], axis: usize) -> Vec<(Class, u32)> {
        let mut events = Vec::new();
        for candidate in list {
            for (first, last) in self.on(*candidate, axis).unwrap_or_default() {
                events.push((*first, *candidate));
                events.push((*last + 1, *candidate));
            }
        }
        events.sort_unstable();
        events
    }

    /// The candidates that match in each run of classes, up to the first that matches whatever the axes
    /// in `rest` say: none after it can decide. `each` is told where the run starts.
    fn runs<E>(
        &self,
        list: &[u32],
        axis: usize,
        rest: &[usize],
        mut each: impl FnMut(Class, &[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let any = |c: &u32| self.on(*c, axis).is_none();
        let decides = |c: &u32| !self.restricted(*c, rest);
        let mut matching: Vec<u32> = list.iter().copied().filter(any).collect();
        let mut deciders: Vec<u32> = matching.iter().copied().filter(decides).collect();
        let mut events = self.events(list, axis).into_iter().peekable();
        let count = self.counts.get(axis).copied().unwrap_or_default();
        let mut start = Some(0);
        while let Some(at) = start.filter(|at| usize::from(*at) < count) {
            while let Some((_, candidate)) = events.next_if(|(class, _)| *class == at) {
                toggle(&mut matching, candidate);
                if decides(&candidate) {
                    toggle(&mut deciders, candidate);
                }
            }
            let end = deciders.first().and_then(|first| matching.binary_search(first).ok());
            let possible = end.and_then(|end| matching.get(..=end)).unwrap_or(&matching);
            each(at, possible)?;
            start = events.peek().map(|(class, _)| *class);
        }
        Ok(())
    }

    /// The axes that tell the candidates apart, each with the copies of candidates that asking it first
    /// would make. First comes the one that leaves the fewest candidates to an answer, of those that
    /// do not make too many copies.
    fn order(&self, list: &[u32], most_copies: usize) -> Vec<(usize, usize)> {
        let axes = || 0..self.counts.len();
        let asked = |axis: &usize| list.iter().any(|c| self.restricted(*c, &[*axis]));
        let copies = |axis: usize| {
            let rest: Vec<usize> = axes().filter(|other| *other != axis).collect();
            let (mut copies, mut runs) = (0, 0);
            let counted: Result<(), TooLarge> = self.runs(list, axis, &rest, |_, possible| {
                copies += possible.len();
                runs += 1;
                Ok(())
            });
            (counted.map_or(usize::MAX, |()| copies), runs, axis)
        };
        let mut axes: Vec<_> = axes().filter(asked).map(copies).collect();
        axes.sort_by_key(|(copies, runs, _)| {
            let many = *copies > most_copies.saturating_mul(list.len());
            (many, if many { *copies } else { copies / runs })
        });
        axes.into_iter().map(|(copies, _, axis)| (copies, axis)).collect()
    }

    /// Takes the entries out that would be copied most.
    fn split(&self, list: Vec<u32>, most_copies: usize) -> (Vec<u32>, Vec<u32>) {
        let most = most_copies.saturating_mul(list.len());
        let axis = match self.order(&list, most_copies).first() {
            Some((copies, axis)) if *copies > most => *axis,
            _ => return (list, Vec::new()),
        };
        let mut bounds: Vec<Class> =
            self.events(&list, axis).into_iter().map(|(at, _)| at).collect();
        bounds.dedup();
        let covered = |candidate: &u32| match self.on(*candidate, axis) {
            None => bounds.len() + 1,
            Some(ranges) => {
                let up_to = |class: Class| bounds.partition_point(|bound| *bound <= class);
                ranges.iter().map(|(first, last)| up_to(*last) - up_to(*first) + 1).sum()
            }
        };
        let mut widths: Vec<usize> = list.iter().map(covered).collect();
        widths.sort_unstable();
        let mut sum = 0;
        let too_wide = widths.into_iter().find(|width| {
            sum += width;
            sum > most / 2
        });
        let too_wide = too_wide.unwrap_or(usize::MAX);
        let (narrow, wide): (Vec<u32>, Vec<u32>) =
            list.into_iter().partition(|candidate| covered(candidate) < too_wide);
        if narrow.is_empty() { (wide, narrow) } else { (narrow, wide) }
    }

    fn tree(&self, list: &[u32], most_copies: usize, most: usize) -> Result<Tree, TooLarge> {
        let order: Vec<usize> =
            self.order(list, most_copies).into_iter().map(|(_, axis)| axis).collect();
        let earliest = self.entry(list.first());
        let Some((axis, rest)) = order.split_first() else {
            let (first, layers) = (Table::new(vec![earliest]), Vec::new());
            // It asks none.
            return Ok(Tree {
                axis: usize::MAX,
                first: Some(first),
                layers,
                earliest: earliest.into(),
            });
        };
        let mut diagram = Diagram::new(self, rest);
        let top = diagram.runs(list, *axis, rest)?;
        let layers = diagram.laid_out(most)?;
        let count = self.counts.get(*axis).copied().unwrap_or_default();
        let mut first = Vec::with_capacity(count);
        add_by_class(&top, count, &mut first);
        Ok(Tree { axis: *axis, first: Some(Table::new(first)), layers, earliest: earliest.into() })
    }
}

/// Where the runs of a node start, and the nodes of the next layer that they lead to; behind the last
/// layer entries.
type Runs = Vec<(Class, u16)>;

/// Adds where each of so many classes leads.
fn add_by_class(runs: &[(Class, u16)], classes: usize, to: &mut Vec<u16>) {
    let begin = to.len();
    let ends = runs.iter().skip(1).map(|(start, _)| usize::from(*start)).chain([classes]);
    for ((_, next), end) in runs.iter().zip(ends) {
        to.resize(begin + end, *next);
    }
}

/// A diagram in the making.
#[derive(Debug)]
struct Diagram<'p> {
    planter: &'p Planter,
    /// The nodes that ask each axis but the first.
    layers: Vec<(usize, Distinct<Runs>)>,
    /// By the candidates that are left and the number of axes that are.
    known: HashMap<(Vec<u32>, usize), u16, FixedState>,
    copies: usize,
}

impl<'p> Diagram<'p> {
    fn new(planter: &'p Planter, axes: &[usize]) -> Self {
        let layers = axes.iter().map(|axis| (*axis, Distinct::new())).collect();
        Self { planter, layers, known: HashMap::default(), copies: 0 }
    }

    /// The node for what is left of the candidates, and of the axes.
    fn node(&mut self, list: &[u32], axes: &[usize]) -> Result<u16, TooLarge> {
        let Some((axis, rest)) = axes.split_first() else {
            return Ok(self.planter.entry(list.first()));
        };
        let key = (list.to_vec(), axes.len());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let runs = self.runs(list, *axis, rest)?;
        let layer = self.layers.len() - axes.len();
        let (_, nodes) = self.layers.get_mut(layer).ok_or(TooLarge)?;
        let node = nodes.place(runs)?;
        self.known.insert(key, node);
        Ok(node)
    }

    /// Where the classes of an axis lead.
    fn runs(&mut self, list: &[u32], axis: usize, rest: &[usize]) -> Result<Runs, TooLarge> {
        let mut runs = Runs::new();
        let planter = self.planter;
        planter.runs(list, axis, rest, |start, possible| {
            self.copies += possible.len() + 1;
            if self.copies > MOST_COPIES {
                return Err(TooLarge);
            }
            let next = self.node(possible, rest)?;
            if runs.last().is_none_or(|(_, before)| *before != next) {
                runs.push((start, next));
            }
            Ok(())
        })?;
        Ok(runs)
    }

    /// Lays the nodes out for walking, in so many bytes.
    fn laid_out(self, mut room: usize) -> Result<Vec<Layer>, TooLarge> {
        let layers = self.layers.into_iter().map(|(axis, nodes)| {
            let count = self.planter.counts.get(axis).copied().unwrap_or_default();
            let layer = Layer::new(axis, count, &nodes.things, room)?;
            room = room.checked_sub(layer.memory_usage()).ok_or(TooLarge)?;
            Ok(layer)
        });
        layers.collect()
    }
}

impl Layer {
    fn new(axis: usize, classes: usize, nodes: &[Runs], most: usize) -> Result<Self, TooLarge> {
        let mut best = Self::in_one_piece(axis, classes, nodes, most)?;
        for bits in page_bits(classes, nodes).. {
            if classes <= 1 << bits {
                break;
            }
            // Where there are too many, longer ones may be few enough.
            let Ok(paged) = Self::in_pages(axis, classes, nodes, bits, most) else { continue };
            if best.as_ref().is_some_and(|best| best.cost() <= paged.cost()) {
                break;
            }
            best = Some(paged);
        }
        best.ok_or(TooLarge)
    }

    fn in_one_piece(
        axis: usize,
        classes: usize,
        nodes: &[Runs],
        most: usize,
    ) -> Result<Option<Self>, TooLarge> {
        let cells = classes * nodes.len();
        if cells * size_of::<u16>() > MOST_IN_ONE_PIECE.min(most) {
            return Ok(None);
        }
        let mut pages = Vec::with_capacity(cells);
        for runs in nodes {
            add_by_class(runs, classes, &mut pages);
        }
        let width = u32::try_from(classes).map_err(|_| TooLarge)?;
        Ok(Some(Self { axis, width, page_bits: 0, nodes: None, pages: Table::new(pages) }))
    }

    fn in_pages(
        axis: usize,
        classes: usize,
        nodes: &[Runs],
        page_bits: u32,
        most: usize,
    ) -> Result<Self, TooLarge> {
        let page_length = 1 << page_bits;
        let width = classes.div_ceil(page_length).max(1);
        let bytes = width * nodes.len() * size_of::<u16>();
        let room = most.checked_sub(bytes).ok_or(TooLarge)?;
        let (mut pages, mut numbers) = (Paged::new(page_length, room), Vec::new());
        for runs in nodes {
            let runs = runs.iter().map(|(start, next)| (usize::from(*start), *next));
            pages.enter(runs, width, &mut numbers)?;
        }
        let width = u32::try_from(width).map_err(|_| TooLarge)?;
        let (nodes, pages) = (Some(Table::new(numbers)), pages.table());
        Ok(Self { axis, width, page_bits, nodes, pages })
    }
}

/// A layer that takes more bytes is not in one piece, even if it took one look instead of two then.
const MOST_IN_ONE_PIECE: usize = 1 << 21;

/// The shortest pages to try: longer ones are fewer for each node, and more of them have something of their
/// own.
fn page_bits(classes: usize, nodes: &[Runs]) -> u32 {
    let bounds = nodes.iter().map(|runs| runs.len() - 1).sum::<usize>().max(1);
    let best = (classes * nodes.len() / bounds).max(1).isqrt();
    best.next_power_of_two().ilog2().clamp(3, 12)
}
