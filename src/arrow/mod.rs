//! Results as Arrow tables: in memory, as Parquet files and as Arrow IPC files.
//!
//! Columns have the names of the CSV. Times are `timestamp[ns, UTC]`, without the `_ns` of their names there; words and
//! names are dictionaries; a cell that is empty in the CSV is null.

mod changes;
mod connections;
mod file;
mod packets;
mod values;
mod words;

pub use changes::{ChangeColumns, change_schema};
pub use connections::{ConnectionColumns, connection_schema};
pub use file::{TableFile, TableFormat};
pub use packets::{PacketColumns, packet_schema};
pub use words::{VerdictColumns, Vocabulary, name_type, word_type};
