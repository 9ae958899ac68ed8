"""What the tests of DKIM share: keys, routes that sign, and messages to be signed."""
import base64
import functools
import os
import random
import re
import subprocess
import unittest

import dkim
import unpack
from harness import EIGHT_BIT, Case, MESSAGE, crlf, run
from relay import Relay
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
SEVEN = ("PIPELINING", "SIZE 104857600")
EIGHT = SEVEN + ("8BITMIME",)
UTF8 = EIGHT + ("SMTPUTF8", "CHUNKING")
WORDS = (b"one", b"two  blanks", b"tab\there", b".dot", b"From here", b"end ",
         b"", b" ", b"\t", "h\u00e4user".encode(), b"=3D", b"x" * 70)
FIELDS = (b"Subject: a  subject\n\tfolded \n  here", b"Subject:", b"Cc: x@y.example",
          b"Reply-To:  Bob   <b@example.com>  ", b"X-Other: is not signed",
          b"Subject: twice", b"List-Id: <l.example.com>",
          b"List-Unsubscribe: <mailto:u@example.com>,\n <https://e.example/u>",
          b"References: " + b"\n ".join(b"<%d@example.com>" % i
                                       for i in range(60)),
          b"In-Reply-To: <1@example.com>", b"To: a@example.net, \n\tb@example.net",
          "Subject: gr\u00fc\u00dfe".encode())


@functools.lru_cache(None)
def openssl_key(bits=2048, form="traditional"):
    made = ["openssl", "genrsa", str(bits)]
    if form == "traditional":
        made.insert(2, "-traditional")
    return subprocess.run(made, check=True, capture_output=True).stdout


@functools.lru_cache(None)
def record_of(pem):
    der = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"],
                         input=pem, check=True, capture_output=True).stdout
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)


def corpus(count, seed=7):
    """So many messages: fields folded, repeated, empty and of 8 bits, with and
    without MIME; bodies empty, with blank lines at their end, with long lines."""
    chance = random.Random(seed)
    for number in range(count):
        head = b"".join(chance.choice(FIELDS) + b"\n" for _ in
                        range(chance.randrange(8)))
        if chance.random() < 0.25:
            head += EIGHT_BIT.replace(b"x-any", b"utf-8")
        body = b"\n".join(chance.choice(WORDS) for _ in
                          range(chance.choice((0, 1, 5, 400))))
        if chance.random() < 0.1:
            body += b"y" * chance.choice((997, 998, 999, 5000))
        body += b"\n" * chance.randrange(4)
        yield (b"From: Alice <alice@example.com>\n" + head +
               (b"\n" + body if number % 7 else b""))


class Dkim(Case):
    def setUp(self):
        super().setUp()
        self.pem = openssl_key()

    def signing(self, pem=None, mode=0o600):
        return ("\ndkim-domain example.com\ndkim-selector sel.a\ndkim-key %s"
                % self.write("key.pem", pem or self.pem, mode))

    def verify(self, content, pem=None):
        def txt(name, timeout=5):
            self.assertEqual(name, b"sel.a._domainkey.example.com.")
            return record_of(pem or self.pem)
        self.assertTrue(content.startswith(b"DKIM-Signature: "))
        self.assertTrue(dkim.DKIM(content).verify(dnsfunc=txt),
                        content[:2000])

    def signature(self, content):
        field = re.match(rb"DKIM-Signature:(.*(?:\r\n[ \t].*)*)\r\n", content)
        return dict((tag.strip(), b"".join(value.split())) for tag, value in
                    (pair.split(b"=", 1) for pair in
                     field.group(1).split(b";")))

    def relayed(self, message, relay, pem=None, args=ARGS):
        before = len(relay.messages)
        self.quiet(run(args, message, conf=self.conf(
            relay.route() + self.signing(pem))))
        return relay.messages[before].content

    def relay(self, extensions=EIGHT):
        return self.start(Relay(tls="off", extensions=extensions))

    def routes(self):
        """(name, section, take) of each kind that signs: take() gives what came
        by it since the last time."""
        for extensions in (SEVEN, EIGHT, UTF8):
            relay = self.relay(extensions)
            yield extensions[-1], relay.route(), \
                lambda relay=relay: relay.messages.pop().content
        ses = self.start(Ses())
        yield "ses", ses.route(), lambda: ses.sent.pop().raw
        yield "maildir", "route box\ntype maildir\npath %s\nsenders *\n" % \
            self.path("box"), self.from_maildir

    def from_maildir(self):
        """Without what delivery puts on top, and with the line ends it had."""
        name, = os.listdir(self.path("box/new"))
        with open(self.path("box/new/" + name), "rb") as file:
            text = file.read()
        os.unlink(file.name)
        return crlf(text[text.index(b"DKIM-Signature"):])


class WithOpenDkim(Dkim):
    """A second opinion on what we sign, and ours on what it signs."""

    @classmethod
    def setUpClass(cls):
        try:
            cls.root = unpack.tree("opendkim")
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))

    def opendkim(self, name, *args, **how):
        return subprocess.run([self.root + "/usr/sbin/" + name, *args],
                              env=unpack.environment(self.root),
                              capture_output=True, **how)

    def failures(self, contents):
        """The numbers of those whose signature it does not accept."""
        conf = self.write("opendkim.conf", "Mode v\nSyslog no\nTestDNSData "
                          "file:%s\n" % self.write(
                              "names", b"sel.a._domainkey.example.com " +
                              record_of(self.pem) + b"\n"))
        files = [self.write("m%d.eml" % number, content)
                 for number, content in enumerate(contents)]
        done = self.opendkim("opendkim", "-x", conf, "-f", "-v", "-t",
                             ",".join(files))
        found = re.findall(rb"/m(\d+).eml: verification \(.*\) (\w+)",
                           done.stdout)
        self.assertEqual(sorted(int(number) for number, _ in found),
                         list(range(len(contents))), done.stderr)
        return [int(number) for number, word in found if word != b"succeeded"]
