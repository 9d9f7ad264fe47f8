//! Files, as the user names them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sgreplay::accept::Accepted;
use sgreplay::capture::Capture;
use sgreplay::parse::{self, Positions};
use sgreplay::report::RulesInput;
use sgreplay::rules::{Expectation, RuleSet};
use sha2::{Digest, Sha256};

use crate::exit::Failure;

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
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => usage("no such file"),
        io::ErrorKind::PermissionDenied => usage("permission denied"),
        io::ErrorKind::IsADirectory => usage("is a directory; name the rules file in it"),
        _ => usage(&error.to_string()),
    })?;
    if Capture::recognises(&bytes) {
        return Err(usage("is a capture; rules come with --rules, captures alone"));
    }
    if bytes.len() as u64 > LARGEST_RULES {
        return Err(usage("has more than 64 MiB; a rules file is text written by people"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(&format!("byte {at} is not UTF-8 text"))
    })
}

/// Reads the changes that were accepted.
pub(crate) fn accepted(path: &Path) -> Result<Accepted, Failure> {
    let name = name(path);
    Accepted::parse(&name, &text(path)?, today()).map_err(Failure::Usage)
}

/// Reads what is expected of rules.
pub(crate) fn expectations(
    path: &Path,
    rules: &RuleSet,
) -> Result<(Vec<Expectation>, RulesInput), Failure> {
    let (name, text) = (name(path), text(path)?);
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    Ok((parse::expectations(&name, &text, rules)?, RulesInput { path: name, sha256 }))
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

/// Reads the rules; `told_apart` if captures say at which interface they were made.
pub(crate) fn rules(path: &Path, told_apart: bool) -> Result<(RuleSet, RulesInput), Failure> {
    let RulesFile { rules, input, positions: _ } = rules_file(path, told_apart)?;
    Ok((rules, input))
}

/// Reads the rules, and keeps where they stand.
pub(crate) fn rules_file(path: &Path, told_apart: bool) -> Result<RulesFile, Failure> {
    let (name, text) = (name(path), text(path)?);
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    let read = if told_apart { parse::yaml_told_apart } else { parse::yaml };
    let (rules, input) = (read(&name, &text)?, RulesInput { path: name, sha256 });
    Ok(RulesFile { rules, input, positions: Positions::new(text) })
}

/// A path in messages.
pub(crate) fn name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// SHA-256 of a file in hexadecimal; `None` where it cannot be read.
pub(crate) fn file_sha256(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hex(&hash.finalize())),
            n => hash.update(buffer.get(..n)?),
        }
    }
}
