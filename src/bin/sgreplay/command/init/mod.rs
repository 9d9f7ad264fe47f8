//! `sgreplay init`: files to start from, made of a capture.

mod files;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use sgreplay::capture::os_error;
use sgreplay::report::plural;

use super::judging::{JudgeArgs, SwitchArgs};
use super::schema;
use super::suggest::{self, LearnArgs, SuggestArgs, Suggested};
use super::{ended, stdout};
use crate::args::{TextOrJson, cidr};
use crate::captures::CaptureArgs;
use crate::exit::{ExitStatus, Failure};
use crate::input::{self, STDIN};
use crate::terminal;
use files::{config, rules_file};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Written are current.yaml (the rules in force; not with --current), proposed.yaml (the rules to change) and
sgreplay.yaml (what `sgreplay ci` asks); and .sgreplay/, with the schemas by which an editor checks and completes them.
Nothing is overwritten.

Examples:
  sgreplay init web.pcap
  sgreplay init --local 10.0.0.5 --without-scans --aggregate /24 monday.pcap tuesday.pcap
  sgreplay init --current today.json --dir rules web.pcap"
)]
pub(crate) struct InitArgs {
    /// Captures or flow logs that the rules are made of
    #[arg(value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Write into this directory
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Output")]
    pub dir: PathBuf,
    /// Use these rules as those in force
    ///
    /// Use these rules as those in force, and learn only from connections that they allow. Without this option
    /// current.yaml stands for them until you replace it.
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub current: Option<PathBuf>,
    /// Set the addresses of the instance [default: inferred]
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    /// Choose the groups of the instance (with --current)
    ///
    /// Choose the groups of the instance, for current rules with several groups and no interfaces
    #[arg(
        long,
        value_name = "GROUP,…",
        value_delimiter = ',',
        requires = "current",
        help_heading = "Rules"
    )]
    pub groups: Vec<String>,
    /// Judge the packet inside a tunnel, e.g. vxlan
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',', help_heading = "Input")]
    pub decap: Vec<String>,
    #[command(flatten)]
    pub learn: LearnArgs,
}

const CURRENT: &str = "current.yaml";
const PROPOSED: &str = "proposed.yaml";
const CONFIG: &str = "sgreplay.yaml";

pub(crate) fn run(args: &InitArgs) -> Result<ExitStatus, Failure> {
    if args.captures.is_empty() {
        let message =
            "name a capture; without one, `sgreplay scenarios` prints rules for common cases";
        return Err(Failure::Usage(message.to_owned()));
    }
    if args.captures.iter().any(|path| path.as_os_str() == STDIN) {
        let message = "`sgreplay ci` reads the capture again, which standard input does not allow; name a file";
        return Err(Failure::Usage(message.to_owned()));
    }
    let names: Vec<&str> = match args.current {
        Some(_) => vec![PROPOSED, CONFIG],
        None => vec![CURRENT, PROPOSED, CONFIG],
    };
    for name in &names {
        let path = place(args, name);
        // A dangling symbolic link is in the way too.
        if path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
    }
    let asked = suggest_args(args);
    let found = suggest::suggest(&asked, || suggest::rules(&asked))?;
    let local = &found.learned.local;
    if local.assumed && !local.sure {
        let taken = local.addresses.join(",");
        let other = local.runner_up.map_or_else(String::new, |addr| format!(", or {addr}"));
        return Err(Failure::Usage(format!(
            "which address is the instance's is a guess: {taken} ({}){other}; nothing is written. Say it, for example \
             --local {taken}",
            local.why,
        )));
    }
    for warning in &found.learned.warnings {
        terminal::say(&format!("warning: {warning}"));
    }
    let status = ended(&found.end)?;
    let texts = names.iter().map(|name| {
        let text = match *name {
            CONFIG => config(args, &found.learned),
            name => rules_file(name, args, &found),
        };
        (place(args, name), text)
    });
    let texts: Vec<(PathBuf, String)> = texts.collect();
    write_schemas(&args.dir)?;
    write_new(&args.dir, &texts)?;
    report(args, &found, &texts)?;
    Ok(status)
}

/// Where a file is written.
fn place(args: &InitArgs, name: &str) -> PathBuf {
    match args.dir == Path::new(".") {
        true => PathBuf::from(name),
        false => args.dir.join(name),
    }
}

fn exists(path: &Path) -> Failure {
    let name = input::name(path);
    Failure::Usage(format!(
        "{name} exists, and init overwrites nothing; --dir DIR writes elsewhere"
    ))
}

fn suggest_args(args: &InitArgs) -> SuggestArgs {
    let InitArgs { captures, current, local, groups, decap, learn, .. } = args;
    let switches = SwitchArgs { groups: groups.clone(), ..SwitchArgs::default() };
    SuggestArgs {
        capture: CaptureArgs {
            positional: captures.clone(),
            decap: decap.clone(),
            ..CaptureArgs::default()
        },
        rules: current.clone(),
        learn: learn.clone(),
        holdout: None,
        judge: JudgeArgs { local: local.clone(), switches, ..JudgeArgs::default() },
        format: TextOrJson::Text,
    }
}

/// The names of the captures, as they were typed.
fn captures(args: &InitArgs) -> String {
    let names: Vec<String> = args.captures.iter().map(|path| input::name(path)).collect();
    names.join(", ")
}

/// Writes the schemas that the files name. One that is there is left as it is.
fn write_schemas(dir: &Path) -> Result<(), Failure> {
    for name in ["rules", "ci"] {
        let path = dir.join(schema::file(name));
        if path.exists() {
            continue;
        }
        let folder = path.parent().unwrap_or(dir).to_owned();
        write_new(&folder, &[(path, schema::text(name).to_owned())])?;
    }
    Ok(())
}

/// Writes files that are not there yet: all of them or none.
fn write_new(dir: &Path, texts: &[(PathBuf, String)]) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| {
        Failure::Usage(format!("{}: {}", input::name(path), os_error(error)))
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    let write = |path: &Path, text: &str| -> io::Result<()> {
        let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written
    };
    for (n, (path, text)) in texts.iter().enumerate() {
        let Err(error) = write(path, text) else { continue };
        for (written, _) in texts.iter().take(n) {
            let _ = fs::remove_file(written);
        }
        return Err(match error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => failed(path, &error),
        });
    }
    Ok(())
}

/// What was written, and what comes next.
fn report(args: &InitArgs, found: &Suggested, texts: &[(PathBuf, String)]) -> Result<(), Failure> {
    if terminal::is_quiet() {
        return Ok(());
    }
    let mut out = stdout();
    let local = &found.learned.local;
    for (path, _) in texts {
        let what = match path.file_name().and_then(|name| name.to_str()) {
            Some(CURRENT) => "the rules in force, until you put yours in their place",
            Some(PROPOSED) => "the rules to change",
            _ => "what `sgreplay ci` asks",
        };
        writeln!(out, "wrote    {}: {what}", input::name(path))?;
    }
    let schemas = input::name(&place(args, ".sgreplay"));
    writeln!(
        out,
        "wrote    {schemas}: schemas, by which an editor checks and completes these files"
    )?;
    let connections = plural(found.learned.connections, "connection");
    writeln!(out, "allowed  {connections} of {}", captures(args))?;
    let why = if local.assumed { format!(" (inferred: {})", local.why) } else { String::new() };
    writeln!(out, "local    {}{why}", local.addresses.join(", "))?;
    let config = input::name(&place(args, CONFIG));
    let proposed = input::name(&place(args, PROPOSED));
    writeln!(out, "next     change {proposed}, then: sgreplay ci {config}")?;
    out.flush()?;
    Ok(())
}
