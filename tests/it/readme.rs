//! The README and the manual show real output: every `console` block is run.

use std::path::PathBuf;

use crate::support::{output_in, root};

/// The README and the pages of the manual, each with its text.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
    let manual = std::fs::read_dir(root().join("src/manual")).unwrap();
    let mut paths: Vec<PathBuf> = manual.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("README.md"));
    paths.sort();
    assert!(paths.len() > 2, "the test has found nothing to check");
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The code blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn console_blocks_are_what_the_program_prints() {
    let mut run = 0;
    for (path, text) in pages() {
        for block in blocks(&text, "console") {
            let (command, shown) = block.split_once('\n').unwrap();
            let args = command
                .strip_prefix("$ cargo run --release -- ")
                .or(command.strip_prefix("$ sgreplay "));
            let Some(command) = args else { panic!("{}: {command}", path.display()) };
            // The status is shown where it is the point.
            let (command, shows_status) = match command.strip_suffix("; echo $?") {
                Some(command) => (command, true),
                None => (command, false),
            };
            let args = words(command);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let (status, mut printed, _) = output_in(root(), &args, b"");
            if shows_status {
                printed = format!("{printed}{status}\n");
            } else {
                assert_eq!(status, 0, "{}: {command}", path.display());
            }
            shows(printed.trim_end(), shown.trim_end(), command);
            run += 1;
        }
    }
    assert!(run > 1);
}

/// The words of a command, of which some are in single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in command.split('\'').enumerate() {
        match n % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
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

/// Every `yaml` block is YAML, and one that starts like a rules file is one.
#[test]
fn rules_files_are_valid() {
    let mut interfaces = Vec::new();
    for (path, text) in pages() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for yaml in blocks(&text, "yaml") {
            serde_yaml::from_str::<serde_yaml::Value>(yaml).unwrap();
            if ["security_groups:", "cloud:"].iter().any(|key| yaml.starts_with(key)) {
                let rules = sgreplay::parse::yaml(&name, yaml).unwrap();
                interfaces.extend(rules.interfaces().iter().map(|eni| eni.id.clone()));
            }
        }
    }
    assert!(interfaces.len() > 1 && interfaces.iter().all(|id| id == "eni-web"));
}
