//! The options of reading.

use std::num::NonZeroUsize;

use super::selection::Selection;
use crate::capture::FlowLogOptions;
use crate::decode::Tunnels;

/// How captures are read.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The packets that are reported.
    pub selection: Selection,
    /// Tunnels whose inner packets are judged.
    pub tunnels: Tunnels,
    /// The number of threads that read, decode and judge, the calling thread included.
    pub threads: NonZeroUsize,
    /// The order of several captures.
    pub order: Order,
    /// A pipe is a stream that may not end: it is not read ahead.
    pub live: bool,
    /// Options of flow logs.
    pub flow_logs: FlowLogOptions,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            tunnels: Tunnels::default(),
            threads: NonZeroUsize::MIN,
            order: Order::default(),
            live: false,
            flow_logs: FlowLogOptions::default(),
        }
    }
}

/// The order in which several captures are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By the times of their packets; between equals the capture that was named first goes first.
    #[default]
    Time,
    /// One after the other, as they were named.
    AsNamed,
}
