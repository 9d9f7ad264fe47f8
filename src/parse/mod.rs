//! Text → [`RuleSet`], or every fault with its file, line and column.
//!
//! ```
//! let text = "
//! security_groups:
//!   - id: sg-web
//!     rules:
//!       - {direction: ingress, protocol: tcp, ports: SSH, source: 203.0.113.0/24}
//! ";
//! let rules = sgreplay::parse::yaml("web.yaml", text)?;
//! assert_eq!(rules.groups()[0].rules[0].id.to_string(), "sg-web#1");
//!
//! let faults = sgreplay::parse::yaml("web.yaml", &text.replace("SSH", "25/22")).unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "web.yaml:5:52: rule sg-web#1 of sg-web: `25/22`: the range is reversed; write `22/25` \
//!      (InvalidParam.PortRange)"
//! );
//! # Ok::<(), sgreplay::parse::ParseError>(())
//! ```
//!
//! [`RuleSet`]: crate::rules::RuleSet

mod alibaba;
mod assertions;
mod aws;
mod azure;
mod classbench;
mod error;
mod google;
mod group;
#[cfg(feature = "hcl")]
mod hcl;
mod json;
mod load;
mod loaded;
mod positions;
mod print;
mod reader;
mod ros;
#[cfg(test)]
pub(crate) mod sample;
mod terraform;
mod vpc;
mod yaml;

pub use assertions::expectations;
pub(crate) use azure::defaults as default_rules_of_azure;
pub use error::{Fault, ParseError};
pub(crate) use google::tag_or_account;
pub use load::{Content, load};
pub use loaded::{Found, Later, LoadOptions, Loaded, Source, Standing};
pub use positions::Positions;
pub use print::{print, print_rule_line, quoted};
pub use terraform::Plan;
pub use yaml::{yaml, yaml_with};
