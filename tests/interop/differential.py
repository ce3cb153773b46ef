#!/usr/bin/env python3
"""The same random requests to two servers; every answer, Stat, error and event compared.

    tests/interop/differential.py A:PORT B:PORT [--operations 10000] [--seed 1]

A is the model, a standalone Apache ZooKeeper with `extendedTypesEnabled=true`; B is what is judged: `quorate server` with a
configuration of one server. `tests/interop/differential.sh` starts both. What differs and may, is listed in
`docs/differences.md`, and here in `allowed`, with the same names.

Numbers that are a server's own are not compared as they are but by what they mean: the zxid of each executed write and each session of
one server must stand for one of the other, always the same, and zxids in the same order; of times, whether a node was changed since it
was made. A refused write takes a zxid from ZooKeeper and need not here, so the zxid of any other answer must only lie behind the same
executed write.
"""

import argparse
import bisect
import collections
import random
import sys

from wire import Closed, Event, Reply, Session, Stat

NAMES = ["a", "b", "c", "d"]
BAD_PATHS = ["", "a", "/a/", "//", "/a//b", "/a/../b", "/a/./b", "/.", "/\x01", "/a\x7f", "/\ue000", "/zookeeper/none", None]
RESERVED = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"]
ANYONE, READERS = (31, "world", "anyone"), (1, "world", "anyone")
ACLS = [
    [ANYONE], [READERS], [(31, "auth", "")], [(31, "digest", "ann:gIYuqrqWj3Tpjfw0ZV8q/aCZ0Po=")],
    [(31, "ip", "127.0.0.1")], [(31, "ip", "10.0.0.0/8"), READERS], [(30, "world", "anyone")], [(27, "world", "anyone")],
    [ANYONE, ANYONE], [(31, "auth", ""), READERS], [(0, "world", "anyone")],
]  # fmt: skip
BAD_ACLS = [[], None, [(31, "nobody", "x")], [(31, "ip", "300.1.2.3")], [(31, "digest", "no-colon")], [(31, "world", "someone")]]
# Kind and time to live. A kind without one and -1 is left out: ZooKeeper makes a plain node, which its log does not survive.
TTLS = [(5, 10**9), (5, 10**9), (6, 10**8), (6, 10**9), (5, 0), (6, -1), (5, 2**40), (0, 10**9), (1, 0)]
WRITES = {"create", "create2", "create_ttl", "create_container", "delete", "set", "set_acl", "multi"}
VERSIONS = [-1, -1, -1, -1, 0, 1, 2, -2, 7]


def watches(path):
    """The one kind of watch that is left on a path: before 3.9, ZooKeeper takes a second kind for the first (ZOOKEEPER-4466)."""
    return {"c": "lasting", "d": "recursive"}.get((path or "")[-1:], "once")


class Script:
    """Draws requests. It never looks at an answer, so that both servers are asked the same."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def path(self):
        dice = self.dice.random()
        if dice < 0.02:
            return self.dice.choice(BAD_PATHS)
        if dice < 0.04:
            return self.dice.choice(RESERVED)
        depth = self.dice.choice([1, 1, 2, 2, 2, 3])
        return "/t/" + "/".join(self.dice.choice(NAMES) for _ in range(depth))

    def data(self):
        return self.dice.choice([None, b"", b"x", bytes(self.dice.randrange(256) for _ in range(self.dice.randrange(40)))])

    def acl(self, path):
        # What lies on top is open to all: it is what sessions set their watches on again, see `allowed`.
        if self.dice.random() < 0.7 or (path or "").count("/") < 3:
            return [ANYONE]
        return self.dice.choice(BAD_ACLS if self.dice.random() < 0.2 else ACLS)

    def version(self):
        return self.dice.choice(VERSIONS)

    def create(self, name):
        flags = self.dice.choice([0, 0, 0, 0, 1, 2, 3, 4, 9, -1] if self.dice.random() < 0.2 else [0, 0, 0, 1, 2, 3])
        path = self.path()
        return name, path, self.data(), self.acl(path), flags

    def write(self):
        kind = self.dice.choices(["create", "create2", "delete", "set", "set_acl", "check"], [4, 3, 4, 4, 1, 1])[0]
        if kind.startswith("create"):
            return self.create(kind)
        if kind == "set":
            return kind, self.path(), self.data(), self.version()
        if kind == "set_acl":
            path = self.path()
            return kind, path, self.acl(path), self.version()
        return kind, self.path(), self.version()

    def multi(self):
        while True:
            operations = [self.write() for _ in range(self.dice.randrange(5))]
            # A multi has no setACL, a null path in one takes the connection with it, and the flag for a container makes one.
            if all(operation[0] != "set_acl" and operation[1] is not None and operation[-1] != 4 for operation in operations):
                return "multi", operations

    def request(self):
        dice = self.dice
        kind = dice.choices(
            ["write", "multi", "get", "exists", "children", "children2", "get_acl", "multi_read", "ephemerals", "descendants",
             "add_watch", "remove_watches", "check_watches", "who_am_i", "sync", "create_ttl", "create_container", "set_watches",
             "auth", "reconnect", "replace"],
            [40, 6, 8, 8, 4, 4, 3, 2, 1, 1, 2, 1, 1, 0.5, 1, 1.5, 0.5, 1.5, 0.3, 0.5, 0.7],
        )[0]  # fmt: skip
        if kind == "write":
            operation = self.write()
            return operation if operation[0] != "check" else ("exists", operation[1], False)
        if kind == "multi":
            return self.multi()
        if kind in ("get", "exists", "children", "children2"):
            path = self.path()
            return kind, path, watches(path) == "once" and dice.random() < 0.4
        if kind in ("get_acl", "ephemerals", "descendants", "sync"):
            return kind, self.path()
        if kind == "multi_read":
            return kind, [(dice.choice(["get", "children"]), self.path() or "/", False) for _ in range(dice.randrange(4))]
        if kind == "add_watch":
            path = self.path()
            return kind, path, {"once": 2, "lasting": 0, "recursive": 1}[watches(path)]
        if kind in ("remove_watches", "check_watches"):
            path = self.path()
            return kind, path, dice.choice([1, 2, 3]) if watches(path) == "once" else 3
        if kind == "create_ttl":
            path = self.path()
            return kind, path, self.data(), self.acl(path), *dice.choice(TTLS)
        if kind == "create_container":
            # Never given children: when an emptied container goes is the server's affair.
            return kind, "/containers/" + dice.choice(NAMES), self.data(), [ANYONE], 4
        if kind == "set_watches":
            # No client watches what cannot be a path.
            lists = [["/t/" + name for name in names if dice.random() < 0.4] for names in (*[["a", "b"]] * 3, ["c"], ["d"])]
            return kind, dice.random(), lists, dice.random() < 0.5
        if kind == "auth":
            return kind, "digest", dice.choice([b"ann:secret", b"bob:secret", b"ann:wrong"])
        return (kind,)


class Pairs:
    """What of one server stands for what of the other."""

    def __init__(self, name, ordered=False):
        self.name, self.ordered = name, ordered
        self.there, self.back = {}, {}
        self.sorted = ([], [])

    def agree(self, a, b):
        """Notes that these stand for each other; says what is wrong with it, if something is."""
        known = a in self.there or b in self.back
        if self.there.setdefault(a, b) != b or self.back.setdefault(b, a) != a:
            return f"{self.name} {a:#x} stood for {self.there[a]:#x} and now for {b:#x}, which stood for {self.back[b]:#x}"
        if self.ordered and not known:
            ranks = [bisect.bisect(known, number) for known, number in zip(self.sorted, (a, b))]
            for known, rank, number in zip(self.sorted, ranks, (a, b)):
                known.insert(rank, number)
            if ranks[0] != ranks[1]:
                return f"{self.name}s are in another order"
        return None

    def between(self, a, b):
        """Says what is wrong, if these do not lie behind the same pair."""
        ranks = [bisect.bisect(known, number) for known, number in zip(self.sorted, (a, b))]
        return f"{self.name} {a:#x} lies behind {ranks[0]} writes, {b:#x} behind {ranks[1]}" if ranks[0] != ranks[1] else None


class Comparison:
    """Two servers, the sessions at each, and what was found to differ."""

    def __init__(self, a, b, seed):
        self.addresses, self.script = (a, b), Script(seed)
        self.zxids, self.owners = Pairs("zxid", ordered=True), Pairs("session")
        self.owners.agree(0, 0)
        self.sessions = []
        self.differences, self.allowed, self.past = [], collections.Counter(), []
        self.counts, self.errors, self.events = collections.Counter(), collections.Counter(), 0
        for _ in range(3):
            self.open()

    def open(self):
        pair = tuple(Session(address) for address in self.addresses)
        self.judge(("connect",), pair[0].timeout, pair[1].timeout)
        self.owners.agree(pair[0].id, pair[1].id)
        self.sessions.append(pair)

    def differ(self, request, what):
        self.differences.append((sum(self.counts.values()), request, what))

    def history(self, words):
        """The requests so far that name one of these paths, with the session's number and the model's answer."""
        return [f"    {at}: {line}" for at, line in self.past if any(word in line for word in words)]

    def judge(self, request, a, b):
        """Compares what two servers said, whatever its shape."""
        if isinstance(a, Reply) and isinstance(b, Reply):
            executed = a.error == 0 == b.error and request[0] in WRITES and not failed(a.body) and not failed(b.body)
            wrong = (self.zxids.agree if executed else self.zxids.between)(a.zxid, b.zxid)
            if wrong:
                self.differ(request, wrong)
            self.judge(request, a.error, b.error)
            if a.error == b.error:
                self.judge(request, a.body, b.body)
        elif isinstance(a, Stat) and isinstance(b, Stat):
            for field in ("czxid", "mzxid", "pzxid"):
                self.number(request, self.zxids, getattr(a, field), getattr(b, field), field)
            self.number(request, self.owners, a.owner, b.owner, "owner")
            for field in ("version", "cversion", "aversion", "data_length", "children"):
                if getattr(a, field) != getattr(b, field):
                    self.differ(request, f"{field}: {getattr(a, field)} and {getattr(b, field)}")
            if (a.mzxid == a.czxid) and (b.ctime != b.mtime or a.ctime != a.mtime):
                self.differ(request, "ctime and mtime of a node that was never changed")
            if b.mtime < b.ctime or abs(b.mtime - a.mtime) > 60_000:
                self.differ(request, f"mtime: {a.mtime} and {b.mtime}")
        elif isinstance(a, tuple) and isinstance(b, tuple) and not isinstance(a, Event) and len(a) == len(b):
            for one, other in zip(a, b):
                self.judge(request, one, other)
        elif a != b:
            name = allowed(request, a, b)
            if name is None:
                self.differ(request, f"{a!r} and {b!r}")
            else:
                self.allowed[name] += 1

    def number(self, request, pairs, a, b, field=""):
        wrong = pairs.agree(a, b)
        if wrong:
            self.differ(request, f"{field} {wrong}")

    def step(self):
        request = self.script.request()
        index = self.script.dice.randrange(len(self.sessions))
        self.counts[request[0]] += 1
        pair = self.sessions[index]
        answers = []
        for side, session in enumerate(pair):
            try:
                answers.append(self.ask(session, request, index, side))
            except Closed:
                answers.append("closed")
        code = answers[0].error if isinstance(answers[0], Reply) else answers[0]
        self.past.append((sum(self.counts.values()), f"session {pair[0].id:#x} {request!r}: {code}"))
        if isinstance(answers[0], Reply):
            self.errors[answers[0].error] += 1
        self.judge(request, *answers)
        if "closed" in answers:
            # ZooKeeper closes a connection that asks what it does not know; the session is given up on both sides.
            for session in pair:
                session.drop()
            for side, address in enumerate(self.addresses):
                self.end(address, pair[side])
            del self.sessions[index]
            self.open()
        elif request[0] == "replace":
            self.sessions.pop(index)
            self.open()
        elif request[0] == "reconnect":
            self.sessions[index] = tuple(self.renewed)
        for one, other in self.sessions:
            a, b = (self.events_of(session) for session in (one, other))
            self.events += len(a)
            if request[0] == "replace":
                # In which order the ephemerals of a session go is nobody's promise.
                a, b = sorted(a), sorted(b)
            if a != b:
                request = (*request, f"events of session {one.id:#x}")
                self.judge(request, tuple(map(tuple, a)), tuple(map(tuple, b)))

    def events_of(self, session):
        try:
            return session.take_events()
        except Closed:
            return [("closed",)]

    def ask(self, session, request, index, side):
        kind, *arguments = request
        if kind == "auth":
            return session.auth(*arguments)
        if kind == "set_watches":
            share, (data, exist, child, persistent, recursive), new = arguments
            known = self.zxids.sorted[side]
            since = known[int(share * len(known))] if known else 0
            answer = session.set_watches(since, data, exist, child, *((persistent, recursive) if new else ()))
            return answer
        if kind == "replace":
            return session.call("close")
        if kind == "reconnect":
            session.drop()
            if side == 0:
                self.renewed = []
            again = Session(self.addresses[side], resume=(session.id, session.password))
            self.renewed.append(again)
            return (again.id == session.id, again.password == session.password, again.timeout, again.read_only)
        return session.call(kind, *arguments)

    def end(self, address, session):
        again = Session(address, resume=(session.id, session.password))
        if again.id:
            again.call("close")
        again.drop()

    def whole(self):
        """Compares both trees, node by node."""
        todo, seen = ["/"], 0
        pair = self.sessions[0]
        while todo:
            path = todo.pop()
            for kind in ("get", "get_acl", "children2"):
                arguments = (path,) if kind == "get_acl" else (path, False)
                answers = [session.call(kind, *arguments) for session in pair]
                if not path.startswith("/zookeeper"):
                    self.judge((kind, path), *answers)
            seen += 1
            if answers[0].error == 0:
                todo += [path.rstrip("/") + "/" + name for name in answers[0].body[0]]
        return seen


def failed(body):
    """Whether this is the answer to a multi that was not executed."""
    return any(isinstance(part, tuple) and part and part[0][0] == -1 for part in body if not isinstance(part, Stat))


def allowed(request, a, b):
    """The name of a difference that `docs/differences.md` explains, or none."""
    kind, path = request[0], request[1] if len(request) > 1 else None
    if kind == "exists" and (a, b) == (0, -102):
        return "exists-needs-read"
    if kind == "delete" and path in BAD_PATHS and (a, b) == (-101, -8):
        return "delete-of-no-path"
    if kind == "multi" and (a, b) == (-101, -8) and any(name == "delete" and at in BAD_PATHS for name, at, *_ in path):
        return "delete-of-no-path"
    if path is None and a == -5:
        return "null-path"
    if kind == "sync" and path is None and (a, b) == (None, ""):
        return "null-path"
    if kind in ("check_watches", "remove_watches") and (a, b) in [(0, -121), (-5, -121)]:
        return "check-watches"
    if kind == "multi" and ((a, b) == (1, 15) or isinstance(a, tuple) and isinstance(b, tuple) and a == b[:1]):
        return "create2-in-multi"
    if path == "" and (a, b) == (0, -101):
        return "empty-path"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("judged")
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--history", nargs="*", default=[], metavar="PATH", help="print what was asked of these paths")
    options = parser.parse_args()
    run = Comparison(options.model, options.judged, options.seed)
    for path in ("/t", "/containers"):
        answers = [session.call("create", path, b"", [ANYONE], 0) for session in run.sessions[0]]
        run.judge(("create", path), *answers)
    for _ in range(options.operations):
        run.step()
        if len(run.differences) >= 20:
            break
    nodes = run.whole()
    for at, request, what in run.differences:
        print(f"DIFFERS at {at}: {request!r}: {what}")
    print(*run.history(options.history), sep="\n", end="")
    print(f"seed {options.seed}: {sum(run.counts.values())} operations, {run.events} events, {nodes} nodes at the end")
    print("asked:", ", ".join(f"{kind} {count}" for kind, count in run.counts.most_common()))
    print("errors:", ", ".join(f"{code} {count}" for code, count in run.errors.most_common()))
    print("allowed:", ", ".join(f"{name} {count}" for name, count in run.allowed.most_common()) or "none")
    print(f"{len(run.differences)} differences")
    return 1 if run.differences else 0


if __name__ == "__main__":
    sys.exit(main())
