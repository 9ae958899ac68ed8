"""What a stray write finds: of ./sendroute and of that of make HARDEN=1."""
import os
import platform
import re
import subprocess
import unittest

import harness
from building import Tree
from harness import MESSAGE, SENDROUTE, Case, crlf, run
from relay import Relay
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
# How code of x86-64 gets at what stands between a function's arrays and where it
# returns to: %fs:0x28.
CANARY = re.compile(rb"\x64\x48[\x2b\x33\x3b\x8b].\x25\x28\0\0\0", re.S)


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


class Harden(Case):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()
        cls.made = cls.tree.make("HARDEN=1")

    @classmethod
    def tearDownClass(cls):
        if cls.made[0] == 0:
            print("# %d bytes; with HARDEN=1 %d" % tuple(
                os.path.getsize(p) for p in (SENDROUTE, cls.tree.program)),
                  flush=True)
        cls.tree.close()

    def setUp(self):
        super().setUp()
        if "needs CC=musl-gcc" in self.made[1]:
            self.skipTest("no musl-gcc")
        self.assertEqual(self.made[0], 0, self.made[1])
        self.assertNotIn("warning", self.made[1])

    def segments(self, program):
        found = re.findall(r"(?m)^  ([A-Z_]+) +(?:0x\w+ +){5}([RWE ]{3}) ",
                           readelf("-l", program))
        self.assertGreater(len(found), 2)
        return found

    def test_nothing_can_be_both_written_and_run(self):
        for program in (SENDROUTE, self.tree.program):
            with self.subTest(program):
                found = self.segments(program)
                self.assertEqual([f for k, f in found if k == "GNU_STACK"],
                                 ["RW "])
                self.assertEqual([f for _, f in found
                                  if "W" in f and "E" in f], [])

    def test_no_code_is_written_at_the_start(self):
        for program in (SENDROUTE, self.tree.program):
            self.assertNotRegex(readelf("-d", program), "TEXTREL")

    def test_what_harden_adds(self):
        kinds = {p: re.search(r"Type: +(\w+)", readelf("-h", p)).group(1)
                 for p in (SENDROUTE, self.tree.program)}
        self.assertEqual(list(kinds.values()), ["EXEC", "DYN"])
        self.assertIn("PIE", readelf("-d", self.tree.program))
        self.assertNotIn("INTERP", [k for k, _ in
                                    self.segments(self.tree.program)])
        self.assertNotIn("NEEDED", readelf("-d", self.tree.program))

    @unittest.skipUnless(platform.machine() == "x86_64", "not x86-64")
    def test_functions_with_arrays_look_before_they_return(self):
        def count(path):
            with open(path, "rb") as file:
                return len(CANARY.findall(file.read()))
        # The C library's own; and then twice in each function.
        self.assertLess(count(SENDROUTE), 40)
        self.assertGreater(count(self.tree.program), 300)

    def test_it_sends(self):
        relay = self.start(Relay(users={"u": "p"}))
        self.expect(run(ARGS, MESSAGE, program=self.tree.program,
                        conf=self.conf(relay.route(
                            extra="user u\npassword-file " +
                            self.secret("p")))), 0)
        self.assertEqual(relay.settle().messages[0].data, crlf(MESSAGE))
        ses = self.start(Ses())
        self.expect(run(ARGS, MESSAGE, program=self.tree.program,
                        conf=self.conf(ses.route())), 0)
        self.assertEqual((len(ses.sent), ses.errors), (1, []))


if __name__ == "__main__":
    harness.main()
