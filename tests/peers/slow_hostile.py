"""Hostile peers, every place in turn: the connection cut behind each byte that a
server says; and chains of very many certificates."""
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import harness
import rawcerts as raw
from harness import MESSAGE, Case, listener, run
from hostile import ARGS, PASSWORD, SLOWED, USER
from rawcerts import CA, Cert, Key, inter, leaf
from relay import Relay
from ses import Answer, Ses
from test_hostile_http import OK, properly, say, sized

WORKERS = 8


class Between:
    """Passes on what client and server say, and cuts behind byte `at` of what the
    server says."""

    def __init__(self, port, at, how):
        self.port, self.at, self.how = port, at, how
        self.said = 0
        self.sock = listener()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        client, _ = self.sock.accept()
        server = socket.create_connection(("127.0.0.1", self.port))
        self.pair = client, server
        threading.Thread(target=self.forth, daemon=True).start()
        try:
            self.back(client, server)
        except OSError:
            pass
        for end in self.pair:
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
            except OSError:
                pass
            end.close()

    def forth(self):
        client, server = self.pair
        try:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def back(self, client, server):
        while data := server.recv(65536):
            at = self.at - self.said
            self.said += len(data)
            if at < len(data):
                client.sendall(data[:max(at, 0)])
                if self.how == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RD if self.how == "reset" else
                                socket.SHUT_WR)
                # What the client has sent until now arrives.
                server.settimeout(2)
                try:
                    server.shutdown(socket.SHUT_WR)
                    while server.recv(65536):
                        pass
                except OSError:
                    pass
                return
            client.sendall(data)

    def close(self):
        self.sock.close()


class Sweep(Case):
    def setUp(self):
        super().setUp()
        self.secret(PASSWORD)

    def all_of(self, job, places):
        """job(place) -> None or what is wrong."""
        with ThreadPoolExecutor(WORKERS) as pool:
            wrong = [w for w in pool.map(job, places) if w]
        self.assertEqual(wrong[:5], [], "of %d, %d" % (len(places),
                                                       len(wrong)))

    def through(self, relay, at, how, name, top=""):
        between = Between(relay.port, at, how)
        login = dict(user=USER, password_file=self.path("secret")) \
            if relay.users else {}
        route = relay.route(**login).replace(
            "port %d" % relay.port, "port %d" % between.sock.getsockname()[1])
        try:
            done = run(ARGS, MESSAGE, conf=self.conf(route, name=name,
                                                     top=top))
        finally:
            between.close()
        relay.settle(10)
        return done, between.said


class Cut(Sweep):
    def relay(self, extensions):
        return Relay(tls="off", extensions=extensions)

    def sweep(self, extensions):
        relay = self.relay(extensions)
        done, _ = self.through(relay, 1 << 30, "cut", "whole")
        self.quiet(done)
        said = sum(len(p) for p in (
            b"220 relay.test ESMTP\r\n", b"250-relay.test greets client.test"
            b"\r\n", *[b"250-%s\r\n" % e.encode() for e in extensions],
            b"250 2.1.0 ok\r\n", b"250 2.1.5 ok\r\n",
            b"" if "CHUNKING" in extensions else b"354 go ahead\r\n",
            b"250 2.0.0 taken as 1\r\n"))
        relay.close()

        def job(place):
            at, how = place
            relay = self.relay(extensions)
            done, _ = self.through(relay, at, how, "%s%d" % (how, at))
            taken = len(relay.accepted())
            relay.close()
            text = "%s behind %d: %s, taken %d" % (how, at, done, taken)
            doubt = "may have been taken" in done.err
            if at >= said and how == "cut":
                return None if (done.exit, taken) == (0, 1) else text
            if at < said and done.exit != 75:
                return text
            # Where it has been taken, that is never called certain.
            return text if done.exit and taken and not doubt else None
        self.all_of(job, [(at, how) for how in ("cut", "reset")
                          for at in range(said + 3)])

    def test_smtp_behind_each_byte(self):
        self.sweep(("8BITMIME", "SIZE 1000000"))

    def test_smtp_in_one_flight_behind_each_byte(self):
        self.sweep(("PIPELINING", "8BITMIME"))

    def test_smtp_in_chunks_behind_each_byte(self):
        self.sweep(("PIPELINING", "CHUNKING"))

    def test_ses_behind_each_byte(self):
        whole = sized(OK)
        chunks = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"1c\r\n" + OK + b"\r\n0\r\n\r\n")

        def job(place):
            text, at, end = place
            ses = Ses(always=Answer(raw=say(text[:at], *end)))
            done = run(ARGS, MESSAGE, conf=self.conf(
                ses.route(), name="h%d-%d-%d" % (len(text), at, len(end))))
            ses.close()
            right = 0 if at == len(text) else 75
            if done.exit == right and (right == 0 or "may have been taken"
                                       in done.err):
                return None
            return "%d of %d: %s" % (at, len(text), done)
        self.all_of(job, [(text, at, end) for text in (whole, chunks)
                          for at in range(len(text) + 1)
                          for end in ((), (properly,))])


class Much(Case):
    def chain(self, length, issuer):
        keys = Key("ec"), Key("ec")
        chain = []
        for i in range(length):
            issuer = inter("Link %d" % i, keys[i % 2], issuer)
            chain.insert(0, issuer)
        return [leaf(issuer)] + chain

    def send(self, certs):
        relay = Relay(users={USER: PASSWORD})
        relay.context = raw.context(certs)
        self.addCleanup(relay.close)
        done = run(ARGS, MESSAGE, conf=self.conf(relay.route(
            user=USER, password_file=self.secret(PASSWORD),
            extra="ca-file " + raw.bundle), top="timeout 5s\n"))
        return relay, done

    def test_a_chain_of_50(self):
        relay, done = self.send(self.chain(50, raw.root))
        self.quiet(done)

    def test_a_chain_of_250_to_nobody(self):
        relay, done = self.send(self.chain(
            250, Cert("Nobody", Key("ec"), None, CA)))
        self.one_line(done, 75, "TLS|timed out")
        self.assertLess(done.seconds, 60 if SLOWED else 10)
        self.assertEqual(relay.sessions[0].secret, b"")


if __name__ == "__main__":
    harness.main()
