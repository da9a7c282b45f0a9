"""runs/log-batch: limits, duplicates, all or nothing, order of checks."""

PATH = "runs/log-batch"


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-batch"}, save={"exp": "experiment_id"})
    t.post("run for wrong ones", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": "wrong"}, save={"wrong": "run.info.run_id"})
    t.post("run", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": "batch"}, save={"run": "run.info.run_id"})
    m = {"key": "m", "value": 1.5, "timestamp": 5, "step": 1}

    def batch(case, body, show=True):
        """To the run whose state is compared, or to the one for requests that may be refused."""
        t.post(case, PATH, {"run_id": "${run}" if show else "${wrong}", **body})
        if show:
            t.get(f"{case}, then get", "runs/get", {"run_id": "${run}"})

    batch("nothing", {})
    batch("empty lists", {"metrics": [], "params": [], "tags": []})
    batch("null lists", {"metrics": None, "params": None, "tags": None}, False)
    batch("all three", {"metrics": [m], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "x"}]})
    batch("repeated", {"metrics": [m], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "x"}]})
    batch("metric twice in one", {"metrics": [{**m, "key": "twice"}, {**m, "key": "twice"}]})
    t.get("history of twice", "metrics/get-history", {"run_id": "${run}", "metric_key": "twice"})
    batch("tag twice in one", {"tags": [{"key": "tt", "value": "1"}, {"key": "tt", "value": "2"}]})
    batch("param twice in one", {"params": [{"key": "pp", "value": "1"}, {"key": "pp", "value": "1"}]})
    batch("param twice with two values", {"params": [{"key": "pq", "value": "1"}, {"key": "pq", "value": "2"}]})
    batch("param changed", {"params": [{"key": "p", "value": "2"}]})
    batch("two params changed", {"params": [{"key": "p", "value": "2"}, {"key": "fresh", "value": "2"}]})
    batch("changed param beside metric and tag", {"metrics": [{**m, "key": "beside"}], "params": [{"key": "p", "value": "3"}], "tags": [{"key": "beside", "value": "x"}]})
    batch("values of every kind", {"metrics": [{**m, "key": "nan", "value": "NaN"}, {**m, "key": "inf", "value": "Infinity"}, {**m, "key": "ninf", "value": "-Infinity"},
                                               {**m, "key": "text", "value": "2.5"}, {**m, "key": "int", "value": 3}, {**m, "key": "strings", "timestamp": "77", "step": "-3"}]})
    batch("camel case", {"metrics": [{**m, "key": "camel", "modelId": None}], "params": [{"key": "camel", "value": "x"}]})
    batch("metric without step", {"metrics": [{"key": "nostep", "value": 1, "timestamp": 5}]})
    batch("param without value", {"params": [{"key": "novalue"}]})
    batch("tag without value", {"tags": [{"key": "novalue"}]})
    batch("run name tag", {"tags": [{"key": "mlflow.runName", "value": "from batch"}]})
    for word, key in (("empty", ""), ("of 250", "k" * 250), ("of 251", "k" * 251), ("double slash", "a//b"), ("absolute", "/a"), ("star", "a*b"), ("unicode", "é : ü"), ("slash at end", "a/")):
        batch(f"metric key {word}", {"metrics": [{**m, "key": key}]}, False)
        batch(f"param key {word}", {"params": [{"key": key, "value": "1"}]}, False)
        batch(f"tag key {word}", {"tags": [{"key": key, "value": "1"}]}, False)
    for word, change in (("without key", {"key": None}), ("without value", {"value": None}), ("without timestamp", {"timestamp": None}), ("negative time", {"timestamp": -1}),
                         ("word value", {"value": "abc"}), ("word time", {"timestamp": "abc"}), ("word step", {"step": "abc"}), ("fraction step", {"step": 1.5}),
                         ("bool value", {"value": True}), ("list value", {"value": [1]}), ("fraction time", {"timestamp": 5.5}), ("number key", {"key": 7})):
        batch(f"metric {word}", {"metrics": [m, {k: v for k, v in {**m, **change}.items() if v is not None}]}, False)
    for word, entry in (("without key", {"value": "1"}), ("number value", {"key": "nv", "value": 1}), ("number key", {"key": 1, "value": "1"}), ("bool value", {"key": "bv", "value": True}),
                        ("null key", {"key": None, "value": "1"}), ("list", []), ("string", "abc"), ("null", None), ("empty object", {})):
        batch(f"param {word}", {"params": [{"key": "ok" + word, "value": "1"}, entry]}, False)
        batch(f"tag {word}", {"tags": [{"key": "ok" + word, "value": "1"}, entry]}, False)
    batch("after wrong entries", {})
    batch("param of 6000", {"params": [{"key": "l6000", "value": "v" * 6000}]}, False)
    batch("param of 6001", {"params": [{"key": "l6001", "value": "v" * 6001}]}, False)
    batch("tag of 8001", {"tags": [{"key": "l8001", "value": "v" * 8001}]}, False)
    many = [{"key": f"m{i}", "value": i / 7, "timestamp": 5, "step": i} for i in range(1001)]
    texts = [{"key": f"k{i}", "value": str(i)} for i in range(101)]
    batch("1000 metrics", {"metrics": many[:1000]})
    batch("1001 metrics", {"metrics": many}, False)
    batch("100 params", {"params": texts[:100]})
    batch("101 params", {"params": texts}, False)
    batch("100 tags", {"tags": texts[:100]})
    batch("101 tags", {"tags": texts}, False)
    batch("1000 in all", {"metrics": [{**x, "key": "a" + x["key"]} for x in many[:900]], "params": [{"key": "b", "value": "x"}] * 1, "tags": texts[:99]}, False)
    batch("1001 in all", {"metrics": [{**x, "key": "c" + x["key"]} for x in many[:901]], "tags": texts[:100]}, False)
    batch("many at once then get", {})
    for field in ("metrics", "params", "tags"):
        for word, value in (("number", 5), ("string", "abc"), ("object", {"key": "x"}), ("bool", True), ("empty string", "")):
            batch(f"{field} {word}", {field: value}, False)
    without = {"metrics": [m]}
    for word, run in (("missing", None), ("empty", ""), ("unknown", "0" * 32), ("number", 5), ("odd", "a/b"), ("space", " a"), ("leading dash", "-a"), ("of 256", "a" * 256), ("of 257", "a" * 257),
                      ("list", ["a"])):
        t.post(f"run id {word}", PATH, without if run is None else {**without, "run_id": run})
    t.post("run_uuid alone", PATH, {"run_uuid": "${run}", "metrics": [m]})
    t.post("run id null", PATH, {"run_id": None, "metrics": [m]})
    t.post("unknown fields", PATH, {"run_id": "${run}", "x": 1, "metrics": [{**m, "y": 2}]})
    t.post("at ajax", "/ajax-api/2.0/mlflow/" + PATH, {"run_id": "${run}", "metrics": [m]})
    t.get("all at last", "runs/get", {"run_id": "${run}"})
