#!/usr/bin/env python3
"""Asks the Linux kernel's packet filter about packets, one by one.

usage: kernel.py PACKETS          in a network namespace of its own, with the rules loaded

PACKETS is a pcap of raw IP with times in nanoseconds. Every packet goes in through a TUN device, or where
that is not permitted through the loopback device; every rule logs its name to NFLOG group 5 before it decides. Prints a line per packet: the name that was logged, or `-`
for a packet that the kernel said nothing of. The first and the last packet are canaries of our own, so that
silence is never read as an answer. With PACED=N set in the environment, packets are sent at the times of the
capture, so many times as fast.
"""
import fcntl
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time

NETLINK_NETFILTER, NFNL_SUBSYS_ULOG, SO_RCVBUFFORCE = 12, 4, 33
GROUP, SEEN = 5, 64
# Few enough that their reports fit in the smallest of receive buffers.
UNDER_WAY = 16
# Over the canaries' own protocol number nothing is ever carried (RFC 3692: for experiments).
CANARY_PROTOCOL = 253


def attribute(kind, data):
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


class Log:
    """NFLOG: (name, start of the packet) as the kernel reports them."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for family in (socket.AF_INET, socket.AF_INET6):
            self.command(family, 0, attribute(1, b"\x04"))  # unbind
            self.command(family, 0, attribute(1, b"\x03"))  # bind
        self.command(0, GROUP, attribute(1, b"\x01"))
        self.command(0, GROUP, attribute(2, struct.pack(">IBB", SEEN, 2, 0)))  # copy so many bytes
        self.command(0, GROUP, attribute(4, struct.pack(">I", 1)))  # report within 10 ms
        self.command(0, GROUP, attribute(5, struct.pack(">I", 1)))  # report every one
        self.reports = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def command(self, family, group, attributes):
        body = struct.pack("=BBH", family, 0, socket.htons(group)) + attributes
        kind, flags = NFNL_SUBSYS_ULOG << 8 | 1, 5  # a request, to be acknowledged
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        error = -struct.unpack_from("=i", self.socket.recv(4096), 16)[0]
        if error and attributes[4:5] != b"\x04":
            raise OSError(error, f"NFLOG: {os.strerror(error)}")

    def read(self):
        while True:
            data, at = self.socket.recv(1 << 18), 0
            while at + 16 <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == NFNL_SUBSYS_ULOG << 8:
                    self.reports.put(self.report(data[at + 20 : at + length]))
                at += max(16, length + 3 & ~3)

    @staticmethod
    def report(attributes):
        name, start, at = "?", b"", 0
        while at + 4 <= len(attributes):
            length, kind = struct.unpack_from("=HH", attributes, at)
            value = attributes[at + 4 : at + length]
            if kind == 10:
                name = value.rstrip(b"\0").decode()
            elif kind == 9:
                start = value
            at += max(4, length + 3 & ~3)
        return name, start


def device():
    """How packets are put in: a function of one."""
    try:
        tun = os.open("/dev/net/tun", os.O_RDWR)
    except OSError:
        loopback = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        kinds, nobody = {4: 0x0800, 6: 0x86DD}, bytes(6)
        # Without the address the frame may be for another host, whom the kernel does not serve.
        return lambda packet: loopback.sendto(packet, ("lo", kinds[packet[0] >> 4], 0, 0, nobody))
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", b"oracle", 0x1001))
    subprocess.run(["ip", "link", "set", "oracle", "up", "mtu", "65535"], check=True)
    return lambda packet: os.write(tun, packet)


def checksum(header):
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def whole(packet):
    """The kernel drops unseen what is shorter than its total length, or has a wrong header sum."""
    if packet[0] >> 4 == 6:
        total = 40 + struct.unpack(">H", packet[4:6])[0]
        return packet[:total].ljust(total, b"\0")
    total, header = struct.unpack(">H", packet[2:4])[0], (packet[0] & 15) * 4
    packet = bytearray(packet[:total].ljust(total, b"\0"))
    packet[10:12] = b"\0\0"
    packet[10:12] = struct.pack(">H", checksum(bytes(packet[:header])))
    return bytes(packet)


def canary(number):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 28, number, 0, 64, CANARY_PROTOCOL, 0)
    return whole(header + bytes([192, 0, 2, 254, 192, 0, 2, 253]) + b"a canary")


def packets(path):
    data = open(path, "rb").read()
    found, at = [], 24
    while at < len(data):
        seconds, nanos, length, _ = struct.unpack_from("<IIII", data, at)
        found.append((seconds + nanos / 1e9, whole(data[at + 16 : at + 16 + length])))
        at += 16 + length
    return found


def main():
    log, put = Log(), device()
    time.sleep(0.2)  # for what the device says of itself when it comes up
    while not log.reports.empty():
        log.reports.get()
    paced = float(os.environ.get("PACED", 0))
    asked = packets(sys.argv[1])
    first, last = (asked[0][0], asked[-1][0]) if asked else (0, 0)
    asked = [(first, canary(1)), *asked, (last, canary(2))]
    answers, waiting, start = [None] * len(asked), [], time.monotonic()

    def collect(patience):
        """Each report belongs to the first packet waiting that begins so: the kernel keeps the order."""
        while waiting:
            try:
                name, begins = log.reports.get(timeout=patience)
            except queue.Empty:
                return
            for place, n in enumerate(waiting):
                if asked[n][1][:SEEN] == begins:
                    answers[n] = name
                    del waiting[: place + 1]
                    break

    for n, (at, packet) in enumerate(asked):
        if paced:
            time.sleep(max(0, (at - first) / paced - (time.monotonic() - start)))
        put(packet)
        waiting.append(n)
        if paced or len(waiting) == UNDER_WAY:
            collect(0.3)
            waiting.clear()
    collect(1.0)
    if answers[0] != "canary" or answers[-1] != "canary":
        sys.exit(f"the canaries were not seen: {answers[0]}, {answers[-1]}")
    print("\n".join(answer or "-" for answer in answers[1:-1]))


main()
