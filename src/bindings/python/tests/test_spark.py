"""The answers of a cluster are those of one machine, whichever executors are killed on the way."""

import gzip
import json
import os
import random
import shutil
import signal
import struct
import sys
import warnings

import pytest

import sgreplay
from conftest import program_json, program_rows, rows

pyspark = pytest.importorskip("pyspark.cloudpickle", reason="SKIPPED: there is no pyspark") and sys.modules["pyspark"]
if shutil.which("java") is None:
    pytest.skip("SKIPPED: there is no Java", allow_module_level=True)

from sgreplay import spark as cluster  # noqa: E402

RULES = """
security_groups:
  - {id: sg-web, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: dns, direction: ingress, protocol: udp, ports: 53, source: 198.51.100.0/24},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 198.51.100.128/25, policy: drop}]}
interfaces:
  - {id: web, addresses: [10.0.0.5], security_groups: [sg-web]}
  - {id: db, addresses: [10.0.0.6], security_groups: [sg-web]}
"""


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    # Executors do not have this file.
    pyspark.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("sgreplay tests")
    for name, value in (
        ("spark.driver.host", "127.0.0.1"),
        ("spark.ui.enabled", "false"),
        ("spark.sql.shuffle.partitions", "4"),
        ("spark.executorEnv.PYSPARK_PYTHON", sys.executable),
    ):
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def packet(dice, hosts):
    """A packet of few ends, any flags; now and then a fragment, or an ICMP error about some packet."""

    def end():
        host = dice.choice([b"\x0a\0\0\5", b"\x0a\0\0\6", bytes([198, 51, 100, dice.randrange(hosts)])])
        return host, dice.choice([22, 53, 80, 40000, 40001])

    (src, sport), (dst, dport) = end(), end()
    if dice.randrange(3) == 0:
        proto, body = 17, struct.pack(">HHHH", sport, dport, 8, 0)
    else:
        flags = dice.choice([2, 2, 18, 16, 16, 16, 24, 17, 4])
        proto, body = 6, struct.pack(">HHIIBBHHH", sport, dport, 0, 0, 0x50, flags, 0, 0, 0)
    kind, number, place = dice.randrange(20), 0, 0
    if kind == 0:
        quoted = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, proto, 0, dst, src) + body[:8]
        proto, body = 1, struct.pack(">BBHI", dice.choice([3, 11, 8]), 0, 0, 1) + quoted
    elif kind == 1:
        number, place = dice.randrange(4), dice.choice([0x2000, 0x2001, 2])
        src, dst = b"\xc6\x33\x64\x07", b"\x0a\0\0\5"
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, place, 64, proto, 0, src, dst)
    return header + body


def capture(path, frames):
    """A capture of raw IP, with times in nanoseconds; compressed where it is named so."""
    text = bytearray(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101))
    for time, data in frames:
        text += struct.pack("<IIII", time // 10**9, time % 10**9, len(data), len(data)) + data
    path.write_bytes(gzip.compress(bytes(text)) if path.suffix == ".gz" else text)
    return str(path)


def captures(folder, seed, files=16, packets=400):
    """Captures that follow each other; the last one is compressed."""
    dice, now, paths = random.Random(seed), 1_700_000_000_000_000_000, []
    for n in range(files):
        frames, latest = [], now
        for first in [True] + [False] * (packets - 1):
            step = dice.choice([10**6, 10**7, 10**8, 10**9, 5 * 10**9, -(10**9), 40 * 10**9])
            now = latest if first else max(now + step, 0)
            latest = max(latest, now)
            # Captures are mostly of such runs of newlines as no source of lines likes.
            frames.append((now, packet(dice, 60) + b"\n" * dice.randrange(3)))
        now = latest + 1
        paths.append(capture(folder / f"{n:02}.pcap{'.gz' if n == files - 1 else ''}", frames))
    return paths


def overlapping(folder, seed, sensors=4, turns=4, packets=6400):
    """Captures of several sensors, each with a clock of its own, who see some packets twice. Near its end a file has packets of
    the sensor's next one."""
    dice, now = random.Random(seed), 1_700_000_000_000_000_000
    late = [dice.choice([0, 1, 20_000, 3_000_000, 10**9]) for _ in range(sensors)]
    files = [[] for _ in range(sensors * turns)]
    for n in range(packets):
        now += dice.choice([10**6, 10**7, 10**8, 10**9, -(10**9), 20 * 10**9])
        seen = packet(dice, 60)
        turn = min((n + dice.choice([0, 0, 0, dice.randrange(60)])) * turns // packets, turns - 1)
        for sensor in {dice.randrange(sensors) for _ in range(dice.choice([1, 1, 2]))}:
            files[turn * sensors + sensor].append((now + late[sensor], seen))
    return [capture(folder / f"{n:02}.pcap", frames) for n, frames in enumerate(files)]


def by_one_machine(rules, paths, **options):
    run = sgreplay.replay(rules, paths, **options)
    return run.summary, rows(run.connections)


def by_cluster(run):
    def texts(row):
        return {name: None if value is None else str(value) for name, value in row.asDict().items()}

    return run.summary, [texts(row) for row in run.connections.collect()]


def same(one, other):
    (summary, connections), (of_cluster, of_rows) = one, other
    assert of_cluster == without_hints(summary)
    assert of_rows == connections


def kill_executor_once(flag):
    """Kills the executor of the task that comes first."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    # The worker's parent is Python's daemon, and the daemon's the executor.
    with open(f"/proc/{os.getppid()}/stat") as stat:
        executor = int(stat.read().rsplit(")", 1)[1].split()[1])
    os.kill(executor, signal.SIGKILL)


pytestmark = pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")


@pytest.mark.parametrize("seed", [int(os.environ.get("SGREPLAY_SEED", "1"))])
def test_a_cluster_answers_as_one_machine_does(spark, tmp_path, seed):
    paths = captures(tmp_path, seed)
    rules = sgreplay.Rules.parse(RULES)
    one = by_one_machine(rules, paths)
    assert len(one[1]) > 1000, f"seed {seed}"
    same(one, by_cluster(cluster.replay(spark, rules, paths)))


def test_executors_may_be_killed(spark, tmp_path):
    paths = captures(tmp_path, 2, packets=200)
    rules = sgreplay.Rules.parse(RULES)
    flags = [str(tmp_path / name) for name in ("first", "second")]

    def dies(batches):
        for batch in batches:
            yield batch
        kill_executor_once(flags[0])

    extracted = cluster.extract(spark, paths, rules)
    run = cluster.replay(spark, rules, extracted.mapInArrow(dies, extracted.schema))
    assert os.path.exists(flags[0])

    def dies_too(_):
        kill_executor_once(flags[1])
        return iter(())

    spark.sparkContext.parallelize([0], 1).mapPartitions(dies_too).collect()
    assert os.path.exists(flags[1])
    same(by_one_machine(rules, paths), by_cluster(run))
    run.unpersist()
    assert run.connections.count() > 0, "they are judged again"


def test_captures_that_overlap_are_merged(spark, tmp_path):
    paths = overlapping(tmp_path, 8)
    (tmp_path / "current.yaml").write_text(RULES)
    (tmp_path / "proposed.yaml").write_text(CHANGED)
    current, proposed = (sgreplay.Rules.load(tmp_path / f"{name}.yaml") for name in ("current", "proposed"))
    one = by_one_machine(current, paths)
    assert len(one[1]) > 1000
    # That they overlap is found out, and that they do where the extract says nothing of it.
    same(one, by_cluster(cluster.replay(spark, current, paths)))
    with pytest.raises(sgreplay.Error, match="begins before .* overlapping=True"):
        cluster.replay(spark, current, cluster.extract(spark, paths, current))
    flag = str(tmp_path / "flag")

    def dies(batches):
        for batch in batches:
            yield batch
        kill_executor_once(flag)

    extracted = cluster.extract(spark, paths, [current, proposed], overlapping=True)
    extracted.mapInArrow(dies, extracted.schema).write.parquet(str(tmp_path / "kept"))
    assert os.path.exists(flag)
    kept = spark.read.parquet(str(tmp_path / "kept"))
    run = cluster.replay(spark, current, kept, coverage=True)
    assert by_cluster(run)[1] == one[1]
    coverage = program_json("replay", "--rules", current.path, "--coverage", *paths)["coverage"]
    assert run.summary.pop("coverage") == coverage
    assert run.summary == without_hints(one[0])
    found = cluster.diff(spark, current, proposed, kept)
    of_one = sgreplay.diff(current, proposed, paths).summary
    assert same_changes(of_one, found) == len(of_one["changes"])
    suggested = cluster.suggest(spark, kept, rules=current, without_scans=True)
    assert without_hints(suggested.summary) == without_hints(sgreplay.suggest(paths, rules=current, without_scans=True).summary)
    with pytest.raises(sgreplay.Error, match="merged by time"):
        cluster.replay(spark, current, kept, order="as-named")
    with pytest.raises(sgreplay.Error, match="not every span"):
        cluster.replay(spark, current, kept.where("part <> 4"))


TWINS = RULES + "  - {id: twin, addresses: [10.0.0.5], security_groups: [sg-none]}\n"
TWINS = TWINS.replace("interfaces:", "  - {id: sg-none, rules: []}\ninterfaces:")


def test_captures_are_judged_where_they_were_made(spark, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    first, second = (captures(folder, 9, files=3, packets=300) for folder in folders)
    (tmp_path / "current.yaml").write_text(TWINS)
    (tmp_path / "proposed.yaml").write_text(TWINS.replace("ports: 80,", "ports: 22/53,"))
    current, proposed = (sgreplay.Rules.load(tmp_path / f"{name}.yaml") for name in ("current", "proposed"))
    paths = first + second
    # The same packets at two interfaces with the same address, so that the captures overlap; and two that follow each other.
    for paths, interface in (
        (first + second, {"web": first, "twin": second, "db": "eth9"}),
        (first, {"twin": first[1], "web": [first[0]]}),
    ):
        one = by_one_machine(current, paths, interface=interface)
        assert {row["interface"] for row in one[1]} >= {"web", "twin"}
        same(one, by_cluster(cluster.replay(spark, current, paths, interface=interface)))
    kept = cluster.extract(spark, first + second, [current, proposed], interface={"web": first, "twin": second}, overlapping=True)
    kept = kept.persist()
    one = by_one_machine(proposed, first + second, interface={"web": first, "twin": second})
    same(one, by_cluster(cluster.replay(spark, proposed, kept)))
    of_one = sgreplay.diff(current, proposed, first + second, interface={"web": first, "twin": second}).summary
    assert same_changes(of_one, cluster.diff(spark, current, proposed, kept)) == len(of_one["changes"]) > 0
    learned = sgreplay.suggest(first + second, rules=current, interface={"web": first, "twin": second})
    assert without_hints(cluster.suggest(spark, kept, rules=current).summary) == without_hints(learned.summary)
    with pytest.raises(sgreplay.Error, match="interface belongs to the extract"):
        cluster.replay(spark, current, kept, interface={"web": first})
    with pytest.raises(Exception, match="interfaces at which captures were made"):
        cluster.replay(spark, sgreplay.Rules.parse(TWINS.replace("id: twin,", "id: other,")), kept)
    with pytest.raises(sgreplay.Error, match="names several captures"):
        cluster.replay(spark, current, str(folders[0]), interface={"web": str(folders[0])})
    with pytest.raises(sgreplay.Error, match="name it as the captures do"):
        cluster.replay(spark, current, first, interface={"web": first[0].replace("/a/", "/a//")})
    with pytest.raises(sgreplay.Error, match="has no interface `x`"):
        cluster.diff(spark, current, proposed, first, interface={"x": first[0]})
    with pytest.raises(sgreplay.Error, match="belongs to interface `web` and to `twin`"):
        cluster.replay(spark, current, first)
    with pytest.raises(sgreplay.Error, match="none are given"):
        cluster.suggest(spark, first, local="10.0.0.5", interface={"web": first[0]})
    kept.unpersist()


def aws_log(path, seed, records=2000):
    """Records of AWS by several interfaces, in the order in which their windows end."""
    dice = random.Random(seed)
    lines = ["interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags pkt-srcaddr pkt-dstaddr"]
    for n in range(records):
        hosts = ["10.0.0.5", "10.0.0.6", f"198.51.100.{dice.randrange(60)}"]
        src, dst = dice.choice(hosts), dice.choice(hosts)
        start = 1_700_000_000 + n - (dice.randrange(60) if n else 0)
        ports = f"{dice.choice([22, 53, 80, 40000])} {dice.choice([22, 53, 80, 40001])}"
        packets, flags = 1 + dice.randrange(50), dice.choice([0, 2, 18, 3])
        ends = f"{dice.choice([src, '10.0.0.6'])} {dst}"
        eni = dice.choice(["web", "db", "twin"])
        action = dice.choice(["ACCEPT", "REJECT"])
        proto = dice.choice([6, 6, 17, 1])
        lines.append(f"{eni} {src} {dst} {ports} {proto} {packets} {60 * packets} {start} {start + 60} {action} OK {flags} {ends}")
    text = "\n".join(lines).encode() + b"\n"
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def test_flow_logs_are_replayed_beside_captures(spark, tmp_path):
    paths = captures(tmp_path, 10, files=2) + [aws_log(tmp_path / "one.log", 1), aws_log(tmp_path / "two.log.gz", 2)]
    rules = sgreplay.Rules.parse(TWINS.replace("[10.0.0.5], security_groups: [sg-none]", "[10.0.0.7], security_groups: [sg-none]"))
    one = by_one_machine(rules, paths)
    assert any("rest on a flow log" in of for of in one[0]["warnings"])
    same(one, by_cluster(cluster.replay(spark, rules, paths)))
    run = cluster.replay(spark, rules, paths[2])
    same(by_one_machine(rules, paths[2]), by_cluster(run))


def test_an_extract_is_kept_and_serves_other_rules(spark, tmp_path):
    paths = captures(tmp_path, 3, files=3)
    rules = sgreplay.Rules.parse(RULES)
    kept = str(tmp_path / "kept")
    cluster.extract(spark, paths, rules).write.parquet(kept)
    other = sgreplay.Rules.parse(RULES.replace("ports: 80", "ports: 22"))
    for of in (rules, other):
        same(by_one_machine(of, paths), by_cluster(cluster.replay(spark, of, spark.read.parquet(kept))))
    elsewhere = sgreplay.Rules.parse(RULES.replace("10.0.0.6", "10.0.0.7"))
    with pytest.raises(Exception, match="rules with other local addresses"):
        cluster.replay(spark, elsewhere, spark.read.parquet(kept))


CHANGED = RULES.replace("ports: 80, source: 0.0.0.0/0", "ports: 22/53, source: 198.51.100.0/27").replace(
    "{id: dns, direction: ingress, protocol: udp, ports: 53,",
    "{id: errors, direction: ingress, protocol: icmp, source: 198.51.100.0/26},\n"
    "      {id: names, direction: ingress, protocol: udp, ports: 53/54,",
)


def test_a_change_of_rules_does_the_same_on_a_cluster(spark, tmp_path):
    paths = captures(tmp_path, 6, files=4)
    (tmp_path / "current.yaml").write_text(RULES)
    (tmp_path / "proposed.yaml").write_text(CHANGED)
    (tmp_path / "accept.yaml").write_text("- {filter: dst port 53, reason: known, change: newly_allowed}\n")
    accept = str(tmp_path / "accept.yaml")
    names = [str(tmp_path / name) for name in ("current.yaml", "proposed.yaml")]
    current, proposed = map(sgreplay.Rules.load, names)
    one = sgreplay.diff(current, proposed, paths, accept=accept).summary
    rows_of_one = program_rows("diff", "--current", names[0], "--proposed", names[1], "--accept", accept, *paths)
    kept = cluster.extract(spark, paths, [current, proposed])
    for of in (kept, paths):
        found = cluster.diff(spark, current, proposed, of, accept=accept)
        assert same_changes(one, found) == len(one["changes"])
        texts = [{name: None if cell is None else str(cell) for name, cell in row.asDict().items()} for row in found.changes.collect()]
        assert texts == rows_of_one
        found.unpersist()
    assert {row["change"] for row in rows_of_one} == {"newly_denied", "newly_allowed", "other_rule"}
    assert one["regions"] and any(region["connections"] for region in one["regions"])


def same_changes(one, found):
    """That the summary is that of one machine, but for the changes, of which it says how many there are."""
    expected = {key: of for key, of in one.items() if key != "changes"}
    assert found.summary == without_hints(expected)
    return found.changes.count()


HINTS = ("every packet is there", "only one direction is in the capture", "a snap length of")


def without_hints(summary):
    """Without the warnings that one machine gives after a look at the first packets of captures."""
    warnings = [of for of in summary["warnings"] if not any(hint in of for hint in HINTS)]
    return {**summary, "warnings": warnings}


def test_suggestions_and_coverage_are_those_of_one_machine(spark, tmp_path):
    paths = captures(tmp_path, 7, files=4)
    (tmp_path / "rules.yaml").write_text(RULES)
    rules = sgreplay.Rules.load(tmp_path / "rules.yaml")
    kept = cluster.extract(spark, paths, rules).persist()
    run = cluster.replay(spark, rules, kept, coverage=True)
    assert run.summary["coverage"] == program_json("replay", "--rules", rules.path, "--coverage", *paths)["coverage"]
    assert run.summary["coverage"]["rules_used"] == 2
    for options in ({}, {"without_scans": True, "holdout": 30, "aggregate": "/24"}, {"max_rules": 70}):
        one = sgreplay.suggest(paths, rules=rules, **options)
        found = cluster.suggest(spark, kept, rules=rules, **options)
        assert without_hints(found.summary) == without_hints(one.summary)
        assert found.text.partition("security_groups:")[2] == one.text.partition("security_groups:")[2]
    kept.unpersist()
    # Without rules all connections of an address are learned from.
    one = sgreplay.suggest(paths[:1], local="10.0.0.5")
    found = cluster.suggest(spark, paths[:1], local="10.0.0.5")
    assert without_hints(found.summary) == without_hints(one.summary)
    with pytest.raises(sgreplay.Error, match="max-rules says 1"):
        cluster.suggest(spark, paths[:1], local="10.0.0.5", max_rules=1)
    with pytest.raises(sgreplay.Error, match="which addresses are local"):
        cluster.suggest(spark, paths)


def flow_log(spark, rows, partitions):
    """A table as flow logs are, with columns that are no part of a packet."""
    dice = random.Random(rows)

    def row(n):
        hosts = ["10.0.0.5", "10.0.0.6", f"198.51.100.{dice.randrange(250)}"]
        src, dst = dice.choice(hosts), dice.choice(hosts)
        proto = dice.choice([6, 6, 17, 1, None])
        return src, dst, proto, dice.choice([40000, 80]), dice.choice([22, 53, 80, 443]), {"n": str(n)}, n

    schema = "srcaddr string, dstaddr string, protocol int, srcport int, dstport int, tags map<string, string>, start bigint"
    return spark.createDataFrame([row(n) for n in range(rows)], schema).repartitionByRange(partitions, "start")


PARTIAL = """
membership: partial
security_groups:
  - {id: sg-web, inner_access_policy: drop, rules: [
      {id: web, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0},
      {id: lb, direction: ingress, protocol: tcp, ports: 443, source: sg-lb},
      {id: no-ssh, direction: egress, protocol: tcp, ports: 22, destination: 198.51.100.128/25, policy: drop}]}
  - {id: sg-lb, rules: [{id: all, direction: ingress, protocol: tcp, ports: 80, source: 0.0.0.0/0}]}
interfaces:
  - {id: web, addresses: [10.0.0.5], security_groups: [sg-web]}
"""


@pytest.mark.parametrize("rules", [RULES, PARTIAL])
def test_rows_of_a_table_are_judged_as_on_one_machine(spark, tmp_path, rules):
    read = sgreplay.Rules.parse(rules)
    kept = str(tmp_path / "log.parquet")
    flow_log(spark, 3000, 7).write.parquet(kept)
    table = spark.read.parquet(kept)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        expected = sgreplay.evaluate(read, table.toArrow()).to_pyarrow()
    with warnings.catch_warnings(record=True) as said_of_cluster:
        warnings.simplefilter("always")
        found = cluster.evaluate(spark, read, kept, prefix="sg_")
    texts = [str(of.message) for of in said if of.category is sgreplay.SgreplayWarning]
    assert [str(of.message) for of in said_of_cluster if of.category is sgreplay.SgreplayWarning] == texts
    assert len(texts) > (1 if rules is PARTIAL else 0)
    assert found.columns == table.columns + [f"sg_{name}" for name in expected.column_names[-6:]]
    rows = [tuple(row) for row in found.collect()]
    assert rows == [tuple(row.values()) for row in pyarrow_rows(expected)]
    assert {row[-5] for row in rows} == {"allow", "deny", "not_evaluated"}


def pyarrow_rows(table):
    rows = table.to_pylist()
    for row in rows:
        row["tags"] = dict(row["tags"])
    return rows


def test_what_is_wrong_with_a_table_is_said(spark):
    rules = sgreplay.Rules.parse(RULES)
    table = flow_log(spark, 10, 2)
    with pytest.raises(sgreplay.ColumnError, match="no column for the dst"):
        cluster.evaluate(spark, rules, table.drop("dstaddr"))
    with pytest.raises(sgreplay.ColumnError, match="has a column `rule` already"):
        cluster.evaluate(spark, rules, table.withColumnRenamed("start", "rule"))
    # Before any result is asked for.
    with pytest.raises(Exception, match="partition 0 of the table, .*`x` is no IP address"):
        cluster.evaluate(spark, rules, spark.createDataFrame([("x", "10.0.0.5", 6, 1, 2)], "src string, dst string, proto int, sport int, dport int").coalesce(1))
    nowhere = sgreplay.Rules.parse(RULES.split("interfaces:")[0])
    with pytest.raises(sgreplay.Error, match="local="):
        cluster.evaluate(spark, nowhere, table)


def test_what_it_does_not_cover_is_an_error(spark, tmp_path):
    rules = sgreplay.Rules.parse(RULES)
    paths = captures(tmp_path, 4, files=2, packets=20)
    with pytest.raises(sgreplay.Error, match="no such file"):
        cluster.extract(spark, str(tmp_path / "none.pcap"), rules)
    with pytest.raises(sgreplay.Error, match="named twice"):
        cluster.extract(spark, [paths[0], paths[0]], rules)
    nowhere = sgreplay.Rules.parse(RULES.split("interfaces:")[0])
    with pytest.raises(sgreplay.Error, match="local address is not inferred"):
        cluster.extract(spark, paths, nowhere)
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((tmp_path / "00.pcap").read_bytes()[:-5])
    with pytest.raises(Exception, match="cut.pcap"):
        cluster.replay(spark, rules, str(cut))


def test_the_command_writes_a_summary_and_connections(spark, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    paths = captures(tmp_path, 5, files=2)
    out = tmp_path / "out"
    assert cluster._main(["replay", "--rules", str(tmp_path / "rules.yaml"), "--out", str(out), *paths]) == 0
    rules = sgreplay.Rules.load(tmp_path / "rules.yaml")
    summary, connections = by_one_machine(rules, paths)
    written = json.loads(spark.read.text(str(out / "summary")).collect()[0].value)
    assert written["connections"] == summary["connections"]
    assert spark.read.parquet(str(out / "connections")).count() == len(connections)
