//! The options of a replay.

use crate::{compile, session};

/// How packets are judged.
///
/// ```
/// use sgreplay::replay::{Options, Sessions};
///
/// let options = Options::default().with_sessions(Sessions::Off).with_session_memory(64 << 20);
/// assert_eq!(options.sessions, Sessions::Off);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Stateful, as the cloud is, or every packet by itself.
    pub sessions: Sessions,
    /// The treatment of connections already under way.
    pub midstream: Midstream,
    /// The most sessions that one interface holds at once; beyond it new connections fail. The
    /// limit of an instance depends on its type (SEMANTICS A6).
    pub max_sessions: Option<usize>,
    /// The most bytes that the session tables take; beyond it the sessions that have been idle longest are evicted,
    /// and counted. Connections are shared out among several tables, each of which has a part of the memory, whatever the
    /// number of threads.
    pub session_memory: usize,
    /// The most bytes that the index of one interface's rules in one direction takes: see
    /// [`Compiled::within`](crate::evaluate::Compiled::within).
    pub index_memory: usize,
}

/// Whether packets are judged as parts of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Stateful, as the cloud is (SEMANTICS A6).
    On,
    /// Every packet by itself, by the rules of its own direction.
    Off,
}

/// The treatment of a connection whose opening packet is not in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Midstream {
    /// Infer its initiator, and judge in that direction.
    Infer,
    /// Take its first packet for the opening one.
    FirstPacket,
}

impl Options {
    /// Stateful, or every packet by itself.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions, ..self }
    }

    /// The treatment of connections already under way.
    #[must_use]
    pub fn with_midstream(self, midstream: Midstream) -> Self {
        Self { midstream, ..self }
    }

    /// The most sessions of one interface at once.
    #[must_use]
    pub fn with_max_sessions(self, max_sessions: Option<usize>) -> Self {
        Self { max_sessions, ..self }
    }

    /// The most bytes of the session table.
    #[must_use]
    pub fn with_session_memory(self, session_memory: usize) -> Self {
        Self { session_memory, ..self }
    }

    /// The most bytes of the index of one interface's rules in one direction.
    #[must_use]
    pub fn with_index_memory(self, index_memory: usize) -> Self {
        Self { index_memory, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sessions: Sessions::On,
            midstream: Midstream::Infer,
            max_sessions: None,
            session_memory: session::MOST_MEMORY,
            index_memory: compile::MOST_MEMORY,
        }
    }
}
