//! Where captures were made.

use std::collections::BTreeSet;

use super::interfaces::InterfaceList;
use crate::capture::Frame;
use crate::engine::{self, CapturePoint};
use crate::error::Error;
use crate::replay::Taps;
use crate::rules::RuleSet;

/// Where captures were made: interfaces, each with a capture or with the name that pcapng has for it. Of a capture, its
/// position among all is there too.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CapturePoints(Vec<(CapturePoint, Option<u32>)>);

impl CapturePoints {
    /// Whether packets are judged by their addresses alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they were given.
    pub fn given(&self) -> Vec<CapturePoint> {
        self.0.iter().map(|(point, _)| point.clone()).collect()
    }

    /// The interface at which a capture was made as a whole.
    pub(super) fn of_capture(&self, capture: u32) -> Option<&str> {
        let at = self.0.iter().rfind(|(_, of)| *of == Some(capture));
        at.map(|(point, _)| point.interface.as_str())
    }

    /// The same interfaces have the same addresses.
    pub(super) fn are_the_same(&self, ours: &InterfaceList, others: &InterfaceList) -> bool {
        let addresses = |of: &InterfaceList, id: &str| of.find(id).map(|(_, of)| of.clone());
        self.0.iter().all(|(CapturePoint { interface: id, .. }, _)| {
            addresses(ours, id) == addresses(others, id)
        })
    }
}

impl FromIterator<(CapturePoint, Option<u32>)> for CapturePoints {
    fn from_iter<T: IntoIterator<Item = (CapturePoint, Option<u32>)>>(points: T) -> Self {
        Self(points.into_iter().collect())
    }
}

/// The interfaces of rules at which frames were seen.
#[derive(Clone, Debug)]
pub(super) struct Points {
    taps: Taps,
    /// By the interfaces of the rules, their positions in what an extract serves.
    places: Vec<Option<u32>>,
}

impl Points {
    /// Those of rules whose interfaces are on this list.
    pub(super) fn new(
        rules: &RuleSet,
        list: &InterfaceList,
        points: &CapturePoints,
    ) -> Result<Self, Error> {
        let mut named = Vec::new();
        for (point, capture) in &points.0 {
            let position = engine::interface_at(rules, point)?;
            // A capture's frames take the name of its interface; others have the one that pcapng gives.
            let name = if capture.is_some() { &point.interface } else { &point.source };
            named.push((name.clone(), position));
        }
        let place = |id: &String| list.find(id).map(|(place, _)| place);
        let places = rules.interfaces().iter().map(|eni| place(&eni.id)).collect();
        Ok(Self { taps: Taps::new(rules, named), places })
    }

    /// Whether frames may name their interface.
    pub(super) fn are_named(&self) -> bool {
        self.taps.are_named()
    }

    /// What an interface of the rules is called in an extract.
    pub(super) fn place(&self, interface: usize) -> Option<u32> {
        self.places.get(interface).copied().flatten()
    }
}

/// The interfaces that the frames of one capture name.
#[derive(Debug)]
pub(super) struct Named<'s> {
    points: &'s Points,
    /// The last name, and the interface of the rules.
    last: Option<(String, Option<usize>)>,
    given: &'s CapturePoints,
    /// Those of the given points that a frame was seen at.
    pub(super) seen: BTreeSet<u32>,
}

impl<'s> Named<'s> {
    pub(super) fn new(points: &'s Points, given: &'s CapturePoints) -> Self {
        Self { points, last: None, given, seen: BTreeSet::new() }
    }

    /// The interface of the rules that a frame was seen at alone.
    #[inline]
    pub(super) fn find(&mut self, frame: &Frame<'_>) -> Option<usize> {
        let may_name = self.points.are_named() || frame.log.is_some();
        let name = frame.interface.filter(|_| may_name)?;
        match &self.last {
            Some((last, at)) if last == name => *at,
            _ => self.look_up(frame, name),
        }
    }

    #[cold]
    fn look_up(&mut self, frame: &Frame<'_>, name: &String) -> Option<usize> {
        let is_there = |point: &CapturePoint| *name == point.interface || *name == point.source;
        let given = (0..).zip(&self.given.0).filter(|(_, (point, _))| is_there(point));
        self.seen.extend(given.map(|(n, _)| n));
        let at = self.points.taps.find(frame);
        self.last = Some((name.clone(), at));
        at
    }
}

/// The points that no frame of any capture was seen at.
pub(super) fn unseen<'f>(
    given: &CapturePoints,
    seen: impl Iterator<Item = &'f u32>,
) -> Vec<CapturePoint> {
    let seen: BTreeSet<&u32> = seen.collect();
    let unseen = (0..).zip(&given.0).filter(|(n, _)| !seen.contains(n));
    unseen.map(|(_, (point, _))| point.clone()).collect()
}
