//! The judgement of records, flow by flow.

use super::key::FlowKey;
use super::record::{At, Content, One, Record, Run, Sent};
use super::timeline::Timeline;
use crate::capture::{Frame, LinkType};
use crate::collect::{Connections, Row};
use crate::decode::Decoded;
use crate::error::Error;
use crate::flow::{FlowTuple, Fragment, Packet, Protocol, TcpFlags};
use crate::replay::{FlowReplay, FromOthers, Options, SHARDS, Sessions};
use crate::rules::RuleSet;
use crate::sources::Input;
use crate::stats::Partial;
use crate::verdict::Judged;

/// Judges the packets of some of the flows.
#[derive(Debug)]
pub struct FlowJudge<'r> {
    timeline: &'r Timeline,
    replay: FlowReplay<'r>,
    /// The flow that is judged, and its shard.
    flow: Option<(FlowKey, u8)>,
    connections: Connections,
    part: Part,
}

/// The answers to some of the flows.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Part {
    pub(super) shards: Vec<Partial>,
    pub(super) rows: Vec<Row>,
}

impl<'r> FlowJudge<'r> {
    /// Judges by rules which the extract serves.
    ///
    /// # Errors
    /// When it does not, or when the options ask for what is not judged flow by flow.
    pub fn new(
        rules: &'r RuleSet,
        timeline: &'r Timeline,
        options: Options,
    ) -> Result<Self, Error> {
        timeline.serves.check(rules)?;
        refuse(options)?;
        let replay = FlowReplay::new(rules, options, timeline.openings().clone());
        let shards = (0..SHARDS).map(|_| Partial::default()).collect();
        Ok(Self {
            timeline,
            replay,
            flow: None,
            connections: Connections::within(usize::MAX),
            part: Part { shards, rows: Vec::new() },
        })
    }

    /// Judges the next record, in the order of [`Timeline::sort`]. Every record of a flow is judged by the same judge.
    pub fn judge(&mut self, record: &Record) {
        if self.flow.is_none_or(|(key, _)| key != record.key) {
            self.finish_flow();
            self.flow = Some((record.key, record.key.shard()));
        }
        match &record.content {
            Content::One(one) => self.judge_one(record.capture, one),
            Content::Run(run) => self.judge_run(record.capture, record.key, run),
        }
    }

    /// Takes the rows of the flows that are over. Their numbers are those of the frames that open the connections; among
    /// all connections they are numbered in the order of these. Rows that may go on in other flows stay.
    pub fn take_rows(&mut self) -> Connections {
        let (stay, go) = self.part.rows.drain(..).partition(Row::may_have_other_flows);
        self.part.rows = stay;
        Connections::by_opening_frame(go)
    }

    /// The rest of the rows as [`FlowJudge::take_rows`] has them, and the answers.
    pub fn finish_rows(mut self) -> (Connections, Part) {
        self.finish_flow();
        let rows = self.take_rows();
        (rows, self.part)
    }

    /// The answers, with all rows that were not taken.
    pub fn finish(mut self) -> Part {
        self.finish_flow();
        self.part
    }

    fn finish_flow(&mut self) {
        let Some((_, shard)) = self.flow.take() else { return };
        if let Some(shard) = self.part.shards.get_mut(usize::from(shard)) {
            shard.add(self.replay.stats());
        }
        self.part.rows.append(&mut self.connections.take_rows());
        self.replay.forget();
    }

    fn judge_one(&mut self, capture: u32, one: &One) {
        let One { at, is_timed, packet, completed, quoted } = *one;
        let now = self.timeline.now(capture, at.time);
        let number = self.timeline.number(capture, at.frame);
        let mut frame = Frame::new(number, LinkType::RAW, &[]).cut_from(at.wire_len);
        frame.time_ns = is_timed.then_some(now);
        let decoded = Decoded::Packet(packet);
        let judged = self.replay.judge(&frame, &decoded, FromOthers { now, completed, quoted });
        self.connections.add(&input(frame, &decoded), &judged);
    }

    fn judge_run(&mut self, capture: u32, key: FlowKey, run: &Run) {
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
        let mut judging = JudgeRun { judge: self, capture, packets: &packets, before: None };
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

/// A run that is judged.
struct JudgeRun<'j, 'r> {
    judge: &'j mut FlowJudge<'r>,
    capture: u32,
    /// One of each way.
    packets: &'j [Packet; 2],
    /// The packet before, and its answer.
    before: Option<(FlowTuple, Judged)>,
}

impl JudgeRun<'_, '_> {
    /// Judges the packets that go one way and are not judged one by one, at the time of the first of them.
    fn judge_rest(&mut self, at: At, way: usize, rest: &[Sent; 2]) {
        let Some(sent) = rest.get(way).filter(|sent| sent.packets > 0) else { return };
        let wire_len = u32::try_from(sent.bytes).unwrap_or(u32::MAX);
        self.judge(At { wire_len, ..at }, way, *sent);
    }

    fn judge(&mut self, at: At, way: usize, sent: Sent) {
        let Some(packet) = self.packets.get(way) else { return };
        let FlowJudge { timeline, replay, connections, .. } = &mut *self.judge;
        let now = timeline.now(self.capture, at.time);
        // Between two packets of a run no session expires.
        if let Some((flow, judged)) = &self.before {
            replay.keep_alive(flow, judged, now);
        }
        let number = timeline.number(self.capture, at.frame);
        let frame = Frame::new(number, LinkType::RAW, &[]).cut_from(at.wire_len).at(now);
        let decoded = Decoded::Packet(*packet);
        let others = FromOthers { now, completed: None, quoted: None };
        let judged = replay.judge_alike(&frame, &decoded, others, (sent.packets, sent.bytes));
        let input = input(frame, &decoded);
        connections.add(&input, &judged);
        let more = (sent.packets.saturating_sub(1), sent.bytes.saturating_sub(at.wire_len.into()));
        connections.add_alike(&input, &judged, more);
        self.before = Some((packet.flow, judged));
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

fn input<'a>(frame: Frame<'a>, decoded: &'a Decoded) -> Input<'a> {
    Input { frame, decoded, selected: true, in_window: true }
}

fn refuse(options: Options) -> Result<(), Error> {
    let message = match options {
        Options { sessions: Sessions::Off, .. } => {
            "without sessions there are no flows to be judged by; replay the captures on one machine"
        }
        Options { max_sessions: Some(_), .. } => {
            "how many sessions an interface holds depends on all flows, and an extract is judged flow by flow; replay the \
             captures on one machine"
        }
        _ => return Ok(()),
    };
    Err(Error::Question(message.to_owned()))
}
