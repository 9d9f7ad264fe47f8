//! Files of tables, Parquet and Arrow IPC: the rows of the CSV, with types.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sgreplay::arrow::{PacketColumns, TableFile, TableFormat, Vocabulary, packet_schema};
use sgreplay::{
    Binding, EachFrame, ReplayRequest, RulesFile, RulesRequest, SourceOptions, Sources, engine,
};

use crate::support::{capture, captures, ipv4, output_in, pcap_every, root};

const FORMATS: [&str; 2] = ["parquet", "arrow"];

/// A table that was read back.
struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    summary: String,
}

/// What the program writes to a file.
fn written(dir: &Path, words: &[&str], to: &Path) -> (i32, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
        .args(words)
        .current_dir(dir)
        .stdout(File::create(to).unwrap())
        .output()
        .unwrap();
    (ran.status.code().unwrap(), String::from_utf8(ran.stderr).unwrap())
}

fn read(file: &Path, format: &str) -> Result<Table, String> {
    const SUMMARY: &str = "sgreplay.summary";
    let open = File::open(file).unwrap();
    if format == "arrow" {
        let reader = FileReader::try_new(open, None).map_err(|error| error.to_string())?;
        let summary = reader.custom_metadata()[SUMMARY].clone();
        let schema = reader.schema();
        return Ok(Table { schema, batches: reader.map(Result::unwrap).collect(), summary });
    }
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(open).map_err(|error| error.to_string())?;
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let summary = metadata.iter().find(|pair| pair.key == SUMMARY).unwrap().value.clone().unwrap();
    let schema = SchemaRef::clone(reader.schema());
    let batches = reader.build().unwrap().map(Result::unwrap).collect();
    Ok(Table { schema, batches, summary })
}

/// The table that a command line writes.
fn table(dir: &Path, words: &[&str], format: &str) -> Table {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (status, err) = written(dir, &[words, &["-f", format]].concat(), file.path());
    assert_eq!(status, 0, "{err}");
    read(file.path(), format).unwrap()
}

/// A value as the CSV has it.
fn text(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if &**zone == "UTC" => {
            column.as_primitive::<TimestampNanosecondType>().value(row).to_string()
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Dictionary(key, _) if **key == DataType::Int8 => {
            let of = column.as_dictionary::<Int8Type>();
            text(of.values(), of.key(row).unwrap())
        }
        DataType::Dictionary(..) => {
            let of = column.as_dictionary::<Int32Type>();
            text(of.values(), of.key(row).unwrap())
        }
        other => panic!("no such column: {other}"),
    }
}

impl Table {
    /// As a CSV, with its names for times.
    fn rows(&self) -> Vec<Vec<String>> {
        let name = |field: &arrow_schema::FieldRef| match field.data_type() {
            DataType::Timestamp(..) => format!("{}_ns", field.name()),
            _ => field.name().clone(),
        };
        let header = self.schema.fields().iter().map(name).collect();
        let of_batch = |batch: &RecordBatch| -> Vec<Vec<String>> {
            let row = |row| batch.columns().iter().map(|column| text(column, row)).collect();
            (0..batch.num_rows()).map(row).collect()
        };
        [header].into_iter().chain(self.batches.iter().flat_map(of_batch)).collect()
    }

    fn data_type(&self, column: &str) -> DataType {
        self.schema.field_with_name(column).unwrap().data_type().clone()
    }
}

fn csv_rows(dir: &Path, words: &[&str]) -> Vec<Vec<String>> {
    let (status, out, err) = output_in(dir, &[words, &["-f", "csv"]].concat(), b"");
    assert_eq!(status, 0, "{err}");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn replay<'a>(rules: &'a str, capture: &'a str) -> Vec<&'a str> {
    let words = ["replay", "--rules", rules, capture];
    match rules {
        "two-instances.yaml" => words.to_vec(),
        _ => [&words[..], &["--local", "10.0.0.5,2001:db8:a::5"]].concat(),
    }
}

#[test]
fn tables_have_the_rows_of_the_csv() {
    let dir = root().join("captures");
    for path in captures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let rules =
            if name == "two-instances.pcap" { "two-instances.yaml" } else { "proposed.yaml" };
        for per in ["packet", "connection"] {
            let words = [&replay(rules, name)[..], &["--per", per]].concat();
            let expected = csv_rows(&dir, &words);
            for format in FORMATS {
                assert!(table(&dir, &words, format).rows() == expected, "{name} {per} {format}");
            }
        }
    }
}

#[test]
fn columns_have_types() {
    let dir = root().join("captures");
    let dictionary = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    for format in FORMATS {
        let packets = [&replay("current.yaml", "story.pcap")[..], &["--per", "packet"]].concat();
        let packets = table(&dir, &packets, format);
        for (column, expected) in [
            ("frame", DataType::UInt64),
            ("time", time.clone()),
            ("caplen", DataType::UInt32),
            ("src", DataType::Utf8),
            ("proto", DataType::UInt8),
            ("dport", DataType::UInt16),
            ("outcome", dictionary(DataType::Int8)),
            ("verdict", dictionary(DataType::Int8)),
            ("rule", dictionary(DataType::Int32)),
        ] {
            assert_eq!(packets.data_type(column), expected, "{format} {column}");
        }
        // Rows alone mean those of connections, as with the CSV.
        let connections = table(&dir, &replay("current.yaml", "story.pcap"), format);
        assert_eq!(connections.data_type("first_time"), time, "{format}");
        assert_eq!(connections.data_type("opening"), dictionary(DataType::Int8), "{format}");
        assert_eq!(connections.data_type("bytes"), DataType::UInt64, "{format}");
    }
}

#[test]
fn the_summary_is_in_the_metadata() {
    let dir = root().join("captures");
    let words = replay("current.yaml", "story.pcap");
    let (_, json, _) = output_in(&dir, &[&words[..], &["-f", "json"]].concat(), b"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for format in FORMATS {
        let summary = table(&dir, &words, format).summary;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&summary).unwrap(), json, "{format}");
    }
}

/// Rows that are written early, for want of memory, are in batches with the same dictionaries.
#[test]
fn rows_of_connections_are_written_when_there_is_no_room_for_more() {
    let syn = |n: u32| {
        let [a, b, c, d] = (0x0b00_0000 + n * 251).to_be_bytes();
        ipv4(&format!("{a}.{b}.{c}.{d}:40000"), "10.0.0.5:443", "S")
    };
    // Between the scan's packets, the first client goes on, so that its row is written last.
    let client = |flags| ipv4("203.0.113.9:40000", "10.0.0.5:443", flags);
    let mut packets = vec![client("S")];
    for n in 0..4_000 {
        packets.push(syn(n));
        if n % 100 == 0 {
            packets.push(client("."));
        }
    }
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.pcap"), pcap_every(1000, 101, &packets)).unwrap();
    let rules = capture("current.yaml");
    let words = [
        &replay(rules.to_str().unwrap(), "x.pcap")[..],
        &["--per", "connection", "--memory", "1MiB"],
    ]
    .concat();
    let expected = csv_rows(dir.path(), &words);
    let frames: Vec<u64> = expected[1..].iter().map(|row| row[2].parse().unwrap()).collect();
    assert!(frames.len() == 4_001 && !frames.is_sorted(), "some were written early");
    for format in FORMATS {
        assert!(table(dir.path(), &words, format).rows() == expected, "{format}");
    }
}

/// An empty capture makes a table without rows, which has the columns.
#[test]
fn a_table_without_rows_has_columns() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.pcap"), pcap_every(1000, 101, &[])).unwrap();
    let rules = capture("current.yaml");
    for (format, per) in FORMATS.into_iter().flat_map(|of| [(of, "packet"), (of, "connection")]) {
        let words = [&replay(rules.to_str().unwrap(), "x.pcap")[..], &["--per", per]].concat();
        let expected = csv_rows(dir.path(), &words);
        assert_eq!(table(dir.path(), &words, format).rows(), expected, "{format} {per}");
    }
}

/// No reader takes a part of a file for a whole one: the footer is last.
#[test]
fn a_file_that_breaks_off_is_no_table() {
    let dir = root().join("captures");
    let file = tempfile::NamedTempFile::new().unwrap();
    for format in FORMATS {
        let words = [&replay("current.yaml", "story.pcap")[..], &["--per", "packet", "-f", format]]
            .concat();
        assert_eq!(written(&dir, &words, file.path()).0, 0);
        assert!(read(file.path(), format).is_ok());
        let whole = fs::read(file.path()).unwrap();
        for left in [1, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(file.path(), &whole[..left]).unwrap();
            assert!(read(file.path(), format).is_err(), "{format}, {left} of {}", whole.len());
        }
    }
}

/// What comes before damage is a table, and the status says that it is not all.
#[test]
fn damage_is_said_as_with_other_formats() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows");
    let mut bytes = fs::read(capture("ssh.pcap")).unwrap();
    // The captured length of the second record.
    let second = 24 + 16 + u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
    bytes[second + 8..second + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    fs::write(dir.path().join("damaged.pcap"), bytes).unwrap();
    let rules = capture("current.yaml");
    for format in FORMATS {
        let words = replay(rules.to_str().unwrap(), "damaged.pcap");
        let words = [&words[..], &["--per", "packet", "-f", format]].concat();
        let (status, err) = written(dir.path(), &words, &file);
        assert_eq!(status, 2);
        assert!(err.contains("damaged.pcap: frame 2 at byte"), "{err}");
        let table = read(&file, format).unwrap();
        assert_eq!(table.rows().len(), 2, "{format}: a header and a row");
        assert!(table.summary.contains("\"partial\":"), "{format}: {}", table.summary);
    }
}

#[test]
fn nothing_is_written_where_the_run_cannot_begin() {
    let dir = root().join("captures");
    let file = tempfile::NamedTempFile::new().unwrap();
    for format in FORMATS {
        for (words, message) in [
            (replay("none.yaml", "ssh.pcap"), "none.yaml"),
            (replay("current.yaml", "none.pcap"), "none.pcap"),
            (
                [&replay("current.yaml", "ssh.pcap")[..], &["--sessions", "off"]].concat(),
                "there are no connections; ask for --per packet",
            ),
            (
                [&replay("current.yaml", "ssh.pcap")[..], &["--write-denied", "-"]].concat(),
                "standard output, where the results are printed",
            ),
        ] {
            let (status, err) = written(&dir, &[&words[..], &["-f", format]].concat(), file.path());
            assert_eq!(status, 2, "{err}");
            assert!(err.contains(message), "{err}");
            assert_eq!(fs::metadata(file.path()).unwrap().len(), 0, "{message}");
        }
    }
}

/// A table that goes into the capture that is read would take its place.
#[test]
fn a_table_replaces_no_input() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("ssh.pcap");
    fs::copy(capture("ssh.pcap"), &copy).unwrap();
    let rules = capture("current.yaml");
    for format in FORMATS {
        let words = replay(rules.to_str().unwrap(), "ssh.pcap");
        let ran = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
            .args([&words[..], &["-f", format]].concat())
            .current_dir(dir.path())
            .stdout(fs::OpenOptions::new().append(true).open(&copy).unwrap())
            .output()
            .unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2));
        assert!(err.contains("is being read, and standard output goes into it"), "{err}");
        assert_eq!(fs::read(&copy).unwrap(), fs::read(capture("ssh.pcap")).unwrap());
    }
}

#[test]
fn a_terminal_is_refused() {
    for format in FORMATS {
        let words = [&replay("current.yaml", "ssh.pcap")[..], &["-f", format]].concat();
        let command = format!("{} {}; echo $?", env!("CARGO_BIN_EXE_sgreplay"), words.join(" "));
        let script = Command::new("script")
            .args(["-qc", &command, "/dev/null"])
            .env("NO_COLOR", "1")
            .current_dir(root().join("captures"))
            .output();
        let Ok(output) = script else {
            println!("SKIPPED: script is not installed, so there was no terminal to be refused");
            return;
        };
        let found = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        let expected = format!(
            "sgreplay: error: -f {format} is no text, and standard output is a terminal; write to a file: > \
             rows.{format}\n2\n"
        );
        assert_eq!(found, expected);
    }
}

/// A reader that leaves ends the run, as with other formats.
#[test]
fn a_closed_pipe_is_no_error() {
    for format in FORMATS {
        let words = [&replay("current.yaml", "story.pcap")[..], &["-f", format]].concat();
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let ran = Command::new(env!("CARGO_BIN_EXE_sgreplay"))
            .args(words)
            .current_dir(root().join("captures"))
            .stdout(write)
            .output()
            .unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), err.as_str()), (Some(0), ""), "{format}");
    }
}

/// Bytes of memory that writing so many batches takes at most.
fn memory(batch: &RecordBatch, format: TableFormat, batches: usize) -> u64 {
    let measured = allocation_counter::measure(|| {
        let mut file = TableFile::new(Sink, format, &packet_schema()).unwrap();
        for _ in 0..batches {
            file.write(batch).unwrap();
        }
        file.finish("{}").unwrap();
    });
    measured.bytes_max
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A batch of packets.
fn packets(rows: usize) -> RecordBatch {
    let request = RulesRequest::default();
    let mut rules = RulesFile::load(&capture("proposed.yaml"), &request).unwrap().rules;
    let repeated = std::iter::repeat_n(capture("story.pcap"), rows.div_ceil(267));
    let mut sources = Sources::open(repeated, SourceOptions::default(), Arc::default()).unwrap();
    let local = vec!["10.0.0.5/32".parse().unwrap()];
    let binding = Binding { local, ..Binding::default() };
    let bound = engine::bind(&mut rules, &mut sources, &binding).unwrap();
    let vocabulary = Vocabulary::new(&rules);
    let mut columns = PacketColumns::with_capacity(rows);
    let mut sink = EachFrame::new(|input, judged| {
        columns.packet(&input.frame, input.decoded, judged, &vocabulary);
        if columns.len() < rows { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let request = ReplayRequest::default();
    engine::replay(&rules, sources, bound, request, &mut sink).unwrap();
    columns.finish(&vocabulary).unwrap()
}

/// Four times the rows take no more memory: a row group is written when it is full.
#[test]
fn memory_does_not_grow_with_the_rows() {
    let batch = packets(1 << 14);
    assert_eq!(batch.num_rows(), 1 << 14);
    for format in [TableFormat::Parquet, TableFormat::Arrow] {
        let (few, many) = (memory(&batch, format, 16), memory(&batch, format, 64));
        assert!(many < few + (1 << 20), "{format:?}: {few} bytes, then {many}");
    }
}
