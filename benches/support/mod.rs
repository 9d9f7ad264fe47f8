//! Seeded generators of traffic and rules, shared by the benches.
#![allow(dead_code, reason = "not every bench needs every generator")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "generators for measuring, where a wrong index should stop the run"
)]

pub(crate) mod layouts;
pub(crate) mod rules;
pub(crate) mod sets;
pub(crate) mod traffic;
