"""The HTTP layer through raw sockets, against tests/http/probe.c: the real server with a small test engine, no database."""
import gzip
import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD_MS, BODY_MS, IDLE_MS = 900, 1500, 2500


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def probe_binary():
    given = os.environ.get("TALLYD_PROBE")
    if given:
        return Path(given)
    tallyd = os.environ.get("TALLYD", "")
    san = ["SAN=1"] if "/san-" in tallyd else []
    cc = ["CC=clang"] if "clang" in tallyd else []
    subprocess.run(["make", "-s", "probe", *san, *cc], cwd=ROOT, check=True)
    return ROOT / "build" / (("san-" if san else "") + ("clang" if cc else "gcc")) / "probe"


class Server:
    def __init__(self, workers=1, **env):
        self.port = free_port()
        self.log = open(os.path.join(os.environ.get("TMPDIR", "/tmp"), f"probe-{self.port}.log"), "w+")
        settings = {"TALLYD_HTTP_HEAD_MS": HEAD_MS, "TALLYD_HTTP_BODY_MS": BODY_MS, "TALLYD_HTTP_IDLE_MS": IDLE_MS, "TALLYD_HTTP_LINGER_MS": 800, **env}
        self.process = subprocess.Popen([str(probe_binary()), str(self.port), str(workers), ""], stdout=self.log, stderr=self.log,
                                        env={**os.environ, **{k: str(v) for k, v in settings.items()}}, start_new_session=True)

    def ready(self):
        await_true(lambda: self.process.poll() is not None or self.answers(), 15)
        assert self.process.poll() is None, self.text()
        return self

    def answers(self):
        try:
            with self.connect() as s:
                s.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b" 200 " in read_all(s)
        except OSError:
            return False

    def connect(self, timeout=10):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def text(self):
        self.log.flush()
        return Path(self.log.name).read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
        return self.process.returncode


def await_true(condition, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def server():
    s = Server().ready()
    yield s
    code = s.stop()
    log = s.text()
    os.unlink(s.log.name)
    assert "ERROR: AddressSanitizer" not in log and "runtime error" not in log, log
    assert code == 0, log


def read_all(s):
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Reader:
    """Reads replies from a socket, as strictly as a test can."""

    def __init__(self, s):
        self.s, self.data = s, bytearray()

    def more(self):
        piece = self.s.recv(65536)
        if not piece:
            raise EOFError(bytes(self.data[:200]))
        self.data += piece

    def line(self):
        while b"\r\n" not in self.data:
            self.more()
        n = self.data.index(b"\r\n")
        line = bytes(self.data[:n])
        del self.data[:n + 2]
        return line

    def exactly(self, n):
        while len(self.data) < n:
            self.more()
        out = bytes(self.data[:n])
        del self.data[:n]
        return out

    def reply(self, head=False):
        status = self.line()
        match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+", status)
        assert match, status
        headers = {}
        while line := self.line():
            name, value = line.split(b": ", 1)
            assert name.lower() not in headers, line
            headers[name.lower().decode()] = value.decode()
        code = int(match[1])
        if head or code in (204, 304) or code < 200:
            return Reply(code, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = bytearray()
            while True:
                n = int(self.line(), 16)
                body += self.exactly(n)
                assert self.exactly(2) == b"\r\n"
                if n == 0:
                    return Reply(code, headers, bytes(body))
        return Reply(code, headers, self.exactly(int(headers["content-length"])))


def ask(server, data, head=False):
    with server.connect() as s:
        s.sendall(data)
        return Reader(s).reply(head)


def closes(server, data):
    """Sends, returns the replies' bytes; the server must end the connection by itself."""
    with server.connect() as s:
        s.sendall(data)
        return read_all(s)


def request(method="GET", path="/echo", body=None, *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


def chunked(body, size=1000):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


# ---- what must work

def test_a_get_is_answered_with_date_and_length(server):
    r = ask(server, request(path="/echo?a=1&b=%20"))
    assert r.status == 200 and r.json()["path"] == "/echo" and r.json()["query"] == "a=1&b=%20"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", r.headers["date"])
    assert "server" not in r.headers


def test_a_connection_is_kept_alive(server):
    with server.connect() as s:
        reader = Reader(s)
        for i in range(20):
            s.sendall(request("POST", "/echo", b"x" * i))
            assert reader.reply().json()["length"] == i


def test_connection_close_is_honoured(server):
    out = closes(server, request("GET", "/echo", None, "Connection: close"))
    assert b"\r\nConnection: close\r\n" in out


def test_http_1_0_closes_unless_it_asks_to_stay(server):
    assert b" 200 OK" in closes(server, b"GET /echo HTTP/1.0\r\n\r\n")
    with server.connect() as s:
        reader = Reader(s)
        for _ in range(2):
            s.sendall(b"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert reader.reply().headers["connection"] == "keep-alive"


def test_pipelined_requests_are_answered_in_order(server):
    bodies = [b"%d" % i * i for i in range(1, 40)]
    data = b"".join(request("POST", f"/echo?{i}", b) for i, b in enumerate(bodies))
    with server.connect() as s:
        s.sendall(data)
        reader = Reader(s)
        for i, body in enumerate(bodies):
            r = reader.reply().json()
            assert r["query"] == str(i) and r["sha256"] == hashlib.sha256(body).hexdigest()


def test_pipelined_mixture_behind_a_slow_request(server):
    data = (request(path="/slow?ms=100") + request("POST", "/echo", b"abc") + request("PUT", "/stream", None, "Transfer-Encoding: chunked") + chunked(b"z" * 5000) +
            request("DELETE", "/echo", b"{}") + request("HEAD", "/echo") + request(path="/chunks?n=10"))
    with server.connect() as s:
        s.sendall(data)
        reader = Reader(s)
        assert reader.reply().body == b"late"
        assert reader.reply().json()["length"] == 3
        assert reader.reply().json()["length"] == 5000
        assert reader.reply().json()["method"] == "DELETE"
        assert int(reader.reply(head=True).headers["content-length"]) > 0
        assert reader.reply().body == b"x" * 10


def test_a_request_may_come_in_single_bytes(server):
    data = request("POST", "/echo?q=1", None, "X-Test: a b ", "Transfer-Encoding: chunked") + chunked(b"hello world", 3)
    with server.connect() as s:
        for i in range(len(data)):
            s.sendall(data[i:i + 1])
        r = Reader(s).reply().json()
    assert r["x"] == "a b" and r["length"] == 11 and r["sha256"] == hashlib.sha256(b"hello world").hexdigest()


@pytest.mark.parametrize("size", [0, 1, 999, 65536, 65537, 300000, 1048576])
@pytest.mark.parametrize("path", ["/echo", "/stream"])
def test_bodies_arrive_whole_with_a_length_and_chunked(server, size, path):
    body = random.Random(size).randbytes(size)
    expected = hashlib.sha256(body).hexdigest()
    assert ask(server, request("PUT", path, body)).json()["sha256"] == expected
    r = ask(server, request("PUT", path, None, "Transfer-Encoding: chunked") + chunked(body, 7777)).json()
    assert r["sha256"] == expected and r["content_length"] == -1


def test_chunk_extensions_and_trailers_are_read_over(server):
    data = request("POST", "/echo", None, "Transfer-Encoding: chunked") + b"3;a=b\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    with server.connect() as s:
        s.sendall(data + request(path="/echo"))
        reader = Reader(s)
        r = reader.reply().json()
        assert r["length"] == 3 and r["headers"] == 2
        assert reader.reply().status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "OPTIONS", "PUT", "POST"])
def test_every_method_may_carry_a_body(server, method):
    with server.connect() as s:
        reader = Reader(s)
        for _ in range(3):
            s.sendall(request(method, "/echo", b'{"a": 1}'))
            assert reader.reply().json()["length"] == 8


def test_a_body_in_a_later_packet_is_not_the_next_request(server):
    inner = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as s:
        reader = Reader(s)
        s.sendall(request("DELETE", "/echo", None, f"Content-Length: {len(inner)}"))
        time.sleep(0.05)
        s.sendall(inner + request(path="/echo?next"))
        assert reader.reply().json()["length"] == len(inner)
        assert reader.reply().json()["query"] == "next"


def test_head_has_the_length_and_no_body(server):
    out = closes(server, request("HEAD", "/big?n=500", None, "Connection: close"))
    head, body = out.split(b"\r\n\r\n", 1)
    assert b"Content-Length: 500" in head and body == b""
    for path in ("/chunks?n=100000", "/file?path=/etc/passwd", "/static"):
        out = closes(server, request("HEAD", path, None, "Connection: close"))
        assert out.split(b"\r\n\r\n", 1)[1] == b""


def test_expect_100_continue(server):
    with server.connect() as s:
        s.sendall(request("PUT", "/echo", None, "Expect: 100-continue", "Content-Length: 5"))
        reader = Reader(s)
        assert reader.reply().status == 100
        s.sendall(b"hello")
        assert reader.reply().json()["length"] == 5
        s.sendall(request())
        assert reader.reply().status == 200


def test_expect_is_answered_at_once_when_the_body_is_refused(server):
    with server.connect() as s:
        s.sendall(request("PUT", "/early", None, "Expect: 100-continue", "Content-Length: 5000000"))
        reader = Reader(s)
        r = reader.reply()
        assert r.status == 403 and r.headers["connection"] == "close"
    with server.connect() as s:
        s.sendall(request("PUT", "/echo", None, "Expect: 100-continue", "Content-Length: 5000000"))
        assert Reader(s).reply().status == 413
    assert ask(server, request("PUT", "/echo", b"x", "Expect: something")).status == 417


def test_an_early_answer_reads_a_small_body_and_goes_on(server):
    with server.connect() as s:
        reader = Reader(s)
        for _ in range(3):
            s.sendall(request("POST", "/early", b"x" * 100000))
            assert reader.reply().status == 403
        s.sendall(request(path="/echo"))
        assert reader.reply().status == 200


def test_an_early_answer_to_a_large_body_arrives(server):
    with server.connect() as s:
        s.sendall(request("PUT", "/early", None, "Content-Length: 20000000"))

        def push():
            try:
                for _ in range(200):
                    s.sendall(b"y" * 100000)
            except OSError:
                pass
        thread = threading.Thread(target=push)
        thread.start()
        reader = Reader(s)
        r = reader.reply()
        thread.join()
    assert r.status == 403 and r.headers["connection"] == "close"


@pytest.mark.parametrize("coding,pack", [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_request_bodies_are_inflated(server, coding, pack):
    body = b'{"metrics": 1}' * 20000
    packed = pack(body)
    r = ask(server, request("POST", "/echo", packed, f"Content-Encoding: {coding}"))
    assert r.json()["sha256"] == hashlib.sha256(body).hexdigest()
    r = ask(server, request("POST", "/echo", None, f"Content-Encoding: {coding}", "Transfer-Encoding: chunked") + chunked(packed, 10))
    assert r.json()["sha256"] == hashlib.sha256(body).hexdigest()


def test_inflation_has_a_limit(server):
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    assert len(bomb) < 400_000
    assert b" 413 " in closes(server, request("POST", "/echo", bomb, "Content-Encoding: gzip"))


def test_broken_packing_is_400_and_unknown_packing_415(server):
    packed = gzip.compress(b"abc" * 1000)
    for bad in (packed[:-4], packed[:20], packed + b"more", b"not gzip at all", packed + packed):
        assert b" 400 " in closes(server, request("POST", "/echo", bad, "Content-Encoding: gzip"))
    for coding in ("br", "gzip, gzip", "compress", "zstd"):
        assert b" 415 " in closes(server, request("POST", "/echo", packed, f"Content-Encoding: {coding}"))
    assert ask(server, request("POST", "/echo", b"abc", "Content-Encoding: identity")).json()["length"] == 3


def test_replies_are_packed_when_large_and_wanted(server):
    r = ask(server, request(path="/big?n=100000", body=None) .replace(b"\r\n\r\n", b"\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n"))
    assert r.headers["content-encoding"] == "gzip" and r.headers["vary"] == "Accept-Encoding"
    assert len(gzip.decompress(r.body)) == 100000 and len(r.body) < 10000
    for refused in ("Accept-Encoding: gzip;q=0", "Accept-Encoding: br", "X-Nothing: gzip", "Accept-Encoding: gzip;q=0.0"):
        r = ask(server, request("GET", "/big?n=100000", None, refused))
        assert "content-encoding" not in r.headers and len(r.body) == 100000
    assert "content-encoding" not in ask(server, request("GET", "/big?n=500", None, "Accept-Encoding: gzip")).headers


def test_streamed_replies(server):
    with server.connect() as s:
        reader = Reader(s)
        for n in (0, 1, 5000, 3_000_000):
            s.sendall(request(path=f"/chunks?n={n}"))
            r = reader.reply()
            assert r.headers["transfer-encoding"] == "chunked" and len(r.body) == n
            s.sendall(request(path=f"/length?n={n}"))
            assert len(reader.reply().body) == n
    assert closes(server, b"GET /chunks?n=70000 HTTP/1.0\r\n\r\n").split(b"\r\n\r\n", 1)[1] == b"x" * 70000


def test_a_reply_that_breaks_off_is_seen_as_broken(server):
    with server.connect() as s, pytest.raises((EOFError, ConnectionError)):
        s.sendall(request(path="/length?n=200000&short=1"))
        Reader(s).reply()


def test_files_are_sent_whole(server, tmp_path):
    for size in (0, 1, 100, 5_000_000, 40_000_000):
        path = tmp_path / f"f{size}"
        body = random.Random(size).randbytes(size)
        path.write_bytes(body)
        with server.connect() as s:
            reader = Reader(s)
            s.sendall(request(path=f"/file?path={path}") + request(path="/echo"))
            assert hashlib.sha256(reader.reply().body).digest() == hashlib.sha256(body).digest()
            assert reader.reply().status == 200
    assert len(ask(server, request(path="/static")).body) == 100000


def test_a_half_closed_client_gets_its_answer(server):
    with server.connect() as s:
        s.sendall(request(path="/slow?ms=150"))
        s.shutdown(socket.SHUT_WR)
        assert read_all(s).endswith(b"late")
    with server.connect() as s:
        s.sendall(request(path="/echo") + request(path="/echo"))
        s.shutdown(socket.SHUT_WR)
        assert read_all(s).count(b"200 OK") >= 1


def test_absolute_form_and_encoded_paths(server):
    r = ask(server, b"GET http://a.example:80/echo/x?y HTTP/1.1\r\nHost: a.example:80\r\n\r\n")
    assert r.status == 404
    assert ask(server, b"GET http://a.example/echo?y HTTP/1.1\r\nHost: a.example\r\n\r\n").json()["query"] == "y"
    assert b" 400 " in closes(server, b"GET http://b.example/echo HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert ask(server, b"GET /echo?%00%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n").json()["query"] == "%00%2e%2e"


def test_upgrade_offers_are_ignored(server):
    r = ask(server, request("GET", "/echo", None, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
    assert r.status == 200
    with server.connect() as s:
        reader = Reader(s)
        for _ in range(2):
            s.sendall(request("POST", "/echo", b"abc", "Connection: Upgrade", "Upgrade: websocket"))
            assert reader.reply().json()["length"] == 3


def test_empty_utf8_and_many_headers_pass(server):
    many = [f"X-{i}: {i}" for i in range(200)]
    r = ask(server, request("GET", "/echo", None, *many, "X-Empty:", "X-Test: gr\u00fc\u00df"))
    assert r.json()["headers"] == 203 and r.json()["x"] == "gr\u00fc\u00df"


# ---- limits

def test_64_kib_of_uri_and_headers_pass_and_more_is_refused(server):
    assert len(ask(server, request(path="/echo?" + "u" * 65000)).json()["query"]) == 65000
    assert len(ask(server, request("GET", "/echo?" + "u" * 60000, None, "X-Test: " + "h" * 60000)).json()["x"]) == 60000
    assert b" 414 " in closes(server, request(path="/echo?" + "u" * 70000))
    assert b" 431 " in closes(server, request("GET", "/echo", None, "X-Test: " + "h" * 70000))
    assert b" 431 " in closes(server, request("GET", "/echo", None, *[f"X-{i}: {i}" for i in range(600)]))
    assert b" 431 " in closes(server, request("GET", "/echo", None, "Y" * 70000 + ": h"))


def test_large_bodies_are_413(server):
    assert b" 413 " in closes(server, request("POST", "/echo", None, "Content-Length: 1048577"))
    out = closes(server, request("POST", "/echo", None, "Transfer-Encoding: chunked") + chunked(b"x" * 1_100_000, 50000))
    assert b" 413 " in out and json.loads(out.split(b"\r\n\r\n", 1)[1])["status"] == 413


def test_a_slow_head_is_cut(server):
    with server.connect() as s:
        began = time.monotonic()
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n")
        stop = threading.Event()

        def drip():
            while not stop.wait(0.1):
                try:
                    s.sendall(b"X: 1\r\n")
                except OSError:
                    return
        thread = threading.Thread(target=drip)
        thread.start()
        reader = Reader(s)
        r = reader.reply()
        took = time.monotonic() - began
        stop.set()
        thread.join()
    assert r.status == 408 and HEAD_MS / 1000 * 0.9 < took < HEAD_MS / 1000 + 2


def test_a_silent_connection_is_closed(server):
    with server.connect() as s:
        assert s.recv(10) == b""


def test_an_idle_connection_is_closed_after_its_time(server):
    with server.connect() as s:
        reader = Reader(s)
        s.sendall(request())
        reader.reply()
        began = time.monotonic()
        assert s.recv(10) == b""
        assert IDLE_MS / 1000 * 0.9 < time.monotonic() - began < IDLE_MS / 1000 + 2


def test_a_stuck_body_is_cut_and_a_slow_one_is_not(server):
    with server.connect() as s:
        s.sendall(request("PUT", "/stream", None, "Content-Length: 1000") + b"x")
        assert Reader(s).reply().status == 408
    with server.connect() as s:
        s.sendall(request("PUT", "/stream", None, "Content-Length: 16000"))
        for _ in range(16):
            time.sleep(BODY_MS / 1000 / 5)
            s.sendall(b"x" * 1000)
        assert Reader(s).reply().json()["length"] == 16000


@pytest.mark.parametrize("head", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_cut(server, head):
    """Progress all the time, and yet it would hold its connection for a day."""
    with server.connect() as s:
        s.sendall(request("PUT", "/stream", None, head))
        s.settimeout(0.1)
        began = time.monotonic()
        answer = b""
        while time.monotonic() - began < 8 and not answer:
            try:
                s.sendall(b"x" if "Length" in head else chunked(b"x")[:6])
                answer = s.recv(1000)
            except TimeoutError:
                pass
        assert b" 408 " in answer and BODY_MS / 1000 * 0.9 < time.monotonic() - began < BODY_MS / 1000 * 3


def read_at(server, rate, seconds):
    """How the reply's producer ended for a reader of so many bytes a second."""
    before = ask(server, request(path="/gone")).json()["gone"]
    with server.connect() as s:
        s.sendall(request(path="/chunks?n=60000000"))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            s.recv(rate // 10)
        return ask(server, request(path="/gone")).json()["gone"] - before


def test_a_slow_reader_is_served_and_one_that_drips_is_cut(server):
    """The socket takes a reply in lumps: what counts is what arrives."""
    assert read_at(server, 160000, 8) == 0
    assert read_at(server, 100, 8) == 1


def test_a_reader_that_stands_still_is_cut(server):
    with server.connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(request(path="/chunks?n=50000000"))
        before = ask(server, request(path="/gone")).json()
        assert await_true(lambda: ask(server, request(path="/gone")).json()["gone"] > before["gone"] - 1 and
                          ask(server, request(path="/gone")).json()["active"] == 1, 6)


# ---- what must not work

BAD = {
    "both lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "both lengths, other order": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "equal lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a length list": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "a signed length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "a negative length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
    "a hex length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    "a huge length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "space before colon": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
    "host with space": b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n",
    "no field name": b"GET /echo HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no first field name": b"GET /echo HTTP/1.1\r\n: y\r\nHost: x\r\n\r\n",
    "bare LF": b"GET /echo HTTP/1.1\nHost: x\n\n",
    "bare LF in headers": b"GET /echo HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "folded line": b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Test: a\r\n b\r\n\r\n",
    "folded line, tab": b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Test: a\r\n\tb\r\n\r\n",
    "folded empty line": b"GET /echo HTTP/1.1\r\nHost: x\r\nX-Test:\r\n b\r\n\r\n",
    "folded coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "NUL": b"GET /echo HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "other coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "stacked coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "obscured coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a vertical tab": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "signed chunk size": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "huge chunk size": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "chunk longer than said": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "chunk with bare LF": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "no host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no version": b"GET /echo\r\n\r\n",
    "version 2": b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n",
    "version 1.2": b"GET /echo HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower-case method": b"get /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /echo#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": b"GET echo HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": bytes.fromhex("16030100f4010000f00303") + bytes(range(200)),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMB": b"\x00\x00\x00\x85\xffSMBr" + b"\0" * 40,
    "RDP": bytes.fromhex("0300002b26e00000000000436f6f6b69653a206d737473686173683d75736572"),
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "random": random.Random(7).randbytes(3000),
}


@pytest.mark.parametrize("split", [0, 1, 7])
@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_with_one_answer_and_the_connection_ends(server, name, split):
    with server.connect() as s:
        data = BAD[name]
        try:
            if split:
                for i in range(0, min(len(data), 400), split):
                    s.sendall(data[i:i + split])
            else:
                s.sendall(data)
            out = b""
            while piece := s.recv(65536):
                out += piece
        except ConnectionError:
            pass
    answers = re.findall(rb"HTTP/1\.1 (\d{3})", out)
    assert len(answers) == 1 and answers[0] in (b"400", b"405", b"505"), out
    assert b"smuggled" not in out and b"Connection: close" in out
    assert json.loads(out.split(b"\r\n\r\n", 1)[1])["message"]


def test_garbage_after_a_good_request_costs_only_itself(server):
    out = closes(server, request() + b"\x01\x02\x03 garbage\r\n\r\n" + request(path="/never"))
    assert re.findall(rb"HTTP/1\.1 (\d{3})", out) == [b"200", b"400"]


# ---- back-pressure

# AddressSanitizer keeps what was freed for a while.
GROWTH_KIB = 40000 if "/san-" in str(probe_binary()) else 4000


def memory_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_a_slow_consumer_slows_the_sender_and_memory_stays_flat(server):
    pid = int(ask(server, request(path="/pid")).body)
    before = memory_kib(pid)
    size = 30_000_000
    with server.connect(30) as s:
        s.sendall(request("PUT", "/stream?ms=1", None, f"Content-Length: {size}"))
        block, most, sent = b"b" * 100000, 0, 0
        while sent < size:
            s.sendall(block)
            sent += len(block)
            most = max(most, memory_kib(pid))
        assert Reader(s).reply().json()["length"] == size
    assert most - before < GROWTH_KIB


def test_a_slow_reader_slows_the_producer_and_memory_stays_flat(server):
    pid = int(ask(server, request(path="/pid")).body)
    before = memory_kib(pid)
    with server.connect(30) as s:
        s.sendall(request(path="/chunks?n=60000000"))
        got, most = 0, 0
        while got < 60_000_000:
            piece = s.recv(50000)
            assert piece
            got += len(piece)
            if got % 7 == 0:
                most = max(most, memory_kib(pid))
    assert most - before < GROWTH_KIB


def test_pipelining_without_reading_is_held_back(server):
    pid = int(ask(server, request(path="/pid")).body)
    before = memory_kib(pid)
    with server.connect() as s:
        s.setblocking(False)
        sent = 0
        end = time.monotonic() + 0.5
        while time.monotonic() < end and sent < 50_000_000:
            try:
                sent += s.send(request(path="/big?n=4000") * 100)
            except BlockingIOError:
                time.sleep(0.01)
        assert memory_kib(pid) - before < GROWTH_KIB


# ---- the end of things

def test_a_client_that_goes_away_is_noticed(server):
    before = ask(server, request(path="/gone")).json()
    s = server.connect()
    s.sendall(request(path="/events"))
    assert b"data: x" in s.recv(1000)
    s.close()
    assert await_true(lambda: ask(server, request(path="/gone")).json()["gone"] == before["gone"] + 1)
    s = server.connect()
    s.sendall(request(path="/slow?ms=60000"))
    assert await_true(lambda: ask(server, request(path="/gone")).json()["active"] == 2)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    assert await_true(lambda: ask(server, request(path="/gone")).json()["gone"] == before["gone"] + 2)
    s = server.connect()
    s.sendall(request("PUT", "/stream", None, "Content-Length: 1000") + b"abc")
    assert await_true(lambda: ask(server, request(path="/gone")).json()["active"] == 2)
    s.close()
    assert await_true(lambda: ask(server, request(path="/gone")).json()["gone"] == before["gone"] + 3)
    assert ask(server, request(path="/gone")).json()["live"] == 0


def test_an_arrived_reply_is_told_from_a_lost_one(server):
    before = ask(server, request(path="/settled")).json()
    with server.connect() as s:
        s.sendall(request(path="/tell?ms=0"))
        assert Reader(s).reply().body == b"late"
        assert await_true(lambda: ask(server, request(path="/settled")).json()["acknowledged"] == before["acknowledged"] + 1)
    s = server.connect()
    s.sendall(request(path="/tell?ms=200"))
    s.close()
    assert await_true(lambda: ask(server, request(path="/settled")).json()["unacknowledged"] == before["unacknowledged"] + 1)
    assert ask(server, request(path="/settled")).json()["acknowledged"] == before["acknowledged"] + 1


def test_a_worker_that_dies_is_started_again_on_the_same_socket():
    server = Server().ready()
    try:
        pid = int(ask(server, request(path="/pid")).body)
        assert closes(server, request(path="/crash")) == b""
        assert await_true(lambda: server.answers())
        assert int(ask(server, request(path="/pid")).body) != pid
        os.kill(int(ask(server, request(path="/pid")).body), signal.SIGKILL)
        assert await_true(lambda: server.answers())
    finally:
        assert server.stop() == 0, server.text()
        os.unlink(server.log.name)


def test_workers_end_with_their_parent():
    server = Server(workers=2).ready()
    pids = {int(ask(server, request(path="/pid")).body) for _ in range(60)}
    server.process.kill()
    server.process.wait(5)
    assert await_true(lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in pids))
    os.unlink(server.log.name)


def test_an_unknown_system_call_is_refused_and_logged_and_the_worker_lives():
    server = Server().ready()
    try:
        pid = ask(server, request(path="/pid")).body
        assert ask(server, request(path="/syscall")).body == b"38"
        assert ask(server, request(path="/pid")).body == pid
        assert "the sandbox refused system call" in server.text()
    finally:
        assert server.stop() == 0
        os.unlink(server.log.name)


def test_a_crash_loop_ends_with_a_word():
    server = Server(workers=2, PROBE_DIES=1)
    assert server.process.wait(20) != 0
    # Kore 4.2 and later end by themselves when a worker never gets ready, with their own word.
    assert server.text().count("the server ends") == 1 or "last worker log lines" in server.text()
    os.unlink(server.log.name)


def test_sigterm_is_obeyed_within_a_crash_loop():
    server = Server(workers=1, PROBE_DIES=1)
    time.sleep(0.1)
    server.process.terminate()
    server.process.wait(10)
    os.unlink(server.log.name)


def test_a_second_server_on_the_port_is_refused():
    server = Server(workers=2).ready()
    second = subprocess.run([str(probe_binary()), str(server.port), "1", ""], capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and f"port {server.port}" in second.stderr
    assert server.answers()
    assert server.stop() == 0
    os.unlink(server.log.name)


def test_sigterm_answers_what_runs_and_exits_0():
    server = Server(workers=2).ready()
    running, idle, streaming, uploading = server.connect(), server.connect(), server.connect(), server.connect()
    idle.sendall(request())
    Reader(idle).reply()
    running.sendall(request(path="/slow?ms=600"))
    streaming.sendall(request(path="/events"))
    assert b"data" in streaming.recv(1000)
    uploading.sendall(request("PUT", "/echo", None, "Content-Length: 6") + b"abc")
    time.sleep(0.2)
    began = time.monotonic()
    server.process.terminate()
    assert idle.recv(10) == b""
    assert await_true(lambda: not server.answers())
    uploading.sendall(b"def")
    r = Reader(uploading).reply()
    assert r.json()["length"] == 6 and r.headers["connection"] == "close"
    r = Reader(running).reply()
    assert r.body == b"late" and r.headers["connection"] == "close"
    read_all(streaming)
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < 5
    os.unlink(server.log.name)


def test_all_workers_take_connections():
    server = Server(workers=2).ready()
    pids = {ask(server, request(path="/pid")).body for _ in range(60)}
    assert len(pids) == 2
    assert server.stop() == 0
    os.unlink(server.log.name)
