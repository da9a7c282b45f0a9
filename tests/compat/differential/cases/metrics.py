"""Metrics: log-metric, latest rule, history, bulk history, bulk intervals."""

BULK = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
INTERVAL = "metrics/get-history-bulk-interval"


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-metrics"}, save={"exp": "experiment_id"})
    for name in ("run", "other", "third", "empty", "wrong"):
        t.post(f"run {name}", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": name}, save={name: "run.info.run_id"})
    log(t)
    latest(t)
    history(t)
    bulk(t)
    interval(t)


def log(t):
    run = "${run}"
    good = {"run_id": run, "key": "m", "value": 1.5, "timestamp": 1600000000000, "step": 1}
    path = "runs/log-metric"
    t.post("metric", path, good)
    t.post("metric repeated", path, good)
    for word, value in (("integer", 2), ("string", "2.5"), ("nan", "NaN"), ("inf", "Infinity"), ("minus inf", "-Infinity"), ("huge", 1e308), ("tiny", 5e-324),
                        ("zero", 0), ("minus zero", -0.0), ("exact", 0.1), ("large int", 9007199254740993), ("exponent string", "1e-3"), ("sum", 0.30000000000000004),
                        ("1e22", 1e22), ("1e16", 1e16), ("1e15", 1e15), ("small", 0.00001234), ("0.0001", 0.0001), ("third", 1 / 3)):
        t.post(f"value {word}", path, {**good, "key": "v " + word, "value": value})
        t.get(f"history value {word}", "metrics/get-history", {"run_id": run, "metric_key": "v " + word})
    for word, step in (("negative", -3), ("string", "4"), ("negative string", "-4"), ("null", None), ("float", 1.0), ("max", 9223372036854775807)):
        t.post(f"step {word}", path, {**good, "key": "s " + word, "step": step})
        t.get(f"history step {word}", "metrics/get-history", {"run_id": run, "metric_key": "s " + word})
    for word, time in (("zero", 0), ("negative", -1), ("string", "1600000000001"), ("null", None), ("float", 5.0), ("large", 4102444800000000)):
        t.post(f"time {word}", path, {**good, "key": "t " + word, "timestamp": time})
        t.get(f"history time {word}", "metrics/get-history", {"run_id": run, "metric_key": "t " + word})
    wrong = {**good, "run_id": "${wrong}"}
    for field, values in (("value", ["nan", "inf", "abc", "", True, [1], None, {}]), ("step", [1.5, "x", 9223372036854775808, True, "", []]), ("timestamp", [1.5, "x", 99999999999999999999, True, "", []])):
        for value in values:
            t.post(f"wrong {field} {value!r}", path, {**wrong, "key": "w", field: value})
    without_step = {k: v for k, v in good.items() if k != "step"}
    t.post("metric without step", path, {**without_step, "key": "nostep"})
    t.get("history without step", "metrics/get-history", {"run_id": run, "metric_key": "nostep"})
    t.post("metric by run_uuid", path, {"run_uuid": run, "key": "uuid", "value": 1, "timestamp": 5})
    t.post("metric unknown run", path, {**good, "run_id": "0" * 32})
    t.post("metric long run id", path, {**good, "run_id": "a" * 300})
    t.wrong_fields("metric", "POST", path, {**wrong, "key": "w"}, ["run_id", "key", "value", "timestamp"])
    from cases.runs import keys
    keys(t, "metric", path, good)
    t.post("metric with model id", path, {**wrong, "key": "mm", "model_id": "m-" + "0" * 32})
    t.post("metric with dataset", path, {**good, "key": "md", "dataset_name": "d", "dataset_digest": "x"})
    t.post("bare NaN", path, raw='{"run_id": "${wrong}", "key": "bare", "value": NaN, "timestamp": 5}', headers={"Content-Type": "application/json"})
    t.get("get all", "runs/get", {"run_id": run})


def latest(t):
    for case, rows in (("later step wins", [(1, 10, 1.0), (2, 5, 0.5)]), ("lower step loses", [(5, 10, 1.0), (2, 50, 9.0)]), ("same step later time", [(1, 10, 1.0), (1, 11, 0.1)]),
                       ("same step earlier time", [(1, 10, 1.0), (1, 9, 7.0)]), ("same step time larger value", [(1, 10, 1.0), (1, 10, 2.0)]),
                       ("same step time smaller value", [(1, 10, 1.0), (1, 10, 0.5)]), ("nan against negative", [(1, 10, "NaN"), (1, 10, -1.0)]),
                       ("nan against positive", [(1, 10, "NaN"), (1, 10, 1.0)]), ("nan after positive", [(1, 10, 1.0), (1, 10, "NaN")]), ("nan after negative", [(1, 10, -1.0), (1, 10, "NaN")]),
                       ("negative steps", [(-5, 10, 1.0), (-7, 10, 2.0)]), ("nan against zero", [(1, 10, "NaN"), (1, 10, 0.0)]), ("zero then nan", [(1, 10, 0.0), (1, 10, "NaN")])):
        for i, (step, time, value) in enumerate(rows):
            t.post(f"latest {case} {i}", "runs/log-metric", {"run_id": "${third}", "key": case, "step": step, "timestamp": time, "value": value})
        t.get(f"latest {case} history", "metrics/get-history", {"run_id": "${third}", "metric_key": case})
    t.get("latest values", "runs/get", {"run_id": "${third}"})


def history(t):
    metrics = [{"key": "loss", "value": round(1 / (i + 1), 6), "timestamp": 1600000000000 + i * 10, "step": i} for i in range(100)]
    t.post("batch of 100", "runs/log-batch", {"run_id": "${run}", "metrics": metrics})
    t.post("batch of other", "runs/log-batch", {"run_id": "${other}", "metrics": [{**m, "value": m["value"] * 2, "step": m["step"] * 3} for m in metrics[:57]]})
    t.post("batch of third", "runs/log-batch", {"run_id": "${third}", "metrics": [{**m, "timestamp": 5000 - m["step"], "step": m["step"] // 3} for m in metrics[:20]]})
    t.post("batch with nan", "runs/log-batch", {"run_id": "${third}", "metrics": [{"key": "loss", "value": "NaN", "timestamp": 5, "step": 50}, {"key": "loss", "value": "Infinity", "timestamp": 6, "step": 51}]})
    path = "metrics/get-history"
    ask = {"run_id": "${run}", "metric_key": "loss"}
    t.get("history", path, ask)
    t.get("history of third", path, {"run_id": "${third}", "metric_key": "loss"})
    t.get("history by run_uuid", path, {"run_uuid": "${run}", "metric_key": "loss"})
    t.get("history page 1", path, {**ask, "max_results": "30"}, save={"token": "next_page_token"})
    t.get("history page 2", path, {**ask, "max_results": "30", "page_token": "${token}"}, save={"token": "next_page_token"})
    t.get("history page 3", path, {**ask, "max_results": "30", "page_token": "${token}"}, save={"token": "next_page_token"})
    t.get("history page 4", path, {**ask, "max_results": "30", "page_token": "${token}"})
    t.get("history exact page", path, {**ask, "max_results": "100"})
    for value in ("0", "-1", "25000", "25001", "abc", "1.5", "", "99999999999"):
        t.get(f"history max {value!r}", path, {**ask, "max_results": value})
    t.get("history bad token", path, {**ask, "max_results": "10", "page_token": "rubbish"})
    t.get("history token alone", path, {**ask, "page_token": "rubbish"})
    t.get("history unknown run", path, {"run_id": "0" * 32, "metric_key": "loss"})
    t.get("history unknown key", path, {"run_id": "${run}", "metric_key": "nothing"})
    t.get("history odd key", path, {"run_id": "${run}", "metric_key": "a//b"})
    t.get("history at ajax", "/ajax-api/2.0/mlflow/" + path, ask)
    t.wrong_query("history", path, ask, ["run_id", "metric_key"])
    t.send("history by body", "GET", path, body=ask)


def bulk(t):
    t.get("bulk one", BULK, {"run_id": "${run}", "metric_key": "loss"})
    t.get("bulk one clipped", BULK, {"run_id": "${run}", "metric_key": "loss", "max_results": "7"})
    t.get("bulk two", BULK, "run_id=${run}&run_id=${run}&metric_key=loss&max_results=7")
    t.get("bulk with nan", BULK, {"run_id": "${third}", "metric_key": "loss"})
    t.get("bulk unknown run", BULK, {"run_id": "0" * 32, "metric_key": "loss"})
    t.get("bulk unknown key", BULK, {"run_id": "${run}", "metric_key": "nothing"})
    t.get("bulk 100 runs", BULK, {"run_id": ["${run}"] + ["%032x" % i for i in range(99)], "metric_key": "loss", "max_results": "3"})
    t.get("bulk 101 runs", BULK, {"run_id": ["%032x" % i for i in range(101)], "metric_key": "loss"})
    t.get("bulk without runs", BULK, {"metric_key": "loss"})
    t.get("bulk without key", BULK, {"run_id": "${run}"})
    for value in ("0", "-1", "25001", "abc", ""):
        t.get(f"bulk max {value!r}", BULK, {"run_id": "${run}", "metric_key": "loss", "max_results": value})
    t.get("bulk deleted key name", BULK, {"run_id": "${run}", "metric_key": ""})
    t.get("bulk at api", "/api/2.0/mlflow/metrics/get-history-bulk", {"run_id": "${run}", "metric_key": "loss"}, compare="status")


def interval(t):
    ask = {"run_ids": ["${run}", "${other}", "${third}"], "metric_key": "loss"}
    t.get("interval", INTERVAL, ask)
    for value in ("1", "2", "3", "10", "57", "99", "100", "101", "320", "2500", "2501", "0", "-1", "abc", ""):
        t.get(f"interval max {value!r}", INTERVAL, {**ask, "max_results": value})
    for start, end in (("0", "10"), ("5", "5"), ("50", "200"), ("10", "5"), ("-5", "3"), ("500", "600"), ("0", None), (None, "5"), ("a", "b"), ("1.5", "3")):
        query = {**ask, "max_results": "5"}
        if start is not None:
            query["start_step"] = start
        if end is not None:
            query["end_step"] = end
        t.get(f"interval {start} to {end}", INTERVAL, query)
    t.get("interval repeated run", INTERVAL, {"run_ids": ["${other}", "${run}", "${other}"], "metric_key": "loss", "max_results": "3"})
    t.get("interval order of runs", INTERVAL, {"run_ids": ["${third}", "${run}"], "metric_key": "loss", "max_results": "3"})
    t.get("interval run without metric", INTERVAL, {"run_ids": ["${empty}", "${run}"], "metric_key": "loss", "max_results": "3"})
    t.get("interval unknown run", INTERVAL, {"run_ids": ["0" * 32], "metric_key": "loss"})
    t.get("interval unknown among known", INTERVAL, {"run_ids": ["${run}", "0" * 32], "metric_key": "loss", "max_results": "3"})
    t.get("interval unknown key", INTERVAL, {"run_ids": ["${run}"], "metric_key": "nothing"})
    t.get("interval 101 runs", INTERVAL, {"run_ids": ["%032x" % i for i in range(101)], "metric_key": "loss"})
    t.get("interval without runs", INTERVAL, {"metric_key": "loss"})
    t.get("interval without key", INTERVAL, {"run_ids": ["${run}"]})
    t.get("interval one run string", INTERVAL, {"run_ids": "${run}", "metric_key": "loss", "max_results": "4"})
    t.get("interval at ajax", "/ajax-api/2.0/mlflow/" + INTERVAL, {**ask, "max_results": "4"})
    t.get("interval latest values", INTERVAL, {"run_ids": ["${third}"], "metric_key": "nan against negative"})
