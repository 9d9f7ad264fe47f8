//! A connection's row.

use crate::flow::{Direction, FlowTuple, Transport};
use crate::replay::Replay;
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::sources::Input;
use crate::verdict::{Judgement, Reason, Verdict};

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Row {
    /// Zero for strays.
    pub(crate) connection: u64,
    pub(crate) flow: FlowTuple,
    pub(crate) first_frame: u64,
    pub(crate) last_frame: u64,
    /// Of the first packet and the latest, where one has a time.
    pub(crate) times: Option<(u64, u64)>,
    /// From the initiator, and from the other end.
    pub(crate) sent: [(u64, u64); 2],
    pub(crate) interface: u32,
    pub(crate) entry: EntryIndex,
    /// The direction in which it was opened.
    pub(crate) opened_in: Direction,
    pub(crate) decided_in: Direction,
    pub(crate) verdict: Verdict,
    /// A network ACL stops its replies.
    pub(crate) stopped: bool,
    pub(crate) reason: Reason,
    pub(crate) opening: Opening,
    /// One of its packets is reported.
    pub(crate) selected: bool,
    /// It is to be written, and then forgotten.
    pub(crate) over: bool,
}

/// Which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPart {
    /// Those that [`Connections::choose_over`](super::Connections::choose_over) has chosen.
    Over,
    /// All.
    All,
}

impl Row {
    /// Whether it is written: one of its packets is reported.
    pub(crate) fn is_of(&self, part: RowPart) -> bool {
        self.selected && (self.over || part == RowPart::All)
    }

    pub(super) fn new(
        input: &Input<'_>,
        judgement: &Judgement,
        opening: Opening,
        flow: FlowTuple,
    ) -> Self {
        Self {
            connection: judgement.connection.unwrap_or(0),
            flow,
            first_frame: input.frame.number,
            last_frame: input.frame.number,
            times: None,
            sent: [(0, 0); 2],
            interface: number(judgement.interface),
            entry: judgement.entry,
            opened_in: match judgement.local_began {
                true => Direction::Egress,
                false => Direction::Ingress,
            },
            decided_in: judgement.decided_in,
            verdict: judgement.verdict,
            stopped: judgement.is_stopped(),
            reason: judgement.reason,
            opening,
            selected: false,
            over: false,
        }
    }

    #[inline]
    pub(super) fn add(&mut self, of: &Sent) {
        if let Some((packets, bytes)) = self.sent.get_mut(usize::from(of.back)) {
            *packets += 1;
            *bytes += u64::from(of.bytes);
        }
        self.selected |= of.selected;
        self.last_frame = of.frame;
        if let Some(time) = of.time {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first, last.max(time)));
        }
    }

    /// Reads something of each part of it that [`Row::add`] changes. The answer means nothing; use it so that the access
    /// is not dropped.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        let [(packets, _), (packets_back, _)] = self.sent;
        packets ^ packets_back ^ self.last_frame ^ u64::from(self.selected)
    }

    /// Whether it is of packets after the end of a connection that show no ports: those of other connections may have the
    /// same row.
    pub(crate) fn may_have_other_flows(&self) -> bool {
        self.connection == 0 && self.flow.transport == Transport::Absent
    }

    /// Adds what a later row of the same packets counts. Each has a time from its first packet on, or none.
    pub(super) fn merge(&mut self, later: &Self) {
        for (sent, more) in self.sent.iter_mut().zip(later.sent) {
            *sent = (sent.0 + more.0, sent.1 + more.1);
        }
        self.last_frame = self.last_frame.max(later.last_frame);
        self.selected |= later.selected;
        self.times = match (self.times, later.times) {
            (Some((first, last)), Some((_, latest))) => Some((first, last.max(latest))),
            (known, others) => known.or(others),
        };
    }

    /// Whether more packets may belong to it.
    pub(super) fn goes_on(&self, replay: &Replay<'_>) -> bool {
        let interface = self.interface as usize;
        self.connection == 0
            || replay.goes_on(interface, self.opened_in, &self.flow, self.connection)
    }
}

/// A packet of a connection that has a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) row: u32,
    pub(super) bytes: u32,
    pub(super) frame: u64,
    pub(super) time: Option<u64>,
    /// From the end that did not open the connection.
    pub(super) back: bool,
    pub(super) selected: bool,
}

impl Sent {
    pub(super) fn new(row: u32, input: &Input<'_>, back: bool) -> Self {
        let Input { frame, selected, .. } = *input;
        Self {
            row,
            bytes: frame.wire_len,
            frame: frame.number,
            time: frame.time_ns,
            back,
            selected,
        }
    }
}

pub(super) fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}
