//! What goes from machine to machine, as bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::capture::CaptureFacts;
use super::compare::ComparedPart;
use super::judge::Part;
use super::key::FlowKey;
use super::piece::{Piece, SpanFacts};
use super::record::{FragmentRecord, Record};
use super::timeline::{LostFragments, Timeline};
use crate::collect::ChangedCounts;
use crate::error::Error;
use crate::stats::Stats;

/// Something that goes from machine to machine, or is kept. Other versions of this crate may not read the bytes; they say
/// so.
pub trait Portable: Sized {
    /// As bytes.
    ///
    /// # Errors
    /// When there is no memory for them.
    fn to_bytes(&self) -> Result<Vec<u8>, Error>;

    /// From the bytes of [`Portable::to_bytes`].
    ///
    /// # Errors
    /// When they are of another version, or damaged.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Error>;
}

/// Changes whenever what is written changes, which a test of what an extract holds shows.
const FORMAT: u8 = 5;

macro_rules! portable {
    ($($kind:ty),*) => {$(
        impl Portable for $kind {
            fn to_bytes(&self) -> Result<Vec<u8>, Error> {
                written(self)
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
                read(bytes)
            }
        }
    )*};
}

portable!(
    CaptureFacts,
    ChangedCounts,
    ComparedPart,
    FlowKey,
    FragmentRecord,
    LostFragments,
    Part,
    Piece,
    Record,
    Stats,
    SpanFacts,
    Timeline
);

fn written(of: &impl Serialize) -> Result<Vec<u8>, Error> {
    // Most have fewer bytes.
    let mut bytes = Vec::with_capacity(128);
    bytes.push(FORMAT);
    postcard::to_extend(of, bytes)
        .map_err(|error| Error::Question(format!("an extract cannot be written: {error}")))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let Some((&FORMAT, bytes)) = bytes.split_first() else {
        let message = "the extract is of another version of sgreplay; extract the captures again";
        return Err(Error::Question(message.to_owned()));
    };
    match postcard::take_from_bytes(bytes) {
        Ok((read, [])) => Ok(read),
        _ => Err(Error::Question("the extract is damaged".to_owned())),
    }
}
