//! Gates: conditions that were asked for, and whether the input allows an answer at all.

use sgreplay::capture::FlowLogCounts;
use sgreplay::diff::{Diff, Effect};
use sgreplay::doubts::{Doubts, Supposition};
use sgreplay::report::{Local, count, plural};
use sgreplay::rules::RuleSet;
use sgreplay::sources::Ended;
use sgreplay::stats::{Stats, UnevaluatedCount};

use super::ended;
use super::judging::unsure;
use crate::args::percent;
use crate::exit::{ExitStatus, Failure};

/// When a condition that was asked for has no full answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct GateArgs {
    /// Let a gate pass though a capture is cut off
    ///
    /// Let a gate (--fail-on, --min-coverage) pass though a capture is cut off in the middle.
    #[arg(long, help_heading = "CI")]
    pub allow_truncated: bool,
    /// Fail the gate if more packets were not evaluated
    ///
    /// Exit with status 2 if more than this percentage of the packets that carry or may hide traffic were not
    /// evaluated (with --fail-on or --min-coverage).
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "1", help_heading = "CI")]
    pub max_unevaluated: f64,
}

impl Default for GateArgs {
    fn default() -> Self {
        Self { allow_truncated: false, max_unevaluated: 1.0 }
    }
}

/// Why a gate that holds nothing against the rules does not pass: some of them are missing.
pub(crate) fn incomplete(rules: &RuleSet) -> Option<String> {
    let (first, more) = rules.incomplete().split_first()?;
    let more = match more.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(format!(
        "the rules are not whole, so there is no full answer: {first}{more}; --partial takes them as they are"
    ))
}

/// The status of a gate on which nothing is held against the rules, unless there is a reason to say no more.
pub(crate) fn passes(unanswered: Option<String>) -> Result<ExitStatus, Failure> {
    unanswered.map_or(Ok(ExitStatus::Done), |why| Err(Failure::Usage(why)))
}

/// Frames that carry or hide traffic and were not evaluated.
pub(crate) struct Unevaluated {
    counts: Vec<UnevaluatedCount>,
    frames: u64,
    /// Those that were evaluated.
    judged: u64,
}

impl Unevaluated {
    /// Tunnels that were judged as they are count too where the local address is a guess, since a traffic mirror's
    /// receiver is in all packets of a capture and is not the instance, and where they are most of what was judged.
    pub(crate) fn new(stats: &Stats, local: &Local) -> Self {
        let packets = stats.packets();
        let (mut counts, mut judged) =
            (stats.unevaluated().counts(), packets.allowed + packets.denied);
        let tunnelled = stats.tunnelled();
        let frames: u64 = tunnelled.iter().map(|count| count.frames).sum();
        let count_them = local.assumed || frames * 2 > judged;
        for count in tunnelled.into_iter().filter(|_| count_them) {
            judged = judged.saturating_sub(count.frames);
            match counts.iter_mut().find(|known| known.detail == count.detail) {
                Some(known) => known.frames += count.frames,
                None => counts.push(count),
            }
        }
        counts.sort_by_key(|count| std::cmp::Reverse(count.frames));
        let frames = counts.iter().map(|count| count.frames).sum();
        Self { counts, frames, judged }
    }

    /// For a gate: beside them packets between other hosts, where the local address is a guess.
    fn of_gate(stats: &Stats, local: &Local) -> Self {
        let mut found = Self::new(stats, local);
        let not_local = stats.unevaluated().not_local().filter(|_| local.assumed);
        found.counts.extend(not_local);
        found.counts.sort_by_key(|count| std::cmp::Reverse(count.frames));
        found.frames = found.counts.iter().map(|count| count.frames).sum();
        found
    }

    /// Their share of all frames that carry or may hide traffic, in percent.
    fn percent(&self) -> f64 {
        share(self.frames, self.frames + self.judged)
    }

    /// How many there are, most of them why, with an example and what helps; `None` where there are none.
    pub(crate) fn text(&self) -> Option<String> {
        let first = self.counts.first()?;
        let UnevaluatedCount { reason, detail, frames, example, help } = first;
        let most = match self.counts.len() {
            1 => String::new(),
            _ => format!("{} of them ", count(*frames)),
        };
        let detail = detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        Some(format!(
            "{} of the {} packets that carry or may hide traffic not evaluated: {most}{}{detail}, the first is frame \
             {example}; {help}",
            count(self.frames),
            count(self.frames + self.judged),
            reason.replace('_', " "),
        ))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

/// Connections whose verdict depends on something that is not known.
#[derive(Default)]
pub(crate) struct Unsure {
    connections: u64,
    /// What it depends on.
    pub(crate) texts: Vec<String>,
}

impl Unsure {
    fn add(&mut self, doubts: &Doubts, stats: &Stats) {
        self.connections += doubts.total();
        let texts = doubts.iter().map(|(supposed, n, frame)| depends_on(supposed, n, frame, stats));
        self.texts.extend(texts);
    }

    fn add_unweighed(&mut self, stats: &Stats) {
        if let Some((n, frame)) = stats.unweighed() {
            self.connections += n;
            self.texts.push(format!(
                "the far end of {} may be a member of too many groups to ask about each, as in frame {frame}; a list of \
                 all interfaces beside the rules says who they are",
                plural(n, "connection"),
            ));
        }
    }

    /// Those of a replay: connections whose initiator is guessed, and those that are allowed and may be denied.
    pub(crate) fn of_replay(stats: &Stats) -> Self {
        let mut found = Self::default();
        if let Some((n, frame)) = stats.guessed() {
            found.connections += n;
            let supposed = Supposition { receiver_began: true, ..Supposition::default() };
            found.texts.push(depends_on(&supposed, n, frame, stats));
        }
        found.add(stats.may_be_denied(), stats);
        found.add_unweighed(stats);
        found
    }

    /// The same, and those that are denied and may be allowed.
    pub(crate) fn of_any_verdict(stats: &Stats) -> Self {
        let mut found = Self::of_replay(stats);
        found.add(stats.may_be_allowed(), stats);
        found
    }

    /// Connections on which a change may have one of these effects, and has not as far as is known.
    pub(crate) fn of_diff(diff: &Diff<'_>, effects: &[Effect]) -> Self {
        let mut found = Self::default();
        for doubts in effects.iter().filter_map(|effect| diff.doubts(*effect)) {
            found.add(doubts, diff.proposed().stats());
        }
        for replay in [diff.current(), diff.proposed()] {
            found.add_unweighed(replay.stats());
        }
        found
    }
}

fn depends_on(supposed: &Supposition, connections: u64, frame: u64, stats: &Stats) -> String {
    let (n, all) = (count(connections), plural(stats.connections().total(), "connection"));
    let groups: Vec<&str> = supposed.members_of.groups().collect();
    let began = match supposed.receiver_began {
        false => String::new(),
        true if groups.is_empty() => {
            return format!(
                "nothing shows who began {n} of {all}, and the verdict depends on it: the sender of the first packet is \
                 taken, as in frame {frame}; --midstream first-packet says that it is right"
            );
        }
        true => ", and on who began it".to_owned(),
    };
    format!(
        "not all members of {} are known, and the verdict of {n} of {all} depends on it{began}: their far end is taken \
         for none, as in frame {frame}; a list of all interfaces beside the rules says who they are",
        groups.join(" and "),
    )
}

/// What the captures themselves say is missing from them: its share in percent, and what to say of it.
fn missing(end: &Ended, lost_records_count: bool) -> Option<(f64, String)> {
    let logs = || end.inputs.iter().filter_map(|input| input.flow_log.as_ref());
    let sum = |of: fn(&FlowLogCounts) -> u64| logs().map(of).sum::<u64>();
    let read: u64 = end.inputs.iter().map(|input| input.frames).sum();
    let dropped: u64 = end.inputs.iter().filter_map(|input| input.counts.dropped).sum();
    let of_logs = |of| if lost_records_count { sum(of) } else { 0 };
    let (windows, records) = (of_logs(|log| log.skipped), of_logs(|log| log.no_protocol));
    let all = windows + records + dropped;
    let words = [
        (windows, plural(windows, "window"), "of a flow log without records (SKIPDATA)"),
        (records, plural(records, "record"), "of a flow log without a protocol"),
        (dropped, plural(dropped, "packet"), "that the capturing machine dropped"),
    ];
    let words = words.into_iter().filter(|(n, ..)| *n > 0);
    let words: Vec<String> = words.map(|(_, n, what)| format!("{n} {what}")).collect();
    (all > 0).then(|| (share(all, all + read), words.join(", ")))
}

/// Whether a condition that was asked for can be answered at all.
pub(crate) struct Gate<'a> {
    pub(crate) end: &'a Ended,
    pub(crate) stats: &'a Stats,
    /// What the condition depends on.
    pub(crate) doubts: Unsure,
    /// Packets that only one of two rule sets judges, and the first of them.
    pub(crate) one_sided: Option<(u64, u64)>,
    pub(crate) local: &'a Local,
    /// Sessions that were forgotten.
    pub(crate) evicted: u64,
    /// In percent.
    pub(crate) max_unevaluated: f64,
    pub(crate) allow_truncated: bool,
    /// Whether records that a flow log has lost may hide what is asked for.
    pub(crate) lost_records_count: bool,
    /// Why the rules themselves allow no full answer, if they do not.
    pub(crate) of_rules: Option<String>,
    /// The option, in messages.
    pub(crate) asked_by: &'a str,
}

impl Gate<'_> {
    /// Why there is no full answer, if there is none.
    pub(crate) fn unanswered(&self) -> Option<String> {
        let Self {
            end,
            stats,
            doubts,
            one_sided,
            local,
            evicted,
            max_unevaluated,
            allow_truncated,
            lost_records_count,
            of_rules,
            asked_by,
        } = self;
        let no_full_answer =
            |why: &str, helps: &str| Some(format!("{asked_by} has no full answer: {why}; {helps}"));
        let read: u64 = end.inputs.iter().map(|input| input.frames).sum();
        let packets = stats.packets();
        if !end.damage.is_empty() && !allow_truncated {
            return no_full_answer("the capture breaks off", "--allow-truncated accepts it");
        }
        if end.interrupted {
            return no_full_answer("the run was interrupted", "run it to the end");
        }
        if read == 0 {
            return no_full_answer("there was no packet", "name a capture that holds some");
        }
        if packets.total() == 0 {
            let why = "the options choose no packet";
            return no_full_answer(why, "change --filter, --since or --until");
        }
        let unevaluated = Unevaluated::of_gate(stats, local);
        let judged = packets.allowed + packets.denied;
        let not_evaluated = unevaluated.text().filter(|_| unevaluated.percent() > *max_unevaluated);
        if let Some(text) = not_evaluated {
            return no_full_answer(&text, "--max-unevaluated accepts a larger share");
        }
        if judged == 0 {
            return no_full_answer(
                "no packet was evaluated, since none is to or from the local addresses",
                "--local names others",
            );
        }
        if let Some(text) = unsure(local) {
            return Some(format!("{asked_by} has no full answer: {text}"));
        }
        // Packets that are judged alone are no connections.
        let all = match stats.connections().total() {
            0 => packets.total(),
            connections => connections,
        };
        if let (true, Some(text)) =
            (share(doubts.connections, all) > *max_unevaluated, doubts.texts.first())
        {
            return no_full_answer(text, "--max-unevaluated accepts a larger share");
        }
        if let Some((n, frame)) = *one_sided
            && share(n, packets.total()) > *max_unevaluated
        {
            let why = format!(
                "only one of the rule sets has an interface of {} of {}, as of frame {frame}, so they were not compared",
                count(n),
                plural(packets.total(), "packet"),
            );
            return no_full_answer(&why, "--max-unevaluated accepts a larger share");
        }
        if let Some((share, text)) = missing(end, *lost_records_count)
            && share > *max_unevaluated
        {
            let why = format!("nothing is known of {text}");
            return no_full_answer(&why, "--max-unevaluated accepts a larger share");
        }
        if let Some(skipped) = end.skipped.iter().find(|skipped| skipped.may_hide_traffic) {
            let why = format!("{} is not read: {}", skipped.path, skipped.why);
            return no_full_answer(&why, "name the captures to leave it out");
        }
        if *evicted > 0 {
            let why = format!("{} forgotten for want of memory", plural(*evicted, "session"));
            return no_full_answer(&why, "--memory allows more");
        }
        of_rules.clone()
    }

    /// The status: whether the condition holds, unless the input does not allow an answer. Where it already holds,
    /// that is the answer.
    pub(crate) fn status(&self, fails: bool) -> Result<ExitStatus, Failure> {
        match (fails, self.unanswered()) {
            (true, _) => Ok(ExitStatus::Failed),
            (false, Some(why)) => Err(Failure::Usage(why)),
            (false, None) => Ok(ExitStatus::Done),
        }
    }
}

/// The last word of a run over captures: what is to be said of damage, and the status, by the gate where a condition
/// was asked for.
pub(crate) fn finish(gate: &Gate<'_>, fails: Option<bool>) -> Result<ExitStatus, Failure> {
    let ended = ended(gate.end);
    match fails {
        Some(true) => Ok(ExitStatus::Failed),
        Some(false) => ended.and_then(|_| gate.status(false)),
        None => ended,
    }
}
