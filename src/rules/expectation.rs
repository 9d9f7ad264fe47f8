//! What people expect of their rules.

use super::{Matcher, Policy};
use crate::flow::Direction;

/// What is expected of all packets of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// In words.
    pub name: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Position of the interface; every interface if it is not said.
    pub interface: Option<usize>,
    /// The packets' direction.
    pub direction: Direction,
    /// The packets.
    pub packets: Matcher,
    /// Packets among them that are not meant.
    pub except: Vec<Matcher>,
    /// What is expected of them.
    pub verdict: Policy,
    /// The rule that decides, or `default`, `intra-group`.
    pub by: Option<String>,
    /// What is expected of packets of the same services from everybody else.
    pub otherwise: Option<Policy>,
}
