"""The budgets that do not depend on the machine's speed, as make bench has them:
instructions, bytes on the wire, system calls, memory and turns."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import harness
from harness import Case

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))), "bench", "bench.py")
# BearSSL's arithmetic on P-256 takes most of these.
EC = ("instructions, 1 KB, STARTTLS+AUTH, EC server", 30.5)
MET = ("peak memory, 1 KB by SMTP", "peak memory, 40 MB by SMTP",
       "peak memory, 1 KB by SES", "peak memory, 29 MB by SES",
       "instructions, 1 KB, STARTTLS+AUTH, RSA server",
       "instructions, 25 MB, STARTTLS", "bytes on the wire, 25 MB",
       "system calls, 25 MB", "turns, STARTTLS+AUTH",
       "turns, implicit TLS+AUTH", "turns, SES, first call",
       "turns, SES, next call, same connection")


@unittest.skipUnless(shutil.which("valgrind") and shutil.which("strace"),
                     "no valgrind or no strace")
class Budgets(Case):
    def test_what_make_bench_measures(self):
        run = subprocess.run(
            [sys.executable, BENCH, "sendroute", "-r", EC[0], *MET],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600, check=False, text=True)
        for name in MET:
            self.assertRegex(run.stdout, "(?m)^%s .* met$" % re.escape(name))
        taken = re.search(r"(?m)^%s +([0-9.]+) M" % re.escape(EC[0]),
                          run.stdout)
        self.assertIsNotNone(taken, run.stdout)
        self.assertLess(float(taken.group(1)), EC[1])


if __name__ == "__main__":
    harness.main()
