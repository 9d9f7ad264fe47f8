"""A replay on a cluster that runs Spark, with the answers of one machine.

Captures are read through Spark, each by one task, and become an extract: small records by flow, which `replay` judges flow by
flow. What cannot be answered as one machine answers it is an `Error`.

    run = sgreplay.spark.replay(spark, rules, "s3a://captures/2026-11-27/*.pcap")
    run.summary["connections"]
    run.connections.where("verdict = 'deny'").show()

`python -m sgreplay.spark` is the same for `spark-submit`. The package must be installed on all executors, and pyarrow and pandas
too.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import queue
import threading
from pathlib import PurePosixPath
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)

from . import (
    ColumnError,
    Error,
    Path,
    Rules,
    SgreplayWarning,
    Suggestion,
    Texts,
    _options,
    _pairs,
    _paths,
    _sgreplay,
    _texts,
)

__all__ = ["Diff", "Run", "diff", "evaluate", "extract", "replay", "suggest"]

Order = Literal["time", "as-named"]
Midstream = Literal["infer", "first-packet"]

_EXTRACT = "part tinyint, key binary, capture int, frame bigint, data binary"
# Its parts beside the records.
_FRAGMENT, _FACTS, _SPAN = 1, 2, 4
_ROWS = (
    "opened bigint, row bigint, community_id string, first_frame bigint, first_time_ns bigint, last_time_ns bigint, "
    "src string, dst string, proto int, sport int, dport int, icmp_type int, packets bigint, bytes bigint, "
    "packets_back bigint, bytes_back bigint, opening string, interface string, direction string, verdict string, "
    "reason string, `group` string, rule string, layer string, part binary"
)
_CHANGES = (
    "change string, community_id string, first_frame bigint, first_time_ns bigint, last_time_ns bigint, src string, "
    "dst string, proto int, sport int, dport int, icmp_type int, packets bigint, bytes bigint, current_verdict string, "
    "current_reason string, current_group string, current_rule string, proposed_verdict string, proposed_reason string, "
    "proposed_group string, proposed_rule string, accepted string, current_layer string, proposed_layer string, "
    "part binary, counts binary"
)
# What Hadoop decompresses by its name, without a way to turn that off.
_CODECS = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")
# A file is read by one task, whatever its size.
_WHOLE = str(1 << 50)


class _Capture(NamedTuple):
    name: str
    uri: str
    encoded: str
    size: int


# Interfaces, each with a capture or a name in pcapng, and the number of the capture if it is one.
_Points = List[Tuple[str, str, Optional[int]]]
# Tunnels, how many captures there are, and where they were made.
_Extracting = Tuple[List[str], int, _Points]
Interface = Optional[Mapping[str, Texts]]


def _made_at(interface: Interface, captures: Sequence[_Capture], paths: List[str]) -> _Points:
    """Where captures were made, as the program's `--interface` says it."""
    points: _Points = []
    numbers = {name: n for n, capture in enumerate(captures) for name in (capture.uri, capture.name)}
    nearly = {PurePosixPath(name): name for name in [*numbers, *paths]}
    for eni, texts in (interface or {}).items():
        for of in _texts(texts):
            number = numbers.get(of)
            if number is None and of in paths:
                raise Error(f"interface {eni}={of}: this names several captures at once; name each of them")
            if number is None and PurePosixPath(of) in nearly:
                raise Error(f"interface {eni}={of}: name it as the captures do, {nearly[PurePosixPath(of)]}")
            points.append((eni, of, number))
    return points


class Run(NamedTuple):
    """The answers of a replay."""

    summary: Dict[str, Any]
    """What `sgreplay replay -f json` prints."""
    connections: Any
    """What `sgreplay replay --per connection -f csv` prints, as a DataFrame; `connection` is the number."""
    kept: Any
    """What the executors keep of it."""

    def unpersist(self) -> None:
        """Free what the executors keep; the connections are judged again where they are asked for later."""
        self.kept.unpersist()


class Diff(NamedTuple):
    """What a change of rules does to captures."""

    summary: Dict[str, Any]
    """What `sgreplay diff -f json` prints, without `changes`."""
    changes: Any
    """What `sgreplay diff -f csv` prints, as a DataFrame: the changed connections."""
    kept: Any
    """What the executors keep of it."""

    def unpersist(self) -> None:
        """Free what the executors keep; the changes are found again where they are asked for later."""
        self.kept.unpersist()


def _pyarrow() -> Any:
    """Which has no types."""
    return importlib.import_module("pyarrow")


def _find(spark: Any, paths: List[str]) -> List[_Capture]:
    """The files that paths name: files, patterns, and the files of a folder, by name."""
    jvm = getattr(spark, "_jvm", None)
    if jvm is None:
        raise Error("this session has no JVM of its own (Spark Connect); run the job on the cluster (spark-submit)")
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    found: List[_Capture] = []
    for name in paths:
        path = jvm.org.apache.hadoop.fs.Path(name)
        files = path.getFileSystem(conf)
        named = files.globStatus(path)
        if not named:
            raise Error(f"{name}: there is no such file")
        for status in sorted(named, key=lambda of: str(of.getPath().toString())):
            inside = [status] if status.isFile() else list(files.listStatus(status.getPath()))
            for of in sorted(inside, key=lambda of: str(of.getPath().getName())):
                uri = str(of.getPath().toString())
                base = str(of.getPath().getName())
                if not of.isFile():
                    raise Error(f"{uri}: a folder in a folder; name the files")
                if base == "_SUCCESS" and not status.isFile():
                    continue
                if base.startswith(("_", ".")):
                    raise Error(f"{uri}: Spark reads no file whose name begins with `_` or `.`; rename it")
                if any(char in uri for char in "*?[]{}\\"):
                    raise Error(f"{uri}: Spark takes the name for a pattern; rename the file")
                # A file that is named by itself is called as the user calls it.
                own = len(named) == 1 and status.isFile()
                encoded = str(of.getPath().toUri().toASCIIString())
                found.append(_Capture(name if own else uri, uri, encoded, int(of.getLen())))
    known = set()
    for capture in found:
        if capture.uri in known:
            raise Error(f"{capture.uri} is named twice")
        known.add(capture.uri)
    return found


def _bytes(spark: Any, captures: List[_Capture]) -> Any:
    """The bytes of captures, in pieces between newlines: the only source of Spark that reads a file of any size as it is."""
    from pyspark.sql import functions as F

    session = spark.newSession()
    for name, value in (
        ("spark.sql.files.maxPartitionBytes", _WHOLE),
        ("spark.sql.files.openCostInBytes", _WHOLE),
        # A file that cannot be read is no file without packets.
        ("spark.sql.files.ignoreCorruptFiles", "false"),
        ("spark.sql.files.ignoreMissingFiles", "false"),
        # Pieces of captures that overlap are many packets each.
        ("spark.sql.execution.arrow.maxBytesPerBatch", str(1 << 26)),
    ):
        session.conf.set(name, value)
    packed = [of.uri for of in captures if of.uri.lower().endswith(_CODECS)]
    plain = [of.uri for of in captures if not of.uri.lower().endswith(_CODECS)]
    path = F.col("_metadata.file_path").alias("path")
    read = []
    if plain:
        lines = session.read.format("text").option("lineSep", "\n").load(plain)
        read.append(lines.select(path, F.col("value").cast("binary").alias("value")))
    if packed:
        whole = session.read.format("binaryFile").load(packed)
        read.append(whole.select(path, F.col("content").alias("value")))
    return read[0] if len(read) == 1 else read[0].unionAll(read[1])


def _pieces(batches: Iterable[Any]) -> Iterator[Tuple[str, bytes]]:
    """Pieces with the paths of their files, the newlines between them included."""
    before = None
    for batch in batches:
        paths, values = batch.column(0), batch.column(1)
        start = 0
        while start < len(paths):
            path = paths[start].as_py()
            end = len(paths)
            if paths[end - 1].as_py() != path:
                end = next(n for n in range(start, len(paths)) if paths[n].as_py() != path)
            lines = values.slice(start, end - start).to_pylist()
            yield path, b"\n".join(lines) if path != before else b"\n" + b"\n".join(lines)
            before, start = path, end


def _whole(capture: _Capture, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of a file; whether it ends with a newline is known by its size."""
    size = 0
    for piece in pieces:
        size += len(piece)
        yield piece
    if size + 1 == capture.size:
        size += 1
        yield b"\n"
    if size != capture.size:
        raise Error(f"{capture.name}: {size} of {capture.size} bytes were read; it changed, or Spark has split it")


def _emitted(work: Callable[[Callable[[Any], None]], Any]) -> Iterator[Any]:
    """What a function hands over, as an iterator, and last what it returns."""
    ready: "queue.Queue[Tuple[str, Any]]" = queue.Queue(4)

    def run() -> None:
        try:
            ready.put(("done", work(lambda table: ready.put(("table", table)))))
        except BaseException as error:
            ready.put(("error", error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        kind, value = ready.get()
        if kind == "error":
            raise value
        yield value
        if kind == "done":
            return


def _extract_task(
    rules: List[Any], decap: List[str], points: _Points, found: Any, overlapping: bool
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        captures = found.value
        numbers = {uri: n for n, capture in enumerate(captures) for uri in (capture.uri, capture.encoded)}
        pieces = _pieces(batches)
        ahead = next(pieces, None)
        while ahead is not None:
            path = ahead[0]
            number = numbers.get(path)
            if number is None:
                raise Error(f"{path}: Spark names a file that was not named")

            def of_file() -> Iterator[bytes]:
                nonlocal ahead
                while ahead is not None and ahead[0] == path:
                    yield ahead[1]
                    ahead = next(pieces, None)

            capture = captures[number]
            whole = _whole(capture, of_file())

            def work(to: Callable[[Any], None]) -> None:
                served = [of.value._rules for of in rules]
                extracting = (decap, len(captures), points)
                _sgreplay.parts_extract(served, extracting, overlapping, (number, capture.name), whole, to)
                # Behind the end of a capture nothing may be left, and the size must be right.
                if any(piece for piece in whole):
                    raise Error(f"{capture.name}: there are bytes behind the end of the capture")

            for table in _emitted(work):
                if table is not None:
                    yield from pyarrow.table(table).to_batches()

    return task


def _merge_task(rules: List[Any], extracting: _Extracting) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        tables = (pyarrow.Table.from_batches([batch]) for batch in batches)

        def work(to: Callable[[Any], None]) -> None:
            _sgreplay.parts_merge([of.value._rules for of in rules], extracting, tables, to)

        for table in _emitted(work):
            if table is not None:
                yield from pyarrow.table(table).to_batches()

    return task


def _rules(rules: Union[Rules, Path], local: Optional[Texts]) -> Rules:
    if isinstance(rules, Rules):
        if local is not None:
            raise Error("local belongs to the rules that are read here; give it to Rules.load")
        return rules
    return Rules.load(rules, local=local)


def extract(
    spark: Any,
    paths: Union[Path, Iterable[Path]],
    rules: Union[Rules, Path, Sequence[Union[Rules, Path]]],
    *,
    local: Optional[Texts] = None,
    decap: Optional[Texts] = None,
    interface: Interface = None,
    overlapping: bool = False,
) -> Any:
    """Extract what a replay needs of captures, as a DataFrame: keep it as Parquet and replay it against any rules with the
    same local addresses, whose sessions last as long or longer.

    With `overlapping`, captures may overlap in time, as those of several sensors do: their packets are shuffled once, and
    merged by time. Without it, an extract of such captures is refused where it is replayed by time.

    `paths` are files, patterns or folders of any file system that Spark reads. `rules` say which addresses are local; where
    they list no interfaces, `local` does; several rule sets have the same, and the extract serves all of them. `decap` looks
    inside tunnels. `interface` says at which interface a capture was made, `{"eni-web": "s3a://captures/web.pcap"}`, or which
    one pcapng names, `{"eni-web": "eth0"}`: its packets are judged there alone.
    """
    if isinstance(rules, (Rules, str, os.PathLike)):
        rules = [rules]
    read = [_rules(of, local) for of in rules]
    if not read:
        raise Error("rules say which addresses are local, and there are none")
    return _extract(spark, _paths(paths), read, _texts(decap), interface, overlapping)


def _extract(
    spark: Any, paths: List[str], rules: List[Rules], decap: List[str], interface: Interface, overlapping: bool
) -> Any:
    captures = _find(spark, paths)
    points = _made_at(interface, captures, paths)
    extracting = (decap, len(captures), points)
    for of in rules:
        _sgreplay.parts_check(of._rules, extracting, "time", "infer")
    context = spark.sparkContext
    served = [context.broadcast(of) for of in rules]
    task = _extract_task(served, decap, points, context.broadcast(captures), overlapping)
    read = _bytes(spark, captures).mapInArrow(task, _EXTRACT)
    if not overlapping:
        return read
    # The pieces of a span of time, of all captures, are merged by one task.
    ready = read.repartition("capture").sortWithinPartitions("part", "capture", "key")
    return ready.mapInArrow(_merge_task(served, extracting), _EXTRACT)


class _Records(NamedTuple):
    """The records of an extract as they are judged, and what is known of all captures."""

    sorted: Any
    timeline: bytes
    lost: bytes
    extracted: Any

    def done(self) -> None:
        """The records have been judged."""
        if self.extracted is not None:
            self.extracted.unpersist()


def _beside(extracted: Any) -> Dict[int, List[bytes]]:
    """What an extract has beside its records, by part."""
    found: Dict[int, List[bytes]] = {_FRAGMENT: [], _FACTS: [], _SPAN: []}
    for row in extracted.where("part <> 0").select("part", "data").collect():
        found[row.part].append(bytes(row.data))
    return found


def _extracting(extract_or_paths: Any, decap: Optional[Texts], interface: Interface) -> Optional[_Extracting]:
    """How captures are to be extracted; nothing of an extract, which has been made."""
    from pyspark.sql import DataFrame

    if not isinstance(extract_or_paths, DataFrame):
        return _texts(decap), 1, _made_at(interface, [], [])
    for name, of in (("decap", decap), ("interface", interface)):
        if of is not None:
            raise Error(f"{name} belongs to the extract, which was made before")
    return None


def _records(
    spark: Any, extract_or_paths: Any, rules: List[Rules], decap: Optional[Texts], interface: Interface, order: Order
) -> _Records:
    """The records of captures or of an extract, sorted as they are judged."""
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    kept = None
    if isinstance(extract_or_paths, DataFrame):
        extracted = extract_or_paths
    else:
        paths = _paths(extract_or_paths)
        extracted = kept = _extract(spark, paths, rules, _texts(decap), interface, False).persist()
    beside = _beside(extracted)
    overlap = _sgreplay.parts_overlap(beside[_FACTS], order)
    if overlap is not None:
        if kept is None:
            raise Error(f"{overlap}: extract(…, overlapping=True)")
        kept.unpersist()
        extracted = kept = _extract(spark, paths, rules, _texts(decap), interface, True).persist()
        beside = _beside(extracted)
    facts, spans, fragments = beside[_FACTS], beside[_SPAN], beside[_FRAGMENT]
    timeline, lost, completed, before = _sgreplay.parts_plan(facts, spans, fragments, order)
    records = extracted.where("part = 0")
    rest = [tuple(row.values()) for row in completed.to_pyarrow().to_pylist()]
    if rest:
        records = records.unionByName(spark.createDataFrame(rest, _EXTRACT))
    places = spark.createDataFrame(before, "capture int, before bigint")
    records = records.join(F.broadcast(places), "capture")
    records = records.select("key", (F.col("before") + F.col("frame")).alias("position"), "data")
    ready = records.repartition("key").sortWithinPartitions("key", "position")
    return _Records(ready, timeline, lost, kept)


def _columns(rows: str) -> List[Tuple[str, str]]:
    """The names and types of rows."""
    words = [column.split() for column in rows.split(",")]
    return [(name.strip("`"), kind) for name, kind in words]


def _plain(table: Any) -> Dict[str, Any]:
    """The columns of a table in types that Spark has."""
    pyarrow = _pyarrow()

    columns: Dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns):
        kind = column.type
        if pyarrow.types.is_dictionary(kind):
            column = column.cast(pyarrow.string())
        elif pyarrow.types.is_timestamp(kind):
            name, column = f"{name}_ns", column.cast(pyarrow.int64())
        elif pyarrow.types.is_uint64(kind):
            column = column.cast(pyarrow.int64())
        elif pyarrow.types.is_integer(kind):
            column = column.cast(pyarrow.int32())
        columns[name] = column
    return columns


def _rows(table: Any, first: int) -> Any:
    """Rows per connection, numbered by the frames that open the connections."""
    pyarrow = _pyarrow()

    columns = _plain(table)
    columns["opened"] = columns.pop("connection")
    columns["row"] = pyarrow.array(range(first, first + len(table)), pyarrow.int64())
    columns["part"] = pyarrow.nulls(len(table), pyarrow.binary())
    return pyarrow.table({name: columns[name] for name, _ in _columns(_ROWS)})


def _changes(table: Any) -> Any:
    """Rows per changed connection."""
    pyarrow = _pyarrow()

    columns = _plain(table)
    for name in ("part", "counts"):
        columns[name] = pyarrow.nulls(len(table), pyarrow.binary())
    return pyarrow.table({name: columns[name] for name, _ in _columns(_CHANGES)})


def _of_part(rows: str, **part: bytes) -> Any:
    """A row without cells, which carries what a task has found beside its rows."""
    pyarrow = _pyarrow()

    types = {"string": pyarrow.string(), "bigint": pyarrow.int64(), "int": pyarrow.int32()}
    columns = {name: pyarrow.nulls(1, types.get(kind, pyarrow.binary())) for name, kind in _columns(rows)}
    for name, value in part.items():
        columns[name] = pyarrow.array([value], pyarrow.binary())
    return pyarrow.table(columns)


# Rows, coverage, and of allowed connections whether they are answered and when they were opened.
_Asks = Tuple[bool, bool, Optional[Tuple[bool, bool]]]


def _judge_task(rules: Any, timeline: Any, midstream: str, asks: _Asks) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        tables = (pyarrow.Table.from_batches([batch]) for batch in batches)

        def work(to: Callable[[Any], None]) -> bytes:
            return _sgreplay.parts_judge(rules.value._rules, timeline.value, midstream, asks, tables, to)

        first = 0
        for made in _emitted(work):
            if isinstance(made, bytes):
                yield from _of_part(_ROWS, part=made).to_batches()
            else:
                table = pyarrow.table(made)
                yield from _rows(table, first).to_batches()
                first += len(table)

    return task


def replay(
    spark: Any,
    rules: Union[Rules, Path],
    extract_or_paths: Any,
    *,
    local: Optional[Texts] = None,
    decap: Optional[Texts] = None,
    interface: Interface = None,
    midstream: Midstream = "infer",
    order: Order = "time",
    coverage: bool = False,
) -> Run:
    """Replay captures, or an `extract` of them, against rules. The answers are those of one machine with enough memory.

    `order` is that of captures: by time, or as they were named. Captures that turn out to overlap in time are read twice;
    `extract(…, overlapping=True)` reads them once. `coverage` adds which rules the traffic uses, as `--coverage` does: the
    key `coverage` of the summary.
    """
    import warnings

    from pyspark.sql import Window
    from pyspark.sql import functions as F

    read = _rules(rules, local)
    extracting = _extracting(extract_or_paths, decap, interface)
    _sgreplay.parts_check(read._rules, extracting, order, midstream)
    records = _records(spark, extract_or_paths, [read], decap, interface, order)
    context = spark.sparkContext
    asks = (True, coverage, None)
    task = _judge_task(context.broadcast(read), context.broadcast(records.timeline), midstream, asks)
    judged = records.sorted.mapInArrow(task, _ROWS).persist()
    parts = [bytes(row.part) for row in judged.where("part is not null").select("part").collect()]
    records.done()
    answers = (records.timeline, records.lost, parts)
    summary, shared = _sgreplay.parts_whole(read._rules, answers, midstream, coverage)
    for warning in summary["warnings"]:
        warnings.warn(warning, SgreplayWarning, stacklevel=2)
    rows = judged.where("part is null")
    others = [tuple(row.values()) for row in _rows(shared.to_pyarrow(), 0).to_pylist()]
    if others:
        rows = rows.unionByName(spark.createDataFrame(others, _ROWS))
    # Connections are numbered by the frames that open them, all in one task: a number of eight bytes each.
    numbers = rows.where("opened is not null").select("opened").distinct()
    numbers = numbers.withColumn("connection", F.row_number().over(Window.orderBy("opened")).cast("bigint"))
    rows = rows.join(numbers, "opened", "left").orderBy("first_frame", "row")
    names = ["connection"] + [name for name in rows.columns if name not in ("opened", "row", "part", "connection")]
    return Run(cast(Dict[str, Any], summary), rows.select(*names), judged)


_Accepted = Optional[Tuple[str, str, str]]


def _compare_task(
    current: Any, proposed: Any, timeline: Any, midstream: str, accepted: _Accepted
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        tables = (pyarrow.Table.from_batches([batch]) for batch in batches)

        def work(to: Callable[[Any], None]) -> Tuple[bytes, bytes]:
            sides = (current.value._rules, proposed.value._rules)
            return _sgreplay.parts_compare(sides, timeline.value, midstream, accepted, tables, to)

        for made in _emitted(work):
            if isinstance(made, tuple):
                part, counts = made
                yield from _of_part(_CHANGES, part=part, counts=counts).to_batches()
            else:
                yield from _changes(pyarrow.table(made)).to_batches()

    return task


def diff(
    spark: Any,
    current: Union[Rules, Path],
    proposed: Union[Rules, Path],
    extract_or_paths: Any,
    *,
    local: Optional[Texts] = None,
    decap: Optional[Texts] = None,
    interface: Interface = None,
    midstream: Midstream = "infer",
    order: Order = "time",
    accept: Optional[Path] = None,
) -> Diff:
    """Compare two rule sets on captures, or on an `extract` of them. The answers are those of one machine with enough
    memory.

    Both rule sets have the same local addresses. An extract serves both where the sessions of neither end earlier than by the
    rules that it was made for. `accept` is a file of accepted changes, of the driver.
    """
    import datetime
    import warnings

    now, then = _rules(current, local), _rules(proposed, local)
    accepted: _Accepted = None
    if accept is not None:
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        with open(accept, encoding="utf-8") as file:
            accepted = (os.fspath(accept), file.read(), today)
    sides = (now._rules, then._rules)
    extracting = _extracting(extract_or_paths, decap, interface)
    _sgreplay.parts_check_both(sides, extracting, order, midstream, accepted)
    records = _records(spark, extract_or_paths, [now, then], decap, interface, order)
    context = spark.sparkContext
    of_sides = (context.broadcast(now), context.broadcast(then))
    task = _compare_task(*of_sides, context.broadcast(records.timeline), midstream, accepted)
    compared = records.sorted.mapInArrow(task, _CHANGES).persist()
    found = compared.where("part is not null").select("part", "counts").collect()
    records.done()
    parts = [(bytes(row.part), bytes(row.counts)) for row in found]
    summary, shared = _sgreplay.parts_compared(sides, records.timeline, records.lost, parts, midstream, accepted)
    for warning in summary["warnings"]:
        warnings.warn(warning, SgreplayWarning, stacklevel=2)
    rows = compared.where("part is null")
    others = [tuple(row.values()) for row in _changes(shared.to_pyarrow()).to_pylist()]
    if others:
        rows = rows.unionByName(spark.createDataFrame(others, _CHANGES))
    # A frame opens one connection.
    changes = rows.drop("part", "counts").orderBy("first_frame")
    return Diff(cast(Dict[str, Any], summary), changes, compared)


_EVERYTHING = """
security_groups:
  - {id: sg-everything, inner_access_policy: accept, rules: [
      {direction: ingress, protocol: all, source: 0.0.0.0/0}, {direction: egress, protocol: all, destination: 0.0.0.0/0},
      {direction: ingress, protocol: all, source: '::/0'}, {direction: egress, protocol: all, destination: '::/0'}]}
"""


def suggest(
    spark: Any,
    extract_or_paths: Any,
    *,
    rules: Optional[Union[Rules, Path]] = None,
    local: Optional[Texts] = None,
    aggregate: Optional[str] = None,
    max_rules: Optional[int] = None,
    without_scans: bool = False,
    holdout: Optional[float] = None,
    decap: Optional[Texts] = None,
    interface: Interface = None,
    midstream: Midstream = "infer",
    order: Order = "time",
) -> Suggestion:
    """Suggest few rules that allow the connections of captures, or of an `extract` of them, those that `rules` allow where
    they are given: `sgreplay.suggest`, with the same options. Without `rules`, `local` says which addresses are local.

    Services with their peers are put together on the driver; with `holdout` it holds eight bytes for each connection.
    """
    given = rules is not None
    if rules is None and local is None:
        raise Error("without rules it is not known which addresses are local: local=[\"10.0.0.5\"] says it")
    if rules is None and interface:
        raise Error("interface names an interface of the rules, and none are given")
    read = _rules(rules, local) if rules is not None else Rules.parse(_EVERYTHING, name="everything", local=local)
    words = _options(aggregate=aggregate, max_rules=max_rules, without_scans=without_scans, holdout=holdout)
    extracting = _extracting(extract_or_paths, decap, interface)
    # Whether an extract serves the rules is known by what it was made for.
    learns = given and extracting is not None
    wants = _sgreplay.parts_check_suggest(read._rules, learns, words + _options(interface=_pairs(interface)))
    _sgreplay.parts_check(read._rules, extracting, order, midstream)
    records = _records(spark, extract_or_paths, [read], decap, interface, order)
    context = spark.sparkContext
    asks = (False, False, wants)
    task = _judge_task(context.broadcast(read), context.broadcast(records.timeline), midstream, asks)
    parts = [bytes(row.part) for row in records.sorted.mapInArrow(task, _ROWS).select("part").collect()]
    records.done()
    answers = (records.timeline, records.lost, parts)
    return Suggestion(_sgreplay.parts_suggest(read._rules, given, answers, midstream, words))


_VERDICTS = ("direction", "verdict", "reason", "group", "rule", "layer")


def _judged_rows(batches: Iterator[Any], judge: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    """What is made of the batches of a partition; nothing where it has none."""
    pyarrow = _pyarrow()
    from pyspark import TaskContext

    first = next(batches, None)
    if first is None:
        return
    reader = pyarrow.RecordBatchReader.from_batches(first.schema, itertools.chain([first], batches))
    try:
        yield from judge(reader)
    except ColumnError as error:
        context = TaskContext.get()
        where = f"partition {context.partitionId()} of the table" if context else "a partition of the table"
        raise Error(f"{where}, whose rows are counted from 0: {error}") from None


def _evaluate_task(rules: Any, columns: Dict[str, str], prefix: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        def judge(reader: Any) -> Iterator[Any]:
            for judged in _sgreplay.rows_evaluate(rules.value._rules, reader, columns, prefix):
                table = pyarrow.table(judged)
                # Spark has no dictionaries.
                first = len(table.column_names) - len(_VERDICTS)
                for position in range(first, len(table.column_names)):
                    field = pyarrow.field(table.field(position).name, pyarrow.string())
                    table = table.set_column(position, field, table.column(position).cast(pyarrow.string()))
                yield from table.to_batches()

        yield from _judged_rows(batches, judge)

    return task


def _count_task(rules: Any, columns: Dict[str, str]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        def judge(reader: Any) -> Iterator[Any]:
            rows, judged, echoes, counted = _sgreplay.rows_count(rules.value._rules, reader, columns)
            counts = {"rows": rows, "judged": judged, "echoes": echoes}
            found = {name: pyarrow.array([of], pyarrow.int64()) for name, of in counts.items()}
            found["counted"] = pyarrow.array([counted], pyarrow.binary())
            yield from pyarrow.table(found).to_batches()

        yield from _judged_rows(batches, judge)

    return task


def evaluate(
    spark: Any,
    rules: Union[Rules, Path],
    table_or_path: Any,
    *,
    columns: Optional[Mapping[str, str]] = None,
    prefix: str = "",
    local: Optional[Texts] = None,
    warn: bool = True,
) -> Any:
    """Judge the rows of a table, each as the packet that opens a connection: `sgreplay.evaluate` of a DataFrame, with the same
    columns added.

    `table_or_path` is any DataFrame (of Parquet, Delta, Iceberg as the session reads them), or a path, which the session
    reads in its own format (Parquet, unless it is told otherwise). Rows are judged when the result is asked for.

    The warnings of `sgreplay.evaluate` are about all rows: for them, a job reads the columns that rows are judged by, before the
    result is returned. `warn=False` leaves it out.
    """
    import warnings

    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StringType, StructField, StructType

    read = _rules(rules, local)
    is_path = isinstance(table_or_path, (str, os.PathLike))
    table = spark.read.load(os.fspath(table_or_path)) if is_path else table_or_path
    names = dict(columns or {})
    empty = to_arrow_schema(table.schema).empty_table()
    used = _sgreplay.rows_columns(read._rules, empty, names, prefix)
    broadcast = spark.sparkContext.broadcast(read)
    if warn:
        few = table.select(*(F.col(f"`{name.replace('`', '``')}`") for name in dict.fromkeys(used)))
        counts = few.mapInArrow(_count_task(broadcast, names), "rows bigint, judged bigint, echoes bigint, counted binary")
        # The parts are collected in the order of the partitions, which is that of the rows.
        parts = [(row.rows, row.judged, row.echoes, bytes(row.counted)) for row in counts.collect()]
        for warning in _sgreplay.rows_warnings(read._rules, parts):
            warnings.warn(warning, SgreplayWarning, stacklevel=2)
    added = [StructField(prefix + name, StringType(), name not in ("verdict", "reason")) for name in _VERDICTS]
    return table.mapInArrow(_evaluate_task(broadcast, names, prefix), StructType([*table.schema.fields, *added]))


def _main(words: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser("sgreplay.spark", description="Replay captures on a cluster that runs Spark.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("replay", help="replay captures against rules")
    command.add_argument("--rules", required=True, help="rules of any format, a file of the driver")
    command.add_argument("--out", required=True, help="folder for the summary and the connections")
    command.add_argument("--local", action="append", help="local address or network, where the rules list no interfaces")
    command.add_argument("--decap", action="append", help="look inside these tunnels")
    at = "say at which interface a capture was made, or which one pcapng names"
    command.add_argument("--interface", action="append", metavar="ENI=CAPTURE", help=at)
    command.add_argument("--midstream", default="infer", choices=["infer", "first-packet"])
    command.add_argument("--order", default="time", choices=["time", "as-named"])
    command.add_argument("capture", nargs="+", help="files, patterns or folders, of any file system that Spark reads")
    args = parser.parse_args(words)
    interface: Dict[str, List[str]] = {}
    for text in args.interface or []:
        eni, _, of = text.partition("=")
        if not (eni and of):
            parser.error(f"--interface {text}: expected ENI=CAPTURE, such as eni-web=web.pcap or eni-web=eth0")
        interface.setdefault(eni, []).append(of)

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("sgreplay").getOrCreate()
    run = replay(
        spark,
        args.rules,
        args.capture,
        local=args.local,
        decap=args.decap,
        interface=interface or None,
        midstream=args.midstream,
        order=args.order,
    )
    # The summary is there last: without it, the folder is of a run that has failed.
    run.connections.write.parquet(f"{args.out}/connections")
    summary = spark.createDataFrame([(json.dumps(run.summary),)], "value string")
    summary.coalesce(1).write.text(f"{args.out}/summary")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
