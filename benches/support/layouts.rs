//! Ways to find the interval that holds a port, those that were tried before the index was built: each
//! maps a port to the number of the interval.

use super::traffic::Random;

/// Where so many intervals start, ascending, the first at 0.
pub(crate) fn starts(intervals: usize, seed: u64) -> Vec<u16> {
    let mut random = Random(seed);
    let mut starts = std::collections::BTreeSet::from([0]);
    while starts.len() < intervals {
        starts.insert(random.below(65_536) as u16);
    }
    starts.into_iter().collect()
}

/// The intervals one after the other.
pub(crate) fn scan(starts: &[u16], port: u16) -> usize {
    starts.iter().take_while(|start| **start <= port).count() - 1
}

/// Binary search.
pub(crate) fn bisect(starts: &[u16], port: u16) -> usize {
    starts.partition_point(|start| *start <= port) - 1
}

/// A static search tree whose nodes hold 16 starts, a node compared at once: the compiler makes vector
/// instructions of it. Level by level, the top first; a level holds every 16th start of the one below.
pub(crate) struct Tree(Vec<Vec<[u16; 16]>>);

impl Tree {
    pub(crate) fn new(starts: &[u16]) -> Self {
        let mut levels = Vec::new();
        let mut level: Vec<u16> = starts.to_vec();
        loop {
            let nodes = level.chunks(16).map(|node| {
                let mut filled = [u16::MAX; 16];
                filled[..node.len()].copy_from_slice(node);
                filled
            });
            levels.push(nodes.collect());
            if level.len() <= 16 {
                levels.reverse();
                return Self(levels);
            }
            level = level.into_iter().step_by(16).collect();
        }
    }

    pub(crate) fn find(&self, port: u16) -> usize {
        self.0.iter().fold(0, |node, level| {
            let node_starts = &level[node];
            let not_above = node_starts.iter().map(|start| u16::from(*start <= port)).sum::<u16>();
            16 * node + usize::from(not_above) - 1
        })
    }
}

/// A table with a place for every port.
pub(crate) struct Table(Vec<u16>);

impl Table {
    pub(crate) fn new(starts: &[u16]) -> Self {
        Self((0..=u16::MAX).map(|port| bisect(starts, port) as u16).collect())
    }

    pub(crate) fn find(&self, port: u16) -> usize {
        self.0[usize::from(port)].into()
    }
}
