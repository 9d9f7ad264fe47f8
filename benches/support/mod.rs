//! Seeded generators of traffic and rules, shared by the benches.
#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "generators for measuring, where a wrong index should stop the run"
)]

pub(crate) mod rules;
pub(crate) mod traffic;
