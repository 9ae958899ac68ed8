"""Bad input: the right exit status, one clear line, and nothing sent."""
import os
import pwd
import shutil
import unittest

import harness
from harness import Case, MESSAGE, SENDROUTE, closed_port, run
from relay import Relay

ARGS = ["-i", "-f", "alice@example.com", "bob@example.net"]


class BadInput(Case):
    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off"))
        self.good = self.conf(self.relay.route())

    def tearDown(self):
        self.assertEqual(self.relay.messages, [], "something was sent")

    def refused(self, status, *words, args=ARGS, message=MESSAGE, conf=None,
                connected=False, **more):
        done = run(args, message, conf=conf or self.good, **more)
        self.one_line(done, status, *words)
        if not connected:
            self.assertEqual(self.relay.sessions, [])
        return done


class Addresses(BadInput):
    def test_no_recipients(self):
        self.refused(64, "recipient", args=["-i", "-f", "a@b.test"])

    def test_no_recipients_with_t(self):
        self.refused(64, "recipient", args=["-t", "-i"],
                     message=b"From: a@b.test\nSubject: x\n\ntext\n")

    def test_bad_addresses_as_arguments(self):
        for address in ("a@", "@b.test", "a@b@c.test", "a b@c.test",
                        '"open@b.test', "<a@b.test", "a@b.test>",
                        "a@b..test", "a@[127.0.0.1", "()",
                        "(a@b.test", "a@b.test (open",
                        "x" * 400 + "@b.test"):
            with self.subTest(address=address[:40]):
                done = run(["-i", "-f", "alice@example.com", "--", address],
                           MESSAGE, conf=self.good)
                self.assertIn(done.exit, (64, 65) if address == "()"
                              else (65,), str(done))
                self.one_line(done, done.exit)
        self.assertEqual(self.relay.sessions, [])

    def test_controls_in_an_address_argument(self):
        for address in ("a@b.test\r\nRCPT TO:<evil@x.test>", "a\n@b.test",
                        "a\r@b.test", '"a\r\nb"@b.test', '"a\nb"@b.test',
                        '"a\\\nb"@b.test', '"a\x01b"@b.test', "a@b\x7f.test",
                        '"a\x1bb"@b.test', "a@b.test\n", "a@b.test\x0b",
                        '"a>b"@b.test', '"a<b"@b.test', '"a\\>b"@b.test'):
            with self.subTest(address=address):
                self.refused(65, args=["-i", "-f", "alice@example.com", "--",
                                       address])

    def test_controls_in_the_sender(self):
        for address in ("a@b.test\r\nRCPT TO:<evil@x.test>", "a\n@b.test",
                        '"a>b"@b.test', '"a\rb"@b.test', "a@b.test> SIZE=1"):
            with self.subTest(address=address):
                self.refused(65, args=["-i", "-f", address,
                                       "bob@example.net"])

    def test_a_bad_sender(self):
        for address in ("a@", "@", "a@b@c", "a@b.test,c@d.test"):
            with self.subTest(address=address):
                self.refused(65, args=["-i", "-f", address,
                                       "bob@example.net"])

    def test_bad_addresses_in_the_header(self):
        for value in (b"a@", b"a@b@c.test", b'"a\x01b"@c.test',
                      b'"a>b"@c.test', b"<a@b.test", b'"open@b.test',
                      b"bob@example.net, a@"):
            with self.subTest(value=value):
                self.refused(65, args=["-t", "-i", "-f", "a@b.test"],
                             message=b"From: a@b.test\nTo: " + value
                             + b"\n\ntext\n")

    def test_the_bad_address_is_named(self):
        self.refused(65, "wrong@@there", args=["-i", "-f", "a@b.test",
                                               "wrong@@there.test"])

    def test_addresses_that_need_smtputf8(self):
        """Refused for that recipient alone; a domain becomes an A-label."""
        done = run(["-i", "-f", "a@b.test", "jörg@x.test", "a@bücher.example"],
                   MESSAGE, conf=self.good)
        self.one_line(done, 69, "jörg@x.test", "SMTPUTF8")
        self.assertEqual(self.relay.only().rcpt_to,
                         ["a@xn--bcher-kva.example"])
        self.relay.messages.clear()

    def test_an_address_that_looks_like_an_option(self):
        done = run(["-i", "-f", "a@b.test", "--", "-f@x.test"], MESSAGE,
                   conf=self.good)
        self.quiet(done)
        self.assertEqual(self.relay.only().rcpt_to, ["-f@x.test"])
        self.relay.messages.clear()


class Configuration(BadInput):
    def bad(self, text, *words, status=78, line=None):
        conf = self.write("bad.conf", text)
        if line is not None:
            words = ("bad\\.conf:%d\\b" % line,) + words
        self.refused(status, *words, conf=conf)

    @property
    def route(self):
        return self.relay.route()

    def test_a_configuration_that_is_missing(self):
        self.refused(78, "missing\\.conf", conf=self.path("missing.conf"))

    @unittest.skipIf(os.path.exists("/etc/sendroute.conf"),
                     "this machine has a configuration")
    def test_no_configuration_at_all(self):
        done = run(ARGS, MESSAGE)
        self.one_line(done, 78, "/etc/sendroute\\.conf")

    def test_an_empty_configuration(self):
        self.bad("", "route")
        self.bad("# nothing\n\n", "route")

    def test_unknown_keyword(self):
        self.bad("hostname a.test\nlog none\nhostnane b.test\n" + self.route,
                 "hostnane", line=3)

    def test_unknown_keyword_in_a_route(self):
        self.bad(self.route + "colour blue\n", "colour",
                 line=self.route.count("\n") + 1)

    def test_missing_value(self):
        self.bad("hostname\n" + self.route, "hostname", line=1)

    def test_duplicate(self):
        self.bad("domain a.test\ndomain b.test\n" + self.route, "domain",
                 line=2)

    def test_duplicate_route(self):
        self.bad(self.route + self.route, "relay",
                 line=self.route.count("\n") + 1)

    def test_value_out_of_range(self):
        for port in ("0", "65536", "-1", "25x", "99999999999999999999",
                     "0x19", "+25", '""'):
            with self.subTest(port=port):
                self.bad(self.route.replace("port %d" % self.relay.port,
                                            "port " + port), "port", line=4)

    def test_wrong_choice(self):
        self.bad(self.route.replace("tls off", "tls maybe"), "tls",
                 "starttls", line=5)
        self.bad(self.route.replace("type smtp", "type uucp"), "type", line=2)

    def test_relative_paths(self):
        self.bad("ca-file certs.pem\n" + self.route, "ca-file", line=1)
        self.bad(self.route + "senders list\n", "senders")
        self.bad("log here.log\n" + self.route, "log", line=1)

    def test_a_value_too_many(self):
        self.bad("hostname a.test b.test\n" + self.route, "hostname", line=1)

    def test_an_open_quote(self):
        self.bad('hostname "a.test\n' + self.route, line=1)

    def test_a_route_without_host_or_type(self):
        self.bad("route x\ntype smtp\nsenders *\n", "host")
        self.bad("route x\nhost localhost\nsenders *\n", "type")

    def test_a_keyword_of_another_type(self):
        self.bad("route x\ntype ses\nregion eu-west-1\nport 25\nsenders *\n",
                 "port", line=4)

    def test_fallback_to_nowhere(self):
        self.bad(self.route + "fallback nobody\n", "nobody")

    def test_fallback_to_itself(self):
        self.bad(self.route + "fallback relay\n", "fallback|loop")

    def test_a_password_in_the_clear(self):
        self.bad("route x\ntype smtp\nhost relay.example\ntls off\nuser u\n"
                 "password p\nsenders *\n", "password", "tls")

    def test_a_proxy_that_is_none(self):
        for url in ("https://u:s3cret@proxy.test", "proxy.test:3128",
                    "http://u:s3cret%0d@proxy.test", "http://u:s3cret@"):
            with self.subTest(url=url):
                self.bad(self.route + "proxy %s\n" % url,
                         r"'proxy' (?!.*s3cret)",
                         line=self.route.count("\n") + 1)

    def test_binary_rubbish_as_configuration(self):
        self.bad(bytes(range(256)) * 20)
        self.bad("x" * 100000 + "\n", line=1)

    def test_nul_in_the_configuration(self):
        self.bad("hostname a\0b.test\n" + self.route, line=1)

    def test_a_folder_as_configuration(self):
        done = run(ARGS, MESSAGE, conf=self.dir)
        self.assertIn(done.exit, (77, 78), str(done))
        self.one_line(done, done.exit)

    def test_a_later_mistake_is_found_before_anything_is_sent(self):
        self.bad(self.route + "\nroute other\ntype smtp\n", "host")


class Unreadable(BadInput):
    """What may not be read: needs another user when root runs the tests."""

    def setUp(self):
        super().setUp()
        self.user, self.program = None, SENDROUTE
        if os.getuid() == 0:
            try:
                pwd.getpwnam("nobody")
            except KeyError:
                self.skipTest("no user nobody")
            self.user = "nobody"
            self.program = self.path("sendroute")
            shutil.copy(SENDROUTE, self.program)
            os.chmod(self.program, 0o755)
            os.chmod(self.dir, 0o755)

    def refused(self, status, *words, **more):
        return super().refused(status, *words, user=self.user,
                               program=self.program, **more)

    def test_the_same_is_fine_when_it_may_be_read(self):
        self.quiet(run(ARGS, MESSAGE, user=self.user, program=self.program,
                       conf=self.conf(self.relay.route(), top="log none\n")))
        self.relay.messages.clear()

    def test_configuration(self):
        path = self.write("closed.conf", "hostname a.test\n", 0o000)
        self.refused(77, "closed\\.conf", conf=path)

    def test_sender_list(self):
        path = self.write("closed.list", "a@b.test\n", 0o000)
        self.refused(77, "closed\\.list", conf=self.conf(
            self.relay.route(senders=path)))

    def test_password_file(self):
        path = self.write("closed.password", "x\n", 0o000)
        relay = self.start(Relay(users={"u": "x"}))
        self.refused(77, "closed\\.password", conf=self.conf(
            relay.route(user="u", password_file=path)))
        self.assertEqual(relay.messages, [])


class Secrets(BadInput):
    def test_a_missing_password_file(self):
        relay = self.start(Relay(users={"u": "x"}))
        self.refused(78, "missing\\.password", conf=self.conf(relay.route(
            user="u", password_file=self.path("missing.password"))))
        self.assertEqual(relay.messages, [])

    def test_a_password_file_that_others_can_write(self):
        relay = self.start(Relay(users={"u": "x"}))
        path = self.write("open.password", "x\n", 0o666)
        self.refused(78, "open\\.password", conf=self.conf(relay.route(
            user="u", password_file=path)))
        self.assertEqual(relay.messages, [])

    def test_a_password_file_that_others_can_read_is_warned_about(self):
        relay = self.start(Relay(users={"u": "x"}))
        path = self.write("seen.password", "x\n", 0o644)
        conf = self.conf(relay.route(user="u", password_file=path))
        self.expect(run(ARGS, MESSAGE, conf=conf), 0)
        self.assertTrue(any("seen.password" in line
                            for line in self.log_lines()), self.log_lines())

    def test_a_broken_secret_of_an_unused_route_is_no_matter(self):
        other = Relay(users={"u": "x"})
        self.start(other)
        conf = self.conf(self.relay.route(),
                         other.route(name="other", user="u",
                                     password_file=self.path("missing")))
        self.quiet(run(ARGS, MESSAGE, conf=conf))
        self.assertEqual(len(self.relay.accepted()), 1)
        self.relay.messages.clear()

    def test_a_password_command_that_fails(self):
        relay = self.start(Relay(users={"u": "x"}))
        for command in ("exit 3", "true", "echo x; exit 1"):
            with self.subTest(command=command):
                self.refused(75, "password.*command", conf=self.conf(
                    relay.route(extra="user u\npassword-command \"%s\""
                                % command)))
        self.assertEqual(relay.messages, [])


class Network(BadInput):
    def conf_to(self, host, port, top="timeout 20s\n"):
        return self.conf("route relay\ntype smtp\nhost %s\nport %d\ntls off\n"
                         "senders *\n" % (host, port), top=top)

    def test_nothing_listening(self):
        port = closed_port()
        self.refused(75, "connect", "refused", str(port),
                     conf=self.conf_to("127.0.0.1", port))

    def test_nothing_listening_on_any_address_of_localhost(self):
        self.refused(75, "connect", conf=self.conf_to("localhost",
                                                      closed_port()))

    def test_no_such_name(self):
        self.refused(75, "nowhere\\.invalid",
                     conf=self.conf_to("nowhere.invalid", 25))

    def test_a_unix_socket_that_is_missing(self):
        self.refused(75, "connect", "none\\.sock", conf=self.conf(
            "route relay\ntype smtp\nhost unix:%s\ntls off\nsenders *\n"
            % self.path("none.sock")))


if __name__ == "__main__":
    harness.main()
