"""A folder of a run as one zip: what Python reads back is what was stored, and half a zip is never taken for a whole one."""

import http.client
import io
import os
import socket
import urllib.parse
import zipfile

import harness
import pytest


def put(server, run, path, data):
    place = urllib.parse.quote(f"0/{run}/artifacts/{path}")
    answer = harness.request("PUT", f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{place}", data, headers={"Content-Type": "application/octet-stream"})
    assert answer.status == 200, answer.body


def address(run, path=None):
    return "/ajax-api/2.0/tallyd/artifacts/zip?" + urllib.parse.urlencode({"run_id": run, **({"path": path} if path is not None else {})})


def fetch(server, run, path=None, method="GET"):
    return harness.request(method, server.url + address(run, path), timeout=60)


def unpacked(answer):
    assert answer.status == 200, answer.body[:300]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        return {i.filename: archive.read(i) for i in archive.infolist()}


@pytest.fixture
def run(client):
    return client.run()


def folder_of(server, run):
    return server.folder / "data/artifacts/0" / run / "artifacts"


def test_what_was_stored_comes_back(tallyd, run):
    files = {
        "empty.txt": b"",
        "überraschung/größe 漢.txt": "Grüße".encode(),
        "a/b/c/d.bin": os.urandom(5_000_000),
        "a/b/zeros": bytes(3_000_000),
        "a/picture.png": os.urandom(200_000),
        "a/one": b"1",
        "a-z": b"beside a folder of the same beginning",
    }
    for path, data in files.items():
        put(tallyd, run, path, data)
    answer = fetch(tallyd, run)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={run}.zip"
    assert unpacked(answer) == files
    assert len(answer.body) < 5_500_000
    assert unpacked(fetch(tallyd, run, "a/b")) == {"c/d.bin": files["a/b/c/d.bin"], "zeros": files["a/b/zeros"]}
    assert "größe".encode() not in answer.headers["Content-Disposition"].encode()
    named = fetch(tallyd, run, "überraschung/").headers["Content-Disposition"]
    assert named.endswith("filename*=UTF-8''%C3%BCberraschung.zip")


def test_sizes_and_times_are_those_of_the_files(tallyd, run):
    put(tallyd, run, "f", b"x" * 70_000)
    os.utime(folder_of(tallyd, run) / "f", (1_600_000_000, 1_600_000_000))
    with zipfile.ZipFile(io.BytesIO(fetch(tallyd, run).body)) as archive:
        (info,) = archive.infolist()
    assert (info.file_size, info.date_time, info.external_attr >> 16) == (70_000, (2020, 9, 13, 12, 26, 40), 0o100644)


def test_nothing_stored_is_an_empty_zip(tallyd, run):
    assert unpacked(fetch(tallyd, run)) == {}
    put(tallyd, run, "d/f", b"x")
    (folder_of(tallyd, run) / "none").mkdir()
    assert unpacked(fetch(tallyd, run, "none")) == {}


def test_what_is_no_folder_is_said(tallyd, run):
    put(tallyd, run, "d/f", b"x")
    for path, status, code in [("x", 404, "RESOURCE_DOES_NOT_EXIST"), ("d/f", 400, "INVALID_PARAMETER_VALUE"), ("../d", 400, "INVALID_PARAMETER_VALUE"), ("d/f/g", 404, "RESOURCE_DOES_NOT_EXIST")]:
        answer = fetch(tallyd, run, path)
        assert (answer.status, answer.json()["error_code"]) == (status, code), path
    assert fetch(tallyd, "0" * 32).status == 404
    assert harness.request("GET", tallyd.url + "/ajax-api/2.0/tallyd/artifacts/zip").status == 400


def test_head_answers_without_a_body(tallyd, run):
    put(tallyd, run, "f", b"x" * 1000)
    answer = fetch(tallyd, run, method="HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"", "application/zip")
    assert fetch(tallyd, run, "none", method="HEAD").status == 404


def test_many_files(tallyd, run):
    put(tallyd, run, "f0/0", b"0")
    root = folder_of(tallyd, run)
    for i in range(40):
        (root / f"f{i}").mkdir(exist_ok=True)
        for j in range(50):
            (root / f"f{i}/{j}").write_text(f"{i} {j}")
    got = unpacked(fetch(tallyd, run))
    assert len(got) == 2000
    assert got["f39/49"] == b"39 49"


def slow_reader(server, run):
    """A client that has asked for the zip and reads nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(30)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {address(run)} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    return client


def test_a_file_that_is_gone_cuts_the_connection(tallyd, run):
    put(tallyd, run, "a.png", os.urandom(20_000_000))
    put(tallyd, run, "b", b"last")
    with slow_reader(tallyd, run) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        (folder_of(tallyd, run) / "b").unlink()
        answer = bytearray()
        try:
            while part := client.recv(1 << 20):
                answer += part
        except ConnectionResetError:
            pass
    assert not answer.endswith(b"0\r\n\r\n")
    assert fetch(tallyd, run, "none").status == 404


def test_a_file_that_becomes_shorter_cuts_the_connection(tallyd, run):
    put(tallyd, run, "a.png", os.urandom(20_000_000))
    with slow_reader(tallyd, run) as client:
        client.recv(1000)
        os.truncate(folder_of(tallyd, run) / "a.png", 15_000_000)
        answer = http.client.HTTPResponse(client)
        answer.fp = client.makefile("rb")
        got = 0
        try:
            while part := answer.fp.read(1 << 20):
                got += len(part)
        except ConnectionResetError:
            pass
    assert got < 15_500_000


def test_a_reader_that_leaves_or_is_slow_holds_nothing(tallyd, run):
    put(tallyd, run, "a.bin", os.urandom(30_000_000))
    put(tallyd, run, "b.bin", b"b")
    before = memory(tallyd)
    waiting = [slow_reader(tallyd, run) for _ in range(5)]
    for client in waiting:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert tallyd.api("GET", "experiments/get?experiment_id=0").status == 200
    assert memory(tallyd) - before < 60_000
    for client in waiting:
        client.close()
    held = lambda: [f for pid in tallyd.processes() for f in files_of(pid) if run in f]  # noqa: E731
    assert harness.await_true(lambda: not held(), 20), held()
    assert len(unpacked(fetch(tallyd, run))) == 2


def memory(server):
    """KiB of the server's processes."""
    total = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/status") as status:
            total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return total


def files_of(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    return found
