#!/usr/bin/env python3
"""kazoo against three real `quorate server` processes whose leader is killed under its clients.

    python3 tests/interop/kazoo_ensemble.py [--program target/debug/quorate] [--kills 3]

Needs kazoo (pip install kazoo). Exit code 0 when everything held; otherwise what did not is printed. What it shows:

* create, read, versions, sequences, transactions, watches, ACLs, as kazoo uses them;
* kazoo.recipe: Lock, Election, Counter, Queue, Barrier, Party, ChildrenWatch, DataWatch;
* the leader gets SIGKILL in the middle, several times: no client loses its session, every client writes again within its
  session timeout, every write that was acknowledged is there, the lock and the election keep their holders.
"""

import argparse
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    NoAuthError,
    NodeExistsError,
    NotEmptyError,
    OperationTimeoutError,
)
from kazoo.security import make_digest_acl

SESSION = 10.0
DEADLINE = 60.0


def check(condition, *what):
    if not condition:
        raise AssertionError(*what)


def until(what, ask, deadline=DEADLINE):
    """Asks until the answer is true; gives it."""
    end = time.monotonic() + deadline
    while True:
        answer = ask()
        if answer:
            return answer
        check(time.monotonic() < end, f"waited in vain until {what}")
        time.sleep(0.02)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


class Ensemble:
    def __init__(self, program, servers=3):
        self.program = program
        self.dir = tempfile.mkdtemp(prefix="quorate-kazoo-")
        ports = free_ports(servers * 3)
        self.clients = ports[:servers]
        lines = "".join(
            f"server.{n + 1}=127.0.0.1:{ports[servers + n]}:{ports[2 * servers + n]}\n" for n in range(servers)
        )
        self.files, self.processes = [], [None] * servers
        for n in range(servers):
            home = os.path.join(self.dir, str(n + 1))
            os.makedirs(os.path.join(home, "data"))
            with open(os.path.join(home, "data", "myid"), "w") as file:
                file.write(f"{n + 1}\n")
            self.files.append(os.path.join(home, "zoo.cfg"))
            with open(self.files[n], "w") as file:
                file.write(
                    f"tickTime=500\ninitLimit=10\nsyncLimit=4\ndataDir={home}/data\nclientPortAddress=127.0.0.1\n"
                    f"clientPort={self.clients[n]}\nadmin.enableServer=false\nmaxSessionTimeout=40000\n{lines}"
                )

    def start(self, n):
        log = open(self.files[n] + ".log", "ab")
        self.processes[n] = subprocess.Popen([self.program, "server", self.files[n]], stdout=log, stderr=log)
        log.close()

    def mode(self, n):
        try:
            with socket.create_connection(("127.0.0.1", self.clients[n]), 2) as asked:
                asked.sendall(b"srvr")
                text = b"".join(iter(lambda: asked.recv(4096), b"")).decode()
        except OSError:
            return None
        return next((line[6:] for line in text.splitlines() if line.startswith("Mode: ")), None)

    def leader(self):
        return next((n for n in range(len(self.files)) if self.mode(n) == "leader"), None)

    def all_serve(self):
        modes = [self.mode(n) for n in range(len(self.files))]
        return modes.count("leader") == 1 and modes.count("follower") == len(modes) - 1

    def kill(self, n):
        self.processes[n].send_signal(signal.SIGKILL)
        self.processes[n].wait()

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in self.processes]
        check(codes == [0] * len(codes), f"exit codes {codes}")

    def close(self, failed):
        for process in self.processes:
            if process and process.poll() is None:
                process.kill()
        if failed:
            print(f"the servers' logs are in {self.dir}")
        else:
            shutil.rmtree(self.dir)

    def hosts(self, first=0):
        order = self.clients[first:] + self.clients[:first]
        return ",".join(f"127.0.0.1:{port}" for port in order)


class Client(KazooClient):
    """A client that remembers what became of its session."""

    def __init__(self, ensemble, first=0, **more):
        super().__init__(ensemble.hosts(first), timeout=SESSION, randomize_hosts=False, **more)
        self.states = []
        self.add_listener(lambda state: self.states.append(state))
        self.start(DEADLINE)

    def lost(self):
        return KazooState.LOST in self.states

    def again(self, ask):
        """Asks again while the connection breaks, as an application does."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return ask()
            except (ConnectionLoss, OperationTimeoutError) as error:
                check(time.monotonic() < end, f"no answer: {error!r}")
                time.sleep(0.02)


def nodes(ensemble):
    one, other = Client(ensemble, 0), Client(ensemble, 1)
    check(one.create("/nodes/a/b", b"x", makepath=True) == "/nodes/a/b")
    data, stat = one.get("/nodes/a/b")
    check((data, stat.version, stat.numChildren) == (b"x", 0, 0))
    check(one.set("/nodes/a/b", b"y", 0).version == 1)
    for wrong, error in [
        (lambda: one.set("/nodes/a/b", b"z", 0), BadVersionError),
        (lambda: one.create("/nodes/a/b"), NodeExistsError),
        (lambda: one.delete("/nodes/a"), NotEmptyError),
    ]:
        try:
            wrong()
            raise AssertionError(f"{error.__name__} was expected")
        except error:
            pass
    names = [one.create("/nodes/s-", sequence=True) for _ in range(3)]
    check(names == [f"/nodes/s-000000000{n}" for n in (1, 2, 3)], names)
    other.sync("/")
    check(other.get("/nodes/a/b")[0] == b"y")
    transaction = one.transaction()
    transaction.create("/nodes/t")
    transaction.set_data("/nodes/a/b", b"t")
    transaction.check("/nodes/a/b", 7)
    results = transaction.commit()
    check(isinstance(results[2], BadVersionError) and not one.exists("/nodes/t"), results)
    one.add_auth("digest", "ann:secret")
    one.create("/nodes/own", b"s", acl=[make_digest_acl("ann", "secret", all=True)])
    other.sync("/")
    try:
        other.get("/nodes/own")
        raise AssertionError("another's node was read")
    except NoAuthError:
        pass
    check(one.get("/nodes/own")[0] == b"s")
    one.delete("/nodes", recursive=True)
    for client in (one, other):
        client.stop()
        client.close()


def watches(ensemble):
    one, other = Client(ensemble, 0), Client(ensemble, 2)
    seen, children, data = [], [], []
    one.create("/watched", b"0")
    other.sync("/")
    check(other.get("/watched", watch=seen.append)[0] == b"0")
    other.ChildrenWatch("/watched", lambda names: children.append(sorted(names)))
    other.DataWatch("/watched", lambda value, stat: data.append(value))
    for n in range(1, 4):
        one.set("/watched", str(n).encode())
    one.create("/watched/a")
    until("the recipe has seen the last value", lambda: data and data[-1] == b"3")
    until("the recipe has seen the child", lambda: children and children[-1] == ["a"])
    check(len(seen) == 1 and seen[0].type == "CHANGED" and seen[0].path == "/watched", seen)
    one.delete("/watched", recursive=True)
    for client in (one, other):
        client.stop()
        client.close()


def recipes(ensemble):
    clients = [Client(ensemble, n) for n in range(3)]
    counters = [client.Counter("/counter") for client in clients]
    for counter in counters:
        counter += 5
    check(clients[0].Counter("/counter").value == 15)
    queue = clients[0].Queue("/queue")
    for n in range(5):
        queue.put(str(n).encode())
    taken = [clients[n % 3].Queue("/queue") for n in range(5)]
    got = []
    for client, each in zip([0, 1, 2, 0, 1], taken):
        clients[client].sync("/")
        got.append(each.get())
    check(got == [b"0", b"1", b"2", b"3", b"4"], got)
    barrier = clients[0].Barrier("/barrier")
    barrier.create()
    passed = []
    waiting = threading.Thread(target=lambda: passed.append(clients[1].Barrier("/barrier").wait(DEADLINE)))
    waiting.start()
    barrier.remove()
    waiting.join()
    check(passed == [True])
    parties = [client.Party("/party", f"member-{n}") for n, client in enumerate(clients)]
    for party in parties:
        party.join()
    until("all are in the party", lambda: len(parties[0]) == 3)
    inside, most = [], []

    def hold(client):
        for _ in range(5):
            with client.Lock("/lock", str(client.client_id[0])):
                inside.append(client)
                most.append(len(inside))
                inside.remove(client)

    holders = [threading.Thread(target=hold, args=(client,)) for client in clients]
    for each in holders:
        each.start()
    for each in holders:
        each.join()
    check(max(most) == 1 and len(most) == 15, "one at a time holds the lock")
    for client in clients:
        client.stop()
        client.close()


class Worker(threading.Thread):
    """Creates node after node; knows which were acknowledged, and when."""

    def __init__(self, client, name):
        super().__init__(daemon=True)
        self.client, self.name_of, self.done, self.failure = client, name, [], None
        self.stopping = threading.Event()

    def run(self):
        number = 0
        try:
            while not self.stopping.is_set():
                path = f"/log/{self.name_of}-{number}"
                epoch = 0
                try:
                    _, stat = self.client.create(path, b"", include_data=True)
                    epoch = stat.czxid >> 32
                except NodeExistsError:
                    pass  # The acknowledgement was lost with a connection, the write was not.
                except (ConnectionLoss, OperationTimeoutError):
                    time.sleep(0.01)
                    continue
                self.done.append((time.monotonic(), epoch, path))
                number += 1
        except BaseException as failure:  # Told by whoever joins.
            self.failure = failure

    def wrote_since(self, moment):
        return bool(self.done) and self.done[-1][0] > moment

    def wrote_in(self, epoch):
        return any(at_epoch >= epoch for _, at_epoch, _ in self.done[-50:])


def leader_killed(ensemble, kills):
    setup = Client(ensemble, 0)
    for path in ("/log", "/mark"):
        setup.create(path)
    workers = [Worker(Client(ensemble, n % 3), f"w{n}") for n in range(6)]
    for worker in workers:
        worker.start()

    candidates = [Client(ensemble, n) for n in range(3)]
    leading, ends = [], threading.Event()

    def lead(client):
        leading.append(client)
        ends.wait()

    elections = [client.Election("/election", str(n)) for n, client in enumerate(candidates)]

    def run(election, client):
        try:
            election.run(lead, client)
        except ConnectionClosedError:
            pass  # The first leader leaves by closing its session while it leads.

    running = [threading.Thread(target=run, args=each, daemon=True) for each in zip(elections, candidates)]
    for each in running:
        each.start()
    until("one candidate leads", lambda: len(leading) == 1)
    until("all are candidates", lambda: len(elections[0].contenders()) == 3)

    owner, rival = Client(ensemble, 1), Client(ensemble, 2)
    lock = owner.Lock("/held", "owner")
    check(lock.acquire(timeout=DEADLINE))
    changes = []
    rival.DataWatch("/mark", lambda value, stat: changes.append(value))
    everybody = [setup, owner, rival, *candidates, *(worker.client for worker in workers)]
    sessions = [client.client_id[0] for client in everybody]

    for round_ in range(kills):
        until("all servers serve", ensemble.all_serve)
        until("all workers write", lambda: all(worker.wrote_since(time.monotonic() - 1) for worker in workers))
        victim = until("one leads", lambda: ensemble.leader() is not None and [ensemble.leader()])[0]
        check(victim is not None)
        epoch = max(worker.done[-1][1] for worker in workers)
        ensemble.kill(victim)
        killed = time.monotonic()
        until("every client writes under another leader", lambda: all(worker.wrote_in(epoch + 1) for worker in workers))
        took = time.monotonic() - killed
        check(took < SESSION, f"{took:.1f} s until all write again")
        mark = str(round_).encode()
        setup.again(lambda: setup.set("/mark", mark))
        until("a watch tells the change", lambda: changes and changes[-1] == mark)
        check(not rival.Lock("/held", "rival").acquire(blocking=False), "the lock is still held")
        check(len(leading) == 1, "the election was not disturbed")
        print(f"   server {victim + 1}, the leader, killed: all clients write again after {took:.2f} s")
        ensemble.start(victim)
    until("all servers serve", ensemble.all_serve)

    for worker in workers:
        worker.stopping.set()
    for worker in workers:
        worker.join()
        check(worker.failure is None, repr(worker.failure))
    for client, session in zip(everybody, sessions):
        check(not client.lost() and client.client_id[0] == session, "a session was lost", client.states)
    setup.again(lambda: setup.sync("/"))
    there = set(setup.get_children("/log"))
    told = {path.rsplit("/", 1)[1] for worker in workers for _, _, path in worker.done}
    check(told == there, f"acknowledged and missing: {told - there}, there and not acknowledged: {there - told}")
    print(f"   {len(told)} acknowledged writes are there, and no others")

    first = leading[0]
    candidates.remove(first)
    first.stop()
    first.close()
    until("another candidate leads when the first has gone", lambda: len(leading) == 2, SESSION)
    check(leading[1] in candidates)
    ends.set()
    for each in elections:
        each.cancel()
    lock.release()
    for client in [setup, owner, rival, *candidates, *(worker.client for worker in workers)]:
        client.stop()
        client.close()


def expired(ensemble):
    """A session that was closed takes its ephemerals along and is not taken up again."""
    silent, other = KazooClient(ensemble.hosts(0), timeout=1.5), Client(ensemble, 1)
    silent.start(DEADLINE)
    silent.create("/silent", ephemeral=True)
    session = silent.client_id
    silent.stop()
    silent.close()
    until("the ephemeral goes with its session", lambda: not other.exists("/silent"))
    late = KazooClient(ensemble.hosts(0), timeout=1.5, client_id=session)
    states = []
    late.add_listener(states.append)
    late.start(DEADLINE)
    check(late.client_id != session, "an ended session is not taken up again")
    for client in (late, other):
        client.stop()
        client.close()


def main():
    arguments = argparse.ArgumentParser(description="kazoo against three quorate servers")
    arguments.add_argument("--program", default="target/debug/quorate")
    arguments.add_argument("--kills", type=int, default=3)
    arguments = arguments.parse_args()
    # What breaks here is meant to.
    logging.getLogger("kazoo").addHandler(logging.NullHandler())
    logging.getLogger("kazoo").propagate = False
    ensemble, failed = Ensemble(os.path.abspath(arguments.program)), True
    began = time.monotonic()
    try:
        for n in range(3):
            ensemble.start(n)
        until("all servers serve", ensemble.all_serve)
        for step, run in [
            ("nodes, versions, transactions, ACLs", lambda: nodes(ensemble)),
            ("watches", lambda: watches(ensemble)),
            ("counter, queue, barrier, party, lock", lambda: recipes(ensemble)),
            ("a session that has ended", lambda: expired(ensemble)),
            (f"the leader is killed {arguments.kills} times", lambda: leader_killed(ensemble, arguments.kills)),
            ("the servers stop cleanly", ensemble.stop),
        ]:
            run()
            print(f"ok {step}")
        failed = False
    finally:
        ensemble.close(failed)
    print(f"all held, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
