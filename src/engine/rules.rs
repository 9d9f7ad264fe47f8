//! Rules files, as the user names them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::capture::{Capture, os_error};
use crate::error::Error;
use crate::parse::{self, Content, LoadOptions, Positions, Source};
use crate::rules::{Cloud, RuleSet, Switches};
use crate::sources::{STDIN, name};

/// Rules files are read whole; none that people write comes near this.
const LARGEST_RULES: u64 = 64 << 20;

/// The rules file that results were made from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RulesInput {
    /// As the user named it.
    pub path: String,
    /// Of its bytes.
    pub sha256: String,
    /// Whose rules they are, where they are not Alibaba Cloud's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// How they are judged where that is not as Alibaba Cloud's security groups are: [`RuleSet::profile`].
    #[serde(skip)]
    pub profile: Vec<&'static str>,
}

impl RulesInput {
    /// A rules file, under a name.
    pub fn new(path: String, sha256: String, rules: &RuleSet) -> Self {
        let cloud = Some(rules.cloud()).filter(|cloud| *cloud != Cloud::Alibaba);
        Self { path, sha256, cloud, profile: rules.profile() }
    }

    /// A file beside the rules.
    pub fn beside(path: String, text: &str) -> Self {
        Self { path, sha256: hex(&Sha256::digest(text.as_bytes())), ..Self::default() }
    }
}

/// How rules are read.
#[derive(Clone, Debug, Default)]
pub struct RulesRequest {
    /// What the user says where files do not.
    pub options: LoadOptions,
    /// Of a Terraform plan: which side.
    pub side: PlanSide,
    /// Answers to questions that the cloud's documents leave open.
    pub switches: Switches,
}

/// A side of a Terraform plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanSide {
    /// As it is.
    Current,
    /// As it would be.
    #[default]
    Proposed,
}

impl PlanSide {
    /// The word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Proposed => "proposed",
        }
    }
}

/// A rules file, or a directory of files that are one rule set together, read.
#[derive(Debug)]
pub struct RulesFile {
    /// The rules.
    pub rules: RuleSet,
    /// Where they are from.
    pub input: RulesInput,
    /// Where they stand in our own rules file.
    pub positions: Positions,
    /// What is to be said of them, each with the file's name.
    pub warnings: Vec<String>,
}

impl RulesFile {
    /// Reads rules of any format.
    ///
    /// # Errors
    /// When a file cannot be read, is of no format that is read, or holds rules that the cloud would refuse.
    pub fn load(path: &Path, request: &RulesRequest) -> Result<Self, Error> {
        Self::from_text(RulesText::read(path, &request.options)?, request)
    }

    /// The rules of a text that was read.
    ///
    /// # Errors
    /// As [`RulesFile::load`].
    pub fn from_text(text: RulesText, request: &RulesRequest) -> Result<Self, Error> {
        let LoadOptions { groups, partial, .. } = &request.options;
        let mut read = Self::of_text(text, request)?;
        let missing = read.rules.incomplete().iter();
        read.warnings.extend(missing.map(|missing| format!("{}: {missing}", read.input.path)));
        if *partial {
            read.rules.accept_incomplete();
        }
        if !groups.is_empty() {
            let cannot = |message| Error::Question(format!("{}: {message}", read.input.path));
            read.rules.choose_groups(groups).map_err(cannot)?;
        }
        read.rules.set_switches(request.switches.clone());
        Ok(read)
    }

    fn of_text(text: RulesText, request: &RulesRequest) -> Result<Self, Error> {
        let RulesText { name, texts, sha256, content, mut warnings } = text;
        let (loaded, path) = match content {
            Content::Own => {
                let text = texts.into_iter().next().map(|(_, text)| text).unwrap_or_default();
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
                if let Some(option) = not_for_own(&request.options) {
                    warnings.push(format!(
                        "{name}: {option} has no effect: it completes what a cloud prints, and this rules file says \
                         it itself"
                    ));
                }
                let rules = parse::yaml_with(&name, &text, request.options.quotas)?;
                let input = RulesInput::new(name, sha256, &rules);
                return Ok(Self { rules, input, positions: Positions::new(text), warnings });
            }
            Content::Rules(loaded) => (*loaded, name.clone()),
            Content::Plan(plan) => {
                let side = request.side;
                let (of_side, why) = match side {
                    PlanSide::Current => (
                        plan.current,
                        "no security group exists before this plan; judge what it proposes alone",
                    ),
                    PlanSide::Proposed => (
                        plan.proposed,
                        "no security group is left after this plan, which destroys them",
                    ),
                };
                if of_side.is_empty() {
                    return Err(Error::Question(format!("{name}: {why}")));
                }
                (of_side, format!("{name} ({})", side.as_str()))
            }
        };
        let (rules, found) = loaded.rule_set(&name, &request.options)?;
        warnings.extend(found.into_iter().map(|warning| format!("{path}: {warning}")));
        let input = RulesInput::new(path, sha256, &rules);
        Ok(Self { rules, input, positions: Positions::default(), warnings })
    }
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
#[derive(Clone, Debug)]
pub struct RulesText {
    /// In messages.
    pub name: String,
    /// Each file's name and text.
    pub texts: Vec<(String, String)>,
    /// Of all texts.
    pub sha256: String,
    /// What is in them.
    pub content: Content,
    /// What is to be said of files that were not read, each with its name.
    pub warnings: Vec<String>,
}

impl RulesText {
    /// Reads a file, or all files of a directory as one rule set.
    ///
    /// # Errors
    /// When a file cannot be read, or is of no format that is read.
    pub fn read(path: &Path, options: &LoadOptions) -> Result<Self, Error> {
        let name = name(path);
        let (mut texts, mut warnings) = (Vec::new(), Vec::new());
        if path.is_dir() {
            for path in files_of(path, &mut warnings)? {
                texts.push((self::name(&path), read_text(&path)?));
            }
        } else {
            texts.push((name.clone(), read_text(path)?));
            // What it says with other values is not what Terraform makes of it.
            if is_terraform(path) {
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
                for path in values_in(dir.unwrap_or(Path::new(".")), &mut warnings)? {
                    texts.push((self::name(&path), read_text(&path)?));
                }
            }
        }
        Ok(Self { warnings, ..Self::new(name, texts, options)? })
    }

    /// Recognises texts that are one rule set together, each under its file's name.
    ///
    /// # Errors
    /// When their format is not known.
    pub fn new(
        name: String,
        texts: Vec<(String, String)>,
        options: &LoadOptions,
    ) -> Result<Self, Error> {
        let mut hash = Sha256::new();
        for (file, text) in &texts {
            if texts.len() > 1 {
                hash.update(file.as_bytes());
            }
            hash.update(text.as_bytes());
        }
        let sources = texts.iter().map(|(name, text)| Source { name, text });
        let content = parse::load(&sources.collect::<Vec<_>>(), options)?;
        Ok(Self { name, sha256: hex(&hash.finalize()), texts, content, warnings: Vec::new() })
    }
}

/// The files of a directory that hold rules, in the order of their names.
fn files_of(dir: &Path, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: io::Error| Error::Question(format!("{}: {error}", name(dir)));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if path.is_file() && ["json", "yaml", "yml", "tf"].contains(&kind) {
            paths.push(path);
        } else if path.is_file() && kind == "tfstate" {
            // It may be of the same resources as the files beside it.
            let message = "a state in a directory is not read; name the file itself";
            warnings.push(format!("{}: {message}", name(&path)));
        }
    }
    paths.sort();
    if paths.iter().any(|path| is_terraform(path)) {
        paths.retain(|path| !is_values(path));
        paths.extend(values_in(dir, warnings)?);
    }
    match paths.is_empty() {
        true => Err(Error::Question(format!(
            "{}: a directory without .json, .yaml or .tf files; name the rules file",
            name(dir)
        ))),
        false => Ok(paths),
    }
}

fn is_terraform(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "tf")
}

/// Whether a file has values of Terraform's variables.
fn is_values(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".tfvars") || name.ends_with(".tfvars.json")
}

/// The files of a directory whose values Terraform takes without being asked to.
fn values_in(dir: &Path, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: io::Error| Error::Question(format!("{}: {error}", name(dir)));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !path.is_file() || !is_values(&path) {
            continue;
        }
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let file = file.strip_suffix(".json").unwrap_or(file);
        if file == "terraform.tfvars" || file.ends_with(".auto.tfvars") {
            found.push(path);
        } else {
            let message = "is not read: Terraform takes its values only with -var-file";
            warnings.push(format!("{}: {message}", name(&path)));
        }
    }
    found.sort();
    Ok(found)
}

/// A text file, or standard input (`-`), read whole.
///
/// # Errors
/// When it cannot be read, is a capture, has more than 64 MiB, or is no UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let name = name(path);
    let question = |error: &str| Error::Question(format!("{name}: {error}"));
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
    let bytes = bytes.map_err(|error| question(&os_error(&error)))?;
    if Capture::recognises(&bytes) {
        return Err(question("is a capture; rules come with --rules, captures alone"));
    }
    if bytes.len() as u64 > LARGEST_RULES {
        return Err(question("has more than 64 MiB, which no rules come near"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(question(
            "is a zip archive, as a binary plan of Terraform is: `terraform show -json PLAN` prints it",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(question("is text in UTF-16; `iconv -f UTF-16 -t UTF-8 IN > OUT` converts it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        question(&format!("byte {at} is not UTF-8 text"))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// When the file cannot be read to its end: a hash that was asked for is there or is missed.
pub fn file_sha256(path: &Path) -> Result<String, Error> {
    let hash = || -> io::Result<String> {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
        Ok(hex(&hash.finalize()))
    };
    hash()
        .map_err(|error| Error::Question(format!("{}: no hash: {}", name(path), os_error(&error))))
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
