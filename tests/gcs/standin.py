#!/usr/bin/env python3
"""A stand-in for Google Cloud Storage that checks what it is asked, for tests. Standard library only.

It verifies V4 signatures (RSA by a service account's key, HMAC), their time and signed headers, tokens and permissions; refuses what Google refuses (a signed POST, x-goog
headers that are not signed, a signature beside an Authorization header, parts that are too small); speaks the XML API with multipart uploads, as much of the JSON API as is
needed, and plays the token endpoint, IAM (signBlob, generateAccessToken), the token exchange and the metadata server. Under /_ it can be told to fail, to let time pass,
and what it has seen:

    POST /_fault {"n":1,"method":"PUT","match":"partNumber=2","status":503}   or "drop", "drop_after":bytes, "lost", "short":bytes, "ignore_range", "corrupt", "lose", "flip", "bare", "delay":seconds, "body":base64, "location":url
    POST /_clock {"add":3600}      POST /_role {"permissions":[...]}      POST /_config {"min_part":1024}      POST /_reset
    GET /_stats (bytes by signature and by token)      GET /_log (lines without queries)      GET /_objects
"""
import argparse
import atexit
import base64
import calendar
import ctypes
import gzip
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from email.utils import formatdate
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
ALL_PERMISSIONS = {"storage.objects." + p for p in ("get", "list", "create", "delete")} | {"storage.multipartUploads." + p for p in ("create", "abort", "listParts", "list")}
SCOPE_TAIL = "auto/storage/goog4_request"
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


# ---- RSA from a PKCS#8 PEM, by hand

def der_items(data):
    at, items = 0, []
    while at < len(data):
        tag, n, at = data[at], data[at + 1], at + 2
        if n & 0x80:
            count = n & 0x7F
            n, at = int.from_bytes(data[at:at + count], "big"), at + count
        items.append((tag, data[at:at + n]))
        at += n
    return items


class Rsa:
    def __init__(self, pem):
        der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
        outer = der_items(der_items(der)[0][1])
        numbers = [int.from_bytes(v, "big") for _, v in der_items(der_items(outer[2][1])[0][1])]
        self.n, self.e, self.d = numbers[1], numbers[2], numbers[3]
        self.bytes = (self.n.bit_length() + 7) // 8

    def padded(self, message):
        digest = SHA256_PREFIX + hashlib.sha256(message).digest()
        return b"\0\1" + b"\xff" * (self.bytes - len(digest) - 3) + b"\0" + digest

    def verify(self, message, signature):
        return len(signature) == self.bytes and pow(int.from_bytes(signature, "big"), self.e, self.n).to_bytes(self.bytes, "big") == self.padded(message)

    def sign(self, message):
        return pow(int.from_bytes(self.padded(message), "big"), self.d, self.n).to_bytes(self.bytes, "big")


# ---- CRC-32C: the project's own C when there is a compiler, else Python for small bodies

def load_crc32c():
    source = os.path.join(HERE, "..", "..", "app", "store", "crc32c.c")
    library = os.path.join(tempfile.gettempdir(), "tallyd-crc32c-%d.so" % os.getuid())
    try:
        if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
            made = "%s.%d" % (library, os.getpid())
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I", os.path.join(HERE, "..", "..", "app"), "-o", made, source], check=True, capture_output=True)
            os.rename(made, library)
        function = ctypes.CDLL(library).crc32c
        function.restype, function.argtypes = ctypes.c_uint32, [ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t]
        return function
    except (OSError, subprocess.CalledProcessError):
        return None


CRC_C = load_crc32c()
CRC_TABLE = []


def crc32c(crc, data):
    if CRC_C:
        return CRC_C(crc, data, len(data))
    if not CRC_TABLE:
        for i in range(256):
            for _ in range(8):
                i = (i >> 1) ^ 0x82F63B78 if i & 1 else i >> 1
            CRC_TABLE.append(i)
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


# ---- state

class Object:
    def __init__(self, path, size, crc, md5, headers, generation, mtime, parts=0):
        self.path, self.size, self.crc, self.md5, self.generation, self.mtime = path, size, crc, md5, generation, mtime
        self.type = headers.get("Content-Type", "application/octet-stream")
        self.encoding = headers.get("Content-Encoding")
        self.cache = headers.get("Cache-Control")
        self.parts = parts
        self.etag = '"%s%s"' % (md5, "-%d" % parts if parts else "")


class State:
    def __init__(self, key_file, hmac_keys, folder):
        account = json.load(open(key_file))
        self.email, self.rsa = account["client_email"], Rsa(account["private_key"])
        self.hmac_keys, self.folder = hmac_keys, folder
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            self.offset, self.objects, self.uploads, self.tokens, self.faults, self.log = 0.0, {}, {}, {}, [], []
            self.permissions, self.min_part, self.count, self.page_most = set(ALL_PERMISSIONS), 5 << 20, 0, 1000
            self.buckets = None  # None: every bucket exists
            self.stats = {k: 0 for k in ("signed_in", "signed_out", "token_in", "token_out", "requests", "tokens", "signblob", "refused")}

    def now(self):
        return time.time() + self.offset

    def next(self):
        with self.lock:
            self.count += 1
            return int(self.now() * 1000) * 1000 + self.count

    def put_bytes(self, bucket, name, data):
        """An object as another's tool would write it now."""
        fd, path = tempfile.mkstemp(dir=self.folder)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        o = Object(path, len(data), crc32c(0, data), hashlib.md5(data).hexdigest(), {}, self.next(), self.now())
        with self.lock:
            self.objects[(bucket, name)] = o

    def token(self, life=3600):
        with self.lock:
            t = "ya29.%s" % base64.urlsafe_b64encode(os.urandom(24)).decode()
            self.tokens[t] = self.now() + life
            self.stats["tokens"] += 1
            return t


class Refused(Exception):
    def __init__(self, status, code, message="", details=""):
        self.status, self.code, self.message, self.details = status, code, message or code, details


class Drop(Exception):
    pass


def quote(s, safe=""):
    return urllib.parse.quote(s, safe=safe + "-_.~")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    # -- one request

    def handle_any(self):
        self.answered = self.body_read = False
        self.fault = None
        self.signed = False
        path, _, query = self.path.partition("?")
        self.path_raw, self.query_raw = path, query
        try:
            self.pairs = [tuple(urllib.parse.unquote(x) for x in (p.partition("=")[0], p.partition("=")[2])) for p in query.split("&") if p]
            self.query = dict(self.pairs)
            with self.state.lock:
                self.state.stats["requests"] += 1
                if not path.startswith("/_"):
                    self.state.log.append("%s %s" % (self.command, path))
                    del self.state.log[:-5000]
            if path.startswith("/_"):
                self.control(path)
            else:
                self.take_fault()
                if not self.answered:
                    self.route(path)
        except Refused as r:
            with self.state.lock:
                self.state.stats["refused"] += 1
            if path.startswith("/storage/v1/") or path.startswith("/v1/") or path == "/token":
                self.answer(r.status, json.dumps({"error": {"code": r.status, "message": r.message}}).encode(), "application/json")
            else:
                body = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>%s</Message><Details>%s</Details></Error>" % (r.code, escape(r.message), escape(r.details))
                self.answer(r.status, body.encode(), "application/xml; charset=UTF-8")
        except (Drop, ConnectionError, BrokenPipeError, TimeoutError):
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_one(self):
        try:
            self.handle_any()
        except (Drop, ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

    def take_fault(self):
        with self.state.lock:
            for f in self.state.faults:
                if f["n"] > 0 and f.get("method", self.command) == self.command and f.get("match", "") in self.path and f.get("mark", "") in self.path:
                    f["n"] -= 1
                    self.fault = f
                    break
        f = self.fault or {}
        if "delay" in f:
            time.sleep(f["delay"])
        if f.get("drop"):
            raise Drop()
        if "body" in f:
            return self.answer(200, base64.b64decode(f["body"]), "application/xml")
        if "location" in f:
            return self.answer(f["status"], headers=[("Location", f["location"])])
        if "status" in f:
            if f.get("early"):
                self.close_connection = True
                self.body_read = True
            raise Refused(f["status"], f.get("code", "ServiceUnavailable"), "told to fail")

    def pieces(self):
        """The body, in pieces; a body that is cut short raises Drop."""
        self.body_read = True
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                line = self.rfile.readline(100)
                if not line.endswith(b"\n"):
                    raise Drop()
                n = int(line.split(b";")[0], 16)
                if n == 0:
                    while self.rfile.readline(1000).strip():
                        pass
                    return
                while n:
                    data = self.rfile.read(min(n, 1 << 20))
                    if not data:
                        raise Drop()
                    n -= len(data)
                    yield data
                self.rfile.readline(10)
        left = int(self.headers.get("Content-Length", 0))
        taken = 0
        while left:
            data = self.rfile.read(min(left, 1 << 20))
            if not data:
                raise Drop()
            left -= len(data)
            taken += len(data)
            if self.fault and taken >= self.fault.get("drop_after", 1 << 62):
                raise Drop()
            yield data

    def body(self):
        return b"".join(self.pieces())

    def answer(self, status, body=b"", kind=None, headers=()):
        if self.answered:
            return
        self.answered = True
        if not self.body_read:
            for _ in self.pieces():
                pass
        if self.fault and self.fault.get("lost"):
            raise Drop()
        self.send_response_only(status)
        self.send_header("Date", formatdate(usegmt=True))
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204 and not any(n == "Content-Length" for n, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and body:
            self.wfile.write(body)
        self.wfile.flush()

    def answer_json(self, value, status=200, headers=()):
        self.answer(status, json.dumps(value).encode(), "application/json", headers)

    # -- being told

    def control(self, path):
        s = self.state
        told = json.loads(self.body() or b"{}") if self.command == "POST" else {}
        with s.lock:
            if path == "/_fault":
                s.faults.append(dict({"n": 1}, **told))
            elif path == "/_clock":
                s.offset += told["add"]
            elif path == "/_role":
                s.permissions = set(told["permissions"])
            elif path == "/_config":
                for name in ("min_part", "page_most", "buckets"):
                    if name in told:
                        setattr(s, name, told[name])
            elif path == "/_reset":
                s.reset()
            elif path == "/_stats":
                return self.answer_json(s.stats)
            elif path == "/_log":
                return self.answer_json(s.log)
            elif path == "/_objects":
                return self.answer_json({"%s/%s" % k: {"size": o.size, "type": o.type, "generation": o.generation, "cache": o.cache, "parts": o.parts} for k, o in s.objects.items()})
            elif path == "/_uploads":
                return self.answer_json({k: len(u["parts"]) for k, u in s.uploads.items()})
            elif path == "/_put":  # an object as another tool would make it
                data = base64.b64decode(told["data"])
                self.keep(told["bucket"], told["name"], [data], told.get("headers", {}))
            else:
                raise Refused(404, "NotFound")
        self.answer_json({})

    # -- who may do what

    def need(self, *permissions):
        for p in permissions:
            if p not in self.state.permissions:
                raise Refused(403, "AccessDenied", "%s does not have %s access." % (self.state.email, p))

    def authenticate(self):
        """V4 by query or header, or a token. Sets self.signed."""
        authorization = self.headers.get("Authorization")
        by_query = "X-Goog-Signature" in self.query or "X-Goog-Algorithm" in self.query
        if by_query and authorization:
            raise Refused(400, "InvalidArgument", "A signature and an Authorization header together.")
        if by_query:
            self.signed = True
            return self.check_query_signature()
        if authorization and authorization.startswith("GOOG4-HMAC-SHA256"):
            return self.check_header_signature(authorization)
        if not authorization:
            raise Refused(401, "AuthenticationRequired", "Anonymous caller.")
        token = authorization.partition(" ")[2]
        if self.state.tokens.get(token, 0) <= self.state.now():
            raise Refused(401, "InvalidAuthentication", "Invalid Credentials")

    def canonical(self, query, signed_headers, payload, host):
        lines = []
        for name in signed_headers:
            value = host if name == "host" else ",".join(self.headers.get_all(name) or [""])
            lines.append("%s:%s" % (name, re.sub(r"\s+", " ", value.strip())))
        return "\n".join([self.command, self.path_raw_encoded(), query] + lines + ["", ";".join(signed_headers), payload])

    def path_raw_encoded(self):
        return quote(urllib.parse.unquote_to_bytes(self.path_raw), "/")

    def verify(self, algorithm, who, to_sign, signature):
        if algorithm == "GOOG4-RSA-SHA256":
            return who == self.state.email and self.state.rsa.verify(to_sign.encode(), bytes.fromhex(signature))
        secret = self.state.hmac_keys.get(who)
        if algorithm != "GOOG4-HMAC-SHA256" or secret is None:
            return False
        key = ("GOOG4" + secret).encode()
        for piece in [to_sign.split("\n")[2].split("/")[0], "auto", "storage", "goog4_request", to_sign]:
            key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(key.hex(), signature)

    def check_signature(self, algorithm, credential, stamp, names, query, payload, signature):
        who, _, scope = credential.partition("/")
        if scope != "%s/%s" % (stamp[:8], SCOPE_TAIL):
            raise Refused(400, "InvalidArgument", "Bad credential scope.")
        if names != sorted(names) or "host" not in names:
            raise Refused(400, "InvalidArgument", "Bad signed headers.")
        for name in self.headers.keys():
            if name.lower().startswith("x-goog-") and name.lower() not in names:
                raise Refused(403, "AccessDenied", "Header %s is not signed." % name)
        host = self.headers.get("Host", "")
        for h in (host.partition(":")[0], host):
            canonical = self.canonical(query, names, payload, h)
            to_sign = "\n".join([algorithm, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
            try:
                if self.verify(algorithm, who, to_sign, signature):
                    return
            except ValueError:
                break
        raise Refused(403, "SignatureDoesNotMatch", "The signature does not match.", to_sign)

    def check_query_signature(self):
        names = [n for n, _ in self.pairs]
        if len(set(names)) != len(names):
            raise Refused(400, "InvalidArgument", "A repeated query parameter.")
        q, now = self.query, self.state.now()
        for needed in ("X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders", "X-Goog-Signature"):
            if needed not in q:
                raise Refused(400, "AuthorizationQueryParametersError", "%s is missing." % needed)
        if not q["X-Goog-Expires"].isdigit() or not 1 <= int(q["X-Goog-Expires"]) <= 604800:
            raise Refused(400, "InvalidArgument", "X-Goog-Expires out of range.")
        begun = time.strptime(q["X-Goog-Date"], "%Y%m%dT%H%M%SZ")
        begun = calendar.timegm(begun)
        query = "&".join("%s=%s" % p for p in sorted((quote(n), quote(v)) for n, v in self.pairs if n != "X-Goog-Signature"))
        signed = q["X-Goog-SignedHeaders"].split(";")
        self.check_signature(q["X-Goog-Algorithm"], q["X-Goog-Credential"], q["X-Goog-Date"], signed, query, self.headers.get("x-goog-content-sha256") or "UNSIGNED-PAYLOAD", q["X-Goog-Signature"])
        if begun > now + 900:
            raise Refused(403, "RequestTimeTooSkewed")
        if now > begun + int(q["X-Goog-Expires"]):
            raise Refused(400, "ExpiredToken", "The provided token has expired.")
        if self.command == "POST" and "x-goog-resumable" not in signed:
            raise Refused(403, "AccessDenied", "Signed URLs can only be used for POST requests that initiate a resumable upload.")
        return None

    def check_header_signature(self, authorization):
        fields = dict(f.strip().partition("=")[::2] for f in authorization.partition(" ")[2].split(","))
        query = "&".join("%s=%s" % p for p in sorted((quote(n), quote(v)) for n, v in self.pairs))
        stamp = self.headers.get("x-goog-date", "")
        begun = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        if abs(self.state.now() - begun) > 900:
            raise Refused(403, "RequestTimeTooSkewed")
        self.check_signature("GOOG4-HMAC-SHA256", fields["Credential"], stamp, fields["SignedHeaders"].split(";"), query, self.headers.get("x-goog-content-sha256", ""), fields["Signature"])

    # -- where it goes

    def route(self, path):
        if path == "/token":
            return self.token_endpoint()
        if path == "/sts":
            return self.exchange()
        if path.startswith("/computeMetadata/"):
            return self.metadata(path)
        if path.startswith("/v1/projects/-/serviceAccounts/"):
            return self.iam(path)
        if path.startswith("/storage/v1/"):
            return self.json_api(path)
        self.authenticate()
        bucket, _, name = urllib.parse.unquote(path[1:]).partition("/")
        if self.state.buckets is not None and bucket not in self.state.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        if not name:
            return self.list_xml(bucket)
        q = self.query
        if self.command == "POST" and "uploads" in q:
            return self.upload_create(bucket, name)
        if "uploadId" in q:
            return {"PUT": self.part_put, "GET": self.parts_list, "POST": self.upload_complete, "DELETE": self.upload_abort}[self.command](bucket, name, q["uploadId"])
        return {"PUT": self.put, "GET": self.get, "HEAD": self.get, "DELETE": self.delete}[self.command](bucket, name)

    def token_endpoint(self):
        form = dict(urllib.parse.parse_qsl(self.body().decode()))
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") != "refresh-me":
                return self.answer_json({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400)
            return self.answer_json({"access_token": self.state.token(), "expires_in": 3599, "token_type": "Bearer"})
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.answer_json({"error": "unsupported_grant_type"}, 400)
        head, claims, signature = form["assertion"].split(".")

        def raw(s):
            return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
        c, now = json.loads(raw(claims)), self.state.now()
        good = json.loads(raw(head))["alg"] == "RS256" and self.state.rsa.verify((head + "." + claims).encode(), raw(signature))
        good = good and c["iss"] == self.state.email and c["iat"] <= now + 5 and now < c["exp"] <= c["iat"] + 3600 and "devstorage" in c["scope"] + "cloud-platform devstorage"
        if not good:
            return self.answer_json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        self.answer_json({"access_token": self.state.token(), "expires_in": 3599, "token_type": "Bearer"})

    def exchange(self):
        form = dict(urllib.parse.parse_qsl(self.body().decode()))
        wanted = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "requested_token_type": "urn:ietf:params:oauth:token-type:access_token", "subject_token": "subject-of-the-platform",
                  "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"}
        if any(form.get(n) != v for n, v in wanted.items()) or not form.get("scope", "").startswith("https://www.googleapis.com/auth/"):
            return self.answer_json({"error": "invalid_grant", "error_description": "bad subject token"}, 400)
        self.answer_json({"access_token": self.state.token(), "expires_in": 3599, "token_type": "Bearer"})

    def metadata(self, path):
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403, b"Missing Metadata-Flavor:Google header.")
        headers = [("Metadata-Flavor", "Google")]
        if path.endswith("/default/token"):
            return self.answer_json({"access_token": self.state.token(), "expires_in": 3599, "token_type": "Bearer"}, headers=headers)
        if path.endswith("/default/email"):
            return self.answer(200, self.state.email.encode(), "application/text", headers)
        self.answer(404, b"", headers=headers)

    def iam(self, path):
        if self.state.tokens.get(self.headers.get("Authorization", "").partition(" ")[2], 0) <= self.state.now():
            raise Refused(401, "UNAUTHENTICATED")
        who, _, verb = urllib.parse.unquote(path.rpartition("/")[2]).partition(":")
        told = json.loads(self.body())
        if who != self.state.email:
            raise Refused(404, "NOT_FOUND", "Unknown service account")
        if verb == "generateAccessToken":
            return self.answer_json({"accessToken": self.state.token(), "expireTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.state.now() + 3600))})
        if "iam.serviceAccounts.signBlob" in getattr(self.state, "denied", ()):
            raise Refused(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.signBlob' denied")
        with self.state.lock:
            self.state.stats["signblob"] += 1
        self.answer_json({"keyId": "k", "signedBlob": base64.b64encode(self.state.rsa.sign(base64.b64decode(told["payload"]))).decode()})

    def json_api(self, path):
        self.authenticate()
        m = re.match(r"/storage/v1/b/([^/]+)/(.*)", path)
        if not m:
            raise Refused(404, "notFound")
        bucket, rest = m.group(1), urllib.parse.unquote(m.group(2))
        if self.state.buckets is not None and bucket not in self.state.buckets:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        if rest == "iam/testPermissions":
            asked = [v for n, v in self.pairs if n == "permissions"]
            return self.answer_json({"kind": "storage#testIamPermissionsResponse", "permissions": [p for p in asked if p in self.state.permissions]})
        if rest == "o":
            self.need("storage.objects.list")
            prefix = self.query.get("prefix", "")
            return self.answer_json({"items": [{"name": n, "size": str(o.size)} for n, o in self.listing(bucket, prefix)]})
        name = rest[2:]
        if self.command == "DELETE":
            return self.delete(bucket, name)
        self.need("storage.objects.get")
        o = self.find(bucket, name)
        self.answer_json({"name": name, "size": str(o.size), "generation": str(o.generation), "crc32c": self.crc_text(o)})

    # -- objects

    # Where objects lie: these five are all that a front for another emulator (front.py) has to do otherwise.

    def lookup(self, bucket, name):
        return self.state.objects.get((bucket, name))

    def listing(self, bucket, prefix):
        with self.state.lock:
            return sorted((n, o) for (b, n), o in self.state.objects.items() if b == bucket and n.startswith(prefix))

    def opened(self, o, begin):
        f = open(o.path, "rb")
        f.seek(begin)
        return f

    def replace(self, bucket, name, o):
        with self.state.lock:
            old = self.state.objects.get((bucket, name))
            self.state.objects[(bucket, name)] = o
        if old:
            os.unlink(old.path)

    def forget(self, bucket, name):
        with self.state.lock:
            o = self.state.objects.pop((bucket, name), None)
        if o:
            os.unlink(o.path)

    def find(self, bucket, name):
        o = self.lookup(bucket, name)
        if o is None or self.query.get("generation", str(o.generation)) != str(o.generation):
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return o

    @staticmethod
    def crc_text(o):
        return base64.b64encode(o.crc.to_bytes(4, "big")).decode()

    def receive(self, pieces):
        fd, path = tempfile.mkstemp(dir=self.state.folder)
        size, crc, md5 = 0, 0, hashlib.md5()
        try:
            with os.fdopen(fd, "wb") as f:
                for data in pieces:
                    f.write(data)
                    size += len(data)
                    crc = crc32c(crc, data)
                    md5.update(data)
                    with self.state.lock:
                        self.state.stats["signed_in" if self.signed else "token_in"] += len(data)
        except BaseException:
            os.unlink(path)
            raise
        return path, size, crc, md5.hexdigest()

    def keep(self, bucket, name, pieces, headers):
        path, size, crc, md5 = self.receive(pieces)
        want = [h.partition("=")[2] for h in headers.get("x-goog-hash", "").split(",") if h.startswith("crc32c=")]
        if want and want[0] != base64.b64encode(crc.to_bytes(4, "big")).decode():
            os.unlink(path)
            raise Refused(400, "BadDigest", "The CRC32C did not match.")
        o = Object(path, size, crc, md5, headers, self.state.next(), self.state.now())
        self.replace(bucket, name, o)
        return o

    def put(self, bucket, name):
        if len(name.encode()) > 1024:
            raise Refused(400, "KeyTooLongError")
        self.need("storage.objects.create")
        exists = self.lookup(bucket, name)
        self.check_generation(bucket, name)
        if exists:
            self.need("storage.objects.delete")
        fault = self.fault or {}
        o = self.keep(bucket, name, [self.body()[:-1]] if fault.get("lose") else self.pieces(), self.headers)
        if fault.get("bare"):
            return self.answer(200)
        crc = "AAAAAA==" if fault.get("corrupt") else self.crc_text(o)
        self.answer(200, b"", "text/html; charset=UTF-8", [("ETag", o.etag), ("x-goog-generation", str(o.generation)), ("x-goog-hash", "crc32c=%s,md5=%s" % (crc, base64.b64encode(bytes.fromhex(o.md5)).decode())),
                    ("x-goog-stored-content-length", str(o.size)), ("x-goog-stored-content-encoding", "identity")])

    def get(self, bucket, name):
        self.need("storage.objects.get")
        o = self.find(bucket, name)
        headers = [("x-goog-generation", str(o.generation)), ("x-goog-hash", "crc32c=" + self.crc_text(o)), ("ETag", o.etag), ("Last-Modified", formatdate(o.mtime, usegmt=True)), ("Accept-Ranges", "bytes"),
                   ("x-goog-stored-content-length", str(o.size)), ("x-goog-stored-content-encoding", o.encoding or "identity"), ("Cache-Control", o.cache or "private, max-age=0")]
        if o.parts:
            headers.append(("x-goog-component-count", str(o.parts)))
        for parameter in ("response-content-disposition", "response-content-type"):
            if parameter in self.query:
                headers.append((parameter[9:].title(), self.query[parameter]))
        if o.encoding == "gzip" and "gzip" not in self.headers.get("Accept-Encoding", "") and "no-transform" not in (o.cache or ""):
            with self.opened(o, 0) as f:
                data = gzip.decompress(f.read())
            return self.answer(200, data, o.type, headers)
        if o.encoding:
            headers.append(("Content-Encoding", o.encoding))
        if self.fault and self.fault.get("bare"):
            headers = [h for h in headers if h[0] != "x-goog-generation"]
        begin, end, status = 0, o.size, 200
        m = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if m and (m.group(1) or m.group(2)) and not (self.fault and self.fault.get("ignore_range")):
            if m.group(1):
                begin, end = int(m.group(1)), min(o.size, int(m.group(2) or o.size) + 1)
            else:
                begin = max(0, o.size - int(m.group(2)))
            if begin >= o.size:
                return self.answer(416, b"", headers=[("Content-Range", "bytes */%d" % o.size)])
            status = 206
            if self.fault and "short" in self.fault:
                end = min(end, begin + self.fault["short"])
            headers.append(("Content-Range", "bytes %d-%d/%d" % (begin, end - 1, o.size)))
        self.answered = True
        self.send_response_only(status)
        for h in headers + [("Content-Type", o.type), ("Content-Length", str(end - begin))]:
            self.send_header(*h)
        self.end_headers()
        if self.command == "HEAD":
            return self.wfile.flush()
        sent = 0
        with self.opened(o, begin) as f:
            while sent < end - begin:
                data = f.read(min(1 << 20, end - begin - sent))
                if self.fault and self.fault.get("flip") and sent == 0:
                    data = bytes([data[0] ^ 1]) + data[1:]
                if self.fault and sent + len(data) > self.fault.get("drop_after", 1 << 62):
                    self.wfile.write(data[:self.fault["drop_after"] - sent])
                    self.wfile.flush()
                    raise Drop()
                self.wfile.write(data)
                sent += len(data)
                with self.state.lock:
                    self.state.stats["signed_out" if self.signed else "token_out"] += len(data)
        return self.wfile.flush()

    def check_generation(self, bucket, name):
        condition, o = self.headers.get("x-goog-if-generation-match"), self.lookup(bucket, name)
        if condition is not None and condition != str(o.generation if o else 0):
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")

    def delete(self, bucket, name):
        self.need("storage.objects.delete")
        self.find(bucket, name)
        self.check_generation(bucket, name)
        self.forget(bucket, name)
        self.answer(204)

    def list_xml(self, bucket):
        if "uploads" in self.query:
            self.need("storage.multipartUploads.list")
            prefix = self.query.get("prefix", "")
            after = (self.query.get("key-marker", ""), self.query.get("upload-id-marker", ""))
            found = sorted((u["name"], i, u["begun"]) for i, u in self.state.uploads.items() if u["bucket"] == bucket and u["name"].startswith(prefix) and (u["name"], i) > after)
            most = self.state.page_most
            rows = ["<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>" % (escape(n), i, time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(begun))) for n, i, begun in found[:most]]
            if len(found) > most:
                rows.append("<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>" % (escape(found[most - 1][0]), found[most - 1][1]))
            return self.answer(200, ("<ListMultipartUploadsResult><IsTruncated>%s</IsTruncated>%s</ListMultipartUploadsResult>" % ("true" if len(found) > most else "false", "".join(rows))).encode(), "application/xml")
        self.need("storage.objects.list")
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        most = min(int(self.query.get("max-keys", 1000)), self.state.page_most)
        after = base64.urlsafe_b64decode(self.query.get("continuation-token", "")).decode()
        rows, seen, last, more = [], set(), "", False
        for name, o in self.listing(bucket, prefix):
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            item = name[:cut + 1] if cut >= 0 else name
            if item in seen or (after and item <= after):
                continue
            if len(rows) == most:
                more = True
                break
            seen.add(item)
            last = item
            if cut >= 0:
                rows.append("<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % escape(item))
            else:
                rows.append("<Contents><Key>%s</Key><Generation>%d</Generation><Size>%d</Size></Contents>" % (escape(name), o.generation, o.size))
        token = "<NextContinuationToken>%s</NextContinuationToken>" % base64.urlsafe_b64encode(last.encode()).decode() if more else ""
        self.answer(200, ("<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Name>%s</Name><IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" % (
            bucket, "true" if more else "false", token, "".join(rows))).encode(), "application/xml; charset=UTF-8")

    # -- multipart

    def upload(self, bucket, name, upload_id):
        u = self.state.uploads.get(upload_id)
        if u is None or (u["bucket"], u["name"]) != (bucket, name):
            raise Refused(404, "NoSuchUpload", "The requested upload was not found.")
        return u

    def upload_create(self, bucket, name):
        self.need("storage.multipartUploads.create")
        self.body()
        upload_id = base64.urlsafe_b64encode(os.urandom(24)).decode() + "=="
        with self.state.lock:
            self.state.uploads[upload_id] = {"bucket": bucket, "name": name, "parts": {}, "headers": dict(self.headers.items()), "begun": self.state.now()}
        self.answer(200, ("<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>" % (bucket, escape(name), upload_id)).encode(), "application/xml")

    def part_put(self, bucket, name, upload_id):
        self.need("storage.multipartUploads.create")
        u = self.upload(bucket, name, upload_id)
        number = int(self.query["partNumber"])
        if not 1 <= number <= 10000:
            raise Refused(400, "InvalidArgument")
        path, size, crc, md5 = self.receive(self.pieces())
        with self.state.lock:
            old = u["parts"].get(number)
            u["parts"][number] = (path, size, crc, md5)
        if old:
            os.unlink(old[0])
        self.answer(200, b"", headers=[("ETag", '"%s"' % md5), ("x-goog-hash", "crc32c=" + base64.b64encode(crc.to_bytes(4, "big")).decode())])

    def parts_list(self, bucket, name, upload_id):
        self.need("storage.multipartUploads.listParts")
        u = self.upload(bucket, name, upload_id)
        after, most = int(self.query.get("part-number-marker", 0)), min(int(self.query.get("max-parts", 1000)), self.state.page_most)
        numbers = [n for n in sorted(u["parts"]) if n > after]
        more = len(numbers) > most
        rows = ["<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag><Size>%d</Size></Part>" % (n, u["parts"][n][3], u["parts"][n][1]) for n in numbers[:most]]
        marker = "<NextPartNumberMarker>%d</NextPartNumberMarker>" % numbers[most - 1] if more else ""
        self.answer(200, ("<ListPartsResult><IsTruncated>%s</IsTruncated>%s%s</ListPartsResult>" % ("true" if more else "false", marker, "".join(rows))).encode(), "application/xml")

    def upload_complete(self, bucket, name, upload_id):
        self.need("storage.objects.create")
        if self.lookup(bucket, name):
            self.need("storage.objects.delete")
        u = self.upload(bucket, name, upload_id)
        asked = [(int(n), e.replace("&quot;", '"').strip('"')) for n, e in re.findall(r"<Part>\s*<PartNumber>(\d+)</PartNumber>\s*<ETag>(.*?)</ETag>\s*</Part>", self.body().decode(), re.S)]
        if not asked:
            raise Refused(400, "MalformedXML")
        if [n for n, _ in asked] != sorted({n for n, _ in asked}):
            raise Refused(400, "InvalidPartOrder")
        for n, etag in asked:
            if n not in u["parts"] or u["parts"][n][3] != etag:
                raise Refused(400, "InvalidPart")
        for n, _ in asked[:-1]:
            if u["parts"][n][1] < self.state.min_part:
                raise Refused(400, "EntityTooSmall")
        fd, path = tempfile.mkstemp(dir=self.state.folder)
        size = crc = 0
        with os.fdopen(fd, "wb") as f:
            for n, _ in asked:
                with open(u["parts"][n][0], "rb") as part:
                    while data := part.read(1 << 20):
                        f.write(data)
                        crc = crc32c(crc, data)
                        size += len(data)
        md5 = hashlib.md5("".join(e for _, e in asked).encode()).hexdigest()
        self.replace(bucket, name, Object(path, size, crc, md5, u["headers"], self.state.next(), self.state.now(), len(asked)))
        self.drop_upload(upload_id)
        self.answer(200, ("<CompleteMultipartUploadResult><Key>%s</Key><ETag>\"%s-%d\"</ETag></CompleteMultipartUploadResult>" % (escape(name), md5, len(asked))).encode(), "application/xml")

    def drop_upload(self, upload_id):
        with self.state.lock:
            u = self.state.uploads.pop(upload_id)
        for part in u["parts"].values():
            os.unlink(part[0])

    def upload_abort(self, bucket, name, upload_id):
        self.need("storage.multipartUploads.abort")
        self.upload(bucket, name, upload_id)
        self.drop_upload(upload_id)
        self.answer(204)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def serve(port=0, key=None, hmac_keys=None, folder=None, handler=Handler):
    """Starts the stand-in in threads of this process; returns (server, state)."""
    key = key or os.path.join(HERE, "vectors", "test_service_account.not-a-test.json")
    if folder is None:
        folder = tempfile.mkdtemp(prefix="tallyd-bucket-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    state = State(key, hmac_keys or {"GOOGTEST": "hmac-secret"}, folder)
    server = Server(("127.0.0.1", port), type("BoundHandler", (handler,), {"state": state}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, state


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", help="service account file; its public key is what signatures are held to")
    args = parser.parse_args()
    server, _ = serve(args.port, args.key)
    print("ready", server.server_address[1], flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
