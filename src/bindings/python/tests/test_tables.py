"""Tables that the program writes to files, as readers of Python have them."""

import json
import subprocess
import sys

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from conftest import CAPTURES, LOCAL, program_json, program_rows, rows

import sgreplay

REPLAY = ["replay", "--rules", "current.yaml", "story.pcap", *(f"--local={address}" for address in LOCAL)]
pytestmark = pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")


def written(tmp_path, of_format, *words):
    """The file that the command writes."""
    path = tmp_path / f"rows.{of_format}"
    with path.open("wb") as file:
        words = [sys.executable, "-m", "sgreplay", *REPLAY, *words, "-f", of_format]
        subprocess.run(words, cwd=CAPTURES, stdout=file, check=True)
    return path


def read(path):
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    return pyarrow.feather.read_table(path)


@pytest.mark.parametrize("of_format", ["parquet", "arrow"])
@pytest.mark.parametrize("per", ["packet", "connection"])
def test_a_file_has_the_rows_of_the_csv_and_the_columns_of_the_package(tmp_path, rules, of_format, per):
    found = read(written(tmp_path, of_format, "--per", per))
    assert rows(found) == program_rows(*REPLAY, "--per", per)
    run = sgreplay.replay(rules, "story.pcap")
    ours = pyarrow.table(run.packets() if per == "packet" else run.connections)
    assert rows(found) == rows(ours)
    # A reader of Parquet makes dictionaries of its own, so that the tables are not compared as they are.
    assert found.schema.remove_metadata() == ours.schema


def test_the_metadata_have_the_summary(tmp_path):
    expected = program_json(*REPLAY)
    parquet = pyarrow.parquet.read_metadata(written(tmp_path, "parquet")).metadata
    assert json.loads(parquet[b"sgreplay.summary"]) == expected
    with pyarrow.ipc.open_file(written(tmp_path, "arrow")) as reader:
        assert json.loads(reader.metadata[b"sgreplay.summary"]) == expected


@pytest.mark.parametrize("of_format", ["parquet", "arrow"])
def test_polars_and_pandas_read_it(tmp_path, of_format):
    import pandas
    import polars

    path = written(tmp_path, of_format, "--per", "packet")
    expected = [row["verdict"] for row in program_rows(*REPLAY, "--per", "packet")]
    of_polars = polars.read_parquet(path) if of_format == "parquet" else polars.read_ipc(path)
    assert of_polars["verdict"].cast(polars.String).to_list() == expected
    assert of_polars["time"].dtype == polars.Datetime("ns", "UTC")
    of_pandas = pandas.read_parquet(path) if of_format == "parquet" else pandas.read_feather(path)
    assert of_pandas["verdict"].tolist() == expected
    assert str(of_pandas["time"].dtype) == "datetime64[ns, UTC]"


def test_duckdb_reads_it(tmp_path):
    import duckdb

    path = written(tmp_path, "parquet", "--per", "connection")
    expected = program_rows(*REPLAY, "--per", "connection")
    found = duckdb.sql(f"SELECT verdict, count(*), sum(bytes) FROM '{path}' GROUP BY verdict ORDER BY verdict").fetchall()
    by_verdict = {
        verdict: [int(row["bytes"]) for row in expected if row["verdict"] == verdict] for verdict in ("allow", "deny")
    }
    assert found == [(verdict, len(sent), sum(sent)) for verdict, sent in by_verdict.items()]
    times = duckdb.sql(f"SELECT epoch_ns(first_time) FROM '{path}' ORDER BY first_frame").fetchall()
    assert [str(time) for (time,) in times] == [row["first_time_ns"] for row in expected]
