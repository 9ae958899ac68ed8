"""Where there is next to nothing: an empty root folder, one that cannot be
written, no standard descriptors, no environment, 2 MiB of memory and 64 KiB of
stack; through a relay, through SES, and through the queue."""
import os
import resource
import time

import harness
from building import Jail
from certs import certificates
from harness import Case, MESSAGE, crlf, letter
from relay import Relay
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
SMALL = {resource.RLIMIT_AS: 2 << 20, resource.RLIMIT_STACK: 64 << 10}
KILOBYTE, MEGABYTES = letter(1024), letter(10 << 20)


class Bare(Case):
    def setUp(self):
        super().setUp()
        self.jail = Jail(harness.SENDROUTE, self.path("jail"))
        self.relay = self.start(Relay(users={"u": "p"}))
        self.ses = self.start(Ses())
        self.ses.url = "https://127.0.0.1:%d" % self.ses.port

    def pin(self):
        return "tls-pin " + certificates.pin("good")

    def through_relay(self, top=""):
        return self.jail.put("/etc/sendroute.conf", top + self.relay.route(
            host="127.0.0.1", extra=self.pin() + "\nuser u\npassword p"))

    def through_ses(self, top=""):
        return self.jail.put("/etc/sendroute.conf", top + self.ses.route(
            extra=self.pin()))

    def both(self, message=MESSAGE, args=ARGS, **how):
        """One message by each route: it comes as it was, and nothing is said
        or left behind."""
        for configure, came in (
                (self.through_relay, lambda: self.relay.only().content),
                (self.through_ses, lambda: self.ses.only().raw)):
            with self.subTest(route=configure.__name__):
                configure()
                before = self.jail.files()
                self.quiet(self.jail.run(args, message, **how))
                self.same_bytes(came(), crlf(message))
                self.assertEqual(self.jail.files(), before)


class Empty(Bare):
    def test_one_kilobyte(self):
        self.both(KILOBYTE)

    def test_ten_megabytes(self):
        self.both(MEGABYTES)

    def test_ten_megabytes_in_a_folder_that_cannot_be_written(self):
        self.both(MEGABYTES, read_only=True)

    def test_a_header_that_lacks_everything(self):
        self.through_relay()
        self.quiet(self.jail.run(("-i", "-f", "alice@example.com", "b@c.test"),
                                 b"hello\n"))
        message = self.relay.only()
        self.assertEqual(message.body, b"hello\r\n")
        for name in ("Date", "Message-ID", "From"):
            self.assertEqual(len(message.fields(name)), 1, name)
        self.assertRegex(message.fields("Date")[0], r" \+0000$")

    def test_no_sender_is_given(self):
        self.through_relay("domain appliance.test\n")
        self.quiet(self.jail.run(("-i", "bob@example.net"), MESSAGE))
        self.assertRegex(self.relay.only().mail_from,
                         r"^uid\d+@appliance\.test$")

    def test_check(self):
        for configure in (self.through_relay, self.through_ses):
            configure()
            done = self.expect(self.jail.run(["--check"]), 0)
            self.assertEqual(done.err, "")

    def test_a_dialogue(self):
        self.through_relay()
        done = self.expect(self.jail.run(["-bs"], b"EHLO c\r\nMAIL FROM:<a@b.de>"
                           b"\r\nRCPT TO:<c@d.de>\r\nDATA\r\n" +
                           crlf(MESSAGE) + b".\r\nQUIT\r\n"), 0)
        self.assertEqual(done.err, "")
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))


class Descriptors(Bare):
    def test_some_are_closed(self):
        """The message comes whole, and no text of ours within it: what cannot
        be read is refused."""
        self.through_relay()
        for closed in ((1,), (2,), (1, 2)):
            with self.subTest(closed=closed):
                done = self.jail.run(("-v", *ARGS), KILOBYTE, closed=closed)
                self.expect(done, 0)
                self.same_bytes(self.relay.only().content, crlf(KILOBYTE))
                self.relay.settle().messages.clear()
        for closed in ((0,), (0, 1), (0, 1, 2), (0, 2)):
            with self.subTest(closed=closed):
                done = self.jail.run(ARGS, closed=closed)
                self.expect(done, 74)
                self.assertEqual(self.relay.messages, [])

    def test_the_same_through_ses(self):
        self.through_ses()
        for closed in ((1,), (2,), (1, 2)):
            with self.subTest(closed=closed):
                self.expect(self.jail.run(("-v", *ARGS), KILOBYTE,
                                          closed=closed), 0)
                self.same_bytes(self.ses.only().raw, crlf(KILOBYTE))
                self.ses.sent.clear()

    def test_in_the_background(self):
        self.through_relay("queue /queue\n")
        os.mkdir(self.path("jail/queue"))
        self.quiet(self.jail.run(("-odb", *ARGS), KILOBYTE))
        for _ in range(100):
            if not os.listdir(self.path("jail/queue/queue")):
                break
            time.sleep(0.1)
        self.same_bytes(self.relay.only().content, crlf(KILOBYTE))


class Small(Bare):
    def test_one_kilobyte(self):
        self.both(KILOBYTE, limits=SMALL)

    def test_ten_megabytes(self):
        self.both(MEGABYTES, limits=SMALL)

    def test_roots_of_a_bundle(self):
        with open(certificates.ca) as file:
            self.jail.put("/roots", file.read())
        for server, came in ((self.relay, lambda: self.relay.only().content),
                             (self.ses, lambda: self.ses.only().raw)):
            extra = "ca-file /roots"
            if server is self.relay:
                extra += "\nuser u\npassword p"
            self.ses.url = "https://localhost:%d" % self.ses.port
            self.jail.put("/etc/sendroute.conf", server.route(extra=extra))
            self.quiet(self.jail.run(ARGS, KILOBYTE, limits=SMALL))
            self.same_bytes(came(), crlf(KILOBYTE))

    def test_the_queue(self):
        os.mkdir(self.path("jail/queue"))
        for configure, came in (
                (self.through_relay, lambda: self.relay.only().content),
                (self.through_ses, lambda: self.ses.only().raw)):
            for message in (KILOBYTE, MEGABYTES):
                with self.subTest(route=configure.__name__,
                                  size=len(message)):
                    configure("queue /queue\n")
                    self.quiet(self.jail.run(("-odq", *ARGS), message,
                                             limits=SMALL))
                    self.quiet(self.jail.run(["-q"], limits=SMALL))
                    self.same_bytes(came(), crlf(message))
                    self.assertEqual(os.listdir(self.path(
                        "jail/queue/queue")), [])
                    self.relay.settle().messages.clear()
                    self.ses.sent.clear()

    def test_a_bounce(self):
        """The longest way through the program: run, report, delivery."""
        self.relay.replies["rcpt <bob@example.net>"] = "550 5.1.1 no"
        os.mkdir(self.path("jail/queue"))
        self.through_relay("queue /queue\n")
        self.jail.run(("-odq", *ARGS), MEGABYTES, limits=SMALL)
        self.quiet(self.jail.run(["-qf"], limits=SMALL))
        self.quiet(self.jail.run(["-qf"], limits=SMALL))
        self.assertEqual(self.relay.only().mail_from, "")

    def test_a_dialogue_and_a_list(self):
        """The deepest stack: SMTP in, a list read, HTTP out."""
        self.jail.put("/list", "alice@example.com\n")
        self.jail.put("/etc/sendroute.conf", self.ses.route(
            extra=self.pin(), senders="/list"))
        self.quiet_but_out(self.jail.run(["-bs"], b"EHLO c\r\n"
                           b"MAIL FROM:<alice@example.com>\r\n"
                           b"RCPT TO:<c@d.de>\r\nDATA\r\n" + crlf(MESSAGE) +
                           b".\r\nQUIT\r\n", limits=SMALL))
        self.same_bytes(self.ses.only().raw, crlf(MESSAGE))

    def quiet_but_out(self, done):
        self.expect(done, 0)
        self.assertEqual(done.err, "", str(done))

    def test_the_other_modes(self):
        self.through_relay("queue /queue\naliases /aliases\n")
        os.mkdir(self.path("jail/queue"))
        self.jail.put("/aliases", "root: bob@example.net\n")
        for args in (["--check"], ["-bp"], ["--json", "-bp"], ["-bv", "root"],
                     ["--version"], ["--dry-run", "root"], ["-bs"]):
            with self.subTest(args=args):
                done = self.expect(self.jail.run(args, MESSAGE if "root" in args
                                                 else b"QUIT\r\n",
                                                 limits=SMALL), 0)
                self.assertEqual(done.err, "")


if __name__ == "__main__":
    harness.main()
