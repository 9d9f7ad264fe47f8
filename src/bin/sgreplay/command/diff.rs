//! `sgreplay diff`: what a change of rules does to a capture.

use std::io::Write;
use std::path::{Path, PathBuf};

use sgreplay::capture::PcapWriter;
use sgreplay::diff::{Diff, Effect};
use sgreplay::replay::{Replay, Sessions};
use sgreplay::report::{
    BothLabels, CHANGE_COLUMNS, DiffInputs, DiffSummary, Labels, Local, RowFormat, Rows,
    change_rows, changes_json, diff_text,
};
use sgreplay::rules::RuleSet;
use sgreplay::session::Openings;

use super::{judging, row_format, stdout};
use crate::args::{DiffArgs, DiffFailOn};
use crate::captures::Captures;
use crate::exit::{ExitStatus, Failure};
use crate::input;

pub(crate) fn run(args: &DiffArgs) -> Result<ExitStatus, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    let files = [Some(&args.current), Some(&args.proposed), args.accept.as_ref()];
    let files: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    judging::readable(&captures, &files, args.hash)?;
    let (mut current_rules, current) = judging::rules(&args.current, &args.judge)?;
    let (mut proposed_rules, proposed) = judging::rules(&args.proposed, &args.judge)?;
    let taps = [&current_rules, &proposed_rules]
        .map(|rules| judging::taps(&args.judge.interface, rules, &mut captures));
    let accepted = args.accept.as_deref().map(input::accepted).transpose()?.unwrap_or_default();
    let [current_taps, proposed_taps] = taps;
    let mut writer = match &args.write_changed {
        Some(path) if captures.include(path) => {
            let path = path.display();
            return Err(Failure::Usage(format!("{path} is being read; write to another file")));
        }
        Some(path) => Some(PcapWriter::create(path)?),
        None => None,
    };
    let (local, openings) = local(&mut current_rules, &mut proposed_rules, args, &mut captures)?;
    let options = judging::options(&args.judge, Sessions::On);
    let replay = |rules, taps| {
        Replay::new(rules, options)
            .with_openings(openings.clone())
            .with_tunnels(captures.tunnels())
            .with_taps(taps)
    };
    let replays = (replay(&current_rules, current_taps?), replay(&proposed_rules, proposed_taps?));
    let (current_labels, proposed_labels) =
        (Labels::new(&current_rules, &replays.0), Labels::new(&proposed_rules, &replays.1));
    let labels =
        BothLabels { accepted: &accepted, current: &current_labels, proposed: &proposed_labels };
    let mut diff = Diff::new((&current_rules, replays.0), (&proposed_rules, replays.1));

    let mut unseen = judging::Unseen::new(&args.judge.interface);
    let end = captures.read(args.hash, |frames| {
        unseen.look(frames);
        diff.judge_batch(frames, |frame, effect| match (&mut writer, effect) {
            (Some(writer), Effect::NewlyDenied | Effect::NewlyAllowed) => {
                Ok::<(), Failure>(writer.write(frame)?)
            }
            _ => Ok(()),
        })
    })?;
    if let Some(writer) = writer {
        writer.finish()?;
    }

    let mut warnings = judging::of_captures(&end, diff.proposed().tally());
    let of_rules = [("current", &current_rules), ("proposed", &proposed_rules)];
    for (which, rules) in of_rules {
        let found = rules.warnings().into_iter();
        warnings.extend(found.map(|warning| format!("{which} rules: {}", warning.0)));
    }
    warnings.extend(unseen.warnings());
    let evicted = diff.current().sessions_evicted() + diff.proposed().sessions_evicted();
    warnings.extend(judging::evicted(evicted, options));
    let inputs = DiffInputs { current, proposed, captures: end.inputs.clone() };
    for (n, entry) in accepted.entries().iter().enumerate() {
        let (filter, until) = (&entry.filter, entry.until.unwrap_or_default());
        if accepted.expired(n) {
            warnings.push(format!("`{filter}` was accepted until {until}, and is no longer"));
        } else if !diff.changes().iter().any(|change| accepted.position(change) == Some(n)) {
            warnings.push(format!("`{filter}` is accepted, and no connection changes so"));
        }
    }
    let mut summary = DiffSummary::new(&diff, &accepted, inputs, local, warnings);
    summary.partial = judging::partial(&end);
    print(args, &summary, &diff, labels)?;

    let open = |effect| {
        let mut changes = diff.changes().iter();
        changes.any(|change| change.effect == effect && accepted.position(change).is_none())
    };
    let (denied, allowed) = (open(Effect::NewlyDenied), open(Effect::NewlyAllowed));
    let fails = args.fail_on.map(|what| match what {
        DiffFailOn::NewlyDenied => denied,
        DiffFailOn::NewlyAllowed => allowed,
        DiffFailOn::Any => denied || allowed,
    });
    judging::status(end, fails, args.allow_truncated)
}

/// The local addresses, which are the same to both.
fn local(
    current: &mut RuleSet,
    proposed: &mut RuleSet,
    args: &DiffArgs,
    captures: &mut Captures,
) -> Result<(Local, Openings), Failure> {
    if current.lists_interfaces() != proposed.lists_interfaces() {
        let (with, without): (&Path, &Path) = match current.lists_interfaces() {
            true => (&args.current, &args.proposed),
            false => (&args.proposed, &args.current),
        };
        return Err(Failure::Usage(format!(
            "{} lists interfaces and {} does not, so it is not known which addresses both are about; \
             list them in both, or in neither",
            with.display(),
            without.display(),
        )));
    }
    let (local, openings) = judging::local(current, &args.judge.local, captures)?;
    if let (false, [only]) = (proposed.lists_interfaces(), current.interfaces()) {
        proposed.set_local(only.addresses.clone());
    }
    Ok((local, openings))
}

fn print(
    args: &DiffArgs,
    summary: &DiffSummary,
    diff: &Diff<'_>,
    labels: BothLabels<'_>,
) -> Result<(), Failure> {
    let mut out = stdout();
    match row_format(args.format) {
        None => write!(out, "{}", diff_text(summary, diff, labels))?,
        Some(RowFormat::Json) => {
            let mut object = serde_json::to_value(summary).map_err(std::io::Error::from)?;
            if let Some(object) = object.as_object_mut() {
                object.insert("changes".to_owned(), changes_json(diff, labels).into());
            }
            writeln!(out, "{object:#}")?;
        }
        Some(format) => {
            let columns = CHANGE_COLUMNS.to_vec();
            let mut rows = Rows::new(out, format, "change", columns)?;
            change_rows(diff, labels, &mut rows)?;
            return Ok(rows.finish(summary)?);
        }
    }
    Ok(out.flush()?)
}
