//! Which addresses are the interfaces', and which frames come from which.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::Serialize;

use crate::decode::Decoded;
use crate::direction::{Evidence, Survey};
use crate::error::Error;
use crate::rules::{RuleSet, cidr_text, listed};
use crate::session::Openings;
use crate::sources::Sources;

/// The addresses taken for the interface's.
#[derive(Clone, Debug, Serialize)]
pub struct Local {
    /// Addresses and networks.
    pub addresses: Vec<String>,
    /// Whether they were inferred from the capture.
    pub assumed: bool,
    /// What tells them from other addresses.
    pub evidence: Evidence,
    /// Whether that singles them out.
    pub sure: bool,
    /// The evidence in words.
    pub why: String,
    /// Where it does not, the address that is the next likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<IpAddr>,
}

/// What the user says of interfaces.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// The addresses of the one interface, where rules list none; empty to infer them from the captures.
    pub local: Vec<IpNet>,
    /// Where captures were made.
    pub interfaces: Vec<CapturePoint>,
}

/// An interface, and a capture made there or the name that pcapng has for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct CapturePoint {
    /// The interface's id.
    pub interface: String,
    /// The capture, as it was named, or the name in pcapng.
    pub source: String,
}

/// How rules apply to captures, for a [`replay`](super::replay()).
#[derive(Clone, Debug)]
pub struct Bound {
    /// The local addresses.
    pub local: Local,
    /// Who accepts connections, as the first packets show it.
    pub openings: Openings,
    pub(super) capture_points: Vec<(String, usize)>,
}

/// The same of two rule sets, for a [`compare`](super::compare()).
#[derive(Clone, Debug)]
pub struct BoundBoth {
    /// The local addresses, which are the same to both.
    pub local: Local,
    /// Who accepts connections, as the first packets show it.
    pub openings: Openings,
    pub(super) capture_points: [Vec<(String, usize)>; 2],
}

/// Finds the addresses of the rules' interfaces, and looks at the first packets of each capture for who accepts
/// connections.
///
/// # Errors
/// When a capture cannot be opened, the rules do not go with what is said of interfaces, or it is not known which groups
/// an interface has.
pub fn bind(rules: &mut RuleSet, sources: &mut Sources, binding: &Binding) -> Result<Bound, Error> {
    can_judge(rules, &binding.interfaces)?;
    let capture_points = capture_points(&binding.interfaces, rules, sources)?;
    let (local, openings) = local(rules, &binding.local, sources)?;
    Ok(Bound { local, openings, capture_points })
}

/// The same for two rule sets, whose one interface has the same addresses.
///
/// # Errors
/// As [`bind`].
pub fn bind_both(
    (current, proposed): (&mut RuleSet, &mut RuleSet),
    sources: &mut Sources,
    binding: &Binding,
) -> Result<BoundBoth, Error> {
    for rules in [&*current, &*proposed] {
        can_judge(rules, &binding.interfaces)?;
    }
    let capture_points = [
        capture_points(&binding.interfaces, current, sources)?,
        capture_points(&binding.interfaces, proposed, sources)?,
    ];
    let (local, openings) = local(current, &binding.local, sources)?;
    if let (false, [only]) = (proposed.lists_interfaces(), current.interfaces()) {
        proposed.set_local(only.addresses.clone());
    }
    Ok(BoundBoth { local, openings, capture_points })
}

/// Whether packets of captures can be judged: it must be known which groups their interface has, and which interface an
/// address belongs to.
///
/// # Errors
/// What has to be said first.
pub fn can_judge(rules: &RuleSet, capture_points: &[CapturePoint]) -> Result<(), Error> {
    asks_for_groups(rules)?;
    if let (true, Some((net, owners))) = (capture_points.is_empty(), rules.shared_address()) {
        let [a, b] = owners.map(|at| rules.interfaces().get(at).map_or("", |eni| eni.id.as_str()));
        return Err(Error::Question(format!(
            "{net} belongs to interface `{a}` and to `{b}`; captures at each tell them apart: --interface {b}=CAPTURE",
        )));
    }
    Ok(())
}

/// Asks which groups an instance has, where it is not known (SEMANTICS F26).
///
/// # Errors
/// The question, with the groups.
pub fn asks_for_groups(rules: &RuleSet) -> Result<(), Error> {
    if rules.asks_for_groups() {
        let groups: Vec<&str> = rules.groups().iter().map(|group| group.id.as_str()).collect();
        return Err(Error::Question(format!(
            "there are {} groups, and it is not known which of them the instance has; --groups says it, as in \
             --groups {}, or {} beside the rules. There are: {}",
            groups.len(),
            groups.first().copied().unwrap_or_default(),
            rules.cloud().lists_interfaces_by(),
            listed(&groups),
        )));
    }
    Ok(())
}

/// The names under which frames come from an interface, and its position.
fn capture_points(
    given: &[CapturePoint],
    rules: &RuleSet,
    sources: &mut Sources,
) -> Result<Vec<(String, usize)>, Error> {
    let mut capture_points = Vec::new();
    for point in given {
        let position = interface_at(rules, point)?;
        let CapturePoint { interface: eni, source: of } = point;
        // A capture's frames take the name of its interface; others have the one that pcapng gives.
        capture_points.push(match sources.made_at(Path::new(of), eni) {
            true => (eni.clone(), position),
            false => (of.clone(), position),
        });
    }
    Ok(capture_points)
}

/// The position of the interface that a capture point is at.
pub(crate) fn interface_at(rules: &RuleSet, point: &CapturePoint) -> Result<usize, Error> {
    let CapturePoint { interface: eni, source: of } = point;
    let position = rules.interfaces().iter().position(|known| known.id == *eni);
    position.ok_or_else(|| {
        Error::Question(format!("--interface {eni}={of}: the rules file has no interface `{eni}`"))
    })
}

/// Says at which addresses rules apply that are known without a look at captures: those of the rules' interfaces, or those
/// that are given.
///
/// # Errors
/// When neither is there, the rules do not go with what is said of interfaces, or it is not known which groups an
/// interface has.
pub fn bind_known(rules: &mut RuleSet, given: &[IpNet]) -> Result<Local, Error> {
    asks_for_groups(rules)?;
    refuse_both(rules, given)?;
    known(rules, given).ok_or_else(|| {
        let message = "the rules list no interfaces, and the local address is not inferred here; give it (--local)";
        Error::Question(message.to_owned())
    })
}

fn refuse_both(rules: &RuleSet, given: &[IpNet]) -> Result<(), Error> {
    match !given.is_empty() && rules.lists_interfaces() {
        true => {
            let message = "--local is for rules files that list no interfaces, and this one does";
            Err(Error::Question(message.to_owned()))
        }
        false => Ok(()),
    }
}

/// The local addresses that the rules list or that are given.
fn known(rules: &mut RuleSet, given: &[IpNet]) -> Option<Local> {
    let known = |nets: &[IpNet], evidence, why: &str| Local {
        addresses: nets.iter().map(cidr_text).collect(),
        assumed: false,
        evidence,
        sure: true,
        why: why.to_owned(),
        runner_up: None,
    };
    if rules.lists_interfaces() {
        let nets: Vec<IpNet> =
            rules.interfaces().iter().flat_map(|eni| eni.addresses.clone()).collect();
        return Some(known(&nets, Evidence::Rules, "interfaces of the rules file"));
    }
    (!given.is_empty()).then(|| {
        rules.set_local(given.to_vec());
        known(given, Evidence::Given, "--local")
    })
}

/// Where the local addresses are from: the rules file, the user, or the capture.
fn local(
    rules: &mut RuleSet,
    given: &[IpNet],
    sources: &mut Sources,
) -> Result<(Local, Openings), Error> {
    refuse_both(rules, given)?;
    let listed = rules.listed_interfaces().iter();
    sources.know_addresses(listed.map(|eni| (eni.id.clone(), eni.addresses.clone())).collect());
    let (survey, openings) = survey(sources, given.is_empty() && !rules.lists_interfaces())?;
    if let Some(local) = known(rules, given) {
        return Ok((local, openings));
    }
    if sources.options().live && sources.have_pipe() {
        let message = "--live looks at no packet before it is judged, so the local address cannot be inferred; \
                       give --local";
        return Err(Error::Question(message.to_owned()));
    }
    let guess = survey.guess();
    let why = match &guess {
        Some(guess) => guess.why.clone(),
        None => "the capture shows no IP packet".to_owned(),
    };
    let nets = guess.iter().flat_map(|guess| &guess.addresses).map(|addr| IpNet::from(*addr));
    let nets: Vec<IpNet> = nets.collect();
    let local = Local {
        addresses: nets.iter().map(cidr_text).collect(),
        assumed: true,
        evidence: guess.as_ref().map_or(Evidence::Nothing, |guess| guess.evidence),
        sure: guess.as_ref().is_some_and(|guess| guess.sure),
        why,
        runner_up: guess.and_then(|guess| guess.runner_up),
    };
    rules.set_local(nets);
    Ok((local, openings))
}

/// Looks at the first packets of each capture: who accepts connections, and, where that is asked for, what tells the
/// local address.
fn survey(sources: &mut Sources, local: bool) -> Result<(Survey, Openings), Error> {
    let (mut survey, mut openings) = (Survey::default(), Openings::default());
    let inside = !sources.options().tunnels.is_empty();
    sources.look_ahead(|frame, decoded| {
        if let Decoded::Packet(packet) = decoded {
            if local {
                survey.add(frame, packet, inside);
            }
            openings.observe(packet, 0, frame.time_ns);
            if let Some(record) = frame.log {
                openings.observe_record(packet, 0, record);
            }
        }
    })?;
    Ok((survey, openings))
}
