//! All captures in their order, with what each frame knows of earlier ones.

use super::capture::{Accepting, CaptureFacts};
use super::key::FlowKey;
use super::outside::{Outside, Place};
use super::record::{Content, FragmentRecord, One, Record, Untimed};
use super::scope::Serves;
use crate::collect::Window;
use crate::error::Error;
use crate::fragment::FragmentTable;
use crate::replay::{SHARDS, shard_of};
use crate::session::{INTERRUPTION, Openings};
use crate::sources::{CaptureInput, Order};
use crate::stats::{Hidden, Partial};
use crate::verdict::Reason;

/// Captures in the order in which a replay reads them, one behind the other.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Timeline {
    pub(super) serves: Serves,
    /// By the positions of captures among those that were named.
    places: Vec<CapturePlace>,
    openings: Openings,
    #[serde(with = "super::json")]
    inputs: Vec<CaptureInput>,
    outside: Vec<(u64, Outside)>,
    /// From the earliest time to the latest, unless a capture begins before that of one before it.
    window: Option<Window>,
}

/// Where a capture stands.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct CapturePlace {
    /// Frames of the captures before it.
    before: u64,
    /// The time of the last of them that has one.
    clock: u64,
    /// The latest time of them.
    latest: Option<u64>,
}

impl Timeline {
    /// Puts captures in order: all of a scope, each once.
    ///
    /// # Errors
    /// When a capture is missing or there twice, or when two of them are of one time, so that their packets would be
    /// judged in turns.
    pub fn new(mut captures: Vec<CaptureFacts>, order: Order) -> Result<Self, Error> {
        captures.sort_by_key(|of| of.capture);
        let missing = || {
            let message = "not every capture is there once; an extract is of all captures, for the same rules";
            Error::Question(message.to_owned())
        };
        let serves = captures.first().ok_or_else(missing)?.serves.clone();
        let is_whole = captures.iter().map(|of| of.capture).eq(0..serves.captures);
        if !is_whole || captures.iter().any(|of| of.serves != serves) {
            return Err(missing());
        }
        let inputs = captures.iter().map(|of| of.input.clone()).collect();
        if order == Order::Time {
            captures.sort_by_key(|of| (of.clock.first_turn, of.capture));
            refuse_overlapping(&captures)?;
        }
        let mut places = vec![CapturePlace::default(); captures.len()];
        let (mut before, mut clock, mut latest, mut outside) = (0, 0, None, Vec::new());
        let mut window = Some(Window::default());
        for of in &captures {
            if let Some(place) = places.get_mut(of.capture as usize) {
                *place = CapturePlace { before, clock, latest };
            }
            outside.push((before, of.outside.clone()));
            before += of.input.frames;
            clock = of.clock.last.unwrap_or(clock);
            latest = latest.max(of.clock.window.times.map(|(_, latest)| latest));
            if let Some((_, first)) = of.clock.first {
                window = window
                    .and_then(|mut window| window.go_on(first, &of.clock.window).map(|()| window));
            }
        }
        let openings = Openings::default();
        let mut timeline = Self { serves, places, openings, inputs, outside, window };
        timeline.openings = timeline.openings_of(&captures);
        Ok(timeline)
    }

    /// What the captures, in order, show of who accepts connections, and when the recording began and went on.
    fn openings_of(&self, captures: &[CaptureFacts]) -> Openings {
        let before = |of: &CaptureFacts| self.place(of.capture).before;
        let mut starts = Vec::new();
        starts.extend(captures.iter().find_map(|of| of.clock.first_ahead).map(|time| (0, time)));
        for of in captures {
            let CapturePlace { before, clock, .. } = self.place(of.capture);
            let goes_on = |(_, time): &(u64, u64)| time.saturating_sub(clock) > INTERRUPTION;
            let first = of.clock.first.filter(goes_on);
            let resumed = first.iter().chain(&of.clock.resumed);
            let resumed: Vec<_> = resumed.map(|(frame, time)| (before + frame, *time)).collect();
            let evaluated = of.clock.first_evaluated.map(|(frame, time)| (before + frame, time));
            // A frame goes on before it is evaluated.
            let begins = |(frame, _): &(u64, u64)| resumed.iter().all(|(first, _)| first > frame);
            if starts.is_empty() {
                starts.extend(evaluated.filter(begins));
            }
            starts.extend(resumed);
        }
        let ahead = captures.iter().flat_map(|of| of.accepting_ahead.iter());
        let ahead = ahead.map(|(end, _): &Accepting| (*end, 0));
        let judged = captures
            .iter()
            .flat_map(|of| of.accepting.iter().map(move |(end, frame)| (*end, before(of) + frame)));
        Openings::known(ahead.chain(judged), starts)
    }

    fn place(&self, capture: u32) -> CapturePlace {
        self.places.get(capture as usize).copied().unwrap_or_default()
    }

    /// The number of a frame among those of all captures, which is the position of its record.
    pub fn number(&self, capture: u32, frame: u64) -> u64 {
        self.place(capture).before.saturating_add(frame)
    }

    /// The time of the capture at a frame.
    pub(super) fn now(&self, capture: u32, time: Option<u64>) -> u64 {
        time.unwrap_or(self.place(capture).clock)
    }

    /// The latest time of the captures before a frame that has none.
    pub(super) fn latest(&self, capture: u32, untimed: Untimed) -> Option<u64> {
        untimed.latest.max(self.place(capture).latest)
    }

    /// From the earliest time to the latest, for what traffic used of rules.
    pub(super) fn window(&self) -> Result<Window, Error> {
        self.window.ok_or_else(|| {
            let message = "a capture begins before the end of one that is named before it, and how long no packet came is \
                           known only of captures that follow each other; leave coverage out";
            Error::Question(message.to_owned())
        })
    }

    /// Gives fragments the ports of their first ones. All fragments of all captures are given, in any order, since a
    /// datagram may have begun in an earlier capture. Returns the packets by flow, and the frames whose first fragment is
    /// in no capture.
    pub fn complete(&self, mut fragments: Vec<FragmentRecord>) -> (Vec<Record>, LostFragments) {
        fragments.sort_by_key(|of| self.number(of.capture, of.one.at.frame));
        let (mut table, mut records) = (FragmentTable::default(), Vec::new());
        let mut lost = LostFragments(Outside::default());
        for FragmentRecord { capture, one } in fragments {
            let now = self.now(capture, one.at.time);
            let One { at, untimed, packet, .. } = one;
            let Some(completed) = table.complete(packet, now) else {
                let reason = Reason::FragmentWithoutFirst;
                lost.0.count(reason, at.wire_len, at.time.filter(|_| untimed.is_none()));
                let place = Place::Shard(shard_of(&packet.flow));
                let frame = self.number(capture, at.frame);
                lost.0.hide(Hidden::FragmentWithoutFirst, frame, place);
                continue;
            };
            let quoted = one.quoted.filter(|_| completed.flow.is_icmp_error());
            let key = FlowKey::new(&quoted.unwrap_or(completed.flow));
            let one = One { completed: Some(completed), quoted, ..one };
            records.push(Record { key, capture, content: Content::One(Box::new(one)) });
        }
        (records, lost)
    }

    /// Sorts records as they are judged: the flows one after the other, each in the order of its packets.
    pub fn sort(&self, records: &mut [Record]) {
        records.sort_by_key(|of| (of.key, self.number(of.capture, of.frame())));
    }

    /// Who accepts connections, and when the recording began.
    pub(super) fn openings(&self) -> &Openings {
        &self.openings
    }

    /// The captures as a replay describes them, in the order in which they were named.
    pub fn inputs(&self) -> &[CaptureInput] {
        &self.inputs
    }

    /// How many frames are not evaluated.
    pub(super) fn frames_outside(&self, lost: &LostFragments) -> u64 {
        self.outside.iter().map(|(_, of)| of.frames()).sum::<u64>() + lost.0.frames()
    }

    /// The statistics of the frames that are not evaluated, by shard.
    pub(super) fn outside(&self, lost: &LostFragments) -> Vec<Partial> {
        let mut shards: Vec<Partial> = (0..SHARDS).map(|_| Partial::default()).collect();
        for (before, outside) in &self.outside {
            outside.add_to(&mut shards, *before);
        }
        lost.0.add_to(&mut shards, 0);
        shards
    }
}

/// Fragments whose first one is in no capture.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct LostFragments(Outside);

/// A replay reads captures in turns where one begins before another ends.
fn refuse_overlapping(captures: &[CaptureFacts]) -> Result<(), Error> {
    let mut latest: Option<&CaptureFacts> = None;
    for of in captures.iter().filter(|of| of.input.frames > 0) {
        let ends = |of: &CaptureFacts| (of.clock.last_turn, of.capture);
        if let Some(before) = latest
            && ends(before) >= (of.clock.first_turn, of.capture)
        {
            return Err(Error::Question(format!(
                "{} begins before {} ends, so that a replay reads them in turns, which an extract cannot; merge \
                 them (mergecap), or replay them on one machine",
                of.input.path, before.input.path
            )));
        }
        if latest.is_none_or(|before| ends(before) < ends(of)) {
            latest = Some(of);
        }
    }
    Ok(())
}
