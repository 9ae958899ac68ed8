"""Credentials that end within a run of the queue: a minute of patience."""
import os
import time

import harness
from awsfakes import Imds
from harness import MESSAGE, Case, run
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")


class SlowSes(Ses):
    pause = 25

    def answer(self, request):
        time.sleep(self.pause)
        return super().answer(request)


class Renewed(Case):
    def test_new_ones_are_asked_for_while_the_old_are_good(self):
        ses = self.start(SlowSes())
        imds = self.start(Imds(ses, lasts=350))
        imds.counts = True
        queue = self.path("queue")
        os.mkdir(queue, 0o700)
        conf = self.conf(ses.route(credentials="imds"), top="queue " + queue)
        for _ in range(4):
            self.expect(run(("-odq",) + ARGS, MESSAGE, conf=conf), 0)
        self.expect(run(["-q"], conf=conf, timeout=200, env={
            "AWS_EC2_METADATA_DISABLED": None,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}), 0)
        used = [s.key for s in ses.sent]
        self.assertEqual(len(used), 4)
        self.assertEqual(ses.errors, [])
        # A minute after the first ones, 290 s before their end, come others.
        self.assertEqual(used, imds.issued[:1] * 3 + imds.issued[1:])


if __name__ == "__main__":
    harness.main()
