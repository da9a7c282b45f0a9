"""Sends one request to two servers and compares what they answer.

A Twin keeps, for each server, the variables captured from its answers, so a
case names `${run}` and each server gets its own id. Answers are compared after
ids, times near now, random names and page tokens are replaced by words.
"""

import fnmatch
import http.client
import json
import random
import re
import string
import time
from urllib.parse import quote, urlencode, urlsplit

API = "/api/2.0/mlflow/"
HEX = re.compile(r"[0-9a-f]{32}")
RANDOM_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,4}$")
# An experiment id inside text. Ids below FIRST_ID are left alone: they look like any number.
FIRST_ID = 300
EXPERIMENT = re.compile(r"(^|id=|[iI][dD] |experiment |value |'|mlflow-artifacts:/)([3-9]\d\d|[1-9]\d{3,8})(?![\w.])")
# MLflow prints Python sets, whose order changes from process to process.
PYTHON_SET = re.compile(r"\{('[^{}:]*')\}")
# Our messages about filters also say where.
PLACE = re.compile(r" \(at character \d+\)$")
# Nobody is asked to show the SQL text MLflow puts into its messages.
SQL_TEXT = "<SQL text>"
VARIABLE = re.compile(r"\$\{(\w+)\}")
# Lists whose order no server promises.
BAGS = {"tags", "params", "aliases", "latest_versions", "files", "dataset_summaries", "dataset_inputs", "datasetInputs", "model_inputs",
        "model_outputs"}
# Keys in which a bare number may be an experiment id.
WITH_IDS = {"experiment_id", "experimentId", "artifact_location", "artifactLocation", "artifact_uri", "artifactUri",
            "message", "source", "root_uri", "storage_location", "errors"}


class Server:
    def __init__(self, name, url):
        parts = urlsplit(url)
        self.name, self.host, self.port, self.prefix = name, parts.hostname, parts.port, parts.path.rstrip("/")
        self.ids = {}
        self.vars = {"u": "q" + "".join(random.choice(string.ascii_lowercase) for _ in range(7))}
        self.connection = None

    def fill(self, value):
        """Puts this server's variables into a string, list or dict."""
        if isinstance(value, str):
            return VARIABLE.sub(lambda m: str(self.vars[m.group(1)]), value)
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if isinstance(value, dict):
            return {self.fill(k): self.fill(v) for k, v in value.items()}
        return value

    def send(self, method, path, body, headers):
        for attempt in (1, 2):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
                self.connection.putrequest(method, self.prefix + path, skip_accept_encoding=True)
                for key, value in headers.items():
                    self.connection.putheader(key, value)
                if body is not None:
                    self.connection.putheader("Content-Length", str(len(body)))
                self.connection.endheaders()
                if body:
                    self.connection.send(body)
                answer = self.connection.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (OSError, http.client.HTTPException) as reason:
                self.connection = None
                if attempt == 2:
                    return Answer(0, {}, repr(reason).encode())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.type = (headers.get("Content-Type") or "").split(";")[0].strip()
        self.json = None
        try:
            self.json = json.loads(body)
        except ValueError:
            pass

    @property
    def code(self):
        return self.json.get("error_code", "") if isinstance(self.json, dict) else ""

    @property
    def signature(self):
        return f"{self.status} {self.code}".strip()

    def word(self):
        text = self.body.decode("utf-8", "replace") if self.json is None else json.dumps(self.json, ensure_ascii=False)
        return f"{self.signature} {' '.join(text.split())[:400]}"


class Intended:
    """The list of differences that are meant: case, real, ours, reason."""

    def __init__(self, path):
        self.rows, self.used = [], set()
        for line in open(path, encoding="utf-8"):
            if line.strip() and not line.startswith("#"):
                self.rows.append(line.rstrip("\n").split("\t"))
        for row in self.rows:
            assert len(row) == 4, f"{path}: four columns wanted: {row}"

    def find(self, case, real, ours):
        for row in self.rows:
            if all(fnmatch.fnmatchcase(a, p) for a, p in zip((case, real.signature, ours.signature), row)):
                self.used.add(tuple(row))
                return row[3]
        return None


class Twin:
    def __init__(self, real, ours, intended, only=None, verbose=False):
        self.real, self.ours, self.intended, self.only = Server("real", real), Server("ours", ours), intended, only
        self.noun, self.verbose = "", verbose
        self.passed, self.meant, self.failed, self.names = 0, 0, [], set()
        self.start_ms = int(time.time() * 1000) - 60_000
        self.pause = 0.002

    def prepare(self):
        """Makes experiments until their ids cannot be taken for other numbers."""
        for server in (self.real, self.ours):
            for i in range(FIRST_ID):
                made = self.ask(server, "POST", "experiments/create", {"name": "${u}.%d" % i}, None, None, None)
                if made.status != 200:
                    raise SystemExit(f"{server.name} server makes no experiment: {made.word()}")
                if int(made.json["experiment_id"]) >= FIRST_ID:
                    break

    # The verbs of a case file.

    def get(self, case, path, query=None, **more):
        return self.send(case, "GET", path, query=query, **more)

    def post(self, case, path, body=None, **more):
        return self.send(case, "POST", path, body=body if body is not None else {}, **more)

    def put(self, case, path, body=None, **more):
        return self.send(case, "PUT", path, body=body, **more)

    def patch(self, case, path, body=None, **more):
        return self.send(case, "PATCH", path, body=body if body is not None else {}, **more)

    def delete(self, case, path, body=None, **more):
        return self.send(case, "DELETE", path, body=body if body is not None else {}, **more)

    def let(self, name, value):
        """Sets a variable to the same text on both servers."""
        for server in (self.real, self.ours):
            server.vars[name] = server.fill(value)

    def wrong_fields(self, case, method, path, good, required=(), other=()):
        """Sends `good` with each field missing, null, empty and of wrong types."""
        for field in tuple(required) + tuple(other):
            without = {k: v for k, v in good.items() if k != field}
            if field in required:
                self.send(f"{case}/{field} missing", method, path, body=without)
                self.send(f"{case}/{field} null", method, path, body={**without, field: None})
                self.send(f"{case}/{field} empty", method, path, body={**without, field: ""})
            for word, value in (("number", 5), ("list", ["a"]), ("object", {"a": "b"}), ("bool", True)):
                self.send(f"{case}/{field} {word}", method, path, body={**without, field: value})

    def wrong_query(self, case, path, good, required):
        for field in required:
            without = {k: v for k, v in good.items() if k != field}
            self.get(f"{case}/{field} missing", path, without)
            self.get(f"{case}/{field} empty", path, {**without, field: ""})

    def send(self, case, method, path, body=None, query=None, raw=None, headers=None, save=None,
             compare="json", head=(), order=True, drop=()):
        """
        One request to both. body: JSON value; raw: bytes instead. save: {variable: dotted path}.
        compare: json | status | bytes. head: response headers that must agree.
        order=False: top-level lists are bags. drop: keys left out of the comparison.
        """
        case = f"{self.noun}/{case}"
        if case in self.names:
            raise AssertionError(f"two cases are called {case}")
        self.names.add(case)
        answers = []
        for server in (self.real, self.ours):
            try:
                answers.append(self.ask(server, method, path, body, query, raw, headers))
            except KeyError as missing:
                answers.append(Answer(0, {}, f"no variable {missing} here: an earlier case failed".encode()))
            for variable, where in (save or {}).items():
                value = answers[-1].json
                for step in where.split("."):
                    try:
                        value = value[int(step)] if isinstance(value, list) else value[step]
                    except (KeyError, IndexError, TypeError):
                        value = None
                        break
                if value is None:
                    server.vars.pop(variable, None)
                else:
                    server.vars[variable] = value
                    server.ids.setdefault(str(value), variable)
        real, ours = answers
        time.sleep(self.pause)
        if self.only and not fnmatch.fnmatchcase(case, self.only):
            return real, ours
        problems = self.differences(real, ours, compare, head, order, drop)
        if self.verbose:
            print(f"{case}\n    {real.word()}")
        if not problems:
            self.passed += 1
        elif self.intended.find(case, real, ours):
            self.meant += 1
            self.passed += 1
        else:
            self.failed.append(case)
            sent = query if query is not None else body if raw is None else raw[:200]
            print(f"MISMATCH {case}\n    sent  {method} {path} {json.dumps(sent, default=repr, ensure_ascii=False)[:300]}")
            print(f"    real  {real.word()}\n    ours  {ours.word()}")
            for problem in problems[:6]:
                print(f"    {problem}")
        return real, ours

    def ask(self, server, method, path, body, query, raw, headers):
        path = server.fill(path)
        if not path.startswith("/"):
            path = API + path
        sending = {"Accept": "*/*"}
        data = None
        if raw is not None:
            data = server.fill(raw).encode() if isinstance(raw, str) else raw.replace(b"${u}", server.vars["u"].encode())
        elif body is not None:
            data = json.dumps(server.fill(body)).encode()
            sending["Content-Type"] = "application/json"
        if query is not None:
            path += "?" + (server.fill(query) if isinstance(query, str) else urlencode(server.fill(query), doseq=True))
        path = quote(path, safe="/%?&=+:;,@~!$'()*-._#[]<>`\"|{}^ ").replace(" ", "%20").replace("#", "%23")
        for key, value in (headers or {}).items():
            if value is None:
                sending.pop(key, None)
            else:
                sending[key] = server.fill(value)
        return server.send(method, path, data, sending)

    # Comparison.

    def differences(self, real, ours, compare, head, order, drop):
        found = []
        if real.status != ours.status:
            found.append(f"status: real {real.status}, ours {ours.status}")
        for name in head:
            a, b = real.headers.get(name), ours.headers.get(name)
            if a != b:
                found.append(f"header {name}: real {a!r}, ours {b!r}")
        if compare == "bytes" and real.status >= 400:
            compare = "json"
        if compare == "bytes" and real.body != ours.body:
            found.append(f"body: real {real.body[:80]!r}, ours {ours.body[:80]!r}")
        if compare == "json" and real.json is not None:
            a, b = (self.normal(s, x.json, order, drop) for s, x in ((self.real, real), (self.ours, ours)))
            walk("", a, b, found)
            if real.type != ours.type:
                found.append(f"content type: real {real.type}, ours {ours.type}")
        return found

    def normal(self, server, value, order, drop):
        ids = {v: k for v, k in server.ids.items() if k.startswith("exp") and v.isdigit()}
        words = {v: k for v, k in server.ids.items() if HEX.search(v)}
        words[server.vars["u"]] = "u"
        words = sorted(words.items(), key=lambda item: -len(item[0]))
        now = int(time.time() * 1000) + 60_000

        def text(key, s):
            if "page_token" in key:
                return "<token>"
            for word, name in words:
                s = s.replace(word, f"<{name}>")
            s = HEX.sub("<hex>", s)
            if key in WITH_IDS:
                s = EXPERIMENT.sub(lambda m: m.group(1) + f"<{ids.get(m.group(2), 'some experiment')}>", s)
            if key == "message":
                s = PLACE.sub("", s)
            s = PYTHON_SET.sub(lambda m: "{" + ", ".join(sorted(m.group(1).split(", "))) + "}", s)
            if key == "message" and "[SQL:" in s:
                return SQL_TEXT
            if RANDOM_NAME.match(s) and key in ("run_name", "runName", "name", "value"):
                return "<random name>"
            if s.isdigit() and self.start_ms < int(s) < now:
                return "<now>"
            return s

        def change(key, v, depth):
            if isinstance(v, str):
                return text(key, v)
            if isinstance(v, bool) or v is None:
                return v
            if isinstance(v, (int, float)):
                return "<now>" if self.start_ms < v < now else v
            if isinstance(v, list):
                out = [change(key, x, depth + 1) for x in v]
                bag = key in BAGS or (key in ("metrics",) and depth > 1) or (depth == 1 and not order)
                return sorted(out, key=lambda x: json.dumps(x, sort_keys=True)) if bag else out
            # MLflow leaves the size of an empty file out, we say 0.
            out = {text("", k): change(k, x, depth + 1) for k, x in v.items() if k not in drop and (k, x) != ("file_size", 0)}
            for made, changed in (("creation_time", "last_update_time"), ("creation_timestamp", "last_updated_timestamp")):
                if isinstance(v.get(made), int) and isinstance(v.get(changed), int) and out.get(changed) == "<now>":
                    out[changed] = "<as created>" if v[made] == v[changed] else "<later>"
            return out

        return change("", value, 0)


def walk(where, a, b, found):
    if type(a) is not type(b):
        found.append(f"{where or '.'}: real {json.dumps(a)[:160]}, ours {json.dumps(b)[:160]}")
    elif isinstance(a, dict):
        for key in sorted(set(a) | set(b)):
            if key not in b:
                found.append(f"{where}.{key}: ours lacks it, real {json.dumps(a[key])[:160]}")
            elif key not in a:
                found.append(f"{where}.{key}: real lacks it, ours {json.dumps(b[key])[:160]}")
            else:
                walk(f"{where}.{key}", a[key], b[key], found)
    elif isinstance(a, list):
        if len(a) != len(b):
            found.append(f"{where}: real has {len(a)} entries, ours {len(b)}")
        for i, (x, y) in enumerate(zip(a, b)):
            walk(f"{where}[{i}]", x, y, found)
    elif a == SQL_TEXT:
        pass
    elif a != b and not (isinstance(a, float) and a != a and b != b):
        found.append(f"{where}: real {json.dumps(a)[:200]}, ours {json.dumps(b)[:200]}")
