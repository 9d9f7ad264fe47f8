//! What commands that judge packets have in common: rules, interfaces, local addresses.

use std::mem::ManuallyDrop;
use std::path::Path;

use bytesize::ByteSize;
use clap::ValueEnum;
use ipnet::IpNet;
use sgreplay::check::Checked;
use sgreplay::collect::Overview;
use sgreplay::engine::{self, Binding, CapturePoint, PlanSide, RulesRequest};
use sgreplay::escape;
use sgreplay::parse::LoadOptions;
use sgreplay::replay::{Midstream, Options, Sessions};
use sgreplay::report::{Local, Made, RulesInput};
use sgreplay::rules::{Cloud, GroupType, Policy, Quotas, RuleSet, Switches, Tag, parse_cidr};

use crate::args::{cidr, whole};
use crate::captures::Captures;
use crate::exit::Failure;
use crate::output::{Output, Outputs};
use crate::{input, program, terminal};

/// Keeps what is large until the process ends: the system takes all memory back faster than a million pieces of it are
/// given back one by one.
pub(crate) fn until_exit<T>(large: T) -> ManuallyDrop<T> {
    ManuallyDrop::new(large)
}

/// How packets are judged.
#[derive(Debug, clap::Args)]
pub(crate) struct JudgeArgs {
    /// Set the addresses of the instance [default: inferred]
    ///
    /// Set the addresses of the one interface, for rules that list no interfaces. Without it they are inferred from
    /// the capture, and a warning says so.
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    /// Treat connections that began before the capture this way
    ///
    /// Treat connections that began before the capture this way: infer who began them, or take the first packet for
    /// the opening one.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "infer",
        help_heading = "Sessions",
        hide_short_help = true
    )]
    pub midstream: MidstreamArg,
    /// Say at which interface a capture was made
    ///
    /// Say at which interface a capture was made, or which interface pcapng names: eni-web=web.pcap, eni-web=eth0.
    /// Its packets are judged at that interface alone, so two interfaces may share an address.
    #[arg(long, value_name = "ENI=CAPTURE", value_parser = tap, help_heading = "Rules")]
    pub interface: Vec<CapturePoint>,
    /// Limit the sessions of an interface [default: no limit]
    ///
    /// Limit the sessions that one interface holds at once, as the instance type does. Beyond the limit new
    /// connections fail. [default: no limit]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, help_heading = "Sessions", hide_short_help = true)]
    pub max_sessions: Option<usize>,
    /// Limit the memory for connections
    ///
    /// Limit the memory for connections. Beyond it, the sessions idle longest are forgotten and counted, rows are
    /// written early, and changes and peers are listed in less detail.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "1GiB",
        alias = "session-memory",
        help_heading = "Sessions",
        hide_short_help = true
    )]
    pub memory: ByteSize,
    /// Limit the memory for the index of a rule list
    ///
    /// Limit the memory for the index of one interface's rules in one direction. A slower layout is used where the
    /// fast one would need more.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        help_heading = "Rules",
        hide_short_help = true
    )]
    pub index_memory: ByteSize,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

/// What the command line takes where nothing is said.
impl Default for JudgeArgs {
    fn default() -> Self {
        Self {
            local: Vec::new(),
            midstream: MidstreamArg::default(),
            interface: Vec::new(),
            max_sessions: None,
            memory: ByteSize::gib(1),
            index_memory: ByteSize::mib(64),
            switches: SwitchArgs::default(),
        }
    }
}

/// What is asked of every rule set: what its files may not say, and questions that the cloud's documents leave
/// open.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "options, each by itself")]
pub(crate) struct SwitchArgs {
    /// Set the type of groups that do not state it
    ///
    /// Set the type of groups whose files do not state it (the console's export does not): basic or enterprise
    #[arg(long = "type", value_name = "TYPE", help_heading = "Rules", hide_short_help = true)]
    pub group_type: Option<GroupType>,
    /// Set whether members of such groups reach each other
    ///
    /// Set whether members of groups whose files do not state it reach each other: accept or drop
    #[arg(long, value_name = "POLICY", help_heading = "Rules", hide_short_help = true)]
    pub inner_access_policy: Option<Policy>,
    /// Choose the groups of the instance
    ///
    /// Choose the groups of the instance, for rules with several groups and no interfaces: sg-web,sg-db
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', help_heading = "Rules")]
    pub groups: Vec<String>,
    /// Define a tag or prefix list that the files do not
    ///
    /// Define a tag or prefix list that the files do not: a service tag of Azure (--define
    /// VirtualNetwork=10.0.0.0/8), a network tag of Google Cloud, or a prefix list (--define pl-0123=10.0.0.0/8).
    /// May be repeated.
    #[arg(long, value_name = "TAG=CIDR,…", value_parser = tag, help_heading = "Rules", hide_short_help = true)]
    pub define: Vec<Tag>,
    /// Set the network tags of the instance (Google Cloud)
    ///
    /// Set the network tags of the instance, for rules of Google Cloud that choose instances by tag; '' for none
    #[arg(long, value_name = "TAG,…", value_parser = tag_names, help_heading = "Rules", hide_short_help = true)]
    pub tags: Option<TagNames>,
    /// Set a template parameter
    ///
    /// Set a template parameter instead of its default. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, help_heading = "Rules", hide_short_help = true)]
    pub param: Vec<(String, String)>,
    /// Accept rules that are not complete
    ///
    /// Accept rules that are not complete. What Terraform does not know yet is left out, and a gate may pass
    /// without rules that the files do not have.
    #[arg(long, help_heading = "Rules", hide_short_help = true)]
    pub partial: bool,
    /// Choose a cloud, if a plan has several
    ///
    /// Choose a cloud, if a Terraform plan has rules of several: alibaba, aws, azure or google
    #[arg(long, value_name = "CLOUD", help_heading = "Rules", hide_short_help = true)]
    pub cloud: Option<Cloud>,
    /// Ignore the quotas of the cloud
    ///
    /// Ignore the quotas of the cloud, which it raises on request: rules of a group or an interface, groups of an
    /// interface, groups as peers, entries of a prefix list
    #[arg(long, help_heading = "Rules", hide_short_help = true)]
    pub no_quota: bool,
    /// Let intra-group access precede custom egress rules
    ///
    /// Let intra-group access precede custom egress rules too (Alibaba Cloud's documents contradict each other)
    #[arg(long, help_heading = "Rules", hide_short_help = true)]
    pub intra_group_egress: bool,
    /// Allow DHCP whatever the rules say
    #[arg(long, help_heading = "Rules", hide_short_help = true)]
    pub exempt_dhcp: bool,
    /// Set the networks of the VPC (AWS)
    ///
    /// Set the networks of the VPC, for rules of AWS. The name server, at the base of each plus two, is reachable
    /// whatever the rules say. May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = parse_cidr, value_delimiter = ',', help_heading = "Rules", hide_short_help = true)]
    pub vpc_cidr: Vec<IpNet>,
    /// Exempt IPv6 neighbour discovery, or judge it
    ///
    /// Exempt IPv6 neighbour discovery (ICMPv6 133 to 137 with hop limit 255) from the rules, as ARP is, or judge
    /// it by them.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "exempt",
        help_heading = "Rules",
        hide_short_help = true
    )]
    pub neighbour_discovery: NeighbourDiscovery,
}

impl From<&SwitchArgs> for Switches {
    fn from(args: &SwitchArgs) -> Self {
        let SwitchArgs { intra_group_egress, exempt_dhcp, neighbour_discovery, .. } = *args;
        let neighbour_discovery_by_rules = neighbour_discovery == NeighbourDiscovery::Rules;
        let vpc_cidrs = args.vpc_cidr.clone();
        Self { intra_group_egress, exempt_dhcp, neighbour_discovery_by_rules, vpc_cidrs }
    }
}

impl From<&SwitchArgs> for RulesRequest {
    fn from(args: &SwitchArgs) -> Self {
        Self { options: args.into(), side: PlanSide::default(), switches: args.into() }
    }
}

impl From<&SwitchArgs> for LoadOptions {
    fn from(args: &SwitchArgs) -> Self {
        let SwitchArgs { group_type, inner_access_policy, .. } = *args;
        let tags = args.define.clone();
        let instance_tags = args.tags.as_ref().map(|TagNames(names)| names.clone());
        Self {
            group_type,
            inner_access_policy,
            direction: None,
            tags,
            instance_tags,
            groups: args.groups.clone(),
            parameters: args.param.clone(),
            partial: args.partial,
            cloud: args.cloud,
            quotas: if args.no_quota { Quotas::Ignore } else { Quotas::Apply },
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NeighbourDiscovery {
    #[default]
    Exempt,
    Rules,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MidstreamArg {
    #[default]
    Infer,
    FirstPacket,
}

/// Names of tags, in one value.
#[derive(Clone, Debug)]
pub(crate) struct TagNames(pub Vec<String>);

#[expect(clippy::unnecessary_wraps, reason = "clap's parsers can fail")]
fn tag_names(text: &str) -> Result<TagNames, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(TagNames(names.map(str::to_owned).collect()))
}

pub(crate) fn tag(text: &str) -> Result<Tag, String> {
    let (name, nets) = text.split_once('=').ok_or("write it TAG=10.0.0.0/8, or TAG=CIDR,CIDR")?;
    let nets = nets.split(',').map(str::trim).filter(|net| !net.is_empty());
    let entries = nets.map(|net| parse_cidr(net).map_err(|error| error.to_string()));
    Ok(Tag { name: name.trim().to_owned(), entries: entries.collect::<Result<_, _>>()? })
}

pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let setting =
        text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    setting
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE, such as source=203.0.113.0/24".to_owned())
}

fn tap(text: &str) -> Result<CapturePoint, String> {
    let tap = text.split_once('=').filter(|(eni, of)| !eni.is_empty() && !of.is_empty());
    tap.map(|(eni, of)| CapturePoint { interface: eni.to_owned(), source: of.to_owned() })
        .ok_or_else(|| "expected ENI=CAPTURE, such as eni-web=web.pcap or eni-web=eth0".to_owned())
}

/// Whether everything can be read as often as it has to be.
pub(crate) fn readable(captures: &Captures, rules: &[&Path], hash: bool) -> Result<(), Failure> {
    let stdin = rules.iter().filter(|path| path.as_os_str() == input::STDIN).count();
    let usage = |message: &str| Err(Failure::Usage(message.to_owned()));
    if stdin > 0 && captures.read_stdin() {
        return usage("rules and capture cannot both come from standard input");
    }
    if stdin > 1 {
        return usage("standard input can be read only once");
    }
    if hash && captures.have_pipe() {
        return usage(
            "--hash and --report read a capture twice, which a pipe does not allow; name a file",
        );
    }
    Ok(())
}

/// A page for a browser, where one is asked for.
pub(super) struct Report {
    output: Output,
    pub(super) overview: Overview,
    command: String,
}

impl Report {
    /// Opens the file before anything is read.
    pub(super) fn create(outputs: &mut Outputs) -> Result<Option<Self>, Failure> {
        let Some(output) = outputs.create("report")? else { return Ok(None) };
        let words = program::words().map(|word| escape::shell(&escape::os(word)));
        let command =
            std::iter::once("sgreplay".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
        Ok(Some(Self { output, overview: Overview::default(), command }))
    }

    /// Writes the page, as `draw` makes it.
    pub(super) fn write(
        self,
        draw: impl FnOnce(Made<'_>) -> std::io::Result<String>,
        checked: &Checked,
    ) -> Result<(), Failure> {
        let Self { output, overview, command } = self;
        output.whole(&draw(Made { command: &command, checked, overview: &overview })?)
    }
}

/// Reads rules and answers open questions as the user wants them answered.
pub(super) fn rules(
    path: &Path,
    args: &JudgeArgs,
    side: PlanSide,
) -> Result<(RuleSet, RulesInput), Failure> {
    input::rules(path, &RulesRequest { side, ..(&args.switches).into() })
}

/// Whether packets of captures can be judged by these rules.
pub(crate) fn can_judge(rules: &RuleSet, path: &str, taps: &[CapturePoint]) -> Result<(), Failure> {
    engine::can_judge(rules, taps).map_err(|error| Failure::Usage(format!("{path}: {error}")))
}

/// What the user says of interfaces.
pub(crate) fn binding(args: &JudgeArgs) -> Binding {
    Binding { local: args.local.clone(), interfaces: args.interface.clone() }
}

/// What a command keeps of connections beside their sessions, all of it within `--memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// Nothing.
    Nothing,
    /// A row for each.
    Rows,
    /// Those that a change of rules changes; there are two replays.
    Changes,
    /// Who was allowed to which service.
    Observations,
}

impl Keeps {
    /// Bytes for the sessions of each replay, and for the rest. They add up to less than all: lists are measured by
    /// what is in them, and growing ones take more; of rows the text is in memory too, where it is a table.
    fn shares(self, memory: usize) -> (usize, usize) {
        match self {
            Self::Nothing => (memory, 0),
            Self::Rows => (memory / 4, memory / 4),
            Self::Changes => (memory / 2, memory / 80),
            Self::Observations => (memory / 2, memory / 10),
        }
    }

    /// Bytes for what is kept beside the sessions.
    pub(crate) fn memory(self, args: &JudgeArgs) -> usize {
        self.shares(bytes(args.memory)).1
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

pub(crate) fn options(args: &JudgeArgs, sessions: Sessions, keeps: Keeps) -> Options {
    let midstream = match args.midstream {
        MidstreamArg::Infer => Midstream::Infer,
        MidstreamArg::FirstPacket => Midstream::FirstPacket,
    };
    Options::default()
        .with_sessions(sessions)
        .with_midstream(midstream)
        .with_max_sessions(args.max_sessions)
        .with_session_memory(keeps.shares(bytes(args.memory)).0)
        .with_index_memory(bytes(args.index_memory))
}

/// Gives the one interface of rules that list none its addresses, where the user names them.
pub(crate) fn set_local(rules: &mut RuleSet, given: &[IpNet]) -> Result<(), Failure> {
    match (given.is_empty(), rules.lists_interfaces()) {
        (true, _) => {}
        (false, true) => {
            let message = "--local is for rules files that list no interfaces, and this one does";
            return Err(Failure::Usage(message.to_owned()));
        }
        (false, false) => rules.set_local(given.to_vec()),
    }
    Ok(())
}

/// Says which local address was inferred, where no summary does.
pub(super) fn say_local(local: &Local) {
    if let Some(text) = unsure(local) {
        terminal::say(&format!("warning: {text}"));
    } else {
        let Local { addresses, why, .. } = local;
        terminal::say(&format!("local address inferred: {} ({why})", addresses.join(", ")));
    }
}

/// What is to be said of a local address that the capture does not single out.
pub(super) fn unsure(local: &Local) -> Option<String> {
    let Local { addresses, assumed, sure, runner_up, .. } = local;
    if !*assumed || *sure || addresses.is_empty() {
        return None;
    }
    let addresses = addresses.join(", ");
    Some(match runner_up {
        Some(other) => format!(
            "the local address is unsure: {addresses} is assumed, and {other} may be it; --local says which"
        ),
        None => {
            format!("the local address is unsure: {addresses} is assumed; --local says which it is")
        }
    })
}
