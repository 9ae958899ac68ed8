"""A relay that is quick enough not to be what is measured.

    sink = Sink(count, template, chain, key)     processes of its own; sink.port
    sink.tally()                                 what came, by message number

tests/peers/relay.py remembers every byte and takes some hundred messages a
second.  This one looks at each message, notes its number, and forgets it.  It
speaks STARTTLS, PIPELINING and, when asked to, CHUNKING; it answers what came
together in one write, as Postfix does.

    sink.py SOCKET FILE CHAIN KEY DELAY EXTENSION...     one such server
"""
import mmap
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

PROCESSES = 2
NUMBER = re.compile(rb"(?m)^Message-ID: <queue\.(\d{6})@client\.test>\r?$")
TOKEN = b"<queue.%06d@client.test>"
# At the start of FILE, for each process: connections, messages, damaged ones.
SLOT = struct.Struct("<3Q")
HEAD = SLOT.size * PROCESSES


class Sink:
    """The server, started.  Every message is `template` with its number."""

    def __init__(self, folder, count, template, chain, key, extensions,
                 delay=0.0):
        self.file = os.path.join(folder, "sink")
        self.count = count
        with open(self.file, "wb") as file:
            file.write(bytes(HEAD + count) + template)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(4096)
        self.port = sock.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), str(sock.fileno()),
             self.file, chain, key, str(delay), *extensions],
            pass_fds=[sock.fileno()], stdout=subprocess.PIPE,
            start_new_session=True)
        sock.close()
        said = self.process.stdout.readline().split()
        if said:                        # the proxy's, that delays
            self.port = int(said[0])

    def close(self):
        """All of its processes are one group of their own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        os.unlink(self.file)

    def tally(self):
        return Tally(self.file, self.count)


class Tally:
    """connections; messages; damaged; missing and doubled ones of them."""

    def __init__(self, name, count):
        with open(name, "rb") as file:
            head, numbers = file.read(HEAD), file.read(count)
        self.connections, self.messages, self.damaged = map(
            sum, zip(*SLOT.iter_unpack(head)))
        self.missing = numbers.count(0)
        self.doubled = len(numbers) - self.missing - numbers.count(1)

    def __str__(self):
        return "%d came, %d of them damaged, %d doubled; %d did not" % (
            self.messages, self.damaged, self.doubled, self.missing)


class Gone(Exception):
    pass


class Worker:
    """One process: a thread for each connection."""

    def __init__(self, sock, memory, slot, context, extensions):
        self.sock, self.memory, self.at = sock, memory, slot * SLOT.size
        self.context, self.extensions = context, extensions
        self.count = [0, 0, 0]
        self.lock = threading.Lock()
        template = memory[HEAD:]
        template = template[template.index(b"From:"):]
        self.before, self.after = template.split(TOKEN % 0)
        self.after = self.after.rstrip(b"\r\n")

    def add(self, which):
        with self.lock:
            self.count[which] += 1
            SLOT.pack_into(self.memory, self.at, *self.count)

    def serve(self):
        while True:
            client, _ = self.sock.accept()
            self.add(0)
            threading.Thread(target=self.one, args=(client,),
                             daemon=True).start()

    def one(self, client):
        client.settimeout(300)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk = Talk(self, client)
        try:
            talk.run()
        except (Gone, OSError, ValueError):
            pass
        finally:
            talk.sock.close()

    def judge(self, content):
        """Programs write fields on top, some change line ends; that is all."""
        found = NUMBER.search(content)
        number = int(found.group(1)) if found else 0
        head, _, tail = content.partition(TOKEN % number)
        if found and (not head.endswith(self.before) or
                      tail.rstrip(b"\r\n") != self.after):
            found = None
        if found is None:
            self.add(2)
        else:
            at = HEAD + number
            self.memory[at] = min(self.memory[at] + 1, 255)
        self.add(1)


class Talk:
    """One connection."""

    def __init__(self, worker, sock):
        self.worker, self.sock = worker, sock
        self.buffer, self.said = b"", []
        self.chunks = []
        self.secure = False

    def flush(self):
        if self.said:
            said, self.said = b"".join(self.said), []
            self.sock.sendall(said)

    def more(self):
        """All answers leave before anything is waited for."""
        self.flush()
        data = self.sock.recv(1 << 16)
        if not data:
            raise Gone
        self.buffer += data

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def until(self, end):
        at = -1
        while at < 0:
            at = self.buffer.find(end)
            if at < 0:
                self.more()
        data, self.buffer = self.buffer[:at], self.buffer[at + len(end):]
        return data

    def run(self):
        say = self.said.append
        say(b"220 sink.test ESMTP\r\n")
        while True:
            line = self.until(b"\r\n")
            verb = line[:4].upper()
            if verb in (b"MAIL", b"RCPT"):
                self.said.append(b"250 2.1.0 ok\r\n")
            elif verb == b"BDAT":
                self.chunk(line.upper().split())
            elif verb == b"DATA":
                self.said.append(b"354 go ahead\r\n")
                self.end(self.until(b"\r\n.\r\n").replace(b"\r\n.", b"\r\n"))
            elif verb in (b"EHLO", b"HELO"):
                self.said.append(self.offer())
            elif verb == b"STAR":
                self.said.append(b"220 2.0.0 go ahead\r\n")
                self.flush()
                self.sock = self.worker.context.wrap_socket(self.sock,
                                                            server_side=True)
                self.secure = True
            elif verb == b"QUIT":
                self.said.append(b"221 2.0.0 bye\r\n")
                self.flush()
                return
            else:
                self.said.append(b"250 2.0.0 ok\r\n")

    def offer(self):
        words = [b"sink.test", *self.worker.extensions]
        if not self.secure:
            words.append(b"STARTTLS")
        return b"".join(b"250-%s\r\n" % w for w in words[:-1]) + \
            b"250 %s\r\n" % words[-1]

    def chunk(self, words):
        self.chunks.append(self.take(int(words[1])))
        if words[2:] == [b"LAST"]:
            content, self.chunks = b"".join(self.chunks), []
            self.end(content)
        else:
            self.said.append(b"250 2.0.0 ok\r\n")

    def end(self, content):
        self.worker.judge(content)
        self.said.append(b"250 2.0.0 taken\r\n")


def main():
    number, name, chain, key, delay, *extensions = sys.argv[1:]
    sock = socket.socket(fileno=int(number))
    with open(name, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    port, pids = "", []
    for slot in range(PROCESSES):
        pids.append(os.fork())
        if pids[-1] == 0:
            os.close(1)
            Worker(sock, memory, slot, context,
                   [e.encode() for e in extensions]).serve()
    if float(delay):
        from proxy import Proxy
        port = Proxy(sock.getsockname()[1], float(delay)).port
    print(port, flush=True)
    os.close(1)
    for pid in pids:
        os.waitpid(pid, 0)


# --- what it can do at most ------------------------------------------------

def most(sink, template, count, flight=32, chunks=True, seconds=20):
    """Messages a second from a client that has them all in memory."""
    raw = socket.create_connection(("127.0.0.1", sink.port))
    raw.settimeout(60)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def replies(sock, number):
        data = b""
        while len(re.findall(rb"(?m)^\d{3} ", data)) < number or \
                not data.endswith(b"\r\n"):
            got = sock.recv(1 << 16)
            if not got:
                raise Gone
            data += got
    replies(raw, 1)
    raw.sendall(b"EHLO client.test\r\n")
    replies(raw, 1)
    raw.sendall(b"STARTTLS\r\n")
    replies(raw, 1)
    sock = context.wrap_socket(raw)
    began, done = time.monotonic(), 0
    sock.sendall(b"EHLO client.test\r\n")
    replies(sock, 1)
    while done < count and time.monotonic() - began < seconds:
        out, now = [], min(flight, count - done)
        for number in range(done, done + now):
            text = template.replace(TOKEN % 0, TOKEN % number)
            out += [b"MAIL FROM:<alice@example.com>\r\n"
                    b"RCPT TO:<bob@example.net>\r\n",
                    b"BDAT %d LAST\r\n" % len(text), text]
        sock.sendall(b"".join(out))
        replies(sock, 3 * now)
        done += now
    took = time.monotonic() - began
    sock.close()
    return done / took


if __name__ == "__main__":
    main()
