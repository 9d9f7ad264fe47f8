//! Fuzzes what `difference` is about: see the function of that name.

#![no_main]

#[path = "../samples.rs"]
#[allow(clippy::allow_attributes, dead_code, reason = "one target of several")]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a panic is a find")]
mod samples;
#[path = "../targets.rs"]
#[allow(clippy::allow_attributes, dead_code, reason = "one target of several")]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a panic is a find")]
mod targets;
#[path = "../texts.rs"]
#[allow(clippy::allow_attributes, dead_code, reason = "one target of several")]
#[allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a panic is a find")]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| texts::difference(data));
