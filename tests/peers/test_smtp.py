"""Delivery through a relay: what it received, byte for byte, and who got it."""
import base64
import itertools
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import Case, HEAD, MESSAGE, crlf, letter, run
from relay import DROP, SILENT, AioRelay, Relay

USERS = {"apikey": "pass word/+=1"}


class Smtp(Case):
    def relay(self, **how):
        how.setdefault("users", USERS)
        return self.start(Relay(**how))

    def conf_for(self, relay, extra="", top="", **more):
        if relay.users:
            more.setdefault("user", "apikey")
            more.setdefault("password_file",
                            self.secret(USERS["apikey"], "relay.password"))
        return self.conf(relay.route(extra=extra, **more), top=top)

    def send(self, relay, message=MESSAGE, args=("-i", "-f",
             "alice@example.com", "bob@example.net"), extra="", top="",
             **more):
        return run(args, message, conf=self.conf_for(relay, extra, top),
                   **more)

    def served(self, relay):
        """No session broke the protocol in the relay's eyes."""
        for session in relay.settle().sessions:
            self.assertIsNone(session.error)
        return relay


class Arrival(Smtp):
    def test_starttls_and_auth_small_message_arrives_byte_for_byte(self):
        relay = self.relay()
        self.quiet(self.send(relay))
        message = relay.only()
        self.same_bytes(message.content, crlf(MESSAGE))
        self.assertEqual(message.mail_from, "alice@example.com")
        self.assertEqual(message.rcpt_to, ["bob@example.net"])
        self.assertEqual(self.served(relay).sessions[0].user, "apikey")
        self.assertTrue(relay.sessions[0].secure)

    def test_the_password_is_never_seen_in_the_clear(self):
        relay = self.relay()
        self.quiet(self.send(relay))
        self.served(relay)
        plain = relay.sessions[0].plain
        self.assertNotIn(b"AUTH", plain.upper())
        self.assertNotIn(b"MAIL", plain.upper())
        self.assertRegex(plain, rb"(?i)^EHLO client\.test\r\nSTARTTLS\r\n")

    def test_ehlo_is_said_again_inside_tls(self):
        relay = self.relay()
        self.quiet(self.send(relay))
        verbs = self.served(relay).sessions[0].verbs()
        self.assertEqual(verbs[:4], ["EHLO", "STARTTLS", "EHLO", "AUTH"])

    def test_the_server_name_is_asked_for(self):
        relay = self.relay()
        self.quiet(self.send(relay))
        self.assertEqual(self.served(relay).sessions[0].sni, "localhost")

    def test_implicit_tls(self):
        relay = self.relay(tls="implicit")
        self.quiet(self.send(relay))
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.served(relay).sessions[0].plain, b"")

    def test_without_tls_and_auth(self):
        relay = self.relay(tls="off", users=None)
        self.quiet(self.send(relay))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_a_password_without_tls_is_fine_on_loopback(self):
        relay = self.relay(tls="off")
        self.quiet(self.send(relay))
        self.assertEqual(relay.only().session.user, "apikey")

    def test_one_megabyte(self):
        relay = self.relay()
        message = letter(1 << 20)
        self.quiet(self.send(relay, message))
        self.same_bytes(relay.only().content, crlf(message))

    def test_one_megabyte_implicit_without_pipelining(self):
        relay = self.relay(tls="implicit", extensions=())
        message = letter(1 << 20)
        self.quiet(self.send(relay, message))
        self.same_bytes(relay.only().content, crlf(message))

    def test_every_size_around_the_buffers(self):
        relay = self.relay(tls="off", users=None)
        conf = self.conf_for(relay)
        sizes = [s + d for s in (4096, 16384, 32768) for d in (-2, -1, 0, 1, 2)]
        for number, size in enumerate(sizes):
            with self.subTest(size=size):
                message = letter(size)
                self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], message,
                               conf=conf))
                self.same_bytes(relay.messages[number].content, crlf(message))

    def test_aiosmtpd_starttls_and_auth(self):
        relay = self.start(AioRelay(users=USERS))
        message = letter(200000)
        self.quiet(self.send(relay, message))
        self.same_bytes(relay.only().content, crlf(message))
        self.assertEqual(relay.only().mail_from, "alice@example.com")
        self.assertEqual(relay.only().rcpt_tos, ["bob@example.net"])

    def test_aiosmtpd_implicit_tls(self):
        relay = self.start(AioRelay(tls="implicit", users=USERS))
        self.quiet(self.send(relay))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_a_unix_socket(self):
        path = self.path("relay.sock")
        relay = self.relay(tls="off", users=None, unix=path)
        self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], MESSAGE,
                       conf=self.conf(relay.route(host="unix:" + path))))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_a_server_that_knows_only_helo(self):
        relay = self.relay(tls="off", users=None,
                           replies={"ehlo": "502 5.5.1 not implemented"})
        self.quiet(self.send(relay))
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.assertIn("HELO", self.served(relay).sessions[0].verbs())

    def test_a_server_without_any_extension(self):
        relay = self.relay(tls="off", users=None, extensions=())
        self.quiet(self.send(relay))
        message = relay.only()
        self.assertEqual(message.mail, "<alice@example.com>")
        self.assertEqual(message.rcpts, ["<bob@example.net>"])

    def test_a_multi_line_greeting_and_slow_bytes(self):
        relay = self.relay(tls="off", users=None, replies={
            "greeting": ("220-one\n220-two\n220 three",),
            "mail": (b"25", 0.05, b"0-2.1.0 a\r", 0.05, b"\n250 ", 0.05,
                     b"b\r\n")})
        self.quiet(self.send(relay))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_size_is_declared_with_crlf_counted_and_stuffing_not(self):
        relay = self.relay(tls="off", users=None)
        message = HEAD + b"\n.dot\n..\nplain\n"
        self.quiet(self.send(relay, message))
        self.assertRegex(relay.only().mail, r"(?i) SIZE=%d\b"
                         % len(crlf(message)))

    def test_8bitmime_is_asked_for_with_an_8_bit_body_only(self):
        for body, wanted in ((b"caf\xc3\xa9\n", True), (b"cafe\n", False)):
            with self.subTest(body=body):
                relay = self.relay(tls="off", users=None)
                message = HEAD.replace(
                    b"Subject", b"MIME-Version: 1.0\nContent-Type: text/plain;"
                    b" charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
                    b"Subject") + b"\n" + body
                self.quiet(self.send(relay, message))
                said = "BODY=8BITMIME" in relay.only().mail.upper()
                self.assertEqual(said, wanted)
                self.same_bytes(relay.only().content, crlf(message))

    def test_an_8_bit_body_goes_as_it_is(self):
        relay = self.relay(tls="off", users=None)
        message = HEAD + b"\n" + bytes(range(128, 256)) + b"\n"
        self.quiet(self.send(relay, message))
        self.assertTrue(relay.only().content.endswith(
            b"\r\n\r\n" + bytes(range(128, 256)) + b"\r\n"))

    def test_quit_is_not_waited_for(self):
        relay = self.relay(tls="off", users=None,
                           replies={"quit": (20, "221 bye")})
        done = self.quiet(self.send(relay))
        self.assertLess(done.seconds, 8)
        self.assertEqual(len(relay.accepted()), 1)

    def test_one_session_carries_all_recipients(self):
        relay = self.relay()
        people = ["user%d@dest%d.test" % (i, i % 7) for i in range(300)]
        self.quiet(self.send(relay, args=["-i", "-f", "a@b.test", *people]))
        got = [a for m in relay.accepted() for a in m.rcpt_to]
        self.assertEqual(sorted(got), sorted(people))
        self.assertEqual(len(relay.sessions), 1)

    def test_long_addresses_fit_into_512_octets_a_line(self):
        relay = self.relay(tls="off", users=None)
        address = "%s@%s.test" % ("x" * 60, ".".join(["y" * 60] * 3))
        self.quiet(self.send(relay, args=["-i", "-f", address, address]))
        self.assertEqual(relay.only().rcpt_to, [address])
        for command in self.served(relay).sessions[0].commands:
            self.assertLessEqual(len(command), 510)

    def test_the_greeting_is_waited_for(self):
        relay = self.relay(tls="off", users=None, replies={
            "greeting": lambda session, _: (
                0.3, "220 ok" if not session.plain else "554 too early")})
        self.quiet(self.send(relay))
        self.assertEqual(len(relay.accepted()), 1)

    def test_few_turns_with_starttls_and_auth(self):
        # The server turns that the client waits for: greeting, EHLO, STARTTLS,
        # two of the handshake, EHLO, AUTH, the group up to DATA, the dot.
        relay = self.relay()
        self.quiet(self.send(relay))
        self.assertLessEqual(self.served(relay).sessions[0].wire.turns, 9)

    def test_8_turns_with_starttls_auth_and_chunking_5_with_implicit_tls(self):
        # As above, but the message comes with the group. (The relay counts
        # what comes after it has spoken: QUIT, and not the greeting.)
        for tls, turns in (("starttls", 8), ("implicit", 5)):
            relay = self.relay(tls=tls, extensions=(
                "PIPELINING", "CHUNKING", "8BITMIME"))
            self.quiet(self.send(relay))
            self.assertEqual(self.served(relay).sessions[0].wire.turns, turns)

    def test_pipelining_puts_mail_rcpt_and_data_into_one_turn(self):
        relay = self.relay(tls="off", users=None)
        self.quiet(self.send(relay))
        # greeting, EHLO, group, dot; QUIT comes without waiting for more
        self.assertLessEqual(self.served(relay).sessions[0].wire.turns, 5)

    def test_without_pipelining_every_reply_is_waited_for(self):
        relay = self.relay(tls="off", users=None, extensions=())
        self.quiet(self.send(relay))
        # greeting, EHLO, MAIL, RCPT, DATA, dot: one turn before each but EHLO
        self.assertGreaterEqual(self.served(relay).sessions[0].wire.turns, 6)

    def test_replies_are_read_while_commands_are_written(self):
        # 5000 recipients and 2.5 MB of replies: more than any buffer takes.
        relay = self.relay(tls="off", users=None, replies={
            "rcpt": "250-2.1.5 %s\n250 2.1.5 ok" % ("x" * 450)})
        people = ["user%04d@dest.test" % i for i in range(5000)]
        message = HEAD.replace(b"Bob <bob@example.net>",
                               ",\n ".join(people).encode()) + b"\ntext\n"
        self.quiet(self.send(relay, message, args=("-t", "-i", "-f",
                                                   "a@b.test")))
        got = [a for m in relay.accepted() for a in m.rcpt_to]
        self.assertEqual(sorted(got), people)

    def test_many_at_once(self):
        relay = self.relay()
        conf = self.conf_for(relay)
        with ThreadPoolExecutor(12) as pool:
            done = list(pool.map(lambda i: run(
                ["-i", "-f", "a@b.test", "u%d@dest.test" % i],
                MESSAGE + b"number %d\n" % i, conf=conf), range(40)))
        for one in done:
            self.quiet(one)
        self.assertEqual(
            sorted((m.rcpt_to[0], m.content) for m in relay.accepted()),
            sorted(("u%d@dest.test" % i, crlf(MESSAGE + b"number %d\n" % i))
                   for i in range(40)))
        entries = self.log_pairs()
        self.assertEqual(len({e["id"] for e in entries}), 40)
        self.assertEqual({e["status"] for e in entries}, {"sent"})

    def test_forty_thousand_dots(self):
        relay = self.relay(tls="off", users=None)
        message = HEAD + b"\n" + b".\n" * 40000
        self.quiet(self.send(relay, message))
        self.same_bytes(relay.only().content, crlf(message))
        self.same_bytes(relay.only().data,
                        crlf(HEAD + b"\n") + b"..\r\n" * 40000)


class Auth(Smtp):
    def test_auth_plain_with_initial_response(self):
        relay = self.relay(mechs=("PLAIN",))
        self.quiet(self.send(relay))
        said = [c for c in relay.only().session.commands
                if c.startswith("AUTH")]
        wanted = base64.b64encode(
            b"\0apikey\0" + USERS["apikey"].encode()).decode()
        self.assertEqual(said, ["AUTH PLAIN " + wanted])

    def test_auth_login_when_plain_is_not_offered(self):
        relay = self.relay(mechs=("LOGIN",))
        self.quiet(self.send(relay))
        self.assertEqual(relay.only().session.mechanism, "LOGIN")

    def test_auth_login_when_asked_for(self):
        relay = self.relay()
        self.quiet(self.send(relay, extra="auth login"))
        self.assertEqual(relay.only().session.mechanism, "LOGIN")

    def test_auth_plain_when_asked_for(self):
        relay = self.relay(mechs=("LOGIN", "PLAIN"))
        self.quiet(self.send(relay, extra="auth plain"))
        self.assertEqual(relay.only().session.mechanism, "PLAIN")

    def test_an_initial_response_that_is_too_long_is_sent_after_334(self):
        secret = "s" * 600
        relay = self.relay(users={"apikey": secret}, mechs=("PLAIN",))
        conf = self.conf(relay.route(user="apikey", password_file=self.secret(
            secret)))
        self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], MESSAGE,
                       conf=conf))
        self.assertIn("AUTH PLAIN", relay.only().session.commands)

    def test_a_password_in_the_configuration(self):
        relay = self.relay()
        conf = self.conf(relay.route(
            extra='user apikey\npassword "pass word/+=1"'))
        self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], MESSAGE,
                       conf=conf))
        self.assertEqual(relay.only().session.user, "apikey")

    def test_a_password_command(self):
        relay = self.relay()
        conf = self.conf(relay.route(
            extra='user apikey\n'
            'password-command "printf \'%s\\\\nmore\\\\n\' \'pass word/+=1\'"'))
        self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], MESSAGE,
                       conf=conf))
        self.assertEqual(relay.only().session.user, "apikey")

    def test_a_password_file_without_line_end(self):
        relay = self.relay()
        path = self.write("bare", USERS["apikey"], 0o600)
        conf = self.conf(relay.route(user="apikey", password_file=path))
        self.quiet(run(["-i", "-f", "a@b.test", "c@d.test"], MESSAGE,
                       conf=conf))
        self.assertEqual(relay.only().session.user, "apikey")

    def test_wrong_password(self):
        relay = self.relay(users={"apikey": "something else"})
        done = self.send(relay)
        self.one_line(done, 75, "535", "localhost", "auth")
        self.assertNotIn("MAIL", self.served(relay).sessions[0].verbs())
        self.assertNotIn(USERS["apikey"], done.err)

    def test_auth_is_wanted_and_not_offered(self):
        relay = self.relay(auth_line="")
        self.one_line(self.send(relay), 75, "AUTH")
        self.assertNotIn("MAIL", self.served(relay).sessions[0].verbs())

    def test_no_mechanism_in_common(self):
        relay = self.relay(auth_line="AUTH GSSAPI NTLM")
        self.one_line(self.send(relay), 75, "AUTH")
        self.assertNotIn("MAIL", self.served(relay).sessions[0].verbs())

    def test_auth_offered_in_the_old_way_with_an_equals_sign(self):
        relay = self.relay(auth_line="AUTH=LOGIN PLAIN")
        done = self.send(relay)
        # Either way is sound: understood, or refused with a clear line.
        if done.exit == 0:
            self.assertEqual(relay.only().session.user, "apikey")
        else:
            self.one_line(done, 75, "AUTH")

    def test_sendgrid_out_of_credits(self):
        relay = self.relay(replies={
            "auth": "451 Authentication failed: Maximum credits exceeded"})
        self.one_line(self.send(relay), 75, "451", "credits")

    def test_no_auth_when_off(self):
        relay = self.relay(users=None, auth_line="AUTH PLAIN")
        self.quiet(self.send(relay))
        self.assertNotIn("AUTH", self.served(relay).sessions[0].verbs())


class Recipients(Smtp):
    CODES = {2: "250 2.1.5 ok", 4: "450 4.2.1 not now", 5: "550 5.1.1 unknown"}

    def matrix(self, **how):
        for codes in itertools.product((2, 4, 5), repeat=3):
            with self.subTest(codes=codes):
                people = ["r%d@dest.test" % i for i in range(3)]
                relay = self.relay(tls="off", users=None, replies={
                    "rcpt <%s>" % p: self.CODES[c]
                    for p, c in zip(people, codes)}, **how)
                done = self.send(relay, args=["-i", "-f", "a@b.test", *people])
                status = 69 if 5 in codes else 75 if 4 in codes else 0
                self.expect(done, status)
                taken = [p for p, c in zip(people, codes) if c == 2]
                self.served(relay)
                self.assertEqual([m.rcpt_to for m in relay.accepted()],
                                 [taken] if taken else [])
                if taken:
                    self.same_bytes(relay.only().content, crlf(MESSAGE))
                for person, code in zip(people, codes):
                    named = person in done.err
                    self.assertEqual(named, code != 2, str(done))

    def test_matrix_with_pipelining(self):
        self.matrix()

    def test_matrix_without_pipelining(self):
        self.matrix(extensions=())

    def test_matrix_with_a_server_that_always_says_354(self):
        self.matrix(always_354=True)

    def test_the_relay_s_words_and_host_are_passed_on(self):
        relay = self.relay(tls="off", users=None, replies={
            "rcpt": "550 5.1.1 no such person here"})
        line = self.one_line(self.send(relay), 69, "bob@example.net", "550",
                             "no such person here", "localhost", "relay")
        self.assertNotIn("\r", line)

    def test_control_bytes_of_the_relay_do_not_reach_the_terminal(self):
        relay = self.relay(tls="off", users=None, replies={
            "rcpt": b"550 5.1.1 \x1b[2Jbad\x07\x00 one\r\n"})
        done = self.expect(self.send(relay), 69)
        self.assertNotRegex(done.err, "[\x00-\x09\x0b-\x1f\x7f]")

    def test_452_too_many_recipients_goes_in_another_transaction(self):
        def some(session, argument):
            count = session.count = getattr(session, "count", 0) + 1
            return "452 4.5.3 too many recipients" if count > 10 else None

        def mail(session, argument):
            session.count = 0

        relay = self.relay(tls="off", users=None, replies={
            "rcpt": some, "mail": mail})
        people = ["u%02d@dest.test" % i for i in range(25)]
        done = self.send(relay, args=["-i", "-f", "a@b.test", *people])
        got = [a for m in relay.accepted() for a in m.rcpt_to]
        self.assertEqual(len(got), len(set(got)), "nobody gets it twice")
        self.assertEqual(sorted(got), people, str(done))
        self.expect(done, 0)

    def test_421_at_rcpt_defers_those_without_a_result(self):
        relay = self.relay(tls="off", users=None, extensions=(), replies={
            "rcpt <b@dest.test>": ("421 4.3.2 going down", DROP)})
        done = self.send(relay, args=["-i", "-f", "a@b.test", "a@dest.test",
                                      "b@dest.test", "c@dest.test"])
        self.expect(done, 75)
        self.assertEqual(relay.accepted(), [])
        self.assertIn("421", done.err)

    def test_final_dot_refused_for_good(self):
        relay = self.relay(tls="off", users=None, replies={
            "dot": "554 5.7.1 smells of spam"})
        self.one_line(self.send(relay), 69, "554", "smells of spam")

    def test_final_dot_refused_for_now(self):
        relay = self.relay(tls="off", users=None, replies={
            "dot": "451 4.3.0 disk is full"})
        self.one_line(self.send(relay), 75, "451", "disk is full")

    def test_the_connection_dies_after_the_final_dot(self):
        for how in (DROP, SILENT):
            with self.subTest(how=how):
                relay = self.relay(tls="off", users=None,
                                   replies={"dot": (how,)})
                done = self.send(relay, top="timeout 2s\n")
                self.one_line(done, 75)
                self.assertEqual(len(relay.messages), 1)

    def test_reply_lines_with_different_codes_are_a_protocol_error(self):
        relay = self.relay(tls="off", users=None, replies={
            "dot": b"250-2.0.0 yes\r\n550 5.0.0 no\r\n"})
        self.one_line(self.send(relay), 75)

    def test_rubbish_instead_of_a_reply(self):
        for reply in (b"hello\r\n", b"99 x\r\n", b"2500 x\r\n", b"\r\n",
                      b"abc def\r\n", b"250_ok\r\n", b"650 ok\r\n"):
            with self.subTest(reply=reply):
                relay = self.relay(tls="off", users=None,
                                   replies={"mail": reply})
                self.one_line(self.send(relay, top="timeout 3s\n"), 75)
                self.assertEqual(relay.accepted(), [])

    def test_a_bare_code_is_a_reply(self):
        relay = self.relay(tls="off", users=None, replies={
            "mail": b"250\r\n", "rcpt": b"252\r\n", "dot": b"250\r\n"})
        self.quiet(self.send(relay))

    def test_an_endless_reply_is_cut_off(self):
        relay = self.relay(tls="off", users=None, replies={
            "ehlo": b"250-X" + b"y" * 3000000 + b"\r\n250 z\r\n"})
        self.one_line(self.send(relay), 75)
        relay = self.relay(tls="off", users=None, replies={
            "ehlo": b"250-XYZ\r\n" * 500000 + b"250 z\r\n"})
        self.one_line(self.send(relay), 75)

    def test_a_silent_server_is_left_after_the_timeout(self):
        for step in ("greeting", "ehlo", "mail", "rcpt", "data"):
            with self.subTest(step=step):
                relay = self.relay(tls="off", users=None,
                                   replies={step: (SILENT,)})
                done = self.send(relay, top="timeout 1s\n")
                self.one_line(done, 75)
                self.assertLess(done.seconds, 6)

    def test_a_server_that_drips_bytes_does_not_hold_us_for_ever(self):
        relay = self.relay(tls="off", users=None, replies={
            "greeting": tuple(x for _ in range(400) for x in (0.1, b"2"))})
        done = self.send(relay, top="timeout 1s\n")
        self.one_line(done, 75)
        self.assertLess(done.seconds, 12)

    def test_a_message_over_the_offered_size_is_refused_here(self):
        relay = self.relay(tls="off", users=None, extensions=("SIZE 2000",))
        self.one_line(self.send(relay, letter(3000)), 69, "2000")
        self.assertNotIn("DATA", self.served(relay).sessions[0].verbs())

    def test_size_zero_means_no_limit(self):
        relay = self.relay(tls="off", users=None, extensions=("SIZE 0",))
        self.quiet(self.send(relay, letter(3000)))

    def test_the_server_stops_reading_during_the_data(self):
        # 354, then nothing is taken from the socket any more.
        relay = self.relay(tls="off", users=None, replies={
            "data": ("354 go", 30)})
        done = self.send(relay, letter(20 << 20), top="timeout 2s\n")
        self.one_line(done, 75)
        self.assertLess(done.seconds, 15)

    def test_the_server_refuses_in_the_middle_of_the_data(self):
        relay = self.relay(tls="off", users=None, replies={
            "data": ("354 go", "552 5.3.4 enough", DROP)})
        done = self.send(relay, letter(20 << 20))
        self.assertIn(done.exit, (69, 75), str(done))
        self.assertEqual(relay.accepted(), [])


if __name__ == "__main__":
    harness.main()
