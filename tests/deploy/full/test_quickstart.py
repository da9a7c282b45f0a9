"""deploy/quickstart as somebody with sudo calls it, in a fresh system: everything installed by it, the private database started, a run logged, the data there again after a second start.
Debian 12 brings PostgreSQL 15, Ubuntu 24.04 brings 16, Debian 13 brings 17; Kore's sources come from this machine where the release has none."""
import os
import pathlib
import shutil
import urllib.request

import pytest
from conftest import ROOT, Served, copy_sources, make_root, need_roots, run, wanted

PORT = 7720
RELEASES = {"bookworm": "15", "noble": "16", "trixie": "17"}


@pytest.fixture(scope="module", params=wanted(RELEASES))
def system(request, tmp_path_factory):
    need_roots()
    folder = tmp_path_factory.mktemp("quickstart") / "root"
    made = make_root(folder, request.param)
    made.in_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "sudo", "curl")
    made.in_root("useradd", "--create-home", "--shell", "/bin/bash", "ada")
    (folder / "etc/sudoers.d/ada").write_text("ada ALL=(ALL) NOPASSWD: ALL\n")
    (folder / "etc/hosts").write_text("127.0.0.1 localhost %s\n" % os.uname().nodename)
    home = folder / "home/ada/tallyd"
    home.mkdir()
    copy_sources(home)
    made.settings = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/home/ada", "USER": "ada", "LC_ALL": "C.UTF-8"}
    if made.in_root("apt-cache", "show", "kore", check=False).returncode != 0:
        # As the README says for systems without the package: a source tree, named.
        shutil.copytree("/usr/share/kore", home.parent / "kore")
        if not (home.parent / "kore/include").exists():
            shutil.copytree("/usr/include/kore", home.parent / "kore/include/kore")
        made.settings["KORE_SRC"] = "/home/ada/kore"
    if request.param == "trixie":
        # Its package node-llhttp has no C sources.
        shutil.copytree("/usr/share/llhttp", home.parent / "llhttp/src")
        shutil.copytree("/usr/share/include/llhttp", home.parent / "llhttp/include")
        made.settings.update(LLHTTP_SRC="/home/ada/llhttp/src", LLHTTP_INC="/home/ada/llhttp/include")
    bundle = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copy(bundle, home.parent / "ca.crt")
        made.settings.update(PIP_CERT="/home/ada/ca.crt", NODE_EXTRA_CA_CERTS="/home/ada/ca.crt", npm_config_cafile="/home/ada/ca.crt")
    made.in_root("chown", "-R", "ada:", "/home/ada")
    yield made
    shutil.rmtree(folder)


def quickstart_in(system):
    return Served(system, "ada:ada", "/home/ada/tallyd", ["./deploy/quickstart", "--port", str(PORT)], system.settings, PORT)


@pytest.fixture
def quickstart(system):
    started = []

    def start(seconds):
        started.append(quickstart_in(system))
        started[-1].wait(seconds)
        return started[-1]
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(90)


def found(path):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/api/2.0/mlflow/{path}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_one_command_installs_builds_and_starts(system, quickstart):
    one = quickstart(1500)
    print(run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}").stdout)
    assert "tallyd-deploy-check" in found("experiments/get-by-name?experiment_name=tallyd-deploy-check")
    one.stop()
    assert system.has("/usr/lib/postgresql/%s/bin/initdb" % RELEASES[system.release])
    # Nothing of it belongs to root, and the account needs no sudo any more.
    assert system.in_root("find", "/home/ada/tallyd", "-user", "root", "-print", "-quit").stdout == ""
    assert system.in_root("sh", "-c", "cat /home/ada/tallyd/tallyd-data/postgres/PG_VERSION /home/ada/tallyd/tallyd-data/*/PG_VERSION 2>/dev/null | head -n 1").stdout.strip() == RELEASES[system.release]
    (system.folder / "etc/sudoers.d/ada").unlink()


def test_a_second_call_continues_with_the_same_data_and_needs_no_rights(system, quickstart):
    one = quickstart(300)
    assert "tallyd-deploy-check" in found("experiments/get-by-name?experiment_name=tallyd-deploy-check")
    one.stop()
