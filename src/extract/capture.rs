//! The extract of one capture.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use foldhash::fast::RandomState;

use super::key::FlowKey;
use super::outside::{Outside, Place};
use super::record::{At, Content, FragmentRecord, One, Record, Run, Untimed};
use super::runs::{self, Runs};
use super::scope::{Scope, Serves};
use crate::capture::{CaptureError, Frame};
use crate::collect::Window;
use crate::decode::{Decoded, embedded};
use crate::error::Error;
use crate::flow::{FlowTuple, Fragment, Packet, TcpFlags, Transport};
use crate::replay::shard_of;
use crate::session::{INTERRUPTION, MOST_ACCEPTING};
use crate::sources::{CaptureInput, LookAheadRoom, Sources};
use crate::stats::Hidden;
use crate::verdict::Reason;

/// A part of an extract.
#[derive(Clone, Debug)]
pub enum Extracted {
    /// Packets of a flow.
    Record(Record),
    /// A fragment; its flow is known when all are.
    Fragment(FragmentRecord),
}

/// An address and a port that accept connections, and the first frame that shows it.
pub(super) type Accepting = ((IpAddr, u16), u64);

/// What is known of a capture as a whole.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CaptureFacts {
    /// Its position among the captures that were named.
    pub capture: u32,
    /// As a replay describes it.
    #[serde(with = "super::json")]
    pub input: CaptureInput,
    pub(super) serves: Serves,
    pub(super) clock: Clock,
    /// Ports that accept connections by the frames which a replay looks at ahead of judging.
    pub(super) accepting_ahead: Vec<Accepting>,
    /// The same by all frames.
    pub(super) accepting: Vec<Accepting>,
    pub(super) outside: Outside,
}

/// The times of a capture.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Clock {
    /// The time of the first frame; 0 where it has none.
    pub(super) first_turn: u64,
    /// The latest.
    pub(super) last_turn: u64,
    /// The first frame that has a time, and that time.
    pub(super) first: Option<(u64, u64)>,
    /// The last time.
    pub(super) last: Option<u64>,
    /// From the earliest time to the latest.
    pub(super) window: Window,
    /// Where the recording goes on after an interruption.
    pub(super) resumed: Vec<(u64, u64)>,
    /// The time of the first packet that is looked at ahead of judging.
    pub(super) first_ahead: Option<u64>,
    /// The first packet with a time that is evaluated.
    pub(super) first_evaluated: Option<(u64, u64)>,
}

impl Scope {
    /// Extracts one capture, the one at this position among all, and hands over its parts, in no particular order.
    /// A folder or a list of captures is none.
    ///
    /// # Errors
    /// When the capture cannot be read to its end, or holds what an extract cannot; and the first error of `each`.
    pub fn extract<E: From<Error>>(
        &self,
        capture: u32,
        sources: Sources,
        mut each: impl FnMut(Extracted) -> Result<(), E>,
    ) -> Result<CaptureFacts, E> {
        if sources.paths().count() != 1 || !sources.options().selection.is_everything() {
            let message = "an extract is of all packets of one capture";
            return Err(Error::Question(message.to_owned()).into());
        }
        let mut extractor = Extractor::new(self, capture);
        let read = sources.read(|inputs| {
            for input in inputs {
                extractor.add(&input.frame, input.decoded).map_err(Failed::Here)?;
            }
            extractor.parts.drain(..).try_for_each(&mut each).map_err(Failed::There)?;
            Ok(ControlFlow::Continue(()))
        });
        let ended = read.map_err(Failed::into_error)?;
        // What stands before the damage is no whole answer.
        if let Some(damage) = ended.damage.into_iter().next() {
            return Err(Error::from(damage).into());
        }
        extractor.close_all();
        extractor.parts.drain(..).try_for_each(&mut each)?;
        let input = ended.inputs.into_iter().next().unwrap_or_default();
        Ok(extractor.into_facts(input))
    }
}

/// An error of the extraction, or of the caller who takes its parts.
enum Failed<E> {
    Here(Error),
    There(E),
}

impl<E: From<Error>> Failed<E> {
    fn into_error(self) -> E {
        match self {
            Self::Here(error) => error.into(),
            Self::There(error) => error,
        }
    }
}

impl<E> From<CaptureError> for Failed<E> {
    fn from(error: CaptureError) -> Self {
        Self::Here(error.into())
    }
}

/// A capture that is being extracted.
struct Extractor<'s> {
    scope: &'s Scope,
    capture: u32,
    runs: Runs,
    parts: Vec<Extracted>,
    clock: Clock,
    turn: Option<u64>,
    ahead: LookAheadRoom,
    accepting_ahead: HashMap<(IpAddr, u16), u64, RandomState>,
    accepting: HashMap<(IpAddr, u16), u64, RandomState>,
    outside: Outside,
}

/// More interruptions than this are not told apart: a clock that jumps to and fro can show any number.
const MOST_INTERRUPTIONS: usize = 1 << 16;

impl<'s> Extractor<'s> {
    fn new(scope: &'s Scope, capture: u32) -> Self {
        Self {
            scope,
            capture,
            runs: Runs::new(),
            parts: Vec::new(),
            clock: Clock::default(),
            turn: None,
            ahead: LookAheadRoom::of(scope.serves.captures.into()),
            accepting_ahead: HashMap::default(),
            accepting: HashMap::default(),
            outside: Outside::default(),
        }
    }

    fn add(&mut self, frame: &Frame<'_>, decoded: &Decoded) -> Result<(), Error> {
        if frame.log.is_some() {
            let message =
                "an extract is of packets, and this is a flow log; replay it on one machine";
            return Err(Error::Question(message.to_owned()));
        }
        self.tell_time(frame)?;
        if self.ahead.take(frame)
            && let Decoded::Packet(packet) = decoded
        {
            self.clock.first_ahead = self.clock.first_ahead.or(frame.time_ns);
            let accepts = (packet.flow.src, packet.flow.transport, packet.tcp_flags);
            note_accepting(&mut self.accepting_ahead, accepts, frame.number);
        }
        match decoded {
            Decoded::Failed(failed) => {
                self.leave_out(frame, decoded, failed.why.into(), Place::OfNumber);
            }
            Decoded::Packet(packet) => {
                let quoted = self.quoted(frame, packet);
                if self.scope.interfaces.judging(&packet.flow, None) == [None; 2] {
                    let shard = match packet.flow.is_icmp_error() {
                        true => shard_of(&quoted.unwrap_or(packet.flow)),
                        false => shard_of(&packet.flow),
                    };
                    self.leave_out(frame, decoded, Reason::NotLocal, Place::Shard(shard));
                } else {
                    self.add_packet(frame, packet, quoted);
                }
            }
        }
        Ok(())
    }

    /// The tuple that a packet quotes, if it is an ICMP error or may be a part of one.
    fn quoted(&self, frame: &Frame<'_>, packet: &Packet) -> Option<FlowTuple> {
        let may_quote = packet.flow.is_icmp_error() || packet.fragment != Fragment::No;
        let quoted =
            may_quote.then(|| embedded(frame.link, frame.data, &self.scope.tunnels)).flatten();
        quoted.map(|quoted| quoted.flow)
    }

    fn tell_time(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        let first_turn = *self.turn.get_or_insert_with(|| {
            self.clock.first_turn = frame.time_ns.unwrap_or(0);
            self.clock.first_turn
        });
        self.clock.last_turn = self.clock.last_turn.max(first_turn);
        let Some(now) = frame.time_ns else { return Ok(()) };
        self.clock.last_turn = self.clock.last_turn.max(now);
        self.clock.window.see(now);
        match self.clock.last.replace(now) {
            None => self.clock.first = Some((frame.number, now)),
            Some(before) if now.saturating_sub(before) > INTERRUPTION => {
                if self.clock.resumed.len() >= MOST_INTERRUPTIONS {
                    let message = "the clock of the capture jumps ahead by a day so often that nothing can be said of who \
                                   began its connections; replay it on one machine";
                    return Err(Error::Question(message.to_owned()));
                }
                self.clock.resumed.push((frame.number, now));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn leave_out(&mut self, frame: &Frame<'_>, decoded: &Decoded, reason: Reason, place: Place) {
        self.outside.count(reason, frame.wire_len, frame.time_ns);
        let is_local = |addr| self.scope.interfaces.find(addr).is_some();
        if let Some(hidden) = Hidden::classify(frame, decoded, reason, is_local) {
            self.outside.hide(hidden, frame.number, place);
        }
    }

    fn add_packet(&mut self, frame: &Frame<'_>, packet: &Packet, quoted: Option<FlowTuple>) {
        let (transport, flags) = match packet.fragment {
            Fragment::Later { first: Some(first), .. } => (first.transport, first.tcp_flags),
            _ => (packet.flow.transport, packet.tcp_flags),
        };
        // A later fragment whose first came before shows nothing new.
        let is_known = !matches!(packet.fragment, Fragment::Later { first: None, .. });
        if is_known && self.clock.first_evaluated.is_none() {
            self.clock.first_evaluated = frame.time_ns.map(|time| (frame.number, time));
        }
        let accepts = (packet.flow.src, transport, flags);
        note_accepting(&mut self.accepting, accepts, frame.number);
        let (number, wire_len) = (frame.number, frame.wire_len);
        let at = At { frame: number, time: frame.time_ns.or(self.clock.last), wire_len };
        let latest = self.clock.window.times.map(|(_, latest)| latest);
        let untimed = frame.time_ns.is_none().then_some(Untimed { latest });
        let one = || One { at, untimed, packet: *packet, completed: None, quoted };
        if packet.fragment != Fragment::No {
            self.runs.cut(&packet.flow, number);
            if let Some(quoted) = &quoted {
                self.runs.cut(quoted, number);
            }
            let capture = self.capture;
            self.parts.push(Extracted::Fragment(FragmentRecord { capture, one: one() }));
            return;
        }
        let key = FlowKey::new(&quoted.unwrap_or(packet.flow));
        let Self { runs, parts, capture, scope, .. } = self;
        if untimed.is_none() && runs::goes_on(packet) {
            let closed = |key, run| parts.push(of_run(*capture, key, run));
            runs.add(key, packet, at, &scope.serves.shortest, closed);
            return;
        }
        parts.extend(runs.close(key).map(|run| of_run(*capture, key, run)));
        let content = Content::One(Box::new(one()));
        parts.push(Extracted::Record(Record { key, capture: *capture, content }));
    }

    fn close_all(&mut self) {
        let Self { runs, parts, capture, .. } = self;
        runs.close_all(|key, run| parts.push(of_run(*capture, key, run)));
    }

    fn into_facts(self, input: CaptureInput) -> CaptureFacts {
        let Self { scope, capture, clock, accepting_ahead, accepting, outside, .. } = self;
        let by_frame = |ends: HashMap<(IpAddr, u16), u64, RandomState>| {
            let mut ends: Vec<Accepting> = ends.into_iter().collect();
            ends.sort_unstable_by_key(|(_, frame)| *frame);
            ends
        };
        let (accepting_ahead, accepting) = (by_frame(accepting_ahead), by_frame(accepting));
        let serves = scope.serves.clone();
        CaptureFacts { capture, input, serves, clock, accepting_ahead, accepting, outside }
    }
}

fn of_run(capture: u32, key: FlowKey, run: Run) -> Extracted {
    Extracted::Record(Record { key, capture, content: Content::Run(run) })
}

/// Notes the port of a packet that accepts a connection. More than a replay remembers are not needed: the first ones of
/// all captures are among the first ones of each.
fn note_accepting(
    accepting: &mut HashMap<(IpAddr, u16), u64, RandomState>,
    (src, transport, flags): (IpAddr, Transport, Option<TcpFlags>),
    frame: u64,
) {
    if flags.is_some_and(TcpFlags::accepts)
        && let Some((port, _)) = transport.ports()
        && accepting.len() < MOST_ACCEPTING
    {
        accepting.entry((src, port)).or_insert(frame);
    }
}
