"""What the tests share: the captures of the repository, and the program to compare with."""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]
CAPTURES = ROOT / "captures"
LOCAL = ["10.0.0.5", "2001:db8:a::5"]


def program(*words, cwd=CAPTURES, status=0):
    """What the command of the package prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "sgreplay", *map(str, words)], cwd=cwd, capture_output=True, text=True
    )
    assert status is None or ran.returncode == status, ran.stderr
    return ran.stdout


def program_json(*words, **more):
    return json.loads(program(*words, "-f", "json", **more))


def program_rows(*words, **more):
    """The rows of a CSV, each a dict, with None where a cell is empty."""
    rows = csv.DictReader(io.StringIO(program(*words, "-f", "csv", **more)))
    return [{name: cell or None for name, cell in row.items()} for row in rows]


def rows(table):
    """The rows of one of our tables, as the program writes them."""
    import pyarrow

    table = pyarrow.table(table)
    columns = {}
    for name, column in zip(table.column_names, table.columns):
        if pyarrow.types.is_timestamp(column.type):
            name, column = f"{name}_ns", column.cast(pyarrow.int64())
        texts = [None if value is None or value == "" else str(value) for value in column.to_pylist()]
        columns[name] = texts
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def corpus():
    """Other people's captures, where SGREPLAY_CORPUS names a folder of them."""
    folder = os.environ.get("SGREPLAY_CORPUS")
    if not folder:
        return []
    found = [path for path in sorted(pathlib.Path(folder).rglob("*")) if path.suffix in (".pcap", ".pcapng", ".trace")]
    return found


@pytest.fixture(autouse=True)
def in_captures(monkeypatch):
    """Paths are relative to the captures, so that messages are the program's."""
    monkeypatch.chdir(CAPTURES)


@pytest.fixture
def rules():
    import sgreplay

    return sgreplay.Rules.load("current.yaml", local=LOCAL)
