"""Private PostgreSQL, the real MLflow server and tallyd, started and ended for one test run.

MLFLOW_BIN names the real server (default: mlflow beside the running Python, or
on the PATH), TALLYD our command (default: ./tallyd), PG_BIN PostgreSQL's
folder of programs.
"""

import glob
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLE = "tallytest"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pg_bin():
    if os.environ.get("PG_BIN"):
        return os.environ["PG_BIN"]
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    found = shutil.which("pg_ctl")
    folders += [os.path.dirname(os.path.realpath(found))] if found else []
    if not folders:
        raise SystemExit("no PostgreSQL programs found: set PG_BIN")
    return folders[0]


class Postgres:
    """A cluster of its own on a unix socket; never run as root."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tallyd-pg-")
        self.port = 5432
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        os.chmod(self.folder, 0o755)
        self.run("initdb", "-D", f"{self.folder}/data", "-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8")
        options = f"-k {self.folder} -c listen_addresses= -p {self.port} -c fsync=off -c max_connections=200"
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-s", "-w", "-l", f"{self.folder}/log", "-o", options, "start")

    def run(self, program, *args):
        command = [f"{pg_bin()}/{program}", *args]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def database(self, name):
        self.run("createdb", "-h", self.folder, "-p", str(self.port), "-U", ROLE, name)
        return f"/{name}?host={self.folder}&port={self.port}"

    def stop(self):
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-s", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """One server process; `url` answers when the constructor returns."""

    def __init__(self, name, command, port, log, env=None):
        self.name, self.url, self.log = name, f"http://127.0.0.1:{port}", log
        self.process = subprocess.Popen(command, stdout=open(log, "wb"), stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True)
        deadline = time.monotonic() + 180
        while True:
            try:
                if urllib.request.urlopen(self.url + "/health", timeout=5).status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"{name} did not start:\n{open(log, errors='replace').read()[-3000:]}")
            time.sleep(0.1)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)


def mlflow_bin():
    beside = os.path.join(os.path.dirname(sys.executable), "mlflow")
    return os.environ.get("MLFLOW_BIN") or (beside if os.path.exists(beside) else shutil.which("mlflow")) or "mlflow"


def start_real(postgres, folder, database="mlflow"):
    port = free_port()
    uri = "postgresql+psycopg2://" + ROLE + "@" + postgres.database(database)
    return Server("mlflow", [mlflow_bin(), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", uri,
                             "--artifacts-destination", f"{folder}/mlflow-artifacts"], port, f"{folder}/mlflow.log", {"MLFLOW_DISABLE_TELEMETRY": "true"})


def start_ours(postgres, folder, database="tallyd", *options):
    port = free_port()
    uri = "postgresql://" + ROLE + "@" + postgres.database(database)
    command = shlex.split(os.environ.get("TALLYD") or str(ROOT / "tallyd"))
    return Server("tallyd", [*command, "serve", "--host", "127.0.0.1", "--port", str(port), "--database", uri, "--data-dir", f"{folder}/tallyd", *options], port, f"{folder}/tallyd.log")


class Pair:
    """Both servers on one cluster; `real` and `ours` are their addresses. Ours alone with real=False."""

    def __init__(self, real=True, ours=True):
        self.wanted, self.running = (real, ours), []
        self.real = self.ours = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="tallyd-compat-")
        os.chmod(self.folder, 0o755)  # started as root, our workers run as someone else
        try:
            self.postgres = Postgres()
            self.running.append(self.postgres)
            if self.wanted[0]:
                self.running.append(start_real(self.postgres, self.folder))
                self.real = self.running[-1].url
            if self.wanted[1]:
                self.running.append(start_ours(self.postgres, self.folder))
                self.ours = self.running[-1].url
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        for thing in reversed(self.running):
            thing.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
