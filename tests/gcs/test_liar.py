"""A bucket, or what stands between, that answers wrongly: no wrong byte passes for a file, nothing else is touched, nothing runs for ever."""
import base64
import socket

import harness
import pytest
import requests
import urllib3

from test_artifacts import ROUTE, at, bucket, complete, fresh, get, in_bucket, multipart, new_run, put  # noqa: F401


def page(*keys, token=None, more=None):
    """A page of a list, in base64 for the stand-in."""
    rows = "".join("<Contents><Key>%s</Key><Generation>1</Generation><Size>1</Size></Contents>" % k for k in keys)
    after = "<NextContinuationToken>%s</NextContinuationToken>" % token if token else ""
    return base64.b64encode(("<ListBucketResult><IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" % ("true" if token or more else "false", after, rows)).encode()).decode()


@pytest.mark.parametrize("size", [1, 70000, 3 << 20])
def test_a_wrong_byte_does_not_arrive_as_a_whole_file(in_bucket, fresh, size):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"f" * size)
    fresh.tell("/_fault", n=1, method="GET", match=root, flip=True)
    try:
        with requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, timeout=30, stream=True) as got:
            taken = sum(len(piece) for piece in got.raw.stream(65536))
        assert got.status_code == 502 or taken < size
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        pass
    assert requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, timeout=30).content == b"f" * size


@pytest.mark.parametrize("size", [5, 3 << 20])
@pytest.mark.parametrize("fault", [{"corrupt": True}, {"bare": True}, {"bare": True, "lose": True}], ids=lambda f: "-".join(f))
def test_what_the_bucket_says_of_an_upload_is_compared(in_bucket, fresh, size, fault):
    """Another sum, or none: then the object is looked at."""
    _, root = new_run(in_bucket)
    if "lose" in fault and size < 1000:
        pytest.skip("the bucket refuses a small one itself: its sum is sent along")
    fresh.tell("/_fault", n=1, method="PUT", match=root, **fault)
    good = fault == {"bare": True}
    assert put(in_bucket, root + "/f", b"z" * size).status_code == (200 if good else 502)
    assert "corrupt" not in fault or get(in_bucket, root + "/f").status_code == 404


def test_an_address_says_the_size_of_the_object_it_leads_to(in_bucket, fresh):
    """Without a generation the address leads to what is there now: an older size would cut it."""
    _, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"short")
    fresh.tell("/_fault", n=2, method="HEAD", match=root, bare=True)
    with requests.Session() as one_worker:
        sizes = [one_worker.get(in_bucket.url + ROUTE + "presigned/" + root + "/f", timeout=30).json()["file_size"]]
        fresh.state.put_bytes("bucket", "team/%s/f" % root, b"much longer")
        sizes.append(one_worker.get(in_bucket.url + ROUTE + "presigned/" + root + "/f", timeout=30).json()["file_size"])
    assert sizes == [5, 11]


def test_a_list_that_goes_round_ends(in_bucket, fresh):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/d/f")
    fresh.state.faults.append({"n": 2000, "method": "GET", "match": "list-type", "body": page("team/%s/d/a" % root, token="again")})
    asked = fresh.state.stats["requests"]
    listed = in_bucket.api("GET", "artifacts/list?run_id=%s&path=d" % run["run_id"])
    removed = requests.delete(at(in_bucket, root + "/d"), timeout=10)
    assert (listed.status, removed.status_code) == (503, 503) and "list" in removed.json()["message"]
    assert fresh.state.stats["requests"] - asked < 40


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", base64.b64decode(page("x", more=True))], ids=["empty", "other", "cut"])
def test_half_a_list_is_none(in_bucket, fresh, body):
    """Taken for a list, it would show a folder as empty, and gc would forget files that are there."""
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/d/f")
    fresh.tell("/_fault", n=1, method="GET", match="list-type", body=base64.b64encode(body).decode())
    assert in_bucket.api("GET", "artifacts/list?run_id=" + run["run_id"]).status == 503
    fresh.tell("/_fault", n=1, method="GET", match="list-type", body=base64.b64encode(body).decode())
    assert requests.delete(at(in_bucket, root + "/d"), timeout=30).status_code == 503


def test_a_removal_stays_below_its_folder(in_bucket, fresh):
    _, root = new_run(in_bucket)
    put(in_bucket, root + "/d/f")
    put(in_bucket, root + "/other")
    fresh.tell("/_fault", n=1, method="GET", match="list-type", body=page("team/%s/other" % root, "team/%s/d/f" % root))
    fresh.state.objects[("bucket", "team/%s/other" % root)].generation = 1
    requests.delete(at(in_bucket, root + "/d"), timeout=30)
    assert "team/%s/other" % root in fresh.names()


def test_a_bucket_that_sends_elsewhere_is_not_followed(in_bucket, fresh):
    run, root = new_run(in_bucket)
    put(in_bucket, root + "/f")
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(1)
        for method in ("HEAD", "GET"):
            fresh.tell("/_fault", n=1, method=method, match=root, status=307, location="http://127.0.0.1:%d/f" % trap.getsockname()[1])
            assert requests.get(in_bucket.url + "/get-artifact", params={"run_id": run["run_id"], "path": "f"}, timeout=30).status_code == 503
        with pytest.raises(TimeoutError):
            trap.accept()


def test_parts_are_named_once_each(in_bucket, fresh):
    _, root = new_run(in_bucket)
    fresh.tell("/_config", min_part=1)
    upload_id, parts = multipart(in_bucket, root, "m", [b"aa", b"bb", b"c"])
    twice = [parts[0], parts[0], parts[1]]
    wrong = [parts[0], parts[1], {**parts[2], "etag": parts[0]["etag"]}]
    number = [parts[0], parts[1], {**parts[2], "part_number": 4}]
    for bad in (twice, wrong, number, parts + [parts[2]], [], parts[1:]):
        assert complete(in_bucket, root, "m", upload_id, bad).status_code == 400
    assert get(in_bucket, root + "/m").status_code == 404
    assert complete(in_bucket, root, "m", upload_id, [{**p, "etag": ""} for p in parts]).json() == {}
    for _ in range(2):
        assert requests.post(in_bucket.url + ROUTE + "mpu/abort/" + root, json={"path": "m", "upload_id": upload_id}, timeout=30).status_code == 200
    assert get(in_bucket, root + "/m").content == b"aabbc"


def test_a_single_part_that_never_came_is_not_its_older_self(in_bucket, fresh):
    """One part is one signed PUT. A moment ago there was another file of that name: completing without having sent anything must fail."""
    _, root = new_run(in_bucket)
    put(in_bucket, root + "/f", b"older")
    created = requests.post(in_bucket.url + ROUTE + "mpu/create/" + root, json={"path": "f", "num_parts": 1}, timeout=30).json()
    stale = [{"part_number": 1, "etag": '"%032d"' % 0, "url": ""}]
    fresh.state.objects[("bucket", "team/%s/f" % root)].mtime -= 5
    assert complete(in_bucket, root, "f", created["upload_id"], []).status_code == 400
    assert complete(in_bucket, root, "f", created["upload_id"], stale).status_code == 400
    sent = requests.put(created["credentials"][0]["url"], data=b"newer", timeout=30)
    assert complete(in_bucket, root, "f", created["upload_id"], [{"part_number": 1, "etag": sent.headers["ETag"]}]).json() == {}
    # Another wrote after us: his file is there now, and our upload was whole all the same.
    fresh.state.put_bytes("bucket", "team/%s/f" % root, b"newest")
    assert complete(in_bucket, root, "f", created["upload_id"], [{"part_number": 1, "etag": sent.headers["ETag"]}]).json() == {}


@pytest.fixture
def keyless(bucket, fresh, start_tallyd, database):
    env = {k: v for k, v in bucket.env.items() if k not in ("GOOGLE_APPLICATION_CREDENTIALS", "TALLYD_TOKEN_URI")}
    return lambda: start_tallyd("--artifacts-destination", "gs://bucket/keyless", "--workers", "1", database=database, env={**env, "GCE_METADATA_HOST": bucket.url[7:], "HOME": "/nonexistent"})


def test_a_metadata_server_that_is_not_ready_spoils_no_signature(fresh, keyless):
    fresh.tell("/_fault", n=3, match="/default/email", status=404)
    server = keyless()
    _, root = new_run(server)
    put(server, root + "/f")

    def works():
        got = requests.get(server.url + ROUTE + "presigned/" + root + "/f", timeout=30)
        assert got.status_code in (200, 503), got.text
        assert got.status_code != 200 or requests.get(got.json()["url"], timeout=30).content == b"x"
        return got.status_code == 200

    assert harness.await_true(works, 30, 0.2)
