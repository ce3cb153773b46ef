#!/usr/bin/env python3
"""Runs one list of commands through zkCli.sh and through `quorate shell` and compares what they print.

    tests/interop/zkcli.py --server 127.0.0.1:2181 [--quorate target/debug/quorate] [--zkcli /usr/share/zookeeper/bin/zkCli.sh]

Both programs run interactively, with a pipe for a terminal, against the same server but under paths of their own,
so that they do not meet. What differs from run to run (zxids, dates, session ids, sequence numbers of the
first program) is replaced by its kind before the comparison; standard output and standard error are compared apart.
The exit code is 0 when nothing differs but the lines that EXPECTED names.

With --record FILE only zkCli.sh runs, and its transcript is written to FILE. The recording beside this script was made so,
from zkCli.sh and a ZooKeeper 3.8.0; server/tests/program/transcript.rs compares with it where there is no zkCli.sh.
"""

import argparse
import queue
import re
import subprocess
import sys
import threading
import time

MARK_OUT = re.compile(r"^printwatches is (on|off)$")
MARK_ERR = "Command index out of range"

# Commands that can make a watch fire.
EVENTFUL = ("create", "set ", "set -", "delete", "removewatches")

# Commands whose answers differ on purpose, each with its reason.
EXPECTED = {
    "version": "ours names itself",
    "help": "zkCli does not know it, and prints the list of commands all the same",
    "ls2 /ROOT": "zkCli has dropped the command; ours still knows it",
}


class Shell:
    """One interactive program, its two outputs read by threads."""

    def __init__(self, command):
        self.command = command
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        self.out, self.err = queue.Queue(), queue.Queue()
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=self.pump, args=(stream, lines), daemon=True).start()
        self.await_connection()

    @staticmethod
    def pump(stream, lines):
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def await_connection(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            line = self.out.get(timeout=20)
            if line is None or "state:SyncConnected" in line:
                return

    def run(self, line, settle):
        """What the command printed, as (stdout lines, stderr lines, still alive)."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            if settle:
                time.sleep(settle)
            self.process.stdin.write("printwatches\nredo 99999\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        out, out_open = self.collect(self.out, MARK_OUT.match)
        err, err_open = self.collect(self.err, lambda text: text == MARK_ERR)
        alive = out_open and err_open
        if not alive:
            self.process.wait(timeout=20)
        return out, err, alive

    @staticmethod
    def collect(lines, is_mark):
        """The lines up to the mark, and whether it came before the end of the stream."""
        seen = []
        while True:
            try:
                line = lines.get(timeout=20)
            except queue.Empty:
                raise SystemExit(f"no answer within 20 s; so far: {seen}")
            if line is None:
                return seen, False
            if is_mark(line):
                return seen, True
            if not line.startswith("SLF4J"):
                seen.append(line)


def commands(path):
    with open(path, encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines if line.strip() and not line.startswith("#")]


KINDS = [
    (re.compile(r"^(cZxid|mZxid|pZxid) = 0x[0-9a-f]+$"), r"\1 = <zxid>"),
    (re.compile(r"^(ctime|mtime) = (?!Thu Jan 01)\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}$"), r"\1 = <date>"),
    (re.compile(r"^ephemeralOwner = 0x[0-9a-f]{2,}$"), "ephemeralOwner = <session>"),
    (re.compile(r"^\s+at (java|org)\..*$"), "<java frame>"),
]


def plain(lines, root):
    """The lines without what differs from run to run."""
    kept = []
    for line in lines:
        line = line.replace(root, "/ROOT").removeprefix("org.apache.commons.cli.")
        line = re.sub(r"^\w+Exception: ", "", line)
        # A set in Java has no order; the list of all commands differs by those that one of the two lacks.
        if line.startswith("[/"):
            line = "[" + ", ".join(sorted(line[1:-1].split(", "))) + "]"
        if line.startswith("\t") or line.startswith(("ZooKeeper -server", "quorate shell [-server")):
            continue
        for pattern, kind in KINDS:
            line = pattern.sub(kind, line)
        if line != "<java frame>":
            kept.append(line)
    return kept


def transcript(command, root, script, settle):
    shell = Shell(command)
    shell.run(f"deleteall {root}", 0)
    answers = []
    for line in script:
        out, err, alive = shell.run(line.replace("/ROOT", root), settle if line.startswith(EVENTFUL) else 0)
        answers.append((plain(out, root), plain(err, root), alive))
        if not alive:
            shell.start()
    shell.process.stdin.close()
    shell.process.wait(timeout=20)
    return answers


def show(answer):
    out, err, alive = answer
    text = [f"  | {line}" for line in out] + [f"  ! {line}" for line in err]
    return text + ([] if alive else ["  (the program ended)"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:2181")
    parser.add_argument("--second", help="the server of `quorate shell`, if it is another")
    parser.add_argument("--second-zkcli", action="store_true", help="run zkCli.sh there as well, to compare two servers")
    parser.add_argument("--zkcli", default="/usr/share/zookeeper/bin/zkCli.sh")
    parser.add_argument("--quorate", default="target/debug/quorate")
    parser.add_argument("--commands", default=__file__.replace("zkcli.py", "zkcli.txt"))
    parser.add_argument("--record")
    parser.add_argument("--settle", type=float, default=0.1, help="seconds that a watch event may take")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()

    script = commands(args.commands)
    zkcli = [args.zkcli, "-server", args.server]
    theirs = transcript(zkcli, "/interop-a", script, args.settle)
    if args.record:
        with open(args.record, "w", encoding="utf-8") as file:
            for line, answer in zip(script, theirs):
                print("\n".join([f"> {line}"] + show(answer)), file=file)
        return 0

    second = [args.zkcli] if args.second_zkcli else [args.quorate, "shell"]
    ours = transcript([*second, "-server", args.second or args.server], "/interop-b", script, args.settle)
    differences = 0
    for line, expected, found in zip(script, theirs, ours):
        if expected == found:
            if args.verbose:
                print("\n".join([f"> {line}"] + show(found)))
        elif line in EXPECTED:
            print(f"> {line}\n  differs, as it should: {EXPECTED[line]}")
        else:
            differences += 1
            print("\n".join([f"> {line}", " zkCli:"] + show(expected) + [" ours:"] + show(found)))
    print(f"{len(script) - differences} passed, {differences} failed")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
