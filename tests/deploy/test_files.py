"""Files of deploy/ that need no cloud and no root: unit, pages, image, package script."""
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def run(*words, **more):
    return subprocess.run([str(w) for w in words], text=True, capture_output=True, stdin=subprocess.DEVNULL, **more)


def test_the_page_of_options_is_that_of_the_conf_file():
    assert run(DEPLOY / "man/conf-page").stdout == (DEPLOY / "man/tallyd.conf.5").read_text(), "deploy/man/conf-page > deploy/man/tallyd.conf.5"


def test_the_unit_is_hardened(tmp_path):
    if not shutil.which("systemd-analyze") or "--offline" not in run("systemd-analyze", "--help").stdout:
        pytest.skip("no systemd-analyze with --offline here")
    shutil.copy(DEPLOY / "systemd/tallyd.service", tmp_path)
    done = run("systemd-analyze", "security", "--offline=yes", "./tallyd.service", cwd=tmp_path)
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout).group(1)) <= 1.5, done.stdout


def docker_lines():
    return re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text()).splitlines()


def test_the_image_runs_as_nobody_special():
    stages, user = {}, None
    for line in docker_lines():
        if line.startswith("FROM "):
            words = line.split()
            user = stages.get(words[1])
            name = words[3] if len(words) > 3 else "last"
        elif line.startswith("USER "):
            user = line.split()[1]
        if line.startswith(("FROM ", "USER ")):
            stages[name] = user
    assert stages["server"] == stages["embedded"] == stages["last"] == "tallyd"


@pytest.fixture
def health():
    class Handler(http.server.BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            self.protocol_version = "HTTP/1.1"
            self.send_response(self.status if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server, Handler
    server.shutdown()
    server.server_close()


def test_the_images_health_check_tells_good_from_bad(health):
    server, handler = health
    line = next(line for line in docker_lines() if line.startswith("HEALTHCHECK"))
    command = json.loads(line.split(" CMD ", 1)[1])
    env = dict(os.environ, TALLYD_PORT=str(server.server_address[1]))
    assert run(*command, env=env).returncode == 0
    handler.status = 503
    assert run(*command, env=env).returncode != 0
    server.shutdown()
    server.server_close()
    assert run(*command, env=env).returncode != 0


def test_the_package_script_says_what_is_missing(tmp_path):
    if not shutil.which("dpkg-deb"):
        pytest.skip("no dpkg here")
    done = run(DEPLOY / "deb/build", "--binary", tmp_path / "none")
    assert done.returncode == 1 and "run make first" in done.stderr
    done = run(DEPLOY / "deb/build", "--binary", "/bin/true", "--version", "1 2")
    assert done.returncode == 1 and "not a version" in done.stderr
    done = run(DEPLOY / "deb/build", "--word")
    assert done.returncode == 2


def test_no_private_address_or_key_is_in_the_files():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "PRIVATE KEY" not in text and "/work/" not in text, path
