"""What the tests of other builds stand on.

Tree    a copy of this tree in which the program is built otherwise; what is
        compiled already is taken along
Jail    a folder that is all there is to the program: nothing is in it but the
        program and what the test puts there
Names   a name server for one name, on an address of its own
"""
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import BUILD, Done, ROOT, TIMEOUT, clean_environment

KEPT = ("obj", "dep", "flags", "smaller", "smallest", "tools", "tools.log",
        "builtin.c", "builtin.list", "builtin.conf", "roots.c")


def _copy(source, target):
    if os.path.isdir(source):
        shutil.copytree(source, target)
    elif os.path.exists(source):
        shutil.copy2(source, target)


class Tree:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sendroute-tree-")
        self.program = os.path.join(self.dir, "sendroute")
        for name in os.listdir(ROOT):
            if name in ("dist", "lib", "man", "Makefile", "README", "LICENSE") \
                    or name.endswith((".c", ".h")):
                _copy(os.path.join(ROOT, name), os.path.join(self.dir, name))
        _copy(os.path.join(ROOT, "tests", "fuzz"),
              os.path.join(self.dir, "tests", "fuzz"))
        build = os.path.join(self.dir, "build")
        os.mkdir(build)
        for name in KEPT:
            _copy(os.path.join(BUILD, name), os.path.join(build, name))
        os.symlink(os.path.join(BUILD, "src"), os.path.join(build, "src"))

    def make(self, *args, timeout=900):
        """`make ARGS`, warnings being errors.  (exit status, what it said)"""
        done = subprocess.run(
            ["make", "-C", self.dir, "--no-print-directory", "CI=true",
             "VERSION=0.test", *args], stdin=subprocess.DEVNULL,
            env=clean_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def close(self):
        shutil.rmtree(self.dir, True)


class Jail:
    """run's `limits`: what setrlimit is told, {resource: bytes}; `closed`:
    standard descriptors that are not open; `read_only`: nothing can be written
    in the folder."""

    def __init__(self, program, folder):
        self.dir = folder
        os.mkdir(folder)
        shutil.copy(program, folder + "/sendroute")
        os.chmod(folder + "/sendroute", 0o755)
        if os.getuid() != 0 and subprocess.run(
                ["unshare", "-r", "true"], stderr=subprocess.DEVNULL
                ).returncode != 0:
            raise unittest.SkipTest("neither root nor a user namespace: no "
                                    "other root folder can be had")

    def put(self, path, text):
        path = self.dir + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.dir)
                      for folder, _, names in os.walk(self.dir)
                      for name in names)

    def run(self, args, stdin=b"", env=None, name="/sendroute", limits=None,
            closed=(), read_only=False, timeout=TIMEOUT):
        import resource
        root = os.getuid() == 0

        def enter():
            for which, most in (limits or {}).items():
                resource.setrlimit(which, (most, most))
            if root and not read_only:
                os.chroot(self.dir)
                os.chdir("/")
            for fd in closed:
                os.close(fd)
        argv, program = [name, *args], "/sendroute"
        if read_only or not root:
            if root and subprocess.run(["unshare", "-m", "true"],
                                       stderr=subprocess.DEVNULL).returncode:
                raise unittest.SkipTest("unshare(1) is not allowed here")
            argv = ["unshare", "-m"] + ["-r"] * (not root) + [
                "/bin/sh", "-c",
                "mount --bind \"$0\" \"$0\" && mount -o remount,bind,$1 "
                "\"$0\" && cd / && shift && exec chroot \"$0\" \"$@\"",
                self.dir, "ro" if read_only else "rw", program, *args]
            program = "/usr/bin/unshare"
        began = time.monotonic()
        process = subprocess.Popen(argv, executable=program, env=env or {},
                                   stdin=subprocess.PIPE, preexec_fn=enter,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            status = "none: killed after %d s" % timeout
        return Done(argv, status, out, err, time.monotonic() - began)


class Names:
    """Answers every question for an IPv4 address with 127.0.0.1."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.asked = []
        for _ in range(20):
            self.address = "127.%d.%d.%d" % tuple(
                random.randrange(1, 255) for _ in range(3))
            try:
                self.sock.bind((self.address, 53))
                break
            except PermissionError:
                raise unittest.SkipTest("port 53 is root's")
            except OSError:
                continue
        else:
            raise unittest.SkipTest("no address has port 53 free")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(1500)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            question = query[12:end]
            self.asked.append(question)
            is_a = question[-4:] == b"\0\1\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_a \
                else b""
            self.sock.sendto(query[:2] + b"\x81\x80\0\1" +
                             (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" +
                             question + answer, peer)

    def close(self):
        self.sock.close()
