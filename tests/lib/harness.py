"""Servers for tests: a private PostgreSQL cluster and tallyd processes, each ended surely. Nothing here sleeps for a fixed time: conditions are awaited.

TALLYD names the binary (default: ./tallyd), PG_BIN PostgreSQL's folder of programs.
"""

import contextlib
import glob
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLE = "tallytest"

# Told to end, a test run still ends its servers: `finally` and fixtures' ends are run.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))


def await_true(condition, seconds=10, every=0.02):
    """The condition's value as soon as it is true; False when it never was."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pg_bin():
    if os.environ.get("PG_BIN"):
        return os.environ["PG_BIN"]
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    folders = [f for f in folders if os.path.exists(f + "/initdb")]
    found = shutil.which("initdb")
    folders += [os.path.dirname(os.path.realpath(found))] if found else []
    if not folders:
        raise RuntimeError("no PostgreSQL programs found: install postgresql, or set PG_BIN")
    return folders[0]


def binary():
    return shlex.split(os.environ.get("TALLYD") or str(ROOT / "tallyd"))


def as_postgres(command):
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def open_folder(prefix):
    """A temporary folder that the account the servers run as can use, too."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    folder.chmod(0o755)
    return folder


class Postgres:
    """A cluster of its own on a unix socket, and on a TCP port with TLS when asked; never run as root."""

    def __init__(self, tcp=False, **settings):
        self.folder = open_folder("tallyd-pg-")
        self.port = free_port() if tcp else 5432
        self.running = False
        self.databases = 0
        self.settings = {"listen_addresses": "127.0.0.1" if tcp else "", "fsync": "off", "max_connections": 200, "log_min_messages": "warning", **settings}
        try:
            self.run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8")
            if tcp:
                self.make_certificate()
            self.start()
        except BaseException:
            self.close()
            raise

    def make_certificate(self):
        data = self.folder / "data"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{data}/server.key", "-out", f"{data}/server.crt"]
        subprocess.run(as_postgres(command), check=True, capture_output=True, cwd="/")
        subprocess.run(as_postgres(["chmod", "600", f"{data}/server.key"]), check=True)
        self.settings["ssl"] = "on"

    def run(self, program, *args, check=True):
        command = as_postgres([f"{pg_bin()}/{program}", *map(str, args)])
        # No pipes: a server started by pg_ctl would keep them open.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/")
            out.seek(0)
            if check and done.returncode != 0:
                raise RuntimeError(f"{command}: {out.read().decode(errors='replace')}")
        return done.returncode

    def start(self):
        settings = {"unix_socket_directories": self.folder, "port": self.port, **self.settings}
        options = " ".join(f"-c {name}={shlex.quote(str(value)) or chr(39) * 2}" for name, value in settings.items())
        self.run("pg_ctl", "-D", self.folder / "data", "-s", "-w", "-l", self.folder / "log", "-o", options, "start")
        self.running = True

    def stop(self, mode="immediate"):
        self.run("pg_ctl", "-D", self.folder / "data", "-s", "-w", "-m", mode, "stop", check=False)
        self.running = False

    def database(self, name=None, host=None, **more):
        """A new database; its libpq URI."""
        self.databases += 1
        name = name or f"d{self.databases}"
        self.run("createdb", "-h", self.folder, "-p", self.port, "-U", ROLE, name)
        return self.uri(name, host, **more)

    def uri(self, name, host=None, **more):
        query = {"host": str(self.folder), "port": self.port, **more} if host is None else more
        place = "" if host is None else f"{host}:{self.port}"
        return f"postgresql://{ROLE}@{place}/{name}?" + "&".join(f"{k}={v}" for k, v in query.items())

    def close(self):
        if self.running:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def request(method, url, body=None, headers=None, timeout=30):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers or {}
    asked = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=timeout) as got:
            return Answer(got.status, got.headers, got.read())
    except urllib.error.HTTPError as got:
        return Answer(got.code, got.headers, got.read())


class Tallyd:
    """One tallyd with all its processes. `url` answers when start() returns."""

    def __init__(self, *options, database=None, command="serve", env=None, folder=None, port=None):
        self.database = database
        self.own_folder = folder is None
        self.folder = folder or open_folder("tallyd-test-")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / f"tallyd-{self.port}.log"
        place = ["--database", database] if database else []
        self.command = [*binary(), command, "--port", str(self.port), "--data-dir", str(self.folder / "data"), *place, *map(str, options)]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TALLYD_")}
        self.env = {**kept, "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0", **(env or {})}
        self.process = None

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True)
        return self

    def start(self, seconds=90):
        self.launch()
        if not await_true(lambda: self.process.poll() is not None or self.answers(), seconds, 0.05) or self.process.poll() is not None:
            self.stop()
            raise AssertionError(f"tallyd did not start:\n{self.text()[-4000:]}")
        return self

    def answers(self):
        try:
            return request("GET", self.url + "/health", timeout=2).status == 200
        except OSError:
            return False

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def processes(self):
        """Pids of every process below this one, itself included."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
                    parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += parents.get(pid, [])
        return found

    def named(self, word):
        """Pids of its processes whose command line holds the word."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if word in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    found.append(pid)
        return found

    def api(self, method, path, body=None, **more):
        return request(method, f"{self.url}/api/2.0/mlflow/{path}", body, **more)

    def stop(self, with_signal=signal.SIGTERM, seconds=30):
        """Ends it and all that is below; the exit status."""
        if self.process is None:
            return None
        below = self.processes() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                for pid in below:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait(10)
        for pid in below:
            if not await_true(lambda pid=pid: not alive(pid), 10):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        return self.process.returncode

    def close(self):
        status = self.stop()
        text = self.text()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert "AddressSanitizer" not in text and "runtime error:" not in text, text[-6000:]
        return status


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"
