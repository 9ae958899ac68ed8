"""make small WITHOUT=...: each part left out, and all but one transport: it
builds without a warning and is smaller, what is left works, and what is not
there is refused with a line that says so."""
import os
import sys

import harness
from building import Tree
from harness import Case, HEAD, MESSAGE, crlf, run
from relay import Relay
from ses import Ses

ALICE, BOB = "alice@example.com", "bob@example.net"
PARTS = ("ses", "smtp", "dkim", "bs", "queue", "aliases", "maildir", "qmail",
         "check")
# What asks for a part: lines of a configuration, and options.
LINES = {"ses": ["route r\ntype ses\nregion eu-west-1\nsenders *\n"],
         "smtp": ["route r\ntype smtp\nhost h\nsenders *\n",
                  "route r\ntype lmtp\nhost h\nsenders *\n"],
         "maildir": ["route r\ntype maildir\npath /m\nsenders *\n"],
         "qmail": ["route r\ntype qmail\npass-to /q\nsenders *\n"],
         "queue": ["queue /q\n", "queue-lifetime 5d\n", "queue-warn 0\n"],
         "aliases": ["aliases /a\n"],
         "dkim": ["route r\ntype %s\ndkim-domain example.com\n"]}
OPTIONS = {"ses": [["--list-verified"]], "bs": [["-bs"]],
           "check": [["--check"]],
           "queue": [["-q"], ["-q15m"], ["--delete", "x"], ["--requeue", "x"]],
           "dkim": [["--dkim-keygen", "/d"], ["--verify-dkim"]]}


class Small(Case):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()
        cls.sizes = {}

    @classmethod
    def tearDownClass(cls):
        cls.tree.close()
        for what, size in cls.sizes.items():
            print("# %7d bytes  %s" % (size, what or "all of it"))
        sys.stdout.flush()

    def build(self, *without):
        status, said = self.tree.make("small", "WITHOUT=" + " ".join(without))
        self.assertEqual(status, 0, said)
        self.assertNotIn("warning", said)
        size = os.path.getsize(self.tree.program)
        self.assertIn("./sendroute: %d bytes" % size, said)
        self.sizes[" ".join("-" + w for w in without)] = size
        return size

    def go(self, args, conf, stdin=MESSAGE, status=0, **more):
        return self.expect(run(args, stdin, conf=conf,
                               program=self.tree.program, **more), status)

    # --- what works ---

    def through(self, kind, top="", args=("-i", "-f", ALICE, BOB), wanted=None):
        """By a route of that kind, whose peer gets the message."""
        if kind == "maildir":
            box = self.path("box%d" % len(os.listdir(self.dir)))
            self.go(args, self.conf("route box\ntype maildir\npath %s\n"
                                    "senders *\n" % box, top=top))
            new, = os.listdir(box + "/new")
            return
        peer = self.start(Relay() if kind == "smtp" else Ses())
        done = self.go(args, self.conf(peer.route(), top=top))
        self.assertEqual(done.err, "")
        got = peer.only().content if kind == "smtp" else peer.only().raw
        self.same_bytes(got, crlf(MESSAGE))
        return peer

    def works(self, without):
        left = [p for p in PARTS if p not in without]
        kinds = [k for k in ("smtp", "ses", "maildir") if k in left]
        for kind in kinds:
            self.through(kind)
        if not kinds:
            return
        peer = self.start(Relay(tls="off") if "smtp" in left else Ses())
        messages = lambda: [m.content for m in peer.messages] \
            if "smtp" in left else [m.raw for m in peer.sent]
        if kinds == ["maildir"]:
            return
        if "aliases" in left:
            self.write("aliases", "team: %s\n" % BOB)
            self.go(("-i", "-f", ALICE, "team"), self.conf(
                peer.route(), top="aliases %s\n" % self.path("aliases")))
            self.assertEqual(len(messages()), 1)
            (peer.messages if "smtp" in left else peer.sent).clear()
        if "queue" in left:
            spool = self.path("spool%d" % len(os.listdir(self.dir)))
            os.mkdir(spool)
            conf = self.conf(peer.route(), top="queue %s\n" % spool)
            self.go(("-odq", "-i", "-f", ALICE, BOB), conf)
            self.assertEqual(messages(), [])
            self.go(["-q"], conf)
            self.same_bytes(messages().pop(), crlf(MESSAGE))
            (peer.messages if "smtp" in left else peer.sent).clear()
        conf = self.conf(peer.route())
        if "bs" in left:
            done = self.go(["-bs"], conf, b"EHLO c\r\nMAIL FROM:<%s>\r\n"
                           b"RCPT TO:<%s>\r\nDATA\r\n" % (
                               ALICE.encode(), BOB.encode()) + crlf(MESSAGE) +
                           b".\r\nQUIT\r\n")
            self.same_bytes(messages().pop(), crlf(MESSAGE))
            (peer.messages if "smtp" in left else peer.sent).clear()
        if "qmail" in left:
            done = self.go(["example.net", ALICE, BOB], conf,
                           name="qmail-remote")
            self.assertRegex(done.out, r"^r.*\0K")
            self.same_bytes(messages().pop(), crlf(MESSAGE))
        if "check" in left:
            self.assertIn("ok", self.go(["--check"], conf, b"").out)

    # --- what does not ---

    def refuses(self, without):
        for part in without:
            for line in LINES.get(part, ()):
                if "%s" in line:
                    kind = next(k for k in ("maildir", "smtp", "ses", None)
                                if k not in without)
                    if kind is None:
                        continue
                    line = line % kind
                done = self.go(["-bv", BOB], self.write("bad.conf", line),
                               status=78)
                self.assertRegex(done.err, r"^sendroute: \S+bad.conf:\d+: .*: "
                                 r"this program was built without %s\n$"
                                 % part)
            for args in OPTIONS.get(part, ()):
                done = self.go(args, "/dev/null", status=64)
                self.assertEqual(done.err, "sendroute: this program was built "
                                 "without %s\n" % part)
                self.assertEqual(done.out, "")
        if "qmail" in without:
            done = self.go(["h", ALICE, BOB], "/dev/null", name="qmail-remote")
            self.assertEqual(done.out, "Zsendroute was built without qmail "
                             "(4.3.5).\n\0")
        if "queue" in without:
            done = self.go([], self.write("some.conf", ""), name="mailq")
            self.assertEqual(done.out, "there is no mail queue: none is "
                             "configured\n")

    def judge(self, *without):
        size = self.build(*without)
        done = self.go(["--version"], None)
        if without:
            self.assertIn("\nleft out: %s\n" % " ".join(without), done.out)
        self.works(without)
        self.refuses(without)
        return size

    def test_each_part_left_out(self):
        whole = self.judge()
        self.assertNotIn("left out", self.go(["--version"], None).out)
        for part in PARTS:
            with self.subTest(without=part):
                self.assertLess(self.judge(part), whole)

    def test_all_but_one_transport(self):
        for kind in ("smtp", "ses", "maildir"):
            with self.subTest(only=kind):
                self.judge(*(p for p in PARTS if p != kind))

    def test_all_of_them(self):
        self.build(*PARTS)
        self.refuses(PARTS[:2] + PARTS[3:])

    def test_a_word_that_is_no_part(self):
        status, said = self.tree.make("small", "WITHOUT=ses stamps")
        self.assertNotEqual(status, 0)
        self.assertIn("WITHOUT: stamps is none of " + " ".join(PARTS), said)


if __name__ == "__main__":
    harness.main()
