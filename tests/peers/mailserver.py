"""What Postfix and Exim have in common as peers: how such a server is started,
ended and looked into, and the deliveries that each of them has to receive.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import unpack
from certs import certificates
from harness import Case, EIGHT_BIT, HEAD, MESSAGE, crlf, drive, letter, run

DOMAIN = "example.test"
OWNER = "daemon"        # a user that every Debian system has
MANY = ["user%03d" % number for number in range(100)]
SENDER = "alerts@sender.test"

# What a receiving server writes above the message.
TRACE = (b"return-path:", b"delivered-to:", b"x-original-to:", b"received:",
         b"envelope-to:", b"delivery-date:")


def free_ports(count):
    """Ports of the loopback that nothing listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def end_with_parent():
    """In the child: a test program that is killed takes its server along."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Unstarted(Exception):
    pass


class MailServer:
    """A server with a folder of its own, mailboxes and one account.

    cert        kind of certificate, see certs.KINDS
    limit       the largest message, in bytes
    recipients  so many in one transaction; 0: any number
    messages    so many on one connection (Exim's alone)
    starttls, implicit  its two ports
    """

    name = "mail server"

    def __init__(self, cert="good", user="apikey", password="s3cret/+=",
                 mailboxes=("alice", "bob", "carol"), limit=100 << 20,
                 recipients=0, messages=0):
        self.cert, self.key = certificates.server(cert)
        self.user, self.password = user, password
        self.mailboxes, self.limit = mailboxes, limit
        self.recipients, self.messages = recipients, messages
        self.process, self.home = None, None
        self.root = unpack.tree(self.name.lower())
        self.settle_down(3)

    def settle_down(self, tries):
        """Starts; another program may have taken a port in the meantime."""
        self.home = tempfile.mkdtemp(prefix=self.name.lower() + "-")
        os.chmod(self.home, 0o755)
        self.starttls, self.implicit = free_ports(2)
        try:
            self.lay_out()
            self.start()
        except Unstarted:
            self.close()
            if tries == 1:
                raise
            self.settle_down(tries - 1)
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.process:
            self.stop()
            self.process = None
        shutil.rmtree(self.home, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def launch(self, arguments, environment):
        with open(self.path("stderr"), "wb") as errors:
            self.process = subprocess.Popen(
                arguments, env=environment, stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, start_new_session=True,
                preexec_fn=end_with_parent)
        if not wait_until(self.greets, 20):
            raise Unstarted("%s does not answer: %s" % (
                self.name, self.log()))

    def greets(self):
        """Its own greeting comes from one port, and the other is open."""
        if self.process.poll() is not None:
            raise Unstarted("%s did not start: %s" % (self.name, self.log()))
        try:
            with socket.create_connection(
                    ("127.0.0.1", self.starttls), 10) as probe:
                mine = self.name.encode() in probe.recv(1024)
            socket.create_connection(("127.0.0.1", self.implicit), 10).close()
        except OSError:
            return False
        return mine

    def stop(self):
        """Ends the server and all that it started, by their own group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def log(self):
        text = ""
        for name in ["stderr", *self.LOGS]:
            if os.path.exists(self.path(name)):
                with open(self.path(name), errors="replace") as file:
                    text += file.read()
        return text

    def idle(self, seconds=20):
        """Waits until nothing is on its way to a mailbox any more."""
        def empty():
            return not any(os.listdir(self.path(q)) for q in self.QUEUES
                           if os.path.isdir(self.path(q)))
        return wait_until(empty, seconds)

    def arrived(self):
        """Names of the mailboxes that hold a message, once all is quiet."""
        self.idle()
        return {name for name in os.listdir(self.path("mail"))
                if self.files(name)}

    def files(self, mailbox):
        new = self.path("mail/%s/new" % mailbox)
        return [os.path.join(new, name) for name in sorted(os.listdir(new))] \
            if os.path.isdir(new) else []

    def take(self, mailbox, seconds=60):
        """The one message of a mailbox, as (sender, bytes); it is removed.

        The bytes are what the client sent: the fields that the server put on
        top are gone, line ends are CRLF again.
        """
        wait_until(lambda: self.files(mailbox), seconds)
        self.idle()
        found = self.files(mailbox)
        if len(found) != 1:
            raise AssertionError("%d messages for %s, not one\n%s" % (
                len(found), mailbox, self.log()[-4000:]))
        with open(found[0], "rb") as file:
            trace, content = split_trace(file.read())
        os.unlink(found[0])
        return sender_of(trace), content.replace(b"\n", b"\r\n")

    def empty(self):
        for mailbox in self.arrived():
            for name in self.files(mailbox):
                os.unlink(name)


def split_trace(data):
    at = 0
    while data[at:at + 64].lower().startswith(TRACE):
        at = data.index(b"\n", at) + 1
        while data[at:at + 1] in (b" ", b"\t"):
            at = data.index(b"\n", at) + 1
    return data[:at], data[at:]


def sender_of(trace):
    for line in trace.split(b"\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"return-path":
            return value.strip().strip(b"<>").decode()
    return None


class Deliveries(Case):
    """The tests; a class for each server says SERVER and CERT."""

    SERVER, CERT, server = None, "good", None

    @classmethod
    def setUpClass(cls):
        cls.server = cls.begin(mailboxes=["alice", "bob", "carol"] + MANY)

    @classmethod
    def begin(cls, **how):
        try:
            return cls.SERVER(cert=cls.CERT, **how)
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            cls.server.close()

    def setUp(self):
        super().setUp()
        self.server.empty()

    def route(self, tls="starttls", auth="auto", password=None, server=None):
        server = server or self.server
        lines = ["route relay", "type smtp", "host localhost", "port %d" % (
            server.starttls if tls == "starttls" else server.implicit),
            "tls " + tls, "ca-file " + certificates.ca, "senders *",
            "auth " + auth]
        if auth != "off":
            lines += ["user " + server.user, "password-file " + self.secret(
                server.password if password is None else password)]
        return "\n\t".join(lines) + "\n"

    def send(self, message=MESSAGE, to=("alice",), sender=SENDER, top="",
             **how):
        to = [name + "@" + DOMAIN for name in to]
        return run(["-i", "-f", sender, "--", *to], message, timeout=120,
                   conf=self.conf(self.route(**how), top=top))

    def came(self, message, mailbox="alice", sender=SENDER):
        """That message is in the mailbox, byte for byte."""
        got_sender, got = self.server.take(mailbox)
        self.same_bytes(got, crlf(message), mailbox)
        self.assertEqual(got_sender, sender)

    def nothing_came(self):
        self.assertEqual(self.server.arrived(), set())

    # --- the way there ---

    def test_starttls_auth_plain(self):
        self.quiet(self.send(auth="plain"))
        self.came(MESSAGE)
        self.assertEqual(self.server.mechanism(), "PLAIN")

    def test_starttls_auth_login(self):
        self.quiet(self.send(auth="login"))
        self.came(MESSAGE)
        self.assertEqual(self.server.mechanism(), "LOGIN")

    def test_starttls_auth_auto(self):
        self.quiet(self.send())
        self.came(MESSAGE)

    def test_implicit_tls_auth_plain(self):
        self.quiet(self.send(tls="implicit", auth="plain"))
        self.came(MESSAGE)
        self.assertEqual(self.server.mechanism(), "PLAIN")

    def test_implicit_tls_auth_login(self):
        self.quiet(self.send(tls="implicit", auth="login"))
        self.came(MESSAGE)
        self.assertEqual(self.server.mechanism(), "LOGIN")

    def test_wrong_password_is_75_and_nothing_arrives(self):
        for auth in ("plain", "login"):
            for tls in ("starttls", "implicit"):
                with self.subTest(auth=auth, tls=tls):
                    done = self.send(auth=auth, tls=tls, password="wrong")
                    self.one_line(done, 75, "535")
                    self.assertNotIn("wrong", done.err)
        self.nothing_came()

    def test_without_auth_nothing_arrives(self):
        done = self.send(auth="off")
        self.assertIn(done.exit, (69, 75), str(done))
        self.nothing_came()

    def test_starttls_on_the_implicit_port_is_75(self):
        server = self.server
        route = self.route(tls="starttls").replace(
            "port %d" % server.starttls, "port %d" % server.implicit)
        done = run(["-i", "-f", SENDER, "alice@" + DOMAIN], MESSAGE,
                   conf=self.conf(route, top="timeout 3s\n"))
        self.one_line(done, 75)
        self.nothing_came()

    def test_implicit_on_the_starttls_port_is_75(self):
        server = self.server
        route = self.route(tls="implicit").replace(
            "port %d" % server.implicit, "port %d" % server.starttls)
        done = run(["-i", "-f", SENDER, "alice@" + DOMAIN], MESSAGE,
                   conf=self.conf(route, top="timeout 10s\n"))
        self.one_line(done, 75)
        self.nothing_came()

    def test_a_small_message_is_one_chunk(self):
        done = run(["-v", "-i", "-f", SENDER, "alice@" + DOMAIN], MESSAGE,
                   conf=self.conf(self.route()))
        self.assertRegex(self.expect(done, 0).err, r"(?m)^> BDAT \d+ LAST$")
        self.came(MESSAGE)

    def test_a_large_message_is_not(self):
        message = letter(100000)
        done = run(["-v", "-i", "-f", SENDER, "alice@" + DOMAIN], message,
                   conf=self.conf(self.route()))
        self.assertRegex(self.expect(done, 0).err, r"(?m)^> DATA$")
        self.came(message)

    # --- several on one connection ---

    def batch(self, wrong):
        """A hundred messages, some for nobody, each under a name of its own."""
        messages = []
        for number, name in enumerate(MANY):
            if number in wrong:
                name = "nobody-here"
            messages.append(("f%d@sender.test" % number, [name + "@" + DOMAIN],
                             crlf(letter(1000 + number))))
        result = drive(self, self.conf(self.route()), messages)
        for number, (sender, to, content) in enumerate(messages):
            outcome = result[number, to[0]]
            if number in wrong:
                self.assertEqual(outcome, ("failed", 550, True))
            else:
                self.assertEqual(outcome, ("sent", 250, False))
                self.came(content, MANY[number], sender)
        self.nothing_came()

    def test_a_hundred_messages(self):
        """As many RSETs: no server takes offence."""
        self.batch(())

    def test_a_hundred_messages_every_fifth_for_nobody(self):
        self.batch(range(0, 100, 5))

    def test_thirty_for_nobody_in_a_row(self):
        self.batch(range(20, 50))

    # --- who gets it ---

    def test_one_of_three_is_unknown(self):
        done = self.send(to=("alice", "nobody-here", "bob"))
        self.one_line(done, 69, "nobody-here@example.test", "550", r"5\.1\.1")
        self.came(MESSAGE, "alice")
        self.came(MESSAGE, "bob")
        self.nothing_came()

    def test_all_are_unknown(self):
        self.expect(self.send(to=("nobody-1", "nobody-2")), 69)
        self.nothing_came()

    def test_a_hundred_recipients(self):
        self.quiet(self.send(to=MANY))
        for name in MANY:
            self.came(MESSAGE, name)

    def test_a_hundred_recipients_and_one_unknown_in_the_middle(self):
        done = self.send(to=MANY[:50] + ["nobody-here"] + MANY[50:])
        self.one_line(done, 69, "nobody-here@example.test")
        self.assertEqual(self.server.arrived(), set(MANY))

    def test_200_recipients_where_50_or_100_are_the_most(self):
        """All on one connection, in as many transactions as it takes."""
        names = ["two%03d" % number for number in range(200)]
        for most in (50, 100):
            server = self.begin(mailboxes=names, recipients=most)
            self.addCleanup(server.close)
            done = run(["-v", "-i", "-f", SENDER, "--", *(
                name + "@" + DOMAIN for name in names)], MESSAGE, timeout=120,
                       conf=self.conf(self.route(server=server)))
            with self.subTest(most=most):
                self.expect(done, 0)
                self.assertEqual(server.arrived(), set(names))
                for name in names:
                    self.same_bytes(server.take(name)[1], crlf(MESSAGE), name)
                for line, count in (("> STARTTLS", 1), ("> MAIL", 200 // most),
                                    ("< 452", 200 * (200 // most - 1) // 2)):
                    self.assertEqual(done.err.count(line), count, line)

    def test_the_null_sender(self):
        self.quiet(self.send(sender="<>"))
        self.came(MESSAGE, sender="")

    # --- what they get ---

    def test_one_kilobyte(self):
        message = letter(1024)
        self.quiet(self.send(message))
        self.came(message)

    def test_one_megabyte(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls=tls):
                message = letter(1 << 20)
                self.quiet(self.send(message, tls=tls))
                self.came(message)

    def test_forty_megabytes(self):
        message = letter(40 << 20)
        self.quiet(self.send(message, top="max-size 60m\n"))
        self.came(message)

    def test_dots_and_eight_bits_and_long_lines(self):
        lines = [b".", b"..", b". .", b"...", b"", b".", b"\xc3\xa4\xff\x80",
                 b"From here", b"x" * 998, b"." + b"y" * 997, b"\t ", b"end."]
        message = EIGHT_BIT + HEAD + b"\n" + b"\n".join(lines) + b"\n.\n\n\n"
        self.quiet(self.send(message))
        self.came(message)

    def test_every_line_end_becomes_crlf(self):
        message = HEAD + b"\nlf\ncrlf\r\ncr\r.\r.\n..\r\n\r\nlast"
        self.quiet(self.send(message))
        self.came(message)

    def test_a_header_without_a_body(self):
        message = HEAD + b"\n"
        self.quiet(self.send(message))
        self.came(message)

    # --- its size ---

    def test_over_the_size_of_the_server_is_refused_here(self):
        small = self.begin(limit=100000)
        self.addCleanup(small.close)
        done = self.send(letter(200000), server=small)
        self.one_line(done, 69, "size|large", "100000")
        self.assertEqual(small.arrived(), set())
        self.assertFalse(small.saw_mail(), small.log())

    def test_up_to_the_size_of_the_server_is_taken(self):
        small = self.begin(limit=100000)
        self.addCleanup(small.close)
        message = letter(90000)
        self.quiet(self.send(message, server=small))
        self.same_bytes(small.take("alice")[1], crlf(message))
