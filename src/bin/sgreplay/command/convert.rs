//! `sgreplay convert`: any rules in, any out.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use ipnet::IpNet;
use sgreplay::convert::{
    CannotSay, Family, alibaba_json, aws_json, azure_json, bpf, google_json, iptables, markdown,
    nftables, table_csv, terraform,
};
use sgreplay::engine::{PlanSide, RulesRequest, RulesText};
use sgreplay::flow::Direction;
use sgreplay::parse::{self, Content, LoadOptions, Loaded};
use sgreplay::rules::RuleSet;

use super::{judging, pretty, stdout};
use crate::args::{cidr, direction};
use crate::command::judging::SwitchArgs;
use crate::exit::{ExitStatus, Failure};
use crate::{input, terminal};

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
    /// Rules to convert: a file, a directory, or `-` for standard input
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    /// Choose the target format
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub to: ConvertTo,
    /// Choose the interface of a packet filter
    ///
    /// Choose the interface that a packet filter is for, if the rules have several
    #[arg(long, value_name = "ENI", help_heading = "Rules")]
    pub interface: Option<String>,
    /// Set the addresses of the instance
    ///
    /// Set the addresses of the one interface, for rules that list no interfaces
    #[arg(long, value_name = "ADDR|CIDR", value_delimiter = ',', value_parser = cidr, help_heading = "Rules")]
    pub local: Vec<IpNet>,
    /// Set the direction of rules that do not state it
    ///
    /// Set the direction of rules that do not state it: ingress or egress
    #[arg(long, value_name = "WAY", value_parser = direction, help_heading = "Rules", hide_short_help = true)]
    pub direction: Option<Direction>,
    /// Convert the current rules of a Terraform plan
    ///
    /// Convert the current rules of a Terraform plan, not the proposed ones
    #[arg(long, help_heading = "Rules")]
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

pub(crate) fn run(args: &ConvertArgs) -> Result<ExitStatus, Failure> {
    let hints = LoadOptions { direction: args.direction, ..(&args.switches).into() };
    let text = match args.to {
        // The table shows what files say, also where that is not enough to judge by.
        ConvertTo::Csv => table(args, &hints)?,
        to => {
            let side = if args.current { PlanSide::Current } else { PlanSide::Proposed };
            let request = RulesRequest { options: hints, side, ..(&args.switches).into() };
            let (mut rules, _) = input::rules(&args.rules, &request)?;
            judging::set_local(&mut rules, &args.local)?;
            let text = converted(&rules, to, args)?;
            if to.is_of_a_cloud() {
                for warning in rules.over_quota() {
                    terminal::say(&format!("warning: {}", warning.0));
                }
            }
            text
        }
    };
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitStatus::Done)
}

fn table(args: &ConvertArgs, hints: &LoadOptions) -> Result<String, Failure> {
    let files = RulesText::read(&args.rules, hints)?;
    for warning in &files.warnings {
        terminal::say(&format!("warning: {warning}"));
    }
    let csv = match files.content {
        Content::Own => {
            let text = files.texts.into_iter().next().map(|(_, text)| text).unwrap_or_default();
            let rules = parse::yaml(&files.name, &text)?;
            table_csv(&[("", &Loaded::from_rules(&rules))])?
        }
        Content::Rules(loaded) => {
            // A state of Terraform is how things are.
            let unknown = loaded.unknown().iter();
            for warning in loaded.warnings.iter().chain(&loaded.incomplete()).chain(unknown) {
                terminal::say(&format!("warning: {}: {warning}", files.name));
            }
            table_csv(&[(loaded.side(), &loaded)])?
        }
        Content::Plan(plan) => {
            let (proposed, unknown) = (&plan.proposed, plan.proposed.unknown());
            for warning in proposed.warnings.iter().chain(&proposed.incomplete()).chain(unknown) {
                terminal::say(&format!("warning: {}: {warning}", files.name));
            }
            table_csv(&[("current", &plan.current), ("proposed", &plan.proposed)])?
        }
    };
    Ok(csv)
}

fn converted(rules: &RuleSet, to: ConvertTo, args: &ConvertArgs) -> Result<String, Failure> {
    let cannot = |error: CannotSay| Failure::Usage(error.to_string());
    Ok(match to {
        ConvertTo::Yaml | ConvertTo::Csv => own(rules)?,
        ConvertTo::AlibabaJson => pretty(&alibaba_json(rules).map_err(cannot)?)?,
        ConvertTo::Aws => pretty(&aws_json(rules).map_err(cannot)?)?,
        ConvertTo::Azure => pretty(&azure_json(rules).map_err(cannot)?)?,
        ConvertTo::Gcp => pretty(&google_json(rules).map_err(cannot)?)?,
        ConvertTo::Terraform => terraform(rules).map_err(cannot)?,
        ConvertTo::Markdown => markdown(rules),
        ConvertTo::Nftables => nftables(rules, interface(rules, args)?).map_err(cannot)?,
        ConvertTo::Iptables => {
            iptables(rules, interface(rules, args)?, Family::V4).map_err(cannot)?
        }
        ConvertTo::Ip6tables => {
            iptables(rules, interface(rules, args)?, Family::V6).map_err(cannot)?
        }
        ConvertTo::Bpf => {
            let filter = bpf(rules, interface(rules, args)?).map_err(cannot)?;
            format!("{filter}\n")
        }
    })
}

/// As our own rules file, if that says the same: every id survives, or nothing is written.
fn own(rules: &RuleSet) -> Result<String, Failure> {
    let text = parse::print(rules);
    let cannot = |why: &str| {
        Failure::Usage(format!(
            "a rules file cannot say what these rules do, so none is written: {why}"
        ))
    };
    match parse::yaml("the rules file", &text) {
        Ok(read) if read.says_the_same(rules) => Ok(text),
        Ok(_) => Err(cannot("an id or a name would be read as another one")),
        Err(error) => Err(cannot(&error.to_string())),
    }
}

/// The one interface that a packet filter is for.
fn interface(rules: &RuleSet, args: &ConvertArgs) -> Result<usize, Failure> {
    let all = rules.interfaces();
    let names = || all.iter().map(|eni| eni.id.as_str()).collect::<Vec<_>>().join(", ");
    match &args.interface {
        Some(name) => rules.interface_named(name).ok_or_else(|| {
            Failure::Usage(format!("there is no interface `{name}`; there are: {}", names()))
        }),
        None if all.len() == 1 => Ok(0),
        None => Err(Failure::Usage(format!(
            "a packet filter is for one interface; name it with --interface: {}",
            names(),
        ))),
    }
}
