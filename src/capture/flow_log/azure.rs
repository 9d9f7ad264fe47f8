//! Flow logs of Azure: of network security groups (versions 1 and 2), and of virtual networks (version 4).

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde_json::Value;

use super::record::{Entry, Flow, Opener, Recorded};
use super::scalar::{ip, whole};
use super::value::{Read, text};
use crate::capture::DirectionHint;
use crate::flow::Protocol;

/// Connections of which the beginning is remembered, in each of two generations.
const MOST_OPEN: usize = 1 << 18;

/// The ends of a connection and its direction.
type Key = (IpAddr, IpAddr, u8, (u16, u16), bool);

/// Reads tuples, and remembers which connections have begun.
#[derive(Default)]
pub(super) struct Tuples {
    open: HashSet<Key, FixedState>,
    /// Those of before: they are forgotten together.
    older: HashSet<Key, FixedState>,
}

/// What a tuple says of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Continues,
    Ends,
    Denied,
}

impl Tuples {
    /// Whether a value is a record of this log.
    pub(super) fn fit(value: &Value) -> bool {
        let category = text(value, "category").unwrap_or_default();
        matches!(category, "NetworkSecurityGroupFlowEvent" | "FlowLogFlowEvent")
            || value.get("flowRecords").is_some()
            || flat(value).next().is_some()
    }

    pub(super) fn read(&mut self, value: &Value, found: &mut Vec<Read>) -> Result<(), String> {
        let before = found.len();
        let mac = text(value, "macAddress").map(Arc::from);
        for tuple in flat(value) {
            self.tuple(tuple, text(value, "rule"), mac.as_ref(), found)?;
        }
        // A group has flows by rule, those by interface; a virtual network has flows by group, those by rule.
        let of_group = value.pointer("/properties/flows");
        for by_rule in list(of_group) {
            for by_interface in list(by_rule.get("flows")) {
                let own = text(by_interface, "mac").map(Arc::from);
                let mac = own.as_ref().or(mac.as_ref());
                for tuple in list(by_interface.get("flowTuples")) {
                    self.tuple(tuple, text(by_rule, "rule"), mac, found)?;
                }
            }
        }
        let of_network = value.pointer("/flowRecords/flows");
        for by_group in list(of_network) {
            for by_rule in list(by_group.get("flowGroups")) {
                for tuple in list(by_rule.get("flowTuples")) {
                    self.tuple(tuple, text(by_rule, "rule"), mac.as_ref(), found)?;
                }
            }
        }
        let is_record = of_group.is_some() || of_network.is_some() || found.len() > before;
        match is_record {
            true => Ok(()),
            false => {
                Err("there are no flows; expected properties.flows or flowRecords.flows".to_owned())
            }
        }
    }

    fn tuple(
        &mut self,
        tuple: &Value,
        rule: Option<&str>,
        mac: Option<&Arc<str>>,
        found: &mut Vec<Read>,
    ) -> Result<(), String> {
        let line = tuple.as_str().ok_or_else(|| format!("a flow tuple is text, not `{tuple}`"))?;
        let entry = self.parsed(line, rule).map_err(|error| format!("tuple `{line}`: {error}"))?;
        found.push((entry, mac.map(Arc::clone)));
        Ok(())
    }

    fn parsed(&mut self, line: &str, rule: Option<&str>) -> Result<Entry, String> {
        // Those that are looked at.
        let (mut words, mut count) = ([""; 13], 0);
        for found in line.split(',') {
            if let Some(word) = words.get_mut(count) {
                *word = found.trim();
            }
            count += 1;
        }
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let address = |at: usize| {
            let text = word(at);
            ip(text).map_err(|_| format!("`{text}` is no IP address"))
        };
        let port = |at: usize| {
            let port = whole(word(at)).and_then(|port| u16::try_from(port).ok());
            port.ok_or_else(|| format!("port `{}`; expected 0 to 65535", word(at)))
        };
        // Tuples of a security group have letters for protocols and a verdict of their own.
        let of_group = matches!(word(5), "T" | "U");
        let proto = match word(5) {
            "T" => Protocol::TCP,
            "U" => Protocol::UDP,
            number => match whole(number).and_then(|number| u8::try_from(number).ok()) {
                Some(number) => Protocol(number),
                None => return Err(format!("protocol `{number}`; expected T, U or a number")),
            },
        };
        let hint = match word(6) {
            "I" => DirectionHint::Inbound,
            "O" => DirectionHint::Outbound,
            other => return Err(format!("direction `{other}`; expected I or O")),
        };
        let (state, action, counts) = if of_group {
            let action = match word(7) {
                "A" => Recorded::Accept,
                "D" => Recorded::Reject,
                other => return Err(format!("decision `{other}`; expected A or D")),
            };
            let state = if count > 8 { state(word(8))? } else { State::Begin };
            (state, action, 9)
        } else {
            let state = state(word(7))?;
            let action = if state == State::Denied { Recorded::Reject } else { Recorded::Accept };
            (state, action, 9)
        };
        let ports = (port(3)?, port(4)?);
        let mut flow = Flow::new((address(1)?, address(2)?), proto, Some(ports), None)?;
        let sum = |a: usize, b: usize| {
            let number = |at: usize| match word(at) {
                "" => Ok(0),
                text => whole(text).ok_or_else(|| format!("count `{text}` is no number")),
            };
            Ok::<u64, String>(number(a)?.saturating_add(number(b)?))
        };
        flow.log.packets = sum(counts, counts + 2)?;
        flow.bytes = sum(counts + 1, counts + 3)?;
        // Seconds, or milliseconds: those of 1973 are no flow log's.
        let time = whole(word(0)).ok_or_else(|| format!("time `{}` is no number", word(0)))?;
        let unit = if time < 100_000_000_000 { 1_000_000_000 } else { 1_000_000 };
        flow.time_ns = time.checked_mul(unit);
        flow.hint = Some(hint);
        flow.log.opener = Some(Opener::Sender);
        // What is denied for want of encryption no rule has decided.
        let by_rule = rule != Some("unspecified");
        flow.log.action = Some(action).filter(|_| by_rule);
        let key = (flow.src, flow.dst, proto.0, ports, hint == DirectionHint::Inbound);
        Ok(match state {
            State::Begin => {
                self.remember(key);
                Entry::Flow(flow)
            }
            State::Denied => Entry::Flow(flow),
            State::Continues | State::Ends => {
                let known = self.open.contains(&key) || self.older.contains(&key);
                if state == State::Ends {
                    self.open.remove(&key);
                    self.older.remove(&key);
                } else if !known {
                    self.remember(key);
                }
                if known { Entry::Continuation } else { Entry::AlreadyOpen(flow) }
            }
        })
    }

    fn remember(&mut self, key: Key) {
        if self.open.len() >= MOST_OPEN {
            self.older = std::mem::take(&mut self.open);
        }
        self.open.insert(key);
    }
}

fn state(word: &str) -> Result<State, String> {
    Ok(match word {
        "B" => State::Begin,
        "C" => State::Continues,
        "E" => State::Ends,
        "D" => State::Denied,
        other => return Err(format!("state `{other}`; expected B, C, E or D")),
    })
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// The tuples of a record that a shipper has made flat: `"flow.0": "…"`.
fn flat(value: &Value) -> impl Iterator<Item = &Value> {
    let object = value.as_object().into_iter().flatten();
    object
        .filter(|(key, _)| {
            let number = key.strip_prefix("flow.");
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(|(_, tuple)| tuple)
}
