//! `sgreplay explain`: one packet, every rule in evaluation order.

mod args;
mod frame;
mod print;
mod remedy;
mod tuple;

use sgreplay::engine;
use sgreplay::escape::{self, Text};
use sgreplay::evaluate::{Examined, explain};
use sgreplay::flow::{Direction, FlowTuple, Protocol, Transport};
use sgreplay::labels::Label;
use sgreplay::rules::{Assumption, Interface, Ordered, Policy, RuleProtocol, RuleSet, services};
use sgreplay::verdict::{Reason, Verdict};

use super::judging;
use crate::exit::{ExitStatus, Failure};
use crate::input;
pub(crate) use args::{Endpoint, ExplainArgs};
use frame::{one_frame, wanted};
use print::{print, text};

pub(crate) fn run(args: &ExplainArgs) -> Result<ExitStatus, Failure> {
    let (mut rules, input) = input::rules(args.rules(), &(&args.switches).into())?;
    if let Some(wanted) = wanted(args)? {
        judging::can_judge(&rules, &input.path, &[])?;
        return one_frame(args, &mut rules, wanted);
    }
    if args.interface.is_none() {
        let path = &input.path;
        engine::asks_for_groups(&rules)
            .map_err(|error| Failure::Usage(format!("{path}: {error}")))?;
    }
    if let Some(what) = args.what() {
        judging::set_local(&mut rules, &args.local)?;
        return one_line(args, &rules, &escape::os(what.as_os_str()));
    }
    one_tuple(args, &rules)
}

/// The packet that a line states, at each end that is an interface of the rules.
fn one_line(args: &ExplainArgs, rules: &RuleSet, line: &str) -> Result<ExitStatus, Failure> {
    let stated = tuple::parse(line).map_err(Failure::Usage)?;
    let RuleProtocol::Only(proto) = stated.proto else {
        return Err(Failure::Usage(format!("`{line}`: a packet has one protocol")));
    };
    let flow = tuple(proto, &stated.src, &stated.dst, stated.icmp_type)?;
    let owns = |addr| {
        let mut nets = rules.interfaces().iter().flat_map(|eni| &eni.addresses);
        nets.any(|net| net.contains(&addr))
    };
    let directions: Vec<Direction> = match args.direction.or(stated.direction) {
        Some(direction) => vec![direction],
        // What leaves one interface and reaches another is judged at both.
        None => [Direction::Egress, Direction::Ingress]
            .into_iter()
            .filter(|direction| owns(flow.local(*direction)))
            .collect(),
    };
    if directions.is_empty() {
        return Err(Failure::Usage(format!(
            "neither {} nor {} is known as an address of an interface: --local says which is the instance's, or \
             --direction which way the packet goes",
            flow.src, flow.dst,
        )));
    }
    let named = args.interface.as_deref().or(stated.interface.as_deref());
    let explained = directions.into_iter().map(|direction| {
        let interface = interface(rules, named, flow.local(direction))?;
        Ok(opening(rules, interface, direction, &Assumption::default(), flow))
    });
    print(args.format, &explained.collect::<Result<Vec<_>, Failure>>()?)?;
    Ok(ExitStatus::Done)
}

/// How one packet was judged at one interface, and the walk that judged its connection's opening.
struct Explained<'r> {
    rules: &'r RuleSet,
    interface: usize,
    /// The packet's own direction.
    direction: Direction,
    verdict: Verdict,
    reason: Reason,
    flow: FlowTuple,
    /// The opening packet's, whose walk through the layers this is.
    opening: Opening,
    layers: Vec<Ordered>,
    /// The network ACL, which looks at a packet that answers by itself.
    reply: Option<Ordered>,
}

/// The packet that opened the connection.
#[derive(Clone, Copy)]
struct Opening {
    frame: Option<u64>,
    flow: FlowTuple,
    direction: Direction,
}

fn one_tuple(args: &ExplainArgs, rules: &RuleSet) -> Result<ExitStatus, Failure> {
    let (Some(direction), Some(proto), Some(src), Some(dst)) =
        (args.direction, args.proto, &args.src, &args.dst)
    else {
        // clap has asked for all four.
        return Err(Failure::Usage("give --direction, --proto, --src and --dst".to_owned()));
    };
    let RuleProtocol::Only(proto) = proto else {
        return Err(Failure::Usage("--proto all: a packet has one protocol".to_owned()));
    };
    let flow = tuple(proto, src, dst, args.icmp_type)?;
    let interface = interface(rules, args.interface.as_deref(), flow.local(direction))?;
    print(args.format, &[opening(rules, interface, direction, &Assumption::default(), flow)])?;
    Ok(ExitStatus::Done)
}

/// How an opening packet at an interface is decided, rule by rule, in words.
pub(super) fn trace(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    assumed: &Assumption,
    flow: FlowTuple,
) -> Text {
    shortened(text(&opening(rules, interface, direction, assumed, flow)))
}

/// The same of a packet that answers, by the network ACL alone.
pub(super) fn trace_reply(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    flow: FlowTuple,
) -> Text {
    let layers = rules.stateless(interface, direction).into_iter().collect();
    shortened(text(&walked(rules, (interface, direction), flow, layers)))
}

fn shortened(whole: Text) -> Text {
    let lines: Vec<&str> = whole.as_str().lines().collect();
    let [first, steps @ .., last] = lines.as_slice() else { return whole };
    let Some(left_out) = steps.len().checked_sub(LONGEST_TRACE).filter(|n| *n > 0) else {
        return whole;
    };
    let mut cut = Text::default();
    cut.line(first);
    cut.line(format_args!("      {left_out} entries before do not match"));
    steps.iter().skip(left_out).chain([last]).for_each(|line| cut.line(line));
    cut
}

/// Steps of a trace that is part of another output.
const LONGEST_TRACE: usize = 16;

fn opening<'r>(
    rules: &'r RuleSet,
    interface: usize,
    direction: Direction,
    assumed: &Assumption,
    flow: FlowTuple,
) -> Explained<'r> {
    let layers = layers(rules, interface, direction, assumed);
    walked(rules, (interface, direction), flow, layers)
}

/// Decided by a walk through these layers.
fn walked(
    rules: &RuleSet,
    (interface, direction): (usize, Direction),
    flow: FlowTuple,
    layers: Vec<Ordered>,
) -> Explained<'_> {
    let (verdict, reason) = (Verdict::Deny, Reason::Default);
    let opening = Opening { frame: None, flow, direction };
    let reply = None;
    let one =
        Explained { rules, interface, direction, verdict, reason, flow, opening, layers, reply };
    let decided = one.steps().last().map(|(_, step)| (step.entry.policy, step.entry.kind));
    let (verdict, reason) =
        decided.map_or((verdict, reason), |(policy, kind)| (policy.into(), kind.into()));
    Explained { verdict, reason, ..one }
}

fn layers(
    rules: &RuleSet,
    interface: usize,
    direction: Direction,
    assumed: &Assumption,
) -> Vec<Ordered> {
    let layers = rules.ordered_by_layer(interface, direction, assumed);
    layers.into_iter().map(|(_, list)| list).collect()
}

/// A source port for a client that is not asked about.
const SOME_CLIENT_PORT: u16 = 49_152;

fn tuple(
    proto: Protocol,
    src: &Endpoint,
    dst: &Endpoint,
    icmp_type: Option<(u8, u8)>,
) -> Result<FlowTuple, Failure> {
    let usage = |message: String| Err(Failure::Usage(message));
    if src.addr.is_ipv4() != dst.addr.is_ipv4() {
        return usage(format!("--src {} and --dst {} are of two families", src.addr, dst.addr));
    }
    let port = |endpoint: &Endpoint| -> Result<Option<u16>, Failure> {
        let Some(text) = &endpoint.port else { return Ok(None) };
        if let Ok(number) = text.parse() {
            return Ok(Some(number));
        }
        let ranges =
            services::ports(text, Some(proto)).map_err(|e| Failure::Usage(e.to_string()))?;
        Ok(ranges.first().map(|range| range.first()))
    };
    let transport = match (proto.has_ports(), port(src)?, port(dst)?) {
        (true, _, None) => {
            return usage(format!("a {proto} packet has ports: write --dst {}:PORT", dst.addr));
        }
        (true, sport, Some(dst)) => {
            Transport::Ports { src: sport.unwrap_or(SOME_CLIENT_PORT), dst }
        }
        (false, None, None) => match (proto, icmp_type) {
            (Protocol::ICMP | Protocol::ICMPV6, Some((kind, code))) => {
                Transport::Icmp { kind, code, id: None }
            }
            (Protocol::ICMP, None) => Transport::Icmp { kind: 8, code: 0, id: None },
            (Protocol::ICMPV6, None) => Transport::Icmp { kind: 128, code: 0, id: None },
            _ => Transport::Absent,
        },
        (false, _, _) => return usage(format!("{proto} has no ports; leave them out")),
    };
    Ok(FlowTuple { src: src.addr, dst: dst.addr, proto, transport })
}

fn interface(
    rules: &RuleSet,
    name: Option<&str>,
    local: std::net::IpAddr,
) -> Result<usize, Failure> {
    let all = rules.interfaces();
    let names = || all.iter().map(|eni| eni.id.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = name {
        return rules.interface_named(name).ok_or_else(|| {
            Failure::Usage(format!("there is no interface `{name}`; there are: {}", names()))
        });
    }
    let owns = |eni: &Interface| eni.addresses.iter().any(|net| net.contains(&local));
    let owners: Vec<usize> = (0..all.len()).filter(|n| all.get(*n).is_some_and(owns)).collect();
    match owners.as_slice() {
        [owner] => Ok(*owner),
        [] if all.len() == 1 => Ok(0),
        [_, _, ..] => {
            let ids = owners.iter().filter_map(|owner| all.get(*owner)).map(|eni| eni.id.as_str());
            Err(Failure::Usage(format!(
                "{local} belongs to several interfaces; name one with --interface: {}",
                ids.collect::<Vec<_>>().join(", "),
            )))
        }
        [] => Err(Failure::Usage(format!(
            "{local} is no address of an interface; name one with --interface: {}",
            names(),
        ))),
    }
}

impl Explained<'_> {
    /// Through the layers, down to the one that denies.
    fn steps(&self) -> Vec<(Label, Examined<'_>)> {
        let mut steps = Vec::new();
        for list in &self.layers {
            let walk = explain(list, &self.opening.flow);
            let denied = walk.last().is_none_or(|step| step.entry.policy == Policy::Drop);
            steps.extend(walk);
            if denied {
                break;
            }
        }
        self.labelled(steps)
    }

    /// Through the network ACL, of a packet that answers.
    fn reply_steps(&self) -> Vec<(Label, Examined<'_>)> {
        self.reply.as_ref().map_or_else(Vec::new, |list| self.labelled(explain(list, &self.flow)))
    }

    fn labelled<'e>(&'e self, steps: Vec<Examined<'e>>) -> Vec<(Label, Examined<'e>)> {
        let steps = steps.into_iter().filter(|step| !step.entry.has_no_members());
        steps.map(|step| (Label::new(self.rules, self.interface, step.entry), step)).collect()
    }

    /// Whether the packet meets more than one layer.
    fn is_layered(&self) -> bool {
        self.layers.len() > 1
    }

    fn interface_name(&self) -> &str {
        self.rules.interfaces().get(self.interface).map_or("", |eni| eni.id.as_str())
    }
}
