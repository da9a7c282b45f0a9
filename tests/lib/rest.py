"""What tests of endpoints share: a client that fails loudly, threads that start together, bytes on a raw socket."""

import contextlib
import json
import socket
import struct
import threading
import time
import uuid

import psycopg2


class Rest:
    """Calls that are expected to work; `refused` for those that are not."""

    def __init__(self, server):
        self.server = server

    def call(self, method, path, body=None, **more):
        answer = self.server.api(method, path, body, **more)
        assert answer.status == 200, (method, path, answer.status, answer.body[:500])
        return answer.json()

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, **more):
        return self.call("POST", path, {} if body is None else body, **more)

    def refused(self, method, path, body=None, **more):
        """Status and error code of a call that must not work."""
        answer = self.server.api(method, path, body, **more)
        assert 400 <= answer.status < 500, (method, path, answer.status, answer.body[:500])
        return answer.status, answer.json()["error_code"]

    def experiment(self, name=None, **more):
        return self.post("experiments/create", {"name": name or unique("experiment"), **more})["experiment_id"]

    def run(self, experiment="0", **more):
        return self.post("runs/create", {"experiment_id": experiment, "start_time": now_ms(), **more})["run"]["info"]["run_id"]

    def run_data(self, run):
        data = self.get(f"runs/get?run_id={run}")["run"]["data"]
        return {kind: {x["key"]: x["value"] for x in data.get(kind, [])} for kind in ("metrics", "params", "tags")}

    def batch(self, run, metrics=(), params=(), tags=()):
        """metrics: (key, value, timestamp, step); params and tags: (key, value)."""
        return self.post("runs/log-batch", batch_body(run, metrics, params, tags))

    def history(self, run, key, page=None):
        points, token = [], ""
        while True:
            size = f"&max_results={page}" if page else ""
            got = self.get(f"metrics/get-history?run_id={run}&metric_key={key}{size}{token}")
            points += [(m["step"], m["timestamp"], m["value"]) for m in got.get("metrics", [])]
            if not got.get("next_page_token"):
                return points
            token = f"&page_token={got['next_page_token']}"

    def model(self, name=None):
        return self.post("registered-models/create", {"name": name or unique("model")})["registered_model"]["name"]

    def version(self, model, **more):
        return self.post("model-versions/create", {"name": model, "source": f"gs://bucket/{uuid.uuid4().hex}", **more})["model_version"]["version"]


def batch_body(run, metrics=(), params=(), tags=()):
    return {
        "run_id": run,
        "metrics": [{"key": k, "value": v, "timestamp": t, "step": s} for k, v, t, s in metrics],
        "params": [{"key": k, "value": v} for k, v in params],
        "tags": [{"key": k, "value": v} for k, v in tags],
    }


def unique(word):
    return f"{word}-{uuid.uuid4().hex[:12]}"


def now_ms():
    return time.time_ns() // 1_000_000


def sql(uri, text, *args):
    """Runs one statement; its rows."""
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(text, args or None)
        return cursor.fetchall() if cursor.description else []


def together(count, work):
    """work(i) in `count` threads that start at one moment; their results in order. The first exception is raised."""
    results, errors, gate = [None] * count, [], threading.Barrier(count)

    def one(i):
        try:
            gate.wait(30)
            results[i] = work(i)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


# ---- raw sockets


def post_bytes(path, body, headers=(), method="POST"):
    """A whole request as it goes over the wire."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connect(server, timeout=30):
    return socket.create_connection(("127.0.0.1", server.port), timeout)


def reset(s):
    """Closes so that the peer gets a reset: what it sends is never acknowledged by an application."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_answer(s, head_only=False):
    """(status, headers, body) of one answer with a Content-Length; of one to HEAD, without its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = s.recv(65536)
        if not got:
            raise ConnectionError("closed before an answer")
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    size = 0 if head_only else int(headers.get("content-length", 0))
    while len(body) < size:
        got = s.recv(65536)
        if not got:
            raise ConnectionError("closed within an answer")
        body += got
    return int(lines[0].split()[1]), headers, body


def send_and_read(server, data):
    with connect(server) as s:
        s.sendall(data)
        return read_answer(s, data.startswith(b"HEAD "))
