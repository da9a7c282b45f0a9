"""deploy/Dockerfile built for real and its server run. With docker where a daemon answers; else with buildah on a debootstrap'ed Debian 12 in place of debian:12-slim,
its processes by chroot. A machine whose registries need a certificate of their own names it in PIP_CERT."""
import json
import os
import re
import shutil
import subprocess
import time

import harness
import pytest

from conftest import ROOT, make_root, run

PORT = 7714


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Root file system of the built image, and its configuration."""
    if not os.environ.get("TALLYD_FULL"):
        pytest.skip("TALLYD_FULL=1 runs it")
    if os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"):
        pytest.skip("needs root, debootstrap and buildah")
    folder = tmp_path_factory.mktemp("image")
    store = ["--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def buildah(*words):
        return run("buildah", *store, *words).stdout.strip()

    debian = make_root(folder / "slim")
    (debian.folder / "usr/sbin/policy-rc.d").unlink()
    scratch = buildah("from", "scratch")
    buildah("add", scratch, debian.folder, "/")
    buildah("commit", "--rm", scratch, "localhost/debian:12-slim")
    context = folder / "context"
    context.mkdir()
    run("sh", "-c", f"git -C '{ROOT}' archive HEAD | tar -x -C '{context}'")
    dockerfile, mounts = (ROOT / "deploy/Dockerfile").read_text(), []
    if os.environ.get("PIP_CERT"):
        dockerfile = dockerfile.replace("ARG VERSION=", "ENV PIP_CERT=/ca.pem NODE_EXTRA_CA_CERTS=/ca.pem\nARG VERSION=")
        mounts = ["-v", f"{os.environ['PIP_CERT']}:/ca.pem:ro"]
    (context / "deploy/Dockerfile").write_text(dockerfile)
    buildah("build", "--isolation", "chroot", "--pull=never", "--build-arg", "VERSION=0.0.9", *mounts, "-f", context / "deploy/Dockerfile", "-t", "tallyd", context)
    config = json.loads(buildah("inspect", "--type", "image", "tallyd"))["OCIv1"]["config"]
    container = buildah("from", "--pull=never", "localhost/tallyd")
    yield buildah("mount", container), config
    buildah("umount", container)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(image):
    root, config = image
    cluster = harness.Postgres(tcp=True)
    env = dict(pair.split("=", 1) for pair in config["Env"])
    env |= {"TALLYD_PORT": str(PORT), "TALLYD_DATABASE": cluster.database(host="127.0.0.1")}
    process = subprocess.Popen(["chroot", "--userspec=5000:5000", root, *config["Entrypoint"], *config["Cmd"]], env=env, stdin=subprocess.DEVNULL)
    yield root, env, process
    process.terminate()
    code = process.wait(60)
    cluster.close()
    assert code == 0


def test_the_image_is_small_and_not_root(image):
    root, config = image
    assert config["User"] == "tallyd" and config["Entrypoint"] == ["tallyd"]
    own = sum(os.lstat(os.path.join(root, p)).st_size for p in ("usr/bin/tallyd", "usr/share/tallyd/check"))
    assert own < 10_000_000
    for tool in ("gcc", "make", "psql", "python3", "curl"):
        assert not os.path.exists(f"{root}/usr/bin/{tool}")
    assert run("chroot", root, "/usr/bin/tallyd", "--version").stdout == "tallyd 0.0.9\n"


def test_the_server_runs_and_is_healthy(server):
    root, env, process = server
    line = next(line for line in re.sub(r"\\\n", " ", (ROOT / "deploy/Dockerfile").read_text()).splitlines() if line.startswith("HEALTHCHECK"))
    check = json.loads(line.split(" CMD ", 1)[1])
    end = time.monotonic() + 30
    while run("chroot", "--userspec=5000:5000", root, *check, env=env, check=False).returncode != 0:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")
