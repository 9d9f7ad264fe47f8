//! Flow logs as clouds' consoles, command lines and stores wrap them (FORMATS 5.5 to 5.10).
//!
//! The logs are made up, in the documented shapes; those of others are read in [`crate::flow_logs`].

use std::fmt::Write;
use std::io::Cursor;

use insta::assert_snapshot;
use sgreplay::capture::{Capture, FlowLogOptions, Opener, Recorded};
use sgreplay::decode::decode;

use crate::support::run_in;

/// A line for each record, then what was counted beside them, then what was wrong.
fn records(log: &str, options: &FlowLogOptions) -> String {
    let source = Box::new(Cursor::new(log.as_bytes().to_vec()));
    let mut capture = match Capture::from_reader_with("log", source, options) {
        Ok(capture) => capture,
        Err(error) => return format!("{error}\n"),
    };
    let mut out = String::new();
    let damage = loop {
        match capture.next_frame() {
            Ok(None) => break None,
            Err(error) => break Some(error),
            Ok(Some(frame)) => {
                let decoded = decode(frame.link, frame.data);
                let (flow, log) = (decoded.packet().unwrap().flow, *frame.log.unwrap());
                let action = log.action.map_or("", Recorded::as_str);
                let opener = match log.opener {
                    None => "",
                    Some(Opener::Sender) => "from its opener",
                    Some(Opener::Receiver) => "to its opener",
                };
                let seconds = frame.time_ns.unwrap_or(0) / 1_000_000_000;
                let (packets, at) = (log.packets, frame.interface.map_or("-", String::as_str));
                let hint = frame.hint.map_or_else(String::new, |hint| format!("{hint:?}"));
                let words =
                    format!("{seconds} {at} {flow}, {packets} packets {hint} {action} {opener}");
                writeln!(out, "{}", words.split_whitespace().collect::<Vec<_>>().join(" "))
                    .unwrap();
            }
        }
    };
    let counts = serde_json::to_value(capture.flow_log().counts().unwrap()).unwrap();
    let mut counts = counts.as_object().unwrap().clone();
    counts.retain(|key, value| !["records", "packets"].contains(&key.as_str()) && *value != 0);
    writeln!(out, "{}", serde_json::Value::from(counts)).unwrap();
    if let Some(error) = damage {
        writeln!(out, "{error}{}", if error.is_truncation() { " (cut off)" } else { "" }).unwrap();
    }
    out
}

fn plain(log: &str) -> String {
    records(log, &FlowLogOptions::default())
}

const FIRST: &str =
    "2 1 eni-1 203.0.113.9 10.0.0.5 50123 22 6 2 152 1599665193 1599665488 ACCEPT OK";
const SECOND: &str =
    "2 1 eni-1 203.0.113.9 10.0.0.5 50124 23 6 1 40 1599665194 1599665488 REJECT OK";

/// The same two records in everything that AWS wraps them in.
#[test]
fn wrappings_of_aws() {
    let as_is = plain(&format!("{FIRST}\n{SECOND}\n"));
    let export = format!("2020-09-09T15:26:33.000Z {FIRST}\n2020-09-09T15:26:34.000Z {SECOND}\n");
    assert_eq!(plain(&export), as_is);
    let events = format!(
        "{{\"searchedLogStreams\": [], \"events\": [\n {{\"logStreamName\": \"eni-1-all\", \"timestamp\": 1, \"message\": \"{FIRST}\"}},\n \
         {{\"logStreamName\": \"eni-1-all\", \"timestamp\": 2, \"message\": \"{SECOND}\"}}]}}"
    );
    assert_eq!(plain(&events), as_is);
    // Logs Insights prints the newest first, as CSV, as JSON, and as its answer.
    let insights = format!("@timestamp,@message\n2020,{SECOND}\n2020,\"{FIRST}\"\n");
    assert_eq!(plain(&insights), as_is);
    let insights = format!("[{{\"@message\": \"{SECOND}\"}}, {{\"@message\": \"{FIRST}\"}}]");
    assert_eq!(plain(&insights), as_is);
    let row = |message| {
        format!(
            "[{{\"field\": \"@ptr\", \"value\": \"x\"}}, {{\"field\": \"@message\", \"value\": \"{message}\"}}]"
        )
    };
    let answer =
        format!("{{\"results\": [{}, {}], \"status\": \"Complete\"}}", row(SECOND), row(FIRST));
    assert_eq!(plain(&answer), as_is);
    // Athena quotes every cell; its older tables have other names.
    let athena = "\"version\",\"account\",\"interfaceid\",\"sourceaddress\",\"destinationaddress\",\"sourceport\",\"destinationport\",\"protocol\",\"numpackets\",\"numbytes\",\"starttime\",\"endtime\",\"action\",\"logstatus\"\n\
        \"2\",\"1\",\"eni-1\",\"203.0.113.9\",\"10.0.0.5\",\"50123\",\"22\",\"6\",\"2\",\"152\",\"1599665193\",\"1599665488\",\"ACCEPT\",\"OK\"\n\
        \"2\",\"1\",\"eni-1\",\"203.0.113.9\",\"10.0.0.5\",\"50124\",\"23\",\"6\",\"1\",\"40\",\"1599665194\",\"1599665488\",\"REJECT\",\"OK\"\n";
    assert_eq!(plain(athena), as_is);
    // Programs that know no whole numbers.
    let floats = "{\"interface_id\": \"eni-1\", \"srcaddr\": \"203.0.113.9\", \"dstaddr\": \"10.0.0.5\", \"srcport\": 50123.0, \"dstport\": 22.0, \"protocol\": 6.0, \"packets\": 2.0, \"start\": 1599665193, \"action\": \"ACCEPT\", \"tcp_flags\": null}\n\
        {\"interface_id\": \"eni-1\", \"srcaddr\": \"203.0.113.9\", \"dstaddr\": \"10.0.0.5\", \"srcport\": 50124.0, \"dstport\": 23.0, \"protocol\": 6.0, \"packets\": 1.0, \"start\": 1599665194, \"action\": \"REJECT\"}\n";
    assert_eq!(plain(floats), as_is);
    assert_eq!(plain(&format!("[{}]", floats.trim_end().replace("}\n{", "},\n{"))), as_is);
    // Columns of one's own.
    let own = "5 10.0.0.5 203.0.113.9 22 50123 6 2 1599665193 ACCEPT eni-1\n\
        5 10.0.0.5 203.0.113.9 23 50124 6 1 1599665194 REJECT eni-1\n";
    let fields = "${version} ${dstaddr} ${srcaddr} ${dstport} ${srcport} ${protocol} ${packets} ${start} ${action} ${interface-id}";
    let options =
        FlowLogOptions { fields: Some(fields.parse().unwrap()), ..FlowLogOptions::default() };
    assert_eq!(records(own, &options), as_is);
    assert_snapshot!("aws wrappings", as_is);
}

/// A page of several is not all, unless the next page is there.
#[test]
fn pages_of_an_answer() {
    let page = |token: &str, message: &str| {
        format!(
            "{{\"events\": [{{\"eventId\": \"1\", \"message\": \"{message}\"}}], \"nextToken\": \"{token}\"}}"
        )
    };
    assert!(plain(&page("abc", FIRST)).contains("nextToken"));
    let both = plain(&format!("{}\n{}", page("abc", FIRST), page("", SECOND)));
    assert_eq!(both, plain(&format!("{FIRST}\n{SECOND}\n")));
}

/// An interface's record has its first address; the packets may have had another of it, or have gone on elsewhere.
#[test]
fn addresses_of_packets() {
    let log = "interface-id srcaddr dstaddr srcport dstport protocol pkt-srcaddr pkt-dstaddr start action\n\
        eni-1 203.0.113.7 10.0.1.10 50200 8443 6 203.0.113.7 10.0.1.11 1793614500 ACCEPT\n\
        eni-2 10.0.1.5 10.0.0.220 43210 443 6 10.0.1.5 203.0.113.5 1793614500 ACCEPT\n";
    let known = [(
        "eni-1".to_owned(),
        ["10.0.1.10/32", "10.0.1.11/32"].map(|net| net.parse().unwrap()).into(),
    )];
    let addresses = std::sync::Arc::new(known.into_iter().collect());
    let options = FlowLogOptions { addresses, ..FlowLogOptions::default() };
    assert_snapshot!("addresses of packets", format!("{}\n{}", plain(log), records(log, &options)));
}

const NSG: &str = r#"{"records": [{"category": "NetworkSecurityGroupFlowEvent", "macAddress": "000D3A", "properties": {"Version": 2, "flows": [
  {"rule": "UserRule_https", "flows": [{"mac": "000D3A", "flowTuples": [
   "1793614500,203.0.113.34,10.1.0.4,58596,443,T,I,A,B,,,,",
   "1793614800,203.0.113.34,10.1.0.4,58596,443,T,I,A,C,1021,588096,8005,4610880",
   "1793614900,203.0.113.34,10.1.0.4,58596,443,T,I,A,E,52,29952,47,27072",
   "1793614950,203.0.113.99,10.1.0.4,58597,443,T,I,A,E,5,500,4,400"]}]},
  {"rule": "DefaultRule_DenyAllInBound", "flows": [{"mac": "000D3A", "flowTuples": [
   "1793614509,192.0.2.95,10.1.0.4,51529,5358,U,I,D,B,,,,",
   "1793614510,192.0.2.95,10.1.0.4,51529,5358,U,I,D"]}]}]}}"#;

/// A connection is judged once: when it begins, or when the log shows it first.
#[test]
fn flow_logs_of_azure() {
    let vnet = r#"{"records": [{"category": "FlowLogFlowEvent", "macAddress": "0022", "flowRecords": {"flows": [{"aclID": "a", "flowGroups": [
      {"rule": "web", "flowTuples": ["1793614500599,10.0.0.6,198.51.100.180,23956,443,6,O,B,NX,0,0,0,0", "1793614500700,10.0.0.6,203.0.113.9,0,0,1,O,B,NX,0,0,0,0"]},
      {"rule": "block", "flowTuples": ["1793614499,192.0.2.153,10.0.0.6,55188,22,6,I,D,NX,0,0,0,0"]}]},
     {"aclID": "unspecified", "flowGroups": [{"rule": "unspecified", "flowTuples": ["1793614509500,10.0.0.9,10.0.0.6,40001,443,6,I,D,NX_NOT_ACCEPTED,0,0,0,0"]}]}]}}]}"#;
    let flat = "{\"flowLogVersion\": 4, \"macAddress\": \"0022\", \"rule\": \"web\", \"flow.0\": \"1793614500599,10.0.0.6,198.51.100.180,23956,443,6,O,B,NX,0,0,0,0\"}\n";
    let mut out = plain(&format!("{NSG}]}}"));
    let first_is_cut = NSG.split_once("58597").unwrap().0;
    // The file of this hour is still being written.
    for log in
        [NSG, first_is_cut, vnet, flat, "{\"records\": []}", &NSG.replace(",I,A,B", ",X,A,B")]
    {
        write!(out, "\n{}", plain(log)).unwrap();
    }
    assert_snapshot!("azure logs", out);
}

/// Both ends report a flow between two machines; what came in was let in.
#[test]
fn flow_logs_of_google() {
    let record = |reporter: &str, src: &str, dst: &str, start: u32| {
        format!(
            "{{\"logName\": \"projects/p/logs/compute.googleapis.com%2Fvpc_flows\", \"jsonPayload\": {{\"reporter\": \"{reporter}\", \"packets_sent\": \"6\", \
             \"start_time\": \"2026-11-02T10:15:{start}Z\", \"end_time\": \"2026-11-02T10:16:00Z\", \"connection\": {{\"src_ip\": \"{src}\", \"dest_ip\": \"{dst}\", \
             \"src_port\": 41834.0, \"dest_port\": 5432, \"protocol\": 6}}}}}}"
        )
    };
    let lines = [
        record("SRC", "10.0.0.4", "10.0.0.9", 15),
        record("DEST", "10.0.0.4", "10.0.0.9", 16),
        record("DEST", "203.0.113.7", "10.0.0.4", 14),
        "{\"logName\": \"x\", \"textPayload\": \"y\"}".to_owned(),
        record("SRC", "10.0.0.4", "10.0.0.9", 17),
    ];
    let firewall =
        r#"{"jsonPayload": {"disposition": "DENIED", "connection": {}, "rule_details": {}}}"#;
    let list = format!("[{}]", lines.join(","));
    assert_snapshot!(
        "google logs",
        [plain(&lines.join("\n")), plain(&list), plain(firewall)].join("\n")
    );
}

/// Connections are Suricata's `flow` events; its `netflow` events only where there are no others.
#[test]
fn events_of_suricata() {
    let event = |kind: &str, port: u16, rest: &str| {
        format!(
            "{{\"timestamp\": \"2026-11-02T10:15:01.2+0000\", \"in_iface\": \"eth0\", \"event_type\": \"{kind}\", \"src_ip\": \"203.0.113.7\", \"src_port\": {port}, \"dest_ip\": \"10.0.0.5\", \"dest_port\": 443, \"proto\": \"TCP\", \
                 \"{kind}\": {{\"pkts_toserver\": 3, \"pkts_toclient\": 2, \"start\": \"2026-11-02T10:15:00.5+0000\"}}{rest}}}\n"
        )
    };
    let ping = "{\"timestamp\": \"x\", \"event_type\": \"flow\", \"src_ip\": \"2001:db8::7\", \"dest_ip\": \"2001:db8::5\", \"proto\": \"IPv6-ICMP\", \"icmp_type\": 128, \"icmp_code\": 0, \"flow\": {\"pkts_toserver\": 2}}\n";
    let both = [
        event("netflow", 50001, ""),
        event("dns", 50001, ""),
        event("flow", 50001, ", \"tcp\": {\"tcp_flags_ts\": \"1b\"}"),
        // Picked up in the middle.
        event("flow", 50002, ", \"tcp\": {\"tcp_flags_ts\": \"18\"}"),
        ping.to_owned(),
    ];
    let halves = [event("netflow", 50001, ""), event("alert", 50001, "")];
    assert_snapshot!("suricata", [plain(&both.concat()), plain(&halves.concat())].join("\n"));
}

/// Of a packet there are several events, and of drops only those of the policy can be compared.
#[test]
fn flows_of_hubble() {
    let event = |rest: &str, l4: &str| {
        format!(
            "{{\"flow\": {{\"time\": \"2026-11-02T10:15:01Z\", \"IP\": {{\"source\": \"10.244.1.60\", \"destination\": \"10.244.1.5\"}}, \"Type\": \"L3_L4\", \"l4\": {l4}, {rest}}}, \"node_name\": \"n\"}}\n"
        )
    };
    let syn = r#"{"TCP": {"source_port": 44916, "destination_port": 80, "flags": {"SYN": true}}}"#;
    let log = [
        event(
            "\"verdict\": \"FORWARDED\", \"is_reply\": false, \"traffic_direction\": \"EGRESS\"",
            syn,
        ),
        event("\"verdict\": \"FORWARDED\", \"is_reply\": true", syn),
        event("\"verdict\": \"DROPPED\", \"drop_reason_desc\": \"POLICY_DENIED\"", syn),
        event("\"verdict\": \"DROPPED\", \"drop_reason_desc\": \"INVALID_SOURCE_IP\"", syn),
        event("\"verdict\": \"FORWARDED\"", r#"{"ICMPv4": {}}"#),
        event("\"verdict\": \"FORWARDED\"", syn).replace("L3_L4", "L7"),
        "{\"lost_events\": {}, \"node_name\": \"n\"}\n".to_owned(),
    ];
    assert_snapshot!("hubble", plain(&log.concat()));
}

/// Where nothing fits, the message says what it is nearest to.
#[test]
fn what_is_nearly_a_flow_log() {
    let logs = [
        "5 64111117617 eni-069a 203.0.113.156 10.200.0.80 50041 33004 17 52 1 164000066 1640000297 REJECT OK vpc-09\n",
        "dstaddr,srcport,dstport,protocol,action\n10.0.0.5,1,2,6,ACCEPT\n",
        "srcaddr dstaddr action\n203.0.113.9 10.0.0.5 ACCEPT\n",
        "{\"srcaddr\": \"10.0.0.5\", \"protocol\": 6, \"action\": \"ACCEPT\"}\n",
        "{\"class_uid\": 4001, \"src_endpoint\": {}}\n",
        "{\"aws\": {\"vpcflow\": {}}}\n",
        "{\"FlowType_s\": \"x\"}\n",
    ];
    assert_snapshot!("nearly", logs.map(plain).concat());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yaml"), "{security_groups: [{id: sg, rules: []}]}").unwrap();
    let args = ["replay", "--rules", "r.yaml", "x.log", "--fields", "srcaddr srcport"];
    assert_snapshot!("not enough fields", run_in(dir.path(), &args, b""));
}

/// The rules of a cloud are put to the test on its own log.
#[test]
fn recorded_verdicts_of_azure() {
    let rules = "cloud: azure\nsecurity_groups: [{id: nsg, rules: [{id: web, direction: ingress, priority: 100, protocol: tcp, ports: PORT, source: 0.0.0.0/0}]}]\ninterfaces: [{id: nic, addresses: [10.1.0.4], security_groups: [nsg]}]\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("PT1H.json"), format!("{NSG}]}}")).unwrap();
    let status = |port: &str, args: &[&str]| {
        std::fs::write(dir.path().join("r.yaml"), rules.replace("PORT", port)).unwrap();
        let args =
            [&["replay", "--rules", "r.yaml", "PT1H.json", "--fail-on", "action-differs"], args]
                .concat();
        run_in(dir.path(), &args, b"").lines().next().unwrap().to_owned()
    };
    assert_eq!(status("443", &[]), "status 0");
    assert_eq!(status("22", &[]), "status 1");
    // A log that is cut off passes no gate by itself.
    std::fs::write(dir.path().join("PT1H.json"), NSG).unwrap();
    assert_eq!(status("443", &[]), "status 2");
    assert_eq!(status("443", &["--allow-truncated"]), "status 0");
}
