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
        let args: Vec<&str> = args.expect("a command of ours").split_whitespace().collect();
        let (status, printed, _) = output_in(root(), &args, b"");
        assert_eq!(status, 0);
        assert_eq!(printed.trim_end(), shown.trim_end(), "{command}");
    }
}

/// The rules file of the README is one.
#[test]
fn the_rules_file_is_valid() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let yaml = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let rules = sgreplay::parse::yaml("README.md", yaml).unwrap();
    assert_eq!(rules.interfaces()[0].id, "eni-web");
}
