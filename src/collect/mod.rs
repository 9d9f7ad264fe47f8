//! What is gathered of judged packets on their way: connections one by one, those that a change of rules changes, the
//! verdicts that records have of their own, which rules are used, an overview. [`report`](crate::report) formats it.

mod changed;
mod changed_counts;
mod connections;
mod coverage;
mod overview;
mod recorded;
mod row;
mod row_index;
mod usage;
mod window;

pub use changed::Changed;
pub(crate) use changed::{Group, Kind};
pub use changed_counts::{ChangedCounts, Seen};
pub use connections::Connections;
pub use coverage::Coverage;
pub(crate) use coverage::{CoveragePart, TooMuchUsed};
pub use overview::{ByClass, ListedConnection, Overview, Timeline, TrafficClass};

pub use recorded::RecordedActions;
pub(crate) use row::Row;
pub use row::RowPart;
pub use usage::{NETWORK, SeenService, Usage};
pub use window::Window;
