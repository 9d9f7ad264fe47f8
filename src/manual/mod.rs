//!
//! [semantics]: crate::manual::semantics
//!
#![doc = include_str!("README.md")]

/// The pages link to each other by file name, which works where the Markdown is read as files. The first definition of
/// a link wins, so these replace the file names by the modules when rustdoc renders a page.
macro_rules! pages {
    () => {
        "[semantics]: crate::manual::semantics

"
    };
}

#[doc = concat!(pages!(), include_str!("semantics.md"))]
pub mod semantics {}
