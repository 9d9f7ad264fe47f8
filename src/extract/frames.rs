//! Frames that follow each other, of one capture or of several that are merged, and the records that they become.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::key::FlowKey;
use super::outside::Outside;
use super::record::{At, Content, Extracted, FragmentRecord, One, Record, Run, Untimed};
use super::runs::{self, RunKey, Runs};
use super::scope::Scope;
use super::seen::{Seen, What};
use crate::capture::LogRecord;
use crate::collect::Window;
use crate::error::Error;
use crate::flow::{FlowTuple, Fragment, Packet, TcpFlags, Transport};
use crate::session::{INTERRUPTION, MOST_ACCEPTING, accepting_by_record};

/// An address and a port that accept connections, and the first frame that shows it.
pub(super) type Accepting = ((IpAddr, u16), u64);

/// What is known of all frames together.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct FrameFacts {
    /// How many there are.
    pub(super) frames: u64,
    pub(super) clock: Clock,
    /// Ports that accept connections.
    pub(super) accepting: Vec<Accepting>,
    pub(super) outside: Outside,
}

/// The times of frames.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Clock {
    /// The first frame that has a time, and that time.
    pub(super) first: Option<(u64, u64)>,
    /// The last time.
    pub(super) last: Option<u64>,
    /// From the earliest time to the latest.
    pub(super) window: Window,
    /// Where the recording goes on after an interruption.
    pub(super) resumed: Vec<(u64, u64)>,
    /// The first packet with a time that is evaluated.
    pub(super) first_evaluated: Option<(u64, u64)>,
}

/// More interruptions than this are not told apart: a clock that jumps to and fro can show any number.
const MOST_INTERRUPTIONS: usize = 1 << 16;

/// Frames that become records. They are counted from 1.
pub(super) struct Frames<'s> {
    scope: &'s Scope,
    /// What the records call their capture.
    capture: u32,
    number: u64,
    runs: Runs,
    parts: Vec<Extracted>,
    clock: Clock,
    accepting: HashMap<(IpAddr, u16), u64, RandomState>,
    outside: Outside,
}

impl<'s> Frames<'s> {
    pub(super) fn new(scope: &'s Scope, capture: u32) -> Self {
        Self {
            scope,
            capture,
            number: 0,
            runs: Runs::new(),
            parts: Vec::new(),
            clock: Clock::default(),
            accepting: HashMap::default(),
            outside: Outside::default(),
        }
    }

    /// Adds the next frame.
    pub(super) fn add(&mut self, seen: &Seen) -> Result<(), Error> {
        self.number += 1;
        let Seen { time, wire_len, point, what } = seen;
        self.tell_time(*time)?;
        match what {
            What::Outside { reason, hidden } => {
                self.outside.count(*reason, *wire_len, *time);
                if let Some((hidden, place)) = hidden {
                    self.outside.hide(*hidden, self.number, *place);
                }
            }
            What::Packet { packet, quoted, log } => {
                self.add_packet((*time, *wire_len, *point), packet, *quoted, *log);
            }
        }
        Ok(())
    }

    /// Takes the records that are done.
    pub(super) fn take_parts(&mut self) -> impl Iterator<Item = Extracted> {
        self.parts.drain(..)
    }

    /// No more frames.
    pub(super) fn close_all(&mut self) {
        let Self { runs, parts, capture, .. } = self;
        runs.close_all(|key, run| parts.push(of_run(*capture, key, run)));
    }

    pub(super) fn into_facts(self) -> FrameFacts {
        let Self { number, clock, accepting, outside, .. } = self;
        FrameFacts { frames: number, clock, accepting: by_frame(accepting).collect(), outside }
    }

    /// A packet that was seen at an interface alone has the sessions there, one that was not has those of both of its
    /// ends: the runs of both kinds follow each other, while those of different interfaces have nothing to do with each
    /// other.
    #[cold]
    fn close_others(&mut self, RunKey { flow, point }: RunKey, of_packet: &FlowTuple) {
        let Self { scope: Scope { points, interfaces, .. }, runs, parts, capture, .. } = self;
        let ends = interfaces.judging(of_packet, None).into_iter().flatten();
        let places = ends.filter_map(|end| points.place(end)).map(Some);
        let others = match point {
            Some(_) => vec![None],
            None => places.collect(),
        };
        for point in others {
            let key = RunKey { flow, point };
            parts.extend(runs.close(key).map(|run| of_run(*capture, key, run)));
        }
    }

    fn tell_time(&mut self, time: Option<u64>) -> Result<(), Error> {
        let Some(now) = time else { return Ok(()) };
        self.clock.window.see(now);
        match self.clock.last.replace(now) {
            None => self.clock.first = Some((self.number, now)),
            Some(before) if now.saturating_sub(before) > INTERRUPTION => {
                if self.clock.resumed.len() >= MOST_INTERRUPTIONS {
                    let message = "the clock of the capture jumps ahead by a day so often that nothing can be said of who \
                                   began its connections; replay it on one machine";
                    return Err(Error::Question(message.to_owned()));
                }
                self.clock.resumed.push((self.number, now));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn add_packet(
        &mut self,
        (time, wire_len, point): (Option<u64>, u32, Option<u32>),
        packet: &Packet,
        quoted: Option<FlowTuple>,
        log: Option<LogRecord>,
    ) {
        let number = self.number;
        let (transport, flags) = match packet.fragment {
            Fragment::Later { first: Some(first), .. } => (first.transport, first.tcp_flags),
            _ => (packet.flow.transport, packet.tcp_flags),
        };
        // A later fragment whose first came before shows nothing new.
        let is_known = !matches!(packet.fragment, Fragment::Later { first: None, .. });
        if is_known && self.clock.first_evaluated.is_none() {
            self.clock.first_evaluated = time.map(|time| (number, time));
        }
        let accepts = accepting_by_packet(packet.flow.src, transport, flags);
        note_accepting(&mut self.accepting, accepts, number);
        if let Some(log) = &log {
            note_accepting(&mut self.accepting, accepting_by_record(packet, log), number);
        }
        let at = At { frame: number, time: time.or(self.clock.last), wire_len };
        let latest = self.clock.window.times.map(|(_, latest)| latest);
        let untimed = time.is_none().then_some(Untimed { latest });
        let one = || One { at, untimed, packet: *packet, completed: None, quoted, log };
        if packet.fragment != Fragment::No {
            self.runs.cut(&packet.flow, number);
            if let Some(quoted) = &quoted {
                self.runs.cut(quoted, number);
            }
            let capture = self.capture;
            self.parts.push(Extracted::Fragment(FragmentRecord { capture, point, one: one() }));
            return;
        }
        let flow = FlowKey::new(&quoted.unwrap_or(packet.flow));
        let key = RunKey { flow, point };
        if point.is_some() || self.scope.points.are_named() {
            self.close_others(key, &packet.flow);
        }
        let Self { runs, parts, capture, scope, .. } = self;
        if untimed.is_none() && log.is_none() && runs::goes_on(packet) {
            let closed = |key, run| parts.push(of_run(*capture, key, run));
            runs.add(key, packet, at, &scope.serves.shortest, closed);
            return;
        }
        parts.extend(runs.close(key).map(|run| of_run(*capture, key, run)));
        let content = Content::One(Box::new(one()));
        let capture = *capture;
        parts.push(Extracted::Record(Record { key: flow, capture, point, content }));
    }
}

fn of_run(capture: u32, RunKey { flow: key, point }: RunKey, run: Run) -> Extracted {
    Extracted::Record(Record { key, capture, point, content: Content::Run(run) })
}

/// The end that accepts connections, where a packet shows it.
pub(super) fn accepting_by_packet(
    src: IpAddr,
    transport: Transport,
    flags: Option<TcpFlags>,
) -> Option<(IpAddr, u16)> {
    let (port, _) = transport.ports().filter(|_| flags.is_some_and(TcpFlags::accepts))?;
    Some((src, port))
}

/// Notes an end that accepts a connection. More than a replay remembers are not needed: the first ones of all frames are
/// among the first ones of each part of them.
pub(super) fn note_accepting(
    accepting: &mut HashMap<(IpAddr, u16), u64, RandomState>,
    end: Option<(IpAddr, u16)>,
    frame: u64,
) {
    if let Some(end) = end.filter(|_| accepting.len() < MOST_ACCEPTING) {
        accepting.entry(end).or_insert(frame);
    }
}

/// Ports in the order of the frames that show them.
pub(super) fn by_frame(
    accepting: HashMap<(IpAddr, u16), u64, RandomState>,
) -> impl Iterator<Item = Accepting> {
    let mut ends: Vec<Accepting> = accepting.into_iter().collect();
    ends.sort_unstable_by_key(|(_, frame)| *frame);
    ends.into_iter()
}
