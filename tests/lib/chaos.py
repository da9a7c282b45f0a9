"""Writers that remember what was acknowledged, and faults: afterwards everything is read back. Nothing acknowledged may be lost, nothing doubled, no batch torn."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import threading
import time

import harness
import psycopg2
from rest import batch_body, now_ms, sql, unique

API = "/api/2.0/mlflow/"
METRICS = 12  # in each batch


class Writer(threading.Thread):
    """One client as MLflow's is: what was not answered with 200 is sent again, byte for byte, up to a deadline."""

    def __init__(self, number, server, model, seed):
        super().__init__()
        self.number, self.server, self.model = number, server, model
        self.dice = random.Random(seed * 1000 + number)
        self.stopping = threading.Event()
        self.patient = True  # False: one attempt
        self.runs = {}  # run id -> start_time, of acknowledged creates
        self.creates = []  # start times that were tried
        self.batches = []  # (run, number, acknowledged)
        self.versions = []  # (source, version)
        self.version_tries = []
        self.tags = {}  # run -> last acknowledged number and the last tried one
        self.refused, self.problems = [], []
        self.done = 0
        self.line = None

    def send(self, path, body):
        """The answer's JSON, or None when no answer of 200 came."""
        data = json.dumps(body)
        end = time.monotonic() + 40
        while True:
            try:
                if self.line is None:
                    self.line = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
                self.line.request("POST", API + path, data, {"Content-Type": "application/json"})
                answer = self.line.getresponse()
                text = answer.read()
                if answer.status == 200:
                    self.done += 1
                    return json.loads(text)
                if answer.status not in (503, 504):
                    self.problems.append((path, answer.status, text[:300]))
                    return None
                if answer.status == 503 and not answer.headers.get("Retry-After"):
                    self.problems.append((path, "503 without Retry-After"))
            except (OSError, http.client.HTTPException):
                if self.line is not None:
                    self.line.close()
                self.line = None
            if not self.patient or time.monotonic() > end:
                return None
            self.stopping.wait(0.05 + 0.1 * self.dice.random())

    def run(self):
        try:
            self.create_run()
            while not self.stopping.is_set():
                what = self.dice.random()
                if what < 0.1 or not self.runs:
                    self.create_run()
                elif what < 0.2:
                    self.create_version()
                elif what < 0.35:
                    self.set_tag()
                else:
                    self.log_batch()
        except Exception as error:  # noqa: BLE001
            self.problems.append(repr(error))

    def create_run(self):
        start = now_ms() * 1000 + self.number * 1_000_000_000_000_000 + len(self.creates) % 1000  # of no other create
        self.creates.append(start)
        got = self.send("runs/create", {"experiment_id": "0", "start_time": start, "run_name": f"w{self.number}"})
        if got is not None:
            self.runs[got["run"]["info"]["run_id"]] = start

    def create_version(self):
        source = f"gs://bucket/{unique(str(self.number))}"
        self.version_tries.append(source)
        got = self.send("model-versions/create", {"name": self.model, "source": source})
        if got is not None:
            self.versions.append((source, int(got["model_version"]["version"])))

    def log_batch(self):
        run, n = self.dice.choice(list(self.runs)), len(self.batches)
        metrics = [(f"k{i}", n, n, n) for i in range(METRICS)]
        body = batch_body(run, metrics, [(f"p{n}", f"{n}")], [(f"t{n}", f"{n}")])
        self.batches.append((run, n, False))
        if self.send("runs/log-batch", body) is not None:
            self.batches[-1] = (run, n, True)

    def set_tag(self):
        run = self.dice.choice(list(self.runs))
        acknowledged, tried = self.tags.get(run, (0, 0))
        self.tags[run] = (acknowledged, tried + 1)
        if self.send("runs/set-tag", {"run_id": run, "key": "counter", "value": str(tried + 1)}) is not None:
            self.tags[run] = (tried + 1, tried + 1)


class Storm:
    def __init__(self, server, cluster, writers=8, seed=1):
        self.server, self.cluster = server, cluster
        self.dice = random.Random(seed)
        self.model = unique("model")
        made = server.api("POST", "registered-models/create", {"name": self.model})
        assert made.status == 200, made.body
        self.writers = [Writer(i, server, self.model, seed) for i in range(writers)]
        self.health_ms, self.health_bad, self.watching = 0.0, [], threading.Event()
        self.watcher = threading.Thread(target=self.watch)

    def watch(self):
        while not self.watching.is_set():
            begun = time.monotonic()
            try:
                status = harness.request("GET", self.server.url + "/health", timeout=10).status
                if status != 200:
                    self.health_bad.append(status)
                self.health_ms = max(self.health_ms, (time.monotonic() - begun) * 1000)
            except OSError:
                pass  # the worker was killed under this connection
            self.watching.wait(0.05)

    def start(self):
        for writer in self.writers:
            writer.start()
        self.watcher.start()
        self.progress(50)

    def done(self):
        return sum(w.done for w in self.writers)

    def progress(self, more, seconds=30):
        """Seconds until so many more writes were acknowledged."""
        begun, target = time.monotonic(), self.done() + more
        assert harness.await_true(lambda: self.done() >= target, seconds), f"no progress: {self.done()} of {target}; {self.problems()[:3]}; {self.server.text()[-2000:]}"
        return time.monotonic() - begun

    def problems(self):
        return [p for w in self.writers for p in w.problems]

    def stop(self):
        for writer in self.writers:
            writer.stopping.set()
        for writer in self.writers:
            writer.join()
        self.watching.set()
        if self.watcher.is_alive():
            self.watcher.join()

    # ---- faults; each returns when the cause is gone

    def kill_worker(self):
        victims = self.server.named("[wrk ")
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(victims), signal.SIGKILL)

    def kill_backend(self):
        with contextlib.suppress(psycopg2.Error):
            sql(self.server.database, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'tallyd%' order by random() limit 2")

    def stop_postgres(self):
        self.cluster.stop("immediate")
        self.expect_away()
        self.cluster.start()

    def restart_postgres(self):
        self.cluster.stop("immediate")
        self.cluster.start()

    def freeze_postgres(self):
        pids = self.cluster_pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            self.expect_health()
            threading.Event().wait(self.dice.choice([0.5, 2.5]))  # how long it is frozen is the fault itself
        finally:
            for pid in reversed(pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def make_read_only(self):
        name = sql(self.server.database, "select current_database()")[0][0]
        sql(self.server.database, f'alter database "{name}" set default_transaction_read_only = on')
        self.kill_backend()
        self.expect_health()
        sql(self.server.database, f'set transaction read write; alter database "{name}" reset default_transaction_read_only')
        self.kill_backend()

    def cluster_pids(self):
        postmaster = int((self.cluster.folder / "data/postmaster.pid").read_text().split()[0])
        found = [postmaster]
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    if int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1]) == postmaster:
                        found.append(int(entry))
        return found

    def expect_health(self):
        begun = time.monotonic()
        status = harness.request("GET", self.server.url + "/health", timeout=10).status
        assert status == 200 and time.monotonic() - begun < 1, (status, time.monotonic() - begun)

    def expect_away(self):
        """While PostgreSQL is away: /health at once, the API 503 with Retry-After in some 3 s."""
        self.expect_health()
        begun = time.monotonic()
        answer = self.server.api("GET", "experiments/get?experiment_id=0", timeout=20)
        took = time.monotonic() - begun
        assert answer.status == 503 and answer.headers["Retry-After"] and took < 5, (answer.status, took)
        self.expect_health()

    # ---- reading back

    def check(self):
        """Counts of what was checked; raises where a promise is broken."""
        database = self.server.database
        assert self.problems() == []
        assert self.health_bad == []
        starts = dict(sql(database, "select start_time, count(*) from runs group by 1"))
        for w in self.writers:
            for start in w.runs.values():
                assert starts.get(start) == 1, f"a run acknowledged once is there {starts.get(start)} times"
            for start in w.creates:
                assert starts.get(start, 0) <= 1, "a run was doubled"
        versions = sql(database, "select v.source, v.version from model_versions v join registered_models m on m.id = v.model where m.name = %s", self.model)
        by_source = {}
        for source, version in versions:
            by_source.setdefault(source, []).append(version)
        for w in self.writers:
            for source, version in w.versions:
                assert by_source.get(source) == [version], (source, version, by_source.get(source))
            for source in w.version_tries:
                assert len(by_source.get(source, [])) <= 1, "a version was doubled"
        acknowledged = 0
        for w in self.writers:
            for run in {run for run, _, _ in w.batches} | set(w.tags):
                acknowledged += self.check_run(w, run)
        return {"batches": acknowledged, "runs": sum(len(w.runs) for w in self.writers), "versions": sum(len(w.versions) for w in self.writers), "health_ms": round(self.health_ms)}

    def check_run(self, w, run):
        data = self.server.api("GET", f"runs/get?run_id={run}").json()["run"]["data"]
        params = {p["key"]: p["value"] for p in data.get("params", [])}
        tags = {t["key"]: t["value"] for t in data.get("tags", [])}
        stored = sql(self.server.database, "select k.key, m.step from metrics m join runs r on r.id = m.run join keys k on k.id = m.key_id where r.run_id = %s", run)
        points = {}
        for key, step in stored:
            points.setdefault(step, []).append(key)
        acknowledged = 0
        for at, n, answered in w.batches:
            if at != run:
                continue
            parts = [params.get(f"p{n}") == str(n), tags.get(f"t{n}") == str(n), sorted(points.get(n, [])) == sorted(f"k{i}" for i in range(METRICS))]
            assert all(parts) or not (any(parts) or points.get(n)), f"batch {n} of {run} is torn: {parts} {points.get(n)}"
            assert all(parts) or not answered, f"batch {n} of {run} was acknowledged and is lost"
            acknowledged += answered
        sent, tried = w.tags.get(run, (0, 0))
        assert sent <= int(tags.get("counter", 0)) <= tried, "a tag went back"
        return acknowledged
