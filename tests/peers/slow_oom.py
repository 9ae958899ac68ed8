"""Every allocation of every mode fails once: see oom.py. And memory that the
kernel does not give."""
import itertools
import resource
import subprocess

import harness
import oom
import spooldir
from harness import MESSAGE, clean_environment, run
from relay import Relay
from ses import Ses
from spooldir import ALICE, BOB


class All(oom.Sweeps):
    pass


class Limited(spooldir.Case):
    """mmap and brk fail beyond a limit, for the kernel's own needs too."""

    def test_every_limit(self):
        ses = self.start(Ses(tls=False))
        secured = self.start(Relay())
        for conf in (self.good, self.conf(secured.route(), name="a"),
                     self.conf(ses.route(), name="b")):
            good = False
            for pages in itertools.count(80, 3):
                done = self.limited(pages * 4096, conf)
                sent = len(self.relay.accepted()) + len(ses.sent) + \
                    len(secured.accepted())
                for found in (self.relay.messages, ses.sent,
                              secured.messages):
                    found.clear()
                note = "%d pages: %s %r" % (pages, done.returncode,
                                            done.stderr)
                if done.returncode < 0 and not good:
                    continue            # it could not even be started
                good = True
                self.assertIn(done.returncode, (0, 71, 75), note)
                if conf == self.good:
                    for stored in self.spool.all():
                        self.assertEqual(stored.states(), "-", note)
                    run(["-qf"], conf=conf)
                    sent += len(self.relay.accepted())
                    self.relay.messages.clear()
                self.assertEqual(sent, done.returncode == 0, note)
                if done.returncode == 0 and done.stderr == b"" and \
                        pages > 400:
                    break

    def limited(self, most, conf):
        return subprocess.run(
            [harness.SENDROUTE, "-i", "-f", ALICE, BOB], input=MESSAGE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS,
                                                  (most, most)))


if __name__ == "__main__":
    harness.main()
