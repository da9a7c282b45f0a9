"""Roots of Debian 12, Ubuntu 24.04 and Ubuntu 22.04 by debootstrap, for tests that install the package for real. Needs root, debootstrap and the mirrors; a release whose mirror cannot be
reached is skipped. On Ubuntu the server and its package are built in a root of the same release; 22.04 has no llhttp, its sources come from this machine.

TALLYD_FULL=1            runs these tests (tests/run full sets it)
TALLYD_BINARY=path       another binary than the repository's ./tallyd, for Debian 12
TALLYD_DEBIAN_ROOT=dir   a clean root made before by debootstrap --variant=minbase bookworm; it is copied, not changed
TALLYD_ROOTS=dir         a folder of such roots, each named after its release
TALLYD_RELEASES=a,b      some of bookworm, noble, jammy
"""
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("TALLYD_BINARY", ROOT / "tallyd"))


def run(*words, check=True, **more):
    done = subprocess.run([str(w) for w in words], text=True, capture_output=True, **more)
    assert not check or done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


class Debian:
    """One root; in_root() runs a command in it by chroot."""

    def __init__(self, folder, release="bookworm"):
        self.folder, self.release = folder, release

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


class Served:
    """A command that serves, as an account in a root. /proc only in a mount namespace of its own: nothing is left mounted in the root, whatever ends the test."""

    def __init__(self, root, user, directory, command, env, port):
        self.port = port
        self.log = open(root.folder / "tmp/served.log", "w+")
        inside = ["chroot", f"--userspec={user}", str(root.folder), "/usr/bin/env", "--chdir", directory, *command]
        self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", f'mount -t proc proc "{root.folder}/proc" && exec "$@"', "sh", *inside],
                                        env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def wait(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.text())

    def text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")[-5000:]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(90) == 0, self.text()


def need_roots():
    if not os.environ.get("TALLYD_FULL"):
        pytest.skip("TALLYD_FULL=1 runs it")
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("needs root and debootstrap")


def wanted(releases):
    return [r for r in releases if r in os.environ.get("TALLYD_RELEASES", ",".join(releases)).split(",")]


RELEASES = ["bookworm", "noble", "jammy"]
BUILD_NEEDS = re.search(r"^build_needs=\((.*)\)$", (ROOT / "deploy/quickstart").read_text(), re.M).group(1).split() + ["kore", "dpkg-dev"]


def make_root(folder, release="bookworm"):
    given = os.environ.get("TALLYD_DEBIAN_ROOT") if release == "bookworm" else None
    if not given and os.path.isdir(os.path.join(os.environ.get("TALLYD_ROOTS") or "/nonexistent", release)):
        given = os.path.join(os.environ["TALLYD_ROOTS"], release)
    if given:
        run("cp", "-a", given, folder)
    elif release in ("noble", "jammy"):
        # By the script of all Ubuntus, from the mirror it names. Debian has not their keys; apt in the root has, and checks what comes after.
        done = run("debootstrap", "--variant=minbase", "--no-check-gpg", "--components=main,universe", release, folder, "", "gutsy", check=False)
        if done.returncode != 0:
            pytest.skip("no %s here: %s" % (release, (done.stdout + done.stderr)[-300:]))
        sources = folder / "etc/apt/sources.list"
        line = sources.read_text().splitlines()[0]
        sources.write_text(line + "\n" + line.replace(" %s " % release, " %s-updates " % release) + "\n")
    else:
        run("debootstrap", "--variant=minbase", release, folder)
    debian = Debian(folder, release)
    # Nothing may start by itself in a chroot: it would run on this machine.
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    (folder / "dev/shm").mkdir(exist_ok=True)
    (folder / "dev/shm").chmod(0o1777)
    debian.in_root("apt-get", "update", "-q")
    return debian


@pytest.fixture(scope="session", params=wanted(RELEASES))
def base(request, tmp_path_factory):
    """A root with what every test needs, made once a release."""
    need_roots()
    if not BINARY.exists():
        pytest.skip("no binary: run make")
    folder = tmp_path_factory.mktemp("debian") / "base"
    debian = make_root(folder, request.param)
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
    yield Debian(folder, base.release)
    shutil.rmtree(folder)


def copy_sources(folder):
    left_out = ["--exclude=" + name for name in ("./build", "./.git", "./tallyd", "node_modules", "__pycache__")]
    run("sh", "-c", 'cd "$1" && shift && tar c "$@" . | tar x --no-same-owner -C "$0"', folder, ROOT, *left_out)


@pytest.fixture(scope="session")
def pack(base, tmp_path_factory):
    """Makes the package of one version: of this machine's binary, or of one built in a root of the release."""
    if base.release == "bookworm":
        def here(version, out):
            return pathlib.Path(run(ROOT / "deploy/deb/build", "--binary", BINARY, "--conf", ROOT / "conf/tallyd.conf", "--version", version, "--out", out).stdout.strip())
        yield here
        return
    folder = tmp_path_factory.mktemp("build") / "root"
    run("cp", "-a", base.folder, folder)
    builder = Debian(folder, base.release)
    (folder / "src").mkdir()
    copy_sources(folder / "src")
    known = builder.in_root("apt-cache", "show", "node-llhttp", check=False).returncode == 0
    builder.in_root("apt-get", "install", "-y", "-q", "--no-install-recommends", *BUILD_NEEDS, *(["node-llhttp"] if known else []))
    options = []
    if not known:
        shutil.copytree("/usr/share/llhttp", folder / "usr/local/llhttp/src")
        shutil.copytree("/usr/share/include/llhttp", folder / "usr/local/llhttp/include")
        options = ["LLHTTP_SRC=/usr/local/llhttp/src", "LLHTTP_INC=/usr/local/llhttp/include"]
    builder.in_root("make", "-s", "-C", "/src", *options)

    def there(version, out):
        made = builder.in_root("/src/deploy/deb/build", "--version", version, "--out", "/src/build", env={"SOURCE_DATE_EPOCH": "1700000000"}).stdout.strip()
        return pathlib.Path(shutil.copy(folder / made.lstrip("/"), out))
    yield there
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def packages(pack, tmp_path_factory):
    """The same binary as two versions."""
    out = tmp_path_factory.mktemp("packages")
    return [pack(version, out) for version in ("0.0.1", "0.0.2")]
