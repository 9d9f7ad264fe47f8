"""A replay is the program's: the summary is its JSON, tables are its CSV."""

import warnings

import pyarrow
import pytest
from conftest import CAPTURES, LOCAL, corpus, program_json, program_rows, rows

import sgreplay

OURS = sorted(path.name for path in CAPTURES.iterdir() if path.suffix in (".pcap", ".pcapng"))
pytestmark = pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")


def rules_for(capture):
    if capture == "two-instances.pcap":
        return "two-instances.yaml", []
    return "current.yaml", LOCAL


@pytest.mark.parametrize("capture", OURS)
def test_every_capture_has_the_answers_of_the_program(capture):
    file, local = rules_for(capture)
    words = ["replay", "--rules", file, capture, *(f"--local={address}" for address in local)]
    run = sgreplay.replay(sgreplay.Rules.load(file, local=local), capture)
    assert run.summary == program_json(*words)
    assert rows(run.connections) == program_rows(*words, "--per", "connection")
    assert rows(run.packets()) == program_rows(*words, "--per", "packet")


@pytest.mark.parametrize("capture", corpus()[::40] or [None])
def test_captures_of_others_have_the_answers_of_the_program(capture):
    if capture is None:
        pytest.skip("SGREPLAY_CORPUS names no captures")
    words = ["replay", "--rules", "current.yaml", str(capture)]
    try:
        run = sgreplay.replay(sgreplay.Rules.load("current.yaml"), capture)
        summary, packets = run.summary, rows(run.packets())
    except sgreplay.CaptureError as error:
        # The program says the same: it cannot be read, or not to its end.
        partial = error.partial
        found = program_json(*words, status=2) if partial is not None else None
        assert partial == found
        return
    assert summary == program_json(*words)
    assert packets == program_rows(*words, "--per", "packet")


def test_options_are_the_programs(rules):
    run = sgreplay.replay(
        rules, "story.pcap", filter="tcp port 443", since="2026-11-23T15:00:00Z", threads=1, memory="64MiB", hash=True
    )
    words = ["--filter", "tcp port 443", "--since", "2026-11-23T15:00:00Z", "--hash"]
    local = [f"--local={address}" for address in LOCAL]
    assert run.summary == program_json("replay", "--rules", "current.yaml", "story.pcap", *local, *words)
    assert run.summary["inputs"]["captures"][0]["sha256"]


def test_several_captures_are_one_stream_of_packets(rules):
    run = sgreplay.replay(rules, [CAPTURES / "web.pcap", CAPTURES / "ssh.pcap"])
    assert pyarrow.table(run.packets())["frame"].to_pylist() == sorted(
        pyarrow.table(run.packets())["frame"].to_pylist()
    )


def test_packets_come_in_batches_of_the_size_that_is_asked_for(rules):
    run = sgreplay.replay(rules, "story.pcap")
    sizes = [len(batch) for batch in run.packets(rows=100)]
    assert sizes[:-1] == [100] * (len(sizes) - 1) and sum(sizes) == run.summary["packets"]["total"]


def test_a_stream_is_taken_once(rules):
    stream = sgreplay.replay(rules, "ssh.pcap").packets()
    assert pyarrow.table(stream).num_rows > 0
    assert list(stream) == []
    with pytest.raises(sgreplay.Error, match="taken already"):
        pyarrow.table(stream)


def test_a_stream_that_is_dropped_ends_its_run(rules):
    stream = sgreplay.replay(rules, "story.pcap").packets(rows=1)
    next(stream)
    del stream


def test_a_gate_says_yes_or_no_or_that_it_cannot(rules, tmp_path):
    assert sgreplay.replay(rules, "story.pcap").fails("denied")
    everything = sgreplay.Rules.parse(
        "{security_groups: [{id: sg-a, rules: [{direction: ingress, protocol: all, source: 0.0.0.0/0}]}]}", local=LOCAL
    )
    assert not sgreplay.replay(everything, "ssh.pcap").fails("denied")
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((CAPTURES / "ssh.pcap").read_bytes()[:-7])
    run = sgreplay.replay(everything, cut)
    with pytest.raises(sgreplay.NoFullAnswer, match="no full answer"):
        run.fails("denied")
    assert "partial" in run.summary
    assert not sgreplay.replay(everything, cut, allow_truncated=True, max_unevaluated=100).fails()
    with pytest.raises(sgreplay.Error, match="the condition of a replay is denied"):
        run.fails("allowed")


def test_what_is_said_of_results_is_a_warning(rules, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((CAPTURES / "ssh.pcap").read_bytes()[:-7])
    run = sgreplay.replay(rules, cut)
    for result in [lambda: run.summary, lambda: run.connections, lambda: list(run.packets())]:
        with pytest.warns(sgreplay.SgreplayWarning, match="frame .* at byte"):
            result()


def test_where_warnings_are_errors_a_stream_ends_with_one(rules, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes((CAPTURES / "ssh.pcap").read_bytes()[:-7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sgreplay.SgreplayWarning):
            list(sgreplay.replay(rules, cut).packets())


def test_damage_is_an_error_that_has_what_comes_before_it(rules, tmp_path):
    whole = (CAPTURES / "ssh.pcap").read_bytes()
    # The captured length of the tenth record.
    offset = 24
    for _ in range(9):
        offset += 16 + int.from_bytes(whole[offset + 8 : offset + 12], "little")
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(whole[: offset + 8] + b"\xff\xff\xff\x7f" + whole[offset + 12 :])
    run = sgreplay.replay(rules, damaged)
    for result in [lambda: run.summary, lambda: run.connections, lambda: pyarrow.table(run.packets())]:
        with pytest.raises(Exception, match="frame 10 at byte"):
            result()
    with pytest.raises(sgreplay.CaptureError) as raised:
        run.summary
    assert (raised.value.file, raised.value.frame, raised.value.offset) == (str(damaged), 10, offset)
    assert raised.value.partial["packets"]["total"] == 9
    with pytest.raises(sgreplay.CaptureError) as raised:
        run.connections
    assert len(raised.value.partial) > 0


@pytest.mark.parametrize(
    ("captures", "options", "message"),
    [
        ("none.pcap", {}, "none.pcap: "),
        ([], {}, "name a capture"),
        ("current.yaml", {}, "current.yaml"),
        ("ssh.pcap", {"filter": "tcp prot 443"}, "--filter"),
        ("ssh.pcap", {"threads": 0}, "threads"),
        ("ssh.pcap", {"sessions": False, "max_sessions": 3}, "max_sessions needs sessions"),
        ("ssh.pcap", {"interface": {"eni-a": "ssh.pcap"}}, "has no interface `eni-a`"),
        ("-", {}, "can be read only once"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_first_result(rules, captures, options, message):
    with pytest.raises(sgreplay.Error, match=message):
        sgreplay.replay(rules, captures, **options)


def test_without_sessions_there_are_no_connections(rules):
    run = sgreplay.replay(rules, "ssh.pcap", sessions=False)
    with pytest.raises(sgreplay.Error, match="no connections"):
        run.connections
    assert run.summary["connections"]["total"] == 0
