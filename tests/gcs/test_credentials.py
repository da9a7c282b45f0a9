"""Every kind of credentials that Google's libraries know: what each can do on the bucket, and what the server says of the rest."""
import http.server
import json
import os
import shutil
import threading

import harness
import pytest
import requests

from test_artifacts import ROUTE, bucket, complete, fresh, multipart, new_run, passed, put, walk  # noqa: F401

AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
SUBJECT = "subject-of-the-platform"


class Platform(http.server.BaseHTTPRequestHandler):
    """Where another cloud hands out its own token, to whoever sends its header."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = json.dumps({"deep": 1, "value": SUBJECT}).encode()
        self.send_response(200 if self.headers.get("X-Platform") == "yes" else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def platform():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d/token" % server.server_address[1]
    server.shutdown()


@pytest.fixture
def folder():
    """One that the account the workers run as can read."""
    made = harness.open_folder("tallyd-credentials-")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def started(bucket, fresh, start_tallyd, database, folder):  # noqa: F811
    """Starts a server with a credentials file of this content."""

    def start(content, **env):
        path = folder / "credentials.json"
        if content is not None:
            path.write_text(json.dumps(content))
            env["GOOGLE_APPLICATION_CREDENTIALS"] = str(path)
        kept = {k: v for k, v in bucket.env.items() if k not in ("GOOGLE_APPLICATION_CREDENTIALS", "TALLYD_TOKEN_URI")}
        return start_tallyd("--artifacts-destination", "gs://bucket/credentials-" + os.urandom(4).hex(), database=database, env={**kept, "HOME": "/nonexistent", "GCE_METADATA_HOST": "127.0.0.1:9", **env})

    return start


def external(bucket, source, impersonated=True, **more):  # noqa: F811
    made = {"type": "external_account", "audience": AUDIENCE, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": bucket.url + "/sts", "credential_source": source, **more}
    if impersonated:
        made["service_account_impersonation_url"] = bucket.url + "/v1/projects/-/serviceAccounts/" + bucket.state.email + ":generateAccessToken"
    return made


def works_past_the_server(server, fresh, by_client=False):  # noqa: F811
    if by_client:
        walk(server.url, 0, 1, 6 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")
    fresh.tell("/_config", min_part=1)
    _, root = new_run(server)
    upload_id, parts = multipart(server, root, "m", [b"aa", b"b"])
    assert complete(server, root, "m", upload_id, parts).json() == {}
    assert requests.get(requests.get(server.url + ROUTE + "presigned/" + root + "/m", timeout=30).json()["url"], timeout=30).content == b"aab"
    info = requests.get(server.url + "/api/3.0/mlflow/server-info", timeout=30).json()
    assert info["multipart_uploads_enabled"] and info["multipart_downloads_enabled"]
    assert passed(server) == [0, 0]


def works_through_the_server(server, fresh, why, by_client=False):  # noqa: F811
    """Without a way to sign, every byte goes through, and the start says why."""
    if by_client:
        walk(server.url, 0, 1, 6 << 20, MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="1")
        assert passed(server)[0] > 6 << 20
    info = requests.get(server.url + "/api/3.0/mlflow/server-info", timeout=30).json()
    assert not info["multipart_uploads_enabled"] and not info["multipart_downloads_enabled"]
    assert fresh.state.stats["signed_in"] == fresh.state.stats["signed_out"] == 0
    _, root = new_run(server)
    put(server, root + "/f")
    assert requests.get(server.url + ROUTE + "presigned/" + root + "/f", timeout=30).status_code == 501
    report = requests.get(server.url + "/api/2.0/tallyd/doctor", timeout=30).json()
    assert report["usable"] and why in report["report"], report


def test_workload_identity_federation_with_a_token_file(bucket, fresh, started, folder):  # noqa: F811
    (folder / "subject").write_text(SUBJECT + "\n")
    server = started(external(bucket, {"file": str(folder / "subject")}))
    works_past_the_server(server, fresh, by_client=True)
    assert fresh.state.stats["signblob"] > 3


def test_workload_identity_federation_with_a_token_in_a_json_file(bucket, fresh, started, folder):  # noqa: F811
    (folder / "subject").write_text(json.dumps({"id_token": SUBJECT}))
    works_past_the_server(started(external(bucket, {"file": str(folder / "subject"), "format": {"type": "json", "subject_token_field_name": "id_token"}})), fresh)


def test_workload_identity_federation_with_a_token_from_an_address(bucket, fresh, started, platform):  # noqa: F811
    works_past_the_server(started(external(bucket, {"url": platform, "headers": {"X-Platform": "yes"}, "format": {"type": "json", "subject_token_field_name": "value"}})), fresh)


def test_the_token_exchange_may_be_elsewhere(bucket, fresh, started, folder):  # noqa: F811
    (folder / "subject").write_text(SUBJECT)
    content = external(bucket, {"file": str(folder / "subject")}, token_url="http://127.0.0.1:9/unreachable")
    works_past_the_server(started(content, TALLYD_TOKEN_URI=bucket.url + "/sts"), fresh)


def test_workload_identity_federation_without_a_service_account_cannot_sign(bucket, fresh, started, folder):  # noqa: F811
    (folder / "subject").write_text(SUBJECT)
    works_through_the_server(started(external(bucket, {"file": str(folder / "subject")}, impersonated=False)), fresh, "signed addresses: none")


def test_user_account_cannot_sign(bucket, fresh, started):  # noqa: F811
    server = started({"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "refresh-me", "token_uri": bucket.url + "/token"})
    works_through_the_server(server, fresh, "signed addresses: none", by_client=True)


def impersonating(bucket):  # noqa: F811
    return {"type": "impersonated_service_account", "service_account_impersonation_url": bucket.url + "/v1/projects/-/serviceAccounts/" + bucket.state.email + ":generateAccessToken",
            "source_credentials": {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "refresh-me", "token_uri": bucket.url + "/token"}}


def test_impersonated_service_account(bucket, fresh, started):  # noqa: F811
    works_past_the_server(started(impersonating(bucket)), fresh)


def test_the_first_of_two_tokens_may_end_before_the_second(bucket, fresh, started):  # noqa: F811
    server = started(impersonating(bucket), TALLYD_WORKERS="1")
    _, root = new_run(server)
    put(server, root + "/f", b"x" * 10)
    # The user's token came before the account's.
    tokens = list(fresh.state.tokens)
    for number in range(0, len(tokens), 2):
        fresh.state.tokens[tokens[number]] = 0
    answers = [requests.get(server.url + ROUTE + "presigned/" + root + "/f", timeout=30).status_code for _ in range(8)]
    assert set(answers) <= {200, 503} and answers[-1] == 200


@pytest.mark.parametrize("content, word", [
    ({"type": "external_account", "audience": AUDIENCE, "subject_token_type": "t", "token_url": "http://127.0.0.1:9/", "credential_source": {"environment_id": "aws1", "url": "http://127.0.0.1:9/"}}, "only credential_source with file or url is served"),
    ({"type": "gdch_service_account"}, "are not served"),
    ({"type": "service_account"}, "no usable private_key"),
    ([], "are not served"),
])
def test_what_cannot_be_used_is_said(started, content, word):
    server = started(content)
    assert harness.await_true(lambda: word in server.text(), 10), server.text()
    assert server.api("POST", "experiments/create", {"name": "goes on"}).status == 200
    refused = requests.put(server.url + ROUTE + "artifacts/1/x/artifacts/f", data=b"x", timeout=30)
    assert refused.status_code == 503 and word in refused.json()["message"]


@pytest.mark.parametrize("wrong, word", [("a stale subject", "bad subject token"), (None, "no subject token")])
def test_a_subject_token_that_does_not_serve_is_said(bucket, fresh, started, folder, wrong, word):  # noqa: F811
    if wrong:
        (folder / "subject").write_text(wrong)
    server = started(external(bucket, {"file": str(folder / "subject")}))
    refused = requests.put(server.url + ROUTE + "artifacts/1/x/artifacts/f", data=b"x", timeout=60)
    assert refused.status_code == 503 and word in refused.json()["message"]
    assert SUBJECT not in server.text() and "a stale subject" not in server.text()


def test_everything_goes_through_the_server_while_iam_does_not_sign(bucket, fresh, start_tallyd, database):  # noqa: F811
    env = {k: v for k, v in bucket.env.items() if k not in ("GOOGLE_APPLICATION_CREDENTIALS", "TALLYD_TOKEN_URI")}
    env.update(GCE_METADATA_HOST=bucket.url[7:], HOME="/nonexistent")
    server = start_tallyd("--artifacts-destination", "gs://bucket/unsigned-" + os.urandom(4).hex(), "--workers", "1", database=database, env=env)
    _, root = new_run(server)
    put(server, root + "/f", b"signed")
    assert requests.get(server.url + ROUTE + "artifacts/" + root + "/f", timeout=30, allow_redirects=False).status_code == 302
    try:
        bucket.state.denied = {"iam.serviceAccounts.signBlob"}
        put(server, root + "/g", b"through")
        # The first that is refused goes through too, and the rest does not even ask.
        got = requests.get(server.url + ROUTE + "artifacts/" + root + "/g", timeout=30, allow_redirects=False)
        assert got.status_code == 200 and got.content == b"through"
        works_through_the_server(server, fresh, "roles/iam.serviceAccountTokenCreator", by_client=True)
    finally:
        bucket.state.denied = ()
