"""Logged models: create, get, finalize, params, tags, delete, metrics, search, artifacts."""


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-lm"}, save={"exp": "experiment_id"})
    t.post("second experiment", "experiments/create", {"name": "${u}-lm2"}, save={"exp2": "experiment_id"})
    t.post("run", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    create(t)
    change(t)
    metrics(t)
    delete(t)
    search(t)


def create(t):
    def creates(case, body, show=True):
        t.post(f"create {case}", "logged-models", {"experiment_id": "${exp}", **body}, save={"lm_made": "model.info.model_id"})
        if show:
            t.get(f"create {case}, then get", "logged-models/${lm_made}")

    creates("bare", {})
    creates("with all", {"name": "forest", "model_type": "agent", "source_run_id": "${run}", "params": [{"key": "a", "value": "1"}, {"key": "e", "value": ""}], "tags": [{"key": "t", "value": "x"}]})
    creates("with unknown run", {"name": "m", "source_run_id": "0" * 32})
    creates("with empty", {"name": "m", "model_type": "", "source_run_id": ""})
    creates("with empty name", {"name": ""})
    creates("with null", {"name": None, "params": None, "tags": None, "model_type": None})
    creates("unicode", {"name": "ü 漢字"})
    creates("duplicate name", {"name": "forest"})
    creates("duplicate params", {"name": "m", "params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, False)
    creates("duplicate tags", {"name": "m", "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, False)
    creates("param without value", {"name": "m", "params": [{"key": "a"}]}, False)
    creates("param without key", {"name": "m", "params": [{"value": "a"}]}, False)
    creates("tag without value", {"name": "m", "tags": [{"key": "a"}]}, False)
    creates("long param", {"name": "m", "params": [{"key": "a", "value": "v" * 6001}]}, False)
    creates("long param key", {"name": "m", "params": [{"key": "k" * 251, "value": "v"}]}, False)
    creates("long tag", {"name": "m", "tags": [{"key": "a", "value": "v" * 8001}]}, False)
    creates("long tag key", {"name": "m", "tags": [{"key": "k" * 251, "value": "v"}]}, False)
    creates("101 params", {"name": "m", "params": [{"key": f"k{i}", "value": "v"} for i in range(101)]}, False)
    creates("long name", {"name": "n" * 501}, False)
    for char in "/:.%\"'":
        creates(f"name with {char}", {"name": f"a{char}b"}, False)
    t.post("create in unknown experiment", "logged-models", {"experiment_id": "999999999", "name": "m"})
    t.post("create in word experiment", "logged-models", {"experiment_id": "abc", "name": "m"})
    t.wrong_fields("create", "POST", "logged-models", {"experiment_id": "${exp}", "name": "m", "model_type": "t", "source_run_id": "${run}", "params": [], "tags": []}, ["experiment_id"],
                   ["name", "model_type", "source_run_id", "params", "tags"])
    t.post("create at location", "experiments/create", {"name": "${u}-lmgs", "artifact_location": "gs://b/p"}, save={"exp_gs": "experiment_id"})
    t.post("create in gs", "logged-models", {"experiment_id": "${exp_gs}", "name": "m"}, save={"lm_gs": "model.info.model_id"})
    for word, value in (("unknown", "m-" + "0" * 32), ("odd", "abc"), ("long", "a" * 300)):
        t.get(f"get {word}", f"logged-models/{value}")
    t.get("get at ajax", "/ajax-api/2.0/mlflow/logged-models/${lm_made}")


def change(t):
    for name in ("lm", "lm_wrong"):
        t.post(f"{name} to change", "logged-models", {"experiment_id": "${exp}", "name": "change"}, save={name: "model.info.model_id"})
    one, wrong = "logged-models/${lm}", "logged-models/${lm_wrong}"
    for word, body in (("ready", {"status": "LOGGED_MODEL_READY"}), ("failed", {"status": "LOGGED_MODEL_UPLOAD_FAILED"}), ("pending", {"status": "LOGGED_MODEL_PENDING"}), ("by number", {"status": 2})):
        t.patch(f"finalize {word}", one, {"model_id": "${lm}", **body})
        t.get(f"finalize {word}, then get", one)
    for word, body in (("unknown", {"status": "READY"}), ("number 9", {"status": 9}), ("without status", {}), ("unspecified", {"status": "LOGGED_MODEL_STATUS_UNSPECIFIED"}), ("null", {"status": None}), ("list", {"status": []})):
        t.patch(f"finalize wrong {word}", wrong, {"model_id": "${lm_wrong}", **body})
    t.patch("finalize without id", one, {"status": "LOGGED_MODEL_READY"})
    t.patch("finalize other id", one, {"model_id": "m-" + "0" * 32, "status": "LOGGED_MODEL_READY"})
    t.patch("finalize unknown model", "logged-models/m-" + "0" * 32, {"model_id": "m-" + "0" * 32, "status": "LOGGED_MODEL_READY"})
    for word, params in (("two", [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]), ("again", [{"key": "a", "value": "1"}]), ("changed", [{"key": "a", "value": "2"}]), ("none", []), ("without value", [{"key": "nv"}])):
        t.post(f"params {word}", one + "/params", {"model_id": "${lm}", "params": params})
    for word, params in (("without key", [{"value": "1"}]), ("long", [{"key": "l", "value": "v" * 6001}]), ("number", [{"key": "n", "value": 5}]), ("string", "abc")):
        t.post(f"params wrong {word}", wrong + "/params", {"model_id": "${lm_wrong}", "params": params})
    t.post("params without id", one + "/params", {"params": [{"key": "c", "value": "1"}]})
    t.post("params of unknown", "logged-models/m-" + "0" * 32 + "/params", {"model_id": "m-" + "0" * 32, "params": [{"key": "c", "value": "1"}]})
    t.get("params, then get", one)
    for word, tags in (("two", [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]), ("again", [{"key": "a", "value": "2"}]), ("none", []), ("without value", [{"key": "nv"}]), ("twice in one", [{"key": "d", "value": "1"}, {"key": "d", "value": "2"}]), ("slash key", [{"key": "x/y", "value": "1"}]), ("space key", [{"key": "x y", "value": "1"}])):
        t.patch(f"tags {word}", one + "/tags", {"model_id": "${lm}", "tags": tags})
    for word, tags in (("without key", [{"value": "1"}]), ("long", [{"key": "l", "value": "v" * 8001}]), ("long key", [{"key": "l" * 251, "value": "v"}]), ("odd key", [{"key": "a//b", "value": "1"}]), ("string", "abc")):
        t.patch(f"tags wrong {word}", wrong + "/tags", {"model_id": "${lm_wrong}", "tags": tags})
    t.patch("tags without id", one + "/tags", {"tags": [{"key": "c", "value": "1"}]})
    t.patch("tags of unknown", "logged-models/m-" + "0" * 32 + "/tags", {"model_id": "m-" + "0" * 32, "tags": [{"key": "c", "value": "1"}]})
    t.get("tags, then get", one)
    t.delete("delete tag", one + "/tags/a")
    t.delete("delete tag again", one + "/tags/a")
    t.send("delete tag without body", "DELETE", one + "/tags/b")
    t.delete("delete tag with space", one + "/tags/x%20y")
    t.delete("delete tag with slash", wrong + "/tags/x%2Fy", compare="status")
    t.delete("delete tag of unknown", "logged-models/m-" + "0" * 32 + "/tags/a")
    t.get("deleted tags, then get", one)


def metrics(t):
    t.post("to measure", "logged-models", {"experiment_id": "${exp}", "name": "measured", "source_run_id": "${run}"}, save={"lm_m": "model.info.model_id"})
    good = {"run_id": "${run}", "key": "acc", "value": 0.5, "timestamp": 5, "step": 1, "model_id": "${lm_m}"}
    for word, change in (("first", {}), ("repeated", {}), ("later", {"step": 2, "value": 0.7}), ("with dataset", {"dataset_name": "d", "dataset_digest": "x", "key": "ds"}), ("nan", {"key": "nan", "value": "NaN"}),
                         ("inf", {"key": "inf", "value": "Infinity"}), ("of empty model", {"model_id": "", "key": "em"})):
        t.post(f"metric {word}", "runs/log-metric", {**good, **change})
    t.post("run for wrong ones", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "w"}, save={"wrong": "run.info.run_id"})
    t.post("model for wrong ones", "logged-models", {"experiment_id": "${exp}", "name": "w"}, save={"lm_w": "model.info.model_id"})
    for word, change in (("once", {}), ("same step", {"value": 0.9}), ("with dataset name alone", {"dataset_name": "d", "key": "dn"}), ("of unknown model", {"model_id": "m-" + "0" * 32, "key": "um"})):
        t.post(f"metric wrong {word}", "runs/log-metric", {**good, "run_id": "${wrong}", "model_id": "${lm_w}", **change})
    t.post("metrics in batch", "runs/log-batch", {"run_id": "${run}", "metrics": [{"key": "b1", "value": 1, "timestamp": 5, "step": 0, "model_id": "${lm_m}"}, {"key": "b2", "value": 2, "timestamp": 5, "step": 0, "model_id": "${lm_m}", "dataset_name": "d", "dataset_digest": "x"}, {"key": "b3", "value": 3, "timestamp": 5}]})
    t.get("metrics of model", "logged-models/${lm_m}")
    t.get("metrics of run", "runs/get", {"run_id": "${run}"})
    t.get("history of run", "metrics/get-history", {"run_id": "${run}", "metric_key": "acc"})
    t.post("outputs", "runs/outputs", {"run_id": "${run}", "models": [{"model_id": "${lm_m}", "step": 2}]})
    t.get("run with output", "runs/get", {"run_id": "${run}"})


def delete(t):
    t.post("to delete", "logged-models", {"experiment_id": "${exp}", "name": "gone"}, save={"lm_d": "model.info.model_id"})
    one = "logged-models/${lm_d}"
    t.delete("delete", one)
    t.get("delete, then get", one)
    t.get("delete, then get deleted", one, {"allow_deleted": "true"})
    t.get("delete, then get not deleted", one, {"allow_deleted": "false"})
    t.get("delete, then get word", one, {"allow_deleted": "x"})
    t.delete("delete again", one)
    t.patch("delete, then finalize", one, {"model_id": "${lm_d}", "status": "LOGGED_MODEL_READY"})
    t.patch("delete, then tag", one + "/tags", {"model_id": "${lm_d}", "tags": [{"key": "c", "value": "1"}]})
    t.post("delete, then params", one + "/params", {"model_id": "${lm_d}", "params": [{"key": "c", "value": "1"}]})
    t.delete("delete unknown", "logged-models/m-" + "0" * 32)
    t.send("delete without body", "DELETE", "logged-models/m-" + "1" * 32)


def search(t):
    rows = [("a", "exp", 0.5, {"p": "1"}, {"team": "red"}, "LOGGED_MODEL_READY"), ("b", "exp", 0.7, {"p": "2"}, {"team": "blue"}, "LOGGED_MODEL_READY"), ("c", "exp", -2.5, {"p": "1"}, {}, None), ("d", "exp", None, {}, {"team": "red"}, "LOGGED_MODEL_UPLOAD_FAILED"), ("e", "exp2", 0.1, {"p": "1"}, {"team": "red"}, None)]
    t.post("search experiment", "experiments/create", {"name": "${u}-lms"}, save={"exp": "experiment_id"})
    t.post("search second experiment", "experiments/create", {"name": "${u}-lms2"}, save={"exp2": "experiment_id"})
    t.post("search run", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "r"}, save={"srun": "run.info.run_id"})
    for name, exp, value, params, tags, status in rows:
        var = f"lm_{name}"
        t.post(f"search create {name}", "logged-models", {"experiment_id": "${%s}" % exp, "name": name, "model_type": "type " + name, "source_run_id": "${srun}" if name in "ab" else "", "params": [{"key": k, "value": v} for k, v in params.items()], "tags": [{"key": k, "value": v} for k, v in tags.items()]},
               save={var: "model.info.model_id"})
        if value is not None:
            t.post(f"search metric {name}", "runs/log-batch", {"run_id": "${srun}", "metrics": [{"key": "acc", "value": value, "timestamp": 5, "step": 1, "model_id": "${%s}" % var}, {"key": "on", "value": value, "timestamp": 5, "step": 1, "model_id": "${%s}" % var, "dataset_name": "wine", "dataset_digest": "x" + name}]})
        if status:
            t.patch(f"search finalize {name}", "logged-models/${%s}" % var, {"model_id": "${%s}" % var, "status": status})
    t.delete("search delete d", "logged-models/${lm_d}")
    path = "logged-models/search"

    def find(case, **more):
        t.post("search " + case, path, {"experiment_ids": ["${exp}", "${exp2}"], **more})

    find("all")
    for text in ("metrics.acc > 0.4", "metrics.acc >= 0.5", "metrics.acc = 0.5", "metrics.acc != 0.5", "metrics.acc < 0.6", "metrics.missing > 0", "params.p = '1'", "params.p != '1'", "params.p LIKE '1'", "params.p ILIKE '1%'", "params.p IN ('1', '2')", "params.p NOT IN ('1')", "params.`p` = '1'", "tags.team = 'red'",
                 "tags.team != 'red'", "tags.team like 'r%'", "tags.team IN ('red')", "name = 'a'", "name != 'a'", "name LIKE 'a'", "name ILIKE 'A'", "name IN ('a', 'b')", "name NOT IN ('a')", "attributes.name = 'a'", "attribute.name = 'a'", "model_id = '${lm_a}'", "attributes.model_id IN ('${lm_a}', '${lm_b}')", "model_type = 'type a'",
                 "source_run_id = '${srun}'", "source_run_id != '${srun}'", "status = 2", "status = 'READY'", "status = 'LOGGED_MODEL_READY'", "status != 2", "status > 1", "status IN (2)", "creation_timestamp > 0", "creation_time > 0", "last_updated_timestamp > 0", "creation_timestamp < 5", "artifact_location LIKE '%models%'",
                 "metrics.acc > 0.4 AND params.p = '1'", "metrics.acc > 0.4 OR params.p = '1'", "metrics.acc > '0.4'", "metrics.acc LIKE '0'", "params.p = 1", "params.p > '1'", "foo = 'x'", "attributes.foo = 'x'", "name = a", "name", "name =", "(name = 'a')", "NOT name = 'a'", "params.p IS NULL", "tags.team IS NULL", "tags.team IS NOT NULL",
                 "metrics.acc > 0.4 AND metrics.acc < 0.6", "name = 'a'; name = 'b'", "experiment_id = '${exp}'", "lifecycle_stage = 'active'", "datasets.name = 'wine'", "params.p == '1'", "name = 'a", "attributes.status = 2", "tag.team = 'red'", "param.p = '1'", "metric.acc > 0.4"):
        find(f"[{text}]", filter=text)
    for order in ([{"field_name": "name"}], [{"field_name": "name", "ascending": False}], [{"field_name": "creation_time", "ascending": False}], [{"field_name": "creation_time"}], [{"field_name": "creation_timestamp", "ascending": True}], [{"field_name": "last_updated_timestamp"}], [{"field_name": "metrics.acc"}], [{"field_name": "metrics.acc", "ascending": False}],
                  [{"field_name": "metrics.on", "dataset_name": "wine"}], [{"field_name": "metrics.on", "dataset_name": "wine", "dataset_digest": "xb"}], [{"field_name": "metrics.missing"}], [{"field_name": "status"}, {"field_name": "name"}], [{"field_name": "model_type", "ascending": False}], [{"field_name": "foo"}], [{"field_name": "params.p"}], [{"field_name": "tags.team"}], [{}], [{"field_name": ""}],
                  [{"ascending": False}], ["name"], [{"field_name": "attributes.name"}], [{"field_name": "source_run_id"}, {"field_name": "name", "ascending": False}], [{"field_name": "name", "dataset_name": "wine"}], [{"field_name": "metrics.acc", "dataset_digest": "x"}], [{"fieldName": "name", "ascending": False}]):
        find(f"order {order}", order_by=order)
    for datasets in ([{"dataset_name": "wine"}], [{"dataset_name": "wine", "dataset_digest": "xa"}], [{"dataset_name": "nothing"}], [{"dataset_digest": "xa"}], [{}]):
        find(f"datasets {datasets}", datasets=datasets)
        find(f"datasets {datasets} with metric", datasets=datasets, filter="metrics.on > 0.4")
    page = dict(max_results=2, order_by=[{"field_name": "name"}])
    t.post("search page 1", path, {"experiment_ids": ["${exp}", "${exp2}"], **page}, save={"token": "next_page_token"})
    find("page 2", page_token="${token}", **page)
    find("page of other request", page_token="${token}", max_results=2, order_by=[{"field_name": "name", "ascending": False}])
    find("page of other filter", page_token="${token}", filter="name = 'a'", **page)
    for value in (0, 1, -1, 50, 51, 100, 1000, 1001, "2", "x", None, 1.5):
        find(f"max {value!r}", max_results=value)
    for token in ("rubbish", "", "e30="):
        find(f"token {token!r}", page_token=token, **page)
    for word, ids in (("missing", None), ("empty", []), ("unknown", ["999999999"]), ("word", ["abc"]), ("string", "5"), ("twice", ["${exp2}", "${exp2}"])):
        t.post(f"search experiments {word}", path, {} if ids is None else {"experiment_ids": ids})
    t.get("directories", "logged-models/${lm_a}/artifacts/directories")
    t.get("directories of path", "logged-models/${lm_a}/artifacts/directories", {"artifact_directory_path": "x"})
    t.get("directories of unknown", "logged-models/m-" + "0" * 32 + "/artifacts/directories")
    t.get("directories with dots", "logged-models/${lm_a}/artifacts/directories", {"artifact_directory_path": "../x"})
    lm = "/api/2.0/mlflow-artifacts/artifacts/${exp}/models/${lm_a}/artifacts/"
    t.put("put MLmodel", lm + "MLmodel", raw=b"flavors: {}\n", compare="status")
    t.put("put in folder", lm + "data/model.bin", raw=b"\x00\x01", compare="status")
    t.get("directories with files", "logged-models/${lm_a}/artifacts/directories")
    t.get("directories with files in folder", "logged-models/${lm_a}/artifacts/directories", {"artifact_directory_path": "data"})
    files = "/ajax-api/2.0/mlflow/logged-models/${lm_a}/artifacts/files"
    for path_ in ("MLmodel", "data/model.bin", "nothing", "../x", "", "data"):
        t.get(f"file {path_!r}", files, {"artifact_file_path": path_}, compare="bytes" if "d" in path_ or "M" in path_ else "json", head=("Content-Type", "Content-Disposition") if path_ in ("MLmodel", "data/model.bin") else ())
    t.get("file without path", files, compare="status")
    t.get("file of unknown", "/ajax-api/2.0/mlflow/logged-models/m-" + "0" * 32 + "/artifacts/files", {"artifact_file_path": "MLmodel"})
