//! Eviction of sessions from a full table.

use super::key::Words;
use super::packed::Session;
use super::state::IdleTimes;
use super::table::Table;

/// Sessions dropped to make room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) any: bool,
    /// Sessions that later packets may depend on.
    pub(super) evicted: u64,
}

/// Makes room in a full table bounded by `most_memory` bytes: grows it, or drops expired sessions that no later packet
/// depends on, or evicts the quarter that has been idle longest.
pub(super) fn make_room<K: Words>(
    table: &mut Table<K>,
    idle_times: &[IdleTimes],
    now: u64,
    most_memory: usize,
) -> Dropped {
    if table.homes() == 0 || table.memory_to_double() <= most_memory {
        table.double();
        return Dropped::default();
    }
    table.retain(|key, session| {
        let of_interface = idle_times.get(key.interface());
        session.outlives_expiry()
            || of_interface.is_some_and(|idle_times| !session.expired(now, idle_times))
    });
    if table.len() <= table.homes() / 2 {
        return Dropped { any: true, evicted: 0 };
    }
    let (age, before) = (|session: &Session| (session.last, session.connection()), table.len());
    // A sample is good enough, and takes little memory.
    let step = (before >> 16).max(1);
    let mut ages: Vec<_> = table.entries().step_by(step).map(|(_, session)| age(session)).collect();
    let quarter = ages.len() / 4;
    let (_, oldest_kept, _) = ages.select_nth_unstable(quarter);
    let oldest_kept = *oldest_kept;
    drop(ages);
    table.retain(|_, session| age(session) >= oldest_kept);
    Dropped { any: true, evicted: (before - table.len()) as u64 }
}
