"""A clock that is wrong: the program runs under ptrace(2), which answers for the
system what the time is.  1970, because there is no clock, and 2100; and a clock
that is set right while mail is in the queue."""
import email.utils
import os
import struct
import time

import harness
import spooldir
from certs import certificates
from harness import HEAD, MESSAGE, crlf, run
from relay import Relay, fields
from ses import Ses
from spooldir import ALICE, BOB, DAY, RAX, Tracer, YEAR

ARGS = ("-i", "-f", ALICE, BOB)
AT_NULL, AT_IGNORE, AT_SYSINFO_EHDR = 0, 1, 33
BARE = b"Subject: no date\n\nhello\n"
IN_1970, IN_2100 = 7000, 4102444800 + 7000


class Clock(Tracer):
    """The program sees `start` seconds since 1970 when it starts.

    The kernel's page that tells the time without a system call is taken out of
    what the program is told when it starts; so it asks, and is answered here."""

    def __init__(self, args, conf, stdin=b"", start=0, **how):
        super().__init__(args, conf, stdin, leave=self._answer, **how)
        self.shift = start - int(time.time())
        self.asked = 0

    def begun(self, pid):
        with open("/proc/%d/auxv" % pid, "rb") as file:
            pairs = file.read()
        with open("/proc/%d/stat" % pid) as file:
            at = int(file.read().rpartition(")")[2].split()[25])
        with open("/proc/%d/maps" % pid) as file:
            end = next(int(line.split()[0].split("-")[1], 16)
                       for line in file if "[stack]" in line)
        with open("/proc/%d/mem" % pid, "r+b", buffering=0) as memory:
            memory.seek(at)
            stack = memory.read(end - at)
            found = stack.index(pairs[:32])
            for i in range(0, len(pairs), 16):
                if struct.unpack_from("Q", pairs, i)[0] == AT_SYSINFO_EHDR:
                    memory.seek(at + found + i)
                    memory.write(struct.pack("Q", AT_IGNORE))

    def _answer(self, call):
        where = {"clock_gettime": call.args[1], "gettimeofday": call.args[0],
                 "time": 0}.get(call.name)
        if where is None or (call.name == "clock_gettime" and
                             call.args[0] != 0):
            return None
        if call.name == "time":
            raise AssertionError("time(2): its result is not in memory")
        self.asked += 1
        with open("/proc/%d/mem" % call.pid, "r+b", buffering=0) as memory:
            memory.seek(where)
            seconds, = struct.unpack("q", memory.read(8))
            memory.seek(where)
            memory.write(struct.pack("q", seconds + self.shift))
        return None


class Case(spooldir.Case):
    def setUp(self):
        Tracer.available()
        super().setUp()

    def at(self, start, args, conf, stdin=b"", status=0):
        clock = Clock(args, conf, stdin, start)
        done = clock.run()
        self.assertGreater(clock.asked, 0)
        self.assertEqual(done.exit, status, (done.out, done.err))
        return done

    def near(self, text, when, seconds=120):
        """A Date field: that time."""
        got = email.utils.parsedate_to_datetime(text).timestamp()
        self.assertLess(abs(got - when), seconds, text)


class Nineteenseventy(Case):
    """The time that the program was built stands in for the clock."""

    def said(self):
        lines = [l for l in self.log_lines() if "the clock says" in l]
        self.assertEqual(len(lines), 1, self.log_lines())
        self.assertRegex(lines[0], r"the clock says 1970-01-01 01:56:\d\d UTC, "
                         r"before this program was built: 20\d\d-\d\d-\d\d ")

    def test_a_relay_with_certificates(self):
        relay = self.start(Relay(users={"u": "p"}))
        conf = self.conf(relay.route(user="u",
                                     password_file=self.secret("p")))
        self.at(IN_1970, ARGS, conf, MESSAGE)
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.said()

    def test_the_date_that_is_added(self):
        conf = self.conf(self.route())
        self.at(IN_1970, ARGS, conf, BARE)
        content = self.relay.only().content
        self.near(fields(content, "Date")[0],
                  os.stat(harness.SENDROUTE).st_mtime, 30 * DAY)
        self.said()

    def test_a_certificate_that_is_not_valid_yet_is_refused(self):
        relay = self.start(Relay(cert="not-yet"))
        done = self.at(IN_1970, ARGS, self.conf(relay.route()), MESSAGE, 75)
        self.assertIn(b"is not valid before", done.err)
        self.assertIn(b"this machine's clock says 20", done.err)
        self.assertEqual(relay.messages, [])

    def test_ses(self):
        """The first signature is as old as the program: SES's Date mends it."""
        for skew in (0, 30 * DAY):
            with self.subTest(skew=skew):
                ses = self.start(Ses(skew=skew))
                self.at(IN_1970, ARGS, self.conf(ses.route(), name="ses.conf"),
                        MESSAGE)
                self.same_bytes(ses.only().raw, crlf(MESSAGE))
                self.assertTrue(skew == 0 or len(ses.errors) == 1, ses.errors)
                self.said()
                self.assertTrue(skew == 0 or any(
                    "corrected for AWS" in line for line in self.log_lines()))
                os.unlink(self.log_file)

    def test_two_messages_have_two_ids(self):
        conf = self.conf(self.route())
        for _ in range(2):
            self.at(IN_1970, ARGS, conf, BARE)
        found = {fields(m.content, "Message-ID")[0]
                 for m in self.relay.messages}
        self.assertEqual(len(found), 2)

    def test_a_clock_that_is_right_is_not_spoken_of(self):
        self.at(int(time.time()), ARGS, self.conf(self.route()), MESSAGE)
        self.assertFalse([l for l in self.log_lines() if "clock" in l])


class Later(Case):
    """2100."""

    def test_certificates_have_expired_then(self):
        relay = self.start(Relay())
        done = self.at(IN_2100, ARGS, self.conf(relay.route()), MESSAGE, 75)
        self.assertIn(b"the certificate expired on 20", done.err)
        self.assertIn(b"this machine's clock says 2100-01-01 01:", done.err)
        self.assertEqual(relay.messages, [])

    def test_ses_with_a_pin(self):
        ses = self.start(Ses())
        self.at(IN_2100, ARGS, self.conf(ses.route(
            extra="tls-pin " + certificates.pin("good"))), MESSAGE)
        self.same_bytes(ses.only().raw, crlf(MESSAGE))
        self.assertEqual(len(ses.errors), 1)
        self.assertTrue(any("corrected for AWS" in line
                            for line in self.log_lines()))


class Queued(Case):
    """Mail that was queued under the wrong clock is neither given up nor stuck,
    and nobody is told that it is late."""
    replies = {"rcpt <%s>" % BOB: ["450 4.2.0 later", "250 2.1.5 now"]}

    def conf_here(self):
        return self.queue_conf(top="queue-lifetime 1h\nqueue-warn 1m\n")

    def test_from_1970_to_now(self):
        conf = self.conf_here()
        self.at(IN_1970, ("-odq", *ARGS), conf, MESSAGE)
        self.assertLess(self.spool.only().born, DAY)
        self.run_queue("-q", conf=conf)
        stored = self.spool.only()
        self.assertEqual(stored.states(), "-")
        self.assertEqual(stored.tries, 1)
        self.assertLess(abs(stored.next - time.time()), DAY)
        self.run_queue("-qf", conf=conf)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.spool.state(), {"tmp": 0, "queue": 0,
                                              "failed": 0})

    def test_tried_in_1970_too(self):
        conf = self.conf_here()
        self.at(IN_1970, ARGS, conf, MESSAGE)
        self.assertEqual(self.spool.only().tries, 1)
        self.run_queue("-q", conf=conf)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.bounces(), [])

    def test_from_2100_to_now(self):
        conf = self.conf_here()
        self.at(IN_2100, ("-odq", *ARGS), conf, MESSAGE)
        self.assertGreater(self.spool.only().born, 100 * YEAR)
        self.run_queue("-q", conf=conf)
        self.assertEqual(self.spool.only().states(), "-")
        self.run_queue("-qf", conf=conf)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_a_run_in_1970_over_mail_of_now(self):
        """The battery is empty: what was queued before goes out."""
        conf = self.conf_here()
        self.keep(conf=conf)
        self.at(IN_1970, ["-q"], conf)
        self.assertEqual(self.spool.only().states(), "-")
        self.at(IN_1970, ["-qf"], conf)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.bounces(), [])


if __name__ == "__main__":
    harness.main()
