"""A Debian 12 root by debootstrap, for tests that install the package for real. Needs root, debootstrap and the Debian mirror.

TALLYD_FULL=1          runs these tests (tests/run full sets it)
TALLYD_BINARY=path     another binary than the repository's ./tallyd
TALLYD_DEBIAN_ROOT=dir a clean root made before by debootstrap --variant=minbase bookworm; it is copied, not changed
"""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("TALLYD_BINARY", ROOT / "tallyd"))


def run(*words, check=True, **more):
    done = subprocess.run([str(w) for w in words], text=True, capture_output=True, **more)
    assert not check or done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


class Debian:
    """One root; in_root() runs a command in it by chroot."""

    def __init__(self, folder):
        self.folder = folder

    def in_root(self, *words, check=True, env=None, **more):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
        return run("chroot", self.folder, *words, check=check, env=environment, stdin=subprocess.DEVNULL, **more)

    def install(self, package, *options):
        shutil.copy(package, self.folder / "tmp")
        return self.in_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "--allow-downgrades", *options, f"/tmp/{pathlib.Path(package).name}")

    def has(self, path):
        return (self.folder / path.lstrip("/")).exists()

    def read(self, path):
        return (self.folder / path.lstrip("/")).read_text()


def make_root(folder):
    given = os.environ.get("TALLYD_DEBIAN_ROOT")
    if given:
        run("cp", "-a", given, folder)
    else:
        run("debootstrap", "--variant=minbase", "bookworm", folder)
    debian = Debian(folder)
    # Nothing may start by itself in a chroot: it would run on this machine.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    (folder / "dev/shm").mkdir(exist_ok=True)
    (folder / "dev/shm").chmod(0o1777)
    debian.in_root("apt-get", "update", "-q")
    return debian


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A root with what every test needs, made once."""
    if not os.environ.get("TALLYD_FULL"):
        pytest.skip("TALLYD_FULL=1 runs it")
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("needs root and debootstrap")
    if not BINARY.exists():
        pytest.skip("no binary: run make")
    folder = tmp_path_factory.mktemp("debian") / "base"
    debian = make_root(folder)
    (folder / "etc/postgresql-common/createcluster.d").mkdir(parents=True)
    (folder / "etc/postgresql-common/createcluster.d/tallyd.conf").write_text("create_main_cluster = false\n")
    debian.in_root("apt-get", "install", "-y", "-q", "--no-install-recommends", "postgresql", "curl", "ca-certificates", "systemd", "systemd-sysv", "dbus", "man-db")
    debian.in_root("apt-get", "clean")
    yield debian
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debian(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root") / "root"
    run("cp", "-a", base.folder, folder)
    yield Debian(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def packages(base, tmp_path_factory):
    """The same binary as two versions."""
    out = tmp_path_factory.mktemp("packages")
    made = []
    for version in ("0.0.1", "0.0.2"):
        conf = ROOT / "conf/tallyd.conf"
        made.append(pathlib.Path(run(ROOT / "deploy/deb/build", "--binary", BINARY, "--conf", conf, "--version", version, "--out", out).stdout.strip()))
    return made
