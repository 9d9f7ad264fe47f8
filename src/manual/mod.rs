//!
//! [semantics]: crate::manual::semantics
//! [rules file]: crate::manual::rules_file
//! [formats]: crate::manual::formats
//! [flow logs]: crate::manual::flow_logs
//! [CI]: crate::manual::ci
//! [JSON and CSV]: crate::manual::json
//! [performance]: crate::manual::performance
//! [Python]: crate::manual::python
//! [Spark]: crate::manual::spark
//!
#![doc = include_str!("README.md")]

/// The pages link to each other by file name, which works where the Markdown is read as files. The first definition of
/// a link wins, so these replace the file names by the modules when rustdoc renders a page.
macro_rules! pages {
    () => {
        "[semantics]: crate::manual::semantics
[rules file]: crate::manual::rules_file
[formats]: crate::manual::formats
[flow logs]: crate::manual::flow_logs
[CI]: crate::manual::ci
[JSON and CSV]: crate::manual::json
[performance]: crate::manual::performance
[Python]: crate::manual::python
[Spark]: crate::manual::spark

"
    };
}

#[doc = concat!(pages!(), include_str!("semantics.md"))]
pub mod semantics {}

#[doc = concat!(pages!(), include_str!("rules-file.md"))]
pub mod rules_file {}

#[doc = concat!(pages!(), include_str!("formats.md"))]
pub mod formats {}

#[doc = concat!(pages!(), include_str!("flow-logs.md"))]
pub mod flow_logs {}

#[doc = concat!(pages!(), include_str!("ci.md"))]
pub mod ci {}

#[doc = concat!(pages!(), include_str!("json.md"))]
pub mod json {}

#[doc = concat!(pages!(), include_str!("performance.md"))]
pub mod performance {}

#[doc = concat!(pages!(), include_str!("python.md"))]
pub mod python {}

#[doc = concat!(pages!(), include_str!("spark.md"))]
pub mod spark {}
