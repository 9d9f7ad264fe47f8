//! The tests that see the program from outside: as a library, and as a process.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong should stop"
)]

mod agreement;
mod allocation;
mod annotate;
#[cfg(feature = "arrow")]
mod arrow;
mod captures;
mod cases;
mod check;
mod ci;
mod cli_bench;
mod cli_decode;
mod cli_errors;
mod cli_explain;
mod cli_output;
mod cli_replay;
mod cloud_logs;
mod clouds;
mod compressed;
mod conversions;
mod corpus;
mod coverage;
mod damage;
mod diff;
mod embedded;
mod encapsulations;
mod engine;
mod expect;
mod extract;
mod files;
mod fix;
mod flow_logs;
mod formats;
mod fragments;
mod fuzz;
mod gates;
mod hints;
mod hostile;
mod inference;
mod interfaces;
mod kernel;
mod laws;
mod layering;
mod layers;
mod limits;
mod links;
mod listings;
#[cfg(unix)]
mod live;
mod manual;
mod memory;
mod merge;
mod newcomer;
mod outputs;
mod page;
mod pcap_file;
mod pcapng;
mod platform;
mod readme;
mod scenarios;
mod schemas;
mod selection;
mod sessions;
mod shards;
mod signals;
mod space;
mod suggest;
mod support;
mod taps;
mod tcpdump;
mod terraform;
mod terraform_open;
mod tunnels;
mod unknown_members;
mod vectors;
mod whole_answers;
mod whole_rules;
