"""The runs that tests/cases/search and the property test search in."""

import json
import random
import urllib.error
import urllib.request


class Api:
    def __init__(self, url):
        self.url = url.rstrip("/") + "/api/2.0/mlflow/"

    def post(self, path, body):
        """Status and JSON of one POST."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            body = refused.read()
            try:
                return refused.code, json.loads(body)
            except ValueError:
                return refused.code, {"error_code": "", "message": body.decode("utf-8", "replace")[:200]}

    def must(self, path, body):
        status, answer = self.post(path, body)
        assert status == 200, f"{path}: {status} {answer}"
        return answer


def fill(api, rows, experiment_name):
    """Makes the runs of `rows` in a fresh experiment; its id, and the names by run id."""
    experiment = api.must("experiments/create", {"name": experiment_name})["experiment_id"]
    names = {}
    for row in rows:
        body = {"experiment_id": experiment, "run_name": row["name"], "start_time": row["start_time"]}
        if "user_id" in row:
            body["user_id"] = row["user_id"]
        run = api.must("runs/create", body)["run"]["info"]["run_id"]
        names[run] = row["name"]
        api.must("runs/log-batch", {"run_id": run,
                                    "metrics": [{"key": k, "value": v, "timestamp": 1, "step": 0} for k, v in row.get("metrics", {}).items()],
                                    "params": [{"key": k, "value": v} for k, v in row.get("params", {}).items()],
                                    "tags": [{"key": k, "value": v} for k, v in row.get("tags", {}).items()]})
        datasets = [{"dataset": {"name": d["name"], "digest": d["digest"], "source_type": "local", "source": "x"}, "tags": [{"key": "mlflow.data.context", "value": d["context"]}] if d.get("context") else []}
                    for d in row.get("datasets", [])]
        if datasets:
            api.must("runs/log-inputs", {"run_id": run, "datasets": datasets})
        if "status" in row:
            api.must("runs/update", {"run_id": run, "status": row["status"], **({"end_time": row["end_time"]} if "end_time" in row else {})})
        if row.get("deleted"):
            api.must("runs/delete", {"run_id": run})
    return experiment, names


def search(api, experiment, names, filter="", order_by=(), view="ACTIVE_ONLY"):
    """Names of the runs found, in order; or 'error STATUS CODE' with the message beside it."""
    status, answer = api.post("runs/search", {"experiment_ids": [experiment], "filter": filter, "order_by": list(order_by), "run_view_type": view, "max_results": 1000})
    if status != 200:
        return f"error {status} {answer.get('error_code', '')}", answer.get("message", "")
    return [names[r["info"]["run_id"]] for r in answer.get("runs", [])], ""


KEYS = {"metrics": ["rmse", "val/loss", "a b", "x.y", "é"], "params": ["alpha", "model", "a-b", "x y", "dotted.key"], "tags": ["team", "mlflow.note.content", "two words", "é:ü"]}
NUMBERS = [0, 1, -1, 0.5, 0.25, 1e-9, 1e10, 3, -2.5, 100]
TEXTS = ["red", "Red", "RED", "blue", "", "a b", "100%", "under_score", "ü", "x'y", "0.5", "ElasticNet", "elasticnet"]
USERS = ["ann", "bob", "Ann", ""]
STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]


def random_rows(rng, count):
    rows = []
    for i in range(count):
        row = {"name": rng.choice(["first", "Second", "third", "x%y", "ü"]) + f" {i}", "start_time": 1000 + rng.randrange(500) * 100 + i, "user_id": rng.choice(USERS), "status": rng.choice(STATUSES)}
        if row["status"] not in ("RUNNING", "SCHEDULED"):
            row["end_time"] = row["start_time"] + rng.randrange(1, 1000)
        row["metrics"] = {k: rng.choice(NUMBERS + ["NaN", "Infinity", "-Infinity"]) for k in KEYS["metrics"] if rng.random() < 0.6}
        row["params"] = {k: rng.choice(TEXTS) for k in KEYS["params"] if rng.random() < 0.6}
        row["tags"] = {k: rng.choice(TEXTS) for k in KEYS["tags"] if rng.random() < 0.6}
        row["datasets"] = [{"name": rng.choice(["wine", "Beer", "tea"]), "digest": rng.choice(["d1", "d2"]), "context": rng.choice(["train", "test", ""])} for _ in range(rng.choice([0, 0, 1, 2]))]
        row["deleted"] = rng.random() < 0.1
        rows.append(row)
    return rows


class Filters:
    """Random filters from MLflow's grammar."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def key(self, kind, name):
        rng = self.rng
        quote = rng.choice(["`", '"']) if (not name.replace(".", "").isalnum() or not name.isascii() or rng.random() < 0.3) else ""
        prefix = {"metrics": ["metrics", "metric"], "params": ["params", "param", "parameter", "parameters"], "tags": ["tags", "tag"], "attributes": ["attributes", "attribute", "attr", "run"], "datasets": ["datasets", "dataset"]}[kind]
        return f"{rng.choice(prefix)}.{quote}{name}{quote}"

    def text(self, value):
        quote = '"' if "'" in value else self.rng.choice("''\"")
        return f"{quote}{value}{quote}"

    def pattern(self):
        rng = self.rng
        value = rng.choice(TEXTS + ["ann", "wine", "train", "FINISHED", "first 1"])
        if value and rng.random() < 0.7:
            at = rng.randrange(len(value))
            value = rng.choice([value[:at] + "%", "%" + value[at:], value[:at] + "_" + value[at + 1:], "%" + value[at] + "%", value.upper()])
        return value

    def number(self):
        rng = self.rng
        value = rng.choice(NUMBERS)
        return rng.choice([str(value), f"{value:+}", f"{float(value)}", f"{value:e}"]) if rng.random() < 0.5 else str(value)

    def condition(self):
        rng = self.rng
        kind = rng.choice(["metrics", "metrics", "params", "params", "tags", "attributes", "attributes", "datasets", "time"])
        space = rng.choice([" ", " ", "  ", "\n"])
        if kind == "metrics":
            return f"{self.key(kind, rng.choice(KEYS[kind] + ['missing']))}{rng.choice(['', ' '])}{rng.choice(['>', '>=', '=', '!=', '<', '<='])}{space}{self.number()}"
        if kind in ("params", "tags"):
            key = self.key(kind, rng.choice(KEYS[kind] + ["missing"]))
            if rng.random() < 0.2:
                return key + space + rng.choice(["IS NULL", "IS NOT NULL", "is null", "Is Not Null"])
            return self.string_condition(key, space)
        if kind == "time":
            key = rng.choice(["start_time", "attributes.start_time", "end_time", "created", "Created", "attr.end_time"])
            return f"{key}{space}{rng.choice(['>', '>=', '=', '!=', '<', '<='])}{space}{rng.randrange(0, 60000)}"
        if kind == "attributes":
            name = rng.choice(["status", "user_id", "run_name"])
            return self.string_condition(rng.choice([name, self.key("attributes", name)]), space, rng.choice(STATUSES + USERS + ["first 1", "Second 2"]))
        name = rng.choice(["name", "digest", "context"])
        key = self.key("datasets", name)
        values = {"name": ["wine", "Beer", "x"], "digest": ["d1", "d2"], "context": ["train", "test"]}[name]
        if rng.random() < 0.3:
            listed = ", ".join(self.text(v) for v in rng.sample(values, rng.randrange(1, len(values) + 1)))
            return f"{key} {rng.choice(['IN', 'NOT IN', 'in', 'not in'])} ({listed})"
        return self.string_condition(key, space, rng.choice(values))

    def string_condition(self, key, space, value=None):
        rng = self.rng
        op = rng.choice(["=", "!=", "LIKE", "ILIKE", "like", "ilike"])
        if op.upper().endswith("LIKE"):
            return f"{key} {op}{space}{self.text(self.pattern())}"
        return f"{key}{rng.choice(['', ' '])}{op}{space}{self.text(rng.choice(TEXTS) if value is None else value)}"

    def filter(self):
        rng = self.rng
        parts = [self.condition() for _ in range(rng.choice([1, 1, 1, 2, 2, 3]))]
        return rng.choice([" AND ", " and ", "  And\n"]).join(parts)

    def order_by(self):
        rng = self.rng
        keys, seen = [], set()
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            kind = rng.choice(["metrics", "params", "tags", "attributes"])
            name = rng.choice(KEYS[kind] + ["missing"]) if kind != "attributes" else rng.choice(["start_time", "end_time", "status", "user_id", "run_name"])
            if (kind, name) in seen:
                continue
            seen.add((kind, name))
            keys.append((self.key(kind, name) if kind != "attributes" or rng.random() < 0.5 else name) + rng.choice(["", " ASC", " DESC", " desc"]))
        return keys

    def broken(self):
        """A filter with one character taken out, put in or changed."""
        rng, text = self.rng, self.filter()
        at = rng.randrange(len(text))
        return rng.choice([text[:at] + text[at + 1:], text[:at] + rng.choice("'\"`.=<>!(),;-%1aA ") + text[at:], text[:at] + rng.choice("'\"`.=<>!") + text[at + 1:], text[:at]])
