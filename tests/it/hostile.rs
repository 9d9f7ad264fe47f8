//! Names and values that others have written: nothing of them acts on a terminal, adds a line, hides, or is run by a
//! spreadsheet; JSON keeps them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ipv4, pcap, root};

/// What an attacker may write, after a name of ours or instead of one.
const PAYLOADS: [&str; 12] = [
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\u{9b}31m\u{9d}0;title\u{9c}",
    "\u{7f}\u{8}\u{8}\u{8}",
    "\u{202e}gnp\u{202c}\u{2066}x\u{2069}",
    "\u{200f}\u{200e}\u{61c}",
    "\u{200b}\u{200d}\u{feff}\u{2060}\u{ad}",
    "\u{e0041}\u{e0042}",
    "\u{2028}forged line",
    "\u{85}forged line",
    "\nforged line",
    "\rforged line",
    "\tforged line",
];

/// Whether a character may stand in what is printed.
fn is_safe(c: char) -> bool {
    let bidi = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    let hidden = matches!(c, '\u{ad}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !bidi && !hidden
}

/// Fails where a text acts, or has a line that a value made.
fn assert_shown(text: &str, what: &str) {
    for line in text.split('\n') {
        // nftables indents with tabs.
        let acts = line.trim_start_matches('\t').chars().find(|c| !is_safe(*c));
        assert_eq!(acts, None, "{what}: {line:?}");
        assert!(
            !line.trim_start_matches(['#', ' ', '>']).starts_with("forged"),
            "{what}: {line:?}"
        );
    }
}

struct Case {
    dir: TempDir,
    payload: &'static str,
}

/// A value in quotes, as YAML and JSON read it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text)
        .unwrap()
        .replace('\u{7f}', "\\u007f")
        .chars()
        .map(|c| match c {
            c if !is_safe(c) && (c as u32) < 0x1_0000 => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        })
        .collect()
}

impl Case {
    fn new(payload: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = |name: &str| quoted(&format!("{name}{payload}"));
        let rules = format!(
            "security_groups:\n  - id: {group}\n    vpc_id: {vpc}\n    rules:\n      \
             - {{id: {ssh}, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0, description: {text}}}\n      \
             - {{id: {again}, direction: ingress, protocol: tcp, ports: 22, source: 10.0.0.0/8}}\n      \
             - {{id: {list}, direction: ingress, protocol: udp, ports: 53, source: {pl}}}\n      \
             - {{id: {far}, direction: ingress, protocol: tcp, ports: 80, source: {sg}}}\n\
             interfaces: [{{id: {eni}, addresses: [10.0.0.5], security_groups: [{group}]}}]\n\
             prefix_lists: [{{id: {pl}, entries: [10.0.0.0/8]}}]\n\
             suppressions: [{{code: redundant, reason: {text}}}]\n",
            group = name("sg-a"),
            vpc = name("vpc-a"),
            ssh = name("ssh"),
            again = name("again"),
            list = name("list"),
            far = name("far"),
            sg = name("sg-b"),
            pl = name("pl-a"),
            eni = name("eni-a"),
            text = name("text"),
        );
        let fewer =
            rules.replacen("ports: 22, source: 0.0.0.0/0", "ports: 23, source: 0.0.0.0/0", 1);
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("rules.yaml", &rules);
        write("fewer.yaml", &fewer);
        write("accept.yaml", &format!("- {{filter: tcp port 22, reason: {}}}\n", name("reason")));
        write(
            "expectations.yaml",
            &format!(
                "expectations:\n  - {{name: {}, protocol: tcp, ports: 22, source: 0.0.0.0/0, verdict: deny}}\n  \
                 - {{name: {}, protocol: tcp, ports: 22, source: 0.0.0.0/0, verdict: allow, by: {}}}\n",
                name("nobody"),
                name("somebody"),
                name("far"),
            ),
        );
        let capture = pcap(
            101,
            &[
                &ipv4("203.0.113.9:40000", "10.0.0.5:22", "S"),
                &ipv4("10.0.0.9:40000", "10.0.0.5:53", "udp"),
                &ipv4("203.0.113.9:40000", "10.0.0.5:99", "S"),
            ],
        );
        fs::write(dir.path().join("x.pcap"), &capture).unwrap();
        // Files may be called anything.
        let named = format!("n{}", payload.replace('/', ""));
        write(&format!("{named}.yaml"), &rules);
        write(
            &format!("{named}-expected.yaml"),
            &fs::read_to_string(dir.path().join("expectations.yaml")).unwrap(),
        );
        fs::write(dir.path().join(format!("{named}.pcap")), &capture).unwrap();
        let ci = json!({
            "current": "rules.yaml", "proposed": "fewer.yaml", "captures": format!("{named}.pcap"),
            "accept": "accept.yaml", "expectations": format!("{named}-expected.yaml"),
        });
        fs::write(dir.path().join("ci.yaml"), quoted_json(&ci)).unwrap();
        Self { dir, payload }
    }

    /// What came back, and nothing of it acts.
    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
            .args(words)
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        let what = format!("{words:?} with {:?}", self.payload);
        let err = String::from_utf8(output.stderr).unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(!err.contains("panicked"), "{what}: {err}");
        assert_shown(&err, &what);
        // Tabs stay in cells.
        let cells = words.contains(&"csv");
        match cells {
            true => assert_shown(&out.replace('\t', ""), &what),
            false => assert_shown(&out, &what),
        }
        (output.status.code(), out + &err)
    }

    fn file(&self, name: &str) -> String {
        let text = fs::read_to_string(self.dir.path().join(name)).unwrap();
        assert_shown(&text, &format!("{name} with {:?}", self.payload));
        text
    }

    /// A name as it is printed.
    fn shown(&self, name: &str) -> String {
        sgreplay::escape::line(&format!("{name}{}", self.payload)).into_owned()
    }
}

/// JSON that YAML reads.
fn quoted_json(value: &Value) -> String {
    let text = value.to_string();
    sgreplay::escape::json(&text).replace("\\udb40\\udc41\\udb40\\udc42", "\\U000e0041\\U000e0042")
}

#[test]
fn names_in_every_text_format() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let named = format!("n{}", payload.replace('/', ""));
        let (rules, capture) = (format!("{named}.yaml"), format!("{named}.pcap"));
        let (rules, capture) = (rules.as_str(), capture.as_str());
        let replay = ["replay", "--rules", rules, capture];
        let diff = ["diff", "--current", rules, "--proposed", "fewer.yaml"];
        let diff_of = [&diff[..], &[capture, "--accept", "accept.yaml"]].concat();
        let with = |words: &[&str], more: &[&str]| case.run(&[words, more].concat());

        let (status, text) = with(&replay, &[]);
        assert_eq!(status, Some(0), "{text}");
        // Nothing is left out, and what is there can be read.
        for name in ["eni-a", "ssh", "sg-a", "n"] {
            assert!(text.contains(&case.shown(name)), "{name} {payload:?}: {text}");
        }
        for format in ["csv", "json", "ndjson", "markdown"] {
            assert_eq!(with(&replay, &["-f", format]).0, Some(0));
            assert_eq!(with(&diff, &["-f", format]).0, Some(0));
            assert_eq!(with(&diff_of, &["-f", format]).0, Some(0));
        }
        for per in ["packet", "connection"] {
            for format in ["text", "csv", "json", "ndjson"] {
                assert_eq!(with(&replay, &["--per", per, "-f", format]).0, Some(0));
            }
        }
        with(&replay, &["--coverage"]);
        with(&replay, &["-v"]);
        with(&diff, &[]);
        let (_, text) = with(&diff_of, &[]);
        assert!(text.contains(&case.shown("reason")), "{text}");
        for format in ["text", "csv", "json", "ndjson", "sarif"] {
            case.run(&["check", rules, "--notes", "-f", format]);
        }
        let expected = format!("{named}-expected.yaml");
        for format in ["text", "json", "junit"] {
            let (status, text) = case.run(&["test", rules, &expected, "-f", format]);
            assert_eq!(status, Some(1), "{text}");
        }
        for format in ["text", "json", "markdown"] {
            let words =
                ["ci", "ci.yaml", "-f", format, "--markdown", "m", "--sarif", "s", "--junit", "j"];
            assert_eq!(case.run(&words).0, Some(1));
            for name in ["m", "s", "j"] {
                case.file(name);
            }
        }
        for to in
            ["yaml", "terraform", "nftables", "iptables", "ip6tables", "bpf", "csv", "markdown"]
        {
            let (status, text) = case.run(&["convert", rules, "--to", to]);
            assert!(status == Some(0) || text.contains("error"), "{to}: {text}");
        }
        for format in ["text", "json"] {
            case.run(&["explain", "--rules", rules, "--frame", "1", capture, "-f", format]);
            case.run(&["suggest", capture, "--local", "10.0.0.5", "-f", format]);
            // A measurement takes seconds.
            if payload.starts_with('\n') {
                let words = ["bench", "--rules", rules, capture, "--runs", "1", "--save", "b"];
                case.run(&[&words[..], &["-f", format]].concat());
                case.file("b");
            }
        }
        case.run(&["decode", capture, "-f", "ndjson"]);
        with(&replay, &["--report", "page"]);
        case.file("page");
        with(&diff_of, &["--report", "page"]);
        case.file("page");
    }
}

/// Comments of packets are shown by Wireshark and printed by tshark.
#[test]
fn comments_of_packets() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        case.run(&["replay", "--rules", "rules.yaml", "x.pcap", "--annotate", "a.pcapng"]);
        case.run(&[
            "diff",
            "--current",
            "rules.yaml",
            "--proposed",
            "fewer.yaml",
            "x.pcap",
            "--annotate",
            "b.pcapng",
        ]);
        for name in ["a.pcapng", "b.pcapng"] {
            let bytes = fs::read(case.dir.path().join(name)).unwrap();
            let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(holds(&case.shown("ssh")), "{name} {payload:?}");
            assert!(!holds(&format!("ssh{payload}")), "{name} {payload:?}");
        }
    }
}

/// Programs get the value itself.
#[test]
fn json_keeps_the_value() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let name = |name: &str| Value::from(format!("{name}{payload}"));
        let read = |words: &[&str]| -> Value {
            let (_, text) = case.run(words);
            serde_json::from_str(text.split("\nsgreplay: ").next().unwrap()).unwrap()
        };
        let replay = read(&["replay", "--rules", "rules.yaml", "x.pcap", "-f", "json"]);
        assert_eq!(replay["rules"][0]["rule"], name("ssh"));
        assert_eq!(replay["rules"][0]["group"], name("sg-a"));
        let check = read(&["check", "rules.yaml", "--notes", "-f", "json"]);
        let groups = check["findings"].as_array().unwrap().iter().map(|of| &of["group"]);
        assert!(groups.into_iter().any(|group| *group == name("sg-a")), "{check}");
        let test = read(&["test", "rules.yaml", "expectations.yaml", "-f", "json"]);
        assert_eq!(test["results"][0]["name"], name("nobody"));
        let rows =
            read(&["replay", "--rules", "rules.yaml", "x.pcap", "--per", "packet", "-f", "json"]);
        assert_eq!(rows["rows"][0]["rule"], name("ssh"));
        let (_, lines) = case.run(&[
            "replay",
            "--rules",
            "rules.yaml",
            "x.pcap",
            "--per",
            "connection",
            "-f",
            "ndjson",
        ]);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["rule"], name("ssh"));
    }
}

/// What is converted is the same rule set, whatever its names.
#[test]
fn converted_rules_are_the_same() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let (_, yaml) = case.run(&["convert", "rules.yaml", "--to", "yaml"]);
        let text = fs::read_to_string(case.dir.path().join("rules.yaml")).unwrap();
        let rules = sgreplay::parse::yaml("x", &text).unwrap();
        assert_eq!(sgreplay::parse::yaml("x", &yaml).unwrap(), rules, "{payload:?}");
    }
}

/// Messages about what cannot be used repeat it.
#[test]
fn faults() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let value = quoted(&format!("x{payload}"));
        let raw = format!("x{payload}");
        let write = |name: &str, text: &str| fs::write(case.dir.path().join(name), text).unwrap();
        let rule = |words: &str| {
            format!(
                "security_groups:\n  - id: sg-a\n    rules:\n      - {{direction: ingress, protocol: tcp, {words}}}\n"
            )
        };
        let files = [
            rule(&format!("ports: 22, source: 0.0.0.0/0, {value}: 1")),
            rule(&format!("ports: {value}, source: 0.0.0.0/0")),
            rule(&format!("ports: 22, source: {value}")),
            rule(&format!("ports: 22, source: 0.0.0.0/0, policy: {value}")),
            rule(&format!("ports: 22, source: 0.0.0.0/0, priority: {value}")),
            rule(&format!("ports: 22, source: 0.0.0.0/0, id: {value}, {value}: 2, {value}: 3")),
            format!("{value}: 1\n"),
            format!("security_groups: [{{id: sg-a, type: {value}}}]\n"),
            format!("security_groups: [{{id: {value}}}, {{id: {value}}}]\n"),
            format!(
                "security_groups: [{{id: sg-a}}]\ninterfaces: [{{id: {value}, addresses: [{value}], security_groups: [{value}]}}]\n"
            ),
            format!(
                "security_groups: [{{id: sg-a}}]\nprefix_lists: [{{id: {value}, entries: [{value}]}}]\n"
            ),
            format!(
                "security_groups: [{{id: sg-a}}]\nsuppressions: [{{code: {value}, reason: x, until: {value}}}]\n"
            ),
            format!("security_groups: {value}\n"),
            format!("cloud: {value}\nsecurity_groups: []\n"),
            // What is no text of YAML at all.
            format!("security_groups: [{raw}\n"),
            format!("\"{raw}\": {{\n"),
            // Answers of clouds.
            format!(
                "{{\"SecurityGroups\": [{{\"GroupId\": {value}, \"IpPermissions\": [{{\"IpProtocol\": {value}}}]}}]}}"
            ),
            format!(
                "{{\"NetworkAcls\": [{{\"NetworkAclId\": {value}, \"Entries\": [{{\"Protocol\": {value}, \"RuleNumber\": {value}}}]}}]}}"
            ),
            format!(
                "{{\"securityRules\": [{{\"name\": {value}, \"protocol\": {value}, \"access\": {value}}}]}}"
            ),
            format!(
                "[{{\"kind\": \"compute#firewall\", \"name\": {value}, \"direction\": {value}, \"allowed\": [{{\"IPProtocol\": {value}}}]}}]"
            ),
            format!(
                "{{\"SecurityGroupId\": {value}, \"Permissions\": {{\"Permission\": [{{\"IpProtocol\": {value}, \"Direction\": {value}}}]}}}}"
            ),
            format!(
                "{{\"ROSTemplateFormatVersion\": \"2015-09-01\", \"Resources\": {{{value}: {{\"Type\": \"ALIYUN::ECS::SecurityGroup\", \"Properties\": {value}}}}}}}"
            ),
            format!(
                "{{\"format_version\": \"1.2\", \"planned_values\": {{\"root_module\": {{\"resources\": [{{\"type\": \"alicloud_security_group_rule\", \"name\": {value}, \"address\": {value}, \"values\": {{\"type\": {value}}}}}]}}}}}}"
            ),
            format!("{{\"{raw}\": 1"),
        ];
        for (n, text) in files.iter().enumerate() {
            let name = format!("f{n}.yaml");
            write(&name, text);
            for words in [
                &["check", &name][..],
                &["replay", "--rules", &name, "x.pcap"],
                &["convert", &name, "--to", "csv"],
            ] {
                case.run(words);
            }
            write("ci2.yaml", &format!("{{proposed: {name}}}"));
            case.run(&["ci", "ci2.yaml"]);
        }
        write(
            "f.tf",
            &format!(
                "resource \"alicloud_security_group\" \"a\" {{\n  security_group_name = {value}\n  x = y.{raw}\n}}\n"
            ),
        );
        case.run(&["check", "f.tf"]);
        write(
            "f.tf",
            &format!("resource \"alicloud_security_group_rule\" \"a\" {{\n  type = {value}\n}}\n"),
        );
        case.run(&["check", "f.tf"]);
    }
}

/// So do those about files beside the rules.
#[test]
fn faults_beside_the_rules() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let value = quoted(&format!("x{payload}"));
        let raw = format!("x{payload}");
        let write = |name: &str, text: &str| fs::write(case.dir.path().join(name), text).unwrap();
        for text in [
            format!("expectations: [{{name: {value}, verdict: {value}}}]"),
            format!("expectations: [{{name: x, verdict: deny, by: {value}, interface: {value}}}]"),
            format!("expectations: [{{name: x, verdict: deny, {value}: 1}}]"),
            format!("expectations: {value}"),
        ] {
            write("e.yaml", &text);
            assert_eq!(case.run(&["test", "rules.yaml", "e.yaml"]).0, Some(2));
        }
        for text in [
            format!("- {{filter: {value}, reason: x}}"),
            format!("- {{filter: tcp, reason: x, change: {value}}}"),
            format!("- {{filter: tcp, reason: x, until: {value}}}"),
            format!("- {{filter: tcp, reason: x, {value}: 1}}"),
        ] {
            write("a.yaml", &text);
            let words = [
                "diff",
                "--current",
                "rules.yaml",
                "--proposed",
                "fewer.yaml",
                "x.pcap",
                "--accept",
                "a.yaml",
            ];
            assert_eq!(case.run(&words).0, Some(2));
        }
        for text in [
            format!("{{proposed: rules.yaml, {value}: 1}}"),
            format!("{{proposed: rules.yaml, fail_on: [{value}]}}"),
            format!("{{proposed: {value}}}"),
            format!(
                "{{proposed: rules.yaml, current: rules.yaml, captures: x.pcap, filter: {value}}}"
            ),
            format!(
                "{{proposed: rules.yaml, current: rules.yaml, captures: x.pcap, local: {value}}}"
            ),
            format!(
                "{{proposed: rules.yaml, current: rules.yaml, captures: x.pcap, decap: {value}}}"
            ),
            format!("{{proposed: rules.yaml, current: rules.yaml, captures: {value}}}"),
            format!(
                "{{proposed: rules.yaml, current: rules.yaml, captures: x.pcap, interfaces: {{{value}: {value}}}}}"
            ),
            format!("{{proposed: rules.yaml, sarif: {}}}", quoted(&format!("none/{raw}"))),
        ] {
            write("ci2.yaml", &text);
            assert_eq!(case.run(&["ci", "ci2.yaml"]).0, Some(2), "{text}");
        }
    }
}

/// So do messages about a command line.
#[test]
fn arguments() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let value = format!("x{payload}");
        let value = value.as_str();
        let option = format!("--x{payload}");
        let tap = format!("{value}={value}");
        let lines: [&[&str]; 30] = [
            &[value],
            &["replay", &option],
            &["replay", "--rules", value, "x.pcap"],
            &["replay", "--rules", "rules.yaml", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "-f", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--filter", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--decap", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--local", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--since", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--interface", &tap],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--session-memory", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--define", value],
            &["replay", "--rules", "rules.yaml", "x.pcap", "--report", &format!("none/{value}")],
            &["check", "rules.yaml", "--type", value],
            &["check", "--explain", value],
            &["check", value],
            &["test", value, value],
            &["ci", value],
            &["convert", "rules.yaml", "--to", value],
            &["convert", "rules.yaml", "--to", "nftables", "--interface", value],
            &["explain", "--rules", "rules.yaml", "--direction", value],
            &[
                "explain",
                "--rules",
                "rules.yaml",
                "--direction",
                "ingress",
                "--proto",
                value,
                "--src",
                value,
                "--dst",
                value,
            ],
            &[
                "explain",
                "--rules",
                "rules.yaml",
                "--direction",
                "ingress",
                "--proto",
                "tcp",
                "--src",
                "10.0.0.1:1",
                "--dst",
                &format!("10.0.0.5:{value}"),
            ],
            &["explain", "--rules", "rules.yaml", "--frame", value, "x.pcap"],
            &["suggest", "x.pcap", "--aggregate", value],
            &["bench", "--rules", "rules.yaml", "x.pcap", "--compare", value],
            &["bench", "--rules", "rules.yaml", "x.pcap", "--fail-on", value],
            &["scenarios", value],
            &["scenarios", "database", "--set", value],
            &["services", value],
        ];
        for words in lines {
            assert_eq!(case.run(words).0, Some(2), "{words:?}");
        }
        case.run(&["scenarios", "database", "--set", &format!("source={value}")]);
        case.run(&[
            "explain",
            "--rules",
            "rules.yaml",
            "--direction",
            "ingress",
            "--proto",
            "tcp",
            "--src",
            "10.0.0.1:1",
            "--dst",
            "10.0.0.5:22",
            "--interface",
            value,
        ]);
    }
}

/// A log's own words: interface, columns, statuses.
#[test]
fn flow_logs() {
    for payload in PAYLOADS {
        let case = Case::new(payload);
        let field: String =
            format!("eni-x{payload}").chars().filter(|c| !" \t\n\r".contains(*c)).collect();
        let logs = [
            format!(
                "2 123 {field} 203.0.113.9 10.0.0.5 40000 22 6 2 80 1764000000 1764000058 ACCEPT OK\n"
            ),
            format!(
                "2 {field} eni-a 203.0.113.9 10.0.0.5 40000 22 6 2 80 1764000000 1764000058 {field} OK\n"
            ),
            format!(
                "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status {field}\n2 1 {field} 203.0.113.9 10.0.0.5 40000 22 6 2 80 1764000000 1764000058 REJECT OK {field}\n"
            ),
            format!(
                "eni-id,srcaddr,dstaddr,srcport,dstport,protocol,direction,action,packets,bytes,start,{field}\n{field},192.0.2.1,10.0.0.5,{field},443,6,in,ACCEPT,2,80,1764000000,27\n"
            ),
            format!(
                "{{\"id.orig_h\": {0}, \"id.resp_h\": \"10.0.0.5\", \"id.orig_p\": 1, \"id.resp_p\": 2, \"proto\": {0}, \"ts\": 1764000000.25}}\n",
                quoted(&field)
            ),
            format!(
                "{{\"id.orig_h\": \"192.0.2.1\", \"id.resp_h\": \"10.0.0.5\", \"id.orig_p\": 1, \"id.resp_p\": 2, \"proto\": {0}, \"ts\": 1764000000.25}}\n",
                quoted(&field)
            ),
        ];
        for (n, log) in logs.iter().enumerate() {
            let name = format!("l{n}.log");
            fs::write(case.dir.path().join(&name), log).unwrap();
            case.run(&["replay", "--rules", "rules.yaml", &name, "--compare-action"]);
            case.run(&["replay", "--rules", "rules.yaml", &name, "--per", "packet"]);
            case.run(&["decode", &name]);
            case.run(&["replay", "--rules", "rules.yaml", &name, "--annotate", "a.pcapng"]);
        }
        // No capture, and no log.
        fs::write(case.dir.path().join("junk"), &field).unwrap();
        assert_eq!(case.run(&["decode", "junk"]).0, Some(2));
    }
}

/// A spreadsheet runs what looks like a formula.
#[test]
fn formulas_in_cells() {
    for formula in ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"] {
        let dir = tempfile::tempdir().unwrap();
        let value = quoted(formula);
        let rules = format!(
            "security_groups: [{{id: sg-a, rules: [{{id: {value}, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0, \
             description: {value}}}, {{id: again, direction: ingress, protocol: tcp, ports: 22, source: 10.0.0.0/8}}]}}]\n\
             interfaces: [{{id: {value}, addresses: [10.0.0.5], security_groups: [sg-a]}}]\n"
        );
        fs::write(dir.path().join("r.yaml"), rules).unwrap();
        fs::write(dir.path().join("none.yaml"), format!("security_groups: [{{id: sg-a}}]\ninterfaces: [{{id: {value}, addresses: [10.0.0.5], security_groups: [sg-a]}}]\n")).unwrap();
        fs::write(dir.path().join("a.yaml"), format!("[{{filter: tcp, reason: {value}}}]"))
            .unwrap();
        fs::write(
            dir.path().join("x.pcap"),
            pcap(101, &[&ipv4("203.0.113.9:40000", "10.0.0.5:22", "S")]),
        )
        .unwrap();
        let mut seen = 0;
        for words in [
            &["check", "r.yaml", "-f", "csv"][..],
            &["convert", "r.yaml", "--to", "csv"],
            &["replay", "--rules", "r.yaml", "x.pcap", "-f", "csv"],
            &["replay", "--rules", "r.yaml", "x.pcap", "--per", "packet", "-f", "csv"],
            &["diff", "--current", "r.yaml", "--proposed", "none.yaml", "-f", "csv"],
            &[
                "diff",
                "--current",
                "r.yaml",
                "--proposed",
                "none.yaml",
                "x.pcap",
                "--accept",
                "a.yaml",
                "-f",
                "csv",
            ],
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
                .args(words)
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{words:?}");
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).from_reader(&output.stdout[..]);
            for cell in reader
                .records()
                .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
            {
                let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
                assert!(!runs || cell.parse::<f64>().is_ok(), "{words:?}: {cell:?}");
                seen += usize::from(cell.starts_with('\''));
            }
        }
        assert!(seen >= 6, "{formula:?} was written {seen} times");
    }
}

/// Markdown that others' words cannot leave.
#[test]
fn markdown_shows_names_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a | b\\` ``` <script>x</script> <!-- @org/team #12 !3 [t](http://x.example) ![i](y) https://x.example www.x.example **b** _i_ ~~s~~ $x$";
    let value = quoted(name);
    let rules = format!(
        "security_groups: [{{id: sg-a, rules: [{{id: {value}, direction: ingress, protocol: tcp, ports: 22, source: 0.0.0.0/0, description: {value}}}]}}]\n"
    );
    fs::write(dir.path().join("r.yaml"), &rules).unwrap();
    fs::write(dir.path().join("p.yaml"), rules.replace("ports: 22", "ports: 23")).unwrap();
    fs::write(dir.path().join("e.yaml"), format!("expectations: [{{name: {value}, protocol: tcp, ports: 22, source: 0.0.0.0/0, verdict: allow}}]")).unwrap();
    fs::write(
        dir.path().join("ci.yaml"),
        "{current: r.yaml, proposed: p.yaml, expectations: e.yaml}",
    )
    .unwrap();
    fs::write(
        dir.path().join("x.pcap"),
        pcap(101, &[&ipv4("203.0.113.9:40000", "10.0.0.5:22", "S")]),
    )
    .unwrap();
    let local = ["--local", "10.0.0.5"];
    let lines: [&[&str]; 5] = [
        &["replay", "--rules", "p.yaml", "x.pcap", local[0], local[1], "-f", "markdown"],
        &[
            "diff",
            "--current",
            "r.yaml",
            "--proposed",
            "p.yaml",
            "x.pcap",
            local[0],
            local[1],
            "-f",
            "markdown",
        ],
        &["diff", "--current", "r.yaml", "--proposed", "p.yaml", "-f", "markdown"],
        &["ci", "ci.yaml", "-f", "markdown"],
        &["convert", "r.yaml", "--to", "markdown"],
    ];
    for words in lines {
        let output = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
            .args(words)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (mut fence, mut columns): (Option<String>, Option<usize>) = (None, None);
        for line in text.lines() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            if ticks >= 3 {
                match &fence {
                    Some(open) => assert_eq!(line, open, "{words:?}"),
                    None => assert!(ticks > 3, "a fence as short as one in a name: {words:?}"),
                }
                fence = match fence {
                    Some(_) => None,
                    None => Some("`".repeat(ticks)),
                };
                continue;
            }
            if fence.is_some() {
                continue;
            }
            for raw in [
                "<script", "[t]", "![", "https://", "http://", "www.x", "@org", "#12", "!3", "**b",
                "_i_", "~~",
            ] {
                assert!(
                    !line.contains(raw) || line.contains(&format!("\\{raw}")),
                    "{words:?}: {raw} in {line}"
                );
            }
            // As many cells as the header has.
            if line.starts_with('|') {
                let bars = line.replace("\\\\", "").replace("\\|", "").matches('|').count();
                assert_eq!(bars, *columns.get_or_insert(bars), "{words:?}: {line}");
            } else {
                columns = None;
            }
        }
        assert_eq!(fence, None, "{words:?}");
        assert!(text.contains("script"), "{words:?}");
    }
}

/// A word of the command line that is no text.
fn odd(name: &str) -> OsString {
    OsStr::from_bytes(&[b"n\xff\xfe", name.as_bytes()].concat()).to_owned()
}

/// Runs a line in which `@` stands for the bytes that are no text.
fn run_odd(dir: &Path, line: &str) -> (Option<i32>, String) {
    let word = |word: &str| match word.split_once('@') {
        Some((before, after)) => {
            let mut whole = OsString::from(before);
            whole.push(odd(after));
            whole
        }
        None => word.into(),
    };
    let words: Vec<OsString> = line.split(' ').map(word).collect();
    let output =
        Command::new(env!("CARGO_BIN_EXE_sgreplay")).args(words).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!text.contains("panicked"), "{line}: {text}");
    (output.status.code(), text)
}

/// Names that are not UTF-8 are read, written and named.
#[test]
fn names_that_are_no_text() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(odd(""))).unwrap();
    for (from, to) in [
        ("current.yaml", ".yaml"),
        ("proposed.yaml", "-proposed.yaml"),
        ("dns.pcap", ".pcap"),
        ("expectations.yaml", "-expected.yaml"),
        ("accepted.yaml", "-accepted.yaml"),
        ("current.yaml", "/current.yaml"),
        ("proposed.yaml", "/proposed.yaml"),
        ("expectations.yaml", "/expectations.yaml"),
        ("accepted.yaml", "/accepted.yaml"),
        ("sgreplay.yaml", "/sgreplay.yaml"),
        ("story.pcap", "/story.pcap"),
    ] {
        fs::copy(root().join("captures").join(from), dir.path().join(odd(to))).unwrap();
    }
    for (line, status) in [
        ("replay --rules @.yaml @.pcap --local 10.0.0.5 --report @.html --hash", 0),
        (
            "replay --rules @.yaml @.pcap --local 10.0.0.5 --write-denied @2.pcap --annotate @.pcapng",
            0,
        ),
        ("replay --rules=@.yaml @.pcap --local 10.0.0.5 --report=@.html", 0),
        (
            "diff --current @.yaml --proposed @-proposed.yaml --accept @-accepted.yaml --local 10.0.0.5 @.pcap \
          --report @.html --write-changed @3.pcap",
            0,
        ),
        ("diff --current @.yaml --proposed @-proposed.yaml", 0),
        ("check @.yaml", 0),
        ("check @.yaml -f sarif", 0),
        ("test @-proposed.yaml @-expected.yaml", 1),
        ("test @-proposed.yaml @-expected.yaml -f junit", 1),
        ("suggest --local 10.0.0.5 @.pcap", 0),
        ("decode @.pcap", 0),
        ("decode @", 0),
        ("convert @.yaml --to csv", 0),
        ("explain --rules @.yaml --local 10.0.0.5 --frame 1 @.pcap", 0),
        ("bench --rules @.yaml --local 10.0.0.5 --runs 1 @.pcap --save @.json", 0),
        ("ci @/sgreplay.yaml --markdown @.md --sarif @.sarif --junit @.xml", 1),
        // Where text is wanted, and where there is no such file.
        ("replay --rules @.yaml @.pcap --filter @", 2),
        ("replay --rules @.yaml @.pcap --interface @=@", 2),
        ("replay --rules @-none @.pcap", 2),
        ("check @-none", 2),
        ("ci @-none", 2),
        ("decode @-none", 2),
        ("@", 2),
    ] {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let (found, text) = run_odd(dir.path(), &line);
        assert_eq!(found, Some(status), "{line}: {text}");
        let named = text.contains("n\\xff\\xfe") || !text.contains(".pcap:");
        assert!(named && !text.contains('\u{fffd}'), "{line}: {text}");
    }
    let page = fs::read_to_string(dir.path().join(odd(".html"))).unwrap();
    assert!(page.contains("n\\xff\\xfe.pcap") && page.contains("--proposed"), "{page}");
}
