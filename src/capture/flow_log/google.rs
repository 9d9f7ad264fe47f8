//! VPC flow logs of Google Cloud, as its logging service writes them.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use serde_json::Value;

use super::record::{Entry, Flow, Recorded, protocol_named};
use super::scalar::time;
use super::value::{Members, address, number, port, text, word};
use crate::capture::DirectionHint;

/// Reports that are remembered, in each of two generations.
const MOST_REPORTS: usize = 1 << 16;

type Key = (IpAddr, IpAddr, u8, Option<(u16, u16)>);

/// Who reported a flow last, and when it began and ended.
#[derive(Clone, Copy)]
struct Report {
    inbound: bool,
    start: u64,
    end: u64,
}

/// Reads records, and remembers which flows one end has reported: between two machines of one's own both do.
#[derive(Default)]
pub(super) struct Reports {
    recent: HashMap<Key, Report, FixedState>,
    older: HashMap<Key, Report, FixedState>,
}

impl Reports {
    /// Those that [`Reports::read`] looks at.
    pub(super) const MEMBERS: Members = Members(&[
        "jsonPayload",
        "connection",
        "src_ip",
        "dest_ip",
        "protocol",
        "src_port",
        "dest_port",
        "packets_sent",
        "bytes_sent",
        "start_time",
        "end_time",
        "reporter",
    ]);

    pub(super) fn read(&mut self, value: &Value) -> Result<Entry, String> {
        let Some(payload) = value.get("jsonPayload") else { return Ok(Entry::PassedOver) };
        let Some(connection) = payload.get("connection") else { return Ok(Entry::PassedOver) };
        let ends = (address(connection, "src_ip")?, address(connection, "dest_ip")?);
        let name = connection.get("protocol").and_then(word).ok_or("there is no `protocol`")?;
        let proto = protocol_named(&name, ends.0.is_ipv6());
        let proto = proto.ok_or_else(|| format!("protocol `{name}`; expected a number"))?;
        let ports = port(connection, "src_port")?.zip(port(connection, "dest_port")?);
        let mut flow = Flow::new(ends, proto, ports, None)?;
        flow.log.packets = number(payload, "packets_sent")?.unwrap_or_default();
        flow.bytes = number(payload, "bytes_sent")?.unwrap_or_default();
        flow.time_ns = text(payload, "start_time").and_then(time);
        let inbound = match text(payload, "reporter") {
            Some("SRC" | "SRC_GATEWAY") => false,
            Some("DEST" | "DEST_GATEWAY") => true,
            other => {
                let found = other.unwrap_or("nothing");
                return Err(format!("reporter: {found}; expected SRC or DEST"));
            }
        };
        flow.hint = Some(match inbound {
            true => DirectionHint::Inbound,
            false => DirectionHint::Outbound,
        });
        // What the receiver has seen was let in. What the sender has seen was taken before any rule.
        flow.log.action = inbound.then_some(Recorded::Accept);
        let end = text(payload, "end_time").and_then(time);
        if let (Some(start), Some(end)) = (flow.time_ns, end) {
            let key = (ends.0, ends.1, proto.0, ports);
            let report = Report { inbound, start, end };
            if self.is_again(key, report) {
                return Ok(Entry::Duplicate);
            }
        }
        Ok(Entry::Flow(flow))
    }

    /// Whether the other end has reported the same; else this is remembered.
    fn is_again(&mut self, key: Key, report: Report) -> bool {
        let known = self.recent.get(&key).or_else(|| self.older.get(&key));
        let overlaps = |of: &Report| of.start <= report.end && report.start <= of.end;
        if known.is_some_and(|of| of.inbound != report.inbound && overlaps(of)) {
            return true;
        }
        if self.recent.len() >= MOST_REPORTS {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, report);
        false
    }
}
