//! Where in a YAML text a value stands.
//!
//! `serde_yaml` builds values without positions, but its errors have them. So a position is found by
//! reading the text once more with a visitor that walks down the path and fails there on purpose.
//! That costs a second reading per fault, and nothing when there is none.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// The value under a key.
    Key(String),
    /// An element of a list.
    Index(usize),
    /// The key itself, not its value; always the last step.
    Name(String),
    /// A key that stands there for the second time; always the last step.
    Again(String),
}

/// Line and column, from 1, of what the path leads to; of the nearest thing above it, if it leads
/// nowhere.
pub(super) fn locate(text: &str, path: &[Segment]) -> Option<(usize, usize)> {
    (0..=path.len()).rev().find_map(|len| {
        let probe = Probe { path: path.get(..len)? };
        let error = probe.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        let at = error.location()?;
        error.to_string().contains(FOUND).then(|| (at.line(), at.column()))
    })
}

const FOUND: &str = "sgreplay: found the place";

#[derive(Clone, Copy)]
struct Probe<'p> {
    path: &'p [Segment],
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Probe<'_> {
    /// A scalar: it is the place, or the path leads nowhere.
    fn here<E: Error>(self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.here()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.here()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.here()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.here()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.here()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.here()
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, value) = tagged.variant::<String>()?;
        value.newtype_variant_seed(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (step, rest) = match self.path.split_first() {
            None => return self.here(),
            Some((Segment::Index(index), rest)) => (*index, rest),
            Some(_) => (usize::MAX, self.path),
        };
        for position in 0.. {
            let more = if position == step {
                list.next_element_seed(Probe { path: rest })?
            } else {
                list.next_element::<IgnoredAny>()?.map(|_| ())
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.path.split_first() else { return self.here() };
        let seen = Cell::new(false);
        while let Some(is_step) = map.next_key_seed(Key { step, seen: &seen })? {
            if is_step {
                map.next_value_seed(Probe { path: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Reads a key and says whether it is the next step.
struct Key<'p> {
    step: &'p Segment,
    /// Whether a key that is looked for again was there once.
    seen: &'p Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match self.step {
            Segment::Key(step) => Ok(step == key),
            Segment::Name(step) if step == key => Err(E::custom(FOUND)),
            Segment::Again(step) if step == key && self.seen.replace(true) => Err(E::custom(FOUND)),
            Segment::Name(_) | Segment::Again(_) | Segment::Index(_) => Ok(false),
        }
    }
}
