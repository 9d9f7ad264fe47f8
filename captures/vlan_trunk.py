"""Joins two hosts over a trunk that carries VLAN 100: host frames are tagged on their way in.

usage: vlan_trunk.py HOST-A TRUNK-A TRUNK-B HOST-B
On the way out the tag is taken off, by the kernel where it does that for packet sockets.
"""
import select
import socket
import sys

TAG = b"\x81\x00\x00\x64"  # 802.1Q, VLAN 100


def port(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 0))
    return s


host_a, trunk_a, trunk_b, host_b = ports = [port(name) for name in sys.argv[1:]]
onward = {host_a: (trunk_a, True), trunk_a: (host_a, False), trunk_b: (host_b, False), host_b: (trunk_b, True)}
while True:
    for s in select.select(ports, [], [])[0]:
        frame, (_, _, packet_type, *_) = s.recvfrom(65536)
        if packet_type == socket.PACKET_OUTGOING:
            continue
        to, tag = onward[s]
        if tag:
            frame = frame[:12] + TAG + frame[12:]
        elif frame[12:14] == TAG[:2]:
            frame = frame[:12] + frame[16:]
        to.send(frame)
