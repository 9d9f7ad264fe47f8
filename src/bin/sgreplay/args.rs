//! The command line, and nothing else.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use sgreplay::capture::FlowLogFields;
use sgreplay::engine::{RulesRequest, Side, Tap};
use sgreplay::flow::Direction;
use sgreplay::parse::LoadOptions;
use sgreplay::replay::Sessions;
use sgreplay::rules::{Cloud, Code, GroupType, Policy, RuleProtocol, Switches, Tag, parse_cidr};
use sgreplay::suggest::Bound;

/// Replay captured traffic against proposed cloud security-group rules: what would be allowed, what
/// denied, by which rule and why.
#[derive(Debug, Parser)]
#[command(
    version,
    // Not the name that it was called by, which may be anything.
    bin_name = "sgreplay",
    max_term_width = 100,
    after_help = "Exit status: 0 done; 1 a condition asked for with --fail-on holds; 2 could not do it."
)]
pub(crate) struct Args {
    /// Say nothing but errors: the exit status is the answer
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Leave out no line of a table, nor cut it to the terminal's width
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verdicts for a capture: a summary, or a row per packet or connection
    Replay(ReplayArgs),
    /// What a change of rules does: to a capture, connections newly denied, newly allowed, decided by
    /// another rule; without one, to every packet that could be
    Diff(Box<DiffArgs>),
    /// What is wrong with the rules themselves: shadowed, redundant, conflicting, too open, forgotten
    Check(CheckArgs),
    /// Whether rules do what a file beside them expects, of every packet that could be
    Test(TestArgs),
    /// Few rules that allow the connections of a capture and nothing beyond a stated bound
    Suggest(SuggestArgs),
    /// All of that about a proposal, from one file beside the rules, for CI
    Ci(CiArgs),
    /// Rules in another format: for the cloud, Terraform, a host's firewall, tcpdump, a review
    Convert(ConvertArgs),
    /// Why one packet is allowed or denied: every rule in evaluation order
    Explain(ExplainArgs),
    /// The flow tuples of a capture alone
    Decode(DecodeArgs),
    /// What replaying takes on your own rules and traffic, stage by stage, plain list against index
    Bench(BenchArgs),
    /// The documented use cases, printed as ready rules files with your own values
    Scenarios(ScenariosArgs),
    /// The common ports, whose names work wherever a port does
    Services(ServicesArgs),
}

impl Command {
    /// Whether the exit status answers a question.
    pub(crate) fn has_gate(&self) -> bool {
        match self {
            Self::Replay(args) => args.fail_on.is_some() || args.min_coverage.is_some(),
            Self::Diff(args) => args.fail_on.is_some(),
            Self::Check(args) => args.fail_on.is_some(),
            Self::Bench(args) => args.fail_on.is_some(),
            Self::Test(_) | Self::Ci(_) => true,
            Self::Suggest(_)
            | Self::Convert(_)
            | Self::Explain(_)
            | Self::Decode(_)
            | Self::Scenarios(_)
            | Self::Services(_) => false,
        }
    }

    /// Whether results go to standard output.
    pub(crate) fn prints(&self, quiet: bool) -> bool {
        let is_text = match self {
            Self::Replay(args) => args.format == SummaryFormat::Text,
            Self::Diff(args) => args.format == SummaryFormat::Text,
            Self::Ci(args) => args.format == CiFormat::Text,
            Self::Bench(args) => args.format == TextOrJson::Text,
            // These name no file to be written.
            _ => false,
        };
        !(quiet && is_text)
    }
}

/// Which packets.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CaptureArgs {
    /// pcap, pcapng or snoop files, compressed or in a tar archive too, or directories of them, read in the order
    /// of their packets' times; `-` is standard input
    #[arg(value_name = "CAPTURE")]
    pub positional: Vec<PathBuf>,
    /// The same, for fingers used to tcpdump
    #[arg(short, long, value_name = "CAPTURE")]
    pub read: Vec<PathBuf>,
    /// Read several captures one after the other, in the order given, not in that of their packets' times
    #[arg(long)]
    pub as_named: bool,
    /// Accepted for compatibility: several captures are always read in the order of their packets' times
    #[arg(short = 'm', long, hide = true, conflicts_with = "as_named")]
    pub merge: bool,
    /// Judge a pipe as its packets come, for a stream that does not end: nothing is inferred from packets that have
    /// not come yet
    #[arg(long)]
    pub live: bool,
    /// Report only packets that match, in the usual subset of pcap-filter: 'tcp port 443 and net 10.0.0.0/8'
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Look at the packet inside a tunnel instead: vxlan, geneve, erspan, tzsp (as traffic mirrors deliver
    /// them), vxlan-gpe, gre, nsh, ipip, gtpu; may be repeated, with a port as in vxlan:8472; auto takes those that
    /// most packets are
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',')]
    pub decap: Vec<String>,
    /// The columns of a flow log of AWS that has no header, as its `LogFormat` names them: 'version srcaddr dstaddr …' or
    /// '${version} ${srcaddr} …'
    #[arg(long, value_name = "NAMES")]
    pub fields: Option<FlowLogFields>,
    /// Stop after reporting N packets
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>)]
    pub count: Option<u64>,
    /// Report only packets from this time on; those before it open sessions: 2026-11-23T14:00:00Z, '2026-11-23 14:00:00' (UTC) or seconds
    /// since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<u64>,
    /// Report only packets before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<u64>,
    /// How many threads work; as many as there are processors if not given. One takes turns between
    /// reading and judging, two do both at once, the third decodes. More bring nothing, since judging is
    /// one packet after the other; the result is the same
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// The proposed rules; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// A row for each, instead of the summary alone
    #[arg(long, value_name = "WHAT")]
    pub per: Option<Per>,
    /// Text for people; markdown for a comment on a change; the rest for programs. csv without --per means
    /// --per connection
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: SummaryFormat,
    /// Track connections, as the cloud does, or judge every packet alone
    #[arg(long, value_name = "WHETHER", default_value = "on")]
    pub sessions: OnOff,
    /// Write the packets that would be denied to a pcap, or, named .pcapng, with the verdict as a comment
    #[arg(long, value_name = "FILE")]
    pub write_denied: Option<PathBuf>,
    /// Write the packets that would be allowed, likewise
    #[arg(long, value_name = "FILE")]
    pub write_allowed: Option<PathBuf>,
    /// Write all packets to a pcapng, each with its verdict and rule as a comment, for Wireshark:
    /// frame.comment contains "deny"
    #[arg(long, value_name = "FILE")]
    pub annotate: Option<PathBuf>,
    /// Say what the traffic used of the rules: which elements never, which ports and networks of each,
    /// when, and for how long it was watched
    #[arg(long)]
    pub coverage: bool,
    /// Exit with status 1 if less than so many percent of the rules' elements are used
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub min_coverage: Option<f64>,
    /// Of a flow log: hold the verdicts that it records against those of the rules
    #[arg(long)]
    pub compare_action: bool,
    /// Exit with status 1 if a packet is denied, or if a flow log has recorded another verdict
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
    #[command(flatten)]
    pub gate: GateArgs,
    /// Print the SHA-256 of the captures too (reads them twice)
    #[arg(long)]
    pub hash: bool,
    /// Write a page for a browser too: one file that opens offline (hashes the captures)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Without a capture the answer is exact: the regions of all packets that could be whose verdict turns.

Examples:
  sgreplay diff --current a.yaml --proposed b.yaml
  sgreplay diff --current a.yaml --proposed b.yaml --fail-on newly-denied web.pcap"
)]
pub(crate) struct DiffArgs {
    /// The rules as they are; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "plan")]
    pub current: Option<PathBuf>,
    /// The rules as they would be; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "plan")]
    pub proposed: Option<PathBuf>,
    /// Both at once: what `terraform show -json PLAN` prints
    #[arg(long, value_name = "FILE", conflicts_with_all = ["current", "proposed"])]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Text for people; markdown for a comment on a change; the rest for programs, with a row per changed
    /// connection
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: SummaryFormat,
    /// Write the packets whose verdict changes to a pcap, or, named .pcapng, with both verdicts as a comment
    #[arg(long, value_name = "FILE")]
    pub write_changed: Option<PathBuf>,
    /// Write all packets to a pcapng, each with its verdicts as a comment, for Wireshark:
    /// frame.comment contains "newly denied"
    #[arg(long, value_name = "FILE")]
    pub annotate: Option<PathBuf>,
    /// Changes that were looked at: a list of {filter, reason, change, until}; they fail nothing
    #[arg(long, value_name = "FILE")]
    pub accept: Option<PathBuf>,
    /// Exit with status 1 if a connection is newly denied, newly allowed, or either, and not accepted;
    /// without a capture, if any packet would be
    #[arg(long, value_name = "WHAT")]
    pub fail_on: Option<DiffFailOn>,
    #[command(flatten)]
    pub gate: GateArgs,
    /// Print the SHA-256 of the captures too (reads them twice)
    #[arg(long)]
    pub hash: bool,
    /// Write a page for a browser too: one file that opens offline (hashes the captures)
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay check web.yaml
  sgreplay check web.yaml --fail-on warning -f sarif > web.sarif
  sgreplay check --explain shadowed")]
pub(crate) struct CheckArgs {
    /// The rules; `-` is standard input
    #[arg(value_name = "RULES")]
    pub positional: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE", conflicts_with = "positional")]
    pub rules: Option<PathBuf>,
    /// Text for people; the rest for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
    /// Show notes too
    #[arg(long)]
    pub notes: bool,
    /// Exit with status 1 if something of this severity or a higher one is found
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<CheckFailOn>,
    /// Print the page of a code instead
    #[arg(long, value_name = "CODE", exclusive = true)]
    pub explain: Option<Code>,
    /// List the codes instead
    #[arg(long, exclusive = true)]
    pub codes: bool,
    /// Addresses of the one interface, where the rules file lists none
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 1 if an expectation is not met.

A file of expectations:
  expectations:
    - name: SSH from the office reaches the web server
      protocol: tcp
      ports: SSH
      source: 203.0.113.0/24
      verdict: allow             # or deny
      by: sgr-ssh                # optional: the rule that decides
      otherwise: deny            # optional: for everybody else
      interface: eni-web         # optional; else at every interface
    - name: nobody reaches Redis but the application
      ports: Redis
      except: [{source: 10.0.0.6}]
      verdict: deny

Each is about all packets that fit it, IPv4 and IPv6, and is decided exactly, not by trying some.")]
pub(crate) struct TestArgs {
    /// The rules; `-` is standard input
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    /// What is expected of them
    #[arg(value_name = "EXPECTATIONS")]
    pub expectations: PathBuf,
    /// Text for people, json for programs, junit for a CI's page
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TestFormat,
    /// Addresses of the one interface, where the rules file lists none
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is printed is a rules file; its first lines say what it was made from, and what other bounds
would come to. Egress becomes an allow-list, and members of the group are isolated.

Examples:
  sgreplay suggest web.pcap > suggested.yaml
  sgreplay suggest --rules today.yaml --aggregate /24 --without-scans web.pcap
  sgreplay suggest --max-rules 50 --holdout 30% monday.pcap tuesday.pcap"
)]
pub(crate) struct SuggestArgs {
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Only connections that these rules allow; else all that the capture shows
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Widen peers to networks of this size, IPv4 and IPv6: /24 (and /64), or /24,/56. With --max-rules
    /// no further than that; addresses alone if not given
    #[arg(long, value_name = "/LEN[,/LEN]", value_parser = bound)]
    pub aggregate: Option<Bound>,
    /// At most N rules, as the cloud counts them: put those networks together that open the least for a
    /// rule less, within --aggregate (/24,/64 if not given)
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub max_rules: Option<usize>,
    /// Leave out connections that nobody answered, and peers that tried ten services or more
    #[arg(long)]
    pub without_scans: bool,
    /// Learn from the first part of the time, and say how much of the rest the rules would have cut
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub holdout: Option<f64>,
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// The rules file with its account, or both as json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TextOrJson,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 1 if the proposal fails.

The file, with everything that it may say; paths are relative to it:
  proposed: proposed.yaml
  current: current.yaml              # optional; without it only check and expectations
  plan: plan.json                    # a Terraform plan, instead of both
  captures: [monday.pcap]            # optional; without them the exact difference alone
  expectations: expectations.yaml    # optional
  accept: accepted.yaml              # optional: changes that were looked at
  fail_on: [newly-denied, new-error, expectations]
                                     # also: newly-allowed, new-warning, error, warning
  local: 10.0.0.5                    # as --local, --decap, --filter, --as-named, --interface in diff
  interfaces: {eni-web: web.pcap}
  allow_truncated: false
  max_unevaluated: 1                 # percent
  markdown: summary.md               # written beside the text
  sarif: sgreplay.sarif
  junit: sgreplay.xml")]
pub(crate) struct CiArgs {
    /// The file that says what is asked
    #[arg(value_name = "FILE", default_value = "sgreplay.yaml")]
    pub file: PathBuf,
    /// The proposed rules, whatever the file says
    #[arg(long, value_name = "FILE")]
    pub proposed: Option<PathBuf>,
    /// The rules as they are, whatever the file says
    #[arg(long, value_name = "FILE")]
    pub current: Option<PathBuf>,
    /// A Terraform plan (`terraform show -json`) that has both, whatever the file says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proposed", "current"])]
    pub plan: Option<PathBuf>,
    /// Write a summary in Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write findings and changes as SARIF
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Text for people, json for programs, markdown for a pull request
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: CiFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiFormat {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is read, recognised by content: our own rules file; answers of DescribeSecurityGroupAttribute and
DescribeSecurityGroups, of network interfaces, instances, prefix lists and port lists; the console's export;
permissions of AuthorizeSecurityGroup; `terraform show -json` of a plan or a state; ROS templates. A directory
of such files is one rule set.

Examples:
  sgreplay convert export.json --type basic --to yaml
  sgreplay convert vpc/ --to nftables --interface eni-web
  tcpdump -nr big.pcap \"$(sgreplay convert web.yaml --local 10.0.0.5 --to bpf)\""
)]
pub(crate) struct ConvertArgs {
    /// The rules: a file, a directory of files, or `-` for standard input
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    /// The format
    #[arg(long, value_name = "FORMAT")]
    pub to: ConvertTo,
    /// The interface that a packet filter is for, where the rules have several
    #[arg(long, value_name = "ENI")]
    pub interface: Option<String>,
    /// Addresses of the one interface, where the rules file lists none
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    /// The direction of rules that do not say it: ingress or egress
    #[arg(long, value_name = "WAY", value_parser = direction)]
    pub direction: Option<Direction>,
    /// Of a Terraform plan take the rules as they are, not as they would be
    #[arg(long)]
    pub current: bool,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConvertTo {
    /// Our own rules file
    Yaml,
    /// What the ECS API would answer
    AlibabaJson,
    /// What `aws ec2 describe-…` would print
    Aws,
    /// What `az network nsg list` and `az network nic list` would print
    Azure,
    /// What `gcloud compute … list --format=json` would print
    Gcp,
    /// HCL for the provider of the rules' cloud
    Terraform,
    /// A table for nft, with connection tracking
    Nftables,
    /// Rules for iptables-restore
    Iptables,
    /// Rules for ip6tables-restore
    Ip6tables,
    /// A tcpdump filter that finds what would be denied, packet by packet
    Bpf,
    /// A row per rule, the same columns for every format
    Csv,
    /// Tables in evaluation order
    Markdown,
}

impl ConvertTo {
    /// Whether it is for a cloud, which has quotas; a host's firewall has none.
    pub(crate) fn is_of_a_cloud(self) -> bool {
        matches!(
            self,
            Self::Yaml | Self::AlibabaJson | Self::Aws | Self::Azure | Self::Gcp | Self::Terraform
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    Text,
    Json,
    Junit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Ndjson,
    Csv,
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFailOn {
    Warning,
    Error,
}

/// When a condition that was asked for has no full answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct GateArgs {
    /// With --fail-on or --min-coverage: accept a capture that breaks off in the middle
    #[arg(long)]
    pub allow_truncated: bool,
    /// With --fail-on or --min-coverage: exit with status 2 if more than so many percent of the packets that carry or
    /// may hide traffic were not evaluated
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "1")]
    pub max_unevaluated: f64,
}

impl Default for GateArgs {
    fn default() -> Self {
        Self { allow_truncated: false, max_unevaluated: 1.0 }
    }
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

/// How packets are judged.
#[derive(Debug, clap::Args)]
pub(crate) struct JudgeArgs {
    /// Addresses of the one interface, where the rules file lists none; else they are inferred from
    /// the capture
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    /// For a connection already under way when the capture starts: infer who began it, or take its
    /// first packet for the opening one
    #[arg(long, value_name = "HOW", default_value = "infer")]
    pub midstream: MidstreamArg,
    /// At which interface a capture was made, or what pcapng calls the interface: eni-web=web.pcap,
    /// eni-web=eth0. Its packets are judged there alone, so that two interfaces may have one address
    #[arg(long, value_name = "ENI=CAPTURE", value_parser = tap)]
    pub interface: Vec<Tap>,
    /// The most sessions that one interface holds at once, as its instance's type has it; beyond it new
    /// connections fail. No limit if not given
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub max_sessions: Option<usize>,
    /// The most memory for what is known of connections. Beyond it the sessions that have been idle longest
    /// are forgotten, and counted; rows are written early; changes and peers are listed less finely
    #[arg(long, value_name = "SIZE", default_value = "1GiB", alias = "session-memory")]
    pub memory: ByteSize,
    /// The most memory that the index of one interface's rules in one direction takes; where its fast
    /// layout would need more, a slower one is used
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub index_memory: ByteSize,
    #[command(flatten)]
    pub switches: SwitchArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay explain --rules web.yaml --direction ingress --proto tcp --src 203.0.113.9:40000 --dst 10.0.0.5:22
  sgreplay explain --rules web.yaml --frame 17 ssh.pcap")]
pub(crate) struct ExplainArgs {
    /// The rules; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    /// The packet's direction at the interface
    #[arg(long, value_name = "WAY", required_unless_present = "frame", value_parser = direction)]
    pub direction: Option<Direction>,
    /// tcp, udp, icmp, icmpv6, gre, or a number
    #[arg(long, value_name = "PROTOCOL", required_unless_present = "frame")]
    pub proto: Option<RuleProtocol>,
    /// Source, with its port where there is one: 203.0.113.9:40000, [`2001:db8::9`]:40000
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present = "frame", value_parser = endpoint)]
    pub src: Option<Endpoint>,
    /// Destination: 10.0.0.5:22, 10.0.0.5:SSH
    #[arg(long, value_name = "ADDR[:PORT]", required_unless_present = "frame", value_parser = endpoint)]
    pub dst: Option<Endpoint>,
    /// ICMP type, and code after a slash; an echo request if not given
    #[arg(long, value_name = "TYPE[/CODE]", value_parser = icmp_type)]
    pub icmp_type: Option<(u8, u8)>,
    /// The interface, where the rules file lists several and the address does not tell
    #[arg(long, value_name = "ENI")]
    pub interface: Option<String>,
    /// A packet of a capture instead, as `replay` judges it
    #[arg(long, value_name = "N", value_parser = whole::<u64>, requires = "capture", conflicts_with_all = ["direction", "proto", "src", "dst", "icmp_type", "interface"])]
    pub frame: Option<u64>,
    /// The capture; `-` is standard input
    #[arg(value_name = "CAPTURE", requires = "frame")]
    pub capture: Option<PathBuf>,
    /// With --frame: look at the packet inside a tunnel instead, as in replay
    #[arg(long, value_name = "TUNNEL", value_delimiter = ',')]
    pub decap: Vec<String>,
    /// With --frame: addresses of the one interface, where the rules file lists none
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    #[command(flatten)]
    pub switches: SwitchArgs,
    /// Text for people, json for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TextOrJson,
}

/// What is asked of every rule set: what its files may not say, and questions that the cloud's documents leave
/// open.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct SwitchArgs {
    /// The type of groups whose files do not say it, as the console's export: basic or enterprise
    #[arg(long = "type", value_name = "TYPE")]
    pub group_type: Option<GroupType>,
    /// Whether members of such groups reach each other: accept or drop
    #[arg(long, value_name = "POLICY")]
    pub inner_access_policy: Option<Policy>,
    /// The groups that the instance has, where the rules list many and no interfaces: sg-web,sg-db
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// Which addresses a tag stands for, of rules of Azure and Google Cloud: a service tag
    /// (--define VirtualNetwork=10.0.0.0/8) or a network tag; or the entries of a prefix list that is not in the files
    /// (--define pl-0123=10.0.0.0/8); may be repeated
    #[arg(long, value_name = "TAG=CIDR,…", value_parser = tag)]
    pub define: Vec<Tag>,
    /// Which tags the instance has, of rules of Google Cloud that choose instances by them; '' for none
    #[arg(long, value_name = "TAG,…", value_parser = tag_names)]
    pub tags: Option<TagNames>,
    /// The value of a template's parameter, instead of its default; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub param: Vec<(String, String)>,
    /// Take the rules for whole though some are missing: what Terraform does not know yet is left out, and a gate
    /// may pass without rules that the files do not have
    #[arg(long)]
    pub partial: bool,
    /// Whose rules are meant, where a Terraform plan has those of several clouds: alibaba, aws, azure or google
    #[arg(long, value_name = "CLOUD")]
    pub cloud: Option<Cloud>,
    /// Let intra-group access go before custom egress rules too (the documents contradict each other)
    #[arg(long)]
    pub intra_group_egress: bool,
    /// Let DHCP pass whatever the rules say
    #[arg(long)]
    pub exempt_dhcp: bool,
    /// The networks of the VPC, of rules of AWS: its name server, at the base of each plus two, passes whatever the
    /// rules say; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = parse_cidr, value_delimiter = ',')]
    pub vpc_cidr: Vec<IpNet>,
    /// IPv6 neighbour discovery (ICMPv6 133 to 137 with hop limit 255): let it pass whatever the rules say, as ARP
    /// does, or judge it by the rules
    #[arg(long, value_name = "HOW", default_value = "exempt")]
    pub neighbour_discovery: NeighbourDiscovery,
}

impl CaptureArgs {
    /// Whether a capture is named.
    pub(crate) fn any(&self) -> bool {
        !self.positional.is_empty() || !self.read.is_empty()
    }

    /// The first option that is about a capture's packets, if one is given.
    pub(crate) fn chosen(&self) -> Option<&'static str> {
        let given = [
            (self.as_named, "--as-named"),
            (self.live, "--live"),
            (self.filter.is_some(), "--filter"),
            (!self.decap.is_empty(), "--decap"),
            (self.fields.is_some(), "--fields"),
            (self.count.is_some(), "--count"),
            (self.since.is_some(), "--since"),
            (self.until.is_some(), "--until"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
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
        Self { options: args.into(), side: Side::default(), switches: args.into() }
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
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Text for people; the rest for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Columns more: the tuple of the packet that an ICMP error complains about (text always has it)
    #[arg(long)]
    pub embedded: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Stages: read and decode; list, index and index in batches ask for every packet by itself; session
judges as replay does, with sessions; all is the whole replay on all threads.

Examples:
  sgreplay bench --rules web.yaml --save before.json web.pcap
  sgreplay bench --rules web.yaml --compare before.json --fail-on slower:10% web.pcap"
)]
pub(crate) struct BenchArgs {
    /// The rules
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    /// The captures: files, since they are read several times
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Addresses of the one interface, where the rules file lists none; else they are inferred
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr)]
    pub local: Vec<IpNet>,
    /// How often everything is run; the fastest counts
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>, default_value = "5")]
    pub runs: NonZeroUsize,
    /// How many threads the whole replay has; as many as there are processors if not given
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,
    /// The most memory that the index of one interface's rules in one direction takes
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub index_memory: ByteSize,
    /// Text for people, json for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: TextOrJson,
    /// Keep the measurement in a file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Hold it against one that was kept, of the same captures on the same machine
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// With --compare: exit with status 1 if a stage takes so much longer
    #[arg(long, value_name = "slower:PERCENT", value_parser = slower)]
    pub fail_on: Option<BenchFailOn>,
}

/// What makes a measurement fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BenchFailOn {
    /// A stage takes so many percent longer.
    Slower(f64),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sgreplay scenarios
  sgreplay scenarios database
  sgreplay scenarios web-server --source 203.0.113.0/24 > web.yaml
  sgreplay scenarios restrict-external-sites --set http=192.0.2.10 --set https=192.0.2.11")]
pub(crate) struct ScenariosArgs {
    /// One of them, printed as a rules file; or a word to look for
    #[arg(value_name = "ID|WORD")]
    pub id: Option<String>,
    /// The far side of its ingress rules
    #[arg(long, value_name = "CIDR", requires = "id")]
    pub source: Option<String>,
    /// The far side of its egress rules
    #[arg(long, value_name = "CIDR", requires = "id")]
    pub destination: Option<String>,
    /// The group that it names: sg-…, account/sg-…
    #[arg(long, value_name = "GROUP", requires = "id")]
    pub group: Option<String>,
    /// Its ports
    #[arg(long, value_name = "PORTS", requires = "id")]
    pub ports: Option<String>,
    /// Any of its values, as the list shows them
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, requires = "id")]
    pub values: Vec<(String, String)>,
    /// Text for people; the rest for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServicesArgs {
    /// Only the service of that name or port
    #[arg(value_name = "NAME|PORT")]
    pub which: Option<String>,
    /// Text for people; the rest for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Ndjson,
    Csv,
}

/// Of what sums up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    #[default]
    Text,
    Json,
    Ndjson,
    Csv,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOrJson {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Per {
    Packet,
    Connection,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NeighbourDiscovery {
    #[default]
    Exempt,
    Rules,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    On,
    Off,
}

impl From<OnOff> for Sessions {
    fn from(of: OnOff) -> Self {
        match of {
            OnOff::On => Self::On,
            OnOff::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum MidstreamArg {
    #[default]
    Infer,
    FirstPacket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Denied,
    ActionDiffers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFailOn {
    NewlyDenied,
    NewlyAllowed,
    Any,
}

/// An address, and what was written after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub addr: IpAddr,
    pub port: Option<String>,
}

/// A number, of which none is too large that anybody means.
fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, such as 10".to_owned())
}

pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    parse_cidr(text).map_err(|error| error.to_string())
}

fn tap(text: &str) -> Result<Tap, String> {
    let tap = text.split_once('=').filter(|(eni, of)| !eni.is_empty() && !of.is_empty());
    tap.map(|(eni, of)| Tap { eni: eni.to_owned(), of: of.to_owned() })
        .ok_or_else(|| "expected ENI=CAPTURE, such as eni-web=web.pcap or eni-web=eth0".to_owned())
}

fn direction(text: &str) -> Result<Direction, String> {
    let fits = |direction: &Direction| direction.as_str().eq_ignore_ascii_case(text);
    Direction::BOTH.into_iter().find(fits).ok_or_else(|| "it is `ingress` or `egress`".to_owned())
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let expected = || "expected 10.0.0.5:22, [2001:db8::5]:22, or an address alone".to_owned();
    if let Ok(addr) = text.parse() {
        return Ok(Endpoint { addr, port: None });
    }
    let (addr, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let bare = addr.strip_prefix('[').and_then(|addr| addr.strip_suffix(']')).unwrap_or(addr);
    let addr: IpAddr = bare.parse().map_err(|_| expected())?;
    if addr.is_ipv6() && bare.len() == text.len() - port.len() - 1 {
        return Err("put an IPv6 address in brackets before a port: [2001:db8::5]:22".to_owned());
    }
    Ok(Endpoint { addr, port: Some(port.to_owned()) })
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

fn icmp_type(text: &str) -> Result<(u8, u8), String> {
    let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
    let numbers = kind.parse().ok().zip(code.parse().ok());
    numbers.ok_or_else(|| "expected a type such as 8, or type and code such as 3/4".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let setting =
        text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    setting
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE, such as source=203.0.113.0/24".to_owned())
}

/// `/24`, `24`, `/24,/56`; the length for IPv6 follows from that for IPv4 where it is not said.
fn bound(text: &str) -> Result<Bound, String> {
    let expected =
        || "expected a prefix length such as /24, or one for each family: /24,/64".to_owned();
    let length = |text: &str, most: u8| -> Result<u8, String> {
        let number = text.trim().trim_start_matches('/').parse().ok();
        number.filter(|length| *length <= most).ok_or_else(expected)
    };
    let (v4, v6) = text.split_once(',').map_or((text, None), |(v4, v6)| (v4, Some(v6)));
    let v4 = length(v4, 32)?;
    let usual = Bound::STEPS.into_iter().find(|step| step.v4 <= v4).unwrap_or(Bound::EXACT);
    let v6 = v6.map_or(Ok(usual.v6), |v6| length(v6, 128))?;
    Ok(Bound { v4, v6 })
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    number
        .filter(|percent: &f64| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "expected a percentage such as 80 or 80%".to_owned())
}

fn slower(text: &str) -> Result<BenchFailOn, String> {
    let number = text.strip_prefix("slower:").map(|of| of.strip_suffix('%').unwrap_or(of));
    let percent = number.and_then(|number| number.parse().ok());
    let percent = percent.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    percent.map(BenchFailOn::Slower).ok_or_else(|| "expected a bound such as slower:10%".to_owned())
}

/// Nanoseconds since the epoch.
fn time(text: &str) -> Result<u64, String> {
    let expected =
        "expected 2026-11-23T14:00:00Z, '2026-11-23 14:00:00' (UTC) or seconds since 1970";
    if let Some((seconds, fraction)) = text.split_once('.').or(Some((text, "")))
        && let Ok(seconds) = seconds.parse::<u64>()
        && fraction.len() <= 9
        && fraction.chars().all(|c| c.is_ascii_digit())
    {
        let fraction: u64 = format!("{fraction:0<9}").parse().unwrap_or_default();
        return seconds
            .checked_mul(1_000_000_000)
            .and_then(|ns| ns.checked_add(fraction))
            .ok_or(expected.to_owned());
    }
    let utc = || jiff::tz::TimeZone::UTC.to_timestamp(text.parse().ok()?).ok();
    let time = text.parse::<jiff::Timestamp>().ok().or_else(utc);
    let ns = time.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    ns.ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_command_line() {
        let parsed = Args::try_parse_from(["sgreplay", "diff", "--plan", "x"]).unwrap().command;
        let diff = DiffArgs { plan: Some(PathBuf::from("x")), ..DiffArgs::default() };
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Command::Diff(Box::new(diff))));
    }
}
