//! Connections, one by one, with what was sent in each.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::row::{Row, RowPart, Sent, number};
use super::row_index::RowIndex;
use crate::flow::{Direction, FlowTuple};
use crate::replay::Replay;
use crate::session::Opening;
use crate::sources::Input;
use crate::verdict::{Judged, Judgement, Verdict};

/// Gathers connections. Their rows are written at the end of the run, in order of opening; where they would take more
/// memory than they may, those of connections that are over are written before, and then those that have been idle
/// longest, the denied ones first.
#[derive(Debug)]
pub struct Connections {
    /// In order of opening.
    rows: Vec<Row>,
    known: RowIndex,
    /// Packets after their connection closed, by tuple and interface: each has a row of its own.
    strays: HashMap<(FlowTuple, u32), u32, FixedState>,
    /// Packets that are to be added to rows which there are.
    sent: Vec<Sent>,
    most_memory: usize,
    continued: u64,
    /// These are the rows of some flows, and will be merged with those of others.
    is_part: bool,
}

/// Packets are added to their rows so many at once: the rows lie scattered, so that each is waited for, and for all of
/// them at once it takes as long.
const AT_ONCE: usize = 64;

impl Connections {
    /// None yet; rows take no more than so many bytes: see [`Connections::is_full`].
    pub fn within(most_memory: usize) -> Self {
        Self {
            rows: Vec::new(),
            known: RowIndex::default(),
            strays: HashMap::default(),
            sent: Vec::new(),
            most_memory,
            continued: 0,
            is_part: false,
        }
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
            let known = match judgement.opened {
                Some(_) => None,
                None => self.known.get(connection, judgement.interface, local_began),
            };
            let row = if let Some(row) = known {
                row
            } else {
                let opened = judgement.opened.or_else(|| self.continued(input, judgement));
                let Some((opening, flow)) = opened else { continue };
                self.open(connection, input, judgement, (opening, flow))
            };
            let from_local = judgement.direction == Direction::Egress;
            self.send(Sent::new(row, input, from_local != local_began));
            if judgement.is_stopped() {
                self.stop(row, judgement);
            }
        }
    }

    /// Begins a row.
    fn open(
        &mut self,
        connection: u64,
        input: &Input<'_>,
        judgement: &Judgement,
        (opening, flow): (Opening, FlowTuple),
    ) -> u32 {
        let row = number(self.rows.len());
        self.rows.push(Row::new(input, judgement, opening, flow));
        let Judgement { interface, local_began, .. } = *judgement;
        self.known.insert(connection, interface, local_began, row);
        row
    }

    /// Adds a packet to a row, sooner or later.
    #[inline]
    fn send(&mut self, sent: Sent) {
        self.sent.push(sent);
        if self.sent.len() >= AT_ONCE {
            self.settle();
        }
    }

    /// Adds the packets that are to be added.
    fn settle(&mut self) {
        let Self { rows, sent, .. } = self;
        let all = sent.iter().filter_map(|sent| rows.get(sent.row as usize));
        std::hint::black_box(all.fold(0, |touched, row| touched ^ row.touch()));
        for sent in sent.drain(..) {
            if let Some(row) = rows.get_mut(sent.row as usize) {
                row.add(&sent);
            }
        }
    }

    /// Notes that a reply is stopped: what is cut by its replies is no connection that gets through.
    #[cold]
    fn stop(&mut self, row: u32, judgement: &Judgement) {
        if let Some(row) = self.rows.get_mut(row as usize)
            && row.verdict == Verdict::Allow
        {
            (row.verdict, row.reason) = (judgement.verdict, judgement.reason);
            (row.decided_in, row.entry) = (judgement.decided_in, judgement.entry);
            row.stopped = true;
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
                    let local_began = judgement.local_began;
                    let row = self.known.get(connection, judgement.interface, local_began);
                    (row, from_local != local_began)
                }
                (None, Some(packet)) => {
                    (self.strays.get(&(packet.flow, interface)).copied(), false)
                }
                (None, None) => (None, false),
            };
            let row = row.and_then(|row| self.rows.get_mut(row as usize));
            if let Some(sent) = row.and_then(|row| row.sent.get_mut(usize::from(back))) {
                sent.0 += packets;
                sent.1 += bytes;
            }
        }
    }

    /// Takes the rows of all connections, which are over.
    pub(crate) fn take_rows(&mut self) -> Vec<Row> {
        self.settle();
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
        if self.is_part {
            // Whether a row has a time is looked at.
            self.settle();
        }
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
        let row = *known;
        self.send(Sent::new(row, input, false));
    }

    /// Bytes that the rows take, about: a map has room for as many again. The order of the rows depends on it where there
    /// is too little memory.
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
        self.settle();
        for rows in self.rows.chunks_mut(AT_ONCE) {
            replay.fetch_sessions(
                rows.iter().map(|row| (row.interface as usize, row.opened_in, &row.flow)),
            );
            for row in rows {
                row.over = !row.goes_on(replay);
            }
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
        self.settle();
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
        let place = |row: u32| places.get(row as usize).copied().flatten();
        self.known.renumber(place);
        self.strays.retain(|_, row| {
            let place = place(*row);
            *row = place.unwrap_or_default();
            place.is_some()
        });
    }

    /// Rows of a part that are reported, in order of opening.
    pub(crate) fn rows(&mut self, part: RowPart) -> impl Iterator<Item = &Row> {
        self.all_rows().iter().filter(move |row| row.is_of(part))
    }

    /// All rows, reported or not, in order of opening.
    pub(crate) fn all_rows(&mut self) -> &[Row] {
        self.settle();
        &self.rows
    }

    /// Rows that go on from one that was written before: they have the same number.
    pub fn went_on(&self) -> u64 {
        self.continued
    }
}
