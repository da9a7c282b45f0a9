"""Attacks that worked on others (ids of the advisories in the tables), and any input to any route: an answer below 500, nothing read, written or fetched that should not be."""

import gzip
import json
import random
import socket
import subprocess
import urllib.parse
import zlib

import harness
import pytest
from rest import connect, post_bytes, send_and_read, unique

SECRET = "what no answer may hold 7f3a"
CLOSED = "closed without an answer"


def raw(server, method, target, headers=(), body=b""):
    """One request exactly as given; (status, headers, body). A server may close on a broken one."""
    lines = [f"{method} {target} HTTP/1.1", *([] if any(h.lower().startswith("host:") for h in headers) else ["Host: 127.0.0.1"]), *headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    try:
        status, got, answer = send_and_read(server, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    except ConnectionError:
        return CLOSED, {}, b""
    return status, got, answer


def ajax(server, method, path, body=None, **more):
    return harness.request(method, f"{server.url}/ajax-api/2.0/mlflow/{path}", body, **more)


@pytest.fixture
def victim(tallyd):
    """A file beside the artifact root, as the server's own account could read and delete it; untouched after the test."""
    folder = tallyd.folder / "data"
    harness.await_true((folder / "artifacts").exists)
    before = sorted(p.name for p in tallyd.folder.iterdir() if not p.name.startswith("victim"))
    file = tallyd.folder / "victim"
    file.write_text(SECRET)
    file.chmod(0o666)
    tallyd.folder.chmod(0o777)
    yield file
    tallyd.folder.chmod(0o755)
    assert file.read_text() == SECRET
    file.unlink()
    assert sorted(p.name for p in tallyd.folder.iterdir()) == before, "something was made outside the artifact root"


# ---- paths (CVE-2023-30172, -6015, -6018, -6831, -6909, 2024-1560, 2026-2033 and many more)

UP = [
    "../../victim",
    "..%2f..%2fvictim",
    "%2e%2e/%2e%2e/victim",
    "%2e%2e%2f%2e%2e%2fvictim",
    "%252e%252e%252f%252e%252e%252fvictim",
    "%25252e%25252e%25252fvictim",
    "..%252f..%252fvictim",
    "..%5c..%5cvictim",
    "..\\..\\victim",
    "a/../../../victim",
    "a/%2e%2e/%2e%2e/%2e%2e/victim",
    "..;/..;/victim",
    "....//....//victim",
    "..%00/victim",
    "a%00/../../../victim",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/victim",
    "%uff0e%uff0e/victim",
    "..%c0%afvictim",
    "./../../victim",
    ".%2e/.%2e/victim",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "///etc/passwd",
    "C:/windows/win.ini",
    "C:%5cwindows",
    "file:///etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "proc/self/root/../../../victim",
    "~/victim",
    "..",
    "../",
    "../..",
    "%2e%2e",
    "%2e%2e%2f",
    "a/..",
    "..%2f",
    "..%0d%0a",
    "%zz",
    "%",
    "%e2%80%ae../..",
]


# Names like any other once they are decoded: nothing decodes them again.
LITERAL = {"C:/windows/win.ini", "C:%5cwindows", "~/victim", "....//....//victim", "..;/..;/victim", "%25252e%25252e%25252fvictim", "%uff0e%uff0e/victim"}


def safe(answer, target):
    status, _, body = answer
    assert status == CLOSED or status < 500, (target, status, body[:300])
    assert SECRET.encode() not in body and b"root:" not in body and b"daemon:" not in body, target
    return status


@pytest.mark.parametrize("path", UP)
@pytest.mark.parametrize("route", ["/api/2.0/mlflow-artifacts/artifacts/", "/ajax-api/2.0/mlflow-artifacts/artifacts/", "/api/2.0/dbfs/"])
def test_no_proxied_path_leaves_the_artifact_root(tallyd, victim, route, path):
    for method in ("GET", "HEAD", "DELETE", "PUT", "POST"):
        status = safe(raw(tallyd, method, route + path, body=b"{}" if method in ("PUT", "POST") else b""), (method, path))
        assert status == CLOSED or status >= 400 or path in LITERAL, (method, path, status)


@pytest.mark.parametrize("path", UP)
def test_no_path_in_a_query_leaves_its_run(client, tallyd, victim, path):
    run = client.run()
    model = client.model()
    number = client.version(model, source=f"mlflow-artifacts:/0/{run}/artifacts", run_id=run)
    e = client.experiment()
    logged = client.post("logged-models", {"experiment_id": e, "name": "m"})["model"]["info"]["model_id"]
    for target in [
        f"/get-artifact?run_id={run}&path={path}",
        f"/get-artifact?run_uuid={run}&path={path}",
        f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}",
        f"/api/2.0/mlflow-artifacts/artifacts?path={path}",
        f"/model-versions/get-artifact?name={model}&version={number}&path={path}",
        f"/ajax-api/2.0/mlflow/logged-models/{logged}/artifacts/files?artifact_file_path={path}",
        f"/api/2.0/mlflow/logged-models/{logged}/artifacts/directories?artifact_directory_path={path}",
        f"/api/2.0/dbfs/list?path={path}",
    ]:
        safe(raw(tallyd, "GET", target), target)
    for target in [f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}"]:
        safe(raw(tallyd, "POST", target, body=b"x"), target)


@pytest.mark.parametrize("path", ["%2e", ".", "./", "./.", "%2e%2f", "%2e/%2e", "", "/", "%2f", "a/..", "%20", "*", "%2a"])
def test_delete_of_nothing_in_particular_deletes_nothing(client, tallyd, victim, path):
    """In MLflow 3.17.2 DELETE of "." empties the artifact root."""
    run = client.run()
    url = f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts"
    assert harness.request("PUT", f"{url}/0/{run}/artifacts/kept", b"kept").status == 200
    safe(raw(tallyd, "DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{path}"), path)
    assert harness.request("GET", f"{tallyd.url}/get-artifact?run_id={run}&path=kept").body == b"kept"


def test_a_link_in_the_artifact_root_leads_nowhere(client, tallyd, victim):
    run = client.run()
    assert harness.request("PUT", f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/f", b"x").status == 200
    folder = tallyd.folder / "data" / "artifacts" / "0" / run / "artifacts"
    assert folder.is_dir()
    (folder / "link").symlink_to(victim)
    (folder / "up").symlink_to(tallyd.folder)
    for path in ("link", "up/victim"):
        assert safe(raw(tallyd, "GET", f"/get-artifact?run_id={run}&path={path}"), path) >= 400
        safe(raw(tallyd, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}", body=b"changed"), path)
        safe(raw(tallyd, "DELETE", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}"), path)
    safe(raw(tallyd, "GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path=up"), "up")


# ---- locations and sources

SOURCES = {
    "CVE-2023-1177": "file:///etc/",
    "CVE-2023-2356": "mlflow-artifacts:/../../../../etc/",
    "CVE-2023-2780": "file://localhost/etc/",
    "CVE-2023-2780 b": "file://../../etc",
    "CVE-2023-3765": "C:/",
    "CVE-2023-3765 b": "..\\..",
    "CVE-2023-3765 c": "\\\\etc\\\\",
    "CVE-2023-6753": "file:///C:/..",
    "CVE-2023-6977": "//proc/self/root",
    "CVE-2024-1558": "http://x/#/../../etc/",
    "CVE-2024-1593": "mlflow-artifacts:/;/../../../etc/",
    "CVE-2024-3573": "///etc/",
    "CVE-2024-3573 b": "file:etc",
    "CVE-2024-8859": "dbfs:/../../etc/?x=..",
    "CVE-2025-11201": "file:///%65tc/",
    "mlflow#23500": "http://127.0.0.1:1/x",
    "CVE-2023-6909": "http:///?/../../../../etc/",
    "CVE-2023-6974": "http://169.254.169.254/latest",
    "CVE-2024-1483": "http:///#/../../../../etc/",
    "CVE-2024-1594": "/tmp/#/../etc",
    "CVE-2024-2928": "mlflow-artifacts:///#/../../etc/",
    "CVE-2024-3848": "file:///tmp#/../etc/",
    "upper case": "FILE:///etc/",
    "encoded twice": "file:///%252e%252e/etc",
    "nul": "file:///etc\u0000/",
    "relative": "etc/passwd",
    "relative up": "../../etc",
    "ftp": "ftp://127.0.0.1/x",
    "runs up": "runs:/../../etc",
    "blank": " file:///etc/",
    "host": "mlflow-artifacts://evil.example/../x",
    "gs up": "gs://bucket/../../etc",
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("prompt", [False, True])
def test_a_model_version_of_a_foreign_place_is_refused(client, tallyd, name, prompt):
    """CVE-2026-2614: also when it is called a prompt."""
    model = client.model()
    body = {"name": model, "source": SOURCES[name]}
    if prompt:
        body["tags"] = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    got = ajax(tallyd, "POST", "model-versions/create", body)
    assert 400 <= got.status < 500, (SOURCES[name], got.status, got.body)
    for path in ("passwd", "etc/passwd"):
        read = harness.request("GET", f"{tallyd.url}/model-versions/get-artifact?path={path}&name={model}&version=1")
        assert 400 <= read.status < 500 and b"root:" not in read.body


@pytest.mark.parametrize("name", [n for n in SOURCES if n not in ("runs up",)])
def test_an_experiment_in_a_foreign_place_is_refused(client, tallyd, name):
    got = ajax(tallyd, "POST", "experiments/create", {"name": unique("e"), "artifact_location": SOURCES[name]})
    assert 400 <= got.status < 500, (SOURCES[name], got.status, got.body)


def test_a_source_that_exists_is_refused_in_the_words_of_one_that_does_not(client):
    """CVE-2023-1176"""
    model = client.model()
    texts = set()
    for path in ("/etc/passwd", "/etc/none00"):
        got = client.server.api("POST", "model-versions/create", {"name": model, "source": path})
        texts.add((got.status, got.json()["message"].replace(path, "")))
    assert len(texts) == 1 and texts.pop()[0] == 400


def test_a_version_s_source_lies_in_its_run(client, tallyd):
    """CVE-2023-6975, -6976: a run does not lend its name to another run's files, nor to a local path."""
    run, other = client.run(), client.run()
    model = client.model()
    assert harness.request("PUT", f"{tallyd.url}/api/2.0/mlflow-artifacts/artifacts/0/{other}/artifacts/passwd", SECRET.encode()).status == 200
    for source in ("file:///etc/", "/etc", f"file://{tallyd.folder}", f"{tallyd.folder}/data"):
        assert client.refused("POST", "model-versions/create", {"name": model, "run_id": run, "source": source})[0] == 400


@pytest.mark.parametrize(("name", "location"), [("9" * 100_000, None), ("n", "gs://bucket/" + "x" * 1_000_000), ("x" * 501, None)])
def test_long_experiment_names_and_locations_are_refused(client, name, location):
    """CVE-2024-6838"""
    body = {"name": name if len(name) > 1 else unique("e"), **({"artifact_location": location} if location else {})}
    assert client.refused("POST", "experiments/create", body)[0] == 400


# ---- no outgoing request (CVE-2023-6974, 2025-52967, 2026-2393, webhooks, gateway)


def test_no_location_source_or_hook_makes_the_server_call_out(client, tallyd):
    called = []
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen(16)
        port = trap.getsockname()[1]
        run, model = client.run(), client.model()
        places = [f"{scheme}://127.0.0.1:{port}/x" for scheme in ("http", "https", "ftp", "sftp", "s3", "hdfs", "mlflow-artifacts", "gs", "wasbs", "dbfs")]
        places.append(f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/0")
        for place in places:
            made = tallyd.api("POST", "experiments/create", {"name": unique("e"), "artifact_location": place})
            assert made.status < 500
            if made.status == 200:
                inside = client.run(made.json()["experiment_id"])
                for target in (f"/api/2.0/mlflow/artifacts/list?run_id={inside}", f"/get-artifact?run_id={inside}&path=x"):
                    assert raw(tallyd, "GET", target)[0] < 500, (place, target)
                assert raw(tallyd, "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_id={inside}&path=x", body=b"x")[0] < 500
            made = tallyd.api("POST", "model-versions/create", {"name": model, "source": place, "run_link": place})
            assert made.status < 500
            if made.status == 200:
                number = made.json()["model_version"]["version"]
                assert raw(tallyd, "GET", f"/model-versions/get-artifact?name={model}&version={number}&path=x")[0] < 500, place
            client.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": {"name": "d", "digest": unique("d"), "source_type": "http", "source": json.dumps({"url": place + "/../../x"})}}]})
        hook = {"url": f"http://127.0.0.1:{port}/", "gateway_path": f"@127.0.0.1:{port}/x", "api_base": f"http://127.0.0.1:{port}", "api_key": "$HOME", "name": "w", "events": []}
        for path in ("webhooks", "webhooks/1/test", "gateway-proxy", "gateway/endpoints", "gateway/secrets", "jobs", "assistant/config"):
            for version in ("2.0", "3.0"):
                got = harness.request("POST", f"{tallyd.url}/ajax-api/{version}/mlflow/{path}", hook)
                assert got.status in (404, 405), (path, got.status)
        trap.settimeout(0)
        try:
            called.append(trap.accept())
        except BlockingIOError:
            pass
    assert called == []


# ---- what is not there stays away


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/2.0/mlflow/users/create"),
        ("POST", "/signup"),
        ("POST", "/ajax-api/3.0/jobs"),
        ("POST", "/ajax-api/3.0/jobs/search"),
        ("POST", "/v1/traces"),
        ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
        ("GET", "/ajax-api/3.0/mlflow/get-trace-artifact?request_id=T"),
        ("GET", "/ajax-api/3.0/mlflow/gateway/secrets/list"),
        ("GET", "/ajax-api/3.0/mlflow/traces/T"),
        ("POST", "/ajax-api/3.0/mlflow/label-schemas/create"),
        ("GET", "/.env"),
        ("GET", "/static-files/../../../etc/passwd"),
        ("GET", "/static-files/%2e%2e/%2e%2e/etc/passwd"),
        ("GET", "/assets/..%2f..%2fetc%2fpasswd"),
        ("GET", "/assets/%252e%252e"),
        ("TRACE", "/"),
        ("CONNECT", "127.0.0.1:1"),
        ("PROPFIND", "/"),
    ],
)
def test_a_route_that_others_were_attacked_by_is_not_there(tallyd, method, path):
    status, headers, body = raw(tallyd, method, path, ["Content-Type: <script>alert(1)</script>", "Authorization: Basic YWRtaW46cGFzc3dvcmQxMjM0"], b"{}" if method in ("POST", "PUT") else b"")
    assert status == CLOSED or status in (400, 404, 405, 415, 501), (path, status)
    assert b"<script>" not in body and b"root:" not in body


def test_graphql_aliases_do_not_multiply_work(tallyd):
    """CVE-2025-0453"""
    query = "query { " + " ".join(f'a{i}: mlflowSearchRuns(input: {{experimentIds: ["0"], maxResults: 50000}}) {{ runs {{ info {{ runId }} }} }}' for i in range(500)) + " }"
    for path in ("/graphql", "/ajax-api/2.0/graphql", "/ajax-api/2.0/mlflow/graphql"):
        got = harness.request("POST", tallyd.url + path, {"query": query}, timeout=10)
        assert got.status < 500
        assert got.body.count(b'"runs"') < 2


# ---- browsers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "tallyd", "[::1].evil.example", "0x7f.1.evil", "2130706433"])
def test_a_host_name_that_is_not_ours_is_refused(tallyd, host):
    """CVE-2025-14279, DNS rebinding: reads too."""
    for method, path, body in [("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", b""), ("POST", "/api/2.0/mlflow/runs/create", b'{"experiment_id":"0"}'), ("GET", "/", b""), ("GET", "/metrics", b"")]:
        status, _, answer = raw(tallyd, method, path, [f"Host: {host}", "Content-Type: application/json"], body)
        assert status in (400, 403, 421), (host, path, status, answer)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "10.1.2.3:5000", "[::1]:5000", "203.0.113.5"])
def test_addresses_and_localhost_are_let_in(tallyd, host):
    assert raw(tallyd, "GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", [f"Host: {host}"])[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example", "file://", "http://127.0.0.1@evil.example", "http://", "//"])
def test_a_foreign_origin_changes_nothing(client, tallyd, origin):
    """CVE-2023-43472, 2025-1473, 2026-2611"""
    run = client.run()
    body = json.dumps({"run_id": run, "key": "t", "value": "evil"}).encode()
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        status, headers, _ = raw(tallyd, "POST", "/ajax-api/2.0/mlflow/runs/set-tag", [f"Origin: {origin}", f"Content-Type: {kind}"], body)
        assert status in (400, 403, 415), (origin, kind, status)
        assert "access-control-allow-origin" not in headers
    for method, path in [("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}"), ("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/x"), ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_id={run}&path=x")]:
        assert raw(tallyd, method, path, [f"Origin: {origin}"], b"x" if method != "DELETE" else b"")[0] == 403, path
    assert "t" not in client.run_data(run)["tags"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx", "text/json"])
def test_a_page_must_say_that_it_sends_json(client, tallyd, kind):
    body = json.dumps({"run_id": client.run(), "key": "t", "value": "1"}).encode()
    own = f"127.0.0.1:{tallyd.port}"
    for mark in (f"Origin: http://{own}", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"):
        headers = [f"Host: {own}", mark, *([f"Content-Type: {kind}"] if kind else [])]
        assert raw(tallyd, "POST", "/ajax-api/2.0/mlflow/runs/set-tag", headers, body)[0] in (400, 403, 415), (kind, mark)
    assert raw(tallyd, "POST", "/ajax-api/2.0/mlflow/runs/set-tag", [f"Host: {own}", f"Origin: http://{own}", "Content-Type: application/json; charset=utf-8"], body)[0] == 200


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.html", b"<script>alert(1)</script>"),
        ("x.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("x.xml", b'<?xml version="1.0"?><x xmlns="http://www.w3.org/1999/xhtml"><script>1</script></x>'),
        ("x.htm", b"<b>"),
        ("x.xhtml", b"<b>"),
        ("x.js", b"alert(1)"),
        ("x.pdf", b"%PDF"),
        ("x.txt", b"<script>alert(1)</script>"),
        ("MLmodel", b"!!js/function 'alert(1)'"),
        ("none", b"<html><script>alert(1)</script>"),
        ('a"b.html', b"<b>"),
    ],
)
def test_artifacts_are_inert(client, tallyd, name, content):
    """CVE-2023-6709, 2026-33865, GHSA: no artifact is a page of this server."""
    run = client.run()
    where = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{urllib.parse.quote(name)}"
    assert raw(tallyd, "PUT", where, ["Content-Type: text/html"], content)[0] == 200
    model = client.model()
    client.version(model, source=f"mlflow-artifacts:/0/{run}/artifacts", run_id=run)
    quoted = urllib.parse.quote(name)
    for target in (where, f"/get-artifact?run_id={run}&path={quoted}", f"/get-artifact?run_id={run}&path={quoted}&view=1", f"/model-versions/get-artifact?name={model}&version=1&path={quoted}"):
        status, headers, body = raw(tallyd, "GET", target)
        assert (status, body) == (200, content), target
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "sandbox" in policy and "allow-same-origin" not in policy, (target, policy)
        kind = headers["content-type"].split(";")[0]
        if kind in ("text/html", "image/svg+xml", "application/xml", "text/xml", "application/xhtml+xml", "text/javascript", "application/javascript"):
            assert "view=1" in target or headers["content-disposition"].startswith("attachment"), (target, kind)
        assert "\n" not in headers.get("content-disposition", "")


def test_text_is_never_evaluated(client):
    """CVE-2023-6709, 2026-4035"""
    run = client.run()
    texts = {"a": "{{7*7}}", "b": "${HOME}", "c": "$HOME", "d": "<%= 7*7 %>", "e": "'; drop table runs; --", "f": "\\x27 or 1=1"}
    client.batch(run, params=list(texts.items()))
    assert client.run_data(run)["params"] == texts
    for text in texts.values():
        assert client.server.api("POST", "runs/search", {"experiment_ids": ["0"], "filter": f"params.a = {text}"}).status in (200, 400)
        assert client.server.api("POST", "runs/search", {"experiment_ids": ["0"], "order_by": [text]}).status in (200, 400)


@pytest.mark.parametrize("target", ["OTHER/model", "%2e%2e/model", "0/../../x", "%252e%252e/x", "."])
def test_a_multipart_upload_stays_on_its_path(tallyd, victim, target):
    """CVE-2026-2651, and the path of the address against that of the body."""
    for step, more in (("create", {"num_parts": 2}), ("complete", {"upload_id": "../../x", "parts": [{"part_number": 1, "etag": "x"}]}), ("abort", {"upload_id": "../../x"})):
        for inner in ("../../victim", "elsewhere/model", "", "/etc/passwd"):
            body = json.dumps({"path": inner, **more}).encode()
            status, _, answer = raw(tallyd, "POST", f"/api/2.0/mlflow-artifacts/mpu/{step}/{target}", ["Content-Type: application/json"], body)
            assert status == CLOSED or 400 <= status <= 501, (step, target, inner, status, answer)
            assert status != 500


# ---- any input, every route

VALUES = {
    "string": ["", "x" * 100_000, "\u0000", "\ud800", "'", '"', "%s%n%x", "../..", "🎈" * 3000, 5, 1.5, True, None, [], {}, [[]]],
    "int64": [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 1.5, 1e308, "", "x", "1", "-9223372036854775808", True, None, [], {}],
    "int32": [0, -1, 2**31 - 1, -(2**31), 2**31, 2**63, 1.5, "x", True, None, [], {}],
    "double": [0, -0.0, 1e308, 1e-320, "NaN", "Infinity", "-Infinity", "1e400", "", "x", True, None, [], {}],
    "bool": [True, False, 0, 1, "true", "yes", "", None, [], {}],
    "enum": ["", "x", 0, 1, -1, 99, 2**31, None, [], {}, True],
    "object": [{}, [], "x", 5, None, {"key": {}}, {"experiment_ids": 5}],
    "string[]": [[], "x", [""], [None], [5], [[]], [{}], ["x" * 10_000], ["0"] * 2000, {}, None],
    "object[]": [[], "x", [{}], [None], [5], [[]], [{"key": None}], [{}] * 1000, {}, None],
}
VALUES["uri"] = [*VALUES["string"], "file:///etc", "gs://", "://"]


@pytest.fixture(scope="module")
def routes(tallyd):
    got = subprocess.run([*harness.binary(), "routes"], check=True, capture_output=True, env=tallyd.env)
    return [r for r in json.loads(got.stdout) if r["path"] != "tallyd/live"]


def fill(path, word):
    """The path with its variables filled."""
    out = path
    while "<" in out:
        out = out[: out.index("<")] + urllib.parse.quote(word, safe="") + out[out.index(">") + 1 :]
    return out


class Line:
    """One connection that is opened again when it was closed; every answer is below 500 and comes."""

    def __init__(self, server):
        self.server, self.socket = server, None

    def send(self, route, target, body=b"", headers=(), allowed=()):
        method = route["method"]
        head = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers]
        if body or method not in ("GET",):
            head.append(f"Content-Length: {len(body)}")
        data = "\r\n".join(head).encode() + b"\r\n\r\n" + body
        for attempt in (0, 1):
            if self.socket is None:
                self.socket = connect(self.server, 10)
                attempt = 1
            try:
                self.socket.sendall(data)
                status, got, answer = self.read()
                break
            except TimeoutError:
                raise AssertionError(("no answer", method, target[:200], body[:200])) from None
            except ConnectionError:
                self.close()
                assert attempt == 0, (method, target[:200], body[:200], "closed without an answer", self.server.text()[-3000:])
        if got.get("connection", "").lower() == "close":
            self.close()
        assert status < 500 or status in (501, *allowed), (method, target[:300], body[:300], status, answer[:300])
        return status

    def read(self):
        data = b""
        while b"\r\n\r\n" not in data:
            got = self.socket.recv(1 << 16)
            if not got:
                raise ConnectionError
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        if "chunked" in headers.get("transfer-encoding", ""):
            while not (body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n")):
                body += self.socket.recv(1 << 16)
        while len(body) < int(headers.get("content-length", 0)):
            body += self.socket.recv(1 << 16)
        return int(lines[0].split()[1]), headers, body

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None


@pytest.fixture
def line(tallyd):
    made = Line(tallyd)
    yield made
    made.close()


def test_every_route_survives_wrong_values_in_each_field(routes, line):
    for route in routes:
        target = fill(route["paths"][0], "x")
        line.send(route, target)
        if route["body"] == "raw":
            continue
        fields = route["fields"]
        usual = {f["name"]: VALUES[f["type"]][3] if f["type"] not in ("string", "uri", "int64") else "1" for f in fields if f["required"]}
        for field in fields:
            for value in VALUES[field["type"]]:
                if route["method"] == "GET":
                    text = value if isinstance(value, str) else json.dumps(value)
                    if len(text) > 20_000:
                        continue
                    given = {**{k: v if isinstance(v, str) else json.dumps(v) for k, v in usual.items()}, field["name"]: text}
                    line.send(route, target + "?" + urllib.parse.urlencode({k: v.encode("utf-8", "surrogatepass") for k, v in given.items()}))
                else:
                    line.send(route, target, json.dumps({**usual, field["name"]: value}).encode())
            for inner in field.get("fields", []):
                for value in VALUES[inner["type"]]:
                    one = {f["name"]: "1" for f in field["fields"]} | {inner["name"]: value}
                    line.send(route, target, json.dumps({**usual, field["name"]: [one] if field["type"].endswith("[]") else one}).encode(), allowed=())


BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"x"',
    "text in text": json.dumps(json.dumps(json.dumps({}))).encode(),
    "number": b"5",
    "half": b'{"a":',
    "garbage": b"\xff\xfe\x00garbage",
    "bom": b"\xef\xbb\xbf{}",
    "nul": b'{"name":"\x00"}',
    "bad utf-8": b'{"name":"\xc0\xae\xff"}',
    "same key": b'{"name":"a","name":{"b":1}}',
    "deep list": b"[" * 100_000,
    "deep closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep in field": b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "long number": b'{"max_results":' + b"9" * 100_000 + b"}",
    "long exponent": b'{"value":1e' + b"9" * 1000 + b"}",
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(20_000)) + b"}",
    "trailing": b"{}{}",
    "comment": b"{/* */}",
    "form": b"name=x&value=y",
}


@pytest.mark.parametrize("body", BODIES)
def test_every_route_survives_a_strange_body(routes, line, body):
    for route in routes:
        line.send(route, fill(route["paths"][0], "x"), BODIES[body])


@pytest.mark.parametrize("word", ["%00", "\x7f", "..", "x" * 3000, "ü/漢", "\r\nX: y", "'\"<>", "%", "a/b/c/" * 100, "\ud7ff", " "])
def test_every_route_with_a_variable_survives_it(routes, line, word):
    for route in routes:
        if "<" in route["path"]:
            for path in route["paths"]:
                line.send(route, fill(path, word))


def test_every_route_survives_noise(routes, line):
    """Random members with a fixed seed: names from the table, values of any kind."""
    dice = random.Random(7)
    names = sorted({f["name"] for r in routes for f in r["fields"]})
    every = [v for values in VALUES.values() for v in values if not isinstance(v, str) or len(v) < 1000]
    for route in routes:
        if route["body"] == "raw" or route["method"] == "GET":
            continue
        for _ in range(15):
            own = [f["name"] for f in route["fields"]] or names
            body = {dice.choice(own if dice.random() < 0.8 else names): dice.choice(every) for _ in range(dice.randrange(1, 8))}
            line.send(route, fill(route["paths"][-1], "x"), json.dumps(body).encode())


BATCH = "/api/2.0/mlflow/runs/log-batch"


def test_five_million_empty_items_are_refused_and_forgotten(tallyd):
    bodies = [b'{"run_id":"x","metrics":[' + b"{}," * 4_999_999 + b"{}]}", b'{"experiment_ids":[' + b'"",' * 4_999_999 + b'""]}']
    for body in bodies:
        path = "/api/2.0/mlflow/runs/search" if body.startswith(b'{"exp') else BATCH
        status, _, answer = send_and_read(tallyd, post_bytes(path, body))
        assert status in (400, 404, 413), answer


def test_a_body_over_the_limit_is_a_413_and_one_below_is_read(tallyd):
    text = b'{"run_id":"%s"}'
    assert send_and_read(tallyd, post_bytes(BATCH, text % (b"x" * (15 << 20))))[0] in (400, 404)
    s = connect(tallyd)
    s.sendall(f"POST {BATCH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {17 << 20}\r\n\r\n".encode())
    head = s.recv(65536)
    assert b" 413 " in head.split(b"\r\n")[0]
    s.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_gzip_bomb_is_cut_at_the_limit(tallyd, encoding):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    data = squeeze.compress(b'{"run_id":"')
    block = b"x" * (1 << 20)
    for _ in range(200):
        data += squeeze.compress(block)
    data += squeeze.flush()
    for path, method in ((BATCH, "POST"), ("/api/2.0/mlflow/runs/search", "POST")):
        try:
            status = send_and_read(tallyd, post_bytes(path, data, [f"Content-Encoding: {encoding}"], method))[0]
        except ConnectionError:
            continue
        assert status in (400, 413, 415), status


@pytest.mark.parametrize("body", [b"", b"x", gzip.compress(b"{}")[:10], gzip.compress(b"{}") + b"x", gzip.compress(gzip.compress(b"{}")), gzip.compress(b"{")])
def test_a_broken_gzip_body_is_no_5xx(tallyd, body):
    status, _, answer = send_and_read(tallyd, post_bytes(BATCH, body, ["Content-Encoding: gzip"]))
    assert 400 <= status < 500, answer


FILTERS = [
    "(" * 20_000,
    "NOT " * 20_000 + "params.a = '1'",
    " AND ".join(["params.a = '1'"] * 1000),
    " OR ".join(["metrics.a > 1"] * 1000),
    "params.a LIKE '" + "%_" * 2000 + "'",
    "params.a RLIKE '" + "(a*)*" * 200 + "b'",
    "params.a RLIKE '((((((((a{1,255}){1,255}){1,255})'",
    "params.a RLIKE '['",
    "params.a = '" + "'" * 999,
    "params.`" + "x" * 10_000 + "` = '1'",
    "metrics.a > 1e999",
    "attributes.run_id IN (" + ",".join(["'x'"] * 5000) + ")",
    "a" * 100_000,
    "params.a = '1' AND",
    "params.a = '\u0000'",
    "\u202eparams.a = '1'",
    "params.a = '1'; drop table runs",
]


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_a_costly_or_broken_filter_is_answered_soon(client, tallyd, number):
    text = FILTERS[number]
    for method, path, body in [
        ("POST", "runs/search", {"experiment_ids": ["0"], "filter": text}),
        ("POST", "experiments/search", {"filter": text, "max_results": 10}),
        ("POST", "logged-models/search", {"experiment_ids": ["0"], "filter": text}),
        ("POST", "runs/search", {"experiment_ids": ["0"], "order_by": [text]}),
    ]:
        got = tallyd.api(method, path, body, timeout=10)
        assert got.status < 500, (path, text[:100], got.status, got.body[:300])
