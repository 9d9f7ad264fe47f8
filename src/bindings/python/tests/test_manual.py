"""The blocks of the page on Python run, one after the other."""

import os
import pathlib
import re
import shutil
import warnings

from conftest import CAPTURES, ROOT


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    os.environ["MPLBACKEND"] = "agg"
    for file in CAPTURES.iterdir():
        if file.suffix in (".pcap", ".yaml"):
            shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    page = ROOT / "src" / "manual" / "python.md"
    text = page.read_text()
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 5
    # DuckDB finds tables by the names of variables, of this frame.
    names = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            line = text[: block.start(1)].count("\n")
            # So that a failure shows the page's line.
            exec(compile("\n" * line + block.group(1), str(page), "exec"), names)
    assert (tmp_path / "verdicts.png").stat().st_size > 1000
    assert "newly" not in capsys.readouterr().err
    assert pathlib.Path("story.pcap").exists()
