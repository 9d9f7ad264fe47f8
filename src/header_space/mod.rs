//! Header space: what lists of entries say of every possible packet, not only of those that were
//! captured.
//!
//! The conditions of entries are intervals on the axes of the index, so their bounds cut the space of
//! all packets into boxes in which nothing changes. [`parts`] walks the boxes of several lists at once,
//! asking one axis after the other, and puts those together in which the same entries decide. The
//! answer is exact: every packet lies in one part or was not asked for, and in a part the same entries
//! decide for all packets. All packets are those whose headers are whole and fit their family; fragments
//! go by their first.
//!
//! ```
//! # let text = "{security_groups: [{id: sg-a, rules: [
//! #   {direction: ingress, protocol: tcp, ports: 22, source: 203.0.113.0/24}]}]}";
//! # let rules = sgreplay::parse::yaml("example.yaml", text).unwrap();
//! use sgreplay::flow::Direction;
//! use sgreplay::rules::Policy;
//! use sgreplay::header_space::{Question, parts};
//!
//! let ordered = rules.ordered(0, Direction::Ingress);
//! let accepts = |index: &_| ordered.entry(*index).is_some_and(|e| e.policy == Policy::Accept);
//! let open = parts(&[&ordered], &Question::all(), |deciders| deciders.iter().all(accepts))?;
//! assert!(open.iter().any(|part| part.region.to_string() == "tcp 22 from 203.0.113.0/24"));
//! # Ok::<(), sgreplay::header_space::TooComplex>(())
//! ```

mod bounds;
mod extent;
mod meeting;
mod partition;
mod region;
mod sets;

pub use extent::Extent;
pub use meeting::ExtentIndex;
pub use partition::{Budget, Part, Question, TooComplex, parts, parts_within};
pub use region::{AddressRange, Detail, PortService, Region};
