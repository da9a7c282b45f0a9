"""Runs: create, get, update, delete, restore, tags, params, log-model, lifecycle."""


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-runs"}, save={"exp": "experiment_id"})
    create(t)
    get(t)
    update(t)
    params(t)
    tags(t)
    log_model(t)
    lifecycle(t)


def make(t, case, **fields):
    """A run of its own for one case."""
    name = case.replace(" ", "_")
    t.post(f"run for {case}", "runs/create", {"experiment_id": "${exp}", "start_time": 1000, "run_name": case, **fields},
           save={name: "run.info.run_id"})
    return "${%s}" % name


def create(t):
    def creates(case, body, show=True):
        t.post(f"create {case}", "runs/create", {"experiment_id": "${exp}", **body}, save={"made": "run.info.run_id"})
        if show:
            t.get(f"get {case}", "runs/get", {"run_id": "${made}"})

    creates("bare", {})
    creates("with start", {"start_time": 1600000000000})
    creates("with string start", {"start_time": "1600000000123"})
    creates("with zero start", {"start_time": 0})
    creates("with negative start", {"start_time": -5})
    creates("with user", {"user_id": "ann", "start_time": 5})
    creates("with empty user", {"user_id": ""})
    creates("with name", {"run_name": "first run"})
    creates("with empty name", {"run_name": ""})
    creates("with blank name", {"run_name": "  "})
    creates("with unicode name", {"run_name": "lauf ü 漢字 😀"})
    creates("with name in tag", {"tags": [{"key": "mlflow.runName", "value": "tagged"}]})
    creates("with same name in tag", {"run_name": "same", "tags": [{"key": "mlflow.runName", "value": "same"}]})
    creates("with other name in tag", {"run_name": "one", "tags": [{"key": "mlflow.runName", "value": "two"}]}, False)
    creates("with empty name and tag", {"run_name": "", "tags": [{"key": "mlflow.runName", "value": "tagged2"}]})
    creates("with tags", {"tags": [{"key": "a", "value": "1"}, {"key": "mlflow.user", "value": "bob"}, {"key": "mlflow.source.name", "value": "x.py"},
                                   {"key": "mlflow.source.type", "value": "LOCAL"}, {"key": "empty", "value": ""}]})
    creates("with tag without value", {"tags": [{"key": "a"}]})
    creates("with tag without key", {"tags": [{"value": "a"}]}, False)
    creates("with empty tag key", {"tags": [{"key": "", "value": "a"}]}, False)
    creates("with duplicate tags", {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, False)
    creates("with tag key of 250", {"tags": [{"key": "k" * 250, "value": "1"}]})
    creates("with tag key of 251", {"tags": [{"key": "k" * 251, "value": "1"}]}, False)
    creates("with tag value of 8000", {"tags": [{"key": "k", "value": "v" * 8000}]})
    creates("with tag value of 8001", {"tags": [{"key": "k", "value": "v" * 8001}]})
    creates("with bad tag key", {"tags": [{"key": "a//b", "value": "1"}]}, False)
    creates("in camel case", {"userId": "ann", "runName": "camel", "startTime": 7})
    creates("with both spellings", {"user_id": "ann", "userId": "bob"}, False)
    creates("with unknown fields", {"run_uuid": "abc", "status": "FINISHED", "x": {"y": 1}})
    creates("with nulls", {"user_id": None, "run_name": None, "start_time": None, "tags": None})
    creates("with float start", {"start_time": 5.0})
    creates("with fraction start", {"start_time": 5.5})
    creates("with word start", {"start_time": "abc"})
    creates("with huge start", {"start_time": 99999999999999999999})
    creates("with name of 250", {"run_name": "n" * 250})
    creates("with name of 251", {"run_name": "n" * 251}, False)
    creates("with parent", {"tags": [{"key": "mlflow.parentRunId", "value": "0" * 32}]})
    t.post("create in unknown experiment", "runs/create", {"experiment_id": "999999999"})
    t.post("create in word experiment", "runs/create", {"experiment_id": "abc"})
    t.post("create in the default", "runs/create", {"experiment_id": "0", "start_time": 1, "run_name": "d"}, drop=("artifact_uri",))
    t.post("create without experiment", "runs/create", {"start_time": 1, "run_name": "d"}, drop=("artifact_uri",))
    t.post("create in empty experiment", "runs/create", {"experiment_id": "", "start_time": 1, "run_name": "d"}, drop=("artifact_uri",))
    t.wrong_fields("create", "POST", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "w", "user_id": "u", "tags": []}, [],
                   ["experiment_id", "start_time", "run_name", "user_id", "tags"])
    for location, word in (("gs://b/p", "gs"), ("gs://b/p/", "gs with slash"), ("gs://b/p?x=1", "gs with query"), ("s3://b", "s3")):
        t.post(f"experiment at {word}", "experiments/create", {"name": "${u}-at-" + word, "artifact_location": location}, save={"exp_at": "experiment_id"})
        t.post(f"create at {word}", "runs/create", {"experiment_id": "${exp_at}", "run_name": "x"}, save={"made": "run.info.run_id"})


def get(t):
    run = make(t, "get")
    t.get("read by run_uuid", "runs/get", {"run_uuid": run})
    t.get("read by both", "runs/get", {"run_uuid": run, "run_id": run})
    t.get("read by two different", "runs/get", {"run_uuid": "0" * 32, "run_id": run})
    t.get("read in camel case", "runs/get", {"runId": run})
    t.send("read by body", "GET", "runs/get", body={"run_id": run})
    for word, value in (("unknown", "0" * 32), ("short", "abc"), ("upper", "A" * 32), ("odd", "a/b c"), ("long", "a" * 300), ("unicode", "é")):
        t.get(f"read {word}", "runs/get", {"run_id": value})
    t.wrong_query("read", "runs/get", {"run_id": run}, ["run_id"])
    t.get("read at ajax", "/ajax-api/2.0/mlflow/runs/get", {"run_id": run})


def update(t):
    run = make(t, "update")

    def updates(case, body):
        t.post(f"update {case}", "runs/update", {"run_id": run, **body})
        t.get(f"get after update {case}", "runs/get", {"run_id": run})

    updates("nothing", {})
    updates("status", {"status": "FINISHED", "end_time": 1600000000500})
    updates("status back", {"status": "RUNNING"})
    for status in ("SCHEDULED", "FAILED", "KILLED"):
        updates(status, {"status": status})
    updates("status by number", {"status": 3})
    updates("status by string number", {"status": "3"})
    updates("unknown status", {"status": "DONE"})
    updates("lower status", {"status": "finished"})
    updates("unknown status number", {"status": 77})
    updates("end zero", {"end_time": 0})
    updates("end string", {"end_time": "1600000000777"})
    updates("end negative", {"end_time": -1})
    updates("end word", {"end_time": "abc"})
    updates("name", {"run_name": "renamed"})
    updates("empty name", {"run_name": ""})
    updates("unicode name", {"run_name": "ü 漢"})
    updates("camel case", {"runName": "camelled", "endTime": 1600000000900})
    updates("null", {"status": None, "end_time": None, "run_name": None})
    t.post("update long name", "runs/update", {"run_id": make(t, "long"), "run_name": "n" * 251})
    t.post("update by run_uuid", "runs/update", {"run_uuid": run, "status": "FINISHED"})
    t.post("update unknown", "runs/update", {"run_id": "0" * 32, "status": "FINISHED"})
    t.wrong_fields("update", "POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": 5, "run_name": "x"}, ["run_id"],
                   ["status", "end_time", "run_name"])


def params(t):
    run = make(t, "params")
    good = {"run_id": run, "key": "alpha", "value": "0.5"}
    path = "runs/log-parameter"
    t.post("param", path, good)
    t.post("param again", path, good)
    t.post("param changed", path, {**good, "value": "0.6"})
    t.post("param empty", path, {**good, "key": "empty", "value": ""})
    t.post("param without value", path, {"run_id": run, "key": "novalue"})
    t.post("param null value", path, {"run_id": run, "key": "nullvalue", "value": None})
    t.post("param empty changed", path, {**good, "key": "empty", "value": "x"})
    t.post("param unicode", path, {**good, "key": "é ü", "value": "漢字 😀"})
    t.post("param by run_uuid", path, {"run_uuid": run, "key": "uuid", "value": "v"})
    t.post("param of 6000", path, {**good, "key": "l6000", "value": "v" * 6000})
    t.post("param of 6001", path, {**good, "key": "l6001", "value": "v" * 6001})
    t.post("param of 6001 again", path, {**good, "key": "l6001", "value": "v" * 6002})
    t.post("param of 6001 changed", path, {**good, "key": "l6001", "value": "w" * 6001})
    t.post("param wide of 6001", path, {**good, "key": "wide", "value": "é" * 6001})
    t.post("param unknown run", path, {**good, "run_id": "0" * 32})
    t.post("param quotes", path, {**good, "key": "quotes", "value": "it's \"x\" \\ \t\n"})
    t.wrong_fields("param", "POST", path, {**good, "key": "w"}, ["run_id", "key"], ["value"])
    keys(t, "param", path, good)
    t.get("get params", "runs/get", {"run_id": run})


def keys(t, word, path, good):
    for name, key in (("of 250", "k" * 250), ("of 251", "k" * 251), ("double slash", "a//b"), ("absolute", "/a"), ("dots", ".."), ("dot", "."),
                      ("up", "../a"), ("slash at end", "a/"), ("star", "a*b"), ("colon", "a:b"), ("unicode", "é漢"), ("comma", "a,b"), ("newline", "a\nb"),
                      ("inner dot", "a/./b"), ("inner up", "a/../b"), ("spaces", " a b "), ("percent", "a%b"), ("quote", "a'b"), ("dot file", ".a"),
                      ("two dots name", "..a"), ("slash path", "a/b/c"), ("emoji", "😀"), ("combining", "e\u0301"), ("tab", "a\tb")):
        t.post(f"{word} key {name}", path, {**good, "key": key})


def tags(t):
    run = make(t, "tags")
    good = {"run_id": run, "key": "k", "value": "v"}
    path = "runs/set-tag"
    t.post("tag", path, good)
    t.post("tag again", path, {**good, "value": "w"})
    t.post("tag empty", path, {**good, "key": "e", "value": ""})
    t.post("tag without value", path, {"run_id": run, "key": "nv"})
    t.post("tag null value", path, {"run_id": run, "key": "nullv", "value": None})
    t.post("tag by run_uuid", path, {"run_uuid": run, "key": "uuid", "value": "v"})
    t.post("tag of 8000", path, {**good, "key": "l8000", "value": "v" * 8000})
    t.post("tag of 8001", path, {**good, "key": "l8001", "value": "v" * 8001})
    t.post("tag unknown run", path, {**good, "run_id": "0" * 32})
    t.post("tag run name", path, {**good, "key": "mlflow.runName", "value": "by tag"})
    t.get("get after tag run name", "runs/get", {"run_id": run})
    t.post("tag empty run name", path, {**good, "key": "mlflow.runName", "value": ""})
    t.get("get after tag empty run name", "runs/get", {"run_id": run})
    t.post("tag user", path, {**good, "key": "mlflow.user", "value": "carol"})
    t.post("tag note", path, {**good, "key": "mlflow.note.content", "value": "# note\n*x*"})
    t.wrong_fields("tag", "POST", path, {**good, "key": "w"}, ["run_id", "key"], ["value"])
    keys(t, "tag", path, good)
    t.get("get tags", "runs/get", {"run_id": run})
    path = "runs/delete-tag"
    t.post("delete tag", path, {"run_id": run, "key": "k"})
    t.post("delete tag again", path, {"run_id": run, "key": "k"})
    t.post("delete tag unknown run", path, {"run_id": "0" * 32, "key": "k"})
    t.post("delete tag by run_uuid", path, {"run_uuid": run, "key": "e"})
    t.post("delete tag run name", path, {"run_id": run, "key": "mlflow.runName"})
    t.wrong_fields("delete tag", "POST", path, {"run_id": run, "key": "l8000"}, ["run_id", "key"])
    t.get("get after deleted tags", "runs/get", {"run_id": run})


def log_model(t):
    run = make(t, "model")
    path = "runs/log-model"
    import json
    model = {"artifact_path": "model", "flavors": {"sklearn": {"version": "1"}}, "utc_time_created": "2020-01-01 00:00:00.000000", "run_id": run}
    t.post("log model", path, {"run_id": run, "model_json": json.dumps(model)})
    t.post("log second model", path, {"run_id": run, "model_json": json.dumps({**model, "artifact_path": "second"})})
    t.get("get after log model", "runs/get", {"run_id": run})
    for field in model:
        t.post(f"log model without {field}", path, {"run_id": run, "model_json": json.dumps({k: v for k, v in model.items() if k != field})})
    t.post("log model not json", path, {"run_id": run, "model_json": "{"})
    t.post("log model list", path, {"run_id": run, "model_json": "[]"})
    t.post("log model unknown run", path, {"run_id": "0" * 32, "model_json": json.dumps(model)})
    t.wrong_fields("log model", "POST", path, {"run_id": run, "model_json": json.dumps(model)}, ["run_id", "model_json"])


def lifecycle(t):
    run = make(t, "life")
    t.post("param in life", "runs/log-parameter", {"run_id": run, "key": "a", "value": "1"})
    t.post("delete", "runs/delete", {"run_id": run})
    t.post("delete again", "runs/delete", {"run_id": run})
    t.get("get deleted", "runs/get", {"run_id": run})
    for word, path, body in (("update", "runs/update", {"status": "FINISHED"}), ("metric", "runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
                             ("param", "runs/log-parameter", {"key": "b", "value": "1"}), ("tag", "runs/set-tag", {"key": "b", "value": "1"}),
                             ("delete tag", "runs/delete-tag", {"key": "b"}), ("batch", "runs/log-batch", {"tags": [{"key": "b", "value": "1"}]}),
                             ("empty batch", "runs/log-batch", {}),
                             ("inputs", "runs/log-inputs", {"datasets": [{"dataset": {"name": "d", "digest": "1", "source_type": "s", "source": "s"}}]}),
                             ("outputs", "runs/outputs", {"models": [{"model_id": "m-" + "0" * 32, "step": 1}]})):
        t.post(f"{word} on deleted", path, {"run_id": run, **body})
    t.get("get deleted after writes", "runs/get", {"run_id": run})
    t.post("restore", "runs/restore", {"run_id": run})
    t.post("restore again", "runs/restore", {"run_id": run})
    t.get("get restored", "runs/get", {"run_id": run})
    for verb in ("delete", "restore"):
        t.post(f"{verb} unknown", f"runs/{verb}", {"run_id": "0" * 32})
        t.wrong_fields(verb, "POST", f"runs/{verb}", {"run_id": "0" * 32}, ["run_id"])
        t.post(f"{verb} by run_uuid", f"runs/{verb}", {"run_uuid": run})
