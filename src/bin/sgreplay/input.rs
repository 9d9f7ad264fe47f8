//! Files, as the user names them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sgreplay::baseline::Accepted;
use sgreplay::capture::Capture;
use sgreplay::escape;
use sgreplay::parse::{self, Content, LoadOptions, Positions, Source};
use sgreplay::report::RulesInput;
use sgreplay::rules::{Expectation, RuleSet};
use sha2::{Digest, Sha256};

use crate::exit::Failure;
use crate::terminal;

/// How standard input is named.
pub(crate) const STDIN: &str = "-";
/// Rules files are read whole; none that people write comes near this.
const LARGEST_RULES: u64 = 64 << 20;

/// A text file, read whole.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let name = name(path);
    let usage = |error: &str| Failure::Usage(format!("{name}: {error}"));
    let read = |source: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.take(LARGEST_RULES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = if path.as_os_str() == STDIN {
        read(&mut io::stdin().lock())
    } else {
        File::open(path).and_then(|mut file| read(&mut file))
    };
    let bytes = bytes.map_err(|error| usage(&why(&error)))?;
    if Capture::recognises(&bytes) {
        return Err(usage("is a capture; rules come with --rules, captures alone"));
    }
    if bytes.len() as u64 > LARGEST_RULES {
        return Err(usage("has more than 64 MiB, which no rules come near"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(&format!("byte {at} is not UTF-8 text"))
    })
}

/// Reads the changes that were accepted.
pub(crate) fn accepted(path: &Path) -> Result<Accepted, Failure> {
    let name = name(path);
    Ok(Accepted::parse(&name, &text(path)?, today())?)
}

/// Reads what is expected of rules.
pub(crate) fn expectations(
    path: &Path,
    rules: &RuleSet,
) -> Result<(Vec<Expectation>, RulesInput), Failure> {
    let (name, text) = (name(path), text(path)?);
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    let input = RulesInput { path: name.clone(), sha256, ..RulesInput::default() };
    Ok((parse::expectations(&name, &text, rules)?, input))
}

/// The day, in UTC.
pub(crate) fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

/// A rules file, read.
pub(crate) struct RulesFile {
    pub rules: RuleSet,
    pub input: RulesInput,
    pub positions: Positions,
}

/// How rules are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// What the user says where files do not.
    pub hints: LoadOptions,
    /// Of a plan: which side.
    pub side: Side,
}

/// A side of a Terraform plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    /// As it is.
    Current,
    /// As it would be.
    #[default]
    Proposed,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Proposed => "proposed",
        }
    }
}

/// Reads the rules.
pub(crate) fn rules(path: &Path, reading: Reading) -> Result<(RuleSet, RulesInput), Failure> {
    let RulesFile { rules, input, positions: _ } = rules_file(path, reading)?;
    Ok((rules, input))
}

/// Reads the rules, and keeps where they stand.
pub(crate) fn rules_file(path: &Path, reading: Reading) -> Result<RulesFile, Failure> {
    let LoadOptions { groups, partial, .. } = reading.hints.clone();
    let mut read = rules_of(path, reading)?;
    for missing in read.rules.incomplete() {
        terminal::say(&format!("warning: {}: {missing}", read.input.path));
    }
    if partial {
        read.rules.accept_incomplete();
    }
    if !groups.is_empty() {
        let cannot = |message| Failure::Usage(format!("{}: {message}", read.input.path));
        read.rules.choose_groups(&groups).map_err(cannot)?;
    }
    Ok(read)
}

fn rules_of(path: &Path, reading: Reading) -> Result<RulesFile, Failure> {
    let Files { name, texts, sha256, content } = files(path, &reading.hints)?;
    let Reading { hints, side } = reading;
    let (loaded, path) = match content {
        Content::Own => {
            let text = texts.into_iter().next().map(|(_, text)| text).unwrap_or_default();
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
            if let Some(option) = not_for_own(&hints) {
                terminal::say(&format!(
                    "warning: {name}: {option} has no effect: it completes what a cloud prints, and this rules file \
                     says it itself"
                ));
            }
            let rules = parse::yaml(&name, &text)?;
            let input = RulesInput::new(name, sha256, &rules);
            return Ok(RulesFile { rules, input, positions: Positions::new(text) });
        }
        Content::Rules(loaded) => (*loaded, name.clone()),
        Content::Plan(plan) => {
            let of_side = match side {
                Side::Current => plan.current,
                Side::Proposed => plan.proposed,
            };
            if of_side.is_empty() {
                let why = match side {
                    Side::Current => {
                        "no security group exists before this plan; judge what it proposes alone"
                    }
                    Side::Proposed => {
                        "no security group is left after this plan, which destroys them"
                    }
                };
                return Err(Failure::Usage(format!("{name}: {why}")));
            }
            (of_side, format!("{name} ({})", side.as_str()))
        }
    };
    let (rules, warnings) = loaded.rule_set(&name, &hints)?;
    for warning in warnings {
        terminal::say(&format!("warning: {path}: {warning}"));
    }
    let input = RulesInput::new(path, sha256, &rules);
    Ok(RulesFile { rules, input, positions: Positions::default() })
}

/// An option that completes what files of clouds leave open, and has no effect on a rules file of ours.
fn not_for_own(options: &LoadOptions) -> Option<&'static str> {
    let LoadOptions {
        group_type, inner_access_policy, tags, instance_tags, parameters, cloud, ..
    } = options;
    let given = [
        (group_type.is_some(), "--type"),
        (inner_access_policy.is_some(), "--inner-access-policy"),
        (!tags.is_empty(), "--define"),
        (instance_tags.is_some(), "--tags"),
        (!parameters.is_empty(), "--param"),
        (cloud.is_some(), "--cloud"),
    ];
    given.into_iter().find_map(|(given, option)| given.then_some(option))
}

/// What a path names, read and recognised.
pub(crate) struct Files {
    /// In messages.
    pub name: String,
    /// Each file's name and text.
    pub texts: Vec<(String, String)>,
    pub sha256: String,
    pub content: Content,
}

/// Reads a file, or all files of a directory as one rule set.
pub(crate) fn files(path: &Path, hints: &LoadOptions) -> Result<Files, Failure> {
    let name = name(path);
    let mut texts = Vec::new();
    if path.is_dir() {
        let unreadable = |error: io::Error| Failure::Usage(format!("{name}: {error}"));
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            if path.is_file() && ["json", "yaml", "yml", "tf"].contains(&kind) {
                paths.push(path);
            } else if path.is_file() && kind == "tfstate" {
                // It may be of the same resources as the files beside it.
                let message = "a state in a directory is not read; name the file itself";
                terminal::say(&format!("warning: {}: {message}", self::name(&path)));
            }
        }
        paths.sort();
        if paths.is_empty() {
            let message = "a directory without .json, .yaml or .tf files; name the rules file";
            return Err(Failure::Usage(format!("{name}: {message}")));
        }
        for path in paths {
            texts.push((self::name(&path), text(&path)?));
        }
    } else {
        texts.push((name.clone(), text(path)?));
    }
    let mut hash = Sha256::new();
    for (file, text) in &texts {
        if texts.len() > 1 {
            hash.update(file.as_bytes());
        }
        hash.update(text.as_bytes());
    }
    let sources: Vec<Source<'_>> = texts.iter().map(|(name, text)| Source { name, text }).collect();
    let content = parse::load(&sources, hints)?;
    Ok(Files { name, sha256: hex(&hash.finalize()), content, texts })
}

/// A path in messages.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { escape::path(path) }
}

/// Why the system does not open a file.
pub(crate) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; name the file in it".to_owned(),
        _ => error.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// When the file cannot be read to its end: a hash that was asked for is there or is missed.
pub(crate) fn file_sha256(path: &Path) -> Result<String, Failure> {
    let hash = || -> io::Result<String> {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
        Ok(hex(&hash.finalize()))
    };
    hash().map_err(|error| Failure::Usage(format!("{}: no hash: {}", name(path), why(&error))))
}

struct HashWriter<'h>(&'h mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_has_no_hash() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_sha256(&file).unwrap(), abc);
        // One that is not there, and one that opens and does not read.
        assert!(file_sha256(&dir.path().join("none")).is_err());
        assert!(file_sha256(dir.path()).is_err());
    }
}
