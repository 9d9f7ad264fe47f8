//! Suricata's `eve.json`: its `flow` events, or its `netflow` events where there are no others.

use std::sync::Arc;

use serde_json::Value;

use super::record::{Entry, Flow, Opener, protocol_named};
use super::scalar::time;
use super::value::{Members, Read, address, number, port, text};

/// So many `netflow` events are held back until it is clear that there are no `flow` events.
const MOST_HELD: usize = 1 << 16;

/// Which events are records. Both tell of the same connections.
#[derive(Default)]
pub(super) enum Events {
    /// Not clear yet: these are held back.
    #[default]
    Unclear,
    Held(Vec<Read>),
    /// Connections.
    Flow,
    /// Halves of them.
    Netflow,
}

impl Events {
    /// Those that [`Events::read`] looks at.
    pub(super) const MEMBERS: Members = Members(&[
        "event_type",
        "flow",
        "netflow",
        "in_iface",
        "src_ip",
        "dest_ip",
        "proto",
        "src_port",
        "dest_port",
        "icmp_type",
        "icmp_code",
        "pkts_toserver",
        "pkts_toclient",
        "pkts",
        "bytes_toserver",
        "bytes_toclient",
        "bytes",
        "start",
        "tcp",
        "tcp_flags_ts",
    ]);

    pub(super) fn read(&mut self, value: &Value, found: &mut Vec<Read>) -> Result<(), String> {
        match text(value, "event_type") {
            Some("flow") => {
                if let Self::Netflow = self {
                    found.push((Entry::PassedOver, None));
                    return Ok(());
                }
                if let Self::Held(held) = std::mem::replace(self, Self::Flow) {
                    found.extend(held.iter().map(|_| (Entry::PassedOver, None)));
                }
                found.push((event(value, "flow")?, interface(value)));
            }
            Some("netflow") => {
                let read = (event(value, "netflow")?, interface(value));
                match self {
                    Self::Flow => found.push((Entry::PassedOver, None)),
                    Self::Netflow => found.push(read),
                    Self::Unclear => *self = Self::Held(vec![read]),
                    Self::Held(held) => {
                        held.push(read);
                        if held.len() >= MOST_HELD {
                            self.finish(found);
                            *self = Self::Netflow;
                        }
                    }
                }
            }
            _ => found.push((Entry::PassedOver, None)),
        }
        Ok(())
    }

    /// Gives what is held back.
    pub(super) fn finish(&mut self, found: &mut Vec<Read>) {
        if let Self::Held(held) = self {
            found.append(held);
        }
    }
}

fn interface(value: &Value) -> Option<Arc<str>> {
    text(value, "in_iface").map(Arc::from)
}

fn event(value: &Value, key: &str) -> Result<Entry, String> {
    let ends = (address(value, "src_ip")?, address(value, "dest_ip")?);
    let name = text(value, "proto").ok_or("there is no `proto`")?;
    let Some(proto) = protocol_named(name, ends.0.is_ipv6()) else {
        return Ok(Entry::NoProtocol);
    };
    let ports = port(value, "src_port")?.zip(port(value, "dest_port")?);
    let small = |key: &str| -> Result<Option<u8>, String> {
        Ok(number(value, key)?.and_then(|number| u8::try_from(number).ok()))
    };
    let icmp =
        small("icmp_type")?.map(|kind| Ok::<_, String>((kind, small("icmp_code")?.unwrap_or(0))));
    let mut flow = Flow::new(ends, proto, ports, icmp.transpose()?)?;
    let of = value.get(key).unwrap_or(&Value::Null);
    let sum = |keys: [&str; 3]| -> Result<u64, String> {
        keys.iter().try_fold(0_u64, |sum, key| {
            Ok(sum.saturating_add(number(of, key)?.unwrap_or_default()))
        })
    };
    flow.log.packets = sum(["pkts_toserver", "pkts_toclient", "pkts"])?;
    flow.bytes = sum(["bytes_toserver", "bytes_toclient", "bytes"])?;
    flow.time_ns = text(of, "start").and_then(time);
    // A connection that was picked up in the middle may have its sides swapped; the events of its halves do not tell.
    let flags = value.get("tcp").and_then(|tcp| text(tcp, "tcp_flags_ts"));
    let opens =
        flags.and_then(|flags| u8::from_str_radix(flags, 16).ok()).map(|flags| flags & 2 != 0);
    flow.log.opener = (key == "flow" && opens.unwrap_or(true)).then_some(Opener::Sender);
    Ok(Entry::Flow(flow))
}
