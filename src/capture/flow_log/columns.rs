//! Lines → values by the name of their column.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::FlowLogKind;

/// What a record can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Src,
    Dst,
    SrcPort,
    DstPort,
    Protocol,
    /// Zeek's protocol by number.
    ProtocolNumber,
    Packets,
    PacketsBack,
    Bytes,
    BytesBack,
    Start,
    Flags,
    Direction,
    Action,
    Status,
    Interface,
    /// Zeek's letters for what was seen of a connection.
    History,
    State,
}

impl Field {
    /// All, as declared: a field's number is its place.
    const ALL: [Self; 18] = [
        Self::Src,
        Self::Dst,
        Self::SrcPort,
        Self::DstPort,
        Self::Protocol,
        Self::ProtocolNumber,
        Self::Packets,
        Self::PacketsBack,
        Self::Bytes,
        Self::BytesBack,
        Self::Start,
        Self::Flags,
        Self::Direction,
        Self::Action,
        Self::Status,
        Self::Interface,
        Self::History,
        Self::State,
    ];

    /// The names of its column, lower-case and with `-` for `_` and `.`; those of all formats together,
    /// since no name means one thing here and another there.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Src => &["srcaddr", "src-addr", "id-orig-h", "sa"],
            Self::Dst => &["dstaddr", "dst-addr", "id-resp-h", "da"],
            Self::SrcPort => &["srcport", "src-port", "id-orig-p", "sp"],
            Self::DstPort => &["dstport", "dst-port", "id-resp-p", "dp"],
            Self::Protocol => &["protocol", "proto", "pr"],
            Self::ProtocolNumber => &["ip-proto"],
            Self::Packets => &["packets", "orig-pkts", "ipkt", "in-packets"],
            Self::PacketsBack => &["resp-pkts", "opkt", "out-packets"],
            Self::Bytes => &["bytes", "orig-ip-bytes", "ibyt", "in-bytes"],
            Self::BytesBack => &["resp-ip-bytes", "obyt", "out-bytes"],
            Self::Start => &["start", "ts", "firstseen", "first"],
            Self::Flags => &["tcp-flags", "flg", "flags"],
            Self::Direction => &["direction", "flow-direction"],
            Self::Action => &["action"],
            Self::Status => &["log-status"],
            Self::Interface => &["eni-id", "interface-id"],
            Self::History => &["history"],
            Self::State => &["conn-state"],
        }
    }

    /// The field whose column is named so.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.names().contains(&name))
    }
}

/// The fields of AWS's version 2, which has no header when it does not come from S3.
const AWS_V2: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets \
                      bytes start end action log-status";

fn plain(name: &str) -> String {
    name.trim().trim_matches('"').to_ascii_lowercase().replace(['_', '.'], "-")
}

/// How lines are made up.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    kind: FlowLogKind,
    separator: Separator,
    /// The column of each field, by the field's number.
    places: [Option<usize>; Field::ALL.len()],
    /// The header's own text, which a log made of several repeats.
    header: Option<String>,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    Comma,
    Space,
    Tab,
    /// A JSON object a line: no columns.
    Json,
}

/// What a line turns out to be.
pub(super) enum Line<'a> {
    Record(Values<'a>),
    /// Other columns from here on.
    Columns(Box<Columns>),
    /// A remark, an empty line, a header again.
    Nothing,
    /// What follows is no record.
    End,
    /// What was found, and what would be right.
    Damaged(String),
}

/// The values of a record.
pub(super) struct Values<'a> {
    of: Vec<Option<Cow<'a, str>>>,
}

impl Values<'_> {
    /// A value; `None` where the format says that there is none.
    pub(super) fn get(&self, field: Field) -> Option<&str> {
        self.of
            .get(field as usize)?
            .as_deref()
            .filter(|text| !matches!(*text, "" | "-" | "(empty)"))
    }
}

impl Columns {
    /// What a header says, or a first record that needs none.
    pub(super) fn of(line: &str) -> Option<Self> {
        let line = line.trim_start();
        if let Some(fields) = line.strip_prefix("#fields") {
            return Self::named(fields.trim_start(), Separator::Tab);
        }
        if line.starts_with('{') {
            let object: Map<String, Value> = serde_json::from_str(line).ok()?;
            let names: Vec<String> = object.keys().map(|name| plain(name)).collect();
            return Self::known(&names, Separator::Json);
        }
        [Separator::Comma, Separator::Tab, Separator::Space]
            .into_iter()
            .find_map(|separator| Self::named(line, separator))
            .or_else(|| Self::without_header(line))
            .or_else(|| Self::trace(line))
    }

    /// A line of a trace: numbers alone, `src dst sport dport proto`, then the flags where its filters have
    /// some, and the filter for which the header was made, which need not be the first that matches.
    fn trace(line: &str) -> Option<Self> {
        let separator = if line.contains('\t') { Separator::Tab } else { Separator::Space };
        let values: Vec<&str> = separator.split(line).map(str::trim).collect();
        let values: Vec<&str> = values.into_iter().filter(|value| !value.is_empty()).collect();
        let highest = [u64::from(u32::MAX), u64::from(u32::MAX), 65_535, 65_535, 255];
        let fits = |(value, highest): (&&str, u64)| value.parse().is_ok_and(|n: u64| n <= highest);
        let numbers = values.iter().all(|value| value.parse::<u64>().is_ok());
        let is_trace =
            (5..=7).contains(&values.len()) && numbers && values.iter().zip(highest).all(fits);
        let names = ["srcaddr", "dstaddr", "srcport", "dstport", "protocol"].map(str::to_owned);
        let columns = is_trace.then(|| Self::known(&names, separator)).flatten()?;
        Some(Self { kind: FlowLogKind::ClassBench, ..columns })
    }

    fn named(header: &str, separator: Separator) -> Option<Self> {
        let names: Vec<String> = separator.split(header).map(plain).collect();
        let columns = Self::known(&names, separator)?;
        Some(Self { header: Some(header.trim().to_owned()), ..columns })
    }

    /// The columns, if addresses are among them.
    fn known(names: &[String], separator: Separator) -> Option<Self> {
        let place =
            |field: Field| names.iter().position(|name| field.names().contains(&name.as_str()));
        let places = Field::ALL.map(place);
        place(Field::Src).and(place(Field::Dst))?;
        let has = |name: &str| names.iter().any(|known| known == name);
        let kind = if has("id-orig-h") {
            FlowLogKind::Zeek
        } else if has("eni-id") || has("vswitch-id") {
            FlowLogKind::Alibaba
        } else if has("sa") || has("firstseen") || has("cnt") || has("srcas") {
            FlowLogKind::Nfdump
        } else {
            FlowLogKind::Aws
        };
        Some(Self { kind, separator, places, header: None, width: names.len() })
    }

    fn without_header(line: &str) -> Option<Self> {
        let values: Vec<&str> = line.split_ascii_whitespace().collect();
        let status = ["OK", "NODATA", "SKIPDATA"];
        let is_version_2 = values.len() == AWS_V2.split_ascii_whitespace().count()
            && values.first() == Some(&"2")
            && values.last().is_some_and(|last| status.contains(last));
        is_version_2.then(|| Self::named(AWS_V2, Separator::Space)).flatten()
    }

    pub(super) fn kind(&self) -> FlowLogKind {
        self.kind
    }

    /// What is missing for a verdict, by its usual name.
    fn missing(&self) -> Option<&'static str> {
        let needed = [
            (Field::Protocol, "the protocol"),
            (Field::SrcPort, "the source port"),
            (Field::DstPort, "the destination port"),
        ];
        let has = |field: Field| self.places.get(field as usize).is_some_and(Option::is_some);
        needed.into_iter().find(|(field, _)| !has(*field)).map(|(_, name)| name)
    }

    /// What a line says.
    pub(super) fn read<'a>(&self, line: &'a str) -> Line<'a> {
        let text = line.trim();
        if text.starts_with("#fields") {
            return Self::of(text)
                .map_or(Line::Nothing, |columns| Line::Columns(Box::new(columns)));
        }
        if text.is_empty() || text.starts_with('#') {
            return Line::Nothing;
        }
        if self.header.as_deref() == Some(text) {
            return match self.missing() {
                None => Line::Nothing,
                Some(missing) => Line::Damaged(format!(
                    "there is no column for {missing}, without which no rule can be looked for"
                )),
            };
        }
        if self.kind == FlowLogKind::Nfdump && text == "Summary" {
            return Line::End;
        }
        match self.separator {
            Separator::Json => Self::read_json(text),
            separator => self.read_columns(line, separator),
        }
    }

    fn read_columns<'a>(&self, line: &'a str, separator: Separator) -> Line<'a> {
        let values: Vec<Cow<'a, str>> = if line.contains('"') && separator == Separator::Comma {
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            match reader.records().next() {
                Some(Ok(record)) => {
                    record.iter().map(|value| Cow::Owned(value.trim().to_owned())).collect()
                }
                _ => return Line::Damaged("the quotes of this line do not close".to_owned()),
            }
        } else {
            separator.split(line).map(|value| Cow::Borrowed(value.trim())).collect()
        };
        // A log that breaks off ends in a line of fewer; ClickHouse and others add some.
        if values.len() < self.width {
            return Line::Damaged(format!(
                "{} values, and the header names {} columns",
                values.len(),
                self.width
            ));
        }
        let of = self.places.iter().map(|place| place.and_then(|place| values.get(place).cloned()));
        Line::Record(Values { of: of.collect() })
    }

    /// Objects need not have the same keys: those without a value are often left out.
    fn read_json(line: &str) -> Line<'_> {
        let object: Map<String, Value> = match serde_json::from_str(line) {
            Ok(object) => object,
            Err(error) => return Line::Damaged(format!("expected a JSON object: {error}")),
        };
        let mut of = vec![None; Field::ALL.len()];
        for (name, value) in object {
            let field = Field::named(&plain(&name));
            let value = match value {
                Value::String(text) => Some(Cow::Owned(text)),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            };
            if let Some(slot) = field.and_then(|field| of.get_mut(field as usize)) {
                *slot = value;
            }
        }
        Line::Record(Values { of })
    }
}

impl Separator {
    fn split(self, line: &str) -> impl Iterator<Item = &str> {
        let by = move |c: char| match self {
            Self::Comma => c == ',',
            Self::Space => c == ' ',
            Self::Tab | Self::Json => c == '\t',
        };
        line.split(by)
    }
}
