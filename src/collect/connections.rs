//! Connections, one by one, with what was sent in each.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::flow::{Direction, FlowTuple, Transport};
use crate::replay::Replay;
use crate::rules::EntryIndex;
use crate::session::Opening;
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Reason, Verdict};

/// Gathers connections. Their rows are written at the end of the run, in order of opening; where they would take more
/// memory than they may, those of connections that are over are written before, and then those that have been idle
/// longest, the denied ones first.
#[derive(Debug)]
pub struct Connections {
    /// In order of opening.
    rows: Vec<Row>,
    /// Where the row of a connection is, by connection, interface, and whether the interface's end began it.
    known: HashMap<(u64, u32, bool), u32, FixedState>,
    /// Packets after their connection closed, by tuple and interface: each has a row of its own.
    strays: HashMap<(FlowTuple, u32), u32, FixedState>,
    most_memory: usize,
    continued: u64,
    /// These are the rows of some flows, and will be merged with those of others.
    is_part: bool,
}

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
    /// Those that [`Connections::choose_over`] has chosen.
    Over,
    /// All.
    All,
}

impl Row {
    /// Whether it is written: one of its packets is reported.
    fn is_of(&self, part: RowPart) -> bool {
        self.selected && (self.over || part == RowPart::All)
    }

    fn new(input: &Input<'_>, judgement: &Judgement, opening: Opening, flow: FlowTuple) -> Self {
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

    fn add(&mut self, input: &Input<'_>, back: bool) {
        let Input { frame, selected, .. } = *input;
        if let Some((packets, bytes)) = self.sent.get_mut(usize::from(back)) {
            *packets += 1;
            *bytes += u64::from(frame.wire_len);
        }
        self.selected |= selected;
        self.last_frame = frame.number;
        if let Some(time) = frame.time_ns {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first, last.max(time)));
        }
    }

    /// Whether it is of packets after the end of a connection that show no ports: those of other connections may have the
    /// same row.
    pub(crate) fn may_have_other_flows(&self) -> bool {
        self.connection == 0 && self.flow.transport == Transport::Absent
    }

    /// Adds what a later row of the same packets counts. Each has a time from its first packet on, or none.
    fn merge(&mut self, later: &Self) {
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
    fn goes_on(&self, replay: &Replay<'_>) -> bool {
        let interface = self.interface as usize;
        self.connection == 0
            || replay.goes_on(interface, self.opened_in, &self.flow, self.connection)
    }
}

fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

impl Connections {
    /// None yet; rows take no more than so many bytes: see [`Connections::is_full`].
    pub fn within(most_memory: usize) -> Self {
        let (known, strays) = (HashMap::default(), HashMap::default());
        Self { rows: Vec::new(), known, strays, most_memory, continued: 0, is_part: false }
    }

    /// Those of a part of the flows.
    pub(crate) fn of_part() -> Self {
        Self { is_part: true, ..Self::within(usize::MAX) }
    }

    /// Adds a packet.
    /// A connection has a row if one of its packets is selected; the row counts all of them.
    pub fn add(&mut self, input: &Input<'_>, judged: &Judged) {
        for judgement in judged.judgements() {
            if judgement.stray {
                self.add_stray(input, judgement);
            }
            let Some(connection) = judgement.connection else { continue };
            let local_began = judgement.local_began;
            let key = (connection, number(judgement.interface), local_began);
            let opened = match judgement.opened {
                Some(opened) => Some(opened),
                None if self.known.contains_key(&key) => None,
                None => self.continued(input, judgement),
            };
            if let Some((opening, flow)) = opened {
                self.known.insert(key, number(self.rows.len()));
                self.rows.push(Row::new(input, judgement, opening, flow));
            }
            let row = self.known.get(&key).and_then(|row| self.rows.get_mut(*row as usize));
            if let Some(row) = row {
                let from_local = judgement.direction == Direction::Egress;
                row.add(input, from_local != local_began);
                // What is cut by its replies is no connection that gets through.
                if judgement.is_stopped() && row.verdict == Verdict::Allow {
                    (row.verdict, row.reason) = (judgement.verdict, judgement.reason);
                    (row.decided_in, row.entry) = (judgement.decided_in, judgement.entry);
                    row.stopped = true;
                }
            }
        }
    }

    /// Adds so many packets and bytes with the answer of one that was added.
    pub(crate) fn add_alike(
        &mut self,
        input: &Input<'_>,
        judged: &Judged,
        (packets, bytes): (u64, u64),
    ) {
        for judgement in judged.judgements() {
            let interface = number(judgement.interface);
            let (row, back) = match (judgement.connection, input.decoded.packet()) {
                (Some(connection), _) => {
                    let from_local = judgement.direction == Direction::Egress;
                    let key = (connection, interface, judgement.local_began);
                    (self.known.get(&key), from_local != judgement.local_began)
                }
                (None, Some(packet)) => (self.strays.get(&(packet.flow, interface)), false),
                (None, None) => (None, false),
            };
            let row = row.and_then(|row| self.rows.get_mut(*row as usize));
            if let Some(sent) = row.and_then(|row| row.sent.get_mut(usize::from(back))) {
                sent.0 += packets;
                sent.1 += bytes;
            }
        }
    }

    /// Takes the rows of all connections, which are over.
    pub(crate) fn take_rows(&mut self) -> Vec<Row> {
        self.known.clear();
        self.strays.clear();
        std::mem::take(&mut self.rows)
    }

    /// The rows of all connections, which were gathered in parts: numbered in order of opening.
    pub(crate) fn in_order(mut rows: Vec<Row>) -> Self {
        // Rows that one frame begins are of one part, and stay in order.
        rows.sort_by_key(|row| row.first_frame);
        let (mut connections, mut opened) = (0, 0);
        let mut all = Self::within(usize::MAX);
        for mut row in rows {
            if row.connection > 0 {
                connections +=
                    u64::from(std::mem::replace(&mut opened, row.first_frame) != row.first_frame);
                row.connection = connections;
            } else if let Some(known) = all.strays.get(&(row.flow, row.interface)) {
                // A fragment shows no ports, so that those of several flows have one row.
                if let Some(known) = all.rows.get_mut(*known as usize) {
                    known.merge(&row);
                }
                continue;
            } else {
                all.strays.insert((row.flow, row.interface), number(all.rows.len()));
            }
            all.rows.push(row);
        }
        all
    }

    /// Rows of some connections, which have the numbers of the frames that open them.
    pub(crate) fn by_opening_frame(mut rows: Vec<Row>) -> Self {
        for row in rows.iter_mut().filter(|row| row.connection > 0) {
            row.connection = row.first_frame;
        }
        Self { rows, ..Self::within(usize::MAX) }
    }

    /// A packet of a connection whose row was written before begins another row.
    #[cold]
    fn continued(
        &mut self,
        input: &Input<'_>,
        judgement: &Judgement,
    ) -> Option<(Opening, FlowTuple)> {
        let flow = input.decoded.packet()?.flow;
        self.continued += 1;
        let from_local = judgement.direction == Direction::Egress;
        Some(match from_local == judgement.local_began {
            true => (Opening::Continued, flow),
            false => (Opening::Continued, flow.reversed()),
        })
    }

    /// Adds a packet after its connection closed: its own direction decides (SEMANTICS F16).
    fn add_stray(&mut self, input: &Input<'_>, judgement: &Judgement) {
        let Some(packet) = input.decoded.packet() else { return };
        let rows = &mut self.rows;
        let key = (packet.flow, number(judgement.interface));
        // Where other flows have the same row, its first time is that of the first packet of all that has one.
        let is_first_timed = |row: &u32| {
            let row = rows.get(*row as usize);
            row.is_some_and(|row| row.times.is_none() && row.may_have_other_flows())
        };
        if self.is_part
            && input.frame.time_ns.is_some()
            && self.strays.get(&key).is_some_and(is_first_timed)
        {
            self.strays.remove(&key);
        }
        let known = self.strays.entry(key).or_insert_with(|| {
            rows.push(Row::new(input, judgement, Opening::AfterClose, packet.flow));
            number(rows.len() - 1)
        });
        if let Some(row) = self.rows.get_mut(*known as usize) {
            row.add(input, false);
        }
    }

    /// Bytes that the rows take, about: a map has room for as many again.
    fn memory(&self) -> usize {
        let known = size_of::<((u64, u32, bool), u32)>() + 1;
        let strays = size_of::<((FlowTuple, u32), u32)>() + 1;
        self.rows.len() * size_of::<Row>()
            + 2 * (self.known.len() * known + self.strays.len() * strays)
    }

    /// Whether rows must be chosen, written and forgotten before there is room for more: ask between batches of packets.
    pub fn is_full(&self) -> bool {
        self.memory() >= self.most_memory && !self.rows.is_empty()
    }

    /// Chooses the rows of connections that are over, as the replay knows it, and where that makes too little room,
    /// of those that have been idle longest, the denied ones first: of a scan they are most, and their clients
    /// seldom go on. Should one go on, the rest of it has another row ([`Opening::Continued`]).
    pub fn choose_over(&mut self, replay: &Replay<'_>) {
        for row in &mut self.rows {
            row.over = !row.goes_on(replay);
        }
        let staying = self.rows.iter().filter(|row| !row.over);
        let rank = |row: &Row| (row.verdict == Verdict::Allow, row.last_frame);
        let mut ranks: Vec<_> = staying.map(rank).collect();
        let Some(last) = ranks.len().checked_sub(self.rows.len() / 2 + 1) else { return };
        let (_, last, _) = ranks.select_nth_unstable(last);
        for row in &mut self.rows {
            row.over |= rank(row) <= *last;
        }
    }

    /// Forgets the rows that were chosen; by now they are written.
    pub fn forget_over(&mut self) {
        let mut kept = 0;
        let places: Vec<Option<u32>> = self
            .rows
            .iter()
            .map(|row| {
                let place = (!row.over).then_some(kept);
                kept += u32::from(!row.over);
                place
            })
            .collect();
        self.rows.retain(|row| !row.over);
        let place = |row: &mut u32| {
            let place = places.get(*row as usize).copied().flatten();
            *row = place.unwrap_or_default();
            place.is_some()
        };
        self.known.retain(|_, row| place(row));
        self.strays.retain(|_, row| place(row));
    }

    /// Rows of a part that are reported, in order of opening.
    pub(crate) fn rows(&self, part: RowPart) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.is_of(part))
    }

    /// Rows that go on from one that was written before: they have the same number.
    pub fn went_on(&self) -> u64 {
        self.continued
    }
}
