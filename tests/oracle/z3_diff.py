"""Asks Z3 about the exact difference of two rule sets.

Reads, from standard input, one JSON object per line: {"current": rules, "proposed": rules, "regions":
what `diff -f json` prints}. The rules are read and ordered here, by SEMANTICS A3 to A5, without anything
of sgreplay. For both families and directions it proves of packets from no member of the group that

- outside the regions no packet's verdict turns,
- inside each region every packet's does, the way the region says,

and prints how many cases were proved, or a counter-example and exits with 1.
"""

import ipaddress
import json
import sys

import z3

NAMES = {"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50,
         "ah": 51, "icmpv6": 58, "ospf": 89, "pim": 103, "vrrp": 112, "sctp": 132, "udplite": 136}
PORTS = (6, 17, 132)

proto = z3.BitVec("proto", 8)
port = z3.BitVec("port", 16)
icmp = z3.BitVec("icmp", 16)
peers = {4: z3.BitVec("peer4", 32), 6: z3.BitVec("peer6", 128)}


def between(value, first, last):
    return z3.And(z3.UGE(value, first), z3.ULE(value, last))


def address(family, first, last):
    first, last = ipaddress.ip_address(first), ipaddress.ip_address(last)
    if first.version != family:
        return z3.BoolVal(False)
    return between(peers[family], int(first), int(last))


def network(family, text):
    net = ipaddress.ip_network(text)
    return address(family, net[0], net[-1])


def number(name):
    return NAMES.get(name) or int(name)


def rule(family, rule):
    """A3: whether a rule matches."""
    side = "source" if rule["direction"] == "ingress" else "destination"
    terms = [network(family, rule[side])]
    if rule["protocol"] != "all":
        terms.append(proto == number(rule["protocol"]))
    if "ports" in rule:
        first, _, last = str(rule["ports"]).partition("/")
        terms.append(between(port, int(first), int(last or first)))
    return z3.And(terms)


def verdict(family, group, direction):
    """A4 and A5: the answer for a packet of an interface that has this group alone."""
    egress = direction == "egress"
    result = z3.BoolVal(egress and group.get("type", "basic") == "basic")
    rules = [r for r in group["rules"] if r["direction"] == direction]
    order = sorted(rules, key=lambda r: (r.get("priority", 1), r.get("policy", "accept") == "accept"))
    for one in reversed(order):
        result = z3.If(rule(family, one), z3.BoolVal(one.get("policy", "accept") == "accept"), result)
    # A8: what no rule can block.
    if egress:
        always = network(family, "100.100.100.200/32")
    elif family == 4:
        always = z3.And(proto == 1, icmp == 3 << 8 | 4)
    else:
        always = z3.And(proto == 58, z3.Extract(15, 8, icmp) == 2)
    # F19: neighbour discovery is to IPv6 what ARP is to IPv4.
    neighbour = z3.And(family == 6, proto == 58, between(z3.Extract(15, 8, icmp), 133, 137))
    return z3.Or(always, neighbour, result)


def service(text):
    if text == "all":
        return z3.BoolVal(True)
    name, _, rest = text.partition("/")
    terms = [proto == number(name)]
    if rest and number(name) in PORTS:
        first, _, last = rest.partition("-")
        terms.append(between(port, int(first), int(last or first)))
    elif rest:
        first, last = ([int(n) for n in pair.split("/")] for pair in rest.split("-"))
        terms.append(between(icmp, first[0] << 8 | first[1], last[0] << 8 | last[1]))
    return z3.And(terms)


def peer(family, text):
    if "-" in text:
        return address(family, *text.split("-"))
    return network(family, text)


def region(family, one):
    return z3.And(z3.Or([service(s) for s in one["services"]]), z3.Or([peer(family, p) for p in one["peers"]]))


def prove(claim, whole, what):
    solver = z3.Solver()
    solver.add(whole, z3.Not(claim))
    if solver.check() != z3.unsat:
        print("COUNTER-EXAMPLE:", what, solver.model())
        sys.exit(1)


proved = 0
for line in sys.stdin:
    case = json.loads(line)
    groups = [case[which]["security_groups"][0] for which in ("current", "proposed")]
    for family in (4, 6):
        # A packet of one family with the other family's ICMP is a packet like any other.
        whole = z3.BoolVal(True)
        for direction in ("ingress", "egress"):
            now, then = (verdict(family, group, direction) for group in groups)
            regions = [r for r in case["regions"] if r["direction"] == direction and not r["members_of"]]
            inside = z3.Or([region(family, r) for r in regions])
            prove(z3.Or(inside, now == then), whole, (line, "turns outside the regions"))
            for one in regions:
                turns = z3.And(now, z3.Not(then)) if one["change"] == "newly_denied" else z3.And(then, z3.Not(now))
                prove(z3.Implies(region(family, one), turns), whole, (one, "does not turn"))
                proved += 1
            proved += 1
print(proved)
