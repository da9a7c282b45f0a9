"""What the store sends again and what it does not, by Google's rules for retries: reading is always repeated; writing and removing only under a precondition, so that a repeat after a
lost answer changes nothing; refusals never. Every case runs against one server at once, each on an object of its own."""
import concurrent.futures
import os
import threading

import harness
import pytest
import requests

from test_artifacts import ROUTE, at, bucket, complete, fresh, get, in_bucket, multipart, new_run, put  # noqa: F401

WATCH = 1000
OLD, NEW, BIG = b"old bytes", b"new bytes", os.urandom(3 << 20)

UNAVAILABLE, RESET, TIMEOUT, MANY = {"status": 503}, {"drop": True}, {"status": 408}, {"status": 429}
BAD, NO_TOKEN = {"status": 400, "code": "InvalidArgument"}, {"status": 401, "code": "InvalidAuthentication"}
LOST = {"lost": True}


class Case:
    """One object: the run's folder, its name, and what is there before."""

    def __init__(self, server, bucket, run, root, number, before):
        self.server, self.bucket, self.run, self.root = server, bucket, run, root
        self.name = "case-%d-/f" % number
        self.path, self.key = root + "/" + self.name, "team/" + root + "/" + self.name
        if before is not None:
            assert put(server, self.path, before).status_code == 200

    def stored(self):
        return self.bucket.data(self.key) if ("bucket", self.key) in self.bucket.state.objects else None


# Each operation: what is there before, the request to the bucket that is meddled with, what the client asks, and whether it went well, told from the answer's status.

def op_stat(c):
    return requests.get(c.server.url + ROUTE + "presigned/" + c.path, timeout=60).status_code


def op_get(c):
    got = requests.get(c.server.url + "/get-artifact", params={"run_id": c.run, "path": c.name}, timeout=60)
    assert got.status_code != 200 or got.content == OLD
    return got.status_code


def op_get_big(c):
    got = requests.get(c.server.url + "/get-artifact", params={"run_id": c.run, "path": c.name}, timeout=60)
    assert got.status_code != 200 or got.content == BIG
    return got.status_code


def op_list(c):
    got = c.server.api("GET", "artifacts/list?run_id=%s&path=%s" % (c.run, c.name[:-2]), timeout=60)
    assert got.status != 200 or [f["path"] for f in got.json()["files"]] == [c.name]
    return got.status


def op_put(c):
    status = put(c.server, c.path, NEW).status_code
    assert c.stored() == (NEW if status == 200 else c.before)
    return status


def op_put_big(c):
    status = put(c.server, c.path, BIG).status_code
    assert c.stored() == (BIG if status == 200 else None)
    return status


def op_remove(c):
    status = requests.delete(at(c.server, c.path), timeout=60).status_code
    assert c.stored() == (None if status == 200 else OLD)
    return status


def op_remove_folder(c):
    status = requests.delete(at(c.server, c.path[:-2]), timeout=60).status_code
    assert c.stored() == (None if status == 200 else OLD)
    return status


def op_begin(c):
    return requests.post(c.server.url + ROUTE + "mpu/create/" + c.path[:-2], json={"path": "f", "num_parts": 2}, timeout=60).status_code


PIECES = [b"1" * (5 << 20), b"2"]


def op_complete(c):
    status = complete(c.server, c.path[:-2], "f", *c.upload).status_code
    assert c.stored() == (b"".join(PIECES) if status == 200 else None)
    return status


def op_abort(c):
    return requests.post(c.server.url + ROUTE + "mpu/abort/" + c.path[:-2], json={"path": "f", "upload_id": c.upload[0]}, timeout=60).status_code


ALWAYS, GUARDED, ONCE = "always safe to repeat", "safe under its precondition", "never repeated"
OPERATIONS = {  # name: (kind, before, method and mark of the bucket's request, function)
    "stat": (ALWAYS, OLD, "HEAD", "", op_stat),
    "get": (ALWAYS, OLD, "GET", "", op_get),
    "list": (ALWAYS, OLD, "GET", "list-type", op_list),
    "put-new": (GUARDED, None, "PUT", "", op_put),
    "put-over": (GUARDED, OLD, "PUT", "", op_put),
    "remove": (GUARDED, OLD, "DELETE", "", op_remove),
    "remove-folder": (GUARDED, OLD, "DELETE", "", op_remove_folder),
    "put-streamed": (ONCE, None, "PUT", "", op_put_big),
    "begin-parts": (ALWAYS, None, "POST", "uploads", op_begin),
    "list-parts": (ALWAYS, None, "GET", "max-parts", op_complete),
    "join-parts": (GUARDED, None, "POST", "uploadId", op_complete),
    "abort-parts": (ALWAYS, None, "DELETE", "uploadId", op_abort),
}
PASSING = [[UNAVAILABLE, UNAVAILABLE], [RESET, RESET], [RESET, UNAVAILABLE], [TIMEOUT], [MANY]]


def cases():
    """(operation, faults, whether it goes well, how often the bucket is asked)"""
    for name, (kind, *_) in OPERATIONS.items():
        # Over an older object the first try ("only if nothing is there") is refused, looked into, and made anew.
        more = 1 if name == "put-over" else 0
        if kind == ONCE:
            for fault in (UNAVAILABLE, RESET, TIMEOUT):
                yield name, [fault], False, 1
        else:
            for faults in PASSING:
                yield name, faults, True, len(faults) + 1 + more
            yield name, [UNAVAILABLE, BAD], False, 2
            yield name, [RESET, NO_TOKEN, NO_TOKEN], False, 3
        yield name, [BAD], False, 1
        # One refusal of the token brings a new one, as Google's libraries do; a second is final. A stream is not begun anew.
        yield name, [NO_TOKEN] + ([NO_TOKEN] if kind != ONCE else []), False, 2 if kind != ONCE else 1
        if kind == GUARDED:
            # Done, but the answer was lost: the repeat must neither fail nor do it twice.
            yield name, [LOST], True, 2 + more
    for faults in ([{"drop_after": 1000}, {"drop_after": 1000}], [{"drop_after": 262144}], [{"drop_after": 2 << 20}, UNAVAILABLE]):
        yield "get-broken", faults, True, len(faults) + 1


def run_case(server, bucket, run, root, number, case):
    name, faults, goes_well, asked = case
    kind, before, method, mark, operation = OPERATIONS.get(name, (ALWAYS, BIG, "GET", "", op_get_big))
    c = Case(server, bucket, run, root, number, before)
    c.before = before
    if operation in (op_complete, op_abort):
        c.upload = multipart(server, c.path[:-2], "f", PIECES if operation is op_complete else [b"x", b"y"])
    told = [dict({"n": 1, "method": method, "match": "case-%d-" % number, "mark": mark}, **f) for f in faults] + [{"n": WATCH, "method": method, "match": "case-%d-" % number, "mark": mark}]
    with bucket.state.lock:
        bucket.state.faults.extend(told)
    status = operation(c)
    hits = sum(1 for f in told[:-1] if f["n"] == 0) + WATCH - told[-1]["n"]
    wrong = []
    if goes_well != (status == 200):
        wrong.append("answered %d" % status)
    if hits != asked:
        wrong.append("asked the bucket %d times, not %d" % (hits, asked))
    return "%s under %s: %s" % (name, faults, ", ".join(wrong)) if wrong else None


def test_what_is_sent_again_and_what_is_not(in_bucket, fresh):
    run, root = new_run(in_bucket)
    todo = list(cases())
    assert len(todo) > 90
    # A refused token is thrown away for all, so those cases run alone: else one case's new token would be another's.
    apart = [c for c in todo if NO_TOKEN in c[1]]
    together = [c for c in todo if NO_TOKEN not in c[1]]
    wrong = []
    for width, chosen in ((24, together), (1, apart)):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            wrong += [w for w in pool.map(lambda item: run_case(in_bucket, fresh, run["run_id"], root, item[0], item[1]), [(todo.index(c), c) for c in chosen]) if w]
    assert not wrong, "\n".join(wrong)


def test_a_token_refused_while_looking_at_what_is_there_is_replaced(in_bucket, fresh):
    run, root = new_run(in_bucket)
    assert put(in_bucket, root + "/f", OLD).status_code == 200
    fresh.tell("/_fault", n=1, method="HEAD", **NO_TOKEN)
    assert put(in_bucket, root + "/f", NEW).status_code == 200
    assert get(in_bucket, root + "/f").content == NEW and not any(f["n"] for f in fresh.state.faults)


def test_permissions_are_asked_again_after_a_failure(in_bucket, fresh):
    fresh.tell("/_fault", n=1, method="GET", match="iam/testPermissions", status=503)
    report = requests.get(in_bucket.url + "/api/2.0/tallyd/doctor", timeout=60).json()
    assert "ok: all permissions" in report["report"]


def test_a_repeat_leaves_alone_what_another_wrote_meanwhile(in_bucket, fresh):
    """The removal is done but its answer is lost; before the repeat another writes the object anew: it stays."""
    _, root = new_run(in_bucket)
    put(in_bucket, root + "/f", OLD)
    fresh.tell("/_fault", n=1, method="DELETE", match=root, lost=True)
    fresh.tell("/_fault", n=1, method="DELETE", match=root, delay=3)
    removal = threading.Thread(target=lambda: requests.delete(at(in_bucket, root + "/f"), timeout=60))
    removal.start()
    assert harness.await_true(lambda: "team/%s/f" % root not in fresh.names(), 10)
    fresh.state.put_bytes("bucket", "team/%s/f" % root, NEW)
    removal.join(60)
    assert fresh.data("team/%s/f" % root) == NEW


@pytest.mark.parametrize("writers", [6])
def test_writers_of_one_object_all_succeed(in_bucket, fresh, writers):
    _, root = new_run(in_bucket)
    bodies = [bytes([65 + i]) * 1000 for i in range(writers)]
    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        answers = list(pool.map(lambda b: put(in_bucket, root + "/same", b).status_code, bodies))
    assert answers == [200] * writers
    assert get(in_bucket, root + "/same").content in bodies
