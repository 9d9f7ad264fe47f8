//! `sgreplay replay`: the main job.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use ipnet::IpNet;
use sgreplay::capture::{CaptureError, Frame, LinkType, PcapWriter};
use sgreplay::decode::{Decoded, Tunnels, embedded};
use sgreplay::direction::Guess;
use sgreplay::overlay::Obstacle;
use sgreplay::replay::{Midstream, Options, Replay, Sessions};
use sgreplay::report::{
    Answer, Connections, DECODE_COLUMNS, Inputs, Labels, Local, RowFormat, Rows, Summary,
    VERDICT_COLUMNS, decode_cells, packet_line, plural, text_summary, verdict_cells,
};
use sgreplay::rules::RuleSet;
use sgreplay::session::Openings;
use sgreplay::tally::Count;
use sgreplay::verdict::{Judged, Reason, Verdict};

use super::{ended, row_format, stdout};
use crate::args::{FailOn, MidstreamArg, OnOff, Per, ReplayArgs, Tap};
use crate::captures::{Captures, Ended};
use crate::exit::{ExitStatus, Failure};
use crate::input;
use crate::terminal;

pub(crate) fn run(args: &ReplayArgs) -> Result<ExitStatus, Failure> {
    let mut captures = Captures::new(&args.capture)?;
    if captures.read_stdin() && args.rules.as_os_str() == "-" {
        return Err(Failure::Usage(
            "rules and capture cannot both come from standard input".to_owned(),
        ));
    }
    if args.hash && captures.have_pipe() {
        return Err(Failure::Usage(
            "--hash reads a capture twice, which a pipe does not allow; name a file".to_owned(),
        ));
    }
    if args.sessions == OnOff::Off && args.max_sessions.is_some() {
        let message = "--max-sessions needs sessions, and --sessions off has none";
        return Err(Failure::Usage(message.to_owned()));
    }
    let (mut rules, rules_input) = input::rules(&args.rules, !args.interface.is_empty())?;
    rules.set_switches((&args.switches).into());
    let taps = taps(&args.interface, &rules, &mut captures)?;
    let mut writers = Writers::create(args, &captures)?;
    let (local, openings) = local(&mut rules, &args.local, &mut captures)?;
    let options = Options {
        sessions: match args.sessions {
            OnOff::On => Sessions::On,
            OnOff::Off => Sessions::Off,
        },
        midstream: match args.midstream {
            MidstreamArg::Infer => Midstream::Infer,
            MidstreamArg::FirstPacket => Midstream::FirstPacket,
        },
        max_sessions: args.max_sessions,
    };
    let mut replay = Replay::new(&rules, options)
        .with_openings(openings)
        .with_tunnels(captures.tunnels())
        .with_taps(taps);
    let labels = Labels::new(&rules, &replay);
    let mut output = Output::new(args, &labels, captures.tunnels())?;
    if local.assumed && !output.is_summary() {
        let addresses = local.addresses.join(", ");
        terminal::say(&format!("local address assumed: {addresses} ({})", local.why));
    }

    let mut unseen: Vec<&Tap> = args.interface.iter().collect();
    let end = captures.read(args.hash, |frames| {
        for (frame, _) in frames {
            if unseen.is_empty() {
                break;
            }
            unseen.retain(|Tap { eni, of }| {
                frame.interface.is_none_or(|name| name != eni && name != of)
            });
        }
        replay.judge_batch(frames, |frame, decoded, judged| {
            writers.write(frame, judged)?;
            output.packet(frame, decoded, judged)
        })
    })?;

    writers.finish()?;
    let inputs = Inputs { rules: rules_input, captures: end.inputs.clone() };
    let mut warnings = warnings(&rules, &replay, &end);
    warnings.extend(unseen.iter().map(|Tap { eni, of }| {
        format!(
            "--interface {eni}={of}: no packet was captured there; it is neither a capture named on the \
             command line nor an interface of a pcapng"
        )
    }));
    let mut summary = Summary::new(&rules, &replay, &labels, inputs, local, warnings);
    summary.partial = partial(&end);
    output.finish(&summary, &replay)?;
    let denied = replay.tally().packets().denied;
    status(args, end, denied)
}

/// The status: what was asked for with `--fail-on`, unless the input does not allow an answer.
fn status(args: &ReplayArgs, end: Ended, denied: u64) -> Result<ExitStatus, Failure> {
    let truncated = !end.damage.is_empty();
    let interrupted = end.interrupted;
    let status = ended(end)?;
    match args.fail_on {
        Some(FailOn::Denied) if denied > 0 => Ok(ExitStatus::Failed),
        Some(FailOn::Denied) if truncated && !args.allow_truncated => Err(Failure::Usage(
            "the capture breaks off, so --fail-on has no full answer; --allow-truncated accepts it"
                .to_owned(),
        )),
        Some(FailOn::Denied) if interrupted => {
            Err(Failure::Usage("interrupted, so --fail-on has no full answer".to_owned()))
        }
        Some(FailOn::Denied) | None => Ok(status),
    }
}

fn partial(end: &Ended) -> Option<String> {
    let mut why: Vec<String> = end.damage.iter().map(CaptureError::to_string).collect();
    if end.interrupted {
        why.push("interrupted; what follows is the traffic read so far".to_owned());
    }
    (!why.is_empty()).then(|| why.join("; "))
}

/// The names under which frames come from an interface, and its position.
fn taps(
    given: &[Tap],
    rules: &RuleSet,
    captures: &mut Captures,
) -> Result<Vec<(String, usize)>, Failure> {
    let mut taps = Vec::new();
    for Tap { eni, of } in given {
        let position = rules.interfaces().iter().position(|known| known.id == *eni);
        let Some(position) = position else {
            return Err(Failure::Usage(format!(
                "--interface {eni}={of}: the rules file has no interface `{eni}`"
            )));
        };
        // A capture's frames take the name of its interface; others have the one that pcapng gives.
        taps.push(match captures.made_at(Path::new(of), eni) {
            true => (eni.clone(), position),
            false => (of.clone(), position),
        });
    }
    Ok(taps)
}

/// Where the local addresses are from: the rules file, the user, or the capture.
pub(super) fn local(
    rules: &mut RuleSet,
    given: &[IpNet],
    captures: &mut Captures,
) -> Result<(Local, Openings), Failure> {
    let (survey, openings) = captures.survey(given.is_empty() && !rules.lists_interfaces())?;
    let names = |nets: &[IpNet]| nets.iter().map(shown).collect();
    if rules.lists_interfaces() {
        if !given.is_empty() {
            return Err(Failure::Usage(
                "--local is for rules files that list no interfaces, and this one does".to_owned(),
            ));
        }
        let nets: Vec<IpNet> =
            rules.interfaces().iter().flat_map(|eni| eni.addresses.clone()).collect();
        let why = "interfaces of the rules file".to_owned();
        return Ok((Local { addresses: names(&nets), assumed: false, why }, openings));
    }
    if !given.is_empty() {
        rules.set_local(given.to_vec());
        let why = "--local".to_owned();
        return Ok((Local { addresses: names(given), assumed: false, why }, openings));
    }
    let Some(Guess { addresses, why }) = survey.guess() else {
        let why = "the capture shows no IP packet".to_owned();
        return Ok((Local { addresses: Vec::new(), assumed: true, why }, openings));
    };
    let nets: Vec<IpNet> = addresses.into_iter().map(IpNet::from).collect();
    let why = format!("{why}; --local says otherwise");
    let local = Local { addresses: names(&nets), assumed: true, why };
    rules.set_local(nets);
    Ok((local, openings))
}

/// An address without the /32 or /128 that says nothing.
fn shown(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn warnings(rules: &RuleSet, replay: &Replay<'_>, end: &Ended) -> Vec<String> {
    let mut warnings: Vec<String> = rules.warnings().into_iter().map(|warning| warning.0).collect();
    warnings.extend(end.damage.iter().map(CaptureError::to_string));
    let tally = replay.tally();
    warnings.extend(obstacles(replay));
    let unit = match replay.options().sessions {
        Sessions::On => "connection",
        Sessions::Off => "packet",
    };
    if tally.open_question() > 0 {
        warnings.push(format!(
            "{} between members of a group denied by an egress rule; the cloud's documents disagree on \
             whether intra-group access goes first: --intra-group-egress assumes that it does",
            plural(tally.open_question(), unit),
        ));
    }
    let of_reason = |wanted| tally.reasons().find(|(reason, _)| *reason == wanted).map(|(_, n)| n);
    if let (Some(LinkType(link)), Some(n)) =
        (end.unsupported_link, of_reason(Reason::UnsupportedLink))
    {
        warnings.push(format!(
            "{} not evaluated: link type {link} is not read, so nothing is known of its packets",
            plural(n, "packet"),
        ));
    }
    let packets = tally.packets();
    if end.vxlan * 2 > packets.total() {
        warnings.push(format!(
            "{} of {} packets are VXLAN, as a traffic mirror delivers; --decap vxlan judges what is \
             inside",
            end.vxlan,
            packets.total(),
        ));
    }
    let judged = packets.allowed + packets.denied;
    if let Some(n) = of_reason(Reason::NotLocal).filter(|_| judged == 0) {
        warnings.push(format!(
            "none of the {n} IP packets is to or from the local addresses; --local names others"
        ));
    }
    warnings
}

/// Connections that the rules allow and that are likely to be blocked on the way (SEMANTICS A9).
fn obstacles(replay: &Replay<'_>) -> Vec<String> {
    let mut found: BTreeMap<(Obstacle, String), Count> = BTreeMap::new();
    for kind in replay.tally().kinds() {
        let allowed = replay.answer(kind).0 == Verdict::Allow;
        if let (Some(obstacle), Some((_, port)), true) =
            (kind.obstacle, kind.example.transport.ports(), allowed)
        {
            let port = format!("{} {port}", kind.example.proto);
            let count = found.entry((obstacle, port)).or_default();
            *count = *count + kind.count;
        }
    }
    let warning = |((obstacle, port), count): ((Obstacle, String), Count)| {
        let why = match obstacle {
            Obstacle::Carrier => "some carriers block that port on the Internet",
            Obstacle::Smtp => "the cloud restricts it by default, whatever the rules say; use 465",
        };
        let Count { connections, packets, bytes: _ } = count;
        let how_many = match connections {
            0 => plural(packets, "packet"),
            _ => format!("{} ({})", plural(connections, "connection"), plural(packets, "packet")),
        };
        format!("{how_many} to {port}: allowed by the rules, but {why}")
    };
    found.into_iter().map(warning).collect()
}

/// The pcaps of denied and allowed packets.
struct Writers {
    denied: Option<PcapWriter>,
    allowed: Option<PcapWriter>,
}

impl Writers {
    fn create(args: &ReplayArgs, captures: &Captures) -> Result<Self, Failure> {
        let paths = [&args.write_denied, &args.write_allowed];
        for path in paths.into_iter().flatten() {
            if captures.include(path) {
                let path = path.display();
                return Err(Failure::Usage(format!("{path} is being read; write to another file")));
            }
        }
        if args.write_denied.is_some() && args.write_denied == args.write_allowed {
            let message = "--write-denied and --write-allowed name the same file";
            return Err(Failure::Usage(message.to_owned()));
        }
        let create = |path: &Option<_>| {
            path.as_deref().map(|path: &Path| PcapWriter::create(path)).transpose()
        };
        Ok(Self { denied: create(&args.write_denied)?, allowed: create(&args.write_allowed)? })
    }

    #[inline]
    fn write(&mut self, frame: &Frame<'_>, judged: &Judged) -> Result<(), Failure> {
        let writer = match judged.verdict().0 {
            Verdict::Allow => &mut self.allowed,
            Verdict::Deny => &mut self.denied,
            Verdict::NotEvaluated => return Ok(()),
        };
        match writer {
            None => Ok(()),
            Some(writer) => Ok(writer.write(frame)?),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        for writer in [self.denied, self.allowed].into_iter().flatten() {
            writer.finish()?;
        }
        Ok(())
    }
}

type Stdout = std::io::BufWriter<std::io::StdoutLock<'static>>;

/// What is printed, and when.
enum Output<'l> {
    /// The summary, at the end.
    Summary { format: Option<RowFormat>, labels: &'l Labels },
    /// A line per packet as they come, then the summary.
    PacketText { out: Stdout, labels: &'l Labels, tunnels: Tunnels, start: Option<u64> },
    /// A row per packet as they come.
    PacketRows { rows: Box<Rows<Stdout>>, labels: &'l Labels },
    /// A row per connection, at the end.
    Connections { format: Option<RowFormat>, labels: &'l Labels, connections: Connections },
}

impl<'l> Output<'l> {
    fn new(args: &ReplayArgs, labels: &'l Labels, tunnels: Tunnels) -> Result<Self, Failure> {
        let format = row_format(args.format);
        Ok(match (args.per, format) {
            (None, Some(RowFormat::Csv)) | (Some(Per::Connection), _) => {
                if args.sessions == OnOff::Off {
                    let message = "without sessions there are no connections; ask for --per packet";
                    return Err(Failure::Usage(message.to_owned()));
                }
                Self::Connections { format, labels, connections: Connections::default() }
            }
            (None, _) => Self::Summary { format, labels },
            (Some(Per::Packet), None) => {
                Self::PacketText { out: stdout(), labels, tunnels, start: None }
            }
            (Some(Per::Packet), Some(format)) => {
                let columns = [DECODE_COLUMNS.as_slice(), VERDICT_COLUMNS.as_slice()].concat();
                Self::PacketRows {
                    rows: Box::new(Rows::new(stdout(), format, "packet", columns)?),
                    labels,
                }
            }
        })
    }

    /// Whether the text of the summary, which names the local address, is all there is.
    fn is_summary(&self) -> bool {
        matches!(self, Self::Summary { format: None, .. })
    }

    #[inline]
    fn packet(
        &mut self,
        frame: &Frame<'_>,
        decoded: &Decoded,
        judged: &Judged,
    ) -> Result<(), Failure> {
        match self {
            Self::Summary { .. } => {}
            Self::Connections { connections, .. } => connections.add(frame, judged),
            Self::PacketText { out, labels, tunnels, start } => {
                let start = *start.get_or_insert(frame.time_ns.unwrap_or_default());
                let not = match judged {
                    Judged::At(_) => None,
                    Judged::Not(reason) => Some(Answer::Not(*reason)),
                };
                let embedded = embedded(frame.link, frame.data, tunnels);
                let at = judged.judgements().map(|judgement| Answer::Judged(judgement, labels));
                for answer in not.into_iter().chain(at) {
                    let line = packet_line(frame, decoded, embedded.as_ref(), start, Some(answer));
                    writeln!(out, "{line}")?;
                }
            }
            Self::PacketRows { rows, labels } => {
                let decoded = decode_cells(frame, decoded);
                for verdict in verdict_cells(judged, labels) {
                    rows.row(&[decoded.as_slice(), verdict.as_slice()].concat())?;
                }
            }
        }
        Ok(())
    }

    fn finish(self, summary: &Summary, replay: &Replay<'_>) -> Result<(), Failure> {
        match self {
            Self::PacketRows { rows, .. } => rows.finish(summary)?,
            Self::Connections { format: Some(format), labels, connections } => {
                let columns = Connections::COLUMNS.to_vec();
                let mut rows = Rows::new(stdout(), format, "connection", columns)?;
                connections.write(labels, &mut rows)?;
                rows.finish(summary)?;
            }
            Self::Connections { format: None, labels, connections } => {
                let text = text_summary(summary, replay, labels);
                print(stdout(), &format!("{}\n{text}", connections.text(labels)))?;
            }
            Self::PacketText { out, labels, .. } => {
                print(out, &format!("\n{}", text_summary(summary, replay, labels)))?;
            }
            Self::Summary { format, labels } => {
                let text = match format {
                    None => text_summary(summary, replay, labels),
                    Some(RowFormat::Ndjson) => return ndjson(summary),
                    Some(_) => format!(
                        "{}\n",
                        serde_json::to_string_pretty(summary).map_err(std::io::Error::from)?
                    ),
                };
                print(stdout(), &text)?;
            }
        }
        Ok(())
    }
}

/// NDJSON without rows: the summary object alone.
fn ndjson(summary: &Summary) -> Result<(), Failure> {
    Ok(Rows::new(stdout(), RowFormat::Ndjson, "", Vec::new())?.finish(summary)?)
}

fn print(mut out: Stdout, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
