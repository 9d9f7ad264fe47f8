//! Flow classes: connections decided by one entry, in one protocol, to one port.

use super::peers::{self, Peers};
use crate::capture::Frame;
use crate::flow::{Direction, FlowTuple, Transport};
use crate::restrictions::Obstacle;
use crate::rules::EntryIndex;

/// Connections of one kind: decided by one entry, in one protocol, to one port.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FlowClass {
    /// Position of the interface.
    pub interface: usize,
    /// The direction in which they were opened.
    pub direction: Direction,
    /// The entry that decided.
    pub entry: EntryIndex,
    /// The first of them, in its initiator's direction; without ports where there are so many flow classes
    /// that this one is distinguished by its protocol only.
    pub example: FlowTuple,
    /// The frame that opened it.
    pub first_frame: u64,
    /// Different peers. In a part of the statistics they stand beside the class.
    #[serde(skip)]
    pub peers: Peers,
    /// The likely blocker upstream, if the rules allow them.
    pub obstacle: Option<Obstacle>,
    /// How they differ from ordinary connections.
    pub special: Special,
}

/// How a flow class differs from that of ordinary connections which the same entry decides.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Special {
    /// Nothing.
    #[default]
    No,
    /// The entry allows them, and there was no room for their sessions.
    SessionLimit,
    /// Packets after their connection closed, each judged by itself (SEMANTICS F16).
    Stray,
    /// Connections that were allowed, and answers of which a network ACL stops (SEMANTICS H6).
    Reply,
}

impl FlowClass {
    /// Notes the peer of a connection, or of a packet judged by itself.
    pub(super) fn add_peer(&mut self, frame: &Frame<'_>, flow: &FlowTuple, room: &mut peers::Room) {
        // An answer goes the other way than its connection.
        let peer = match self.special {
            Special::Reply => flow.peer(self.direction.opposite()),
            _ => flow.peer(self.direction),
        };
        if self.first_frame == 0 {
            self.first_frame = frame.number;
            if self.example.transport != Transport::Absent {
                self.example = *flow;
            }
        }
        self.peers.add_within(peer, room);
    }
}
