//! What is gathered of judged packets on their way: connections one by one, those that a change of rules changes, the
//! verdicts that records have of their own, which rules are used, an overview. [`report`](crate::report) formats it.

mod changed;
mod connections;
mod coverage;
mod overview;
mod recorded;

pub use changed::{Changed, Seen};
pub(crate) use changed::{Group, Kind};
pub(crate) use connections::Row;
pub use connections::{Connections, RowPart};
pub use coverage::{Coverage, NETWORK, SeenService, Usage, Window};
pub use overview::{ByClass, ListedConnection, Overview, Timeline, TrafficClass};

pub use recorded::RecordedActions;
