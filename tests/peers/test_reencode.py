"""Re-encoding: what does not fit the peer arrives encoded, and says the same when
Python's email, quopri and base64 have decoded it."""
import base64
import email
import email.policy
import quopri
import re
from email.header import decode_header, make_header
from email.utils import getaddresses

import harness
from harness import Case, HEAD, crlf, run
from relay import Relay, fields
from ses import Ses

SEVEN = ("PIPELINING", "SIZE 104857600", "ENHANCEDSTATUSCODES")
EIGHT = SEVEN + ("8BITMIME",)
UTF8 = EIGHT + ("SMTPUTF8",)
ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
EVERY_BYTE = bytes(c for c in range(1, 256) if c not in b"\r\n")
LENGTHS = (997, 998, 999, 1000, 1001, 100000)
LATIN = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-15\n"
MULTIPART = (b"MIME-Version: 1.0\n"
             b"Content-Type: multipart/mixed; boundary=frontier\n")


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.SMTP)


class Reencode(Case):
    def setUp(self):
        super().setUp()
        self.peers = {}

    def peer(self, extensions):
        if extensions not in self.peers:
            self.peers[extensions] = self.start(
                Relay(tls="off", extensions=extensions))
        return self.peers[extensions]

    def sent(self, message, extensions=EIGHT, args=ARGS):
        """The message as the relay took it."""
        relay = self.peer(extensions)
        before = len(relay.messages)
        self.quiet(run(args, message, conf=self.conf(relay.route())))
        self.assertEqual(len(relay.messages), before + 1)
        got = relay.messages[before]
        if got.content != crlf(message):
            self.check_form(got)
        return got

    def check_form(self, got):
        """What holds for every message that was adapted."""
        lines = got.content.split(b"\r\n")
        self.assertLessEqual(max(map(len, lines)), 998)
        self.assertNotRegex(got.content, rb"(?<!\r)\n|\r(?!\n)")
        for name in ("MIME-Version", "Content-Type",
                     "Content-Transfer-Encoding"):
            self.assertLessEqual(len(got.fields(name)), 1, name)

    def decoded(self, got):
        """The body, by the decoder that its header asks for, and by email."""
        how = got.fields("Content-Transfer-Encoding")[0].lower()
        if how == "base64":
            body = base64.b64decode(got.body, validate=False)
        elif how == "quoted-printable":
            body = quopri.decodestring(got.body)
        else:
            self.assertIn(how, ("7bit", "8bit"))
            body = got.body
        if how in ("base64", "quoted-printable"):
            self.assertEqual(got.fields("MIME-Version"), ["1.0"])
            self.assertTrue(got.content.isascii() or
                            not got.head.isascii())
            self.assertTrue(got.body.isascii())
            self.assertLessEqual(max(map(len, got.body.split(b"\r\n"))), 76)
            self.assertNotRegex(got.body, rb"(?m)^(\.|From )|[ \t]\r$")
            self.same_bytes(parsed(got.content).get_payload(decode=True), body)
        return body

    def survives(self, head, body, extensions=EIGHT, charset=None):
        """Sent and decoded, the body is what it was."""
        got = self.sent(head + b"\n" + body, extensions)
        self.same_bytes(self.decoded(got), crlf(body))
        if charset:
            self.assertEqual(parsed(got.content).get_content_charset(),
                             charset)
        # The rest of the header is as it was.
        kept = [f for f in re.split(rb"\r\n(?![ \t])", got.head) if not
                re.match(rb"(?i)content-|mime-version", f)]
        wanted = [f for f in re.split(rb"\r\n(?![ \t])", crlf(head)) if not
                  re.match(rb"(?i)content-|mime-version", f)]
        self.assertEqual(kept, wanted)
        return got


class LongLines(Reencode):
    TEXTS = {
        "ascii": b"abcdefghijklmnopqrstuvwxyz",
        "words": b"some words with . and =3D and From here ",
        "utf-8": "Grüße aus Köln, ".encode(),
        "euro": "\N{EURO SIGN}".encode(),
        "emoji": "\N{GRINNING FACE}".encode(),
        "latin-1": "Grüße, ".encode("latin-1"),
        "bytes": EVERY_BYTE,
    }

    def line(self, kind, size):
        text = self.TEXTS[kind]
        return (text * (size // len(text) + 1))[:size]

    def test_a_text_of_one_part_is_encoded_when_a_line_is_over_998(self):
        for kind in self.TEXTS:
            for size in LENGTHS:
                with self.subTest(kind=kind, size=size):
                    body = b"x\n" + self.line(kind, size) + b"\n\nend \n"
                    message = HEAD + LATIN + b"\n" + body
                    if size <= 998:
                        self.same_bytes(self.sent(message).content,
                                        crlf(message))
                        continue
                    got = self.survives(HEAD + LATIN, body,
                                        charset="iso-8859-15")
                    self.assertIn(got.fields("Content-Transfer-Encoding")[0],
                                  ("quoted-printable", "base64"))

    def test_without_mime_fields_they_are_added(self):
        for kind, charset in (("ascii", "us-ascii"), ("words", "us-ascii"),
                              ("latin-1", "unknown-8bit"),
                              ("bytes", "unknown-8bit")):
            for size in LENGTHS[2:]:
                with self.subTest(kind=kind, size=size):
                    self.survives(HEAD, self.line(kind, size) + b"\n",
                                  charset=charset)

    def test_utf8_is_said_to_be_so(self):
        for size in range(990, 1010):
            text = ("x" * (size % 4) + "ä€😀" * 200).encode()[:size]
            whole = text.decode("utf-8", "ignore").encode() == text
            with self.subTest(size=size):
                self.survives(HEAD, b"y" * 999 + text + b"\n",
                              charset="utf-8" if whole else "unknown-8bit")

    def test_lines_end_where_they_did(self):
        body = (b"\n\n.\n..\n.a\nFrom x\n>From x\n \n\t\n-- \n"
                + b"z" * 999 + b"\n\n\n")
        for head in (HEAD, HEAD + LATIN):
            got = self.survives(head, body)
            self.assertEqual(got.fields("Content-Transfer-Encoding"),
                             ["quoted-printable"])

    def test_html_and_other_single_parts(self):
        for kind in (b"text/html; charset=utf-8", b"TEXT/Calendar",
                     b"application/json"):
            with self.subTest(kind=kind):
                got = self.survives(
                    HEAD + b"Content-Type: " + kind + b"\nMIME-Version: 1.0\n"
                    b"Content-Transfer-Encoding: 8bit\n",
                    "ä".encode() + b"[1, 2]" * 500 + b"\n")
                self.assertEqual(
                    got.fields("Content-Type")[0].encode(),
                    kind + b"; charset=utf-8" if kind == b"TEXT/Calendar"
                    else kind)

    def test_a_charset_that_is_missing_is_added(self):
        head = HEAD + b"Content-Type: text/plain\n"
        for body, charset in (("Gr\u00fc\u00dfe\n".encode(), "utf-8"),
                              (b"Gr\xfc\xdfe\n", "unknown-8bit")):
            for peer in (SEVEN, EIGHT):
                with self.subTest(charset=charset, peer=peer):
                    got = self.sent(head + b"\n" + body, peer)
                    self.assertEqual(got.fields("Content-Type"),
                                     ["text/plain; charset=" + charset])
                    self.same_bytes(self.decoded(got), crlf(body))

    def test_a_megabyte_in_one_line(self):
        self.survives(HEAD, self.line("utf-8", 1 << 20) + b"\n")
        self.survives(HEAD, self.line("euro", 1 << 20) + b"\n")


class AlreadyEncoded(Reencode):
    def same_when_decoded(self, how, body, extensions=EIGHT):
        head = HEAD + LATIN + b"Content-Transfer-Encoding: " + how + b"\n"
        message = crlf(head + b"\n" + body)
        got = self.sent(head + b"\n" + body, extensions)
        self.assertNotEqual(got.content, message)
        self.same_bytes(got.head, crlf(head))
        self.assertLessEqual(max(map(len, got.body.split(b"\r\n"))), 76)
        self.same_bytes(parsed(got.content).get_payload(decode=True),
                        parsed(message).get_payload(decode=True))
        return got

    def test_base64_in_one_line(self):
        for size in (1000, 3000, 30000):
            body = base64.b64encode(EVERY_BYTE * 200)[:size // 4 * 4]
            got = self.same_when_decoded(b"base64", body + b"\n" + body
                                         + b"\n")
            self.assertEqual(got.body.replace(b"\r\n", b""), body + body)

    def test_quoted_printable_in_one_line(self):
        for shift in range(80):
            body = b"x" * shift + b"=E9 =3D" * 200 + b"\nend=\nless\n"
            self.same_when_decoded(b"quoted-printable", body)

    def test_quoted_printable_with_8_bit_bytes(self):
        self.same_when_decoded(b"quoted-printable", b"=E9 \xe9 =\n=E9\n", SEVEN)

    def test_short_lines_are_left_alone(self):
        for how, body in ((b"base64", base64.encodebytes(EVERY_BYTE)),
                          (b"quoted-printable", b"=E9" * 200 + b" =\n\n")):
            for extensions in (SEVEN, EIGHT):
                message = (HEAD + LATIN + b"Content-Transfer-Encoding: " + how
                           + b"\n\n" + body)
                self.same_bytes(self.sent(message, extensions).content,
                                crlf(message))


class Folded(Reencode):
    def unfolded(self, content):
        """Undo the folds, each of which follows a line that had to end."""
        out = bytearray()
        for line in content.split(b"\r\n"):
            if out and line[:1] == b" " and last >= 995:
                out[-2:] = line[1:]
            else:
                out += line
            out += b"\r\n"
            last = len(line)
        return bytes(out[:-2])

    def test_lines_of_a_multipart(self):
        for size in LENGTHS:
            with self.subTest(size=size):
                message = (HEAD + MULTIPART + b"\n--frontier\n\n" + b"a" * size
                           + b"\n--frontier--\n")
                got = self.sent(message).content
                self.assertEqual(got == crlf(message), size <= 998)
                self.same_bytes(self.unfolded(got), crlf(message))

    def test_never_inside_a_character(self):
        for char in "äß€中😀":
            for shift in range(5):
                with self.subTest(char=char, shift=shift):
                    text = ("x" * shift + char * 3000).encode()
                    message = (HEAD + MULTIPART + b"\n--frontier\n\n" + text
                               + b"\n--frontier--\n")
                    got = self.sent(message).content
                    for line in got.split(b"\r\n"):
                        line.decode()       # whole characters
                    self.same_bytes(self.unfolded(got), crlf(message))

    def test_a_message_in_a_message_and_unknown_encodings(self):
        for head in (b"Content-Type: message/rfc822\n",
                     b"Content-Transfer-Encoding: x-uuencode\n"):
            message = HEAD + head + b"\nX-Y: z\n\n" + b"b" * 3000 + b"\n"
            self.same_bytes(self.unfolded(self.sent(message).content),
                            crlf(message))

    def test_8_bit_parts_are_left_alone(self):
        message = (HEAD + MULTIPART + b"\n--frontier\nContent-Transfer-Encoding:"
                   b" 8bit\n\n\xe9\xa0\n--frontier--\n")
        for extensions in (SEVEN, EIGHT):
            self.same_bytes(self.sent(message, extensions).content,
                            crlf(message))


class EightBit(Reencode):
    BODIES = {
        "latin-1": "Grüße aus Köln\n".encode("latin-1"),
        "utf-8": "Grüße aus Köln\n".encode(),
        "every byte": EVERY_BYTE + b"\n",
        "mostly 8-bit": "Привет, мир\n".encode() * 50,
        "one": b"\xe9\n",
        "across blocks": "x€".encode() * 400 + b"\n" + "€\n".encode() * 9000,
    }

    def test_a_peer_without_8bitmime_gets_7_bits(self):
        for name, body in self.BODIES.items():
            for head in (HEAD, HEAD + LATIN, HEAD + LATIN
                         + b"Content-Transfer-Encoding: 8bit\n"):
                with self.subTest(body=name, head=head[len(HEAD):]):
                    got = self.survives(head, body, SEVEN)
                    self.assertTrue(got.content.isascii())
                    self.assertNotIn("BODY=", got.mail)

    def test_a_peer_with_8bitmime_gets_it_as_it_is(self):
        for name, body in self.BODIES.items():
            if name == "across blocks":
                continue                    # has long lines
            with self.subTest(body=name):
                message = HEAD + LATIN + b"\n" + body
                got = self.sent(message, EIGHT)
                self.same_bytes(got.content, crlf(message))
                self.assertIn("BODY=8BITMIME", got.mail)

    def test_mime_fields_are_added_where_none_are(self):
        for extensions in (EIGHT, UTF8):
            for body, charset in (("Grüße\n".encode(), "utf-8"),
                                  (b"Gr\xfc\xdfe\n", "unknown-8bit"),
                                  (b"\xed\xa0\x80\n", "unknown-8bit"),
                                  (b"\xc0\xaf\n", "unknown-8bit")):
                got = self.survives(HEAD, body, extensions, charset)
                self.assertEqual(got.fields("Content-Transfer-Encoding"),
                                 ["8bit"])
                self.assertEqual(got.fields("MIME-Version"), ["1.0"])
                self.assertIn("BODY=8BITMIME", got.mail)

    def test_plain_ascii_gets_nothing(self):
        message = HEAD + b"\nplain\n"
        for extensions in (SEVEN, EIGHT, UTF8):
            self.same_bytes(self.sent(message, extensions).content,
                            crlf(message))

    def test_the_size_that_is_announced_is_that_of_what_is_sent(self):
        got = self.survives(HEAD, self.BODIES["mostly 8-bit"], SEVEN)
        self.assertIn("SIZE=%d" % len(got.content), got.mail)


class Headers(Reencode):
    def head(self, **fields):
        """A header of the usual fields, some replaced or added."""
        out = HEAD
        for name, value in fields.items():
            name = name.replace("_", "-").encode()
            line = name + b": " + value + b"\n"
            out, n = re.subn(rb"(?m)^" + name + rb": .*\n",
                             lambda _: line, out)
            if not n:
                out += line
        return out

    def value(self, name, text, extensions=EIGHT):
        """What a reader sees of the field."""
        value = text if isinstance(text, bytes) else text.encode()
        got = self.sent(self.head(**{name: value}) + b"\nx\n", extensions)
        self.assertTrue(got.head.isascii(), got.head)
        self.same_bytes(got.body, b"x\r\n")
        for line in got.head.split(b"\r\n"):
            for word in re.findall(rb"=\?[^?]*\?[QB]\?[^?]*\?=", line):
                self.assertLessEqual(len(word), 75)
        return parsed(got.content)[name.replace("_", "-")]

    def test_subjects(self):
        for text in ("Grüße", "Re: Grüße aus Köln am Rhein", "é", "a é",
                     "é a", "é  é", "日本語の件名です。" * 20, "x" * 300 + "é",
                     "é" * 300, "= ? _ é=?_ x", "\"é\" (ü) <ö@ä>, (",
                     "wört " * 60 + "end", "😀" * 100):
            with self.subTest(text=text):
                self.assertEqual(str(self.value("Subject", text)), text)

    def test_beside_words_that_are_encoded_already(self):
        self.assertEqual(str(self.value(
            "Subject", "=?iso-8859-1?Q?caf=E9?= für =?utf-8?B?w6k=?= x")),
            "café für é x")

    def test_a_folded_subject(self):
        self.assertEqual(str(self.value(
            "Subject", "eins zwo\n drei für\n\tvier für\n x")),
            "eins zwo drei für\tvier für x")

    def test_bytes_that_are_no_utf8(self):
        got = self.sent(self.head(Subject=b"caf\xe9 x") + b"\nx\n")
        self.assertEqual(got.fields("Subject"),
                         ["=?unknown-8bit?Q?caf=E9?= x"])

    def test_names_in_addresses(self):
        for text, names in (
                ("Jörg <j@x.test>", ["Jörg"]),
                ("Jörg Müller <j@x.test>", ["Jörg Müller"]),
                ('"Müller, Jörg (ä)" <j@x.test>', ["Müller, Jörg (ä)"]),
                ('"a \\"b\\" ü" <j@x.test>, plain <k@x.test>',
                 ['a "b" ü', "plain"]),
                ("Jörg<j@x.test>,Ämil <k@x.test>", ["Jörg", "Ämil"]),
                ("Dr. " + "Jörg " * 40 + "<j@x.test>",
                 ["Dr. " + ("Jörg " * 40).strip()])):
            for name in ("To", "From", "Cc", "Reply_To", "Resent_From"):
                with self.subTest(text=text, name=name):
                    self.value(name, text)
                    # Not by the parser of Python's policies: it keeps the
                    # blanks between encoded words.
                    got = getaddresses(self.peer(EIGHT).messages[-1].fields(
                        name.replace("_", "-")))
                    self.assertEqual(
                        [str(make_header(decode_header(n))) for n, _ in got],
                        names)
                    self.assertEqual([a for _, a in got],
                                     ["j@x.test", "k@x.test"][:len(names)])

    def test_comments_and_groups(self):
        value = self.value("To", "j@x.test (Jörg Müller)")
        self.assertEqual([a.addr_spec for a in value.addresses], ["j@x.test"])
        self.assertIn("=?utf-8?", self.peer(EIGHT).messages[-1].fields("To")[0])
        value = self.value("Cc", "Größe Eins: a@x.test, Ö <b@x.test>;, c@x.test")
        self.assertEqual([g.display_name for g in value.groups],
                         ["Größe Eins", None])
        self.assertEqual([a.addr_spec for a in value.addresses],
                         ["a@x.test", "b@x.test", "c@x.test"])

    def test_file_names(self):
        for text, wanted in (('attachment; filename="Grüße 1.txt"',
                              "Grüße 1.txt"),
                             ("inline; filename=Grüße.txt; size=1",
                              "Grüße.txt"),
                             ('attachment;\n filename="50% \\"ü\\";.txt"',
                              '50% "ü";.txt')):
            with self.subTest(text=text):
                value = self.value("Content_Disposition", text)
                self.assertEqual(value.params["filename"], wanted)

    def test_a_peer_with_smtputf8_takes_it_as_it_is_or_encoded(self):
        # As it is wants SMTPUTF8 with MAIL.
        got = self.sent(self.head(Subject="Grüße".encode()) + b"\nx\n", UTF8)
        self.assertEqual(str(parsed(got.content)["Subject"]), "Grüße")
        self.assertEqual(got.head.isascii(), "SMTPUTF8" not in got.mail)

    def test_the_body_is_encoded_as_well(self):
        got = self.sent(self.head(Subject="Grüße".encode())
                        + "\nÄh, Grüße\n".encode(), SEVEN)
        self.assertTrue(got.content.isascii())
        self.assertEqual(str(parsed(got.content)["Subject"]), "Grüße")
        self.assertEqual(self.decoded(got), "Äh, Grüße\r\n".encode())

    def test_a_header_alone(self):
        got = self.sent(self.head(Subject="Grüße".encode()))
        self.assertEqual(str(parsed(got.content)["Subject"]), "Grüße")
        self.assertEqual(got.body, b"")


class HeaderAddresses(Reencode):
    def test_domains_become_a_labels_for_every_peer(self):
        message = HEAD.replace(b"To: Bob <bob@example.net>",
                               "To: J\u00f6rg <bob@b\u00fccher.example>,\n"
                               " c@m\u00fcnchen.example".encode()) + b"\nhi\n"
        got = self.sent(message, SEVEN)
        self.assertTrue(got.content.isascii(), got.head)
        self.assertEqual(
            [address for _, address in getaddresses(got.fields("To"))],
            ["bob@xn--bcher-kva.example", "c@xn--mnchen-3ya.example"])
        self.assertEqual(str(make_header(decode_header(
            got.fields("To")[0].split(" <")[0]))), "J\u00f6rg")

    def test_a_long_subject_comes_back_without_a_blank_too_many(self):
        for n in (490, 495, 498, 600, 2000):
            with self.subTest(n=n):
                text = "\u00e9" * n
                got = self.sent(HEAD.replace(b"Subject: peers", b"Subject: "
                                             + text.encode()) + b"\nhi\n")
                self.assertEqual(str(make_header(decode_header(
                    got.fields("Subject")[0]))), text)

    def test_smtputf8_is_asked_for_when_the_header_needs_it(self):
        message = HEAD.replace(b": peers", ": \u00e9".encode())
        for end in (b"", b"\nhi\n"):      # also without a blank line
            got = self.sent(message + end, UTF8)
            self.assertIn(" SMTPUTF8", got.mail)
        got = self.sent(HEAD + b"Content-Type: text/plain; charset=utf-8\n"
                        b"\n" + "\u00e9\n".encode(), UTF8)
        self.assertNotIn("SMTPUTF8", got.mail)


class Signed(Reencode):
    SIGNED = {
        "dkim": b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x;\n"
                b" h=from; bh=abc; b=def\n",
        "multipart": b"MIME-Version: 1.0\nContent-Type: multipart/signed;"
                     b" boundary=x; protocol=\"application/pgp-signature\"\n",
        "smime": b"MIME-Version: 1.0\nContent-Type: application/pkcs7-mime;"
                 b" smime-type=signed-data\n",
    }

    def test_nothing_is_changed(self):
        for kind, field in self.SIGNED.items():
            for extensions in (SEVEN, EIGHT, UTF8):
                with self.subTest(kind=kind, extensions=extensions):
                    message = (HEAD.replace(b"peers", "Grüße".encode()) + field
                               + b"\n\xe9" + b"z" * 5000 + b"\n")
                    self.same_bytes(self.sent(message, extensions).content,
                                    crlf(message))


class ThroughSes(Reencode):
    def sent(self, message, extensions=None, args=ARGS):
        ses = Ses()
        try:
            self.quiet(run(args, message, conf=self.conf(ses.route())))
            sent = ses.only()
        finally:
            ses.close()
        return SesMessage(sent.raw)

    def test_8_bit_text_stays_but_for_the_header(self):
        got = self.sent(HEAD.replace(b": peers", ": Grüße".encode())
                        + "\nGrüße\n".encode())
        self.assertTrue(got.head.isascii())
        self.assertEqual(str(parsed(got.content)["Subject"]), "Grüße")
        self.same_bytes(got.body, "Grüße\r\n".encode())
        self.assertEqual(got.fields("Content-Transfer-Encoding"), ["8bit"])

    def test_long_lines(self):
        for size in LENGTHS[2:]:
            got = self.sent(HEAD + b"\n" + "é".encode() * size + b"\n")
            self.check_form(got)
            self.same_bytes(self.decoded(got),
                            "é".encode() * size + b"\r\n")


class SesMessage:
    """Content that reads as the relay's messages do."""

    def __init__(self, content):
        self.content = content
        self.head, _, self.body = content.partition(b"\r\n\r\n")
        self.head += b"\r\n"
        self.fields = lambda name: fields(content, name)


if __name__ == "__main__":
    harness.main()
