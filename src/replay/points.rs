//! The interfaces at which a packet is judged.

use super::setup::Setup;
use crate::capture::Frame;
use crate::decode::Decoded;
use crate::flow::{Direction, FlowTuple, Packet};
use crate::session::{SessionSlot, SlotFinder};

/// The points at which a packet is judged: none, one of its ends, or sender and receiver.
pub(super) type EvaluationPoints = Option<(SessionSlot, Option<SessionSlot>)>;

impl Setup<'_> {
    /// Finds the interfaces that a packet is judged at, and the slots of its sessions.
    #[inline]
    pub(super) fn find_points(
        &self,
        slots: SlotFinder,
        frame: &Frame<'_>,
        decoded: &Decoded,
        points: &mut EvaluationPoints,
    ) {
        *points = None;
        let Decoded::Packet(Packet { flow, .. }) = decoded else { return };
        let judging = self.find_interfaces(frame, flow);
        let place = |interface, direction| slots.slot(interface, direction, flow);
        let (first, direction) = match judging {
            [Some(sender), _] => (sender, Direction::Egress),
            [None, Some(receiver)] => (receiver, Direction::Ingress),
            [None, None] => return,
        };
        *points = Some((place(first, direction), None));
        if let ([Some(_), Some(receiver)], Some((_, second))) = (judging, points) {
            *second = Some(place(receiver, Direction::Ingress));
        }
    }

    /// The interfaces of a packet's sender and receiver.
    #[inline]
    pub(super) fn find_interfaces(
        &self,
        frame: &Frame<'_>,
        flow: &FlowTuple,
    ) -> [Option<usize>; 2] {
        match self.by_frame || frame.log.is_some() {
            false => self.interfaces.judging(flow, None),
            true => self.find_interfaces_of_frame(frame, flow),
        }
    }

    /// The same by the names that frames carry, and for clouds that judge one way only.
    #[cold]
    fn find_interfaces_of_frame(&self, frame: &Frame<'_>, flow: &FlowTuple) -> [Option<usize>; 2] {
        let [sender, receiver] = self.interfaces.judging(flow, self.taps.find(frame));
        [sender.filter(|_| !self.rules.cloud().is_one_way()), receiver]
    }

    /// The same of a tuple, which has no frame.
    #[cold]
    pub(super) fn find_interfaces_of_tuple(&self, flow: &FlowTuple) -> [Option<usize>; 2] {
        let [sender, receiver] = self.interfaces.judging(flow, None);
        [sender.filter(|_| !self.rules.cloud().is_one_way()), receiver]
    }
}
