//! What is gathered of judged packets on their way: connections one by one, the verdicts that records have of their own,
//! which rules are used. [`report`](crate::report) formats it.

mod connections;
mod coverage;
mod recorded;

pub(crate) use connections::Row;
pub use connections::{Connections, RowPart};
pub use coverage::{Coverage, NETWORK, SeenService, Usage, Window};
pub use recorded::RecordedActions;
