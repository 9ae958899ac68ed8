"""Relays and SES by way of a proxy: our own, which keeps what it is asked, and the
distribution's."""
import base64
import re
import socket
import unittest

import harness
import unpack
from awsfakes import Container, Imds, Sts
from harness import Case, MESSAGE, closed_port, crlf, letter, run
from mailserver import Unstarted, wait_until
from proxies import (Dante, Microsocks, Proxy, Squid, Ssh, Tinyproxy)
from relay import Relay
from ses import KEY, SECRET, Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
LOGIN = ("us@er", "p:a/ss%w\u00f6rd")
ENCODED = "us%40er:p%3Aa%2fss%25w%C3%B6rd@"
PLAIN = tuple(text.encode() for text in LOGIN)
BASIC = base64.b64encode(b":".join(PLAIN)).decode()


class ProxyCase(Case):
    def relay(self, **how):
        return self.start(Relay(cert="named", **how))

    def ses(self, name="ses.test", port=None, **how):
        """An endpoint of a name that this machine cannot resolve."""
        ses = self.start(Ses(cert="named", **how))
        ses.url = "https://%s:%d" % (name, ses.port)
        ses.hosts += ("%s:%d" % (name, ses.port), name)
        return ses

    def proxy(self, *servers, **how):
        hosts = dict(how.pop("hosts", {}))
        for server in servers:
            name = "ses.test" if isinstance(server, Ses) else "relay.test"
            hosts["%s:%d" % (name, server.port)] = server.port
        return self.start(Proxy(hosts=hosts, **how))

    def send(self, route, message=MESSAGE, more="", top="", env=None,
             args=ARGS):
        return run(args, message, env=env, conf=self.conf(route, more, top=top))

    def came(self, relay, message=MESSAGE):
        self.same_bytes(relay.only().content, crlf(message))

    def route(self, relay, url, **how):
        how.setdefault("extra", "")
        how["extra"] += "proxy " + url
        return relay.route(host="relay.test", **how)


class Ours(ProxyCase):
    def test_a_relay_of_every_kind(self):
        for kind in ("http", "socks"):
            for tls in ("starttls", "implicit", "off"):
                with self.subTest(kind=kind, tls=tls):
                    relay = self.relay(tls=tls)
                    proxy = self.proxy(relay, kind=kind)
                    self.quiet(self.send(self.route(relay, proxy.url())))
                    self.came(relay)
                    self.assertEqual(proxy.asked,
                                     ["relay.test:%d" % relay.port])

    def test_what_an_http_proxy_is_asked(self):
        for login in (None, PLAIN):
            relay = self.relay()
            proxy = self.proxy(relay, login=login)
            self.quiet(self.send(self.route(relay, proxy.url(
                ENCODED if login else ""))))
            self.came(relay)
            to = "relay.test:%d" % relay.port
            self.assertEqual(proxy.heads, [(
                "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (
                    to, to, "Proxy-Authorization: Basic %s\r\n" % BASIC
                    if login else "")).encode()])

    def test_what_a_socks_proxy_is_asked(self):
        for login, scheme in ((None, "socks5"), (PLAIN, "socks5"),
                              (PLAIN, "socks5h")):
            relay = self.relay()
            proxy = self.proxy(relay, kind="socks", login=login)
            url = proxy.url(ENCODED if login else "").replace("socks5", scheme)
            self.quiet(self.send(self.route(relay, url)))
            self.came(relay)
            said = b"\5\1\0"
            if login:
                said = b"\5\2\0\2\1%c%s%c%s" % (
                    len(PLAIN[0]), PLAIN[0], len(PLAIN[1]), PLAIN[1])
            self.assertEqual(proxy.heads, [
                said + b"\5\1\0\3\x0arelay.test" +
                relay.port.to_bytes(2, "big")])

    def test_addresses_go_as_they_are(self):
        for kind in ("http", "socks"):
            for host, to in (("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"),
                             ("::1", "[::1]")):
                with self.subTest(kind=kind, host=host):
                    relay = self.relay(tls="off")
                    known = "%s:%d" % (to if kind == "http" else
                                       to.strip("[]"), relay.port)
                    proxy = self.proxy(kind=kind, hosts={known: relay.port})
                    self.quiet(self.send(relay.route(
                        host=host, extra="proxy " + proxy.url())))
                    self.came(relay)
                    self.assertEqual(proxy.asked, [known])

    def test_localhost_is_the_proxy_s(self):
        relay = self.relay()
        proxy = self.proxy(hosts={"localhost:%d" % relay.port: relay.port})
        self.quiet(self.send(relay.route(extra="proxy " + proxy.url())))
        self.came(relay)
        self.assertEqual(len(proxy.asked), 1)

    def test_a_large_message_arrives_byte_for_byte(self):
        message = letter(3 << 20)
        for kind in ("http", "socks"):
            relay = self.relay()
            proxy = self.proxy(relay, kind=kind)
            self.quiet(self.send(self.route(relay, proxy.url()), message))
            self.came(relay, message)

    def test_lmtp(self):
        relay = self.relay(tls="off")
        proxy = self.proxy(relay)
        route = self.route(relay, proxy.url()).replace("type smtp",
                                                       "type lmtp")
        self.one_line(self.send(route), 75, "LHLO", "relay.test:%d via"
                      % relay.port)
        self.assertEqual(len(proxy.asked), 1)

    def test_the_greeting_right_behind_the_answer(self):
        for kind in ("http", "socks"):
            for tls in ("starttls", "off"):
                with self.subTest(kind=kind, tls=tls):
                    relay = self.relay(tls=tls)
                    proxy = self.proxy(relay, kind=kind, coalesce=True)
                    self.quiet(self.send(self.route(relay, proxy.url())))
                    self.came(relay)

    def test_bytes_before_the_handshake_are_an_attack(self):
        for kind in ("http", "socks"):
            for inject in (b"\x16\3\3\0\2", b"220 relay.test\r\n"):
                with self.subTest(kind=kind, inject=inject):
                    relay = self.relay(tls="implicit")
                    proxy = self.proxy(relay, kind=kind, inject=inject)
                    self.one_line(self.send(self.route(relay, proxy.url())),
                                  75, "before the TLS handshake")
                    ses = self.ses()
                    proxy = self.proxy(ses, kind=kind, inject=inject)
                    self.one_line(self.send(ses.route(
                        extra="proxy " + proxy.url())), 75,
                        "before the TLS handshake")
                    self.assertEqual((relay.messages, ses.sent), ([], []))

    def test_the_certificate_is_the_host_s(self):
        relay = self.start(Relay(tls="implicit"))       # for localhost alone
        proxy = self.proxy(relay)
        self.one_line(self.send(self.route(relay, proxy.url())), 75,
                      "certificate", "relay.test")
        self.assertEqual(relay.messages, [])

    def test_the_source_address_is_for_the_way_to_the_proxy(self):
        relay = self.relay()
        proxy = self.proxy(relay)
        self.quiet(self.send(self.route(relay, proxy.url(),
                                        extra="source-address 127.0.0.9\n")))
        self.came(relay)
        self.assertEqual(proxy.clients, ["127.0.0.9"])

    def test_a_queue_run_takes_it_too(self):
        import os
        os.mkdir(self.path("queue"), 0o700)
        relay = self.relay()
        proxy = self.proxy(relay)
        top = "queue %s\n" % self.path("queue")
        conf = self.conf(self.route(relay, proxy.url()), top=top)
        for _ in range(3):
            self.quiet(run(("-odq",) + ARGS, MESSAGE, conf=conf))
        self.expect(run(["-qf"], conf=conf), 0)
        self.assertEqual(len(relay.accepted()), 3)
        self.assertEqual(len(proxy.asked), 1)


class SesByProxy(ProxyCase):
    def test_it_arrives(self):
        for kind in ("http", "socks"):
            for login in (None, PLAIN):
                with self.subTest(kind=kind, login=login):
                    ses = self.ses()
                    proxy = self.proxy(ses, kind=kind, login=login)
                    url = proxy.url(ENCODED if login else "")
                    self.quiet(self.send(ses.route(extra="proxy " + url)))
                    self.same_bytes(ses.only().raw, crlf(MESSAGE))
                    self.assertEqual(ses.errors, [])
                    self.assertEqual(proxy.asked, ["ses.test:%d" % ses.port])

    def test_the_region_s_own_endpoint_and_sts(self):
        ses = self.ses("email.eu-west-1.amazonaws.com")
        sts = self.start(Sts(ses, tls=True, cert="named"))
        sts.hosts += ("sts.eu-west-1.amazonaws.com",)
        proxy = self.proxy(hosts={
            "email.eu-west-1.amazonaws.com:443": ses.port,
            "sts.eu-west-1.amazonaws.com:443": sts.port})
        route = re.sub("endpoint .*\n", "", ses.route())
        role = "role-arn arn:aws:iam::123456789012:role/mail\n"
        for extra, env in (("proxy " + proxy.url(), {}),
                           ("", {"HTTPS_PROXY": proxy.url()})):
            with self.subTest(env=env):
                del proxy.asked[:], ses.sent[:]
                self.quiet(self.send(route + role + extra + "\n", env=env))
                self.same_bytes(ses.only().raw, crlf(MESSAGE))
                self.assertEqual(proxy.asked,
                                 ["sts.eu-west-1.amazonaws.com:443",
                                  "email.eu-west-1.amazonaws.com:443"])
                self.assertEqual((ses.errors, sts.errors), ([], []))

    def test_web_identity_asks_by_proxy_too(self):
        ses = self.ses()
        sts = self.start(Sts(ses, tokens=["web-token"], tls=True,
                             cert="named"))
        sts.hosts += ("sts.eu-west-1.amazonaws.com",)
        proxy = self.proxy(ses, hosts={
            "sts.eu-west-1.amazonaws.com:443": sts.port})
        self.quiet(self.send(ses.route(credentials="auto"), env={
            "HTTPS_PROXY": proxy.url(), "HOME": self.dir,
            "AWS_WEB_IDENTITY_TOKEN_FILE": self.secret("web-token"),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/mail"}))
        self.assertEqual(len(ses.sent), 1)
        self.assertEqual(len(proxy.asked), 2)

    def test_the_machine_and_the_container_are_never_asked_by_proxy(self):
        ses = self.ses()
        imds = self.start(Imds(ses))
        container = self.start(Container(ses, tls=True))
        proxy = self.proxy(ses)
        env = {"HTTPS_PROXY": proxy.url(), "https_proxy": proxy.url(),
               "HTTP_PROXY": proxy.url(), "http_proxy": proxy.url(),
               "ALL_PROXY": proxy.url()}
        for extra in ("", "proxy " + proxy.url()):
            for credentials, more in (
                    ("imds", {"AWS_EC2_METADATA_DISABLED": None,
                              "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}),
                    ("container", {
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI":
                        container.url + "/v2/credentials?id=a%2Fb"})):
                with self.subTest(extra=extra, credentials=credentials):
                    del proxy.asked[:], ses.sent[:]
                    self.quiet(self.send(ses.route(
                        credentials=credentials, extra=extra),
                        env=dict(env, **more)))
                    self.assertEqual(len(ses.sent), 1)
                    self.assertEqual(proxy.asked, ["ses.test:%d" % ses.port])
        self.assertTrue(imds.issued and container.issued)


class Environment(ProxyCase):
    """SES alone looks at it."""

    def asked(self, ses, proxy, env, status=0, extra=""):
        del proxy.asked[:], proxy.heads[:]
        done = self.send(ses.route(extra=extra), env=env, top="timeout 5s\n")
        self.expect(done, status)
        return len(proxy.asked)

    def test_the_variables(self):
        ses = self.ses()
        proxy, other = self.proxy(ses), "http://localhost:%d" % closed_port()
        url, bare = proxy.url(), "localhost:%d" % proxy.port
        for env in ({"HTTPS_PROXY": url}, {"https_proxy": url},
                    {"HTTPS_PROXY": bare}, {"HTTPS_PROXY": url + "/"},
                    {"https_proxy": url, "HTTPS_PROXY": other},
                    {"https_proxy": "", "HTTPS_PROXY": url},
                    {"HTTPS_PROXY": url, "NO_PROXY": "example.com,test.ses"},
                    {"HTTPS_PROXY": url, "NO_PROXY": ""},
                    {"HTTPS_PROXY": url, "no_proxy": "other.test",
                     "NO_PROXY": "*"}):
            with self.subTest(env=env):
                self.assertEqual(self.asked(ses, proxy, env), 1)
        self.assertEqual(self.asked(ses, proxy, {
            "HTTPS_PROXY": url, "https_proxy": other}, 75), 0)
        for env in ({}, {"HTTP_PROXY": url, "ALL_PROXY": url,
                         "http_proxy": url, "all_proxy": url}):
            self.assertEqual(self.asked(ses, proxy, env, 75), 0)

    def test_exceptions(self):
        ses = self.ses()
        proxy = self.proxy(ses)
        for name in ("NO_PROXY", "no_proxy"):
            for value in ("*", "ses.test", ".test", "x.test, test",
                          "ses.test:%d" % ses.port):
                with self.subTest(name=name, value=value):
                    # Without the proxy nobody knows the name.
                    self.assertEqual(self.asked(ses, proxy, {
                        "HTTPS_PROXY": proxy.url(), name: value}, 75), 0)

    def test_the_keyword_wins(self):
        ses = self.ses()
        proxy = self.proxy(ses)
        other = "http://localhost:%d" % closed_port()
        self.assertEqual(self.asked(ses, proxy, {
            "HTTPS_PROXY": other, "NO_PROXY": "*"},
            extra="proxy " + proxy.url()), 1)
        for word in ("none", "off"):
            self.assertEqual(self.asked(
                ses, proxy, {"HTTPS_PROXY": proxy.url()}, 75,
                "proxy " + word), 0)

    def test_this_machine_is_not_asked_by_proxy(self):
        proxy = self.proxy()
        for tls in (True, False):
            for name in ("localhost", "127.0.0.1"):
                if tls and name != "localhost":
                    continue
                ses = self.start(Ses(tls=tls))
                ses.url = ses.url.replace("localhost", name)
                self.quiet(self.send(ses.route(), env={
                    "HTTPS_PROXY": proxy.url(), "https_proxy": proxy.url()}))
                self.assertEqual(len(ses.sent), 1)
        self.assertEqual(proxy.heads, [])

    def test_a_relay_does_not_look_at_it(self):
        relay = self.relay()
        proxy = self.proxy()
        self.quiet(self.send(relay.route(), env={
            "HTTPS_PROXY": proxy.url(), "https_proxy": proxy.url(),
            "ALL_PROXY": proxy.url()}))
        self.came(relay)
        self.assertEqual(proxy.heads, [])

    def test_a_value_that_cannot_be_used(self):
        ses = self.ses()
        for value in ("https://u:s3cret@localhost:1", "ftp://u:s3cret@x",
                      "http://u:s3cret%0a@x", "http://u:s3cret@x/path"):
            with self.subTest(value=value):
                line = self.one_line(self.send(ses.route(), env={
                    "HTTPS_PROXY": value}), 78, "HTTPS_PROXY")
                self.assertNotIn("s3cret", line)
                self.assertNotIn("s3cret", "\n".join(self.log_lines()))


class Refused(ProxyCase):
    """What a proxy says instead; the fallback is always tried."""

    HTTP = [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n"
         b"Content-Length: 0\r\n\r\n", "407 to CONNECT.*user:password@"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", "403 to CONNECT.*rules"),
        (b"HTTP/1.0 502 Bad\r\n\r\n", "502 to CONNECT.*cannot reach"),
        (b"HTTP/1.1 503 x\r\n\r\n", "503"), (b"HTTP/1.1 504 x\r\n\r\n", "504"),
        (b"HTTP/1.1 301 x\r\nLocation: http://x/\r\n\r\n", "301"),
        (b"HTTP/1.1 100 Go\r\n\r\n" * 20, "interim"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, "head is too long"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 90000, "line of more than"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "timed out"),
        (b"HTTP/9 200 OK\r\n\r\n", "not an HTTP/1.1 reply"),
        (b"220 relay.test ESMTP\r\n", "not an HTTP/1.1 reply"),
        (b"\0\1\2\r\n", "not an HTTP/1.1 reply"), (b"", "timed out")]
    SOCKS = [(b"\5\xff", "it wants a login"), (b"\4\0", "not an answer of"),
             (b"HTTP/1.1 400 Bad\r\n\r\n", "not an answer of"),
             (b"\5", "timed out"), (b"", "timed out")] + [
                 (b"\5\0\5%c\0\1\0\0\0\0\0\0" % code, "%d to CONNECT.*%s" % (
                     code, word)) for code, word in enumerate((
                         "failure", "rules", "network", "host unreachable",
                         "refused", "TTL", "command", "kind"), 1)]

    def refused(self, kind, answer, text):
        relay, other = self.relay(), self.start(Relay(tls="off"))
        proxy = self.proxy(relay, kind=kind, answer=answer)
        route = self.route(relay, proxy.url("u:s3cret@"))
        if kind == "socks" and answer == b"\5\xff":
            route = self.route(relay, proxy.url())
        args = ("-v",) + ARGS
        done = self.send(route, top="timeout 1s\n", args=ARGS)
        line = self.one_line(done, 75, "route relay: proxy localhost", text)
        self.assertNotIn("s3cret", line)
        done = self.expect(self.send(
            route + "fallback other\n", more=other.route(
                name="other", senders=None), top="timeout 1s\n",
            args=args), 0)
        self.came(other)
        for secret in ("s3cret", base64.b64encode(b"u:s3cret").decode()):
            self.assertNotIn(secret, done.err)
            self.assertNotIn(secret, "\n".join(self.log_lines()))
        self.assertEqual(relay.sessions, [])

    def test_http(self):
        for answer, text in self.HTTP:
            with self.subTest(answer=answer[:60]):
                self.refused("http", answer, text)

    def test_socks(self):
        for answer, text in self.SOCKS:
            with self.subTest(answer=answer[:60]):
                self.refused("socks", answer, text)

    def test_silence_ends(self):
        for kind in ("http", "socks"):
            for silent in ("connect", "answer"):
                relay = self.relay()
                proxy = self.proxy(relay, kind=kind, silent=silent)
                done = self.send(self.route(relay, proxy.url()),
                                 top="timeout 1s\n")
                self.one_line(done, 75, "timed out")
                self.assertLess(done.seconds, 10)

    def test_a_proxy_that_is_not_there(self):
        relay = self.relay()
        for url, text in (("http://localhost:%d" % closed_port(), "refused"),
                          ("socks5://nowhere.invalid", "resolve")):
            self.one_line(self.send(self.route(relay, url)), 75,
                          "proxy [a-z.]+: cannot", text)
        self.assertEqual(relay.sessions, [])

    def test_a_host_that_the_proxy_does_not_know(self):
        for kind, text in (("http", "502 to CONNECT relay.test:"),
                           ("socks", "4 to CONNECT relay.test:")):
            relay = self.relay()
            proxy = self.proxy(kind=kind)
            self.one_line(self.send(self.route(relay, proxy.url())), 75, text)

    def test_ses_falls_back_as_well(self):
        for answer in (b"HTTP/1.1 407 x\r\n\r\n", b"HTTP/1.1 503 x\r\n\r\n",
                       b"rubbish\r\n"):
            ses, other = self.ses(), self.start(Relay(tls="off"))
            proxy = self.proxy(ses, answer=answer)
            self.expect(self.send(
                ses.route(extra="proxy " + proxy.url(), fallback="relay"),
                more=other.route(senders=None)), 0)
            self.came(other)
            self.assertEqual(ses.requests, [])

    def test_a_proxy_s_refusal_never_bounces(self):
        import os
        os.mkdir(self.path("queue"), 0o700)
        relay = self.relay()
        proxy = self.proxy(relay, answer=b"HTTP/1.1 407 x\r\n\r\n")
        conf = self.conf(self.route(relay, proxy.url()),
                         top="queue %s\nqueue-lifetime 1m\n"
                         % self.path("queue"))
        self.quiet(run(ARGS, MESSAGE, conf=conf))
        self.assertIn("407", "\n".join(self.log_lines()))
        self.assertEqual(len(os.listdir(self.path("queue/queue"))), 1)


class Secrets(ProxyCase):
    def test_v_shows_none(self):
        for kind in ("http", "socks"):
            relay = self.relay()
            proxy = self.proxy(relay, kind=kind, login=PLAIN)
            done = self.expect(self.send(self.route(
                relay, proxy.url(ENCODED)), args=("-v",) + ARGS), 0)
            self.assertIn("CONNECT relay.test:%d" % relay.port, done.err)
            self.assertIn("***", done.err)
            text = done.err + "\n".join(self.log_lines())
            for secret in (LOGIN[1], ENCODED[8:-1], BASIC, "ss%w"):
                self.assertNotIn(secret, text)

    def test_a_configuration_that_everyone_can_read(self):
        relay = self.relay()
        proxy = self.proxy(relay, login=(b"u", b"p"))
        for login, exposed in (("u:p@", True), ("", False)):
            conf = self.conf(self.route(relay, proxy.url(login)))
            run(ARGS, MESSAGE, conf=conf)
            self.assertEqual("can be read by everyone" in
                             "\n".join(self.log_lines()), exposed)
            open(self.log_file, "w").close()
        conf = self.conf(self.route(relay, proxy.url("u:p@")))
        import os
        os.chmod(conf, 0o666)
        self.one_line(run(ARGS, MESSAGE, conf=conf), 78, "holds a secret")


class Check(ProxyCase):
    def check(self, status, route, env=None, top=""):
        done = self.expect(run(["--check"], conf=self.conf(route, top=top),
                               env=env), status)
        self.assertEqual(done.err, "")
        for line in done.out.splitlines():
            self.assertRegex(line, r"^[^:]+: [^:]+: (ok|warning|failed)( |$)")
        return done.out

    def test_a_relay(self):
        relay = self.relay()
        proxy = self.proxy(relay)
        out = self.check(0, self.route(relay, proxy.url()))
        self.assertRegex(out, r"(?m)^route relay: proxy: ok localhost\[127\.0"
                         r"\.0\.1\]:%d\nroute relay: connect: ok relay\.test:%d"
                         r" via localhost\[.*\nroute relay: tls: ok "
                         % (proxy.port, relay.port))
        self.assertNotIn("addresses:", out)
        proxy = self.proxy(relay, answer=b"HTTP/1.1 407 x\r\n\r\n")
        out = self.check(75, self.route(relay, proxy.url("u:s3cret@")))
        self.assertRegex(out, r"(?m)^route relay: proxy: failed proxy "
                         r"localhost\[127\.0\.0\.1\]:\d+: 407 to CONNECT ")
        self.assertNotIn("s3cret", out)
        self.assertNotIn("connect:", out)

    def test_ses(self):
        ses = self.ses()
        proxy = self.proxy(ses)
        for route, env in ((ses.route(extra="proxy " + proxy.url()), {}),
                           (ses.route(), {"HTTPS_PROXY": proxy.url()})):
            out = self.check(0, route, env)
            self.assertRegex(out, r"(?m)^route ses: proxy: ok localhost\[127\."
                             r"0\.0\.1\]:%d\nroute ses: clock: ok" % proxy.port)
        self.assertNotIn("proxy:", self.check(75, ses.route(
            extra="proxy none"), top="timeout 2s\n"))
        proxy = self.proxy(ses, answer=b"HTTP/1.1 503 x\r\n\r\n")
        out = self.check(75, ses.route(extra="proxy " + proxy.url()))
        self.assertRegex(out, r"(?m)^route ses: proxy: failed proxy localhost"
                         r"\[127\.0\.0\.1\]:\d+: 503 to CONNECT ses\.test:")
        self.assertNotIn("account:", out)

    def test_list_verified(self):
        ses = self.ses()
        proxy = self.proxy(ses)
        done = self.expect(run(["--list-verified"], conf=self.conf(
            ses.route(extra="proxy " + proxy.url()))), 0)
        self.assertEqual(done.out, "@example.com\n@.example.com\n")


class Theirs(ProxyCase):
    """The distribution's: they resolve the names, and say in their logs what they
    were asked."""

    def serve(self, kind, *args, **how):
        try:
            server = kind(*args, **how)
        except (unpack.Unavailable, Unstarted) as e:
            self.skipTest("%s: %s" % (kind.__name__, str(e)[-300:]))
        self.addCleanup(server.close)
        return server

    def arrives(self, server, told=None):
        message = letter(300000)
        for tls in ("starttls", "implicit", "off"):
            with self.subTest(tls=tls):
                relay = self.relay(tls=tls)
                self.quiet(self.send(self.route(relay, server.url()), message))
                self.came(relay, message)
                if told:
                    text = told % relay.port
                    self.assertTrue(wait_until(lambda: re.search(
                        text, server.log()), 5), server.log()[-2000:])
        ses = self.ses()
        self.quiet(self.send(ses.route(extra="proxy " + server.url()),
                             message))
        self.same_bytes(ses.only().raw, crlf(message))
        self.assertEqual(ses.errors, [])
        return relay

    def no_login(self, server, relay, *words):
        for login in ((), ("u", "wrong"), ("x", "pa55")):
            self.one_line(self.send(self.route(relay, server.url(login)),
                                    top="timeout 10s\n"), 75, *words)

    def test_tinyproxy(self):
        server = self.serve(Tinyproxy)
        relay = self.arrives(server, r"CONNECT relay\.test:%d HTTP/1\.1")
        relay.close()
        self.one_line(self.send(self.route(relay, server.url())), 75,
                      r"proxy localhost.*50\d to CONNECT relay\.test:")

    def test_tinyproxy_with_a_login(self):
        server = self.serve(Tinyproxy, ("u", "pa55"))
        relay = self.arrives(server)
        self.no_login(server, relay, "40[17] to CONNECT")

    def test_squid(self):
        server = self.serve(Squid)
        relay = self.arrives(server, r"CONNECT relay\.test:%d ")
        relay.close()
        self.one_line(self.send(self.route(relay, server.url())), 75,
                      r"503 to CONNECT relay\.test:\d+: it cannot reach that")

    def test_squid_with_a_login(self):
        server = self.serve(Squid, ("u", "pa55"))
        relay = self.arrives(server, r"CONNECT relay\.test:%d u ")
        self.no_login(server, relay, "407 to CONNECT", "user:password@")

    def test_squid_that_does_not_allow_the_port(self):
        server = self.serve(Squid, ports=[443])
        relay = self.relay()
        self.one_line(self.send(self.route(relay, server.url())), 75,
                      "403 to CONNECT", "rules")

    def test_dante(self):
        server = self.serve(Dante)
        relay = self.arrives(server)
        relay.close()
        self.one_line(self.send(self.route(relay, server.url())), 75,
                      "5 to CONNECT", "refused")

    def test_microsocks(self):
        relay = self.arrives(self.serve(Microsocks),
                             r"connected to relay\.test:%d")
        self.assertEqual(relay.sessions[0].error, None)

    def test_microsocks_with_a_login(self):
        server = self.serve(Microsocks, ("u", "pa55"))
        relay = self.arrives(server)
        self.no_login(server, relay, "login|password")

    def test_ssh(self):
        server = self.serve(Ssh)
        relay = self.arrives(server, r"target relay\.test port %d")
        relay.close()
        self.one_line(self.send(self.route(relay, server.url())), 75,
                      "proxy localhost.*closed the connection")


if __name__ == "__main__":
    harness.main()
