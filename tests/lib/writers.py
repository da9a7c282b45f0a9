"""Writers that remember what was acknowledged, and the check that all of it is there once: for tests that kill things meanwhile."""

import threading
import time

from harness import await_true


def new_run(server):
    made = server.api("POST", "runs/create", {"experiment_id": "0", "start_time": 1})
    assert made.status == 200, made.body
    return made.json()["run"]["info"]["run_id"]


class Writers:
    """Threads that log one metric point after the other, each its own step, and remember what was acknowledged."""

    def __init__(self, server, runs, count=12):
        self.server, self.runs, self.stopping = server, runs, False
        self.acknowledged, self.statuses, self.lock = [], {}, threading.Lock()
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        step = number * 1000000
        while not self.stopping:
            step += 1
            run = self.runs[step % len(self.runs)]
            try:
                status = self.server.api("POST", "runs/log-metric", {"run_id": run, "key": "m", "value": step, "timestamp": 1, "step": step}).status
            except OSError:
                status = 0
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 200:
                    self.acknowledged.append((run, step))
            if status != 200:
                time.sleep(0.02)

    def await_more(self, n, seconds=40):
        target = len(self.acknowledged) + n
        assert await_true(lambda: len(self.acknowledged) >= target, seconds), (self.statuses, self.server.text()[-2000:])

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def stored(server, run):
    found, token = [], ""
    while True:
        page = server.api("GET", f"metrics/get-history?run_id={run}&metric_key=m&max_results=20000" + (f"&page_token={token}" if token else "")).json()
        found += [int(m["step"]) for m in page.get("metrics", [])]
        token = page.get("next_page_token")
        if not token:
            return found


def check(writers):
    writers.stop()
    assert writers.statuses.get(200, 0) > 100, writers.statuses
    allowed = {200, 503, 504, 0}
    assert set(writers.statuses) <= allowed, writers.statuses
    there = {run: stored(writers.server, run) for run in writers.runs}
    for run, steps in there.items():
        assert len(steps) == len(set(steps)), "a point is there twice"
    have = {(run, step) for run, steps in there.items() for step in steps}
    lost = set(writers.acknowledged) - have
    assert not lost, f"{len(lost)} acknowledged points are lost"
