"""Everything is killed at random while clients write: workers, Kore's parent, PostgreSQL's backends and postmaster, the supervisor. What was acknowledged is there, once.

CHAOS_SECONDS (default 120) and CHAOS_SEED choose how long and how.
"""

import os
import pathlib
import random
import signal
import time

import pytest
from harness import Tallyd, await_true, open_folder
from writers import Writers, check, new_run

SECONDS = int(os.environ.get("CHAOS_SECONDS", "120"))
SEED = int(os.environ.get("CHAOS_SEED", str(int(time.time()))))


def postmaster(server):
    return [int((server.folder / "data/postgres/postmaster.pid").read_text().split()[0])]


def victims(server, kind):
    try:
        return {
            "worker": lambda: server.named("[wrk"),
            "parent": lambda: server.named("[parent]"),
            "backend": lambda: server.named("postgres: tallyd"),
            "postmaster": lambda: postmaster(server),
            "supervisor": lambda: [server.process.pid],
        }[kind]()
    except (OSError, IndexError):
        return []


def works(server):
    try:
        return server.api("GET", "experiments/get?experiment_id=0", timeout=5).status == 200
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0 and not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
def test_nothing_acknowledged_is_lost_or_doubled_whatever_dies():
    rng = random.Random(SEED)
    print("CHAOS_SEED", SEED)
    server = Tallyd(folder=open_folder("tallyd-chaos-")).start()
    server.own_folder = True
    writers = Writers(server, [new_run(server) for _ in range(5)])
    kinds = ["worker"] * 6 + ["backend"] * 4 + ["parent"] + ["postmaster"] + ["supervisor"]
    last = {"parent": 0.0, "postmaster": 0.0}
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            writers.await_more(rng.randint(50, 300), 90)
            kind = rng.choice(kinds)
            # More than five deaths a minute are a crash loop to the supervisor, and end it.
            if time.monotonic() - last.get(kind, -100.0) < 15:
                continue
            last[kind] = time.monotonic() if kind in last else -100.0
            found = victims(server, kind)
            if not found:
                continue
            os.kill(rng.choice(found), signal.SIGKILL)
            if kind == "supervisor":
                server.process.wait(10)
                assert await_true(lambda: not server.answers(), 40)
                server.start()
        assert await_true(lambda: works(server), 60)
        check(writers)
    finally:
        writers.stop()
        server.close()
