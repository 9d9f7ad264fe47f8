//! Lines → values by the name of their column.

use std::ops::Range;

use serde_json::{Map, Value};

use super::kind::FlowLogKind;

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
    /// Addresses of the packets themselves, where a record's are those of an interface that forwards them.
    PacketSrc,
    PacketDst,
    /// Zeek's letters for what was seen of a connection.
    History,
    State,
}

impl Field {
    /// All, as declared: a field's number is its place.
    const ALL: [Self; 20] = [
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
        Self::PacketSrc,
        Self::PacketDst,
        Self::History,
        Self::State,
    ];

    /// The names of its column, lower-case and without `-`, `_`, `.` and blanks; those of all formats together,
    /// since no name means one thing here and another there.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Src => &["srcaddr", "idorigh", "sa", "sourceaddress"],
            Self::Dst => &["dstaddr", "idresph", "da", "destinationaddress"],
            Self::SrcPort => &["srcport", "idorigp", "sp", "sourceport"],
            Self::DstPort => &["dstport", "idrespp", "dp", "destinationport"],
            Self::Protocol => &["protocol", "proto", "pr"],
            Self::ProtocolNumber => &["ipproto"],
            Self::Packets => &["packets", "origpkts", "ipkt", "inpackets", "numpackets"],
            Self::PacketsBack => &["resppkts", "opkt", "outpackets"],
            Self::Bytes => &["bytes", "origipbytes", "ibyt", "inbytes", "numbytes"],
            Self::BytesBack => &["respipbytes", "obyt", "outbytes"],
            Self::Start => &["start", "ts", "firstseen", "first", "starttime"],
            Self::Flags => &["tcpflags", "flg", "flags"],
            Self::Direction => &["direction", "flowdirection"],
            Self::Action => &["action"],
            Self::Status => &["logstatus"],
            Self::Interface => &["eniid", "interfaceid"],
            Self::PacketSrc => &["pktsrcaddr"],
            Self::PacketDst => &["pktdstaddr"],
            Self::History => &["history"],
            Self::State => &["connstate"],
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

/// The column of `CloudWatch` Logs Insights in which the records are.
const MESSAGE: &str = "@message";

fn plain(name: &str) -> String {
    let name = name.trim().trim_matches('"').to_ascii_lowercase();
    name.replace(['-', '_', '.', ' '], "")
}

/// The columns of records without a header, as the user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLogFields(String);

impl std::str::FromStr for FlowLogFields {
    type Err = String;

    /// Names with blanks or commas between, or the `LogFormat` of AWS: `${version} ${srcaddr} …`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = |name: &str| name.trim_start_matches("${").trim_end_matches('}').to_owned();
        let words = text.split([' ', ',', '\t']).filter(|name| !name.is_empty());
        let names: Vec<String> = words.map(bare).collect();
        let fields = Self(names.join(" "));
        let Some(columns) = Columns::named(&fields.0, Separator::Space) else {
            return Err("the addresses are not among them: srcaddr and dstaddr".to_owned());
        };
        match columns.missing() {
            None => Ok(fields),
            Some(missing) => Err(format!("{missing} is not among them")),
        }
    }
}

/// How lines are made up.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    kind: FlowLogKind,
    separator: Separator,
    /// The column of each field, by the field's number.
    places: [Option<usize>; Field::ALL.len()],
    /// The other way round: the field of each column.
    fields: Vec<Option<Field>>,
    /// The header's own text, which a log made of several repeats.
    header: Option<String>,
    width: usize,
    /// Before each line is the time at which it came to `CloudWatch`.
    prefixed: bool,
    /// The column that has records, and what is in those.
    message: Option<(usize, Box<Self>)>,
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
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every record")]
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

/// The values of a record, by the field's number; empty where there is none.
#[derive(Default)]
pub(super) struct Values<'a> {
    of: [&'a str; Field::ALL.len()],
}

impl<'a> Values<'a> {
    /// A value; `None` where the format says that there is none.
    #[inline]
    pub(super) fn get(&self, field: Field) -> Option<&'a str> {
        let text = self.of.get(field as usize).copied();
        text.filter(|text| !matches!(*text, "" | "-" | "(empty)"))
    }

    #[inline]
    fn put(&mut self, field: Field, text: &'a str) {
        if let Some(slot) = self.of.get_mut(field as usize) {
            *slot = text;
        }
    }
}

/// Values that do not stand in a line as they are, one behind the other. Reuse it: its memory is then allocated once.
#[derive(Debug, Default)]
pub(super) struct Unescaped {
    text: String,
    fields: Vec<(Field, Range<usize>)>,
}

impl Unescaped {
    fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    fn put(&mut self, field: Field, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.fields.push((field, start..self.text.len()));
    }

    fn values(&self) -> Values<'_> {
        let mut values = Values::default();
        for (field, place) in &self.fields {
            values.put(*field, self.text.get(place.clone()).unwrap_or_default());
        }
        values
    }

    /// Values by the names of their columns.
    pub(super) fn of_pairs<N: AsRef<str>, T: AsRef<str>>(
        &mut self,
        pairs: impl Iterator<Item = (N, T)>,
    ) -> Values<'_> {
        self.clear();
        for (name, text) in pairs {
            if let Some(field) = Field::named(&plain(name.as_ref())) {
                self.put(field, text.as_ref());
            }
        }
        self.values()
    }
}

impl Columns {
    /// What a header says, or a first record that needs none or has the fields that the user names.
    pub(super) fn detect(line: &str, fields: Option<&FlowLogFields>) -> Option<Self> {
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
            .or_else(|| Self::with_messages(line, fields))
            .or_else(|| Self::without_header(line, fields))
            .or_else(|| Self::trace(line))
    }

    /// Of a JSON object's keys.
    pub(super) fn of_keys<'k>(keys: impl Iterator<Item = &'k String>) -> Option<Self> {
        let names: Vec<String> = keys.map(|name| plain(name)).collect();
        Self::known(&names, Separator::Json)
    }

    /// Of records that stand in messages.
    pub(super) fn of_messages(fields: Option<&FlowLogFields>) -> Option<Self> {
        let names = fields.map_or(AWS_V2, |fields| &fields.0);
        Self::named(names, Separator::Space).map(|columns| Self { header: None, ..columns })
    }

    /// A download of `CloudWatch` Logs Insights.
    fn with_messages(header: &str, fields: Option<&FlowLogFields>) -> Option<Self> {
        let mut names = Separator::Comma.split(header).map(plain);
        let column = names.position(|name| name == MESSAGE)?;
        let inner = Self::of_messages(fields)?;
        Some(Self {
            separator: Separator::Comma,
            header: Some(header.trim().to_owned()),
            width: column + 1,
            message: Some((column, Box::new(inner.clone()))),
            ..inner
        })
    }

    /// Whether the newest record may come first.
    pub(super) fn may_be_newest_first(&self) -> bool {
        self.message.is_some() || self.header.as_ref().is_some_and(|header| header.contains('@'))
    }

    /// The format that a first line is nearest to, and what is missing, in words.
    pub(super) fn nearest(line: &str) -> Option<String> {
        let line = line.trim();
        let object = serde_json::from_str::<Map<String, Value>>(line).ok();
        let keys = object.map(|object| object.keys().map(|name| plain(name)).collect());
        let names: Vec<String> = keys.unwrap_or_else(|| {
            let separators = [Separator::Comma, Separator::Tab, Separator::Space];
            let split = separators.map(|by| by.split(line).map(plain).collect::<Vec<_>>());
            split.into_iter().max_by_key(Vec::len).unwrap_or_default()
        });
        let has = |field: Field| names.iter().any(|name| field.names().contains(&name.as_str()));
        let known = Field::ALL.into_iter().filter(|field| has(*field)).count();
        if known >= 3 {
            let kind = Self::kind_by(|name| names.iter().any(|known| known == name));
            let missing = [(Field::Src, "source address"), (Field::Dst, "destination address")];
            let missing = missing.into_iter().find(|(field, _)| !has(*field));
            return missing.map(|(_, what)| {
                format!("it is nearest to {}, and has no column for the {what}", kind.as_str())
            });
        }
        let values: Vec<&str> =
            line.split([' ', '\t', ',']).map(|of| of.trim_matches('"')).collect();
        let addresses = values.iter().filter(|value| value.parse::<std::net::IpAddr>().is_ok());
        (addresses.count() >= 2 && values.len() >= 5).then(|| {
            format!(
                "it is nearest to {}: {} columns without a header; --fields says what they are, as `aws ec2 \
                 describe-flow-logs` prints them (LogFormat)",
                FlowLogKind::Aws.as_str(),
                values.len()
            )
        })
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
        let kind = Self::kind_by(|name| names.iter().any(|known| known == name));
        let width = names.len();
        let field = |at| Field::ALL.into_iter().zip(places).find(|(_, place)| *place == Some(at));
        let fields = (0..width).map(|at| field(at).map(|(field, _)| field)).collect();
        let (header, message) = (None, None);
        Some(Self { kind, separator, places, fields, header, width, prefixed: false, message })
    }

    fn kind_by(has: impl Fn(&str) -> bool) -> FlowLogKind {
        if has("idorigh") {
            FlowLogKind::Zeek
        } else if has("eniid") || has("vswitchid") {
            FlowLogKind::Alibaba
        } else if has("sa") || has("firstseen") || has("cnt") || has("srcas") {
            FlowLogKind::Nfdump
        } else {
            FlowLogKind::Aws
        }
    }

    /// Records of AWS: in the 14 fields of version 2, or in those that the user names.
    fn without_header(line: &str, fields: Option<&FlowLogFields>) -> Option<Self> {
        let record = without_time(line);
        let prefixed = record != line;
        if let Some(fields) = fields {
            let columns = Self::named(&fields.0, Separator::Space)?;
            let separators = [Separator::Tab, Separator::Comma, Separator::Space];
            let fits = |by: &Separator| by.split(record).count() >= columns.width;
            let separator = separators.into_iter().find(fits)?;
            return Some(Self { separator, header: None, prefixed, ..columns });
        }
        let values: Vec<&str> = record.split_ascii_whitespace().collect();
        let status = ["OK", "NODATA", "SKIPDATA"];
        let is_version_2 = values.len() == AWS_V2.split_ascii_whitespace().count()
            && values.first() == Some(&"2")
            && values.last().is_some_and(|last| status.contains(last));
        let columns = is_version_2.then(|| Self::of_messages(None)).flatten()?;
        Some(Self { prefixed, ..columns })
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

    /// What a line says; values that do not stand there as they are go to `unescaped`.
    pub(super) fn read<'a>(&self, line: &'a str, unescaped: &'a mut Unescaped) -> Line<'a> {
        let text = line.trim();
        if text.starts_with("#fields") {
            return Self::detect(text, None)
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
        match (&self.message, self.separator) {
            (Some((column, inner)), _) => inner.read_message(line, *column, unescaped),
            (None, Separator::Json) => Self::read_json(text, unescaped),
            (None, Separator::Comma) if line.contains('"') => {
                let record = if self.prefixed { without_time(line) } else { line };
                self.read_quoted(record, unescaped)
            }
            (None, separator) => {
                let record = if self.prefixed { without_time(line) } else { line };
                self.read_columns(record, separator)
            }
        }
    }

    /// A record that is a column of a line.
    fn read_message<'a>(
        &self,
        line: &str,
        column: usize,
        unescaped: &'a mut Unescaped,
    ) -> Line<'a> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(line.as_bytes());
        let row = reader.records().next();
        match row.as_ref().and_then(|row| row.as_ref().ok()).and_then(|row| row.get(column)) {
            Some(message) => {
                unescaped.clear();
                unescaped.text.push_str(message.trim());
                self.read_columns(&unescaped.text, self.separator)
            }
            None => Line::Damaged("there is no message in this line".to_owned()),
        }
    }

    /// What a record in a message says.
    pub(super) fn read_record<'a>(&self, record: &'a str) -> Line<'a> {
        self.read_columns(record.trim(), self.separator)
    }

    fn read_columns<'a>(&self, line: &'a str, separator: Separator) -> Line<'a> {
        let mut values = Values::default();
        let ends = memchr::memchr_iter(separator.byte(), line.as_bytes());
        let (mut start, mut found) = (0, 0);
        for end in ends.chain([line.len()]) {
            if let Some(Some(field)) = self.fields.get(found) {
                values.put(*field, trimmed(line.get(start..end).unwrap_or_default()));
            }
            (start, found) = (end + 1, found + 1);
        }
        self.if_whole(found, values)
    }

    fn read_quoted<'a>(&self, line: &str, unescaped: &'a mut Unescaped) -> Line<'a> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let Some(Ok(record)) = reader.records().next() else {
            return Line::Damaged("the quotes of this line do not close".to_owned());
        };
        unescaped.clear();
        for (field, value) in self.fields.iter().zip(&record) {
            if let Some(field) = field {
                unescaped.put(*field, value.trim());
            }
        }
        self.if_whole(record.len(), unescaped.values())
    }

    /// A log that breaks off ends in a line of fewer values; `ClickHouse` and others add some.
    fn if_whole<'a>(&self, found: usize, values: Values<'a>) -> Line<'a> {
        if found < self.width {
            return Line::Damaged(format!(
                "{found} values, and the header names {} columns",
                self.width
            ));
        }
        Line::Record(values)
    }

    /// Objects need not have the same keys: those without a value are often left out.
    fn read_json<'a>(line: &str, unescaped: &'a mut Unescaped) -> Line<'a> {
        let object: Map<String, Value> = match serde_json::from_str(line) {
            Ok(object) => object,
            Err(error) => return Line::Damaged(format!("expected a JSON object: {error}")),
        };
        Line::Record(unescaped.of_pairs(object.into_iter().filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some((name, text))
        })))
    }
}

/// A value without white space around it, of which there seldom is any.
#[inline]
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [only] if only.is_ascii_graphic() => text,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// A line without the time that `CloudWatch`'s export to S3 puts before it.
fn without_time(line: &str) -> &str {
    let Some((time, rest)) = line.split_once(' ') else { return line };
    let is_time = time.len() >= 20
        && time.starts_with(|first: char| first.is_ascii_digit())
        && time.ends_with('Z')
        && time.contains('T');
    if is_time { rest } else { line }
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Space => b' ',
            Self::Tab | Self::Json => b'\t',
        }
    }

    fn split(self, line: &str) -> impl Iterator<Item = &str> {
        let by = move |c: char| match self {
            Self::Comma => c == ',',
            Self::Space => c == ' ',
            Self::Tab | Self::Json => c == '\t',
        };
        line.split(by)
    }
}
