"""The package in a Debian 12 or Ubuntu root without systemd: installed, run by hand as the unit would, upgraded, removed, purged. The tests build on each other, in order."""
import os
import re
import socket
import urllib.request

import pytest

from conftest import ROOT, Served, run

PORT = 7710


def unit(name):
    text = (ROOT / "deploy/systemd/tallyd.service").read_text()
    return re.search(rf"^{name}=(.*)$", text, re.M).group(1)


def free(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


class Service(Served):
    """The unit's command as the unit's user, in the root."""

    def __init__(self, debian):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TALLYD_PORT": str(PORT), "HOME": "/var/lib/tallyd"}
        super().__init__(debian, f"{unit('User')}:{unit('Group')}", unit("WorkingDirectory"), unit("ExecStart").split(), environment, PORT)

    def stop(self):
        super().stop()
        assert free(PORT)


@pytest.fixture
def service(debian):
    started = []

    def start():
        started.append(Service(debian))
        started[-1].wait()
        return started[-1]
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(90)


def runs_of_check():
    api = f"http://127.0.0.1:{PORT}/api/2.0/mlflow"
    with urllib.request.urlopen(f"{api}/experiments/get-by-name?experiment_name=tallyd-deploy-check") as answer:
        experiment = re.search(rb'"experiment_id": *"(\d+)"', answer.read()).group(1).decode()
    request = urllib.request.Request(f"{api}/runs/search", data=f'{{"experiment_ids":["{experiment}"]}}'.encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return len(re.findall(rb'"run_name": *"check"', answer.read()))


def test_the_package_is_the_same_twice(pack, packages, tmp_path):
    assert pack("0.0.1", tmp_path).read_bytes() == packages[0].read_bytes()


def test_install_makes_user_folders_and_pages(debian, packages):
    debian.install(packages[0])
    assert debian.in_root("getent", "passwd", "tallyd").stdout.split(":")[5:] == ["/var/lib/tallyd", "/usr/sbin/nologin\n"]
    assert debian.in_root("stat", "-c", "%U %a", "/var/lib/tallyd").stdout == "tallyd 700\n"
    assert debian.in_root("stat", "-c", "%U:%G %a", "/etc/tallyd/tallyd.conf").stdout == "root:tallyd 640\n"
    assert "not found" not in debian.in_root("ldd", "/usr/bin/tallyd").stdout
    assert debian.in_root("dpkg-query", "-W", "kore", check=False).returncode != 0
    assert debian.in_root("dpkg", "-V", "tallyd").stdout == ""
    for page in ("tallyd.1", "tallyd.conf.5"):
        section = page[-1]
        done = debian.in_root("man", "--warnings", "-l", f"/usr/share/man/man{section}/{page}.gz")
        assert "tallyd" in done.stdout and done.stderr == ""
    assert debian.in_root("systemctl", "is-enabled", "tallyd").stdout == "enabled\n"


def test_the_unit_is_hardened(debian):
    if debian.release == "jammy":
        pytest.skip("its systemd cannot look at a unit offline")
    done = debian.in_root("systemd-analyze", "security", "--offline=yes", "--threshold=15", "/lib/systemd/system/tallyd.service", check=False)
    assert done.returncode == 0, done.stdout
    level = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout).group(1))
    assert level <= 1.5


def test_first_run_is_logged(debian, service):
    one = service()
    print(run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}").stdout)
    assert runs_of_check() == 1
    one.stop()
    assert debian.has("/var/lib/tallyd")


def test_upgrade_keeps_data_and_the_admins_conf(debian, packages, service):
    with open(debian.folder / "etc/tallyd/tallyd.conf", "a") as f:
        f.write("\n# a line of the admin\n")
    debian.install(packages[1])
    assert debian.in_root("dpkg-query", "-W", "-f", "${Version}", "tallyd").stdout == "0.0.2"
    assert "a line of the admin" in debian.read("/etc/tallyd/tallyd.conf")
    one = service()
    run(ROOT / "deploy/check", f"http://127.0.0.1:{PORT}")
    assert runs_of_check() == 2
    one.stop()


def test_removal_keeps_conf_and_data(debian, packages, service):
    debian.in_root("apt-get", "remove", "-y", "-q", "tallyd")
    assert not debian.has("/usr/bin/tallyd") and not debian.has("/lib/systemd/system/tallyd.service")
    assert debian.has("/etc/tallyd/tallyd.conf") and os.listdir(debian.folder / "var/lib/tallyd")
    debian.install(packages[1])
    one = service()
    assert runs_of_check() == 2
    one.stop()


def test_purge_keeps_data_unless_told(debian, packages):
    done = debian.in_root("apt-get", "purge", "-y", "-q", "tallyd")
    assert "/var/lib/tallyd is kept" in done.stdout
    assert not debian.has("/etc/tallyd") and os.listdir(debian.folder / "var/lib/tallyd")
    debian.install(packages[1])
    debian.in_root("apt-get", "purge", "-y", "-q", "tallyd", env={"TALLYD_PURGE_DATA": "yes"})
    assert not debian.has("/var/lib/tallyd")
    assert debian.in_root("getent", "passwd", "tallyd", check=False).returncode != 0
