"""Model versions: create and its source rules, get, update, stages, tags, delete, search, download uri."""

from cases.runs import keys

GET, CREATE = "model-versions/get", "model-versions/create"


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-versions"}, save={"exp": "experiment_id"})
    for name in ("run", "other"):
        t.post(f"run {name}", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": name}, save={name: "run.info.run_id", f"{name}_uri": "run.info.artifact_uri"})
    t.post("logged model", "logged-models", {"experiment_id": "${exp}", "name": "lm", "source_run_id": "${run}"}, save={"lm": "model.info.model_id", "lm_uri": "model.info.artifact_uri"})
    t.post("model", "registered-models/create", {"name": "${u}"})
    create(t)
    read(t)
    change(t)
    stages(t)
    tags(t)
    delete(t)
    search(t)


def create(t):
    good = {"name": "${u}", "source": "gs://b/p"}

    t.post("model for sources", "registered-models/create", {"name": "${u}-sources"})

    def creates(case, body, show=True):
        """Where one of both may refuse, versions go to a model of their own: numbers of the other stay equal."""
        if not show:
            t.post(f"create {case}", CREATE, {**good, **body, "name": "${u}-sources"}, drop=("version",))
            return
        t.post(f"create {case}", CREATE, {**good, **body}, save={"v": "model_version.version"})
        if show:
            t.get(f"create {case}, then get", GET, {"name": "${u}", "version": "${v}"})
            t.get(f"create {case}, then uri", "model-versions/get-download-uri", {"name": "${u}", "version": "${v}"})

    creates("bare", {})
    creates("with all", {"run_id": "${run}", "run_link": "http://x/y", "description": "first", "tags": [{"key": "a", "value": "1"}]})
    creates("with unknown run", {"run_id": "0" * 32})
    creates("with null", {"run_id": None, "description": None, "tags": None, "run_link": None})
    creates("with empty", {"run_id": "", "description": "", "run_link": ""})
    creates("with duplicate tags", {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]})
    creates("from run uri", {"source": "runs:/${run}/model", "run_id": "${run}"})
    creates("from run uri without run", {"source": "runs:/${run}/model"}, False)
    creates("from run uri of other run", {"source": "runs:/${run}/model", "run_id": "${other}"}, False)
    creates("from artifact uri", {"source": "${run_uri}/model", "run_id": "${run}"})
    creates("from artifact uri without run", {"source": "${run_uri}/model"}, False)
    creates("from artifact uri of other run", {"source": "${run_uri}/model", "run_id": "${other}"}, False)
    creates("from artifact uri with dots", {"source": "${run_uri}/../x", "run_id": "${run}"}, False)
    creates("from artifact uri of unknown run", {"source": "${run_uri}/model", "run_id": "0" * 32}, False)
    creates("from experiment uri", {"source": "mlflow-artifacts:/${exp}/models", "run_id": "${run}"}, False)
    creates("from version", {"source": "models:/${u}/1"})
    creates("from second version", {"source": "models:/${u}/2"})
    creates("from version with own run", {"source": "models:/${u}/2", "run_id": "${other}"}, False)
    creates("from version with same run", {"source": "models:/${u}/2", "run_id": "${run}"})
    creates("from unknown version", {"source": "models:/${u}/999"}, False)
    creates("from unknown model", {"source": "models:/${u}-nothing/1"}, False)
    creates("from unknown alias", {"source": "models:/${u}@nobody"}, False)
    creates("from stage", {"source": "models:/${u}/Production"}, False)
    creates("from latest", {"source": "models:/${u}/latest"}, False)
    creates("from bad models uri", {"source": "models:/"}, False)
    creates("from models uri of three", {"source": "models:/a/b/c"}, False)
    creates("from logged model", {"source": "models:/${lm}", "model_id": "${lm}"})
    creates("from logged model with run", {"source": "models:/${lm}", "model_id": "${lm}", "run_id": "${run}"})
    creates("from logged model without id", {"source": "models:/${lm}"}, False)
    creates("from logged model of other id", {"source": "models:/${lm}", "model_id": "m-" + "0" * 32}, False)
    creates("from unknown logged model", {"source": "models:/m-" + "0" * 32, "model_id": "m-" + "0" * 32}, False)
    creates("from logged model location", {"source": "${lm_uri}", "model_id": "${lm}"})
    creates("from logged model location without id", {"source": "${lm_uri}"}, False)
    t.get("logged model after versions", "logged-models/${lm}")
    for word, source in (("s3", "s3://b/p"), ("wasbs", "wasbs://c@a.blob.core.windows.net/p"), ("dbfs", "dbfs:/x"), ("gs with space", "gs://b/p q"), ("gs unicode", "gs://b/ü")):
        creates("from " + word, {"source": source})
    for word, source in (("empty", ""), ("gs with query", "gs://b/p?x=1"), ("local path", "/etc/passwd"), ("relative path", "etc/passwd"), ("file uri", "file:///etc/passwd"), ("file uri with host", "file://host/x"), ("http", "http://host/x"), ("https", "https://host/x"), ("ftp", "ftp://host/x"), ("gs dots", "gs://b/../x"),
                         ("gs encoded dots", "gs://b/%2e%2e/x"), ("gs twice encoded dots", "gs://b/%252e%252e/x"), ("double slash", "gs://b//x"), ("s3 trailing dots", "s3://b/x/.."), ("fragment", "gs://b/x#y"), ("foreign proxy", "mlflow-artifacts://host/x"), ("proxy root", "mlflow-artifacts:/"), ("hdfs", "hdfs://h/x"),
                         ("unknown scheme", "zzz://b/x"), ("colon", ":"), ("dots", ".."), ("single dot in path", "s3://b/./x"), ("windows", "C:\\x"), ("nul", "gs://b/x\u0000y"), ("encoded nul", "gs://b/x%00y"), ("just scheme", "gs:"), ("prompt", "dummy-source")):
        creates("from " + word, {"source": source}, False)
    t.post("create unknown model", CREATE, {**good, "name": "${u}-nothing"})
    t.post("create bad model name", CREATE, {**good, "name": "a/b"})
    t.wrong_fields("create", "POST", CREATE, {**good, "run_id": "${run}", "tags": [], "description": "d", "run_link": "l"}, ["name", "source"], ["run_id", "tags", "description", "run_link"])
    for word, tag in (("without key", {"value": "1"}), ("without value", {"key": "x"}), ("key of 251", {"key": "k" * 251, "value": "1"}), ("value of 100001", {"key": "k", "value": "v" * 100001}), ("bad key", {"key": "a//b", "value": "1"})):
        creates("tag " + word, {"tags": [tag]}, False)
    t.post("create in camel case", CREATE, {"name": "${u}", "source": "gs://b/p", "runId": "${run}", "runLink": "l"})


def read(t):
    for version in ("1", "01", "0", "-1", "9999", "x", "1.0", "", " 1", "99999999999999999999", "latest"):
        t.get(f"get version {version!r}", GET, {"name": "${u}", "version": version})
        t.get(f"uri of version {version!r}", "model-versions/get-download-uri", {"name": "${u}", "version": version})
    t.get("get unknown model", GET, {"name": "${u}-nothing", "version": "1"})
    t.get("uri of unknown model", "model-versions/get-download-uri", {"name": "${u}-nothing", "version": "1"})
    t.wrong_query("get", GET, {"name": "${u}", "version": "1"}, ["name", "version"])
    t.wrong_query("uri", "model-versions/get-download-uri", {"name": "${u}", "version": "1"}, ["name", "version"])


def change(t):
    path = "model-versions/update"
    good = {"name": "${u}", "version": "1", "description": "changed"}
    t.patch("update", path, good)
    t.get("update, then get", GET, {"name": "${u}", "version": "1"})
    t.patch("update without description", path, {"name": "${u}", "version": "1"})
    t.get("update without description, then get", GET, {"name": "${u}", "version": "1"})
    t.patch("update empty description", path, {**good, "description": ""})
    t.get("update empty description, then get", GET, {"name": "${u}", "version": "1"})
    t.patch("update unknown version", path, {**good, "version": "9999"})
    t.patch("update word version", path, {**good, "version": "x"})
    t.patch("update unknown model", path, {**good, "name": "${u}-nothing"})
    t.wrong_fields("update", "PATCH", path, good, ["name", "version"], ["description"])


def stages(t):
    path = "model-versions/transition-stage"
    name = "${u}-stages"
    t.post("stage model", "registered-models/create", {"name": name})
    for i in range(1, 5):
        t.post(f"stage version {i}", CREATE, {"name": name, "source": "gs://b/p"})
    good = {"name": name, "version": "1", "stage": "Staging", "archive_existing_versions": False}
    for stage in ("Staging", "production", "ARCHIVED", "none", "None", "Nope", "", "Deleted_Internal", "staging "):
        t.post(f"stage {stage!r}", path, {**good, "stage": stage})
        t.get(f"stage {stage!r}, then get", GET, {"name": name, "version": "1"})
    t.post("stage 2 in production", path, {**good, "version": "2", "stage": "Production"})
    t.post("stage 3 in production", path, {**good, "version": "3", "stage": "Production"})
    t.post("stage 4 with archiving", path, {**good, "version": "4", "stage": "Production", "archive_existing_versions": True})
    for i in range(1, 5):
        t.get(f"stage version {i} after archiving", GET, {"name": name, "version": str(i)})
    t.post("stage archiving to archived", path, {**good, "stage": "Archived", "archive_existing_versions": True})
    t.post("stage archiving to none", path, {**good, "stage": "None", "archive_existing_versions": True})
    t.post("stage archiving as string", path, {**good, "archive_existing_versions": "true"})
    t.post("stage archiving as number", path, {**good, "archive_existing_versions": 1})
    t.post("stage without archiving", path, {k: v for k, v in good.items() if k != "archive_existing_versions"})
    t.post("stage archiving null", path, {**good, "archive_existing_versions": None})
    t.post("stage unknown version", path, {**good, "version": "99"})
    t.post("stage word version", path, {**good, "version": "x"})
    t.post("stage unknown model", path, {**good, "name": "${u}-nothing"})
    t.wrong_fields("stage", "POST", path, good, ["name", "version", "stage"])
    t.get("stage model at last", "registered-models/get", {"name": name})
    t.post("copy of stage", CREATE, {"name": "${u}", "source": "models:/${u}-stages/Production"})
    t.post("alias for copy", "registered-models/alias", {"name": name, "alias": "best", "version": "2"})
    t.post("copy of alias", CREATE, {"name": "${u}", "source": "models:/${u}-stages@best"})


def tags(t):
    path = "model-versions/set-tag"
    good = {"name": "${u}", "version": "1", "key": "x", "value": "1"}
    t.post("tag", path, good)
    t.post("tag again", path, {**good, "value": "2"})
    t.post("tag empty", path, {**good, "key": "empty", "value": ""})
    t.post("tag without value", path, {"name": "${u}", "version": "1", "key": "nv"})
    t.post("tag unknown version", path, {**good, "version": "9999"})
    t.post("tag unknown model", path, {**good, "name": "${u}-nothing"})
    t.post("tag of 100001", path, {**good, "key": "l2", "value": "v" * 100001})
    t.wrong_fields("tag", "POST", path, {**good, "key": "w"}, ["name", "version", "key"], ["value"])
    keys(t, "tag", path, good)
    path = "model-versions/delete-tag"
    t.delete("delete tag", path, {"name": "${u}", "version": "1", "key": "empty"})
    t.delete("delete tag again", path, {"name": "${u}", "version": "1", "key": "empty"})
    t.delete("delete tag unknown version", path, {"name": "${u}", "version": "9999", "key": "x"})
    t.delete("delete tag unknown model", path, {"name": "${u}-nothing", "version": "1", "key": "x"})
    t.wrong_fields("delete tag", "DELETE", path, {"name": "${u}", "version": "1", "key": "nv"}, ["name", "version", "key"])
    t.get("get after tags", GET, {"name": "${u}", "version": "1"})


def delete(t):
    path = "model-versions/delete"
    name = "${u}-delete"
    t.post("delete model", "registered-models/create", {"name": name})
    for i in (1, 2, 3):
        t.post(f"delete version {i}", CREATE, {"name": name, "source": "gs://b/p", "run_id": "${run}", "description": "x", "tags": [{"key": "a", "value": "1"}]})
    t.post("delete alias", "registered-models/alias", {"name": name, "alias": "a", "version": "3"})
    t.delete("delete", path, {"name": name, "version": "3"})
    t.delete("delete again", path, {"name": name, "version": "3"})
    t.get("delete, then get", GET, {"name": name, "version": "3"})
    t.get("delete, then uri", "model-versions/get-download-uri", {"name": name, "version": "3"})
    t.get("delete, then alias", "registered-models/alias", {"name": name, "alias": "a"})
    t.get("delete, then model", "registered-models/get", {"name": name})
    t.post("delete, then tag", "model-versions/set-tag", {"name": name, "version": "3", "key": "a", "value": "b"})
    t.patch("delete, then update", "model-versions/update", {"name": name, "version": "3", "description": "b"})
    t.post("delete, then stage", "model-versions/transition-stage", {"name": name, "version": "3", "stage": "Staging"})
    t.post("delete, then create", CREATE, {"name": name, "source": "gs://b/p"})
    t.get("delete, then search", "model-versions/search", {"filter": "name = '${u}-delete'"})
    t.delete("delete number version", path, {"name": name, "version": 2})
    t.delete("delete unknown version", path, {"name": name, "version": "99"})
    t.delete("delete word version", path, {"name": name, "version": "x"})
    t.delete("delete unknown model", path, {"name": "${u}-nothing", "version": "1"})
    t.wrong_fields("delete", "DELETE", path, {"name": name, "version": "99"}, ["name", "version"])
    t.post("delete, then rename", "registered-models/rename", {"name": name, "new_name": name + "d"})
    t.get("renamed model", "registered-models/get", {"name": name + "d"})
    t.get("renamed version", GET, {"name": name + "d", "version": "1"})
    t.delete("delete whole model", "registered-models/delete", {"name": name + "d"})
    t.get("version of deleted model", GET, {"name": name + "d", "version": "1"})
    t.post("model anew", "registered-models/create", {"name": name + "d"})
    t.post("version of model anew", CREATE, {"name": name + "d", "source": "gs://b/p"})


def search(t):
    for i, (name, source, tag, run) in enumerate((("x", "gs://b/one", "red", "${run}"), ("x", "gs://b/two", "blue", ""), ("y", "s3://b/One", "red", "${run}"), ("Y2", "gs://b/three", None, "${other}"), ("x", "gs://b/four", "red", "${run}"))):
        t.post(f"search model {i}", "registered-models/create", {"name": "${u}f-" + name})
        t.post(f"search version {i}", CREATE, {"name": "${u}f-" + name, "source": source, "run_id": run, "tags": [{"key": "colour", "value": tag}, {"key": "n", "value": str(i)}] if tag else []})
    t.post("search stage", "model-versions/transition-stage", {"name": "${u}f-x", "version": "1", "stage": "Staging"})
    t.post("search alias", "registered-models/alias", {"name": "${u}f-x", "alias": "a", "version": "2"})
    t.delete("search delete", "model-versions/delete", {"name": "${u}f-x", "version": "3"})
    t.post("search prompt", "registered-models/create", {"name": "${u}f-p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    t.post("search prompt version", CREATE, {"name": "${u}f-p", "source": "dummy-source", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "Hi {{x}}"}]})
    t.post("copy of prompt", CREATE, {"name": "${u}f-x", "source": "models:/${u}f-p/1"})
    path = "model-versions/search"

    def find(case, text="", **more):
        # Ours names a version's aliases here too.
        t.get("search " + case, path, {"filter": "name LIKE '${u}f-%'" + (" AND " + text if text else ""), **more}, drop=("aliases",))

    find("all")
    for text in ("name = '${u}f-x'", "name != '${u}f-x'", "name ILIKE '%F-Y%'", "name IN ('${u}f-x', '${u}f-y')", "name NOT IN ('${u}f-x')", "run_id = '${run}'", "run_id != '${run}'", "run_id IN ('${run}', '${other}')", "run_id NOT IN ('${run}')", "run_id LIKE '%'", "run_id = ''", "source_path = 'gs://b/one'",
                 "source_path LIKE 'gs://%'", "source_path ILIKE '%ONE'", "source_path != 'gs://b/one'", "source_path IN ('x')", "source = 'gs://b/one'", "version_number = 1", "version_number = '1'", "version_number > 1", "version_number >= 2", "version_number < 2", "version_number <= 1", "version_number != 1", "version_number = 1.5",
                 "version_number = 'x'", "version_number IN (1)", "version_number LIKE '1'", "version = '1'", "tags.colour = 'red'", "tags.colour != 'red'", "tags.colour LIKE 'r%'", "tags.colour ILIKE 'RED'", "tags.colour = 'red' AND tags.n = '0'", "tags.colour IS NULL", "tag.colour = 'red'", "tags.`n` = '1'",
                 "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` = 'true' AND tags.`mlflow.prompt.run_ids` ILIKE \"%x%\"", "tags.`mlflow.prompt.is_prompt` != 'false'", "current_stage = 'Staging'", "stage = 'Staging'", "status = 'READY'", "creation_timestamp > 0", "last_updated_timestamp > 0", "aliases = 'a'",
                 "foo = 'x'", "name = x", "run_id = x", "run_id > 'a'", "name = 'a' OR name = 'b'", "name", "name =", "name = 'a", "attribute.name = '${u}f-x'", "attributes.run_id = '${run}'", "user_id = 'x'", "description = 'x'", "run_id IN ()", "model_id = 'x'"):
        find(f"[{text}]", text)
    t.get("search by run alone", path, {"filter": "run_id='${other}'"})
    for order in (["name"], ["name DESC"], ["version_number"], ["version_number DESC", "name"], ["creation_timestamp"], ["creation_timestamp DESC"], ["last_updated_timestamp"], ["last_updated_timestamp ASC"], ["name ASC", "version_number DESC"], ["name", "name"], ["foo"], ["run_id"], ["source_path"], ["version"], ["name FOO"], [""], ["tags.x"],
                  ["timestamp"]):
        find(f"order {order}", order_by=order)
    ask = {"filter": "name LIKE '${u}f-%'", "max_results": "2", "order_by": ["name", "version_number"]}
    t.get("search page 1", path, ask, save={"token": "next_page_token"}, drop=("aliases",))
    t.get("search page 2", path, {**ask, "page_token": "${token}"}, save={"token": "next_page_token"}, drop=("aliases",))
    for value in ("0", "1", "-1", "200000", "200001", "abc", "1.5", ""):
        find(f"max {value!r}", max_results=value)
    for token in ("rubbish", "e30="):
        find(f"token {token!r}", page_token=token)
    t.send("search by body", "GET", path, body={"filter": "name = '${u}f-x'"}, drop=("aliases",))
