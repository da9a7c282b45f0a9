"""What a search must answer, by brute force: the language's meaning in Python, and data that has every trap in it."""
import functools
import math
import random

KEYS = {"m1": "metric", "m2": "metric", "m.min": "metric", "p1": "param", "p2": "param", "t1": "tag", "long": "param"}
STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


def make_runs(seed, count):
    """Runs as dicts. Experiment 3 is deleted; values tie, miss, are NaN, share long beginnings."""
    rng = random.Random(seed)
    runs = []
    for i in range(1, count + 1):
        hexid = "%032x" % rng.getrandbits(128)
        run = dict(id=i, run_id=hexid, experiment=rng.choice([1, 1, 1, 2, 2, 3]), start_time=rng.choice([0, 5, 5, 5, 10, 20, rng.randrange(50)]),
                   end_time=rng.choice([None, 7, rng.randrange(60)]), status=rng.choice(list(STATUS)), lifecycle=rng.choice([0, 0, 0, 0, 1, 2]),
                   user_id=rng.choice(["ann", "bob", ""]), name=rng.choice(["alpha", "beta", "Beta", "n" * 70 + str(rng.randrange(4)), "run-%d" % i]),
                   artifact_uri="mlflow-artifacts:/%d/%s/artifacts" % (i % 3, hexid), metrics={}, params={}, tags={}, history={}, datasets=[])
        for key in ("m1", "m2", "m.min"):
            if rng.random() < (0.7 if key != "m.min" else 0.1):
                run["metrics"][key] = rng.choice([0.5, 0.5, 1.0, -3.0, float("nan"), 1e300, rng.random()])
        if rng.random() < 0.5:
            run["history"]["x"] = [float(rng.randrange(10)) for _ in range(3)]
            run["metrics"]["x"] = run["history"]["x"][-1]
        for key in ("p1", "p2"):
            if rng.random() < 0.7:
                run["params"][key] = rng.choice(["0.5", "1e1", "10", "x", "X", "it's", "a_b", "a%b", "", "naïve", str(rng.randrange(30))])
        if rng.random() < 0.7:
            run["params"]["long"] = "L" * rng.choice([1, 63, 64, 65]) + rng.choice(["", "a", "b", "\u00e9"])
        if rng.random() < 0.6:
            run["tags"]["t1"] = rng.choice(["red", "green", "Green", "g\\n", "gan"])
        for _ in range(rng.choice([0, 0, 1, 2])):
            run["datasets"].append((rng.choice(["d1", "d2"]), rng.choice(["aa", "bb"]), rng.choice(["train", "test", None])))
        run["datasets"] = list({d[:2]: d for d in run["datasets"]}.values())
        runs.append(run)
    return runs


def load(cursor, runs):
    cursor.execute("truncate experiments, runs, latest_metrics, metrics, params, tags, datasets, run_datasets cascade")
    cursor.execute("delete from keys where id > 1")
    for e in (1, 2, 3):
        cursor.execute("insert into experiments (id, name, artifact_location, creation_time, last_update_time, deleted_time) values (%s, %s, '', 0, 0, %s)", (e, "e%d" % e, 1 if e == 3 else None))
    ids = {}

    def key(name):
        if name not in ids:
            cursor.execute("insert into keys (key) values (%s) returning id", (name,))
            ids[name] = cursor.fetchone()[0]
        return ids[name]

    for r in runs:
        gone = r["lifecycle"] == 1
        cursor.execute("insert into runs (id, run_id, experiment_id, run_rank, start_time, end_time, status, lifecycle, user_id, name, artifact_uri)"
                       " values (%s, %s, %s, run_rank_of(%s), %s, %s, %s, %s, %s, %s, %s) returning run_rank",
                       (r["id"], r["run_id"], r["experiment"], r["run_id"], r["start_time"], r["end_time"], r["status"], r["lifecycle"], r["user_id"], r["name"], r["artifact_uri"]))
        rank = cursor.fetchone()[0]
        for k, v in r["metrics"].items():
            cursor.execute("insert into latest_metrics values (%s, %s, %s, %s, %s, 0, 0, %s, %s, %s)", (r["id"], key(k), gone, r["experiment"], v, r["start_time"], rank, v))
        for k, points in r["history"].items():
            for step, v in enumerate(points):
                cursor.execute("insert into metrics values (%s, %s, %s, 0, %s)", (r["id"], key(k), step, v))
        for table, values in (("params", r["params"]), ("tags", r["tags"])):
            for k, v in values.items():
                cursor.execute("insert into " + table + " values (%s, %s, %s, %s, %s, %s, %s)", (r["id"], key(k), gone, r["experiment"], r["start_time"], rank, v))
        for name, digest, context in r["datasets"]:
            cursor.execute("insert into datasets (experiment_id, name, digest, source_type, source) values (%s, %s, %s, '', '') on conflict (experiment_id, name, digest)"
                           " do update set source = '' returning id", (r["experiment"], name, digest))
            cursor.execute("insert into run_datasets (run, dataset_id, context) values (%s, %s, %s)", (r["id"], cursor.fetchone()[0], context))


def like(pattern, text, ignore_case):
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()

    @functools.lru_cache(None)
    def match(i, j):
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "\\":
            return j < len(text) and pattern[i + 1] == text[j] and match(i + 2, j + 1)
        if pattern[i] == "%":
            return any(match(i + 1, k) for k in range(j, len(text) + 1))
        return j < len(text) and (pattern[i] == "_" or pattern[i] == text[j]) and match(i + 1, j + 1)

    return match(0, 0)


def compare(op, left, right):
    if left is None:
        return False
    return {"=": lambda: left == right, "!=": lambda: left != right, "<": lambda: left < right, "<=": lambda: left <= right, ">": lambda: left > right,
            ">=": lambda: left >= right, "LIKE": lambda: like(right, left, False), "ILIKE": lambda: like(right, left, True), "IN": lambda: left in right,
            "NOT IN": lambda: left not in right, "NOT LIKE": lambda: not like(right, left, False)}[op]()


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def quoted(text):
    return '"%s"' % text if "'" in text else "'%s'" % text


def make_condition(rng):
    """(text, predicate over a run)."""
    kind = rng.randrange(12)
    if kind <= 2:
        key, op, value = rng.choice(["m1", "m2", "nokey"]), rng.choice(["=", "!=", "<", "<=", ">", ">="]), rng.choice([0.5, 1.0, -3.0, 0.25, 1e300])
        return "metrics.%s %s %s" % (key, op, repr(value).replace("+", "")), lambda r: compare(op, r["metrics"].get(key), value)
    if kind <= 4:
        key, op = rng.choice(["p1", "p2", "long"]), rng.choice(["=", "=", "!=", "LIKE", "ILIKE", "NOT LIKE"])
        value = rng.choice(["0.5", "x", "it's", "a_b", "a%", "%", "", "1_", "L" * 64 + "a", "L" * 63, "NA\u00cf%"])
        return "params.%s %s %s" % (key, op, quoted(value)), lambda r: compare(op, r["params"].get(key), value)
    if kind == 5:
        op, value = rng.choice(["=", "!=", "<", "<=", ">", ">="]), rng.choice([0.5, 10, 5])
        return "params.p1 %s %r" % (op, value), lambda r: compare(op, number(r["params"].get("p1")), value)
    if kind == 6:
        op = rng.choice(["=", "!=", "LIKE", "ILIKE"])
        value = rng.choice(["red", "green", "g\\n", "g\\\\n", "gr\\een", "g\\%n", "g%n"])
        return "tags.`t1` %s '%s'" % (op, value), lambda r: compare(op, r["tags"].get("t1"), value)
    if kind == 7:
        where, key = rng.choice([("params", "p1"), ("tags", "t1"), ("params", "long")])
        return rng.choice([("%s.%s IS NULL" % (where, key), lambda r: key not in r[where]), ("%s.%s is not null" % (where, key), lambda r: key in r[where])])
    if kind == 8:
        op, value = rng.choice(["=", "!=", "<", "<=", ">", ">="]), rng.randrange(30)
        key = rng.choice(["start_time", "end_time"])
        return "%s %s %d" % (key, op, value), lambda r: compare(op, r[key], value)
    if kind == 9:
        key, value = rng.choice([("user_id", "ann"), ("run_name", "beta"), ("run_name", "n" * 70 + "1"), ("status", "FAILED"), ("status", "failed"), ("artifact_uri", "x")])
        op = rng.choice(["=", "=", "!=", "LIKE", "ILIKE"])
        read = (lambda r: STATUS[r["status"]]) if key == "status" else (lambda r: r["name" if key == "run_name" else key])
        return "%s %s '%s'" % (key, op, value), lambda r: compare(op, read(r), value)
    if kind == 10:
        key, i = rng.choice([("name", 0), ("digest", 1), ("context", 2)])
        op, value = rng.choice([("=", "d1"), ("!=", "d1"), ("IN", ("aa", "train")), ("NOT IN", ("d1", "bb", "test")), ("LIKE", "t%")])
        text = "(%s)" % ", ".join("'%s'" % v for v in value) if isinstance(value, tuple) else "'%s'" % value
        return "dataset.%s %s %s" % (key, op, text), lambda r: any(compare(op, d[i], value) for d in r["datasets"])
    op, value = rng.choice(["<", ">", "="]), float(rng.randrange(10))
    end, fold = rng.choice([("min", min), ("max", max), ("last", lambda v: v[-1])])
    return "metrics.x.%s %s %r" % (end, op, value), lambda r: compare(op, fold(r["history"]["x"]) if "x" in r["history"] else None, value)


def make_filter(rng, depth=0):
    if depth == 0 and rng.random() < 0.2:
        return "", lambda r: True
    pick = rng.random()
    if depth > 2 or pick < 0.5:
        return make_condition(rng)
    parts = [make_filter(rng, depth + 1) for _ in range(rng.choice([2, 2, 3]))]
    if pick < 0.8:
        return " AND ".join("(%s)" % t if depth else t for t, _ in parts), lambda r: all(p(r) for _, p in parts)
    if pick < 0.93:
        return "(%s)" % " or ".join(t for t, _ in parts), lambda r: any(p(r) for _, p in parts)
    text, predicate = parts[0]
    return "NOT (%s)" % text, lambda r: not predicate(r)


ORDERS = {"metrics.m1": ("metrics", "m1"), "metrics.m2": ("metrics", "m2"), "params.p1": ("params", "p1"), "params.`long`": ("params", "long"), "tags.t1": ("tags", "t1"),
          "start_time": "start_time", "end_time": "end_time", "run_name": "name", "status": "status", "user_id": "user_id", "run_id": "run_id", "metrics.m.min": ("metrics", "m.min")}


def sort_key(name):
    def value(run):
        where = ORDERS[name]
        if name == "status":
            return STATUS[run["status"]]
        return run[where[0]].get(where[1]) if isinstance(where, tuple) else run[where]
    return value


def make_order(rng):
    names = rng.sample(sorted(ORDERS), rng.choice([0, 1, 1, 1, 1, 2, 3]))
    return [(n, rng.random() < 0.5) for n in names]


def ordered(runs, order):
    runs = sorted(runs, key=lambda r: r["run_id"])
    if not any(n == "start_time" for n, _ in order):
        runs.sort(key=lambda r: -r["start_time"])
    for name, descending in reversed(order):
        read = sort_key(name)
        nan = lambda v: isinstance(v, float) and math.isnan(v)
        have = [r for r in runs if read(r) is not None and not nan(read(r))]
        have.sort(key=lambda r: read(r).encode() if isinstance(read(r), str) else read(r), reverse=False)
        if descending:  # stable in the other direction
            groups = {}
            for r in have:
                groups.setdefault(read(r), []).append(r)
            have = [r for value in reversed(list(groups)) for r in groups[value]]
        runs = have + [r for r in runs if nan(read(r))] + [r for r in runs if read(r) is None]
    return runs


def alive(run, view):
    active = run["lifecycle"] == 2 or (run["lifecycle"] == 0 and run["experiment"] != 3)
    return view == 3 or active == (view == 1)
