//! Which columns of a table are which.

use std::collections::HashMap;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use pyo3::prelude::*;

use crate::error::{self, ColumnFault};

/// What a row is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Src,
    Dst,
    Proto,
    Sport,
    Dport,
    IcmpType,
    IcmpCode,
}

impl Role {
    const ALL: [Self; 7] = [
        Self::Src,
        Self::Dst,
        Self::Proto,
        Self::Sport,
        Self::Dport,
        Self::IcmpType,
        Self::IcmpCode,
    ];

    /// The name in our own rows, by which `columns=` means it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Src => "src",
            Self::Dst => "dst",
            Self::Proto => "proto",
            Self::Sport => "sport",
            Self::Dport => "dport",
            Self::IcmpType => "icmp_type",
            Self::IcmpCode => "icmp_code",
        }
    }

    /// The names of its column in flow logs of AWS and Alibaba Cloud, in Zeek and Suricata, in what Wireshark's fields
    /// are called, and in our own rows: lower-case, and without `-`, `_`, `.` and blanks.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Src => {
                &["src", "srcaddr", "srcip", "sourceip", "sourceaddress", "idorigh", "ipsrc"]
            }
            Self::Dst => &[
                "dst",
                "dstaddr",
                "dstip",
                "destip",
                "destinationip",
                "destinationaddress",
                "idresph",
                "ipdst",
            ],
            Self::Proto => &["proto", "protocol", "ipproto", "ipprotocol"],
            Self::Sport => &["sport", "srcport", "sourceport", "idorigp"],
            Self::Dport => &["dport", "dstport", "destport", "destinationport", "idrespp"],
            Self::IcmpType => &["icmptype"],
            Self::IcmpCode => &["icmpcode"],
        }
    }
}

/// Columns that the caller names.
#[derive(Debug)]
pub(crate) struct Names(Vec<(Role, String)>);

impl Names {
    pub(crate) fn new(given: HashMap<String, String>) -> PyResult<Self> {
        let mut names = Vec::new();
        let mut given: Vec<_> = given.into_iter().collect();
        given.sort();
        for (role, column) in given {
            let known = Role::ALL.into_iter().find(|known| known.as_str() == role);
            let known = known.ok_or_else(|| {
                let all = Role::ALL.map(Role::as_str).join(", ");
                error::plain(format!("columns: `{role}` is none of {all}"))
            })?;
            names.push((known, column));
        }
        Ok(Self(names))
    }
}

/// A column of the table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) position: usize,
    pub(crate) name: String,
}

/// The columns that rows are judged by.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) src: Column,
    pub(crate) dst: Column,
    pub(crate) proto: Column,
    pub(crate) ports: Option<[Column; 2]>,
    pub(crate) icmp_type: Option<Column>,
    pub(crate) icmp_code: Option<Column>,
    /// Zeek has the type and code of ICMP in the columns of ports.
    pub(crate) ports_have_icmp: bool,
}

impl Columns {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Column> {
        let Self { src, dst, proto, ports, icmp_type, icmp_code, .. } = self;
        let all = [src, dst, proto].into_iter().chain(ports.iter().flatten());
        all.chain(icmp_type).chain(icmp_code)
    }

    /// Whether one of them is a dictionary in a batch.
    pub(crate) fn have_dictionary(&self, batch: &RecordBatch) -> bool {
        self.all().any(|column| {
            matches!(batch.column(column.position).data_type(), DataType::Dictionary(..))
        })
    }

    /// Finds them by the names that the caller gives, and by those that are known.
    pub(crate) fn find(schema: &Schema, names: &Names) -> Result<Self, ColumnFault> {
        let find = |role| find(schema, names, role);
        let need = |role| find(role)?.ok_or_else(|| missing(schema, role));
        let ports = match (find(Role::Sport)?, find(Role::Dport)?) {
            (Some(src), Some(dst)) => Some([src, dst]),
            (None, None) => None,
            (Some(_), None) => return Err(missing(schema, Role::Dport)),
            (None, Some(_)) => return Err(missing(schema, Role::Sport)),
        };
        let Some(ports) = ports else { return Err(missing(schema, Role::Sport)) };
        let ports_have_icmp = ports.iter().any(|port| plain(&port.name).starts_with("id"));
        Ok(Self {
            src: need(Role::Src)?,
            dst: need(Role::Dst)?,
            proto: need(Role::Proto)?,
            ports: Some(ports),
            icmp_type: find(Role::IcmpType)?,
            icmp_code: find(Role::IcmpCode)?,
            ports_have_icmp,
        })
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '_', '.', ' '], "")
}

fn columns(schema: &Schema) -> impl Iterator<Item = Column> {
    let fields = schema.fields().iter().enumerate();
    fields.map(|(position, field)| Column { position, name: field.name().clone() })
}

fn find(schema: &Schema, names: &Names, role: Role) -> Result<Option<Column>, ColumnFault> {
    let Names(given) = names;
    if let Some((_, name)) = given.iter().find(|(of, _)| *of == role) {
        let mut found = columns(schema).filter(|column| column.name == *name);
        return match (found.next(), found.next()) {
            (Some(column), None) => Ok(Some(column)),
            (Some(_), Some(_)) => Err(fault(name, format!("the table has two columns `{name}`"))),
            (None, _) => Err(fault(name, no_column(schema, name))),
        };
    }
    let mut found =
        columns(schema).filter(|column| role.names().contains(&plain(&column.name).as_str()));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => {
            let (role, one, other) = (role.as_str(), one.name, other.name);
            let message = format!(
                "`{one}` and `{other}` may both be the {role}: columns={{\"{role}\": \"{one}\"}} chooses one"
            );
            Err(fault(&one, message))
        }
        (found, _) => Ok(found),
    }
}

fn fault(column: &str, message: String) -> ColumnFault {
    ColumnFault { column: column.to_owned(), row: None, message }
}

/// That a column that the caller names is not there, and which one may be meant.
fn no_column(schema: &Schema, name: &str) -> String {
    let near = columns(schema)
        .map(|column| (strsim::damerau_levenshtein(&column.name, name), column.name))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let near = near.map_or_else(String::new, |(_, near)| format!("; is `{near}` meant?"));
    format!("the table has no column `{name}`{near}")
}

fn missing(schema: &Schema, role: Role) -> ColumnFault {
    const SHOWN: usize = 20;
    let role = role.as_str();
    let all: Vec<String> = columns(schema).map(|column| column.name).collect();
    let more = if all.len() > SHOWN { ", …" } else { "" };
    let all = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let message = format!(
        "the table has no column for the {role}: columns={{\"{role}\": NAME}} names one. It has {all}{more}"
    );
    fault(role, message)
}
