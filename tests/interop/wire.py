"""ZooKeeper's client protocol in a few lines: enough to send any request and to see every byte that comes back.

It is written for comparison, not for use: nothing is retried, nothing is hidden, and what a server says is given back as plain
tuples, so that the answers of two servers can be compared whole.
"""

import socket
import struct
from collections import namedtuple

Stat = namedtuple(
    "Stat",
    "czxid mzxid ctime mtime version cversion aversion owner data_length children pzxid",
)
Event = namedtuple("Event", "kind state path")
Reply = namedtuple("Reply", "zxid error body")

NOTIFICATION, PING, AUTH, SET_WATCHES = -1, -2, -4, -8


class Writer:
    """Puts records together."""

    def __init__(self):
        self.parts = []

    def int(self, value):
        self.parts.append(struct.pack(">i", value))
        return self

    def long(self, value):
        self.parts.append(struct.pack(">q", value))
        return self

    def bool(self, value):
        self.parts.append(b"\x01" if value else b"\x00")
        return self

    def buffer(self, value):
        if value is None:
            return self.int(-1)
        self.int(len(value))
        self.parts.append(value)
        return self

    def string(self, value):
        return self.buffer(None if value is None else value.encode("utf-8", "surrogatepass"))

    def strings(self, values):
        self.int(len(values))
        for value in values:
            self.string(value)
        return self

    def acl(self, entries):
        if entries is None:
            return self.int(-1)
        self.int(len(entries))
        for perms, scheme, name in entries:
            self.int(perms).string(scheme).string(name)
        return self

    def bytes(self):
        return b"".join(self.parts)


class Reader:
    """Takes records apart."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def _unpack(self, form, size):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def int(self):
        return self._unpack(">i", 4)

    def long(self):
        return self._unpack(">q", 8)

    def bool(self):
        return self._unpack(">?", 1)

    def buffer(self):
        size = self.int()
        if size < 0:
            return None
        value = self.data[self.at : self.at + size]
        self.at += size
        return value

    def string(self):
        value = self.buffer()
        return None if value is None else value.decode()

    def strings(self):
        return [self.string() for _ in range(self.int())]

    def stat(self):
        return Stat(
            self.long(), self.long(), self.long(), self.long(), self.int(), self.int(), self.int(),
            self.long(), self.int(), self.int(), self.long(),
        )  # fmt: skip

    def acl(self):
        return [(self.int(), self.string(), self.string()) for _ in range(self.int())]

    def rest(self):
        """All that is left; nothing is left then."""
        value, self.at = self.data[self.at :], len(self.data)
        return value


# What a request of each kind looks like: its number, how its record is written and how its answer is read.


def _create(path, data, acl, flags):
    return Writer().string(path).buffer(data).acl(acl).int(flags).bytes()


def _path_version(path, version):
    return Writer().string(path).int(version).bytes()


def _path_watch(path, watch=False):
    return Writer().string(path).bool(watch).bytes()


def _path(path):
    return Writer().string(path).bytes()


def _nothing(_reader):
    return ()


def _sorted(names):
    return tuple(sorted(names))


OPERATIONS = {
    "create": (1, _create, lambda r: (r.string(),)),
    "delete": (2, _path_version, _nothing),
    "exists": (3, _path_watch, lambda r: (r.stat(),)),
    "get": (4, _path_watch, lambda r: (r.buffer(), r.stat())),
    "set": (5, lambda path, data, version: Writer().string(path).buffer(data).int(version).bytes(), lambda r: (r.stat(),)),
    "get_acl": (6, _path, lambda r: (tuple(r.acl()), r.stat())),
    "set_acl": (7, lambda path, acl, version: Writer().string(path).acl(acl).int(version).bytes(), lambda r: (r.stat(),)),
    "children": (8, _path_watch, lambda r: (_sorted(r.strings()),)),
    "sync": (9, _path, lambda r: (r.string(),)),
    "children2": (12, _path_watch, lambda r: (_sorted(r.strings()), r.stat())),
    "check": (13, _path_version, _nothing),
    "create2": (15, _create, lambda r: (r.string(), r.stat())),
    "reconfig": (
        16,
        lambda joining, leaving, members, config: Writer().string(joining).string(leaving).string(members).long(config).bytes(),
        lambda r: (r.buffer(), r.stat()),
    ),
    "check_watches": (17, _path_version, _nothing),
    "remove_watches": (18, _path_version, _nothing),
    "create_container": (19, _create, lambda r: (r.string(), r.stat())),
    "delete_container": (20, _path, _nothing),
    "create_ttl": (
        21,
        lambda path, data, acl, flags, ttl: _create(path, data, acl, flags) + Writer().long(ttl).bytes(),
        lambda r: (r.string(), r.stat()),
    ),
    "ephemerals": (103, _path, lambda r: (_sorted(r.strings()),)),
    "descendants": (104, _path, lambda r: (r.int(),)),
    "add_watch": (106, _path_version, lambda r: (r.int(),)),
    "who_am_i": (107, lambda: b"", lambda r: (tuple(sorted((r.string(), r.string()) for _ in range(r.int()))),)),
    "close": (-11, lambda: b"", _nothing),
}
RESULTS = {number: read for number, _write, read in OPERATIONS.values()}


def _multi(operations):
    out = Writer()
    for name, *arguments in operations:
        number, write, _read = OPERATIONS[name]
        out.int(number).bool(False).int(-1)
        out.parts.append(write(*arguments))
    return out.int(-1).bool(True).int(-1).bytes()


def _multi_results(reader):
    results = []
    while True:
        kind, done, error = reader.int(), reader.bool(), reader.int()
        if done:
            return (tuple(results), kind, error)
        # A failed operation has the kind -1 and its code twice.
        results.append((kind, error, (reader.int(),) if kind == -1 else RESULTS[kind](reader)))


OPERATIONS["multi"] = (14, _multi, _multi_results)
OPERATIONS["multi_read"] = (22, _multi, _multi_results)


class Closed(Exception):
    """The server has closed the connection."""


class Session:
    """One connection with its session."""

    def __init__(self, address, timeout=30_000, resume=(0, b"\x00" * 16), last_zxid=0):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events, self.xid = [], 0
        hello = Writer().int(0).long(last_zxid).int(timeout).long(resume[0]).buffer(resume[1]).bool(False)
        self.send(hello.bytes())
        reader = Reader(self.receive())
        self.protocol, self.timeout, self.id, self.password = reader.int(), reader.int(), reader.long(), reader.buffer()
        self.read_only = reader.bool()
        self.trailing = reader.rest()

    def send(self, payload):
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)

    def receive(self):
        head = self._exactly(4)
        return self._exactly(struct.unpack(">i", head)[0])

    def _exactly(self, size):
        parts = []
        while size:
            try:
                part = self.socket.recv(size)
            except ConnectionError as error:
                raise Closed from error
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _answer(self, xid, read):
        while True:
            reader = Reader(self.receive())
            got, zxid, error = reader.int(), reader.long(), reader.int()
            if got == NOTIFICATION:
                self.events.append(Event(reader.int(), reader.int(), reader.string()))
                continue
            assert got == xid, f"the answer to {got} came in place of that to {xid}"
            body = read(reader) if error == 0 else ()
            left = reader.rest()
            assert error != 0 or not left, f"{len(left)} bytes too many: {left!r}"
            return Reply(zxid, error, body)

    def call(self, name, *arguments):
        """Sends a request and waits for the answer; events that came before it are in `events`."""
        number, write, read = OPERATIONS[name]
        self.xid += 1
        self.send(struct.pack(">ii", self.xid, number) + write(*arguments))
        return self._answer(self.xid, read)

    def raw(self, number, record=b""):
        """Sends any bytes as a request of any kind; the answer's body is left as it is."""
        self.xid += 1
        self.send(struct.pack(">ii", self.xid, number) + record)
        return self._answer(self.xid, lambda reader: (reader.rest(),))

    def ping(self):
        self.send(struct.pack(">ii", PING, 11))
        return self._answer(PING, _nothing)

    def auth(self, scheme, credentials):
        self.send(struct.pack(">ii", AUTH, 100) + Writer().int(0).string(scheme).buffer(credentials).bytes())
        return self._answer(AUTH, _nothing)

    def set_watches(self, since, data=(), exist=(), child=(), persistent=None, recursive=()):
        record = Writer().long(since).strings(data).strings(exist).strings(child)
        if persistent is not None:
            record.strings(persistent).strings(recursive)
        self.send(struct.pack(">ii", SET_WATCHES, 101 if persistent is None else 105) + record.bytes())
        return self._answer(SET_WATCHES, _nothing)

    def take_events(self):
        """What has come until now, behind a ping, so that nothing is on its way."""
        self.ping()
        events, self.events = self.events, []
        return events

    def drop(self):
        self.socket.close()
