#!/usr/bin/python3
"""corpus.py: the inputs of a fuzz target as text, one a line, so that they can be
read and stay small:  \\\\ \\n \\r \\t \\xHH, all else as it stands;  # a comment.

    corpus.py unpack FILE DIR          each input a file of its own
    corpus.py pack DIR FILE [MOST]     files of DIR not in FILE yet are added to
                                       it, the smallest first, up to MOST bytes
"""
import hashlib
import os
import re
import sys

NAMES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"}


def escape(data):
    def one(match):
        byte = match.group(0)
        return NAMES.get(byte) or b"\\x%02x" % byte[0]
    text = re.sub(rb"[^ -\[\]-~]", one, data)
    return re.sub(rb"^#", rb"\\x23", text)


def unescape(line):
    back = {v: k for k, v in NAMES.items()}

    def one(match):
        code = match.group(0)
        return back.get(code) or bytes([int(code[2:], 16)])
    return re.sub(rb"\\(x[0-9a-f]{2}|[\\nrt])", one, line)


def read(path):
    with open(path, "rb") as file:
        return [unescape(line.rstrip(b"\n")) for line in file
                if not line.startswith(b"#")]


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    for data in read(path):
        name = hashlib.sha1(data).hexdigest()
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def pack(folder, path, most="8000"):
    have = set(read(path)) if os.path.exists(path) else set()
    new = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            new.add(file.read())
    size = os.path.getsize(path) if have else 0
    with open(path, "ab") as file:
        for data in sorted(new - have, key=lambda d: (len(escape(d)), d)):
            line = escape(data) + b"\n"
            if size + len(line) > int(most):
                break
            size += file.write(line)


if __name__ == "__main__":
    {"unpack": unpack, "pack": pack}[sys.argv[1]](*sys.argv[2:])
