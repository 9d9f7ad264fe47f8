//! The file of `sgreplay ci`: what is asked of a proposal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use sgreplay::diff::Effect;
use sgreplay::engine::{CapturePoint, read_text};
use sgreplay::escape;
use sgreplay::rules::{FieldError, Severity};
use sgreplay::yaml::{self, YamlError};

use super::args::{CiArgs, CiFormat};
use crate::args::cidr;
use crate::captures::CaptureArgs;
use crate::command::diff::DiffArgs;
use crate::command::gate::GateArgs;
use crate::command::judging::{JudgeArgs, SwitchArgs, TagNames, tag as tag_of};
use crate::exit::Failure;
use crate::input::{self, STDIN};
use crate::output::Named;
use crate::terminal;

/// The file beside the rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "keys of a file, each by itself")]
pub(super) struct Config {
    pub(super) proposed: Option<PathBuf>,
    pub(super) current: Option<PathBuf>,
    pub(super) plan: Option<PathBuf>,
    #[serde(default)]
    pub(super) captures: Several,
    /// The same, beside the file.
    #[serde(skip)]
    pub(super) capture_paths: Vec<PathBuf>,
    pub(super) expectations: Option<PathBuf>,
    pub(super) accept: Option<PathBuf>,
    pub(super) fail_on: Option<Vec<FailOn>>,
    #[serde(default)]
    pub(super) local: Several,
    #[serde(default)]
    pub(super) decap: Several,
    #[serde(default)]
    pub(super) interfaces: BTreeMap<String, PathBuf>,
    /// What the rules' files do not say: as the options of these names.
    #[serde(default)]
    pub(super) define: BTreeMap<String, Several>,
    #[serde(default)]
    pub(super) groups: Several,
    pub(super) tags: Option<Several>,
    #[serde(default)]
    pub(super) partial: bool,
    #[serde(default)]
    pub(super) no_quota: bool,
    pub(super) cloud: Option<String>,
    #[serde(default)]
    pub(super) vpc_cidr: Several,
    pub(super) filter: Option<String>,
    /// Accepted: captures are always read in the order of their packets' times.
    #[serde(default, rename = "merge")]
    pub(super) _merge: bool,
    #[serde(default)]
    pub(super) as_named: bool,
    #[serde(default)]
    pub(super) allow_truncated: bool,
    pub(super) max_unevaluated: Option<f64>,
    pub(super) markdown: Option<PathBuf>,
    pub(super) sarif: Option<PathBuf>,
    pub(super) code_quality: Option<PathBuf>,
    pub(super) junit: Option<PathBuf>,
}

/// One value or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Several {
    One(String),
    Many(Vec<String>),
}

impl Default for Several {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Several {
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// Each word of the values, which commas may separate.
    pub(super) fn words(&self) -> Vec<String> {
        let words = self.list().iter().flat_map(|text| text.split(','));
        words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn nets(&self) -> Result<Vec<IpNet>, String> {
        self.words().iter().map(|net| cidr(net)).collect()
    }
}

/// What makes a proposal fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FailOn {
    NewlyDenied,
    NewlyAllowed,
    NewError,
    NewWarning,
    Error,
    Warning,
    Expectations,
}

/// The file that is read where none is named.
const USUAL_FILE: &str = "sgreplay.yaml";

impl CiArgs {
    /// The configuration file.
    pub(super) fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(USUAL_FILE))
    }

    /// Whether there is no file and none is needed: none is named, and the command line has two rule sets to compare.
    fn needs_no_file(&self) -> bool {
        let has_both = self.plan.is_some() || self.current.is_some() && self.proposed.is_some();
        self.file.is_none() && has_both && is_absent(Path::new(USUAL_FILE))
    }
}

/// Whether there is no file of that name. One that is there and cannot be read is an error.
fn is_absent(path: &Path) -> bool {
    let found = std::fs::symlink_metadata(path);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// A file that says what such files look like.
pub(super) const EXAMPLE: &str = "\
current: current.yaml
proposed: proposed.yaml
captures: [monday.pcap]
fail_on: [newly-denied, new-error]
local: 10.0.0.5
";

/// What fails where the file does not say.
const USUAL: [FailOn; 3] = [FailOn::NewlyDenied, FailOn::NewError, FailOn::Expectations];

impl Config {
    pub(super) fn read(args: &CiArgs) -> Result<Self, Failure> {
        if args.annotations.is_some() && args.format != CiFormat::Text {
            return Err(Failure::Usage("--annotations needs -f text".to_owned()));
        }
        let name = input::name(args.file());
        let text = if args.needs_no_file() {
            terminal::say(&format!(
                "there is no {USUAL_FILE}: no captures and no assertions; newly denied packets and new errors fail"
            ));
            "{}".to_owned()
        } else if args.file.is_none() && is_absent(args.file()) {
            return Err(Failure::Usage(format!(
                "there is no {USUAL_FILE} here; `sgreplay init CAPTURE` writes one, and rules beside it; or name a file, \
                 --plan, or --current and --proposed"
            )));
        } else {
            read_text(args.file())?
        };
        let mut config: Self = yaml::read(&text).map_err(|YamlError { at, message }| {
            let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
            let message = format!("{name}{at}: {message}");
            match ["proposed", "plan"].iter().any(|key| text.contains(key)) {
                true => Failure::Usage(message),
                false => Failure::Foreign { message, example: EXAMPLE },
            }
        })?;
        // What the file names lies beside it; what the command line names, where it was typed.
        let dir = args.file().parent().unwrap_or(Path::new("")).to_owned();
        let place = |path: &Path| match path.as_os_str() == STDIN {
            true => path.to_owned(),
            false => dir.join(path),
        };
        let beside = |path: &mut Option<PathBuf>, given: &Option<PathBuf>| {
            *path = given.clone().or_else(|| path.as_deref().map(place));
        };
        if let Some(share) = config.max_unevaluated
            && !(0.0..=100.0).contains(&share)
        {
            let message = "`max_unevaluated:` is a percentage, 0 to 100";
            return Err(Failure::Usage(format!("{name}: {message}")));
        }
        let both = config.proposed.is_some() || config.current.is_some();
        if config.plan.is_some() && both && args.plan.is_none() {
            let message = "`plan:` has both sides; leave `proposed:` and `current:` out";
            return Err(Failure::Usage(format!("{name}: {message}")));
        }
        beside(&mut config.plan, &args.plan);
        beside(&mut config.proposed, &args.proposed);
        beside(&mut config.current, &args.current);
        beside(&mut config.markdown, &args.markdown);
        beside(&mut config.sarif, &args.sarif);
        beside(&mut config.code_quality, &args.code_quality);
        beside(&mut config.junit, &args.junit);
        beside(&mut config.expectations, &None);
        beside(&mut config.accept, &None);
        // Each side of a plan is read from the same file; a side that is named is not the plan's.
        if let Some(plan) = &config.plan {
            let sides =
                [(&mut config.proposed, &args.proposed), (&mut config.current, &args.current)];
            for (side, given) in sides {
                *side = given.clone().or_else(|| Some(plan.clone()));
            }
        }
        config.capture_paths =
            config.captures.list().iter().map(|path| place(Path::new(path))).collect();
        for path in config.interfaces.values_mut() {
            // The name of an interface in a pcapng is no file.
            let file = dir.join(&*path);
            if file.exists() {
                *path = file;
            }
        }
        Ok(config)
    }

    pub(super) fn gate(&self) -> GateArgs {
        let usual = GateArgs::default();
        GateArgs {
            allow_truncated: self.allow_truncated,
            max_unevaluated: self.max_unevaluated.unwrap_or(usual.max_unevaluated),
        }
    }

    /// What of traffic it asks for.
    pub(super) fn effects(&self) -> Vec<Effect> {
        let all = [
            (FailOn::NewlyDenied, Effect::NewlyDenied),
            (FailOn::NewlyAllowed, Effect::NewlyAllowed),
        ];
        let asked = all.into_iter().filter(|(what, _)| self.asks(*what));
        asked.map(|(_, effect)| effect).collect()
    }

    pub(super) fn fail_on(&self) -> &[FailOn] {
        self.fail_on.as_deref().unwrap_or(&USUAL)
    }

    /// A condition that the file asks for by name and gives nothing to answer it with.
    pub(super) fn unanswerable(&self) -> Option<&'static str> {
        let has_no_file = |what: FailOn| match what {
            FailOn::Expectations => self.expectations.is_none(),
            FailOn::NewlyDenied | FailOn::NewlyAllowed => self.current.is_none(),
            FailOn::NewError | FailOn::NewWarning | FailOn::Error | FailOn::Warning => false,
        };
        let mut all = self.fail_on.iter().flatten().copied();
        Some(match all.find(|what| has_no_file(*what))? {
            FailOn::Expectations => {
                "`fail_on:` asks for expectations, and `expectations:` names no file"
            }
            _ => {
                "`fail_on:` asks what is newly denied or allowed, and `current:` names no rules file"
            }
        })
    }

    pub(super) fn asks(&self, what: FailOn) -> bool {
        self.fail_on().contains(&what)
    }

    /// Whether findings may make it fail.
    pub(super) fn checks(&self) -> bool {
        [true, false].iter().any(|new| self.least(*new).is_some())
    }

    /// The least severity of new findings that fails, or of any finding.
    pub(super) fn least(&self, new: bool) -> Option<Severity> {
        let [warning, error] = match new {
            true => [FailOn::NewWarning, FailOn::NewError],
            false => [FailOn::Warning, FailOn::Error],
        };
        if self.asks(warning) {
            Some(Severity::Warning)
        } else {
            self.asks(error).then_some(Severity::Error)
        }
    }

    /// What the file names to be read and to be written, beside what the command line names.
    pub(super) fn files(&self, args: &CiArgs) -> Named {
        let given = [&args.proposed, &args.current, &args.plan];
        let files = [&self.proposed, &self.current, &self.expectations, &self.accept];
        let files = files.into_iter().filter(|file| !given.contains(file));
        let mut inputs: Vec<PathBuf> = files.flatten().cloned().collect();
        // Of a plan both sides are one file.
        inputs.dedup();
        inputs.extend(self.capture_paths.iter().chain(self.interfaces.values()).cloned());
        let outputs = [
            ("markdown", &self.markdown),
            ("sarif", &self.sarif),
            ("code_quality", &self.code_quality),
            ("junit", &self.junit),
        ];
        let outputs = outputs.into_iter().filter_map(|(key, path)| Some((key, path.clone()?)));
        Named { inputs, outputs: outputs.collect() }
    }

    /// What the file says of the rules beside their files.
    pub(super) fn switches(&self, name: &str) -> Result<SwitchArgs, Failure> {
        let wrong = |key, error: String| Failure::Usage(format!("{name}: `{key}:` {error}"));
        let define = self.define.iter().map(|(tag, nets)| {
            tag_of(&format!("{tag}={}", nets.list().join(",")))
                .map_err(|error| wrong("define", error))
        });
        let cloud = self.cloud.as_deref().map(str::parse).transpose();
        Ok(SwitchArgs {
            define: define.collect::<Result<_, _>>()?,
            groups: self.groups.words(),
            tags: self.tags.as_ref().map(|tags| TagNames(tags.words())),
            cloud: cloud.map_err(|error: FieldError| wrong("cloud", error.to_string()))?,
            vpc_cidr: self.vpc_cidr.nets().map_err(|error| wrong("vpc_cidr", error))?,
            partial: self.partial,
            no_quota: self.no_quota,
            ..SwitchArgs::default()
        })
    }

    /// The question that `sgreplay diff` is asked.
    pub(super) fn diff_args(
        &self,
        name: &str,
        (current, proposed): (&Path, &Path),
        switches: SwitchArgs,
    ) -> Result<DiffArgs, Failure> {
        let local = self.local.nets();
        let interface = self.interfaces.iter();
        let interface = interface.map(|(eni, of)| CapturePoint {
            interface: eni.clone(),
            source: escape::os(of.as_os_str()),
        });
        let judge = JudgeArgs {
            local: local.map_err(|error| Failure::Usage(format!("{name}: `local:` {error}")))?,
            interface: interface.collect(),
            switches,
            ..JudgeArgs::default()
        };
        let capture = CaptureArgs {
            read: self.capture_paths.clone(),
            decap: self.decap.words(),
            filter: self.filter.clone(),
            as_named: self.as_named,
            ..CaptureArgs::default()
        };
        Ok(DiffArgs {
            current: Some(current.to_owned()),
            proposed: Some(proposed.to_owned()),
            capture,
            judge,
            accept: self.accept.clone(),
            ..DiffArgs::default()
        })
    }
}
