"""A name server of the test's own, in a network of its own: on port 53 of a
loopback that nobody else sees, with a resolv.conf that names it.

    reason = nameserver.enter()     # before any thread; None, or why it cannot be
    server = nameserver.NameServer()
    server.texts["sel._domainkey.example.com"] = [b"v=DKIM1; p=..."]
"""
import array
import ctypes
import fcntl
import os
import socket
import struct
import tempfile
import threading

NEWNS, NEWUSER, NEWNET = 0x20000, 0x10000000, 0x40000000
REC, PRIVATE, BIND = 0x4000, 0x40000, 0x1000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

TXT, CNAME = 16, 5
NXDOMAIN, SERVFAIL = 3, 2

# Answers besides a list of texts.
SILENT, BROKEN = "no answer", "SERVFAIL"


def call(name, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = array.array("B", struct.pack("16sH14s", b"lo", 0, b""))
        fcntl.ioctl(sock, SIOCGIFFLAGS, request)
        name, flags, rest = struct.unpack("16sH14s", request)
        fcntl.ioctl(sock, SIOCSIFFLAGS,
                    struct.pack("16sH14s", name, flags | IFF_UP, rest))


def enter():
    """This process gets a network and a resolv.conf of its own."""
    who = os.getuid(), os.getgid()
    try:
        call("unshare", NEWNS | NEWNET | (NEWUSER if who[0] else 0))
        if who[0]:
            for name, text in (("setgroups", "deny"),
                               ("uid_map", "0 %d 1" % who[0]),
                               ("gid_map", "0 %d 1" % who[1])):
                with open("/proc/self/" + name, "w") as file:
                    file.write(text)
        call("mount", b"none", b"/", None, REC | PRIVATE, None)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("nameserver 127.0.0.1\noptions timeout:2\n")
            file.flush()
            os.chmod(file.name, 0o644)
            call("mount", file.name.encode(), b"/etc/resolv.conf", None, BIND,
                 None)
        loopback_up()
    except OSError as reason:
        return "no network of its own: %s" % reason
    return None


def name_of(packet, at):
    """The name in a question, and where it ends."""
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += packet[at] + 1
    return ".".join(labels).lower(), at + 1


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode()
                    for label in name.split(".")) + b"\0"


def wire_strings(text):
    return b"".join(bytes([len(part)]) + part for part in (
        text[at:at + 255] for at in range(0, len(text), 255)))


class NameServer:
    """texts    {name: [text, ...]}, SILENT or BROKEN; aliases: {name: name}
    small       answers over UDP are cut at so many bytes
    asked       ("udp" or "tcp", name) for each question about TXT records
    """

    def __init__(self):
        self.texts, self.aliases, self.asked = {}, {}, []
        self.small = 4096
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self.udp, self.tcp):
            sock.bind(("127.0.0.1", 53))
        self.tcp.listen(16)
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=work, daemon=True).start()

    def clear(self):
        self.texts, self.aliases, self.asked = {}, {}, []
        self.small = 4096

    def serve_udp(self):
        while True:
            packet, peer = self.udp.recvfrom(4096)
            answer = self.answer(packet, "udp")
            if answer and len(answer) > self.small:
                answer = self.cut(packet)
            if answer:
                self.udp.sendto(answer, peer)

    def serve_tcp(self):
        while True:
            sock, _ = self.tcp.accept()
            with sock:
                size, = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))
                answer = self.answer(sock.recv(size, socket.MSG_WAITALL),
                                     "tcp")
                if answer:
                    sock.sendall(struct.pack("!H", len(answer)) + answer)

    @staticmethod
    def head(packet, flags, records):
        end = name_of(packet, 12)[1] + 4
        return packet[:2] + struct.pack("!HHHHH", flags, 1, records, 0, 0) + \
            packet[12:end]

    def cut(self, packet):
        return self.head(packet, 0x8380, 0)

    def answer(self, packet, way):
        name, end = name_of(packet, 12)
        kind, = struct.unpack("!H", packet[end:end + 2])
        if kind == TXT:
            self.asked.append((way, name))
        records = []
        while name in self.aliases:
            to = self.aliases[name]
            records.append(self.record(name, CNAME, wire_name(to)))
            name = to
        texts = self.texts.get(name)
        if texts == SILENT:
            return None
        if texts == BROKEN:
            return self.head(packet, 0x8180 | SERVFAIL, 0)
        if texts is None and not records:
            return self.head(packet, 0x8180 | NXDOMAIN, 0)
        if kind == TXT:
            records += [self.record(name, TXT, wire_strings(text))
                        for text in texts or []]
        return self.head(packet, 0x8180, len(records)) + b"".join(records)

    @staticmethod
    def record(name, kind, data):
        return wire_name(name) + struct.pack("!HHIH", kind, 1, 60, len(data)) \
            + data
