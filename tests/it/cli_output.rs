//! How much is said, and where: `--quiet`, `--verbose`, the terminal's width, Markdown.

use std::process::Command;

use insta::assert_snapshot;

use crate::support::{output_in, root, run};

const DIFF: [&str; 8] = [
    "diff",
    "--current",
    "current.yaml",
    "--proposed",
    "proposed.yaml",
    "story.pcap",
    "--local",
    "10.0.0.5,2001:db8:a::5",
];

const REPLAY: [&str; 6] =
    ["replay", "--rules", "current.yaml", "story.pcap", "--local", "10.0.0.5,2001:db8:a::5"];

#[test]
fn markdown_for_a_comment() {
    assert_snapshot!("markdown diff", run(&[&DIFF[..], &["-f", "markdown"]].concat()));
    assert_snapshot!("markdown replay", run(&[&REPLAY[..], &["-f", "markdown"]].concat()));
    assert_snapshot!("markdown rules", run(&[&DIFF[..5], &["-f", "markdown"]].concat()));
    let per = run(&[&REPLAY[..], &["-f", "markdown", "--per", "packet"]].concat());
    assert!(per.contains("markdown is for the summary"), "{per}");
}

/// The exit status is the answer, and nothing is said; but errors are.
#[test]
fn quiet() {
    let answers = [
        (&[&DIFF[..], &["--fail-on", "any"]].concat()[..], 1),
        (&[&DIFF[..5], &["--fail-on", "newly-allowed"]].concat()[..], 0),
        (&[&REPLAY[..4], &["--fail-on", "denied"]].concat()[..], 1),
        (&[&REPLAY[..4], &["--per", "packet"]].concat()[..], 0),
        (&["check", "current.yaml", "--fail-on", "error"][..], 1),
        (&["test", "proposed.yaml", "expectations.yaml"][..], 1),
        (&["ci", "sgreplay.yaml"][..], 1),
    ];
    for (args, wanted) in answers {
        let quiet = [args, &["--quiet"]].concat();
        let (status, out, err) = output_in(&root().join("captures"), &quiet, b"");
        assert_eq!((status, out.as_str(), err.as_str()), (wanted, "", ""), "{args:?}");
    }
    let none = run(&["replay", "-q", "--rules", "none.yaml", "story.pcap"]);
    assert!(none.contains("error: none.yaml: no such file"), "{none}");
    // Who asks for JSON gets it.
    assert!(run(&[&REPLAY[..], &["-q", "-f", "json"]].concat()).contains("\"schema\": 1"));
}

/// A scan of 250 ports, of which every line is shown.
#[test]
fn verbose() {
    let scan = ["replay", "--rules", "current.yaml", "scan.pcap"];
    let usual = run(&scan);
    let all = run(&[&scan[..], &["--verbose"]].concat());
    assert!(all.lines().count() >= usual.lines().count());
    assert!(!all.contains("more lines"), "{all}");
}

/// On a terminal tables are as wide as it, and nothing is left out; what is piped is as it is.
#[test]
fn the_width_of_a_terminal() {
    let words = |text: &str| -> Vec<String> {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    let command = format!("{} {} 2>/dev/null", env!("CARGO_BIN_EXE_sgreplay"), DIFF.join(" "));
    let script = Command::new("script")
        .args(["-qc", &command, "/dev/null"])
        .current_dir(root().join("captures"))
        .env("COLUMNS", "110")
        .env("NO_COLOR", "1")
        .output();
    let Ok(output) = script else {
        println!("SKIPPED: script is not installed, so there was no terminal to be as wide as");
        return;
    };
    let terminal = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let (_, piped, _) = output_in(&root().join("captures"), &DIFF, b"");
    assert_eq!(words(&terminal), words(&piped), "{terminal}");
    let wide = terminal.lines().filter(|line| line.chars().count() > 110).collect::<Vec<_>>();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(piped.lines().any(|line| line.chars().count() > 110));
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let run = |args: &[&str]| {
        let (status, out, err) = output_in(root(), args, b"");
        assert_eq!((status, err.as_str()), (0, ""), "{args:?}");
        out
    };
    let completions = run(&["completions", "bash"]);
    let program = run(&["man"]);
    let help = run(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| !line.starts_with("    "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(run(&["man", name]).contains(&format!("sgreplay\\-{name}")), "{name}");
        assert!(program.contains(&format!("sgreplay\\-{name}")), "{name}");
        assert!(completions.contains(&format!("sgreplay,{name})")), "{name}");
    }
}
