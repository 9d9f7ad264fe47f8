"""Long calls leave Python alone, and end when they shall."""

import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from conftest import CAPTURES, LOCAL

import sgreplay


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A capture that takes a while."""
    whole = (CAPTURES / "story.pcap").read_bytes()
    path = tmp_path_factory.mktemp("long") / "long.pcap"
    path.write_bytes(whole[:24] + whole[24:] * 20_000)
    return path


# A callback of Python's own import swallows an interrupt, so that nothing is imported behind the timer: what makes a table
# looks for pandas.
INTERRUPTED = """
import os, signal, sys, threading, time
import pandas, pyarrow
import sgreplay
rules = sgreplay.Rules.load("current.yaml", local={local})
run = sgreplay.replay(rules, {long!r}, threads=1)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    try:
        {call}
    except pyarrow.ArrowInvalid:
        # Code in C, which knows no exception but its own, was between; the interrupt comes as soon as Python goes on.
        for _ in range(2):
            pass
except KeyboardInterrupt:
    # The rest of the process goes on as ever.
    print(sgreplay.replay(rules, "ssh.pcap").summary["packets"]["total"] > 0)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise")
@pytest.mark.parametrize(
    "call",
    [
        "run.summary",
        "run.connections",
        "[batch for batch in run.packets()]",
        "pyarrow.table(run.packets())",
        "sgreplay.diff(rules, rules, {long!r})",
        "sgreplay.suggest({long!r}, rules=rules)",
    ],
)
def test_an_interrupt_ends_a_call(long, call):
    code = INTERRUPTED.format(local=LOCAL, long=str(long), call=call.format(long=str(long)))
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr


@pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")
def test_other_threads_of_python_go_on_during_a_call(rules, long):
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(None)
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    sgreplay.replay(rules, long).summary
    done.set()
    thread.join()
    assert len(ticks) > 10


@pytest.mark.filterwarnings("ignore::sgreplay.SgreplayWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read of /proc")
def test_the_memory_of_packets_does_not_grow_with_them(rules, long):
    def resident():
        pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    stream = sgreplay.replay(rules, long).packets()
    sizes = []
    for n, _ in enumerate(stream):
        if n % 20 == 10:
            sizes.append(resident())
    assert len(sizes) > 3 and max(sizes) - sizes[0] < 64 << 20


PROGRESS = """
import sgreplay
rules = sgreplay.Rules.load("current.yaml", local={local})
sgreplay.replay(rules, {long!r}, progress={progress}).summary
"""


@pytest.mark.skipif(os.name == "nt", reason="terminals are made otherwise")
@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_is_shown_on_a_terminal_where_it_is_asked_for(long, progress):
    import pty

    ours, its = pty.openpty()
    code = PROGRESS.format(local=LOCAL, long=str(long), progress=progress)
    words = [sys.executable, "-W", "ignore", "-c", code]
    child = subprocess.Popen(words, stderr=its, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
    os.close(its)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        # What Linux says when the last writer has closed a terminal.
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert child.wait() == 0 and child.stdout.read() == b""
    child.stdout.close()
    assert (b" packets " in shown) == progress, shown[-400:]


def test_the_command_is_the_program():
    def run(*words):
        return subprocess.run([sys.executable, "-m", "sgreplay", *words], capture_output=True, text=True)

    assert run("--version").stdout.splitlines()[0] == f"sgreplay {sgreplay.__version__}"
    rules = ["replay", "--rules", "current.yaml", "story.pcap", "--local=10.0.0.5"]
    assert run(*rules, "--fail-on", "denied").returncode == 1
    ran = run("replay", "--rules", "none.yaml", "story.pcap")
    assert ran.returncode == 2 and ran.stderr.startswith("sgreplay: error: none.yaml")


def test_the_command_is_installed():
    script = pathlib.Path(sys.executable).with_name("sgreplay")
    if not script.exists():
        pytest.skip("the package is not installed with its scripts")
    ran = subprocess.run([script, "check", "current.yaml", "-f", "json"], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.startswith("{")
