#!/usr/bin/env python3
"""Opens many sessions and watches at a server and tells what each costs it in memory.

    tests/interop/many_connections.py HOST:PORT PID [--connections 5000] [--watches 100000]

PID is the process of the server (Linux). All sessions are held at once, and each answers a ping at the end.
"""

import argparse
import resource
import struct
import time

from wire import PING, Session


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("pid", type=int)
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--watches", type=int, default=100_000)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, options.connections + 100), hard))

    Session(options.server).drop()
    before, began = resident(options.pid), time.monotonic()
    sessions = [Session(options.server, timeout=40_000) for _ in range(options.connections)]
    opened = resident(options.pid)
    print(f"{len(sessions)} sessions in {time.monotonic() - began:.1f} s, {(opened - before) / len(sessions) / 1024:.2f} KiB each")

    began = time.monotonic()
    for session in sessions:
        session.send(struct.pack(">ii", PING, 11))
    for session in sessions:
        session.receive()
    print(f"{len(sessions)} pings answered in {time.monotonic() - began:.2f} s")

    before = resident(options.pid)
    each = options.watches // len(sessions)
    for number, session in enumerate(sessions):
        for watch in range(each):
            session.call("exists", f"/watched/{number:05}-{watch:05}", True)
    count = each * len(sessions)
    print(f"{count} watches of paths of 20 bytes, {(resident(options.pid) - before) / max(count, 1):.0f} bytes each")


if __name__ == "__main__":
    main()
