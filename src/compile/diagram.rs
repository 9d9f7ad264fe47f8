//! Entries → decision diagrams: what is left to ask of a packet after each answer.
//!
//! A node asks one word of the key, and the bounds of the entries that are still possible cut it into
//! elementary intervals, in which the same entries stay possible. All nodes of a diagram that ask the
//! same word are one layer, and a packet goes through the layers from the first to the last. Nodes of
//! equal content are one node, so intervals of the same class share what comes after them: this is
//! the class × class table of the axes, without the cells that say the same.
//!
//! Entries that are wide on an axis on which most are narrow would be copied below every interval of
//! it. They are taken out into a diagram of their own, and the earlier of the two answers counts.

use std::collections::HashMap;
use std::mem::size_of;

use foldhash::fast::FixedState;

use super::keys::{Axis, Condition, Conditions, Family, Value};
use super::walk::{Forest, Fork, NARROW, Root, Step, Tree, WIDE};

/// The bound was reached.
#[derive(Debug)]
pub(super) struct TooLarge;

/// An entry that can match, by its place in evaluation order.
#[derive(Debug)]
struct Candidate {
    entry: u32,
    conditions: Conditions,
}

/// How many copies per entry a diagram may make, so that wide entries stay in it: what is tried.
const COPIES: [usize; 3] = [6, 24, 96];
/// More diagrams than this would cost more than they save.
const MOST_TREES: usize = 6;
/// Copies of entries that the making of one diagram may look at: bounds the time, to a second or so.
const MOST_COPIES: usize = 1 << 23;

impl Forest {
    /// # Errors
    /// When the diagrams would take more than `most` bytes, or too long to make.
    pub(super) fn plant(
        entries: impl Iterator<Item = (u32, Conditions)>,
        family: Family,
        most: usize,
    ) -> Result<Self, TooLarge> {
        let candidates: Vec<Candidate> = entries
            .filter(|(_, conditions)| !conditions.never())
            .map(|(entry, conditions)| Candidate { entry, conditions })
            .collect();
        let planter = Planter { family, candidates };
        let mut best: Option<Self> = None;
        for copies in COPIES {
            let Ok(forest) = planter.forest(copies, most) else { continue };
            // Where nothing was taken out, a higher bound changes nothing.
            let whole = forest.trees.len() < 2;
            if best.as_ref().is_none_or(|best| forest.cost() < best.cost()) {
                best = Some(forest);
            }
            if whole {
                break;
            }
        }
        best.ok_or(TooLarge)
    }

    /// What a look-up costs, in steps: how many there are, and how far memory has to be fetched.
    fn cost(&self) -> usize {
        let steps: usize = self.trees.iter().map(|tree| 1 + tree.steps.len()).sum();
        // A second-level cache holds a megabyte or so.
        let far = self.memory_usage().div_ceil(1 << 20).ilog2() as usize;
        steps * (4 + far)
    }
}

/// Where candidates begin and cease to match on an axis, ascending.
type Events = Vec<(Value, u32)>;

#[derive(Debug)]
struct Planter {
    family: Family,
    candidates: Vec<Candidate>,
}

impl Planter {
    /// Diagrams of which none makes more copies per entry, as far as that can be.
    fn forest(&self, copies: usize, most: usize) -> Result<Forest, TooLarge> {
        let mut left: Vec<u32> = (0..).zip(&self.candidates).map(|(n, _)| n).collect();
        let mut forest = Forest { trees: Vec::new() };
        while !left.is_empty() {
            let most_copies =
                if forest.trees.len() + 1 == MOST_TREES { usize::MAX } else { copies };
            let (narrow, wide) = self.split(left, most_copies);
            let room = most.saturating_sub(forest.memory_usage());
            forest.trees.push(self.tree(&narrow, copies, room)?);
            left = wide;
        }
        // Who can answer with the earliest entries first lets the others be skipped.
        forest.trees.sort_by_key(|tree| tree.earliest);
        Ok(forest)
    }

    fn on(&self, candidate: u32, axis: Axis) -> &Condition {
        match self.candidates.get(candidate as usize) {
            Some(candidate) => candidate.conditions.on(axis),
            None => &Condition::Any,
        }
    }

    fn restricted(&self, candidate: u32, axes: &[Axis]) -> bool {
        axes.iter().any(|axis| matches!(self.on(candidate, *axis), Condition::In(_)))
    }

    fn events(&self, list: &[u32], axis: Axis) -> Events {
        let mut events = Vec::new();
        for candidate in list {
            if let Condition::In(intervals) = self.on(*candidate, axis) {
                for (first, last) in intervals {
                    events.push((*first, *candidate));
                    events.extend(last.checked_add(1).map(|after| (after, *candidate)));
                }
            }
        }
        events.sort_unstable();
        events
    }

    /// The candidates that match in each elementary interval of an axis, up to the first that matches
    /// whatever the axes in `rest` say: none after it can decide. `each` is told where the interval
    /// starts.
    fn intervals<E>(
        &self,
        list: &[u32],
        axis: Axis,
        rest: &[Axis],
        mut each: impl FnMut(Value, &[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let any = |c: &u32| matches!(self.on(*c, axis), Condition::Any);
        let decides = |c: &u32| !self.restricted(*c, rest);
        let mut matching: Vec<u32> = list.iter().copied().filter(any).collect();
        let mut deciders: Vec<u32> = matching.iter().copied().filter(decides).collect();
        let mut events = self.events(list, axis).into_iter().peekable();
        let mut start = Some(0);
        while let Some(at) = start {
            while let Some((_, candidate)) = events.next_if(|(value, _)| *value == at) {
                toggle(&mut matching, candidate);
                if decides(&candidate) {
                    toggle(&mut deciders, candidate);
                }
            }
            let end = deciders.first().and_then(|first| matching.binary_search(first).ok());
            let possible = end.and_then(|end| matching.get(..=end)).unwrap_or(&matching);
            each(at, possible)?;
            start = events.peek().map(|(value, _)| *value);
        }
        Ok(())
    }

    /// The axes that tell the candidates apart, each with the copies of candidates that asking it first
    /// would make. First comes the one that leaves the fewest candidates to an answer, of those that
    /// do not make too many copies.
    fn axes(&self, list: &[u32], most_copies: usize) -> Vec<(usize, Axis)> {
        let asked = |axis: &Axis| list.iter().any(|c| self.restricted(*c, &[*axis]));
        let copies = |axis: Axis| {
            let rest: Vec<Axis> = Axis::ALL.into_iter().filter(|other| *other != axis).collect();
            let (mut copies, mut intervals) = (0, 0);
            let counted: Result<(), TooLarge> = self.intervals(list, axis, &rest, |_, possible| {
                copies += possible.len();
                intervals += 1;
                Ok(())
            });
            (counted.map_or(usize::MAX, |()| copies), intervals, axis)
        };
        let mut axes: Vec<_> = Axis::ALL.into_iter().filter(asked).map(copies).collect();
        axes.sort_by_key(|(copies, intervals, _)| {
            let many = *copies > most_copies.saturating_mul(list.len());
            (many, if many { *copies } else { copies / intervals })
        });
        axes.into_iter().map(|(copies, _, axis)| (copies, axis)).collect()
    }

    /// Takes the entries out that would be copied most.
    fn split(&self, list: Vec<u32>, most_copies: usize) -> (Vec<u32>, Vec<u32>) {
        let most = most_copies.saturating_mul(list.len());
        let axis = match self.axes(&list, most_copies).first() {
            Some((copies, axis)) if *copies > most => *axis,
            _ => return (list, Vec::new()),
        };
        let mut bounds: Vec<Value> =
            self.events(&list, axis).into_iter().map(|(at, _)| at).collect();
        bounds.dedup();
        let covered = |candidate: &u32| match self.on(*candidate, axis) {
            Condition::Any => bounds.len() + 1,
            Condition::In(intervals) => {
                let up_to = |value: Value| bounds.partition_point(|bound| *bound <= value);
                intervals.iter().map(|(first, last)| up_to(*last) - up_to(*first) + 1).sum()
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
        let axes: Vec<Axis> =
            self.axes(list, most_copies).into_iter().map(|(_, axis)| axis).collect();
        let mut diagram = Diagram::new(self, &axes, most);
        let top = diagram.node(list.to_vec(), &axes)?;
        let first = list.first().and_then(|first| self.candidates.get(*first as usize));
        diagram.tree(top, first.map_or(0, |candidate| candidate.entry))
    }
}

fn toggle(set: &mut Vec<u32>, candidate: u32) {
    match set.binary_search(&candidate) {
        Ok(position) => {
            set.remove(position);
        }
        Err(position) => set.insert(position, candidate),
    }
}

/// Where the runs of a node start, and the nodes of the next layer that they lead to; behind the last
/// layer entries.
type Runs = Vec<(u32, u32)>;

/// The nodes that ask one word.
#[derive(Debug)]
struct Layer {
    word: usize,
    nodes: Vec<Runs>,
    known: HashMap<Runs, u32, FixedState>,
}

/// A diagram in the making.
#[derive(Debug)]
struct Diagram<'p> {
    planter: &'p Planter,
    layers: Vec<Layer>,
    /// By the candidates that are left and the number of axes that are.
    known: HashMap<(Vec<u32>, usize), u32, FixedState>,
    copies: usize,
    runs: usize,
    most: usize,
}

/// Leads to no entry.
const NOWHERE: u32 = u32::MAX;

impl<'p> Diagram<'p> {
    fn new(planter: &'p Planter, axes: &[Axis], most: usize) -> Self {
        let words = axes.iter().flat_map(|axis| {
            let first = axis.first_word(planter.family);
            first..first + axis.words(planter.family)
        });
        let layer = |word| Layer { word, nodes: Vec::new(), known: HashMap::default() };
        let layers = words.map(layer).collect();
        Self { planter, layers, known: HashMap::default(), copies: 0, runs: 0, most }
    }

    /// The layer of the first word of the first of these axes, of all that there are.
    fn layer(&self, axes: &[Axis]) -> usize {
        let below: usize = axes.iter().map(|axis| axis.words(self.planter.family)).sum();
        self.layers.len() - below
    }

    fn node(&mut self, list: Vec<u32>, axes: &[Axis]) -> Result<u32, TooLarge> {
        let Some((axis, rest)) = axes.split_first() else {
            let first = list.first().and_then(|first| self.planter.candidates.get(*first as usize));
            return Ok(first.map_or(NOWHERE, |candidate| candidate.entry));
        };
        let key = (list, axes.len());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mut runs: Vec<(Value, u32)> = Vec::new();
        let planter = self.planter;
        planter.intervals(&key.0, *axis, rest, |start, possible| {
            self.copies += possible.len() + 1;
            if self.copies > MOST_COPIES {
                return Err(TooLarge);
            }
            let next = self.node(possible.to_vec(), rest)?;
            if runs.last().is_none_or(|(_, before)| *before != next) {
                runs.push((start, next));
            }
            Ok(())
        })?;
        let node = self.words(self.layer(axes), axis.words(planter.family) - 1, &runs)?;
        self.known.insert(key, node);
        Ok(node)
    }

    /// The node that tells the runs apart by the word of a layer, and by `below` more words in the
    /// layers behind it: where runs part inside one value of a word.
    fn words(
        &mut self,
        layer: usize,
        below: usize,
        runs: &[(Value, u32)],
    ) -> Result<u32, TooLarge> {
        let bits = 32 * below;
        #[expect(clippy::cast_possible_truncation, reason = "one word is wanted")]
        let word = |value: Value| (value >> bits) as u32;
        let exact = |value: Value| value & ((1 << bits) - 1) == 0;
        let mut found: Runs = Vec::new();
        let mut push = |start: u32, next: u32| {
            if found.last().is_none_or(|(_, before)| *before != next) {
                found.push((start, next));
            }
        };
        let (mut left, mut before) = (runs, NOWHERE);
        while let Some((start, next)) = left.first().copied() {
            let value = word(start);
            let inside = left.iter().take_while(|(start, _)| word(*start) == value).count();
            let (parts, behind) = left.split_at_checked(inside).unwrap_or((left, &[]));
            let last = parts.last().map_or(next, |(_, next)| *next);
            if inside == 1 && exact(start) {
                push(value, self.constant(layer, below, next)?);
            } else {
                let base = (!exact(start)).then_some((start >> bits << bits, before));
                let parts: Vec<_> = base.into_iter().chain(parts.iter().copied()).collect();
                push(value, self.words(layer + 1, below - 1, &parts)?);
                let goes_on = behind.first().map(|(next, _)| *next);
                if let Some(after) = value.checked_add(1)
                    && goes_on.is_none_or(|next| word(next) != after || !exact(next))
                {
                    push(after, self.constant(layer, below, last)?);
                }
            }
            (left, before) = (behind, last);
        }
        self.enter(layer, found)
    }

    /// What leads to `next` whatever the words behind a layer say.
    fn constant(&mut self, layer: usize, below: usize, next: u32) -> Result<u32, TooLarge> {
        (1..=below).rev().try_fold(next, |next, word| self.enter(layer + word, vec![(0, next)]))
    }

    fn enter(&mut self, layer: usize, runs: Runs) -> Result<u32, TooLarge> {
        let Some(layer) = self.layers.get_mut(layer) else { return Err(TooLarge) };
        if let Some(known) = layer.known.get(&runs) {
            return Ok(*known);
        }
        self.runs += runs.len();
        if self.runs * size_of::<(u32, u32)>() > self.most {
            return Err(TooLarge);
        }
        let node = u32::try_from(layer.nodes.len()).map_err(|_| TooLarge)?;
        layer.nodes.push(runs.clone());
        layer.known.insert(runs, node);
        Ok(node)
    }

    /// Lays the nodes out for walking: from the last layer to the first, every node of a layer as
    /// search trees of one depth, so that every packet takes the same steps.
    fn tree(self, top: u32, earliest: u32) -> Result<Tree, TooLarge> {
        let mut grove = Grove::new(self.most);
        let mut layers = self.layers;
        let first = layers.iter().position(|layer| layer.nodes.iter().any(|runs| runs.len() > 1));
        let mut behind = layers.split_off(first.map_or(layers.len(), |first| first + 1));
        let mut steps: Vec<Step> = Vec::new();
        // Where the nodes of the layer behind lie; behind the last one are the entries.
        let mut places: Option<Vec<u32>> = None;
        while let Some(Layer { word, nodes, .. }) = behind.pop() {
            let (depth, wide) = depth(nodes.iter().map(Vec::len).max().unwrap_or(1));
            let mut of_layer = Vec::with_capacity(nodes.len());
            for runs in &nodes {
                of_layer.push(grove.grow(&placed(runs, places.as_deref()), depth, wide)?);
            }
            steps.extend(std::iter::repeat_n(Step { word, wide }, depth));
            places = Some(of_layer);
        }
        // The layers before the first that asks anything lead to one node of it; where none does, to an
        // entry.
        let asks = first.and_then(|_| layers.pop());
        let top = layers.iter().fold(top, |node, layer| {
            let runs = layer.nodes.get(node as usize);
            runs.and_then(|runs| runs.first()).map_or(NOWHERE, |(_, next)| *next)
        });
        let (word, runs) = match asks {
            Some(layer) => {
                (layer.word, layer.nodes.into_iter().nth(top as usize).unwrap_or_default())
            }
            None => (0, vec![(0, top)]),
        };
        let root = Root::new(word, self.planter.family, &placed(&runs, places.as_deref()));
        let (depth, wide) = depth(root.elements().map(<[_]>::len).max().unwrap_or(1));
        let table: Result<Vec<u32>, TooLarge> =
            root.elements().map(|runs| grove.grow(runs, depth, wide)).collect();
        steps.extend(std::iter::repeat_n(Step { word, wide }, depth));
        steps.reverse();
        let (narrow, wide) = (grove.narrow.forks, grove.wide.forks);
        Ok(Tree { root: root.with_table(table?), steps, narrow, wide, earliest })
    }
}

/// Runs that lead to the places of the nodes that they led to.
fn placed(runs: &[(u32, u32)], places: Option<&[u32]>) -> Runs {
    let place = |node: u32| match places {
        Some(places) => places.get(node as usize).copied().unwrap_or(NOWHERE),
        None => node,
    };
    runs.iter().map(|(start, node)| (*start, place(*node))).collect()
}

/// How many forks, one behind the other, tell so many runs apart, and whether wide ones: only where
/// that saves a step.
fn depth(runs: usize) -> (usize, bool) {
    let of = |width: usize| {
        let told = std::iter::successors(Some(1_usize), |told| Some(told.saturating_mul(width)));
        told.take_while(|told| *told < runs).count()
    };
    let (narrow, wide) = (of(NARROW), of(WIDE));
    if wide < narrow { (wide, true) } else { (narrow, false) }
}

/// The forks of a tree.
#[derive(Debug)]
struct Grove {
    narrow: Forks<NARROW>,
    wide: Forks<WIDE>,
    /// Bytes that they may still take.
    room: usize,
}

/// Forks of one width, each once.
#[derive(Debug)]
struct Forks<const WIDTH: usize> {
    forks: Vec<Fork<WIDTH>>,
    known: HashMap<Fork<WIDTH>, u32, FixedState>,
}

impl<const WIDTH: usize> Forks<WIDTH> {
    fn new() -> Self {
        Self { forks: Vec::new(), known: HashMap::default() }
    }

    fn place(&mut self, runs: &[(u32, u32)], room: &mut usize) -> Result<u32, TooLarge> {
        let fork = Fork::new(runs);
        if let Some(known) = self.known.get(&fork) {
            return Ok(*known);
        }
        *room = room.checked_sub(size_of::<Fork<WIDTH>>()).ok_or(TooLarge)?;
        let place = u32::try_from(self.forks.len()).map_err(|_| TooLarge)?;
        self.forks.push(fork.clone());
        self.known.insert(fork, place);
        Ok(place)
    }
}

impl Grove {
    fn new(room: usize) -> Self {
        Self { narrow: Forks::new(), wide: Forks::new(), room }
    }

    /// A search tree of a depth over the runs, and where it begins.
    fn grow(&mut self, runs: &[(u32, u32)], depth: usize, wide: bool) -> Result<u32, TooLarge> {
        let Some(below) = depth.checked_sub(1) else {
            return Ok(runs.first().map_or(NOWHERE, |(_, next)| *next));
        };
        let width = if wide { WIDE } else { NARROW };
        let mut parts: Runs = Vec::with_capacity(width);
        for part in runs.chunks(runs.len().div_ceil(width).max(1)) {
            let start = part.first().map_or(0, |(start, _)| *start);
            parts.push((start, self.grow(part, below, wide)?));
        }
        match wide {
            true => self.wide.place(&parts, &mut self.room),
            false => self.narrow.place(&parts, &mut self.room),
        }
    }
}
