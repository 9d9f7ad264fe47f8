#![no_main]

#[path = "../samples.rs"]
#[allow(dead_code, reason = "one target of several")]
mod samples;
#[path = "../targets.rs"]
#[allow(dead_code, reason = "one target of several")]
mod targets;
#[path = "../texts.rs"]
#[allow(dead_code, reason = "one target of several")]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| texts::clouds(data));
