//! What an extract is made of: the frames of one capture, as far as they have to be known to judge them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;

use foldhash::fast::RandomState;

use super::frames::{FrameFacts, Frames, accepting_by_packet, by_frame, note_accepting};
use super::outside::Place;
use super::piece::{Piece, Pieces};
use super::points::Named;
use super::record::Extracted;
use super::scope::{Scope, Serves};
use super::seen::{Seen, What};
use crate::capture::{CaptureError, Frame};
use crate::decode::{Decoded, embedded};
use crate::error::Error;
use crate::flow::{FlowTuple, Fragment, Packet};
use crate::replay::shard_of;
use crate::session::accepting_by_record;
use crate::sources::{CaptureInput, Input, LookAheadRoom, Sources};
use crate::stats::Hidden;
use crate::verdict::Reason;

/// What is known of a capture as a whole.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CaptureFacts {
    /// Its position among the captures that were named.
    pub capture: u32,
    /// As a replay describes it.
    #[serde(with = "super::json")]
    pub input: CaptureInput,
    pub(super) serves: Serves,
    /// The time of its first frame, 0 where it has none, and the latest.
    pub(super) turns: (u64, u64),
    pub(super) ahead: Ahead,
    /// Positions of the given capture points at which some of its frames were seen.
    pub(super) seen: Vec<u32>,
    /// Of its frames; `None` where pieces of the capture were handed over.
    pub(super) frames: Option<FrameFacts>,
}

/// What a replay knows of a capture's first frames ahead of judging.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Ahead {
    /// The time of the first packet that has one.
    pub(super) time: Option<u64>,
    /// Ports that accept connections, by the first frame that shows it.
    pub(super) accepting: Vec<(IpAddr, u16)>,
}

impl CaptureFacts {
    /// Whether the capture was read [in pieces](Scope::pieces).
    pub fn are_of_pieces(&self) -> bool {
        self.frames.is_none()
    }

    /// When its first frame is read among those of other captures.
    pub(super) fn turn(&self) -> (u64, u32) {
        (self.turns.0, self.capture)
    }
}

impl Scope {
    /// Extracts one capture, the one at this position among all, and hands over its parts, in no particular order.
    /// A folder or a list of captures is none. Captures that overlap in time are read in [pieces](Scope::pieces).
    ///
    /// # Errors
    /// When the capture cannot be read to its end, or holds what an extract cannot; and the first error of `each`.
    pub fn extract<E: From<Error>>(
        &self,
        capture: u32,
        sources: Sources,
        mut each: impl FnMut(Extracted) -> Result<(), E>,
    ) -> Result<CaptureFacts, E> {
        let mut frames = Frames::new(self, capture);
        let facts = self.read(capture, sources, |reading, inputs| {
            for input in inputs {
                let seen = reading.see(&input.frame, input.decoded)?;
                frames.add(&seen)?;
            }
            frames.take_parts().try_for_each(&mut each).map_err(Failed::There)
        })?;
        frames.close_all();
        frames.take_parts().try_for_each(&mut each)?;
        Ok(CaptureFacts { frames: Some(frames.into_facts()), ..facts })
    }

    /// Reads one capture of several that may overlap in time, and hands over its frames in pieces, in their order. The
    /// pieces of all captures are [merged](Scope::merge) then.
    ///
    /// # Errors
    /// When the capture cannot be read to its end, or holds what an extract cannot; and the first error of `each`.
    pub fn pieces<E: From<Error>>(
        &self,
        capture: u32,
        sources: Sources,
        mut each: impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<CaptureFacts, E> {
        let mut pieces = Pieces::new(capture);
        let facts = self.read(capture, sources, |reading, inputs| {
            for input in inputs {
                let seen = reading.see(&input.frame, input.decoded)?;
                let turn = reading.turn.unwrap_or_default();
                if let Some(piece) = pieces.add(turn, seen)? {
                    each(piece).map_err(Failed::There)?;
                }
            }
            Ok(())
        })?;
        pieces.finish().map_or(Ok(()), each)?;
        Ok(facts)
    }

    /// Reads one capture, whose frames `take` gets.
    fn read<E: From<Error>>(
        &self,
        capture: u32,
        mut sources: Sources,
        mut take: impl FnMut(&mut Reading<'_>, &[Input<'_>]) -> Result<(), Failed<E>>,
    ) -> Result<CaptureFacts, E> {
        if sources.paths().count() != 1 || !sources.options().selection.is_everything() {
            let message = "an extract is of all packets of one capture";
            return Err(Error::Question(message.to_owned()).into());
        }
        let path = sources.paths().next().map(Path::to_owned);
        if let (Some(path), Some(interface)) = (path, self.serves.points.of_capture(capture)) {
            sources.made_at(&path, interface);
        }
        let knows_addresses = sources.options().flow_logs.addresses == self.addresses;
        let mut reading = Reading::new(self, knows_addresses);
        let read =
            sources.read(|inputs| take(&mut reading, inputs).map(|()| ControlFlow::Continue(())));
        let ended = read.map_err(Failed::into_error)?;
        // What stands before the damage is no whole answer.
        if let Some(damage) = ended.damage.into_iter().next() {
            return Err(Error::from(damage).into());
        }
        Ok(CaptureFacts {
            capture,
            input: ended.inputs.into_iter().next().unwrap_or_default(),
            serves: self.serves.clone(),
            turns: (reading.first_turn, reading.turn.unwrap_or_default()),
            ahead: Ahead {
                time: reading.first_ahead,
                accepting: by_frame(reading.accepting).map(|(end, _)| end).collect(),
            },
            seen: reading.named.seen.into_iter().collect(),
            frames: None,
        })
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

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// A capture that is being read.
struct Reading<'s> {
    scope: &'s Scope,
    /// The capture is read with the addresses of the interfaces that a flow log may name.
    knows_addresses: bool,
    first_turn: u64,
    /// The latest time, by which the frame is read among those of other captures; `None` before the first frame.
    turn: Option<u64>,
    room: LookAheadRoom,
    named: Named<'s>,
    first_ahead: Option<u64>,
    accepting: HashMap<(IpAddr, u16), u64, RandomState>,
}

impl<'s> Reading<'s> {
    fn new(scope: &'s Scope, knows_addresses: bool) -> Self {
        Self {
            scope,
            knows_addresses,
            first_turn: 0,
            turn: None,
            room: LookAheadRoom::of(scope.serves.captures.into()),
            named: Named::new(&scope.points, &scope.serves.points),
            first_ahead: None,
            accepting: HashMap::default(),
        }
    }

    /// What has to be known of the next frame.
    fn see(&mut self, frame: &Frame<'_>, decoded: &Decoded) -> Result<Seen, Error> {
        if frame.log.is_some() && !self.knows_addresses {
            let message =
                "the records of a flow log name interfaces; read it with the options of the scope";
            return Err(Error::Question(message.to_owned()));
        }
        let time = frame.time_ns.unwrap_or(0);
        if self.turn.is_none() {
            self.first_turn = time;
        }
        self.turn = self.turn.max(Some(time));
        if self.room.take(frame)
            && let Decoded::Packet(packet) = decoded
        {
            self.first_ahead = self.first_ahead.or(frame.time_ns);
            let FlowTuple { src, transport, .. } = packet.flow;
            let accepts = accepting_by_packet(src, transport, packet.tcp_flags);
            note_accepting(&mut self.accepting, accepts, frame.number);
            if let Some(log) = frame.log {
                let accepts = accepting_by_record(packet, log);
                note_accepting(&mut self.accepting, accepts, frame.number);
            }
        }
        let at = self.named.find(frame);
        let what = match decoded {
            Decoded::Failed(failed) => {
                self.outside(frame, decoded, failed.why.into(), Place::OfNumber)
            }
            Decoded::Packet(packet) => {
                let quoted = self.quoted(frame, packet);
                if self.scope.interfaces.judging(&packet.flow, at) == [None; 2] {
                    let shard = match packet.flow.is_icmp_error() {
                        true => shard_of(&quoted.unwrap_or(packet.flow)),
                        false => shard_of(&packet.flow),
                    };
                    self.outside(frame, decoded, Reason::NotLocal, Place::Shard(shard))
                } else {
                    What::Packet { packet: *packet, quoted, log: frame.log.copied() }
                }
            }
        };
        let point = at.and_then(|at| self.scope.points.place(at));
        Ok(Seen { time: frame.time_ns, wire_len: frame.wire_len, point, what })
    }

    /// The tuple that a packet quotes, if it is an ICMP error or may be a part of one.
    fn quoted(&self, frame: &Frame<'_>, packet: &Packet) -> Option<FlowTuple> {
        let may_quote = packet.flow.is_icmp_error() || packet.fragment != Fragment::No;
        let quoted =
            may_quote.then(|| embedded(frame.link, frame.data, &self.scope.tunnels)).flatten();
        quoted.map(|quoted| quoted.flow)
    }

    fn outside(&self, frame: &Frame<'_>, decoded: &Decoded, reason: Reason, place: Place) -> What {
        let is_local = |addr| self.scope.interfaces.find(addr).is_some();
        let hidden = Hidden::classify(frame, decoded, reason, is_local);
        What::Outside { reason, hidden: hidden.map(|hidden| (hidden, place)) }
    }
}
