//! The README shows real output: every `console` block is run.

use crate::support::{output_in, root};

#[test]
fn console_blocks_are_what_the_program_prints() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<&str> = readme
        .split("```console\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() > 1);
    for block in blocks {
        let (command, shown) = block.split_once('\n').unwrap();
        let args = command
            .strip_prefix("$ cargo run --release -- ")
            .or(command.strip_prefix("$ sgreplay "));
        let command = args.expect("a command of ours");
        // The status is shown where it is the point.
        let (command, shows_status) = match command.strip_suffix("; echo $?") {
            Some(command) => (command, true),
            None => (command, false),
        };
        let args: Vec<&str> = command.split_whitespace().collect();
        let (status, mut printed, _) = output_in(root(), &args, b"");
        if shows_status {
            printed = format!("{printed}{status}\n");
        } else {
            assert_eq!(status, 0);
        }
        shows(printed.trim_end(), shown.trim_end(), command);
    }
}

/// What is shown is what was printed, but for what a line with `…` stands for.
fn shows(printed: &str, shown: &str, command: &str) {
    let mut rest = format!("{printed}\n");
    for (n, part) in format!("{shown}\n").split("…\n").enumerate() {
        let at = rest.find(part).unwrap_or_else(|| panic!("{command}\n{part}\n── of\n{printed}"));
        assert!(n > 0 || at == 0, "{command}: {printed}");
        rest.drain(..at + part.len());
    }
    assert!(rest.is_empty() || shown.ends_with('…'), "{command}: not shown: {rest}");
}

/// The rules file of the README is one.
#[test]
fn the_rules_file_is_valid() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let files = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let yaml = files.clone().find(|yaml| yaml.starts_with("security_groups:")).unwrap();
    for yaml in files {
        serde_yaml::from_str::<serde_yaml::Value>(yaml).unwrap();
    }
    let rules = sgreplay::parse::yaml("README.md", yaml).unwrap();
    assert_eq!(rules.interfaces()[0].id, "eni-web");
}
