//! `sgreplay init`: files to start from, made of a capture.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use sgreplay::capture::os_error;
use sgreplay::escape;
use sgreplay::flow::Direction;
use sgreplay::parse;
use sgreplay::report::{Learned, plural};
use sgreplay::rules::{Peer, Policy, Ports, Rule, RuleSet, services};
use sgreplay::suggest::{Observation, count};

use super::judging::{JudgeArgs, SwitchArgs};
use super::suggest::{self, LearnArgs, SuggestArgs, Suggested};
use super::{ended, stdout};
use crate::args::{TextOrJson, cidr};
use crate::captures::CaptureArgs;
use crate::exit::{ExitStatus, Failure};
use crate::input::{self, STDIN};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Written are current.yaml (the rules in force; not with --current), proposed.yaml (the rules to change) and
sgreplay.yaml (what `sgreplay ci` asks). Nothing is overwritten.

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

/// A rules file that says what it is for, and of each rule what it was made of.
fn rules_file(name: &str, args: &InitArgs, found: &Suggested) -> String {
    let Suggested { learned, rules, observed, .. } = found;
    let (connections, captures) = (plural(learned.connections, "connection"), captures(args));
    let mut out = String::new();
    let mut say = |line: &str| {
        let _ = writeln!(out, "# {}", escape::line(line));
    };
    match name {
        CURRENT => {
            say(
                "The rules in force. These stand for them: put what your cloud prints in their place, or name that file",
            );
            say(&format!(
                "under `current:` in {CONFIG}. `sgreplay convert --help` lists the formats."
            ));
        }
        _ => {
            say(
                "The rules to try. Change them; `sgreplay ci` says what the change does to the traffic that was captured.",
            );
        }
    }
    say("");
    let allowed = match args.current {
        Some(_) => format!("the {connections} of {captures} that the current rules allow"),
        None => format!("the {connections} of {captures}"),
    };
    say(&format!("Made by `sgreplay init`: they allow {allowed}, and nothing else."));
    if learned.scans > 0 {
        say(&format!("{} left out as scans.", plural(learned.scans, "connection")));
    }
    say(
        "A rule has a direction, a protocol, ports or service names (`sgreplay services`) and a source or destination:",
    );
    say(
        "  {id: sgr-office, direction: ingress, protocol: tcp, ports: SSH, source: 203.0.113.0/24}",
    );
    say("`0.0.0.0/0` is any IPv4 address, `::/0` any IPv6 address.");
    out.replace("# \n", "#\n") + &commented(rules, observed)
}

/// The rules with a comment above each.
fn commented(rules: &RuleSet, observed: &[Observation]) -> String {
    const RULE: &str = "      - ";
    let mut all = rules
        .groups()
        .iter()
        .enumerate()
        .flat_map(|(group, of)| of.rules.iter().map(move |rule| (group, rule)));
    let mut out = String::new();
    for line in parse::print(rules).lines() {
        // Only rules are indented so far.
        if line.starts_with(RULE)
            && let Some((group, rule)) = all.next()
        {
            let _ = writeln!(out, "      # {}", escape::line(&made_of(group, rule, observed)));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// The connections that a rule allows, in words.
fn made_of(group: usize, rule: &Rule, observed: &[Observation]) -> String {
    const SHOWN: usize = 4;
    if rule.policy == Policy::Drop {
        return match rule.direction {
            Direction::Ingress => "everything else to the instance".to_owned(),
            Direction::Egress => {
                "everything else from the instance: egress is an allow-list".to_owned()
            }
        };
    }
    let has_port = |port: u16| {
        rule.ports.iter().any(|ports| matches!(ports, Ports::Range(range) if range.contains(port)))
    };
    let fits = |one: &&Observation| {
        let port = one.flow.transport.ports().map(|(_, port)| port);
        one.interface == group
            && one.direction == rule.direction
            && rule.protocol.matches(one.flow.proto)
            && (rule.ports.is_empty() || port.is_some_and(has_port))
            && rule
                .peers
                .iter()
                .any(|peer| matches!(peer, Peer::Cidr(net) if net.contains(&one.peer)))
    };
    let made_of: Vec<Observation> = observed.iter().filter(fits).copied().collect();
    let mut names: Vec<String> = made_of.iter().map(|one| services::of_flow(&one.flow)).collect();
    let mut peers: Vec<String> = made_of.iter().map(|one| shown(&one.peer)).collect();
    for list in [&mut names, &mut peers] {
        list.sort();
        list.dedup();
        let more = list.len().saturating_sub(SHOWN);
        list.truncate(SHOWN);
        if more > 0 {
            list.push(format!("{more} more"));
        }
    }
    let way = if rule.direction == Direction::Ingress { "from" } else { "to" };
    let connections = plural(count(&made_of), "connection");
    format!("{}: {connections} {way} {}", names.join(", "), peers.join(", "))
}

/// A single address without its length.
fn shown(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}

/// What `sgreplay ci` asks.
fn config(args: &InitArgs, learned: &Learned) -> String {
    let word = |path: &Path| quoted(&from_dir(path, &args.dir));
    let current = args.current.as_deref().map_or_else(|| CURRENT.to_owned(), word);
    let captures: Vec<String> = args.captures.iter().map(|path| word(path)).collect();
    let how = match learned.local.assumed {
        true => format!("inferred: {}", learned.local.why),
        false => "as said to `sgreplay init`".to_owned(),
    };
    let mut out = format!(
        "# What is asked of the rules: `sgreplay ci {CONFIG}`. Paths are relative to this file.\n\
         current: {current}\n\
         proposed: {PROPOSED}\n\
         captures: [{}]\n\
         # The instance's addresses ({})\n\
         local: [{}]\n",
        captures.join(", "),
        escape::line(&how),
        learned.local.addresses.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "),
    );
    for (key, list) in [("decap", &args.decap), ("groups", &args.groups)] {
        if !list.is_empty() {
            let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
            let _ = writeln!(out, "{key}: [{}]", list.join(", "));
        }
    }
    out.push_str(
        "# The proposal fails if a connection is newly denied, or `sgreplay check` finds a new error.\n\
         fail_on: [newly-denied, new-error]\n\
         # Also: newly-allowed, new-warning, error, warning, expectations.\n\
         # expectations: expectations.yaml   # what must hold for every possible packet: `sgreplay test --help`\n\
         # accept: accepted.yaml             # approved changes: `sgreplay diff --help`\n\
         # markdown: summary.md              # for a pull request; also sarif, junit, code_quality\n",
    );
    out
}

/// Text as YAML has it in a list of one line.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        && text.chars().all(is_plain)
    {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

/// A path as a file in a directory names it: relative where both are relative and the directory is this one.
fn from_dir(path: &Path, dir: &Path) -> String {
    let is_here = dir.components().all(|part| part == std::path::Component::CurDir);
    let path = match is_here || path.is_absolute() {
        true => path.to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    };
    path.to_string_lossy().into_owned()
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
