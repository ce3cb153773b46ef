#!/usr/bin/env python3
"""The admin page in a real browser, over an ensemble whose nodes have hostile names and data.

    python3 tests/interop/admin_page.py [--program target/debug/quorate] [--browser chromium] [--pictures DIR]

Needs kazoo (pip install kazoo) and Chromium. Exit code 0 when the page showed what it must and ran nothing that came from a
node; with --pictures the page is also photographed, light, dark and as on a phone, to be looked at.
"""

import argparse
import html
import logging
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from urllib.parse import quote

from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

NAME = "<img src=x onerror=document.body.remove()>"
DATA = b"</pre><script>document.body.remove()</script><b>bold</b> &amp; \"quoted\""


def check(condition, *what):
    if not condition:
        raise AssertionError(*what)


def free_base():
    """A port from which on nine, and those that `quorate up` derives from them, are free."""
    for _ in range(100):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            base = held.getsockname()[1]
        wanted = [base + step + n for step in (0, 100, 700, 1700) for n in range(3)]
        try:
            for port in wanted:
                with socket.socket() as held:
                    held.bind(("127.0.0.1", port))
            return base
        except (OSError, OverflowError):
            continue
    raise AssertionError("no free ports")


def browse(browser, *arguments):
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", "--virtual-time-budget=5000", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def text_of(dom, identifier):
    """The text of the element with this id, as it is written in the DOM, tags and all."""
    found = re.search(rf'id="{identifier}"[^>]*>(.*?)</(?:table|ul|section|div|span|h1)>', dom, re.S)
    check(found, f"there is no {identifier}")
    return found[1]


def main():
    arguments = argparse.ArgumentParser(description="the admin page in a browser")
    arguments.add_argument("--program", default="target/debug/quorate")
    arguments.add_argument("--browser", default="chromium")
    arguments.add_argument("--pictures")
    arguments = arguments.parse_args()
    logging.getLogger("kazoo").addHandler(logging.NullHandler())
    logging.getLogger("kazoo").propagate = False

    base = free_base()
    page = f"http://127.0.0.1:{base + 100}/"
    command = [os.path.abspath(arguments.program), "up", "--port", str(base), "--admin-port", str(base + 100)]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = KazooClient(f"127.0.0.1:{base}")
    try:
        client.start(60)
        client.create("/hostile")
        client.create(f"/hostile/{NAME}", DATA)
        client.create("/hostile/binary", bytes(range(200, 256)))
        client.create("/hostile/closed", b"secret", acl=[make_digest_acl("ann", "x", all=True)])
        client.create("/hostile/mine", ephemeral=True)
        client.get(f"/hostile/{NAME}", watch=lambda event: None)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.set("/hostile", b"a beat")

        dom = browse(arguments.browser, "--dump-dom", page + "#/hostile")
        session = hex(client.client_id[0])
        check(re.search(r"<title>quorate 1 · (leader|follower)</title>", dom), dom[:400])
        check("<img" not in dom and "<b>bold" not in dom and len(dom) > 5000, "markup of a node is in the page")
        children = text_of(dom, "children")
        for name in (html.escape(NAME, quote=False), "binary", "closed", "mine"):
            check(name in children, f"{name} is not in {children}")
        check("a beat" in dom, "data is shown")
        ensemble = text_of(dom, "ensemble")
        check(ensemble.count("follower") == 4 and ensemble.count("leader") == 2, ensemble)
        check(session in text_of(dom, "sessions") and "/hostile/mine" in text_of(dom, "sessions"), "the session is shown")
        check(session in text_of(dom, "connections"), "the connection is shown")
        check(html.escape(NAME, quote=False) in text_of(dom, "watches"), "the watch is shown")
        check(len(re.findall(r'<path class="s\d" d="M[\d. L]+', dom)) == 9, "nine lines are drawn")
        print("ok the page shows the ensemble, children, sessions, connections, watches, charts")

        dom = browse(arguments.browser, "--dump-dom", page + "#" + quote(f"/hostile/{NAME}"))
        check(html.escape(DATA.decode(), quote=False) in dom, "data with markup is shown as it is")
        check("<img" not in dom and "<b>bold" not in dom, "markup of a node is in the page")
        dom = browse(arguments.browser, "--dump-dom", page + "#/hostile/binary")
        check("c8 c9 ca" in dom, "other data is shown in hexadecimal")
        dom = browse(arguments.browser, "--dump-dom", page + "#/hostile/closed")
        check("secret" not in dom and "the ACL does not allow it" in dom, "what is closed stays closed")
        print("ok names and data are text, never markup; what is closed stays closed")

        if arguments.pictures:
            os.makedirs(arguments.pictures, exist_ok=True)
            dark = ["--blink-settings=preferredColorScheme=0"]
            for name, size, more in [("light", "1200,1800", []), ("dark", "1200,1800", dark), ("phone", "500,2700", [])]:
                picture = os.path.join(arguments.pictures, f"{name}.png")
                browse(arguments.browser, f"--screenshot={picture}", f"--window-size={size}", *more, page + "#/hostile")
                print(f"   {picture}")

    finally:
        client.stop()
        client.close()
        program.send_signal(signal.SIGINT)
        code = program.wait(60)
    check(code == 0, f"exit code {code}")
    print("all held")


if __name__ == "__main__":
    main()
