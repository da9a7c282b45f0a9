"""Artifacts over HTTP: what is put comes back, whole or in parts; nothing half done is seen."""

import os
import urllib.parse

import harness
import pytest
from rest import connect, reset


def put(server, run, path, data, **more):
    place = urllib.parse.quote(f"0/{run}/artifacts/{path}")
    return harness.request("PUT", f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{place}", data, headers={"Content-Type": "application/octet-stream", **more})


def get(server, run, path, **headers):
    return harness.request("GET", f"{server.url}/get-artifact?" + urllib.parse.urlencode({"run_id": run, "path": path}), headers=headers)


@pytest.fixture
def run(client):
    return client.run()


@pytest.mark.parametrize("name", ["a.txt", "deep/er/b.bin", "with space.txt", "ü漢.txt", "a+b&c=d.txt", "a%20b.txt", "x" * 200])
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_what_is_put_comes_back(tallyd, run, name, size):
    data = os.urandom(size)
    stored = put(tallyd, run, name, data)
    if "%" in name and stored.status == 400:
        return
    assert stored.status == 200, stored.body
    got = get(tallyd, run, name)
    assert (got.status, got.body) == (200, data)


def test_a_list_shows_names_sizes_and_folders(client, tallyd, run):
    for path, data in [("a.txt", b"abc"), ("d/b.txt", b"12345"), ("d/e/c.txt", b"")]:
        assert put(tallyd, run, path, data).status == 200
    listed = client.get(f"artifacts/list?run_id={run}")
    assert sorted((f["path"], f["is_dir"], f.get("file_size")) for f in listed["files"]) == [("a.txt", False, 3), ("d", True, None)]
    listed = client.get(f"artifacts/list?run_id={run}&path=d")
    assert sorted((f["path"], f["is_dir"]) for f in listed["files"]) == [("d/b.txt", False), ("d/e", True)]
    assert client.get(f"artifacts/list?run_id={run}&path=none").get("files", []) == []


def test_a_second_put_replaces_the_whole_file(tallyd, run):
    put(tallyd, run, "f", b"long content")
    put(tallyd, run, "f", b"short")
    assert get(tallyd, run, "f").body == b"short"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-0", (206, b"0")), ("bytes=2-4", (206, b"234")), ("bytes=7-", (206, b"789")), ("bytes=-2", (206, b"89")), ("bytes=5-999", (206, b"56789")), ("bytes=10-", (416, None)), ("bytes=4-2", (200, b"0123456789"))],
)
def test_a_range_is_that_part(tallyd, run, asked, expected):
    put(tallyd, run, "f", b"0123456789")
    got = get(tallyd, run, "f", Range=asked)
    assert got.status == expected[0]
    assert expected[1] is None or got.body == expected[1]


@pytest.mark.parametrize("asked", ["bytes=", "bytes=a-b", "bytes=-", "bytes=--1", "bytes=99999999999999999999-", "items=0-1", "bytes=0-1,3-4", "bytes=" + "0-0," * 5000])
def test_a_strange_range_is_no_5xx(tallyd, run, asked):
    put(tallyd, run, "f", b"0123456789")
    assert get(tallyd, run, "f", Range=asked).status in (200, 206, 400, 416, 431)


def test_an_upload_that_breaks_off_leaves_nothing(client, tallyd, run):
    put(tallyd, run, "kept", b"first")
    for name in ("kept", "new"):
        s = connect(tallyd)
        head = f"PUT /api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
        s.sendall(head.encode() + b"x" * 500_000)
        reset(s)
    assert get(tallyd, run, "kept").body == b"first"
    assert get(tallyd, run, "new").status == 404
    assert [f["path"] for f in client.get(f"artifacts/list?run_id={run}")["files"]] == ["kept"]


def test_a_missing_file_is_a_404_and_a_folder_is_no_file(tallyd, run):
    put(tallyd, run, "d/f", b"x")
    assert get(tallyd, run, "none").status == 404
    assert 400 <= get(tallyd, run, "d").status < 500
    assert get(tallyd, "0" * 32, "f").status == 404


@pytest.mark.parametrize("address", ["get-artifact?run_id=none&path=", "model-versions/get-artifact?name=none&version=1&path=", "api/2.0/mlflow/artifacts/list?run_id=none&path=",
    "api/2.0/mlflow/logged-models/none/artifacts/directories?artifact_directory_path=", "ajax-api/2.0/mlflow/logged-models/none/artifacts/files?artifact_file_path="])
def test_a_path_that_climbs_is_refused_before_its_run_is_looked_for(tallyd, address):
    climbs = harness.request("GET", f"{tallyd.url}/{address}../x")
    assert (climbs.status, climbs.json()["error_code"], climbs.json()["message"]) == (400, "INVALID_PARAMETER_VALUE", "Invalid path")
    assert harness.request("GET", f"{tallyd.url}/{address}x").status == 404


def test_a_deleted_artifact_is_gone_and_its_neighbours_stay(client, tallyd, run):
    put(tallyd, run, "d/a", b"x")
    put(tallyd, run, "d/b", b"x")
    url = f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/d/a"
    assert harness.request("DELETE", url).status == 200
    assert get(tallyd, run, "d/a").status == 404
    assert get(tallyd, run, "d/b").body == b"x"


def test_delete_takes_the_slash_that_mlflow_puts_after_a_folder(client, tallyd, run):
    put(tallyd, run, "d/a", b"x")
    put(tallyd, run, "e", b"x")
    url = f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/"
    assert harness.request("DELETE", url + "d/").status == 200
    assert [f["path"] for f in client.get(f"artifacts/list?run_id={run}")["files"]] == ["e"]
    assert harness.request("DELETE", url).status == 200
    assert "files" not in client.get(f"artifacts/list?run_id={run}")


@pytest.mark.parametrize("source", ["mlflow-artifacts:/0/{}/artifacts/model", "runs:/{}/model", "runs:///{}/model/"])
def test_a_file_of_a_model_version_is_its_run_s_file(client, tallyd, run, source):
    put(tallyd, run, "model/MLmodel", b"flavors: {}")
    model = client.model()
    number = client.version(model, source=source.format(run), run_id=run)
    got = harness.request("GET", f"{tallyd.url}/model-versions/get-artifact?name={model}&version={number}&path=MLmodel")
    assert (got.status, got.body) == (200, b"flavors: {}")
    uri = client.get(f"model-versions/get-download-uri?name={model}&version={number}")["artifact_uri"]
    assert uri == source.format(run)
