//! A packet of a capture, as `replay` judges it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use sgreplay::engine::{Binding, ReplayRequest, Sink};
use sgreplay::flow::{Packet, Protocol};
use sgreplay::report::CommunityId;
use sgreplay::rules::{Assumption, Ordered, RuleSet};
use sgreplay::sources::Input;
use sgreplay::verdict::{Judged, Judgement};

use super::print::{not_evaluated, print};
use super::{ExplainArgs, Explained, Opening, layers};
use crate::captures::{CaptureArgs, Captures};
use crate::command::{ended, judging};
use crate::exit::{ExitStatus, Failure};

/// A packet of a capture.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// By its number.
    Frame(u64),
    /// The first of a connection, by its Community ID.
    Connection(&'a str),
}

/// The packet that the arguments name, where it is one of a capture.
pub(super) fn wanted(args: &ExplainArgs) -> Result<Option<Wanted<'_>>, Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    match (args.frame, args.community_id()) {
        (Some(_), Some(_)) => usage("--frame and a Community ID both name a packet; give one"),
        (Some(0), None) => usage("--frame 0: frames are counted from 1"),
        (Some(frame), None) => Ok(Some(Wanted::Frame(frame))),
        (None, Some(_)) if args.what().is_none() => usage(
            "a Community ID needs the capture that has the connection: `sgreplay explain RULES ID CAPTURE`",
        ),
        (None, Some(id)) => Ok(Some(Wanted::Connection(id))),
        (None, None) => Ok(None),
    }
}

pub(super) fn one_frame(
    args: &ExplainArgs,
    rules: &mut RuleSet,
    wanted: Wanted<'_>,
) -> Result<ExitStatus, Failure> {
    let capture = CaptureArgs {
        positional: args.what().map(Path::to_owned).into_iter().collect(),
        decap: args.decap.clone(),
        count: match wanted {
            Wanted::Frame(frame) => Some(frame),
            Wanted::Connection(_) => None,
        },
        ..CaptureArgs::default()
    };
    let mut captures = Captures::new(&capture)?;
    let binding = Binding { local: args.local.clone(), ..Binding::default() };
    let bound = captures.bind(rules, &binding)?;
    if bound.local.assumed && !bound.local.sure {
        judging::say_local(&bound.local);
    }
    let (opened, last, frames_read) = (HashMap::new(), None, 0);
    let mut read = ReadUpTo { wanted, opened, last, frames_read };
    let outcome = captures.replay(rules, bound, ReplayRequest::default(), &mut read)?;
    let ReadUpTo { opened, last, frames_read, .. } = read;
    let Some((judged, packet)) = last else {
        ended(&outcome.ended)?;
        return Err(Failure::Usage(match wanted {
            Wanted::Frame(frame) => {
                format!("there is no frame {frame}; the capture has {frames_read}")
            }
            Wanted::Connection(id) => format!("no packet of the capture has the Community ID {id}"),
        }));
    };
    let wanted = frames_read;
    let flow = packet.map(|packet| packet.flow);
    if let Judged::NotEvaluated(reason) = judged {
        return not_evaluated(args.format, wanted, reason, flow);
    }
    let rules: &RuleSet = rules;
    let explained = judged.judgements().filter_map(|judgement| {
        let Judgement { interface, direction, verdict, reason, connection, local_began, .. } =
            *judgement;
        let opening = match connection {
            Some(connection) => *opened.get(&(connection, interface, local_began))?,
            // Without sessions every packet stands for itself.
            None => Opening { frame: Some(wanted), flow: flow?, direction },
        };
        // Of neighbour discovery a hop limit is asked.
        let may_be_routed = connection.is_none() && flow?.proto == Protocol::ICMPV6;
        let is_routed = may_be_routed && !packet?.crossed_no_router();
        let layers = layers(rules, interface, opening.direction, &Assumption::default());
        let layers = match is_routed {
            true => layers.into_iter().map(Ordered::of_routed).collect(),
            false => layers,
        };
        let reply = judgement.reply.and_then(|_| rules.stateless(interface, direction));
        Some(Explained {
            rules,
            interface,
            direction,
            verdict,
            reason,
            flow: flow?,
            opening,
            layers,
            reply,
        })
    });
    print(args.format, &explained.collect::<Vec<_>>())?;
    Ok(ExitStatus::Done)
}

/// The packets up to the one that is explained.
struct ReadUpTo<'a> {
    wanted: Wanted<'a>,
    /// How connections were opened, by number, interface and whether its own end began them.
    opened: HashMap<(u64, usize, bool), Opening>,
    last: Option<(Judged, Option<Packet>)>,
    frames_read: u64,
}

impl Sink for ReadUpTo<'_> {
    type Error = Failure;

    fn frame(&mut self, input: &Input<'_>, judged: &Judged) -> Result<ControlFlow<()>, Failure> {
        let Input { frame, decoded, .. } = input;
        for judgement in judged.judgements() {
            let Judgement { interface, local_began, decided_in, .. } = *judgement;
            if let (Some(connection), Some((_, flow))) = (judgement.connection, judgement.opened) {
                let opening = Opening { frame: Some(frame.number), flow, direction: decided_in };
                self.opened.insert((connection, interface, local_began), opening);
            }
        }
        self.frames_read = frame.number;
        let packet = decoded.packet().copied();
        let is_wanted = match self.wanted {
            Wanted::Frame(number) => frame.number == number,
            Wanted::Connection(id) => {
                packet.is_some_and(|packet| CommunityId::new(&packet.flow).as_str() == id)
            }
        };
        if !is_wanted {
            return Ok(ControlFlow::Continue(()));
        }
        self.last = Some((*judged, packet));
        Ok(ControlFlow::Break(()))
    }
}
