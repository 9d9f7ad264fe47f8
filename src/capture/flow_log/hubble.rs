//! Hubble's flows: events of packets in a cluster of Cilium, with the verdict of its network policy.

use serde_json::Value;

use super::record::{Entry, Flow, Opener, Recorded};
use super::scalar::time;
use super::value::{address, number, port, text};
use crate::capture::DirectionHint;
use crate::flow::Protocol;

/// Whether a value is one, or a message between them.
pub(super) fn fits(value: &Value) -> bool {
    let flow = value.get("flow").unwrap_or(value);
    (flow.get("verdict").is_some() && flow.get("IP").is_some())
        || (value.get("node_name").is_some()
            && ["lost_events", "node_status", "flow"].iter().any(|key| value.get(key).is_some()))
}

/// Reasons for drops that are the policy's.
const OF_POLICY: [&str; 2] = ["POLICY_DENIED", "POLICY_DENY"];

/// Only what opens a connection, or may, is judged: of one packet there are several events. Events that Hubble has lost
/// are a window without records.
pub(super) fn read(value: &Value) -> Result<Entry, String> {
    if value.get("lost_events").is_some() {
        return Ok(Entry::Skipped);
    }
    let flow = value.get("flow").unwrap_or(value);
    let Some(ends) = flow.get("IP") else { return Ok(Entry::PassedOver) };
    // What proxies and sockets see are no packets.
    if !matches!(text(flow, "Type"), None | Some("L3_L4")) {
        return Ok(Entry::PassedOver);
    }
    let is_reply = flow.get("is_reply").and_then(Value::as_bool);
    if is_reply == Some(true) {
        return Ok(Entry::Continuation);
    }
    let ends = (address(ends, "source")?, address(ends, "destination")?);
    let Some((name, l4)) =
        flow.get("l4").and_then(Value::as_object).and_then(|of| of.iter().next())
    else {
        return Ok(Entry::NoProtocol);
    };
    let proto = match name.as_str() {
        "ICMPv4" => Some(Protocol::ICMP),
        "ICMPv6" => Some(Protocol::ICMPV6),
        "VRRP" => Some(Protocol(112)),
        "IGMP" => Some(Protocol(2)),
        name => Protocol::from_name(name),
    };
    let Some(proto) = proto else { return Ok(Entry::NoProtocol) };
    // Zeros are left out.
    let ports = (port(l4, "source_port")?.unwrap_or(0), port(l4, "destination_port")?.unwrap_or(0));
    let small = |key: &str| -> Result<u8, String> {
        let number = number(l4, key)?.unwrap_or(0);
        u8::try_from(number).map_err(|_| format!("{key}: expected 0 to 255"))
    };
    let icmp = (small("type")?, small("code")?);
    let mut found = Flow::new(ends, proto, Some(ports), Some(icmp))?;
    found.log.packets = 1;
    found.time_ns = text(flow, "time").or_else(|| text(value, "time")).and_then(time);
    found.hint = match text(flow, "traffic_direction") {
        Some("INGRESS") => Some(DirectionHint::Inbound),
        Some("EGRESS") => Some(DirectionHint::Outbound),
        _ => None,
    };
    let flag = |name: &str| l4.pointer(&format!("/flags/{name}")) == Some(&Value::Bool(true));
    let opens = flag("SYN") && !flag("ACK");
    let answers = flag("SYN") && flag("ACK");
    found.log.opener = match is_reply {
        _ if answers => Some(Opener::Receiver),
        Some(false) => Some(Opener::Sender),
        _ => opens.then_some(Opener::Sender),
    };
    let of_policy = text(flow, "drop_reason_desc").is_none_or(|why| OF_POLICY.contains(&why));
    found.log.action = match text(flow, "verdict") {
        Some("FORWARDED" | "REDIRECTED") => Some(Recorded::Accept),
        Some("DROPPED") => Some(Recorded::Reject).filter(|_| of_policy),
        _ => None,
    };
    Ok(Entry::Flow(found))
}
