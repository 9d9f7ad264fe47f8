//! Where judged packets go.

use std::fmt;
use std::ops::ControlFlow;

use crate::collect::{Connections, Coverage, RecordedActions};
use crate::diff::{Diff, Effect};
use crate::error::Error;
use crate::replay::Replay;
use crate::sources::Input;
use crate::verdict::Judged;

/// Takes the packets of a [`replay`](super::replay) with their verdicts, in their order.
pub trait Sink {
    /// What ends the run, beside the engine's own errors.
    type Error: From<Error>;

    /// Whether it wants the packets at all; where it does not, they are only counted, which is faster, and nothing
    /// of it is called. The engine asks once, before the first packet.
    fn wants_frames(&self) -> bool {
        true
    }

    /// Takes a packet, whether the selection chooses it ([`Input::selected`]) or not; a break ends the run. Packets are
    /// counted in batches: the counters of the [`Replay`] may include some behind the one that ends the run.
    ///
    /// # Errors
    /// Whatever shall end the run.
    fn frame(&mut self, input: &Input<'_>, judged: &Judged)
    -> Result<ControlFlow<()>, Self::Error>;

    /// Where so many frames more were read, and at the end: the place for bounds of memory. Where captures are
    /// [live](crate::sources::SourceOptions::live), also whenever the packets that have come are judged.
    ///
    /// # Errors
    /// Whatever shall end the run.
    fn pause(&mut self, replay: &Replay<'_>) -> Result<(), Self::Error> {
        let _ = replay;
        Ok(())
    }
}

/// Takes the packets of a [`compare`](super::compare) with both verdicts, that of the current rules first, and what the
/// change does to each.
pub trait DiffSink {
    /// What ends the run, beside the engine's own errors.
    type Error: From<Error>;

    /// Takes a packet, whether the selection chooses it or not; a break ends the run.
    ///
    /// # Errors
    /// Whatever shall end the run.
    fn frame(
        &mut self,
        input: &Input<'_>,
        judged: [&Judged; 2],
        effect: Effect,
    ) -> Result<ControlFlow<()>, Self::Error>;

    /// As [`Sink::pause`]: the place to take changes out ([`Diff::is_full`]).
    ///
    /// # Errors
    /// Whatever shall end the run.
    fn pause(&mut self, diff: &mut Diff<'_>) -> Result<(), Self::Error> {
        let _ = diff;
        Ok(())
    }
}

/// A function as a sink.
pub struct EachFrame<F>(F);

impl<F: FnMut(&Input<'_>, &Judged) -> ControlFlow<()>> EachFrame<F> {
    /// Hands every packet with its verdict to a function; a break ends the run.
    pub fn new(each: F) -> Self {
        Self(each)
    }
}

impl<F> fmt::Debug for EachFrame<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EachFrame")
    }
}

impl<F: FnMut(&Input<'_>, &Judged) -> ControlFlow<()>> Sink for EachFrame<F> {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        Ok((self.0)(input, judged))
    }
}

/// Connections one by one. Rows that there is no room for are for the owner to write: [`Connections::is_full`].
impl Sink for Connections {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        self.add(input, judged);
        Ok(ControlFlow::Continue(()))
    }
}

/// Verdicts that records of a flow log have of their own.
impl Sink for RecordedActions {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        if input.selected {
            let flow = input.decoded.packet().map(|packet| &packet.flow);
            self.add(&input.frame, flow, judged);
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Which rules the packets use.
impl Sink for Coverage {
    type Error = Error;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Error> {
        if input.selected {
            self.add(&input.frame, input.decoded.packet(), judged);
        }
        Ok(ControlFlow::Continue(()))
    }
}
