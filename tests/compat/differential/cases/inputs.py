"""runs/log-inputs, runs/outputs, search-datasets."""

DATASETS = "/ajax-api/2.0/mlflow/experiments/search-datasets"


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-inputs"}, save={"exp": "experiment_id"})
    for name in ("run", "second", "wrong"):
        t.post(f"run {name}", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": name}, save={name: "run.info.run_id"})
    data = {"name": "wine", "digest": "d1", "source_type": "local", "source": '{"uri": "x"}', "schema": '{"a": 1}', "profile": '{"rows": 5}'}
    context = [{"key": "mlflow.data.context", "value": "training"}]

    def log(case, body, show=True):
        t.post(case, "runs/log-inputs", {"run_id": "${run}" if show else "${wrong}", **body})
        if show:
            t.get(f"{case}, then get", "runs/get", {"run_id": "${run}"})

    log("one dataset", {"datasets": [{"tags": context, "dataset": data}]})
    log("again with other tags", {"datasets": [{"tags": [{"key": "mlflow.data.context", "value": "test"}], "dataset": data}]})
    log("again with other source", {"datasets": [{"tags": context, "dataset": {**data, "source": "other"}}]})
    log("other digest", {"datasets": [{"tags": context, "dataset": {**data, "digest": "d2"}}]})
    log("without tags", {"datasets": [{"dataset": {**data, "name": "bare"}}]})
    log("without schema", {"datasets": [{"dataset": {k: v for k, v in data.items() if k not in ("schema", "profile")} | {"name": "slim"}}]})
    log("two at once", {"datasets": [{"dataset": {**data, "name": "x"}}, {"dataset": {**data, "name": "y"}, "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]}]})
    log("same twice at once", {"datasets": [{"dataset": {**data, "name": "z"}}, {"dataset": {**data, "name": "z"}}]})
    log("nothing", {})
    log("empty list", {"datasets": []})
    log("camel case", {"datasets": [{"dataset": {"name": "camel", "digest": "d", "sourceType": "s", "source": "x"}}]})
    t.post("same dataset in second run", "runs/log-inputs", {"run_id": "${second}", "datasets": [{"tags": context, "dataset": {**data, "source": "ignored"}}]})
    t.get("second run", "runs/get", {"run_id": "${second}"})
    for field in ("name", "digest", "source_type", "source"):
        log(f"without {field}", {"datasets": [{"dataset": {k: v for k, v in data.items() if k != field}}]}, False)
        log(f"empty {field}", {"datasets": [{"dataset": {**data, field: ""}}]}, False)
        log(f"number {field}", {"datasets": [{"dataset": {**data, field: 5}}]}, False)
    for field, limit in (("name", 500), ("digest", 36), ("schema", 1048575), ("source", 65535)):
        log(f"{field} of {limit}", {"datasets": [{"dataset": {**data, "name": "l" + field, field: "n" * limit}}]}, False)
        log(f"{field} of {limit + 1}", {"datasets": [{"dataset": {**data, "name": "l" + field, field: "n" * (limit + 1)}}]}, False)
    for word, tag in (("key of 255", {"key": "k" * 255, "value": "v"}), ("key of 256", {"key": "k" * 256, "value": "v"}), ("value of 500", {"key": "k", "value": "v" * 500}),
                      ("value of 501", {"key": "k", "value": "v" * 501}), ("without key", {"value": "v"}), ("without value", {"key": "k"}), ("empty key", {"key": "", "value": "x"})):
        log(f"tag {word}", {"datasets": [{"dataset": {**data, "name": "t " + word}, "tags": [tag]}]}, False)
    log("without dataset", {"datasets": [{"tags": context}]}, False)
    log("datasets string", {"datasets": "x"}, False)
    log("datasets object", {"datasets": {"dataset": data}}, False)
    log("datasets of number", {"datasets": [5]}, False)
    for word, run in (("missing", None), ("empty", ""), ("unknown", "0" * 32), ("odd", "a/b"), ("long", "a" * 257)):
        t.post(f"run id {word}", "runs/log-inputs", {"datasets": [{"dataset": data}]} | ({} if run is None else {"run_id": run}))

    t.post("logged model", "logged-models", {"experiment_id": "${exp}", "name": "m", "source_run_id": "${run}"}, save={"model": "model.info.model_id"})
    log("model input", {"models": [{"model_id": "${model}"}]})
    log("model input again", {"models": [{"model_id": "${model}"}]})
    log("model input unknown", {"models": [{"model_id": "m-" + "0" * 32}]})
    log("model input empty", {"models": [{}]}, False)
    for case, models in (("one", [{"model_id": "${model}", "step": 3}]), ("again", [{"model_id": "${model}", "step": 4}]), ("two", [{"model_id": "${model}", "step": 5}, {"model_id": "${model}", "step": "6"}]),
                         ("without step", [{"model_id": "${model}"}]), ("without id", [{"step": 1}]), ("unknown", [{"model_id": "m-" + "1" * 32, "step": 1}]), ("none", []), ("word step", [{"model_id": "${model}", "step": "x"}])):
        t.post(f"output {case}", "runs/outputs", {"run_id": "${run}" if case in ("one", "unknown", "none") else "${wrong}", "models": models})
        t.get(f"output {case}, then get", "runs/get", {"run_id": "${run}"})
    t.post("output unknown run", "runs/outputs", {"run_id": "0" * 32, "models": [{"model_id": "${model}", "step": 1}]})
    t.post("output without run", "runs/outputs", {"models": [{"model_id": "${model}", "step": 1}]})
    t.post("output without models", "runs/outputs", {"run_id": "${run}"})
    t.post("search shows inputs", "runs/search", {"experiment_ids": ["${exp}"], "filter": "run_id = '${run}'"})
    t.post("experiment to search", "experiments/create", {"name": "${u}-inputs2"}, save={"exp": "experiment_id"})
    t.post("run to search", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": "s"}, save={"second": "run.info.run_id"})
    t.post("datasets to search", "runs/log-inputs", {"run_id": "${second}", "datasets": [{"tags": context, "dataset": data}, {"dataset": {**data, "name": "two", "digest": "d9"}}]})
    t.post("search datasets", DATASETS, {"experiment_ids": ["${exp}"]}, order=False)
    t.post("search datasets of unknown", DATASETS, {"experiment_ids": ["999999999"]}, order=False)
    t.post("search datasets empty", DATASETS, {"experiment_ids": []}, order=False)
    t.post("search datasets null", DATASETS, {"experiment_ids": None}, order=False)
    t.post("search datasets repeated", DATASETS, {"experiment_ids": ["${exp}", "${exp}"]}, order=False)
    t.post("delete second", "runs/delete", {"run_id": "${second}"})
    t.post("search datasets after delete", DATASETS, {"experiment_ids": ["${exp}"]}, order=False)
