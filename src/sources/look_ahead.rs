//! The first packets of each capture, read ahead of the run.

use std::sync::atomic::Ordering;

use super::ended::ChosenTunnels;
use super::options::{Order, SourceOptions};
use super::source::Source;
use super::{PATIENCE, Sources};
use crate::capture::{CaptureError, Chunks, Frame};
use crate::decode::{Decoded, Tunnels, decode_inside, tunnel_name};
use crate::read_ahead::{Ahead, Next};

/// The frames and bytes that are read ahead of a capture; less of each if there are many.
const LOOK_AHEAD_FRAMES: u64 = 1 << 14;
const LOOK_AHEAD_BYTES: u64 = 16 << 20;
/// Up to so many captures are each read ahead that far.
const FEW_CAPTURES: u64 = 16;
const LEAST_FRAMES: u64 = 64;
/// Bytes that a frame counts beside its own, so that empty frames count too.
const RECORD: u64 = 16;

/// How far a capture is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookAheadRoom {
    frames: u64,
    bytes: u64,
}

impl LookAheadRoom {
    /// That of each of so many captures.
    pub(crate) fn of(captures: u64) -> Self {
        let captures = captures.max(FEW_CAPTURES);
        Self {
            frames: (LOOK_AHEAD_FRAMES * FEW_CAPTURES / captures).max(LEAST_FRAMES),
            bytes: LOOK_AHEAD_BYTES * FEW_CAPTURES / captures,
        }
    }

    /// Whether the next frame is looked at.
    pub(crate) fn take(&mut self, frame: &Frame<'_>) -> bool {
        let takes = self.is_left();
        if takes {
            self.frames -= 1;
            self.bytes = self.bytes.saturating_sub(frame.data.len() as u64 + RECORD);
        }
        takes
    }

    fn is_left(self) -> bool {
        self.frames > 0 && self.bytes > 0
    }
}

impl Sources {
    /// Hands over the first packets of each capture, whatever the selection, so that the local addresses and who
    /// accepts connections can be inferred from them. The captures are read again from their starts.
    ///
    /// # Errors
    /// When a capture cannot be opened.
    pub fn look_ahead(
        &mut self,
        mut each: impl FnMut(&Frame<'_>, &Decoded),
    ) -> Result<(), CaptureError> {
        let whole = LookAheadRoom::of(self.captures.len() as u64);
        let SourceOptions { tunnels, threads, live, order, flow_logs, .. } = &self.options;
        // In reading order, so that the earliest packets come first.
        let mut captures: Vec<&mut Source> = self.captures.iter_mut().collect();
        if *order == Order::Time {
            captures.sort_by_key(|source| source.turn());
        }
        for source in captures {
            // The same frames of a pipe as of a file: batches of either may end elsewhere.
            let mut room = whole;
            let mut look = |frame: &Frame<'_>, decoded: &Decoded| {
                if room.take(frame) {
                    each(frame, decoded);
                }
                room.is_left()
            };
            if !source.is_pipe {
                let mut capture = source.open(flow_logs, Chunks::sparing())?;
                while let Ok(Some(frame)) = capture.next_frame() {
                    if !look(&frame, &decode_inside(frame.link, frame.data, tunnels)) {
                        break;
                    }
                }
            } else if !live {
                let mut ahead = match source.started.take() {
                    Some(ahead) => ahead,
                    None => Ahead::new(
                        source.open(flow_logs, Chunks::default())?,
                        tunnels.clone(),
                        *threads,
                    ),
                };
                let mut seen: Vec<Next> = Vec::new();
                while !self.interrupted.load(Ordering::Relaxed) {
                    let next = ahead.next_batch(PATIENCE);
                    let mut more = !matches!(next, Next::Damage(_) | Next::End);
                    if let Next::Batch(batch) = &next {
                        if seen.is_empty() {
                            let first = batch.frames_from(0).next();
                            source.first_time =
                                first.and_then(|(frame, _)| frame.time_ns).unwrap_or(0);
                        }
                        more &= batch.frames_from(0).all(|(frame, decoded)| look(&frame, decoded));
                    }
                    if !matches!(next, Next::NotYet) {
                        seen.push(next);
                    }
                    if !more {
                        break;
                    }
                }
                ahead.put_back(seen);
                source.started = Some(ahead);
            }
        }
        Ok(())
    }

    /// Chooses the tunnels to look into by the first packets of the captures: those that a mirror uses, which most
    /// packets are then, in place of those of the options.
    ///
    /// # Errors
    /// When a capture cannot be opened.
    pub fn choose_tunnels(&mut self) -> Result<ChosenTunnels, CaptureError> {
        let mut found: Vec<(&'static str, u64)> = Vec::new();
        let mut packets = 0;
        self.options.tunnels = Tunnels::default();
        self.look_ahead(|frame, decoded| {
            packets += u64::from(matches!(decoded, Decoded::Packet(_)));
            let Some(name) = tunnel_name(frame.link, frame.data) else { return };
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => found.push((name, 1)),
            }
        })?;
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let sum: u64 = found.iter().map(|(_, count)| count).sum();
        // Tunnels of the instances themselves are few beside those of a mirror.
        found.retain(|(_, count)| sum * 2 > packets && count * 10 >= packets);
        let mut tunnels = Tunnels::default();
        for (name, _) in &found {
            // Every name is one that is known.
            tunnels.add(name).unwrap_or_default();
        }
        for started in self.captures.iter_mut().filter_map(|source| source.started.as_mut()) {
            started.look_into(tunnels.clone());
        }
        self.options.tunnels = tunnels;
        Ok(ChosenTunnels { found, packets })
    }
}
