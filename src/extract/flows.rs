//! The packets of records, flow by flow.

use super::key::FlowKey;
use super::record::{At, Content, One, Record, Run, Sent};
use super::timeline::Timeline;
use crate::capture::{Frame, LinkType};
use crate::decode::Decoded;
use crate::flow::{FlowTuple, Fragment, Packet, Protocol, TcpFlags};
use crate::replay::FromOthers;

/// A packet of a flow, which stands for one packet or several with the same answer.
pub(super) struct Step<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) decoded: &'a Decoded,
    pub(super) others: FromOthers,
    /// The time of the frame, or else the latest before it.
    pub(super) latest: Option<u64>,
    pub(super) sent: Sent,
}

/// Takes the packets of flows, of one flow after the other, each in the order of its packets.
pub(super) trait TakesFlows {
    /// What is said of a packet.
    type Answer;

    fn judge(&mut self, step: &Step<'_>) -> Self::Answer;

    /// More packets with this answer, which are not handed over, have kept its sessions alive until then.
    fn keep_alive(&mut self, flow: &FlowTuple, answer: &Self::Answer, now: u64);

    /// The flow is over, which belongs to this shard of a replay.
    fn finish_flow(&mut self, shard: u8);
}

/// Hands the packets of records to who takes them.
#[derive(Debug)]
pub(super) struct Flows<'t, T> {
    pub(super) timeline: &'t Timeline,
    /// The flow under way, and its shard.
    flow: Option<(FlowKey, u8)>,
    pub(super) to: T,
}

impl<'t, T: TakesFlows> Flows<'t, T> {
    pub(super) fn new(timeline: &'t Timeline, to: T) -> Self {
        Self { timeline, flow: None, to }
    }

    /// Takes the next record, in the order of [`Timeline::sort`].
    pub(super) fn take(&mut self, record: &Record) {
        if self.flow.is_none_or(|(key, _)| key != record.key) {
            self.finish_flow();
            self.flow = Some((record.key, record.key.shard()));
        }
        match &record.content {
            Content::One(one) => self.take_one(record, one),
            Content::Run(run) => self.take_run(record, run),
        }
    }

    /// No more records.
    pub(super) fn finish(mut self) -> T {
        self.finish_flow();
        self.to
    }

    fn finish_flow(&mut self) {
        if let Some((_, shard)) = self.flow.take() {
            self.to.finish_flow(shard);
        }
    }

    fn take_one(&mut self, &Record { capture, point, .. }: &Record, one: &One) {
        let One { at, untimed, packet, completed, quoted, log } = *one;
        let now = self.timeline.now(capture, at.time);
        let number = self.timeline.number(capture, at.frame);
        let mut frame = Frame::new(number, LinkType::RAW, &[]).cut_from(at.wire_len);
        let latest = match untimed {
            None => Some(now),
            Some(untimed) => self.timeline.latest(capture, untimed),
        };
        frame.time_ns = untimed.is_none().then_some(now);
        frame.interface = self.timeline.seen_at(point);
        frame.log = log.as_ref();
        let decoded = &Decoded::Packet(packet);
        let others = FromOthers { now, completed, quoted };
        self.to.judge(&Step { frame, decoded, others, latest, sent: Sent::of(at) });
    }

    fn take_run(&mut self, record: &Record, run: &Run) {
        let Record { key, .. } = record;
        let packets = [run.from_low, !run.from_low].map(|from_low| plain(key.flow(from_low)));
        // Those that are judged one by one: the turns, and behind them the last of each way.
        let ways = [0, 1, 0];
        let is_turn = |at: &At| run.turns.iter().any(|turn| turn.frame == at.frame);
        let last = run.last.iter().enumerate().filter_map(|(way, at)| at.zip(Some(way)));
        let mut last: Vec<(At, usize)> = last.filter(|(at, _)| !is_turn(at)).collect();
        last.sort_unstable_by_key(|(at, _)| at.frame);
        let turns = run.turns.iter().copied().zip(ways);
        let mut rest = run.sent;
        for (at, way) in turns.clone().chain(last.iter().copied()) {
            if let Some(sent) = rest.get_mut(way) {
                sent.take(at);
            }
        }
        let mut judging = TakeRun { flows: self, record, packets: &packets, before: None };
        // With a third turn nothing changes any more; before it, the rest of a stretch must not look like a turn.
        let is_settled = run.turns.len() > 2;
        for (at, way) in turns.clone() {
            judging.judge(at, way, Sent::of(at));
            if !is_settled {
                judging.judge_rest(at, way, &rest);
                let of_way = last.extract_if(.., |(_, of)| *of == way);
                of_way.for_each(|(at, way)| judging.judge(at, way, Sent::of(at)));
            }
        }
        for (at, way) in turns.take(2).filter(|_| is_settled) {
            judging.judge_rest(at, way, &rest);
        }
        for (at, way) in last {
            judging.judge(at, way, Sent::of(at));
        }
    }
}

/// A run that is taken apart.
struct TakeRun<'j, 't, T: TakesFlows> {
    flows: &'j mut Flows<'t, T>,
    record: &'j Record,
    /// One of each way.
    packets: &'j [Packet; 2],
    /// The packet before, and its answer.
    before: Option<(FlowTuple, T::Answer)>,
}

impl<T: TakesFlows> TakeRun<'_, '_, T> {
    /// Judges the packets that go one way and are not judged one by one, at the time of the first of them.
    fn judge_rest(&mut self, at: At, way: usize, rest: &[Sent; 2]) {
        let Some(sent) = rest.get(way).filter(|sent| sent.packets > 0) else { return };
        let wire_len = u32::try_from(sent.bytes).unwrap_or(u32::MAX);
        self.judge(At { wire_len, ..at }, way, *sent);
    }

    fn judge(&mut self, at: At, way: usize, sent: Sent) {
        let Some(packet) = self.packets.get(way) else { return };
        let Flows { timeline, to, .. } = &mut *self.flows;
        let Record { capture, point, .. } = *self.record;
        let now = timeline.now(capture, at.time);
        // Between two packets of a run no session expires.
        if let Some((flow, answer)) = &self.before {
            to.keep_alive(flow, answer, now);
        }
        let number = timeline.number(capture, at.frame);
        let mut frame = Frame::new(number, LinkType::RAW, &[]).cut_from(at.wire_len).at(now);
        frame.interface = timeline.seen_at(point);
        let decoded = &Decoded::Packet(*packet);
        let others = FromOthers { now, completed: None, quoted: None };
        let answer = to.judge(&Step { frame, decoded, others, latest: Some(now), sent });
        self.before = Some((packet.flow, answer));
    }
}

impl Sent {
    fn of(at: At) -> Self {
        Self { packets: 1, bytes: at.wire_len.into() }
    }

    fn take(&mut self, at: At) {
        self.packets = self.packets.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(at.wire_len.into());
    }
}

/// A packet that only shows that its connection goes on.
fn plain(flow: FlowTuple) -> Packet {
    /// Neither SYN nor FIN nor RST.
    const ACK: TcpFlags = TcpFlags(0x10);
    let tcp_flags = (flow.proto == Protocol::TCP).then_some(ACK);
    // Only neighbour discovery, which is ICMPv6, asks for the hop limit.
    Packet { flow, tcp_flags, fragment: Fragment::No, hop_limit: u8::MAX }
}
