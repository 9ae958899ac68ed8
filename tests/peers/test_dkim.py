"""DKIM: what goes out is signed as python3-dkim reads it."""
import base64
import os
import re
import subprocess
import time

import dkim
import harness
from harness import Case, MESSAGE, crlf, run
from relay import Relay
from ses import Ses
from signing import (ARGS, EIGHT, SEVEN, UTF8, Dkim, WithOpenDkim, corpus,
                     openssl_key, record_of)

RECORD = re.compile(r'"([^"]*)"')


class Signed(Dkim):
    def test_it_stands_before_the_message(self):
        for extensions in (SEVEN, EIGHT, UTF8):
            got = self.relayed(MESSAGE, self.relay(extensions))
            self.verify(got)
            self.assertTrue(got.endswith(crlf(MESSAGE)))
            self.assertLessEqual(max(map(len, got.split(b"\r\n"))), 100)

    def test_what_it_says(self):
        tags = self.signature(self.relayed(MESSAGE, self.relay()))
        self.assertEqual(tags[b"v"], b"1")
        self.assertEqual(tags[b"a"], b"rsa-sha256")
        self.assertEqual(tags[b"c"], b"relaxed/relaxed")
        self.assertNotIn(b"x", tags)
        names = tags[b"h"].split(b":")
        self.assertEqual(names.count(b"from"), 2)
        for name in (b"to", b"subject", b"date", b"message-id"):
            self.assertIn(name, names)

    def test_keys(self):
        relay = self.relay()
        for pem in (openssl_key(3072), openssl_key(4096),
                    openssl_key(2048, "pkcs8")):
            self.verify(self.relayed(MESSAGE, relay, pem), pem)

    def test_keys_that_are_refused(self):
        relay = self.relay()
        ec = subprocess.run(["openssl", "ecparam", "-name", "prime256v1",
                             "-genkey", "-noout"], check=True,
                            capture_output=True).stdout
        for pem, why in ((openssl_key(1024), "2048 to 4096"), (ec, "2048"),
                         (openssl_key(5120), "4096 bits"),
                         (b"nothing", "PEM")):
            done = run(ARGS, MESSAGE, conf=self.conf(
                relay.route() + self.signing(pem)))
            self.assertNotEqual(done.exit, 0)
            self.assertIn("dkim-key", done.err)
            self.assertIn(why, done.err)
        done = run(ARGS, MESSAGE, conf=self.conf(
            relay.route() + self.signing(mode=0o666)))
        self.assertNotEqual(done.exit, 0)
        self.assertIn("written by others", done.err)
        os.unlink(self.path("key.pem"))
        done = run(ARGS, MESSAGE, conf=self.path("sendroute.conf"))
        self.assertIn("dkim-key", done.err)
        self.assertEqual(relay.messages, [])

    def test_all_three_or_none(self):
        relay = self.relay()
        done = run(ARGS, MESSAGE, conf=self.conf(
            relay.route() + "\ndkim-domain example.com"))
        self.one_line(done, 78, "dkim-selector")

    def test_towards_ses(self):
        ses = self.start(Ses())
        self.quiet(run(ARGS, MESSAGE, conf=self.conf(
            ses.route() + self.signing())))
        raw = ses.only().raw
        self.verify(raw)
        names = self.signature(raw)[b"h"].split(b":")
        self.assertNotIn(b"date", names)
        self.assertNotIn(b"message-id", names)

    def test_one_signature_at_most_towards_ses(self):
        ses = self.start(Ses())
        signed = b"DKIM-Signature: v=1; d=other\n" + MESSAGE
        self.quiet(run(ARGS, signed, conf=self.conf(
            ses.route() + self.signing())))
        self.same_bytes(ses.only().raw, crlf(signed))
        got = self.relayed(signed, self.relay())
        self.verify(got)
        self.assertTrue(got.endswith(crlf(signed)))

    def test_200_messages_by_every_kind_of_route(self):
        routes = list(self.routes())
        for number, message in enumerate(corpus(200)):
            name, route, take = routes[number % len(routes)]
            self.quiet(run(ARGS, message, conf=self.conf(
                route + self.signing())))
            with self.subTest(number=number, name=name):
                self.verify(take())


class OpenDkim(WithOpenDkim):
    def test_200_messages_by_every_kind_of_route(self):
        """The same as python3-dkim reads."""
        routes, came = list(self.routes()), []
        for number, message in enumerate(corpus(200)):
            _, route, take = routes[number % len(routes)]
            self.quiet(run(ARGS, message, conf=self.conf(
                route + self.signing())))
            came.append(take())
        # And it does say no.
        came.append(came[0].replace(b"From: Alice", b"From: Malice"))
        came.append(came[1] + b"more\r\n")
        self.assertEqual(self.failures(came), [200, 201])

    def test_what_it_signs(self):
        args = ("--verify-dkim", "--dkim-keys", self.write(
            "keys", b"sel.a._domainkey.example.com " + record_of(self.pem) +
            b"\n"))
        messages = [crlf(message) for message in corpus(60, seed=8)]
        files = [self.write("m%d.eml" % number, message)
                 for number, message in enumerate(messages)]
        # (For "simple" its test mode loses blanks before a value.)
        for form in ("relaxed/relaxed", "relaxed/simple"):
            done = self.opendkim(
                "opendkim", "-f", "-vv", "-t", ",".join(files), "-x",
                self.write("opendkim.conf", "Mode s\nSyslog no\n"
                           "RequireSafeKeys no\nDomain example.com\n"
                           "Selector sel.a\nKeyFile %s\nCanonicalization %s\n"
                           "InternalHosts 0.0.0.0/0\n" % (self.write(
                               "key.pem", self.pem, 0o600), form)))
            fields = re.findall(rb"hname='DKIM-Signature' hvalue='(.*?)'\n",
                                done.stdout, re.S)
            self.assertEqual(len(fields), len(messages), done.stderr)
            for number, field in enumerate(fields):
                signed = b"DKIM-Signature: " + crlf(field) + messages[number]
                with self.subTest(number=number, form=form):
                    self.assertEqual(run(args, signed).out,
                                     "pass: d=example.com s=sel.a\n")
                    self.assertIn("body altered",
                                  run(args, signed + b"\r\nmore\r\n").out)


class Verify(Dkim):
    """Signatures by python3-dkim, and what can befall them."""

    def sign(self, message, body=b"relaxed", header=b"relaxed", **how):
        message = crlf(message)
        return dkim.sign(message, b"sel.a", b"example.com", self.pem,
                         canonicalize=(header, body), **how) + message

    def check(self, content, status, *words, record=None, keys=None):
        keys = self.write("keys", keys if keys is not None else
                          b"sel.a._domainkey.example.com " +
                          (record or record_of(self.pem)) + b"\n")
        done = run(("--verify-dkim", "--dkim-keys", keys), content)
        self.expect(done, status)
        for word in words:
            self.assertIn(word, done.out)
        return done

    def test_it_passes(self):
        for header in (b"simple", b"relaxed"):
            for body in (b"simple", b"relaxed"):
                for text in (b"", b"a\n", b"a  b \n\n\n", b"\n\n", b" \n"):
                    got = self.sign(b"From:  a@example.com\nSubject: x\n  y \n"
                                    b"\n" + text, body, header)
                    self.check(got, 0, "pass: d=example.com s=sel.a")
                    self.check(got.replace(b"\r\n", b"\n"), 0)

    def test_damage_of_the_message(self):
        good = self.sign(MESSAGE)
        self.check(good + b"more\r\n", 69, "body altered\n")
        self.check(good[:-20], 69, "body altered\n")
        self.check(good.replace(b"Subject: ", b"Subject: [l] "), 69,
                   ": header altered, or signed with another key\n")
        self.check(good.replace(b"Subject: ", b"Subject: [l] ") + b"more\r\n",
                   69, "body altered, and header altered")
        # What is not signed may be added, and what is may be moved.
        self.check(b"Received: by x\r\n" + good, 0, "pass: ")
        self.check(crlf(MESSAGE), 65, "no DKIM-Signature")

    def test_a_field_is_added(self):
        """Behind an oversigned field none can be added; elsewhere one on top."""
        names = [b"from", b"to", b"subject"]
        once = self.sign(MESSAGE, include_headers=names)
        over = self.sign(MESSAGE, include_headers=names + names)
        for text, twice, status in ((over, b"Subject: x", 69),
                                    (over, b"From: b@example.com", 69),
                                    (once, b"Subject: x", 0)):
            with self.subTest(twice=twice, status=status):
                self.check(twice + b"\r\n" + text, status,
                           "header altered" if status else "pass: ")
        self.check(once.replace(b"Subject: peers\r\n",
                                b"Subject: peers\r\nSubject: x\r\n"), 69,
                   "header altered")

    def test_a_part_of_the_body_is_signed(self):
        partly = self.sign(MESSAGE, length=True)
        self.check(partly, 0, "pass: ", "the first 31 bytes of the body alone")
        self.check(partly + b"a footer\r\n", 0, "pass: ", "the first 31 bytes")
        self.check(partly[:-20], 69, "body altered: it is shorter than l=")
        self.check(partly.replace(b"Hello", b"Hallo"), 69, "body altered\n")

    def test_damage_of_the_signature(self):
        good = self.sign(MESSAGE)
        for old, new, status, why in (
                (b"a=rsa-sha256", b"a=rsa-sha1", 69, "rsa-sha1"),
                (b"a=rsa-sha256", b"a=dsa-sha256", 69, "algorithm"),
                (b"a=rsa-sha256", b"a=ed25519-sha256", 65,
                 "skip: d=example.com s=sel.a: ed25519 is not checked"),
                (b"; d=", b"; x=1; d=", 69, "expired"),
                (b"; d=", b"; x=soon; d=", 69, "x= is no time"),
                (b"; d=", b"; l=-1; d=", 69, "l= is no number"),
                (b"bh=", b"zz=", 69, "malformed: a tag"),
                (b"; d=", b"; x=99999999999; x=99999999999; d=", 69,
                 "malformed: a tag"),
                (b"; d=", b"; d=example.com; d=", 69, "malformed: a tag"),
                (b"v=1", b"v=2", 69, "malformed: a tag"),
                (b"c=relaxed/", b"c=nofws/", 69, "c= is not known"),
                (b"q=dns/txt", b"q=http", 69, "not in the DNS"),
                (b"bh=", b"bh=*", 69, "malformed: b= or bh="),
                (b" b=", b" b=*", 69, "malformed: b= or bh=")):
            with self.subTest(new=new):
                self.assertEqual(good.count(old, 0, good.index(b"From: ")), 1)
                self.check(good.replace(old, new, 1), status, why)
        field, rest = good.split(b"From: ", 1)
        self.check(re.sub(rb"\bfrom\b", b"form", field) + b"From: " + rest, 69,
                   "From is not signed")

    def test_a_signature_that_would_keep_us_busy(self):
        many = b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=sel.a; " \
            b"bh=%s; b=AAAA; h=from%s\r\n" % (b"A" * 43 + b"=", b":a" * 90000)
        began = time.monotonic()
        self.check(many + b"a:\r\n" * 90000 + crlf(MESSAGE), 69,
                   "malformed: h= is too long")
        self.assertLess(time.monotonic() - began, 10)

    def test_the_identity(self):
        """i= within d=, and the same when the key says so (t=s)."""
        strict = record_of(self.pem) + b"; t=s"
        for who, any_key, strict_key in (
                (b"@example.com", 0, 0), (b"joe@example.com", 0, 0),
                (b"joe@sub.example.com", 0, 69),
                (b"joe@badexample.com", 69, 69), (b"@example", 69, 69),
                (b"example.com", 69, 69)):
            good = self.sign(MESSAGE).replace(
                b"i=@example.com", b"i=" + who, 1) if any_key else \
                self.sign(MESSAGE, identity=who)
            with self.subTest(who=who):
                self.check(good, any_key, "mismatch" if any_key else "pass: ")
                self.check(good, strict_key, "mismatch" if strict_key else
                           "pass: ", record=strict)
        self.check(self.sign(MESSAGE), 0, "pass: ", record=strict)

    def test_damage_of_the_key(self):
        good, record = self.sign(MESSAGE), record_of(self.pem)
        self.check(good, 69, "key missing", keys=b"")
        self.check(good, 69, "key missing",
                   keys=b"other._domainkey.example.com " + record + b"\n")
        small = self.pem
        self.pem = openssl_key(1024)
        self.check(self.sign(MESSAGE), 0, "pass: ")
        self.pem = openssl_key(768)
        self.check(self.sign(MESSAGE), 69, "has not 1024 to 4096 bits")
        self.pem = small
        for changed, why in (
                (b"v=DKIM1; p=", "key revoked"),
                (b"v=DKIM1", "record of its key is malformed"),
                (record.replace(b"DKIM1", b"DKIM2"), "record of its key is mal"),
                (record + b"; k=rsa", "record of its key is malformed"),
                (record.replace(b"k=rsa", b"k=ed25519"), "not for RSA (k=)"),
                (record + b"; h=sha1", "not for sha256 (h=)"),
                (record + b"; s=tlsrpt", "not for mail (s=)"),
                (record.replace(b"p=", b"p=*"), "is no RSA key"),
                (record[:-40], "is no RSA key"),
                (record_of(openssl_key(3072)), "signed with another key")):
            with self.subTest(changed=changed):
                self.check(good, 69, why, record=changed)
        for changed in (record + b"; h=sha1:sha256", record + b"; s=email",
                        record + b"; s=*:x", record + b"; n=a note; t=y;",
                        record.replace(b"v=DKIM1; k=rsa; ", b""),
                        record.replace(b"p=", b"p= \t").replace(b";", b" ; ")):
            with self.subTest(changed=changed):
                self.check(good, 0, "pass: ", record=changed)

    def test_the_key_by_itself(self):
        """As RFC 6376 has it, without what says that it is an RSA key."""
        der = subprocess.run(["openssl", "rsa", "-RSAPublicKey_out", "-outform",
                              "DER"], input=self.pem, check=True,
                             capture_output=True).stdout
        self.check(self.sign(MESSAGE), 0, "pass: ",
                   record=b"v=DKIM1; p=" + base64.b64encode(der))

    def test_several_signatures(self):
        """Each has its line; one that fails is told by the exit status."""
        one = self.sign(MESSAGE)
        two = dkim.sign(one, b"sel.b", b"example.net", openssl_key(3072)) + one
        keys = (b"sel.a._domainkey.example.com " + record_of(self.pem) +
                b"\nsel.b._domainkey.example.net " +
                record_of(openssl_key(3072)) + b"\n")
        lines = ["pass: d=example.net s=sel.b", "pass: d=example.com s=sel.a"]
        done = self.check(two, 0, keys=keys)
        self.assertEqual(done.out.splitlines(), lines)
        broken = two.replace(b"a=rsa-sha256", b"a=rsa-sha1", 1)
        done = self.check(broken, 69, keys=keys)
        self.assertRegex(done.out, r"\Afail: d=example.net .*\npass: "
                         r"d=example.com s=sel.a\n\Z")
        skipped = two.replace(b"a=rsa-sha256", b"a=ed25519-sha256", 1)
        done = self.check(skipped, 0, keys=keys)
        self.assertRegex(done.out, r"\Askip: .*\npass: d=example.com s=sel.a"
                         r"\n\Z")


class Keygen(Case):
    def test_a_key_that_signs(self):
        done = run(("--dkim-keygen", self.dir, "example.com"), b"")
        self.expect(done, 0)
        self.assertEqual(done.err, "")
        name, = [n for n in os.listdir(self.dir) if n.endswith(".pem")]
        path = self.path(name)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        check = subprocess.run(["openssl", "rsa", "-check", "-noout", "-in",
                                path], capture_output=True)
        self.assertEqual(check.returncode, 0, check.stderr)
        strings = RECORD.findall(done.out)
        self.assertLessEqual(max(map(len, strings)), 255)
        with open(path, "rb") as file:
            pem = file.read()
        self.assertEqual("".join(strings).encode(), record_of(pem))
        selector = name[:-4]
        self.assertIn("%s._domainkey.example.com. IN TXT" % selector, done.out)
        relay = self.start(Relay(tls="off"))
        lines = "\n".join(done.out.splitlines()[-3:])
        self.quiet(run(ARGS, MESSAGE, conf=self.conf(
            relay.route() + "\n" + lines)))
        got = relay.only().content
        self.assertTrue(dkim.DKIM(got).verify(
            dnsfunc=lambda name, timeout=5: record_of(pem)))
        again = run(("--dkim-keygen", self.dir), b"")
        self.one_line(again, 73, "never overwritten")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), pem)


if __name__ == "__main__":
    harness.main()
