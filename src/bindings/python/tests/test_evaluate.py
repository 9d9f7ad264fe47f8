"""The rows of a table are judged as the engine judges packets, whatever library the table is of."""

import collections
import concurrent.futures
import os
import pathlib
import random
import sys
import warnings

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute
import pytest
from conftest import CAPTURES, LOCAL, program_rows

import sgreplay

ADDED = ["direction", "verdict", "reason", "group", "rule", "layer"]
ROW = {"src": "203.0.113.9", "dst": "10.0.0.5", "proto": 6, "sport": 40000, "dport": 22}
CAPTURED = sorted(path.name for path in CAPTURES.iterdir() if path.suffix == ".pcap")


def table(**columns):
    """One row, with these columns instead of the usual ones; None leaves one out."""
    named = {**ROW, **columns}
    return pyarrow.table({name: [value] for name, value in named.items() if value is not None})


def answer(rules, of, **options):
    """The added columns of the first row."""
    found = pyarrow.table(sgreplay.evaluate(rules, of, **options))
    return tuple(found[name][0].as_py() for name in ["direction", "verdict", "reason", "rule"])


@pytest.mark.parametrize("capture", CAPTURED)
@pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")
def test_rows_are_judged_as_packets_are(capture):
    """Of every capture: what the program says packet by packet, without sessions."""
    two = capture == "two-instances.pcap"
    file, local = ("two-instances.yaml", []) if two else ("current.yaml", LOCAL)
    words = ["replay", "--rules", file, capture, "--sessions", "off", "--per", "packet"]
    packets = program_rows(*words, *(f"--local={address}" for address in local))
    # A row has one answer: that of the first interface to deny, or else the first. Fragments and what is no packet stand
    # in no table; what an ICMP error quotes and hop limits are no columns.
    answers = {}
    for row in packets:
        if row["outcome"] != "decoded" or row["fragment"] != "no" or row["proto"] == "58":
            continue
        known = answers.setdefault(row["frame"], row)
        if known["verdict"] == "allow" and row["verdict"] == "deny":
            answers[row["frame"]] = row
    expected = list(answers.values())
    columns = ["src", "dst", "proto", "sport", "dport", "icmp_type", "icmp_code"]
    texts = pyarrow.table({name: pyarrow.array([row[name] for row in expected], pyarrow.string()) for name in columns})
    found = pyarrow.table(sgreplay.evaluate(sgreplay.Rules.load(file, local=local), texts))
    for name in ADDED:
        assert found[name].to_pylist() == [row[name] for row in expected], name


@pytest.mark.parametrize(
    "names",
    [
        {"src": "srcaddr", "dst": "dstaddr", "proto": "protocol", "sport": "srcport", "dport": "dstport"},
        {"src": "id.orig_h", "dst": "id.resp_h", "proto": "proto", "sport": "id.orig_p", "dport": "id.resp_p"},
        {"src": "src_ip", "dst": "dest_ip", "proto": "proto", "sport": "src_port", "dport": "dest_port"},
        {"src": "ip.src", "dst": "ip.dst", "proto": "ip.proto", "sport": "srcport", "dport": "dstport"},
        {"src": "SrcAddr", "dst": "DstAddr", "proto": "Protocol", "sport": "SrcPort", "dport": "DstPort"},
    ],
    ids=["AWS and Alibaba Cloud", "Zeek", "Suricata", "Wireshark", "Athena"],
)
def test_the_columns_of_flow_logs_are_known(rules, names):
    renamed = pyarrow.table({names[name]: [value] for name, value in ROW.items()})
    assert answer(rules, renamed) == answer(rules, table())
    assert pyarrow.table(sgreplay.evaluate(rules, renamed)).column_names == [*names.values(), *ADDED]


def test_columns_can_be_named(rules):
    renamed = table().rename_columns(["a", "b", "c", "d", "e"])
    names = dict(zip(ROW, "abcde"))
    assert answer(rules, renamed, columns=names) == answer(rules, table())


@pytest.mark.parametrize(
    ("of", "options", "column", "message"),
    [
        (table(dst=None), {}, "dst", "no column for the dst: .* It has src, proto, sport, dport"),
        (table(dport=None), {}, "dport", "no column for the dport"),
        (table(srcaddr="10.0.0.1"), {}, "src", "`src` and `srcaddr` may both be the src"),
        (table(), {"columns": {"src": "sorce"}}, "sorce", "no column `sorce`"),
        (table(source="10.0.0.1"), {"columns": {"src": "sourc"}}, "sourc", "is `source` meant?"),
        (table(rule="x"), {}, "rule", "has a column `rule` already"),
    ],
)
def test_a_wrong_column_is_named(rules, of, options, column, message):
    with pytest.raises(sgreplay.ColumnError, match=message) as raised:
        sgreplay.evaluate(rules, of, **options)
    assert raised.value.column == column and raised.value.row is None


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("src", ["10.0.0.1", "10.0.0.256"], "`10.0.0.256` is no IP address"),
        ("src", [1, 1 << 32], "is no IPv4 address"),
        ("src", [1.5, 2.5], "1.5 is no IP address"),
        ("dport", ["22", "ssh"], "`ssh` is no number"),
        ("dport", [22, 65536], "65536 is no number of 16 bits"),
        ("dport", [22.0, 22.5], "22.5 is no whole number"),
        ("proto", ["tcp", "tpc"], "`tpc` is no protocol"),
        ("proto", [6, -1], "-1 is no protocol"),
        ("src", [[1], [2]], "which is not read"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(rules, name, values, message):
    columns = {column: [value, value] for column, value in ROW.items()}
    for of in [pyarrow.array(values), *([] if name == "src" and values == [[1], [2]] else [pyarrow.array(values).dictionary_encode()])]:
        with pytest.raises(sgreplay.ColumnError, match=message) as raised:
            sgreplay.evaluate(rules, pyarrow.table({**columns, name: of}))
        assert raised.value.column == name


def test_a_wrong_value_of_a_late_batch_has_its_row_in_the_table(rules):
    good = table().to_batches()[0]
    bad = table(dst="ten").to_batches()[0]
    with pytest.raises(sgreplay.ColumnError, match="row 2") as raised:
        sgreplay.evaluate(rules, pyarrow.Table.from_batches([good, good, bad]))
    assert raised.value.row == 2


@pytest.mark.parametrize(
    "columns",
    [
        {"proto": "tcp"},
        {"proto": "TCP"},
        {"proto": "6"},
        {"proto": 6.0, "sport": 40000.0, "dport": 22.0},
        {"sport": "40000", "dport": "22"},
        {"src": 0xCB007109, "dst": 0x0A000005},
        {"src": b"\xcb\x00\x71\x09", "dst": b"\x0a\x00\x00\x05"},
    ],
)
def test_values_are_texts_bytes_or_numbers(rules, columns):
    assert answer(rules, table(**columns)) == answer(rules, table())


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view"])
def test_every_kind_of_text_is_read(rules, kind):
    of = table()
    typed = of.set_column(0, "src", of["src"].cast(getattr(pyarrow, kind)()))
    assert answer(rules, typed) == answer(rules, of)


def test_addresses_of_ipv6_and_unusual_ones_are_read(rules):
    six = table(src="2001:db8::9", dst="2001:db8:a::5")
    assert answer(rules, six)[0] == "ingress"
    assert answer(rules, table(dst="010.0.0.5".lstrip("0")))[0] == "ingress"
    with pytest.raises(sgreplay.ColumnError):
        sgreplay.evaluate(rules, table(dst="10.0.0.05"))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"src": "-"}, "truncated"),
        ({"dport": "-"}, "truncated"),
        ({"proto": ""}, "truncated"),
        ({"src": "2001:db8::9"}, "malformed"),
        ({"dst": "10.0.0.77"}, "not_local"),
    ],
)
@pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")
def test_a_row_that_cannot_be_judged_says_why(rules, columns, reason):
    assert answer(rules, table(**columns)) == (None, "not_evaluated", reason, None)


def test_where_no_row_is_judged_there_is_a_warning(rules):
    with pytest.warns(sgreplay.SgreplayWarning, match="none of 1 rows was evaluated"):
        sgreplay.evaluate(rules, table(dst="10.0.0.77"))


def test_icmp_has_its_type_from_columns_ports_of_zeek_or_is_an_echo_request():
    rules = sgreplay.Rules.parse(
        '{"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "a", "VpcId": "v", "IpPermissionsEgress": [], '
        '"IpPermissions": [{"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}]}',
        local="10.0.0.5",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer(rules, table(proto=1, icmp_type=8, icmp_code=0))[1] == "allow"
        assert answer(rules, table(proto=1, icmp_type=13, icmp_code=0))[1] == "deny"
        zeek = {"id.orig_h": "203.0.113.9", "id.resp_h": "10.0.0.5", "proto": "icmp"}
        for kind, verdict in [(8, "allow"), (13, "deny")]:
            of = pyarrow.table({name: [value] for name, value in {**zeek, "id.orig_p": kind, "id.resp_p": 0}.items()})
            assert answer(rules, of)[1] == verdict
    with pytest.warns(sgreplay.SgreplayWarning, match="1 of 1 rows are ICMP without a type"):
        assert answer(rules, table(proto=1))[1] == "allow"
    with pytest.warns(sgreplay.SgreplayWarning):
        # The word `icmp` of a flow log is ICMPv6 between addresses of IPv6, the number is not.
        six = sgreplay.Rules.parse(
            "{security_groups: [{id: a, rules: [{direction: ingress, protocol: icmpv6, source: '::/0'}]}]}",
            local="2001:db8:a::5",
        )
        ends = {"src": "2001:db8::9", "dst": "2001:db8:a::5"}
        assert answer(six, table(proto="icmp", **ends))[1] == "allow"
        assert answer(six, table(proto=1, **ends))[1] == "deny"


def test_without_local_addresses_nothing_is_guessed():
    with pytest.raises(sgreplay.Error, match="local="):
        sgreplay.evaluate(sgreplay.Rules.load("current.yaml"), table())


def test_what_is_no_table_is_named(rules):
    with pytest.raises(sgreplay.Error, match="this is a `dict`"):
        sgreplay.evaluate(rules, ROW)


def test_a_prefix_keeps_columns_apart(rules):
    found = sgreplay.evaluate(rules, table(rule="x"), prefix="new_")
    assert found.column_names[-1] == "new_layer"
    again = sgreplay.evaluate(rules, found, prefix="newer_")
    of = pyarrow.table(again)
    assert of["new_rule"].to_pylist() == of["newer_rule"].to_pylist()


def rows_of(many):
    """Traffic of a few hosts."""
    chosen = random.Random(7)
    peers = [f"203.0.{chosen.randrange(256)}.{chosen.randrange(256)}" for _ in range(50)]
    return pyarrow.table(
        {
            "srcaddr": [chosen.choice(peers) for _ in range(many)],
            "dstaddr": ["10.0.0.5"] * many,
            "protocol": [chosen.choice([6, 17]) for _ in range(many)],
            "srcport": [chosen.randrange(1024, 65536) for _ in range(many)],
            "dstport": [chosen.choice([22, 80, 443, 53, 3306]) for _ in range(many)],
        }
    )


def test_tables_of_pandas_polars_and_duckdb_go_and_come(rules):
    of = rows_of(1000)
    expected = pyarrow.table(sgreplay.evaluate(rules, of))["verdict"].to_pylist()
    assert set(expected) == {"allow", "deny"}

    of_pandas = sgreplay.evaluate(rules, of.to_pandas())
    frame = of_pandas.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["verdict"].tolist() == expected

    of_polars = sgreplay.evaluate(rules, polars.from_arrow(of))
    for frame in [of_polars.to_polars(), polars.DataFrame(of_polars)]:
        assert frame["verdict"].cast(polars.String).to_list() == expected

    with duckdb.connect() as connection:
        connection.register("of", of)
        evaluated = sgreplay.evaluate(rules, connection.sql("SELECT * FROM of"))
        assert evaluated.to_pyarrow()["verdict"].to_pylist() == expected
        counted = connection.sql("SELECT verdict, count(*) FROM evaluated GROUP BY ALL ORDER BY ALL").fetchall()
    assert counted == [("allow", expected.count("allow")), ("deny", expected.count("deny"))]


def test_columns_of_the_table_are_not_copied(rules):
    of = rows_of(1000).combine_chunks()
    evaluated = pyarrow.table(sgreplay.evaluate(rules, of))
    for name in of.column_names:
        before, after = of[name].chunk(0).buffers(), evaluated[name].chunk(0).buffers()
        assert [one and one.address for one in before] == [one and one.address for one in after]


def test_a_stream_is_judged_as_it_is_taken(rules):
    """A table larger than memory: batches that are made when they are asked for."""
    batch = rows_of(10_000).to_batches()[0]
    made = []

    def batches():
        for n in range(100):
            made.append(n)
            yield batch

    reader = pyarrow.RecordBatchReader.from_batches(batch.schema, batches())
    stream = sgreplay.evaluate(rules, reader, stream=True)
    next(stream)
    assert len(made) < 10
    assert 10_000 + sum(len(batch) for batch in stream) == 1_000_000


def resident():
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read of /proc")
def test_the_memory_of_a_table_of_two_gigabytes_is_that_of_a_few_batches(rules):
    """Each batch is made when it is asked for, with texts of its own, as a scan of Parquet files makes them."""
    wanted = int(os.environ.get("SGREPLAY_TABLE_BYTES", 2 << 30))
    many = 1 << 16
    chosen = random.Random(11)
    peers = [f"203.0.{chosen.randrange(256)}.{chosen.randrange(256)}" for _ in range(1000)]
    pattern = pyarrow.table(
        {
            "srcaddr": [chosen.choice(peers) for _ in range(many)],
            "dstaddr": ["10.0.0.5"] * many,
            "protocol": pyarrow.array([chosen.choice([6, 17]) for _ in range(many)], pyarrow.uint8()),
            "srcport": pyarrow.array([chosen.randrange(1024, 65536) for _ in range(many)], pyarrow.uint16()),
            "dstport": pyarrow.array([chosen.choice([22, 80, 443, 53]) for _ in range(many)], pyarrow.uint16()),
            # The other fields of a record.
            "rest": [f"{n:0200}" for n in range(many)],
        }
    ).to_batches()[0]
    every = pyarrow.array(range(many), pyarrow.uint32())
    batches = -(-wanted // pattern.nbytes)
    assert pattern.nbytes < 20 << 20

    def made():
        for _ in range(batches):
            yield pattern.take(every)

    reader = pyarrow.RecordBatchReader.from_batches(pattern.schema, made())
    found, sizes, read = collections.Counter(), [], 0
    for batch in sgreplay.evaluate(rules, reader, stream=True).to_pyarrow():
        read += batch.nbytes
        counts = batch["verdict"].dictionary_decode().value_counts()
        found.update(dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist())))
        sizes.append(resident())
    assert read > wanted
    assert sum(found.values()) == batches * many and found["deny"] > 0
    # As it is after some batches, so it stays.
    first = max(sizes[: len(sizes) // 4])
    assert max(sizes) - first < 64 << 20, (first, max(sizes))
    once = collections.Counter(pyarrow.table(sgreplay.evaluate(rules, pattern))["verdict"].to_pylist())
    assert found == {verdict: count * batches for verdict, count in once.items()}


def test_tables_are_judged_by_several_threads_at_once(rules):
    """Rules are shared; each thread has its own answer, that of a thread alone."""
    tables = [rows_of(20_000).slice(n * 1000, 10_000) for n in range(8)]
    expected = [pyarrow.table(sgreplay.evaluate(rules, of)) for of in tables]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda of: pyarrow.table(sgreplay.evaluate(rules, of)), tables))
    assert found == expected


def test_an_empty_table_has_the_columns_too(rules):
    found = sgreplay.evaluate(rules, table().slice(0, 0))
    assert len(found) == 0 and found.column_names[-6:] == ADDED


def test_nulls_are_nothing(rules):
    of = pyarrow.table({name: pyarrow.array([value, None]) for name, value in ROW.items()})
    assert pyarrow.table(sgreplay.evaluate(rules, of))["reason"].to_pylist()[1] == "truncated"


def test_a_row_of_two_interfaces_has_the_answer_that_denies():
    rules = sgreplay.Rules.load("two-instances.yaml")
    assert rules.interfaces
    found = pyarrow.table(sgreplay.evaluate(rules, table(src="10.0.0.5", dst="10.0.0.6")))
    assert found["verdict"][0].as_py() in ("allow", "deny")


def test_unknown_members_of_a_group_are_said():
    rules = sgreplay.Rules.parse(
        "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: tcp, ports: 22, source: sg-b}]}]}",
        local="10.0.0.5",
    )
    with pytest.warns(sgreplay.SgreplayWarning, match="sg-b"):
        sgreplay.evaluate(rules, table())
