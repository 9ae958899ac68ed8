"""A proxy on the loopback that counts and delays.

It stands between a program and the server.  What the server says is held back
for `delay` seconds, so the time that a program takes tells how often it waited
for an answer: one `delay` for each turn, however the answers are packed.
"""
import queue
import socket
import threading
import time


def listener():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    return sock


class Proxy:

    def __init__(self, port, delay=0.0):
        self.target, self.delay = port, delay
        self.sent = 0           # bytes from the client
        self.connections = 0
        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held = queue.SimpleQueue()
            for work in ((self._forward, client, server),
                         (self._hold, server, held),
                         (self._release, held, client)):
                threading.Thread(target=work[0], args=work[1:],
                                 daemon=True).start()

    def _forward(self, client, server):
        data = True
        while data:
            data = received(client)
            self.sent += len(data)
            handed_on(server, data)

    def _hold(self, server, held):
        data = True
        while data:
            data = received(server)
            held.put((time.monotonic() + self.delay, data))

    def _release(self, held, client):
        data = True
        while data:
            due, data = held.get()
            time.sleep(max(0.0, due - time.monotonic()))
            handed_on(client, data)


def received(sock):
    try:
        return sock.recv(1 << 18)
    except OSError:
        return b""


def handed_on(sock, data):
    try:
        if data:
            sock.sendall(data)
        else:
            sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass
