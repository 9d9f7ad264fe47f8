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
import json
import queue
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Literal, NamedTuple, Optional, Tuple, Union, cast

from . import Error, Path, Rules, SgreplayWarning, Texts, _paths, _sgreplay, _texts

__all__ = ["Run", "extract", "replay"]

Order = Literal["time", "as-named"]
Midstream = Literal["infer", "first-packet"]

_EXTRACT = "part tinyint, key binary, capture int, frame bigint, data binary"
_ROWS = (
    "opened bigint, row bigint, community_id string, first_frame bigint, first_time_ns bigint, last_time_ns bigint, "
    "src string, dst string, proto int, sport int, dport int, icmp_type int, packets bigint, bytes bigint, "
    "packets_back bigint, bytes_back bigint, opening string, interface string, direction string, verdict string, "
    "reason string, `group` string, rule string, layer string, part binary"
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


class Run(NamedTuple):
    """The answers of a replay."""

    summary: Dict[str, Any]
    """What `sgreplay replay -f json` prints."""
    connections: Any
    """What `sgreplay replay --per connection -f csv` prints, as a DataFrame; `connection` is the number."""


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


def _extract_task(rules: Any, decap: List[str], found: Any) -> Callable[[Iterator[Any]], Iterator[Any]]:
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
                _sgreplay.parts_extract(
                    rules.value._rules, decap, len(captures), (number, capture.name), whole, to
                )
                # Behind the end of a capture nothing may be left, and the size must be right.
                if any(piece for piece in whole):
                    raise Error(f"{capture.name}: there are bytes behind the end of the capture")

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
    rules: Union[Rules, Path],
    *,
    local: Optional[Texts] = None,
    decap: Optional[Texts] = None,
) -> Any:
    """Extract what a replay needs of captures, as a DataFrame: keep it as Parquet and replay it against any rules with the
    same local addresses, whose sessions last as long or longer.

    `paths` are files, patterns or folders of any file system that Spark reads. `rules` say which addresses are local; where
    they list no interfaces, `local` does. `decap` looks inside tunnels.
    """
    read, words = _rules(rules, local), _texts(decap)
    captures = _find(spark, _paths(paths))
    _sgreplay.parts_check(read._rules, words, len(captures), "time", "infer")
    context = spark.sparkContext
    task = _extract_task(context.broadcast(read), words, context.broadcast(captures))
    return _bytes(spark, captures).mapInArrow(task, _EXTRACT)


def _columns() -> List[Tuple[str, str]]:
    """The names and types of rows per connection."""
    words = [column.split() for column in _ROWS.split(",")]
    return [(name.strip("`"), kind) for name, kind in words]


def _rows(table: Any, first: int) -> Any:
    """Rows per connection in types that Spark has."""
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
    columns["opened"] = columns.pop("connection")
    columns["row"] = pyarrow.array(range(first, first + len(table)), pyarrow.int64())
    columns["part"] = pyarrow.nulls(len(table), pyarrow.binary())
    return pyarrow.table({name: columns[name] for name, _ in _columns()})


def _judge_task(rules: Any, timeline: Any, midstream: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def task(batches: Iterator[Any]) -> Iterator[Any]:
        pyarrow = _pyarrow()

        tables = (pyarrow.Table.from_batches([batch]) for batch in batches)

        def work(to: Callable[[Any], None]) -> bytes:
            return _sgreplay.parts_judge(rules.value._rules, timeline.value, midstream, tables, to)

        first = 0
        for made in _emitted(work):
            if isinstance(made, bytes):
                types = {"string": pyarrow.string(), "bigint": pyarrow.int64(), "int": pyarrow.int32()}
                part = {name: pyarrow.nulls(1, types.get(kind, pyarrow.binary())) for name, kind in _columns()}
                part["part"] = pyarrow.array([made], pyarrow.binary())
                yield from pyarrow.table(part).to_batches()
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
    midstream: Midstream = "infer",
    order: Order = "time",
) -> Run:
    """Replay captures, or an `extract` of them, against rules. The answers are those of one machine with enough memory.

    `order` is that of captures: by time, where none may begin before another ends, or as they were named.
    """
    import warnings

    from pyspark.sql import DataFrame, Window
    from pyspark.sql import functions as F

    read = _rules(rules, local)
    _sgreplay.parts_check(read._rules, _texts(decap), 1, order, midstream)
    if isinstance(extract_or_paths, DataFrame):
        if decap is not None:
            raise Error("decap belongs to the extract, which was made before")
        extracted = extract_or_paths
    else:
        extracted = extract(spark, extract_or_paths, read, decap=decap).persist()
    beside = extracted.where("part <> 0").select("part", "data").collect()
    facts = [bytes(row.data) for row in beside if row.part == 2]
    fragments = [bytes(row.data) for row in beside if row.part == 1]
    timeline, lost, completed, before = _sgreplay.parts_plan(facts, fragments, order)
    records = extracted.where("part = 0")
    rest = [tuple(row.values()) for row in completed.to_pyarrow().to_pylist()]
    if rest:
        records = records.unionByName(spark.createDataFrame(rest, _EXTRACT))
    places = spark.createDataFrame(list(enumerate(before)), "capture int, before bigint")
    records = records.join(F.broadcast(places), "capture")
    records = records.select("key", (F.col("before") + F.col("frame")).alias("position"), "data")
    sorted_records = records.repartition("key").sortWithinPartitions("key", "position")
    context = spark.sparkContext
    task = _judge_task(context.broadcast(read), context.broadcast(timeline), midstream)
    judged = sorted_records.mapInArrow(task, _ROWS).persist()
    parts = [bytes(row.part) for row in judged.where("part is not null").select("part").collect()]
    summary, shared = _sgreplay.parts_whole(read._rules, timeline, lost, parts, midstream)
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
    return Run(cast(Dict[str, Any], summary), rows.select(*names))


def _main(words: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser("sgreplay.spark", description="Replay captures on a cluster that runs Spark.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("replay", help="replay captures against rules")
    command.add_argument("--rules", required=True, help="rules of any format, a file of the driver")
    command.add_argument("--out", required=True, help="folder for the summary and the connections")
    command.add_argument("--local", action="append", help="local address or network, where the rules list no interfaces")
    command.add_argument("--decap", action="append", help="look inside these tunnels")
    command.add_argument("--midstream", default="infer", choices=["infer", "first-packet"])
    command.add_argument("--order", default="time", choices=["time", "as-named"])
    command.add_argument("capture", nargs="+", help="files, patterns or folders, of any file system that Spark reads")
    args = parser.parse_args(words)

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("sgreplay").getOrCreate()
    run = replay(
        spark,
        args.rules,
        args.capture,
        local=args.local,
        decap=args.decap,
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
