"""Rows per CPU second of the package, beside the program's own CSV and summary.

    pip install ./src/bindings/python pyarrow
    python src/bindings/python/tests/benchmark.py [ROWS] [PACKETS]

The rules are 200 of a fixed seed, the traffic is of 20,000 flows. Times are CPU times of all threads, of processes and of
this one; each is the least of three.
"""

import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings

import pyarrow

import sgreplay

LOCAL = "10.0.0.5"
FLOWS = 20_000


def rules_text(chosen, count=200):
    rules = []
    for n in range(count):
        first = chosen.randrange(1, 60_000)
        source = f"{chosen.randrange(1, 224)}.{chosen.randrange(256)}.0.0/{chosen.choice([8, 12, 16, 20])}"
        ports = f"{first}/{first + chosen.choice([0, 0, 10, 1000])}"
        rules.append(
            f"{{direction: ingress, policy: {chosen.choice(['accept', 'drop'])}, priority: {n % 100 + 1}, "
            f"protocol: {chosen.choice(['tcp', 'udp'])}, ports: {ports}, source: {host_bits_off(source)}}}"
        )
    return "security_groups: [{id: sg-a, rules: [" + ", ".join(rules) + "]}]"


def host_bits_off(network):
    import ipaddress

    return ipaddress.ip_network(network, strict=False)


def flows(chosen):
    return [
        (
            f"{chosen.randrange(1, 224)}.{chosen.randrange(256)}.{chosen.randrange(256)}.{chosen.randrange(256)}",
            chosen.choice([6, 17]),
            chosen.randrange(1024, 65536),
            chosen.randrange(1, 65536),
        )
        for _ in range(FLOWS)
    ]


def table(chosen, known, rows):
    picked = [known[chosen.randrange(FLOWS)] for _ in range(rows)]
    src, proto, sport, dport = zip(*picked)
    return pyarrow.table(
        {
            "srcaddr": src,
            "dstaddr": [LOCAL] * rows,
            "protocol": pyarrow.array(proto, pyarrow.uint8()),
            "srcport": pyarrow.array(sport, pyarrow.uint16()),
            "dstport": pyarrow.array(dport, pyarrow.uint16()),
        }
    )


def capture(path, chosen, known, packets):
    """Raw IP packets without payload, of the flows in random order."""

    def packet(flow):
        src, proto, sport, dport = flow
        transport = (
            struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, 2, 1024, 0, 0)
            if proto == 6
            else struct.pack("!HHHH", sport, dport, 8, 0)
        )
        ends = bytes(map(int, src.split("."))) + bytes(map(int, LOCAL.split(".")))
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(transport), 0, 0, 64, proto, 0) + ends + transport

    made = [packet(flow) for flow in known]
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for n in range(packets):
            data = made[chosen.randrange(FLOWS)]
            out.write(struct.pack("<IIII", 1_700_000_000 + n // 1_000_000, n % 1_000_000, len(data), len(data)) + data)


def least(run):
    """The least CPU time of three runs, of this process and its children."""

    def used():
        own, children = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    times = []
    for _ in range(3):
        before = used()
        run()
        times.append(used() - before)
    return min(times)


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000_000
    packets = int(sys.argv[2]) if len(sys.argv) > 2 else 4_000_000
    warnings.simplefilter("ignore")
    chosen = random.Random(1)
    text, known = rules_text(chosen), flows(chosen)
    rules = sgreplay.Rules.parse(text, local=LOCAL)
    of = table(chosen, known, rows)
    seconds = least(lambda: sgreplay.evaluate(rules, of))
    print(f"evaluate, text addresses       {rows / seconds / 1e6:6.2f} M rows per CPU second (at least 8 are expected)")

    with tempfile.TemporaryDirectory() as folder:
        pcap, file = os.path.join(folder, "a.pcap"), os.path.join(folder, "rules.yaml")
        capture(pcap, chosen, known, packets)
        with open(file, "w") as out:
            out.write(text)

        def program(*words):
            command = [sys.executable, "-m", "sgreplay", "replay", "--rules", file, pcap, f"--local={LOCAL}", *words]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def streamed():
            for _ in sgreplay.replay(rules, pcap).packets():
                pass

        # What starting takes is no part of either.
        start = least(lambda: subprocess.run([sys.executable, "-m", "sgreplay", "--version"], stdout=subprocess.DEVNULL))
        csv = least(lambda: program("--per", "packet", "-f", "csv")) - start
        stream = least(streamed)
        print(
            f"packets()                      {packets / stream / 1e6:6.2f} M rows per CPU second, {csv / stream:.2f} times"
            f" those of --per packet -f csv (at least 1.5)"
        )
        json = least(lambda: program("-f", "json")) - start
        summary = least(lambda: sgreplay.replay(rules, pcap).summary)
        print(f"summary                        {summary / json:6.2f} times the CPU of -f json (at most 1.3)")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"most memory                    {peak:6.0f} MiB, {of.nbytes / (1 << 20):.0f} MiB of them the table")
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import sgreplay"], check=True)
    print(f"import, with the interpreter   {(time.perf_counter() - started) * 1000:6.1f} ms")


if __name__ == "__main__":
    main()
