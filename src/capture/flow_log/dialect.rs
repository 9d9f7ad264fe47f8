//! JSON values → records, by whose they are.

use std::sync::Arc;

use serde_json::Value;

use super::azure::Tuples;
use super::columns::{Columns, Field, FlowLogFields, Line, Unescaped};
use super::google::Reports;
use super::hubble;
use super::kind::FlowLogKind;
use super::record::{Addresses, Entry};
use super::suricata::Events;
use super::value::{Members, Read, word};
use crate::capture::CaptureErrorKind;

/// How JSON values are records.
pub(super) enum Dialect {
    /// Records of AWS in messages: answers of `CloudWatch` Logs.
    Messages(Box<Columns>),
    /// Objects whose keys are columns.
    Keys(Box<Columns>),
    Azure(Tuples),
    Google(Reports),
    Suricata(Events),
    Hubble,
}

/// What a first value turns out to be.
pub(super) enum Recognised {
    Dialect(Dialect),
    /// Nothing that is known.
    Unknown,
}

impl Dialect {
    /// Whose log it is, by its first value, or by the list of an answer that is empty.
    pub(super) fn detect(
        first: Option<&Value>,
        list: Option<&str>,
        fields: Option<&FlowLogFields>,
    ) -> Result<Recognised, CaptureErrorKind> {
        let messages = || {
            let columns = Columns::of_messages(fields);
            columns.map_or(Recognised::Unknown, |columns| {
                Recognised::Dialect(Self::Messages(Box::new(columns)))
            })
        };
        let Some(first) = first else {
            return Ok(match list {
                Some("events" | "results") => messages(),
                Some("records") => Recognised::Dialect(Self::Azure(Tuples::default())),
                Some("entries") => Recognised::Dialect(Self::Google(Reports::default())),
                _ => Recognised::Unknown,
            });
        };
        let has = |key: &str| first.get(key).is_some();
        let of = |key: &str, inner: &str| first.get(key).and_then(|of| of.get(inner)).is_some();
        let is_result = first.as_array().is_some_and(|fields| {
            fields.iter().all(|of| of.get("field").is_some()) && !fields.is_empty()
        });
        if let Some(kind) = foreign(first) {
            return Err(kind);
        }
        if is_result
            || has("@message")
            || (has("message") && (has("logStreamName") || has("eventId")))
        {
            return Ok(messages());
        }
        Ok(if Tuples::fit(first) {
            Recognised::Dialect(Self::Azure(Tuples::default()))
        } else if of("jsonPayload", "connection") {
            Recognised::Dialect(Self::Google(Reports::default()))
        } else if has("event_type") && has("timestamp") {
            Recognised::Dialect(Self::Suricata(Events::default()))
        } else if hubble::fits(first) {
            Recognised::Dialect(Self::Hubble)
        } else {
            let columns = first.as_object().and_then(|object| Columns::of_keys(object.keys()));
            columns.map_or(Recognised::Unknown, |columns| {
                Recognised::Dialect(Self::Keys(Box::new(columns)))
            })
        })
    }

    pub(super) fn kind(&self) -> FlowLogKind {
        match self {
            Self::Messages(columns) | Self::Keys(columns) => columns.kind(),
            Self::Azure(_) => FlowLogKind::Azure,
            Self::Google(_) => FlowLogKind::Google,
            Self::Suricata(_) => FlowLogKind::Suricata,
            Self::Hubble => FlowLogKind::Hubble,
        }
    }

    /// The members of objects that are looked at, where the rest is most of a record.
    pub(super) fn members(&self) -> Option<Members> {
        match self {
            Self::Google(_) => Some(Reports::MEMBERS),
            Self::Suricata(_) => Some(Events::MEMBERS),
            // Any member may be a column, a tuple or a protocol.
            Self::Messages(_) | Self::Keys(_) | Self::Azure(_) | Self::Hubble => None,
        }
    }

    /// The records of a value. The error says what was found, and what would be right.
    pub(super) fn read(
        &mut self,
        value: &Value,
        known: &Addresses,
        found: &mut Vec<Read>,
    ) -> Result<(), String> {
        match self {
            Self::Messages(columns) => {
                let message = message(value).ok_or("there is no `message`")?;
                found.extend(of_line(columns, columns.read_record(message), known)?);
            }
            Self::Keys(columns) => {
                let object = value.as_object().ok_or("expected a JSON object")?;
                let mut unescaped = Unescaped::default();
                let pairs = object.iter().filter_map(|(name, value)| Some((name, word(value)?)));
                let values = unescaped.of_pairs(pairs);
                found.extend(of_line(columns, Line::Record(values), known)?);
            }
            Self::Azure(tuples) => tuples.read(value, found)?,
            Self::Google(reports) => found.push((reports.read(value)?, None)),
            Self::Suricata(events) => events.read(value, found)?,
            Self::Hubble => found.push((hubble::read(value)?, None)),
        }
        Ok(())
    }

    /// What was held back until the end.
    pub(super) fn finish(&mut self, found: &mut Vec<Read>) {
        if let Self::Suricata(events) = self {
            events.finish(found);
        }
    }
}

fn of_line(columns: &Columns, line: Line<'_>, known: &Addresses) -> Result<Option<Read>, String> {
    match line {
        Line::Record(values) => {
            let entry = Entry::read(columns.kind(), &values, known)?;
            Ok(Some((entry, values.get(Field::Interface).map(Arc::from))))
        }
        Line::Damaged(found) => Err(found),
        Line::Columns(_) | Line::Nothing | Line::End => Ok(None),
    }
}

/// The record in an event of `CloudWatch`, or in a row of Logs Insights.
fn message(value: &Value) -> Option<&str> {
    let named = |key: &str| value.get(key).and_then(Value::as_str);
    let row = || {
        let is_message = |of: &&Value| of.get("field").and_then(Value::as_str) == Some("@message");
        value.as_array()?.iter().find(is_message)?.get("value")?.as_str()
    };
    named("message").or_else(|| named("@message")).or_else(row)
}

/// Logs of the same traffic in shapes that are not read.
fn foreign(first: &Value) -> Option<CaptureErrorKind> {
    let has = |key: &str| first.get(key).is_some();
    let inner = |key: &str, inner: &str| first.get(key).is_some_and(|of| of.get(inner).is_some());
    let (format, advice) = if has("src_endpoint") || has("class_uid") || inner("unmapped", "action")
    {
        ("a log in the shape of OCSF (Security Lake)", "read the flow log as AWS delivers it to S3")
    } else if inner("aws", "vpcflow") || has("aws.vpcflow.action") {
        ("a flow log as Elastic keeps it", "read the flow log as AWS delivers it to S3")
    } else if has("FlowType_s") || has("FASchemaVersion_s") || has("FaSchemaVersion") {
        (
            "a table of Azure's traffic analytics",
            "read the flow log itself: PT1H.json in the storage account",
        )
    } else if inner("jsonPayload", "rule_details") || inner("jsonPayload", "disposition") {
        ("a log of Google Cloud's firewall rules", "read the VPC flow log of the subnet")
    } else {
        return None;
    };
    Some(CaptureErrorKind::Foreign { format, advice: advice.to_owned() })
}
