//! From packets to the first entry that matches each: the hot path.
//!
//! First comes each packet's class on each axis that is asked. Then a diagram asks one axis after the other:
//! its first table leads from the class on one axis to what is left to ask of the next.
//!
//! Many packets are walked side by side, and all take the same steps: the walk is branchless, and while one
//! packet waits for memory the others proceed.

use super::axes::{Axis, KeyWords};
use super::search::Search;
use super::simd::{Lanes, MAX_LANES, Operation, Scalar, Table};
use crate::rules::EntryIndex;

/// The index of one family.
#[derive(Debug)]
pub(super) struct Forest {
    /// Of the axes that are asked.
    pub(super) searches: Vec<Search>,
    pub(super) trees: Vec<Tree>,
}

/// The walk of some packets, for any instructions.
pub(super) struct Walk<'a, K> {
    pub(super) forest: &'a Forest,
    pub(super) keys: &'a [K],
    /// Takes the first entry that matches each.
    pub(super) found: &'a mut [EntryIndex],
}

#[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
impl<K: KeyWords> Operation for Walk<'_, K> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        self.forest.walk(lanes, self.keys, self.found);
    }

    fn run_scalar(self) {
        self.forest.walk_scalar(self.keys, self.found);
    }
}

/// A diagram laid out for walking.
#[derive(Debug)]
pub(super) struct Tree {
    /// The position of the first axis among those that are asked.
    pub(super) axis: usize,
    /// Where each of its classes leads: to a node of the first layer, or an entry where there is none.
    /// `None` where the search says so at once.
    pub(super) first: Option<Table<u16>>,
    pub(super) layers: Vec<Layer>,
    /// The first entry that it can lead to.
    pub(super) earliest: u32,
}

/// No entry of a diagram matches.
pub(super) const NO_ENTRY: u16 = u16::MAX;

/// Nodes that ask one axis: for each a table with a place for every class, in pages of which each is there
/// once.
#[derive(Debug)]
pub(super) struct Layer {
    /// The position of the axis among those that are asked.
    pub(super) axis: usize,
    /// Pages that a node has; classes where there are none.
    pub(super) width: u32,
    /// Bits of a class that say the place in a page.
    pub(super) page_bits: u32,
    /// By node and the highest bits of a class a page; `None` where a node's table is in one piece.
    pub(super) nodes: Option<Table<u16>>,
    /// By the lowest bits a node of the next layer; behind the last layer an entry.
    pub(super) pages: Table<u16>,
}

/// The most axes.
const AXES: usize = Axis::ALL.len();

impl Forest {
    pub(super) fn memory_usage(&self) -> usize {
        self.searches.iter().map(Search::memory_usage).sum::<usize>()
            + self.trees.iter().map(Tree::memory_usage).sum::<usize>()
    }

    /// Walks packets side by side through all diagrams.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn walk<L: Lanes, K: KeyWords>(&self, lanes: L, keys: &[K], found: &mut [EntryIndex]) {
        for (keys, found) in keys.chunks(L::LANES).zip(found.chunks_mut(L::LANES)) {
            if keys.len() == L::LANES {
                self.walk_together(lanes, keys, found);
            } else {
                let mut all = ([K::default(); MAX_LANES], [EntryIndex(0); MAX_LANES]);
                for (place, key) in all.0.iter_mut().zip(keys) {
                    *place = *key;
                }
                if let (Some(keys), Some(of_all)) =
                    (all.0.get(..L::LANES), all.1.get_mut(..L::LANES))
                {
                    self.walk_together(lanes, keys, of_all);
                }
                for (found, of_all) in found.iter_mut().zip(all.1) {
                    *found = of_all;
                }
            }
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn walk_together<L: Lanes>(&self, lanes: L, keys: &[impl KeyWords], found: &mut [EntryIndex]) {
        let mut classes = [lanes.splat(0); AXES];
        self.classes(lanes, keys, &mut classes);
        let mut best = lanes.splat(NO_ENTRY.into());
        for tree in &self.trees {
            best = lanes.min(best, tree.walk(lanes, &classes));
        }
        lanes.store(best, found);
    }

    /// Into a place of the caller's, since to move it would cost more than to fill it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn classes<L: Lanes>(&self, lanes: L, keys: &[impl KeyWords], classes: &mut [L::Vector; AXES]) {
        for (search, classes) in self.searches.iter().zip(classes) {
            *classes = search.classes(lanes, keys);
        }
    }

    /// The same without vector instructions: one step of all packets before the next, so that the step's table
    /// stays in the cache.
    pub(super) fn walk_scalar(&self, keys: &[impl KeyWords], found: &mut [EntryIndex]) {
        for (keys, found) in keys.chunks(MAX_LANES).zip(found.chunks_mut(MAX_LANES)) {
            let mut classes = [[0; MAX_LANES]; AXES];
            for (search, classes) in self.searches.iter().zip(&mut classes) {
                search.classes_scalar(keys, classes);
            }
            let mut best = [NO_ENTRY.into(); MAX_LANES];
            for tree in &self.trees {
                tree.walk_scalar(&classes, &mut best);
            }
            for (found, best) in found.iter_mut().zip(best) {
                *found = EntryIndex(best);
            }
        }
    }

    /// Walks one packet.
    #[inline]
    pub(super) fn walk_one(&self, key: &impl KeyWords) -> EntryIndex {
        let mut classes = [0; AXES];
        self.classes(Scalar, std::slice::from_ref(key), &mut classes);
        let mut best = u32::from(NO_ENTRY);
        for tree in &self.trees {
            // Nothing in this diagram, or in those behind it, comes before what was found.
            if best <= tree.earliest {
                break;
            }
            best = best.min(tree.walk(Scalar, &classes));
        }
        EntryIndex(best)
    }
}

impl Tree {
    pub(super) fn memory_usage(&self) -> usize {
        let layers = self.layers.iter().map(Layer::memory_usage);
        size_of::<Self>()
            + self.first.as_ref().map_or(0, Table::memory_usage)
            + layers.sum::<usize>()
    }

    /// Whether it asks an axis.
    pub(super) fn asks(&self, axis: usize) -> bool {
        self.axis == axis || self.layers.iter().any(|layer| layer.axis == axis)
    }

    /// What a walk costs, as [`Table::cost`] has it.
    pub(super) fn cost(&self) -> usize {
        self.first.as_ref().map_or(0, Table::cost)
            + self.layers.iter().map(Layer::cost).sum::<usize>()
    }

    /// Walks packets side by side, each to its entry.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn walk<L: Lanes>(&self, lanes: L, classes: &[L::Vector; AXES]) -> L::Vector {
        let none = lanes.splat(0);
        let class = |axis: usize| classes.get(axis).copied().unwrap_or(none);
        let class_of_first = class(self.axis);
        let mut at = match &self.first {
            Some(first) => lanes.gather(first, class_of_first),
            None => class_of_first,
        };
        for layer in &self.layers {
            at = layer.next(lanes, at, class(layer.axis));
        }
        at
    }

    fn walk_scalar(&self, classes: &[[u32; MAX_LANES]; AXES], best: &mut [u32; MAX_LANES]) {
        let none = [0; MAX_LANES];
        let classes = |axis: usize| classes.get(axis).unwrap_or(&none);
        let mut at = *classes(self.axis);
        if let Some(first) = &self.first {
            for at in &mut at {
                *at = Scalar.gather(first, *at);
            }
        }
        for layer in &self.layers {
            for (at, class) in at.iter_mut().zip(classes(layer.axis)) {
                *at = layer.next(Scalar, *at, *class);
            }
        }
        for (best, at) in best.iter_mut().zip(at) {
            *best = at.min(*best);
        }
    }
}

impl Layer {
    /// Where nodes lead these classes.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "compiled for each set of instructions")]
    fn next<L: Lanes>(&self, lanes: L, node: L::Vector, class: L::Vector) -> L::Vector {
        let node = lanes.mul(node, lanes.splat(self.width));
        let Some(nodes) = &self.nodes else {
            return lanes.gather(&self.pages, lanes.add(node, class));
        };
        let page = lanes.add(node, lanes.shift_right(class, self.page_bits));
        let page = lanes.shift_left(lanes.gather(nodes, page), self.page_bits);
        let lowest = lanes.and(class, lanes.splat((1 << self.page_bits) - 1));
        lanes.gather(&self.pages, lanes.add(page, lowest))
    }

    pub(super) fn cost(&self) -> usize {
        self.nodes.as_ref().map_or(0, Table::cost) + self.pages.cost()
    }

    pub(super) fn memory_usage(&self) -> usize {
        let nodes = self.nodes.as_ref().map_or(0, Table::memory_usage);
        size_of::<Self>() + nodes + self.pages.memory_usage()
    }
}
