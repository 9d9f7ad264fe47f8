//! Small inputs whose right answers somebody else has written down: `SGREPLAY_CASES` names their folder, with rule files
//! under `rules` and flow logs under `flow_logs`.

use std::path::{Path, PathBuf};

use crate::support::output_in;

fn folder(of: &str) -> Option<PathBuf> {
    std::env::var_os("SGREPLAY_CASES").map(|folder| Path::new(&folder).join(of))
}

const SKIPPED: &str = "SKIPPED: SGREPLAY_CASES names no folder of cases";

/// The status, and both outputs.
fn run(dir: &Path, words: &str) -> (i32, String) {
    let args: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    let (status, out, err) = output_in(dir, &args, b"");
    (status, out + &err)
}

/// `203.0.113.9:50123>10.0.0.96:22 allow` of each row.
fn verdicts(dir: &Path, words: &str) -> Vec<String> {
    let (_, out) = run(dir, &format!("replay --per packet -f csv {words}"));
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(out.as_bytes());
    let header = rows.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name);
    let columns = ["src", "sport", "dst", "dport", "verdict"].map(|name| at(name).unwrap());
    let rows = rows.records().map(Result::unwrap).filter(|row| row.len() == header.len());
    rows.map(|row| {
        let [src, sport, dst, dport, verdict] = columns.map(|column| &row[column]);
        format!("{src}:{sport}>{dst}:{dport} {verdict}")
    })
    .collect()
}

#[test]
fn flow_logs() {
    let Some(dir) = folder("flow_logs") else { return println!("{SKIPPED}") };
    let read = |log: &str| verdicts(&dir, &format!("--rules any.yaml --local 10.0.0.0/8 {log}"));
    let first = "203.0.113.9:50123>10.0.0.96:22 allow";
    assert_eq!(read("cloudwatch-export.log"), [first, "203.0.113.9:50124>10.0.0.96:23 deny"]);
    assert_eq!(read("athena-old.csv"), [first]);
    assert_eq!(
        read("azure-vnet-flow-v4.json"),
        ["10.0.0.6:23956>203.0.113.180:443 allow", "198.51.100.153:55188>10.0.0.6:22 allow"]
    );
    assert_eq!(
        read("nsg.json"),
        ["10.0.0.4:59932>203.0.113.1:443 allow", "198.51.100.190:57770>10.0.0.4:3389 deny"]
    );
    assert_eq!(read("gcp-vpc-flow.json"), ["203.0.113.9:44300>10.0.0.4:22 allow"]);
    assert_eq!(read("eve.json"), ["10.0.4.4:49250>203.0.113.4:443 allow"]);
    let compared = |log: &str| {
        let words = "replay --rules any.yaml --local 10.0.0.0/8 --compare-action";
        run(&dir, &format!("{words} --fail-on action-differs {log}")).0
    };
    let logs = ["cloudwatch-export.log", "athena-old.csv", "nsg.json", "azure-vnet-flow-v4.json"];
    assert_eq!(logs.map(compared), [0, 0, 0, 1]);
    let (status, said) = run(&dir, "replay --rules any.yaml v5-nohdr-space.log");
    assert!(status == 2 && said.contains("--fields"), "{said}");
}

const TAGS: &str = "--define VirtualNetwork=10.0.0.0/8 --define Internet=0.0.0.0/0,::/0";

#[test]
fn rules_of_whole_accounts() {
    let Some(dir) = folder("rules") else { return println!("{SKIPPED}") };
    let (status, said) = run(&dir, "check --notes aws-check-two-groups.json");
    assert_eq!(status, 0, "{said}");
    for code in ["redundant", "shadowed", "unmatchable", "same-as-default"] {
        assert!(!said.contains(code), "{said}");
    }
    for file in ["aws-17-groups.json", "aws-2-nacls.json"] {
        assert_eq!(run(&dir, &format!("check {file}")).0, 0);
        assert_eq!(run(&dir, &format!("convert {file} --to yaml")).0, 0);
    }
    // Nobody can remove the entries `*`: no finding is about one.
    for file in ["aws-2-nacls.json", "t3-nacl.json"] {
        let (_, said) = run(&dir, &format!("check --notes {file}"));
        let about = |line: &str| !line.starts_with(' ') && line.contains("32767");
        assert!(!said.lines().any(about), "{said}");
    }
    assert_eq!(
        verdicts(&dir, "--rules t3-nacl.json --local 10.0.0.5 t3.pcap")
            .iter()
            .map(|row| row.rsplit(' ').next().unwrap())
            .collect::<Vec<_>>(),
        ["allow", "deny", "allow", "deny"]
    );
    for file in ["azure-two-nsgs.json", "azure-two-nsgs-same-name.json"] {
        let (status, said) = run(&dir, &format!("check {file} {TAGS}"));
        assert!(status == 0 && !said.contains("shadowed"), "{said}");
    }
}

#[test]
fn a_listing_without_interfaces_asks() {
    let Some(dir) = folder("rules") else { return println!("{SKIPPED}") };
    let words = format!("--rules azure-two-nsgs.json {TAGS} --local 10.0.0.5 t3.pcap");
    let (status, said) = run(&dir, &format!("replay {words}"));
    assert!(status == 2 && said.contains("--groups"), "{said}");
    for (group, verdict) in [("web-nsg", "allow"), ("dev-nsg", "deny")] {
        let rows = verdicts(&dir, &format!("{words} --groups {group}"));
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.ends_with(verdict)), "{rows:?}");
    }
}

#[test]
fn terraform() {
    let Some(dir) = folder("rules") else { return println!("{SKIPPED}") };
    for file in ["tf-plan-aws-sg.json", "tfstate-azurerm-nsg.tfstate"] {
        let judge = |port: u16| {
            let words = "--direction ingress --proto tcp --src 203.0.113.9:40000 --dst 10.0.0.5";
            run(&dir, &format!("explain --rules {file} {words}:{port} {TAGS} --partial")).1
        };
        assert!(judge(22).contains("\nallow: ") && judge(23).contains("\ndeny: "), "{}", judge(22));
    }
    let (_, said) = run(&dir, "check tf-plan-mixed-ali-aws.json");
    assert!(said.contains("left out: aws_security_group.web"), "{said}");
}
