"""Several messages on one connection: each arrives once, whole, under its own name.

They are handed over by tests/unit/test_smtp_drive.c, so that it is smtp.c alone
that is tried here.
"""
import random
import ssl

import harness
from certs import certificates
from harness import Case, HEAD, crlf, drive, letter
from relay import DROP, SILENT, Relay

USERS = {"apikey": "pass word/+=1"}
PLAIN = ("SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
PIPELINING = PLAIN + ("PIPELINING",)
CHUNKING = PLAIN + ("CHUNKING",)
BOTH = PIPELINING + ("CHUNKING",)
OFFERS = {"both": BOTH, "pipelining": PIPELINING, "chunking": CHUNKING,
          "neither": PLAIN}
FAR = (0.08, "250-relay.test\n" + "\n".join("250 " + e for e in BOTH))


class Batch(Case):

    def relay(self, **how):
        how.setdefault("tls", "off")
        how.setdefault("extensions", BOTH)
        return self.start(Relay(**how))

    def drive(self, relay, messages, calls=1, top=""):
        more = {"user": "apikey", "password_file": self.secret(
            USERS["apikey"])} if relay.users else {}
        return drive(self, self.conf(relay.route(**more), top=top), messages,
                     calls)

    def came_once(self, relay, messages, result):
        """What was sent, and nothing else, is at the relay, whole and for the
        right people; what was not sent is not."""
        relay.settle()
        came = {}
        for m in relay.accepted():
            for to in m.rcpt_to:
                self.assertNotIn((m.mail_from, to), came, "arrived twice")
                came[m.mail_from, to] = m.content
        for number, (sender, recipients, content) in enumerate(messages):
            for to in recipients:
                if result[number, to][0] == "sent":
                    self.same_bytes(came.pop((sender, to)), content, sender)
        self.assertEqual(list(came), [])


def some(count, sizes=(300, 2000, 9000), recipients=1):
    """Messages that all differ."""
    made = []
    for i in range(count):
        body = letter(sizes[i % len(sizes)])
        content = crlf(HEAD + b"X-Number: %d\n" % i + body[len(HEAD):])
        made.append(("f%d@sender.test" % i,
                     ["r%d-%d@rcpt.test" % (i, k) for k in range(recipients)],
                     content))
    return made


class Arrival(Batch):

    def test_sixty_messages_by_every_offer(self):
        messages = some(60)
        for name, offer in OFFERS.items():
            with self.subTest(offer=name):
                relay = self.relay(extensions=offer)
                result = self.drive(relay, messages)
                self.assertEqual({r[0] for r in result.values()}, {"sent"})
                self.came_once(relay, messages, result)
                self.assertEqual(len(relay.sessions), 1)
                verbs = relay.sessions[0].verbs()
                self.assertEqual("BDAT" in verbs, "CHUNKING" in offer)
                self.assertEqual("RSET" in verbs, name == "both")

    def test_small_and_large_over_starttls_with_auth(self):
        messages = some(24, (500, 65536, 65537, 200000, 60000))
        for offer in OFFERS.values():
            relay = self.relay(tls="starttls", users=USERS, extensions=offer)
            result = self.drive(relay, messages)
            self.came_once(relay, messages, result)
            self.assertEqual({r[0] for r in result.values()}, {"sent"})
            self.assertEqual(len(relay.sessions), 1)

    def test_a_tls_session_is_resumed(self):
        """Each message has a connection, and all but the first one come in
        without certificates."""
        messages = some(4, (500,))
        for mode in ("starttls", "implicit"):
            relay = self.relay(tls=mode, users=USERS, replies={
                "mail": lambda session, _: None if session.verbs().count(
                    "MAIL") == 1 else ("421 4.7.0 enough", DROP)})
            relay.context.maximum_version = ssl.TLSVersion.TLSv1_2
            result = self.drive(relay, messages, calls=4)
            self.came_once(relay, messages, result)
            self.assertEqual({r[0] for r in result.values()}, {"sent"})
            self.assertEqual([s.resumed for s in relay.sessions],
                             [False, True, True, True])

    def test_a_relay_that_has_forgotten_the_session(self):
        messages = some(3, (500,))
        relay = self.relay(tls="starttls", users=USERS, replies={
            "mail": lambda session, _: None if session.verbs().count(
                "MAIL") == 1 else ("421 4.7.0 enough", DROP)})

        def another(session, _):
            relay.context = certificates.context()
        relay.replies["quit"] = relay.replies["starttls"] = another
        result = self.drive(relay, messages, calls=3)
        self.came_once(relay, messages, result)
        self.assertEqual({r[0] for r in result.values()}, {"sent"})
        self.assertEqual([s.resumed for s in relay.sessions], [False] * 3)

    def test_far_away_many_leave_at_once(self):
        messages = some(150)
        relay = self.relay(replies={"ehlo": FAR})
        result = self.drive(relay, messages)
        self.came_once(relay, messages, result)
        self.assertEqual({r[0] for r in result.values()}, {"sent"})
        self.assertEqual(len(relay.sessions), 1)

    def test_one_connection_serves_several_calls(self):
        messages = some(30)
        for offer in OFFERS.values():
            relay = self.relay(extensions=offer)
            result = self.drive(relay, messages, calls=10)
            self.came_once(relay, messages, result)
            self.assertEqual(len(relay.sessions), 1)

    def test_a_peer_that_does_not_read_while_it_writes(self):
        """Long answers to much that is sent: nobody waits for the other."""
        long = "\n".join(["250 " + "x" * 500] * 20)
        messages = some(60, (60000, 300, 65000), recipients=3)
        relay = self.relay(replies={"ehlo": FAR, "rcpt": long, "mail": long,
                                    "rset": long})
        result = self.drive(relay, messages)
        self.came_once(relay, messages, result)
        self.assertEqual({r[0] for r in result.values()}, {"sent"})


class Refusals(Batch):

    def test_everyone_of_some_messages_is_refused(self):
        """Whatever is left open, nothing leaves under another's name."""
        messages = some(40, recipients=2)

        def no(session, argument):
            number = int(argument.split("-")[0][2:])
            return "550 5.1.1 no" if number % 4 == 1 or (
                number % 4 == 3 and "-1@" in argument) else None

        for name, offer in OFFERS.items():
            for far in (False, True) if name == "both" else (False,):
                with self.subTest(offer=name, far=far):
                    relay = self.relay(extensions=offer, replies={
                        "rcpt": no, **({"ehlo": FAR} if far else {})})
                    result = self.drive(relay, messages)
                    self.came_once(relay, messages, result)
                    for (number, to), (outcome, code, _) in result.items():
                        self.assertEqual(outcome, "failed" if number % 4 == 1
                                         or number % 4 == 3 and "-1@" in to
                                         else "sent")

    def test_a_refused_chunk_may_leave_its_transaction_open(self):
        messages = some(40)

        def verdict(session, sender):
            number = int(sender[2:].split("@")[0])
            return {1: "554 5.6.0 spam", 2: "451 4.3.0 later"}.get(number % 5)

        relay = self.relay(stays_open=True, replies={"bdat": verdict})
        result = self.drive(relay, messages)
        self.came_once(relay, messages, result)
        for (number, _), (outcome, code, _) in result.items():
            self.assertEqual((outcome, code), {
                1: ("failed", 554), 2: ("deferred", 451)}.get(
                    number % 5, ("sent", 250)))

    def test_fifty_recipients_are_as_many_as_a_message_may_have(self):
        messages = some(4, recipients=90)
        for offer in OFFERS.values():
            room = {}

            def few(session, argument):
                mail = "".join(c[0] for c in session.verbs()).rindex("M")
                room[mail] = room.get(mail, 0) + 1
                return "452 4.5.3 too many" if room[mail] > 50 else None

            relay = self.relay(extensions=offer, replies={"rcpt": few})
            result = self.drive(relay, messages)
            self.came_once(relay, messages, result)
            self.assertEqual({r[0] for r in result.values()}, {"sent"})
            self.assertEqual(len(relay.accepted()), 8)


class BrokenChunking(Batch):

    def test_bdat_that_is_not_known_is_not_insisted_on(self):
        """The chunk is read as commands, so nothing that is said then counts."""
        messages = some(5)
        text = crlf(HEAD) + b"\r\n" + b"".join(
            line + b"\r\n" for line in (
                b"RSET", b"MAIL FROM:<evil@sender.test>",
                b"RCPT TO:<victim@rcpt.test>", b"NOOP"))
        messages[0] = (messages[0][0], messages[0][1], text)
        relay = self.relay(no_bdat=True)
        result = self.drive(relay, messages)
        self.came_once(relay, messages, result)
        self.assertEqual({r[0] for r in result.values()}, {"sent"})
        self.assertEqual(len(relay.sessions), 2)
        self.assertEqual(relay.sessions[0].verbs().count("BDAT"), 1)
        self.assertNotIn("BDAT", relay.sessions[1].verbs())


class Endings(Batch):

    def test_a_server_that_ends_after_three_messages(self):
        messages = some(20)
        taken = {}

        def three(session, argument):
            taken[session] = taken.get(session, 0) + 1
            return "421 4.7.0 three are enough" if taken[session] > 3 else None

        for name, offer in OFFERS.items():
            with self.subTest(offer=name):
                relay = self.relay(extensions=offer,
                                   replies={"mail": three, "quit": DROP})
                result = self.drive(relay, messages)
                self.came_once(relay, messages, result)
                self.assertEqual({r[0] for r in result.values()}, {"sent"})
                self.assertEqual(len(relay.sessions), 7)

    def test_silence_behind_a_421_is_no_good_bye(self):
        """It may be busy with the message that came behind: that is in doubt."""
        messages = some(3)
        relay = self.relay(replies={
            "rcpt <r1-0@rcpt.test>": "421 not him", "bdat": [
                None, SILENT]})
        result = self.drive(relay, messages, top="timeout 1s\n")
        self.assertEqual([result[i, "r%d-0@rcpt.test" % i] for i in range(3)],
                         [("sent", 250, False), ("deferred", 421, True),
                          ("deferred", 0, False)])

    def test_a_server_that_hangs_up_at_random(self):
        """Nothing doubled but what is called ambiguous, and nothing lost."""
        messages = some(60)
        for name, offer in OFFERS.items():
            for seed in range(3):
                with self.subTest(offer=name, seed=seed):
                    chance = random.Random(seed)

                    def maybe(session, argument):
                        return DROP if chance.random() < 0.05 else None

                    relay = self.relay(extensions=offer, replies={
                        step: maybe for step in ("mail", "rcpt", "data",
                                                 "dot", "bdat", "rset")})
                    result = self.drive(relay, messages)
                    relay.settle()
                    count = {}
                    for m in relay.accepted():
                        count[m.mail_from] = count.get(m.mail_from, 0) + 1
                    for (number, _), (outcome, _, untaken) in result.items():
                        came = count.get("f%d@sender.test" % number, 0)
                        self.assertEqual(outcome == "failed", False)
                        if outcome == "sent":
                            self.assertEqual(came, 1)
                        elif untaken:
                            self.assertEqual(came, 0)
                        else:
                            self.assertLessEqual(came, 1)


if __name__ == "__main__":
    harness.main()
