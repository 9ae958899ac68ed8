#!/usr/bin/python3
"""make bench: what one message costs, sendroute beside other programs.

    bench.py [--readme FILE] [PROGRAM...] [-r WORD...]

Everything is measured in this run on this machine: each program sends the same
message to the same server on the loopback, through a proxy that counts and
delays, and the server has to have received it whole, or the cell is "-" with
the reason below the table.  PROGRAM chooses columns, WORD rows.  Queues have
a table of their own, see queues.py.  --readme puts a narrow form of the table
in place of the first indented lines below FILE's heading "What it costs".
"""
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "peers")]
sys.dont_write_bytecode = True

import measure                                          # noqa: E402
import programs                                         # noqa: E402
import queues                                           # noqa: E402
from certs import certificates                          # noqa: E402
from harness import crlf, letter                        # noqa: E402
from proxy import Proxy                                 # noqa: E402
from relay import Relay                                 # noqa: E402

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
EXTENSIONS = ("PIPELINING", "SIZE 104857600", "8BITMIME",
              "ENHANCEDSTATUSCODES", "CHUNKING")
DELAY = 0.3             # seconds for one turn
ENOUGH = 600            # seconds after which no more peers are measured
SMALL, BIG, HUGE, SES_HUGE = 1024, 25 << 20, 40 << 20, 28500000
MANY = ["user%03d@example.net" % number for number in range(100)]


class Bench:
    """The messages, the bundle of roots, and one server for each run."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="bench-")
        os.chmod(self.folder, 0o755)
        self.messages = {}
        self.cafile = os.path.join(self.folder, "roots.pem")
        with open(self.cafile, "wb") as out:
            for name in (BUNDLE, certificates.ca):
                if os.path.exists(name):
                    with open(name, "rb") as file:
                        out.write(file.read())
        for kind in ("good", "rsa"):
            certificates.server(kind)
        for size in (SMALL, BIG, HUGE, SES_HUGE):
            path = os.path.join(self.folder, "message.%d" % size)
            with open(path, "wb") as file:
                file.write(letter(size))
            self.messages[size] = path

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def content(self, size):
        with open(self.messages[size], "rb") as file:
            return crlf(file.read())

    def job(self, proxy, size, **how):
        return programs.Job(self.folder, self.messages[size], proxy.port,
                            self.cafile, **how)

    def smtp(self, program, what, size=SMALL, cert="rsa", tls="starttls",
             delay=0.0):
        """Sends once by SMTP; what(run, proxy) is the value."""
        relay = Relay(tls=tls, cert=cert, extensions=EXTENSIONS,
                      users={"apikey": "benchmark"})
        proxy = Proxy(relay.port, delay)
        try:
            run = program.smtp(self.job(proxy, size, tls=tls))
            if run is None:
                raise measure.Failed("does not speak SMTP")
            value = what(run, proxy)
            came = [m.content for m in relay.settle().accepted()]
            self.judge(came, size, whole=program.whole)
            return value
        finally:
            proxy.close()
            relay.close()

    def ses(self, program, what, size=SMALL, delay=0.0, recipients=1):
        """The same through the SES API."""
        try:
            from ses import Ses
        except ImportError as reason:
            raise measure.Failed("no endpoint: %s" % reason)
        server = Ses(cert="rsa")
        proxy = Proxy(server.port, delay)
        try:
            job = self.job(proxy, size, recipients=MANY[:recipients])
            job.key, job.secret = server.key, server.secret
            job.region = server.region
            run = program.ses(job)
            if run is None:
                raise measure.Failed("does not speak to SES")
            value = what(run, proxy)
            self.judge([sent.raw for sent in server.sent], size,
                       (recipients + 49) // 50)
            return value
        finally:
            proxy.close()
            server.close()

    def judge(self, came, size, calls=1, whole=True):
        """Some programs write fields on top, some leave LF; none may lose."""
        wanted = self.content(size)
        if not whole:
            wanted = wanted.partition(b"\r\n\r\n")[2]
        if len(came) != calls:
            raise measure.Failed("%d messages came, not %d" % (
                len(came), calls))
        for content in came:
            if not crlf(content).endswith(wanted):
                raise measure.Failed("not the message that was sent came")

    def turns(self, send, program, **how):
        """Answers waited for: what the delay adds, in delays.

        The shortest times count, and a time that is not near a whole number
        of delays was disturbed: then both are taken once more.
        """
        def elapsed(run, _):
            return measure.seconds(run)
        direct, held = [], []
        while True:
            direct += [send(program, elapsed, **how) for _ in range(2)]
            held.append(send(program, elapsed, delay=DELAY, **how))
            found = (min(held) - min(direct)) / DELAY
            if abs(found - round(found)) < 0.25 or len(held) == 4:
                return round(found)

    def next_turns(self, program):
        """Turns of a second SES call: of 100 recipients, less those of 50."""
        if program.name == "curl":
            raise measure.Failed("makes one call a run")
        return self.turns(self.ses, program, recipients=100) - \
            self.turns(self.ses, program, recipients=50)

    def wire(self, program):
        """Bytes from the client for each byte of the CRLF message."""
        def sent(run, proxy):
            measure.seconds(run)
            return proxy.sent
        return self.smtp(program, sent, BIG) / len(self.content(BIG))


def on(function):
    """A measurement that is made of the run and needs no proxy."""
    return lambda run, _: function(run)


PEAK, COUNT = on(measure.peak), on(measure.instructions)
CALLS = on(measure.system_calls)


class Row:

    def __init__(self, name, budget, form, value, alone=False):
        self.name, self.budget, self.form = name, budget, form
        self.value = value
        # Waiting is measured alone; counts do not depend on who else runs.
        self.alone = alone


def kib(number):
    return "{:,.0f} KiB".format(number)


def millions(number):
    return "{:,.1f} M".format(number / 1e6)


def ratio(number):
    return "%.3f x" % number


def plain(number):
    return "{:,d}".format(number)


ROWS = [
    Row("program and its shared libraries", 256, kib,
        lambda b, p: p.footprint() / 1024),
    Row("peak memory, 1 KB by SMTP", 1024, kib,
        lambda b, p: b.smtp(p, PEAK)),
    Row("peak memory, 40 MB by SMTP", 1024, kib,
        lambda b, p: b.smtp(p, PEAK, HUGE)),
    Row("peak memory, 1 KB by SES", 1024, kib,
        lambda b, p: b.ses(p, PEAK)),
    Row("peak memory, 29 MB by SES", 1024, kib,
        lambda b, p: b.ses(p, PEAK, SES_HUGE)),
    Row("instructions, 1 KB, STARTTLS+AUTH, RSA server", 25e6, millions,
        lambda b, p: b.smtp(p, COUNT)),
    Row("instructions, 1 KB, STARTTLS+AUTH, EC server", 25e6, millions,
        lambda b, p: b.smtp(p, COUNT, cert="good")),
    Row("instructions, 25 MB, STARTTLS", 350e6, millions,
        lambda b, p: b.smtp(p, COUNT, BIG)),
    Row("bytes on the wire, 25 MB", 1.01, ratio, lambda b, p: b.wire(p)),
    Row("system calls, 25 MB", 4000, plain,
        lambda b, p: b.smtp(p, CALLS, BIG)),
    Row("turns, STARTTLS+AUTH", 8, plain,
        lambda b, p: b.turns(b.smtp, p), True),
    Row("turns, implicit TLS+AUTH", 5, plain,
        lambda b, p: b.turns(b.smtp, p, tls="implicit"), True),
    Row("turns, SES, first call", 3, plain,
        lambda b, p: b.turns(b.ses, p), True),
    Row("turns, SES, next call, same connection", 1, plain,
        lambda b, p: b.next_turns(p), True),
]


class Table:

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells, self.reasons = {}, []
        self.began = time.monotonic()

    def measure(self, bench, row, program):
        began = time.monotonic()
        try:
            if began - self.began > ENOUGH and program.name != "sendroute":
                raise measure.Failed("left out, the bench took too long")
            value, why = row.value(bench, program), ""
        except Exception as failure:    # a peer must not end the whole bench
            value, why = None, str(failure) or repr(failure)
        self.cells[row, program] = value
        if value is None:
            self.reasons.append((program.name, row.name, why))
        print("bench: %-46s %-10s %-14s %5.1f s %s" % (
            row.name, program.name, "-" if value is None else
            row.form(value), time.monotonic() - began, why), file=sys.stderr,
            flush=True)

    def fill(self, bench):
        """What takes longest comes last, should there be no time for all."""
        cells = [(row, program) for row in self.rows
                 for program in self.columns]
        long = [c for c in cells if c[0].name.startswith(
            ("instructions, 25 MB", "system calls"))]
        alone = [c for c in cells if c[0].alone]
        self.together(bench, [c for c in cells if c not in alone + long])
        for row, program in sorted(alone, key=self.ours_first):
            self.measure(bench, row, program)
        self.together(bench, long)

    @staticmethod
    def ours_first(cell):
        return cell[1].name != "sendroute"

    def together(self, bench, cells):
        with ThreadPoolExecutor(2) as pool:
            for work in [pool.submit(self.measure, bench, *cell)
                         for cell in sorted(cells, key=self.ours_first)]:
                work.result()

    def verdict(self, row):
        ours = [self.cells[row, p] for p in self.columns
                if p.name == "sendroute"]
        if not ours or ours[0] is None:
            return "-"
        if ours[0] <= row.budget:
            return "met"
        return "OVER by %.0f %%" % (100 * (ours[0] / row.budget - 1))

    def text(self, row, program):
        value = self.cells[row, program]
        return "-" if value is None else row.form(value)

    def show(self):
        ours = [p for p in self.columns if p.name == "sendroute"]
        others = [p for p in self.columns if p.name != "sendroute"]
        lines = [["what"] + [p.name for p in ours] + ["budget", "verdict"] +
                 [p.name for p in others]]
        for row in self.rows:
            lines.append([row.name] + [self.text(row, p) for p in ours] +
                         [row.form(row.budget), self.verdict(row)] +
                         [self.text(row, p) for p in others])
        widths = [max(map(len, column)) for column in zip(*lines)]
        print()
        for line in lines:
            print("  ".join(
                [line[0].ljust(widths[0])] +
                [t.rjust(w) for t, w in zip(line[1:], widths[1:])]))

    # Headings of the narrow form, two lines each, and a row of ROWS by its
    # first words.
    NARROW = (
        ("size,", "KiB", "program and", 1), ("peak", "1 KB", "peak memory, 1 KB "
                                              "by SMTP", 1),
        ("KiB", "40 MB", "peak memory, 40 MB", 1),
        ("M inst.", "1 KB", "instructions, 1 KB, STARTTLS+AUTH, RSA", 1e6),
        ("M inst.", "25 MB", "instructions, 25 MB", 1e6),
        ("calls", "25 MB", "system calls", 1),
        ("wire", "25 MB", "bytes on", 0), ("turns", "STARTTLS",
                                           "turns, STARTTLS", 1),
        ("turns", "TLS", "turns, implicit", 1))
    NARROW_SES = (
        ("peak", "1 KB", "peak memory, 1 KB by SES", 1),
        ("KiB", "29 MB", "peak memory, 29 MB", 1),
        ("turns", "first", "turns, SES, first", 1),
        ("turns", "next", "turns, SES, next", 1))

    def narrow(self, title, columns):
        """A line a program, for those of which anything is known."""
        def cell(column, program):
            found = [self.cells.get((row, program)) for row in self.rows
                     if row.name.startswith(column[2])]
            if not found or found[0] is None:
                return "-"
            return "%.3f" % found[0] if not column[3] else \
                "{:,.0f}".format(found[0] / column[3])
        lines = [[title] + [c[0] for c in columns],
                 [""] + [c[1] for c in columns]]
        for program in self.columns:
            cells = [cell(c, program) for c in columns]
            if any(c != "-" for c in cells[-len(columns):]):
                lines.append([program.name] + cells)
        widths = [max(map(len, column)) for column in zip(*lines)]
        return ["    " + " ".join([line[0].ljust(widths[0])] + [
            t.rjust(w) for t, w in zip(line[1:], widths[1:])]).rstrip()
            for line in lines]

    def into(self, path):
        """The narrow form, into the file."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        table = self.narrow("SMTP", self.NARROW) + [""] + \
            self.narrow("SES", self.NARROW_SES)
        parts = re.match(r"(?s)(.*^What it costs\n-+\n.*?\n\n)"
                         r"(?:(?: {4}[^\n]*)?\n)+(?! )(.*)", text, re.M)
        with open(path, "w", encoding="utf-8") as file:
            file.write(parts.group(1) + "\n".join(table) + "\n\n" +
                       parts.group(2))

    def footnotes(self, absent):
        print("\nturns: answers that were waited for, greeting, TLS handshake "
              "and QUIT included where\nthe program waits for them; the "
              "server offers TLS 1.3, PIPELINING and CHUNKING")
        for program in self.columns:
            if program.note:
                print("%s: %s" % (program.name, program.note))
        for name, why in absent:
            print("%s: not measured: %s" % (name, why))
        why = {}
        for name, row, reason in self.reasons:
            why.setdefault((name, reason), []).append(row)
        for (name, reason), rows in why.items():
            print("- %s, %s: %s" % (name, "; ".join(rows), reason))
        verdicts = [self.verdict(row) for row in self.rows]
        print("\n%d of %d budgets met" % (verdicts.count("met"),
                                          len(verdicts)))
        return "-" in verdicts


def chosen(words):
    """Columns and rows that the command line asks for; all by default."""
    at = words.index("-r") if "-r" in words else len(words)
    names, parts = words[:at], words[at + 1:]

    def among(classes):
        return [c for c in classes if not names or c.name in names]

    def rows(all_rows):
        return [r for r in all_rows
                if not parts or any(p in r.name for p in parts)]
    return (among(programs.ALL), rows(ROWS), among(programs.WITH_QUEUES),
            rows(queues.SCENES))


def had(classes, absent):
    """Those that can be run here; the others with the reason in absent."""
    present = []
    for program in classes:
        try:
            present.append(program())
        except programs.Absent as reason:
            absent[program.name] = str(reason)
    return present


def main():
    words, readme = sys.argv[1:], None
    if words[:1] == ["--readme"]:
        readme, words = words[1], words[2:]
    columns, rows, with_queues, scenes = chosen(words)
    absent, incomplete = {}, False
    began = time.monotonic()
    table = Table(had(columns, absent) if rows else [], rows)
    many = queues.Table(scenes, had(with_queues, absent) if scenes else [])
    bench = Bench()
    try:
        table.fill(bench)
        many.fill(bench.cafile)
    finally:
        bench.close()
    if rows:
        table.show()
        incomplete = table.footnotes(absent.items())
        if readme:
            table.into(readme)
    if scenes:
        incomplete |= many.show()
    print("measured in %.0f s" % (time.monotonic() - began))
    sys.stdout.flush()
    shutil.rmtree(certificates.dir, ignore_errors=True)
    # Threads of servers may still wait for a client; they are of no concern.
    os._exit(1 if incomplete else 0)


if __name__ == "__main__":
    main()
