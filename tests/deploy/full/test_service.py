"""The package and the VM's start-up script in a Debian 12 root booted with systemd (systemd-nspawn, this machine's network): the unit as it is hardened, restart, upgrade, stop. In order."""
import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import harness
import pytest

from conftest import ROOT, run

PORT = 7712
METADATA = 7713


def await_true(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.2)
    return True


def answers(path="/health"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=2) as got:
            return got.status == 200
    except OSError:
        return False


class Machine:
    def __init__(self, debian):
        self.folder = debian.folder
        (self.folder / "usr/sbin/policy-rc.d").unlink()
        (self.folder / "etc/default").mkdir(exist_ok=True)
        for unit in ("systemd-networkd", "systemd-resolved", "systemd-timesyncd", "console-getty", "postgresql"):
            (self.folder / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")
        self.log = open(self.folder.parent / "boot.log", "w+")
        self.process = subprocess.Popen(["systemd-nspawn", "-q", "-D", str(self.folder), "--boot", "--register=no", "--keep-unit", "--resolv-conf=off", "--console=pipe"],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        await_true(self.leader)
        await_true(lambda: self.inside("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"))

    def leader(self):
        assert self.process.poll() is None, open(self.log.name).read()[-3000:]
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return f.read().split()[0:1]

    def inside(self, *words, check=True, env=None):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
        return run("nsenter", "-t", self.leader()[0], "-m", "-p", "-u", "-i", "--root", "--wd", *words, check=check, env=environment, stdin=subprocess.DEVNULL)

    def show(self, name):
        return self.inside("systemctl", "show", "-P", name, "tallyd").stdout.strip()

    def install(self, package):
        shutil.copy(package, self.folder / "root")
        return self.inside("apt-get", "install", "-y", "-q", "--no-install-recommends", "--allow-downgrades", f"/root/{package.name}")

    def stop(self):
        # nspawn passes SIGTERM on as an orderly power-off.
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def machine(debian, packages):
    if not shutil.which("systemd-nspawn"):
        pytest.skip("no systemd-nspawn: apt-get install systemd-container")
    # What the package needs is fetched now: Ubuntu 22.04 looks names up in a service of its own, which has nobody to ask in there.
    debian.install(packages[0], "--download-only")
    one = Machine(debian)
    yield one
    one.stop()


def test_install_starts_the_service(machine, packages):
    (machine.folder / "etc/default/tallyd").write_text(f"TALLYD_PORT={PORT}\n")
    machine.install(packages[0])
    try:
        await_true(answers)
    except AssertionError:
        print(machine.inside("journalctl", "-u", "tallyd", "-n", "50", "--no-pager").stdout)
        raise
    assert machine.show("ActiveState") == "active"
    assert machine.inside("systemctl", "is-enabled", "tallyd").stdout == "enabled\n"
    print(run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}").stdout)


def test_the_service_has_no_rights_it_does_not_need(machine):
    status = dict(line.split(":\t", 1) for line in machine.inside("cat", f"/proc/{machine.show('MainPID')}/status").stdout.splitlines() if ":\t" in line)
    assert int(status["CapBnd"], 16) == 0 and int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    owner = machine.inside("stat", "-c", "%U %a", "/var/lib/tallyd").stdout
    assert owner == "tallyd 700\n"
    assert machine.inside("stat", "-c", "%U", f"/proc/{machine.show('MainPID')}").stdout == "tallyd\n"


def test_a_killed_service_comes_back_with_its_data(machine):
    before = machine.show("MainPID")
    machine.inside("systemctl", "kill", "--kill-who=main", "-s", "KILL", "tallyd")
    await_true(lambda: machine.show("MainPID") not in (before, "0") and answers())
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/2.0/mlflow/experiments/get-by-name?experiment_name=tallyd-deploy-check") as got:
        assert json.load(got)["experiment"]["name"] == "tallyd-deploy-check"


def test_upgrade_restarts_it_and_keeps_the_data(machine, packages):
    before = machine.show("MainPID")
    machine.install(packages[1])
    await_true(lambda: machine.show("MainPID") not in (before, "0") and answers())
    run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")
    assert machine.show("ActiveState") == "active"


def test_stop_is_orderly(machine):
    machine.inside("systemctl", "stop", "tallyd")
    assert not answers()
    assert machine.show("Result") == "success" and machine.show("ExecMainStatus") == "0"


def test_removal_stops_it_and_keeps_the_data(machine):
    machine.inside("systemctl", "start", "tallyd")
    await_true(answers)
    machine.inside("apt-get", "remove", "-y", "-q", "tallyd")
    assert not answers() and not (machine.folder / "usr/bin/tallyd").exists()
    assert os.listdir(machine.folder / "var/lib/tallyd")


class Google(http.server.BaseHTTPRequestHandler):
    """Metadata server, bucket and nothing else."""

    package = b""
    settings = ""

    def do_GET(self):
        answer = None
        if self.path.startswith("/computeMetadata/v1/"):
            if self.headers["Metadata-Flavor"] == "Google":
                answer = {"instance/attributes/tallyd-settings": self.settings, "instance/network-interfaces/0/ip": "127.0.0.1",
                          "instance/service-accounts/default/token": '{"access_token":"secret-token","expires_in":3599,"token_type":"Bearer"}'}.get(self.path[len("/computeMetadata/v1/"):])
                answer = answer and answer.encode()
        elif self.path == "/v1/projects/p/secrets/s/versions/latest:access" and self.headers["Authorization"] == "Bearer secret-token":
            answer = json.dumps({"name": "projects/1/secrets/s/versions/1", "payload": {"data": base64.b64encode(b"word").decode(), "dataCrc32c": "1"}}).encode()
        elif self.path.startswith("/bucket/package/") and self.headers["Authorization"] == "Bearer secret-token":
            answer = self.package
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Length", str(len(answer or b"")))
        self.end_headers()
        self.wfile.write(answer or b"")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def google():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", METADATA), Google)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Google
    server.shutdown()


def start_up(machine, google, package, sha256=None, **more):
    google.package = package.read_bytes()
    settings = {"package": f"gs://bucket/package/{package.name}", "sha256": sha256 or hashlib.sha256(google.package).hexdigest(), "port": PORT, "workers": 1,
                "artifacts": "direct", "root": "gs://bucket/artifacts", "database": "embedded", **more}
    google.settings = ";".join(f"{k}={v}" for k, v in settings.items())
    shutil.copy(ROOT / "deploy/gcp/startup.sh", machine.folder / "root/startup.sh")
    return machine.inside("bash", "/root/startup.sh", check=False, env={"GCE_METADATA_HOST": f"127.0.0.1:{METADATA}", "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{METADATA}", "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"http://127.0.0.1:{METADATA}/"})


def test_the_start_up_script_installs_and_starts(machine, google, packages):
    (machine.folder / "etc/default/tallyd").unlink()
    done = start_up(machine, google, packages[0])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + machine.inside("journalctl", "-u", "tallyd", "-n", "30", "--no-pager").stdout
    assert "secret-token" not in done.stdout + done.stderr
    assert f"TALLYD_PORT={PORT}\n" in (machine.folder / "etc/default/tallyd").read_text()
    run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")


def test_a_second_boot_changes_nothing(machine, google, packages):
    before = machine.show("MainPID")
    done = start_up(machine, google, packages[0])
    assert done.returncode == 0 and "installing" not in done.stdout
    assert machine.show("MainPID") == before


def test_new_settings_restart_it(machine, google, packages):
    before = machine.show("MainPID")
    assert start_up(machine, google, packages[0], workers=2).returncode == 0
    assert machine.show("MainPID") != before and "TALLYD_WORKERS=2\n" in (machine.folder / "etc/default/tallyd").read_text()


def test_a_package_that_was_changed_in_the_bucket_is_refused(machine, google, packages):
    done = start_up(machine, google, packages[1], sha256="0" * 64)
    assert done.returncode == 1 and "not the one" in done.stderr
    assert machine.inside("dpkg-query", "-W", "-f", "${Version}", "tallyd").stdout == "0.0.1"


def test_the_start_up_script_upgrades(machine, google, packages):
    done = start_up(machine, google, packages[1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert machine.inside("dpkg-query", "-W", "-f", "${Version}", "tallyd").stdout == "0.0.2"
    run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")


def test_doctor_and_check_config_as_the_tutorial_calls_them(machine):
    text = (ROOT / "deploy/README.md").read_text()
    calls = re.findall(r"sudo -u tallyd (sh -c '.*(?:doctor|check-config).*')", text)
    assert len(calls) == 2
    for call in calls:
        command = call.removeprefix("sh -c '").removesuffix("'")
        done = machine.inside("runuser", "-u", "tallyd", "--", "sh", "-c", command, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "bad " not in done.stdout


def test_the_start_up_script_with_cloud_sql(machine, google, packages):
    cluster = harness.Postgres(tcp=True)
    try:
        database = urllib.parse.urlsplit(cluster.database(host="127.0.0.1")).path[1:]
        done = start_up(machine, google, packages[1], database="cloud-sql", sql_address="127.0.0.1", sql_port=cluster.port, sql_user=harness.ROLE, sql_database=database, secret="projects/p/secrets/s")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + machine.inside("journalctl", "-u", "tallyd", "-n", "30", "--no-pager").stdout
        assert machine.inside("stat", "-c", "%U %a", "/etc/tallyd/pgpass").stdout == "tallyd 600\n"
        assert (machine.folder / "etc/tallyd/pgpass").read_text() == f"127.0.0.1:{cluster.port}:{database}:{harness.ROLE}:word\n"
        assert "word" not in (machine.folder / "etc/default/tallyd").read_text() + done.stdout + done.stderr
        run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")
        machine.inside("systemctl", "stop", "tallyd")
    finally:
        cluster.close()
