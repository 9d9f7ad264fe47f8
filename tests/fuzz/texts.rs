//! What must hold of any text at all, and of the rules in it: the second half of the targets.
//!
//! Where a target takes two texts, a line of four dashes parts them.

use std::num::NonZeroUsize;
use std::time::Duration;

use sgreplay::assertions::outcome;
use sgreplay::baseline::Accepted;
use sgreplay::capture::Capture;
use sgreplay::check::check;
use sgreplay::convert::alibaba_json;
use sgreplay::decode::{Decoded, Tunnels, decode};
use sgreplay::diff::{self, Effect};
use sgreplay::escape;
use sgreplay::evaluate::{Evaluator, Reference};
use sgreplay::filter::Filter;
use sgreplay::flow::{Direction, FlowTuple, Fragment, Packet};
use sgreplay::parse::{self, Content, LoadOptions, Loaded, Positions, Source};
use sgreplay::read_ahead::{Ahead, Next};
use sgreplay::replay::{Options, Replay};
use sgreplay::report::{FindingsSummary, RulesInput, Shown, escaped, findings_text, table};
use sgreplay::rules::{Assumption, EntryKind, Expectation, Policy, RuleSet, Tag};
use sgreplay::sources::Input;
use sgreplay::verdict::Judged;

use super::samples::MARK;
use super::targets::flows;

/// Lists with more entries are not asked about: it is meanings that are looked for.
const MOST_ENTRIES: usize = 200;

/// Fails where a text acts on a terminal: said once more, apart from the program's own list.
fn assert_shown(text: &str) {
    let acts = text.chars().find(|c| {
        let hidden = matches!(*c as u32, 0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe007f);
        hidden || c.is_control() && *c != '\n'
    });
    assert_eq!(acts, None, "{text:?}");
}

/// Two texts.
fn parted(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let at = bytes.windows(MARK.len()).position(|part| part == MARK)?;
    Some((std::str::from_utf8(bytes.get(..at)?).ok()?, bytes.get(at + MARK.len()..)?))
}

fn is_small(rules: &RuleSet) -> bool {
    let entries =
        |interface| Direction::BOTH.map(|way| rules.ordered(interface, way).entries().len());
    rules.interfaces().len() <= 3
        && (0..rules.interfaces().len()).flat_map(entries).all(|n| n <= MOST_ENTRIES)
}

fn packet(flow: FlowTuple) -> Packet {
    Packet { flow, tcp_flags: None, fragment: Fragment::No, hop_limit: 64 }
}

/// A filter is an error that shows where, or goes with `and`, `or` and `not` as these do.
pub(crate) fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.get(error.at.clone()).is_some(), "{:?} of {text:?}", error.at);
            let shown = error.to_string();
            assert_eq!(shown.lines().count(), 3, "{shown}");
            assert_shown(&shown);
            return;
        }
    };
    let Ok(ssh) = Filter::parse("dst port 22") else { return };
    let parsed = |text: String| Filter::parse(&text).ok();
    let and = parsed(format!("({text}) and (dst port 22)"));
    let or = parsed(format!("({text}) or (dst port 22)"));
    let chained = parsed(format!("dst port 22 or ({text}) and dst port 22"));
    let not = parsed(format!("not ({text})"));
    let every = flows().map(|flow| Some(packet(flow))).chain([None]);
    for packet in every {
        let packet = packet.as_ref();
        let (own, other) = (filter.matches(packet), ssh.matches(packet));
        let agrees = |filter: &Option<Filter>, wanted: bool| {
            // Deeper by one level, and longer, it may be beyond a bound.
            filter.as_ref().is_none_or(|filter| filter.matches(packet) == wanted)
        };
        assert!(agrees(&and, own && other), "{text:?} and {packet:?}");
        assert!(agrees(&or, own || other), "{text:?} or {packet:?}");
        assert!(agrees(&chained, other), "left to right: {text:?} {packet:?}");
        assert!(agrees(&not, !own), "not {text:?} {packet:?}");
    }
}

/// A file of accepted changes is an error that names it, or its first entry that holds accepts a change.
pub(crate) fn accepted(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let accepted = match Accepted::parse("x", text, jiff::civil::date(2026, 11, 23)) {
        Ok(accepted) => accepted,
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with('x'), "{shown}");
            return assert_shown(&shown);
        }
    };
    for flow in flows() {
        for effect in [Effect::NewlyDenied, Effect::NewlyAllowed, Effect::OtherRule] {
            let holds = |(n, entry): &(usize, &sgreplay::baseline::AcceptedChange)| {
                let of_effect =
                    entry.change.as_deref().is_none_or(|change| change == effect.as_str());
                let filter = Filter::parse(&entry.filter).unwrap();
                let day = jiff::civil::date(2026, 11, 23);
                let in_time = entry.until.is_none_or(|until| until >= day);
                assert_eq!(accepted.expired(*n), !in_time);
                in_time && of_effect && filter.matches(Some(&packet(flow)))
            };
            let first = accepted.entries().iter().enumerate().find(holds);
            assert_eq!(accepted.position(effect, &flow), first.map(|(n, _)| n), "{flow}");
        }
    }
}

/// Rules that expectations are about.
pub(crate) const RULES: &str = "
security_groups:
  - id: sg-a
    rules:
      - {id: ssh, direction: ingress, protocol: tcp, ports: 22, source: [203.0.113.0/24, '::/1']}
      - {id: web, direction: ingress, protocol: tcp, ports: [80, 443], source: [0.0.0.0/0, '::/0']}
      - {id: no-db, direction: ingress, policy: drop, priority: 5, protocol: tcp, ports: 3306, source: 0.0.0.0/1}
      - {id: db, direction: ingress, priority: 6, protocol: tcp, ports: 3306, source: 0.0.0.0/0}
      - {id: ping, direction: ingress, protocol: icmp, source: 10.0.0.0/8}
      - {id: no-dns, direction: egress, policy: drop, protocol: udp, ports: 53, destination: 0.0.0.0/0}
interfaces: [{id: eni-a, addresses: [10.0.0.5, '::1'], security_groups: [sg-a]}]
";

/// A file of expectations is an error that names it, or each is met exactly where the list of rules meets it.
pub(crate) fn expectations(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let rules = parse::yaml("rules", RULES).unwrap();
    match parse::expectations("x", text, &rules) {
        Ok(found) => found.iter().take(4).for_each(|one| expectation(&rules, one)),
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with('x'), "{shown}");
            assert_shown(&shown);
        }
    }
}

fn expectation(rules: &RuleSet, expected: &Expectation) {
    let Ok(outcome) = outcome(rules, expected) else { return };
    let direction = expected.direction;
    let list = rules.ordered(0, direction);
    let decided = |flow: &FlowTuple| list.entry(Reference(&list).decide(flow)).unwrap();
    let by = |flow: &FlowTuple| {
        let (_, name) = rules.names(0, decided(flow));
        expected.by.as_ref().is_none_or(|by| *by == name)
    };
    for failure in &outcome.failures {
        let Some(region) = &failure.region else { continue };
        let example = region.example();
        let right = decided(&example).policy == failure.expected;
        assert!(!right || !by(&example), "{} is as expected: {example}", expected.name);
        assert!(region.contains(&example), "{example}");
    }
    let matches = |packets: &sgreplay::rules::Packets, flow: &FlowTuple| {
        packets.matcher(rules, &Assumption::default()).fails_on(flow, direction).is_none()
    };
    let own = |flow: &FlowTuple| {
        let local = flow.local(direction);
        rules.interfaces().iter().any(|eni| eni.addresses.iter().any(|net| net.contains(&local)))
    };
    for flow in flows().filter(|flow| own(flow) && is_whole(flow)) {
        let meant = !expected.except.iter().any(|packets| matches(packets, &flow));
        let verdict = match matches(&expected.packets, &flow) {
            true => Some(expected.verdict),
            false => expected.otherwise.filter(|_| matches(&expected.packets.of_anybody(), &flow)),
        };
        // What passes whatever the rules say fails nothing (SEMANTICS F24).
        let system = matches!(decided(&flow).kind, EntryKind::System(_));
        let Some(verdict) = verdict.filter(|_| meant && !system) else { continue };
        let is_right =
            decided(&flow).policy == verdict && (verdict != expected.verdict || by(&flow));
        let holds = |failure: &sgreplay::assertions::FailedExpectation| {
            failure.region.as_ref().is_some_and(|region| region.contains(&flow))
        };
        let listed = outcome.failures.iter().any(holds);
        // Of the two verdicts that an expectation has, either may fail.
        assert!(is_right || listed, "{} fails for {flow}, and nobody says so", expected.name);
    }
}

/// Ports of TCP and UDP, types of ICMP: header space is that of whole packets.
fn is_whole(flow: &FlowTuple) -> bool {
    use sgreplay::flow::{Protocol, Transport};
    match flow.transport {
        Transport::Ports { .. } => flow.proto.has_ports(),
        Transport::Icmp { .. } => [Protocol::ICMP, Protocol::ICMPV6].contains(&flow.proto),
        Transport::Absent => !flow.proto.has_ports(),
    }
}

/// Rules of any cloud, in any of its answers: an error, or rules that mean the same when they are written as our own
/// file, and as the cloud's answers where these can say them.
pub(crate) fn clouds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let hints = hints();
    let source = [Source { name: "x", text }];
    match parse::load(&source, &hints) {
        Err(error) => assert_shown(&error.to_string()),
        Ok(Content::Own) => {}
        Ok(Content::Rules(loaded)) => same_when_written(&loaded, &hints),
        Ok(Content::Plan(plan)) => {
            same_when_written(&plan.current, &hints);
            same_when_written(&plan.proposed, &hints);
        }
    }
}

/// What the samples leave open.
pub(crate) fn hints() -> LoadOptions {
    let tag =
        |name: &str, net: &str| Tag { name: name.to_owned(), entries: vec![net.parse().unwrap()] };
    LoadOptions {
        tags: vec![
            tag("VirtualNetwork", "10.0.0.0/8"),
            tag("AzureLoadBalancer", "168.63.129.16/32"),
            tag("Internet", "128.0.0.0/1"),
        ],
        instance_tags: Some(Vec::new()),
        ..LoadOptions::default()
    }
}

fn same_when_written(loaded: &Loaded, hints: &LoadOptions) {
    let rules = match loaded.rule_set("x", hints) {
        Ok((rules, _)) => rules,
        Err(error) => return assert_shown(&error.to_string()),
    };
    if !is_small(&rules) {
        return;
    }
    let text = parse::print(&rules);
    assert_shown(&text);
    let again = parse::yaml("x", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    same_answers(&rules, &again);
    let Ok(answers) = alibaba_json(&rules) else { return };
    let text = serde_json::to_string(&answers).unwrap();
    let source = [Source { name: "x", text: &text }];
    if let Ok(Content::Rules(loaded)) = parse::load(&source, &LoadOptions::default())
        && let Ok((again, _)) = loaded.rule_set("x", &LoadOptions::default())
        && again.interfaces().len() == rules.interfaces().len()
    {
        same_answers(&rules, &again);
    }
}

fn same_answers(one: &RuleSet, other: &RuleSet) {
    assert_eq!(one.interfaces().len(), other.interfaces().len());
    for interface in 0..one.interfaces().len() {
        for direction in Direction::BOTH {
            let lists = [one, other].map(|rules| rules.ordered(interface, direction));
            for flow in flows() {
                let [a, b] = lists.each_ref().map(|list| {
                    list.entry(Reference(list).decide(&flow)).map(|entry| entry.policy)
                });
                assert_eq!(a, b, "{direction} {flow}");
            }
        }
    }
}

/// The exact difference of two rule sets is what the two lists say of any packet.
pub(crate) fn difference(bytes: &[u8]) {
    let Some((one, other)) = parted(bytes) else { return };
    let Ok(other) = std::str::from_utf8(other) else { return };
    let (Ok(one), Ok(other)) = (parse::yaml("a", one), parse::yaml("b", other)) else { return };
    let comparable = |rules: &RuleSet| {
        !rules.lists_interfaces() && rules.interfaces().len() == 1 && is_small(rules)
    };
    if !comparable(&one) || !comparable(&other) {
        return;
    }
    let Ok(turned) = diff::regions(&one, &other) else { return };
    let policy = |rules: &RuleSet, direction, flow: &FlowTuple| {
        let list = rules.ordered(0, direction);
        list.entry(Reference(&list).decide(flow)).map(|entry| entry.policy)
    };
    let effect = |direction, flow: &FlowTuple| match [&one, &other]
        .map(|rules| policy(rules, direction, flow))
    {
        [Some(Policy::Accept), Some(Policy::Drop)] => Some(Effect::NewlyDenied),
        [Some(Policy::Drop), Some(Policy::Accept)] => Some(Effect::NewlyAllowed),
        _ => None,
    };
    let examples = turned.iter().map(|one| (one.region.direction(), one.region.example()));
    let samples = flows().filter(is_whole).flat_map(|flow| Direction::BOTH.map(|way| (way, flow)));
    for (direction, flow) in examples.chain(samples) {
        let known = turned.iter().filter(|one| one.members_of.is_empty());
        let mut holding =
            known.filter(|one| one.region.direction() == direction && one.region.contains(&flow));
        let found = holding.next().map(|one| one.effect);
        assert_eq!(found, effect(direction, &flow), "{direction} {flow}");
        assert!(holding.next().is_none(), "two regions hold {direction} {flow}");
    }
}

/// A capture is judged the same one by one, in batches, and by any number of threads.
pub(crate) fn judge(bytes: &[u8]) {
    const ENOUGH: usize = 300;
    let Some((text, capture)) = parted(bytes) else { return };
    let Ok(mut rules) = parse::yaml("x", text) else { return };
    if !is_small(&rules) {
        return;
    }
    if !rules.lists_interfaces() && rules.interfaces().len() == 1 {
        rules.set_local(vec!["10.0.0.5/32".parse().unwrap(), "::1/128".parse().unwrap()]);
    }
    let open = || Capture::from_reader("x", Box::new(std::io::Cursor::new(capture.to_vec())));
    let Ok(mut one_by_one) = open() else { return };
    let replay = || Replay::new(&rules, Options::default());
    let (mut slow, mut expected): (_, Vec<Judged>) = (replay(), Vec::new());
    while expected.len() < ENOUGH
        && let Ok(Some(frame)) = one_by_one.next_frame()
    {
        // A fragment that comes before its first is completed by looking ahead.
        let decoded = decode(frame.link, frame.data);
        let later = matches!(decoded.packet(), Some(packet) if packet.fragment != Fragment::No);
        if later {
            return;
        }
        expected.push(slow.judge(&frame, &decoded));
    }
    for threads in 1..=3 {
        let Ok(again) = open() else { return };
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut ahead = Ahead::new(again, Tunnels::default(), threads);
        let (mut fast, mut found): (_, Vec<Judged>) = (replay(), Vec::new());
        while found.len() < expected.len() {
            match ahead.next_batch(Duration::from_secs(10)) {
                Next::Batch(batch) => {
                    let frames: Vec<_> =
                        batch.frames_from(0).take(expected.len() - found.len()).collect();
                    let inputs: Vec<Input<'_>> = frames
                        .iter()
                        .map(|(frame, decoded): &(_, &Decoded)| Input {
                            frame: *frame,
                            decoded,
                            selected: true,
                            in_window: true,
                        })
                        .collect();
                    for some in inputs.chunks(7) {
                        let judged = fast.judge_batch(some, |_, judged| {
                            found.push(*judged);
                            Ok::<(), std::convert::Infallible>(())
                        });
                        judged.unwrap();
                    }
                    ahead.recycle(batch);
                }
                Next::NotYet => panic!("a capture in memory has nothing to wait for"),
                Next::Damage(_) | Next::End => break,
            }
        }
        assert_eq!(found.len(), expected.len(), "by {threads} threads");
        for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.verdict(), expected.verdict(), "frame {} by {threads} threads", n + 1);
        }
        let (a, b) = (fast.stats(), slow.stats());
        assert_eq!(
            (a.packets(), a.connections(), a.bytes()),
            (b.packets(), b.connections(), b.bytes())
        );
    }
}

/// What reaches a terminal, whatever it was made of.
pub(crate) fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.get(..text.floor_char_boundary(400)).unwrap_or_default();
    let line = escape::line(text);
    assert_shown(&line);
    assert!(!line.contains('\n'));
    assert_eq!(escape::line(&line), line, "escaping twice is escaping once");
    assert_shown(&escape::lines(text));
    assert_shown(&escape::unquoted(text));
    let cell = escape::csv(text);
    assert_shown(&cell.replace('\t', ""));
    let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    assert!(!runs || cell.parse::<f64>().is_ok(), "{cell:?}");
    let quoted = escape::quoted(text);
    assert_shown(&quoted);
    assert_eq!(sgreplay::yaml::read::<String>(&quoted).ok().as_deref(), Some(text));
    let json = serde_json::to_string(text).unwrap();
    assert_shown(&escape::json(&json));
    assert_eq!(serde_json::from_str::<String>(&escape::json(&json)).ok().as_deref(), Some(text));
    let rows = vec![vec!["a".to_owned(), "b".to_owned()], vec![text.to_owned(), "1".to_owned()]];
    let shown = table(&rows);
    assert_shown(shown.as_str());
    assert_eq!(shown.as_str().lines().count(), 2);
    let markdown = escaped(text);
    assert_shown(&markdown);
    assert!(!markdown.replace("<!-- -->", "").contains(['<', '>']), "{markdown}");

    // As the names of rules, which are in every message and every table.
    let rules = format!(
        "security_groups: [{{id: sg-a, rules: [{{id: {quoted}, direction: ingress, protocol: tcp, ports: 22, source: \
         0.0.0.0/0, description: {quoted}}}, {{id: b, direction: ingress, protocol: tcp, ports: 22, source: \
         10.0.0.0/8}}]}}]"
    );
    match parse::yaml(text, &rules) {
        Err(error) => assert_shown(&error.to_string()),
        Ok(rules) => {
            let checked = check(&rules, jiff::civil::date(2026, 11, 23));
            let input = RulesInput { path: text.to_owned(), ..RulesInput::default() };
            let summary = FindingsSummary::new(&rules, input, &checked);
            let positions = Positions::default();
            let found = findings_text(&rules, &summary, &checked, &positions, Shown::All);
            assert_shown(found.as_str());
            assert!(found.as_str().contains(&*line), "{found}");
            assert_eq!(parse::yaml("x", &parse::print(&rules)).ok(), Some(rules));
        }
    }
}
