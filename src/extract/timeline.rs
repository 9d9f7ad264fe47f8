//! All captures in their order, with what each frame knows of earlier ones.

use super::capture::CaptureFacts;
use super::frames::{Accepting, FrameFacts};
use super::key::FlowKey;
use super::outside::{Outside, Place};
use super::piece::SpanFacts;
use super::points::unseen;
use super::record::{Content, FragmentRecord, One, Record, Untimed};
use super::scope::Serves;
use crate::collect::Window;
use crate::engine::CapturePoint;
use crate::error::Error;
use crate::fragment::FragmentTable;
use crate::replay::{SHARDS, shard_of};
use crate::rules::RuleSet;
use crate::session::{INTERRUPTION, Openings};
use crate::sources::{CaptureInput, Order};
use crate::stats::{Hidden, Partial};
use crate::verdict::Reason;

/// Captures in the order in which a replay reads them: one behind the other, or merged span by span.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Timeline {
    pub(super) serves: Serves,
    /// By captures, or spans, ascending.
    places: Vec<(u32, Behind)>,
    openings: Openings,
    #[serde(with = "super::json")]
    inputs: Vec<CaptureInput>,
    outside: Vec<(u64, Outside)>,
    /// Capture points at which no frame was seen.
    unseen: Vec<CapturePoint>,
    /// From the earliest time to the latest, unless a capture begins before that of one before it.
    window: Option<Window>,
}

/// What is before a capture or a span.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Behind {
    /// Frames.
    frames: u64,
    /// The time of the last of them that has one.
    clock: u64,
    /// The latest time of them.
    latest: Option<u64>,
}

impl Timeline {
    /// Puts captures in order that [follow each other](super::Scope::extract): all of a scope, each once.
    ///
    /// # Errors
    /// When a capture is missing or there twice, or when two of them [overlap](Timeline::overlap).
    pub fn new(captures: Vec<CaptureFacts>, order: Order) -> Result<Self, Error> {
        if let Some(overlap) = Self::overlap(&captures, order) {
            return Err(Error::Question(overlap));
        }
        let captures = all_of_scope(captures)?;
        let inputs = captures.iter().map(|of| of.input.clone()).collect();
        let captures = in_order(captures, order);
        let frames = captures.iter().map(|of| of.frames.as_ref().map(|facts| (of.capture, facts)));
        let frames: Option<Vec<_>> = frames.collect();
        let frames = frames.ok_or_else(|| {
            let message = "the captures were read in pieces, and their spans are missing";
            Error::Question(message.to_owned())
        })?;
        Self::of(&captures, inputs, &frames)
    }

    /// Puts captures in order that were [read in pieces](super::Scope::pieces), by all the spans of them.
    ///
    /// # Errors
    /// When a capture or a span is missing or there twice.
    pub fn merged(captures: Vec<CaptureFacts>, mut spans: Vec<SpanFacts>) -> Result<Self, Error> {
        spans.sort_by_key(|of| of.span);
        let captures = in_order(all_of_scope(captures)?, Order::Time);
        let read: u64 = captures.iter().map(|of| of.input.frames).sum();
        let merged: u64 = spans.iter().map(|of| of.facts.frames).sum();
        let is_once = spans.is_sorted_by(|a, b| a.span < b.span);
        if read != merged || !is_once || captures.iter().any(|of| of.frames.is_some()) {
            let message = "not every span of the captures is there once";
            return Err(Error::Question(message.to_owned()));
        }
        let mut named: Vec<&CaptureFacts> = captures.iter().collect();
        named.sort_by_key(|of| of.capture);
        let inputs = named.into_iter().map(|of| of.input.clone()).collect();
        let frames: Vec<_> = spans.iter().map(|of| (of.span, &of.facts)).collect();
        Self::of(&captures, inputs, &frames)
    }

    /// Says which captures overlap in time, if some do: one begins before another ends, so that a replay reads them in
    /// turns.
    pub fn overlap(captures: &[CaptureFacts], order: Order) -> Option<String> {
        if order != Order::Time {
            return None;
        }
        let mut captures: Vec<&CaptureFacts> = captures.iter().collect();
        captures.retain(|of| of.input.frames > 0 && of.frames.is_some());
        captures.sort_by_key(|of| of.turn());
        let mut latest: Option<&CaptureFacts> = None;
        for of in captures {
            let ends = |of: &CaptureFacts| (of.turns.1, of.capture);
            if let Some(before) = latest.filter(|before| ends(before) >= of.turn()) {
                let [path, before] = [&of.input.path, &before.input.path];
                return Some(format!(
                    "{path} begins before {before} ends; captures that overlap are extracted in another way"
                ));
            }
            if latest.is_none_or(|before| ends(before) < ends(of)) {
                latest = Some(of);
            }
        }
        None
    }

    /// By captures in reading order, and the frames of each capture or span, in order.
    fn of(
        captures: &[CaptureFacts],
        inputs: Vec<CaptureInput>,
        frames: &[(u32, &FrameFacts)],
    ) -> Result<Self, Error> {
        let serves = captures.first().ok_or_else(missing)?.serves.clone();
        let (mut before, mut window) = (Behind::default(), Some(Window::default()));
        let (mut places, mut outside) = (Vec::new(), Vec::new());
        for (number, of) in frames {
            places.push((*number, before));
            if of.outside.frames() > 0 {
                outside.push((before.frames, of.outside.clone()));
            }
            before.frames += of.frames;
            before.clock = of.clock.last.unwrap_or(before.clock);
            before.latest = before.latest.max(of.clock.window.times.map(|(_, latest)| latest));
            if let Some((_, first)) = of.clock.first {
                window = window
                    .and_then(|mut window| window.go_on(first, &of.clock.window).map(|()| window));
            }
        }
        let befores: Vec<Behind> = places.iter().map(|(_, before)| *before).collect();
        let openings = openings(captures, frames, &befores);
        places.sort_unstable_by_key(|(number, _)| *number);
        let unseen = unseen(&serves.points, captures.iter().flat_map(|of| &of.seen));
        Ok(Self { serves, places, openings, inputs, outside, unseen, window })
    }

    /// How many frames are before each capture, or each span.
    pub fn before(&self) -> impl Iterator<Item = (u32, u64)> {
        self.places.iter().map(|(number, before)| (*number, before.frames))
    }

    fn place(&self, capture: u32) -> Behind {
        let found = self.places.binary_search_by_key(&capture, |(number, _)| *number);
        let found = found.ok().and_then(|at| self.places.get(at));
        found.map(|(_, before)| *before).unwrap_or_default()
    }

    /// The number of a frame of a capture, or of a span, among those of all captures, which is the position of its
    /// record.
    pub fn number(&self, capture: u32, frame: u64) -> u64 {
        self.place(capture).frames.saturating_add(frame)
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
        for FragmentRecord { capture, point, one } in fragments {
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
            records.push(Record { key, capture, point, content: Content::One(Box::new(one)) });
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

    /// Capture points at which no frame was seen.
    pub fn unseen(&self) -> &[CapturePoint] {
        &self.unseen
    }

    /// Whether frames name the interfaces that they were seen at.
    pub(super) fn has_points(&self) -> bool {
        !self.serves.points.is_empty() || self.has_logs()
    }

    fn has_logs(&self) -> bool {
        self.inputs.iter().any(|input| input.flow_log.is_some())
    }

    /// Whether the captures were extracted for what a rule set needs.
    pub(super) fn check(&self, rules: &RuleSet) -> Result<(), Error> {
        self.serves.check(rules)?;
        if self.has_logs() { self.serves.check_logs(rules) } else { Ok(()) }
    }

    /// The id of the interface that a frame was seen at alone.
    pub(super) fn seen_at(&self, point: Option<u32>) -> Option<&String> {
        self.serves.interfaces.id(point?)
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

fn missing() -> Error {
    let message =
        "not every capture is there once; an extract is of all captures, for the same rules";
    Error::Question(message.to_owned())
}

/// The captures as they were named, if they are all of a scope, each once.
fn all_of_scope(mut captures: Vec<CaptureFacts>) -> Result<Vec<CaptureFacts>, Error> {
    captures.sort_by_key(|of| of.capture);
    let serves = &captures.first().ok_or_else(missing)?.serves;
    let is_whole = captures.iter().map(|of| of.capture).eq(0..serves.captures);
    match is_whole && captures.iter().all(|of| of.serves == *serves) {
        true => Ok(captures),
        false => Err(missing()),
    }
}

fn in_order(mut captures: Vec<CaptureFacts>, order: Order) -> Vec<CaptureFacts> {
    if order == Order::Time {
        captures.sort_by_key(CaptureFacts::turn);
    }
    captures
}

/// What captures, in reading order, show of who accepts connections, and when the recording began and went on.
fn openings(
    captures: &[CaptureFacts],
    frames: &[(u32, &FrameFacts)],
    befores: &[Behind],
) -> Openings {
    let mut starts = Vec::new();
    starts.extend(captures.iter().find_map(|of| of.ahead.time).map(|time| (0, time)));
    for ((_, of), Behind { frames: before, clock, .. }) in frames.iter().zip(befores) {
        let goes_on = |(_, time): &(u64, u64)| time.saturating_sub(*clock) > INTERRUPTION;
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
    let ahead = captures.iter().flat_map(|of| of.ahead.accepting.iter());
    let ahead = ahead.map(|end| (*end, 0));
    let judged = frames.iter().zip(befores).flat_map(|((_, of), before)| {
        let number = |(end, frame): &Accepting| (*end, before.frames + frame);
        of.accepting.iter().map(number)
    });
    Openings::known(ahead.chain(judged), starts)
}
