//! Results → text for people; JSON, NDJSON and CSV for programs.
//!
//! Column names, their order and the keys of the JSON are a promise to other programs: they are added
//! to, never renamed.

mod annotations;
mod assertions;
mod changes;
mod comment;
mod community_id;
mod connections;
mod coverage;
mod findings;
mod flow_cells;
mod junit;
mod packed;
mod packets;
#[cfg(feature = "html")]
mod page;
mod proposal;
mod recorded;
mod regions;
mod rows;
mod sarif;
mod suggestion;
mod summary;
mod table;
mod text;
mod timings;

pub use annotations::{code_quality, github_annotations, github_faults};
pub use assertions::{TestSummary, Tested, tested_json, tested_suite, tested_text};
#[cfg(feature = "arrow")]
pub(crate) use changes::change_cells;
pub use changes::{CHANGE_COLUMNS, DiffInputs, DiffJson, DiffSummary, change_rows, diff_text};
pub use comment::{diff_markdown, regions_markdown, replay_markdown};
pub use community_id::CommunityId;
pub use coverage::CoverageReport;
pub use findings::{
    FINDING_COLUMNS, FindingsSummary, Shown, finding_rows, findings_json, findings_text,
    suppressed_json,
};
pub(crate) use flow_cells::Ipv4Text;
pub use junit::{Case, Suite, junit};
pub use packets::{
    DECODE_COLUMNS, EMBEDDED_COLUMNS, PacketAnswer, VERDICT_COLUMNS, decode_cells, embedded_cells,
    packet_line, verdict_cells,
};
#[cfg(feature = "html")]
pub use page::{Made, diff_page, replay_page};
pub use proposal::{
    CheckedProposal, Difference, ProposalResult, TestedProposal, proposal_json, proposal_markdown,
};
pub use regions::{REGION_COLUMNS, RegionsSummary, region_rows, regions_json, regions_text};
pub use rows::{Cell, RowFormat, RowStyle, Rows, summary_line};
pub use sarif::{SarifResult, sarif};
pub use suggestion::{AggregationStep, Holdout, Learned, suggestion_json, suggestion_yaml};
pub use summary::{CaptureInput, Inputs, Local, RuleCount, RulesInput, Summary, rule_counts};
pub use text::{
    bytes, count, duration, plural, set_time_zone, summary as text_summary, time, time_zone,
};
pub use timings::{
    Bound, Build, Change, Clock, Interval, Machine, Metric, NotComparable, Order, Outcome, Stage,
    Timings,
};

use regions::region_tables;
pub use table::{Room, escaped, table};

/// The version of every JSON that is printed.
pub const SCHEMA: u32 = 1;
