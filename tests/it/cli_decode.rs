//! `sgreplay decode` and `sgreplay services` as processes.

use insta::assert_snapshot;

use crate::support::run;

#[test]
fn text_for_people() {
    assert_snapshot!(run(&["decode", "-c", "6", "any.pcap"]));
}

#[test]
fn json_and_ndjson() {
    assert_snapshot!("json", run(&["decode", "-c", "2", "-f", "json", "dns.pcap"]));
    assert_snapshot!("ndjson", run(&["decode", "-c", "2", "-f", "ndjson", "dns.pcap"]));
}

#[test]
fn a_choice_of_packets() {
    assert_snapshot!(
        "filter",
        run(&[
            "decode",
            "--filter",
            "tcp port 53 and src net 203.0.113.0/24",
            "-c",
            "3",
            "dns.pcap"
        ])
    );
    assert_snapshot!(
        "several captures",
        run(&["decode", "--filter", "icmp", "-r", "ping.pcap", "-r", "any.pcap", "-c", "9"])
    );
}

#[test]
fn a_choice_of_time() {
    let all = run(&["decode", "-f", "csv", "dns.pcap"]);
    let time = |line: usize| all.lines().nth(line).unwrap().split(',').nth(1).unwrap().to_owned();
    let seconds = |ns: &str| {
        let (seconds, fraction) = ns.split_at(10);
        format!("{seconds}.{fraction}")
    };
    let (third, sixth) = (time(4), time(7));
    let chosen = run(&[
        "decode",
        "-f",
        "csv",
        "--since",
        &seconds(&third),
        "--until",
        &seconds(&sixth),
        "dns.pcap",
    ]);
    let frames: Vec<&str> =
        chosen.lines().skip(3).take_while(|line| !line.starts_with('─')).collect();
    assert_eq!(frames.len(), 3, "{chosen}");
}

#[test]
fn services() {
    assert_snapshot!("all", run(&["services"]));
    assert_snapshot!("one as csv", run(&["services", "-f", "csv", "dns"]));
}

#[test]
fn help_is_complete() {
    for verb in [
        "", "replay", "diff", "check", "test", "suggest", "ci", "convert", "explain", "decode",
        "bench", "services",
    ] {
        let args: Vec<&str> =
            [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        assert_snapshot!(format!("help sgreplay {verb}").trim_end(), run(&args));
    }
}
