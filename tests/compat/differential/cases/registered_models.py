"""Registered models: create, get, rename, update, delete, tags, aliases, search, latest versions."""

from cases.runs import keys


def cases(t):
    create(t)
    change(t)
    tags(t)
    aliases(t)
    latest(t)
    search(t)


def create(t):
    path = "registered-models/create"
    t.post("create", path, {"name": "${u}-a"})
    t.post("create with all", path, {"name": "${u}-b", "description": "a *model*", "tags": [{"key": "k", "value": "v"}, {"key": "e", "value": ""}]})
    t.post("create with duplicate tags", path, {"name": "${u}-c", "tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]})
    t.post("create with empty description", path, {"name": "${u}-d", "description": ""})
    t.post("create in unicode", path, {"name": "${u}-ü 漢字 😀", "description": "é"})
    t.post("create with odd name", path, {"name": "${u} x%+&?=.y"})
    t.post("create with null", path, {"name": "${u}-e", "description": None, "tags": None})
    t.post("create with deployment job", path, {"name": "${u}-job", "deployment_job_id": "5"})
    for x in ("-a", "-b", "-c", "-d", "-e", "-ü 漢字 😀", " x%+&?=.y", "-job"):
        t.get(f"get {x}", "registered-models/get", {"name": "${u}" + x})
    t.post("create twice", path, {"name": "${u}-a"})
    t.post("create other case", path, {"name": "${u}-A"})
    t.wrong_fields("create", "POST", path, {"name": "${u}-w", "description": "x", "tags": []}, ["name"], ["description", "tags"])
    for word, name in (("slash", "a/b"), ("colon", "a:b"), ("blank", "   "), ("dots", ".."), ("dot", "."), ("backslash", "${u}a\\b"), ("of 256", "${u}" + "n" * 248), ("of 257", "${u}" + "n" * 249), ("file uri", "file:x"),
                       ("newline", "${u}a\nb"), ("inner dots", "${u}..x"), ("percent", "${u}%2f"), ("leading space", " ${u}l"), ("tilde", "~${u}"), ("hash", "${u}#x")):
        t.post(f"create name {word}", path, {"name": name})
    for word, tag in (("without key", {"value": "1"}), ("without value", {"key": "x"}), ("key of 250", {"key": "k" * 250, "value": "1"}), ("key of 251", {"key": "k" * 251, "value": "1"}),
                      ("value of 100000", {"key": "k", "value": "v" * 100000}), ("value of 100001", {"key": "k", "value": "v" * 100001}), ("bad key", {"key": "a//b", "value": "1"}), ("number", {"key": 1, "value": 2})):
        t.post(f"create tag {word}", path, {"name": "${u}-t " + word, "tags": [tag]})
    t.get("get unknown", "registered-models/get", {"name": "${u}-nothing"})
    t.wrong_query("get", "registered-models/get", {"name": "x"}, ["name"])
    t.send("get by body", "GET", "registered-models/get", body={"name": "${u}-b"})
    t.get("get at ajax", "/ajax-api/2.0/mlflow/registered-models/get", {"name": "${u}-b"})


def change(t):
    t.patch("update", "registered-models/update", {"name": "${u}-a", "description": "new"})
    t.get("get after update", "registered-models/get", {"name": "${u}-a"})
    t.patch("update same", "registered-models/update", {"name": "${u}-a", "description": "new"})
    t.patch("update without description", "registered-models/update", {"name": "${u}-a"})
    t.get("get after update without description", "registered-models/get", {"name": "${u}-a"})
    t.patch("update empty description", "registered-models/update", {"name": "${u}-a", "description": ""})
    t.patch("update unknown", "registered-models/update", {"name": "${u}-nothing", "description": "x"})
    t.patch("update bad name", "registered-models/update", {"name": "a/b", "description": "x"})
    t.wrong_fields("update", "PATCH", "registered-models/update", {"name": "${u}-a", "description": "x"}, ["name"], ["description"])
    t.post("rename", "registered-models/rename", {"name": "${u}-e", "new_name": "${u}-f"})
    t.get("get old name", "registered-models/get", {"name": "${u}-e"})
    t.get("get new name", "registered-models/get", {"name": "${u}-f"})
    t.post("rename to taken", "registered-models/rename", {"name": "${u}-f", "new_name": "${u}-a"})
    t.post("rename to itself", "registered-models/rename", {"name": "${u}-f", "new_name": "${u}-f"})
    t.post("rename to bad", "registered-models/rename", {"name": "${u}-f", "new_name": "a/b"})
    t.post("rename unknown", "registered-models/rename", {"name": "${u}-nothing", "new_name": "${u}-g"})
    t.post("rename without name", "registered-models/rename", {"name": "${u}-f"})
    t.wrong_fields("rename", "POST", "registered-models/rename", {"name": "${u}-f", "new_name": "${u}-f2"}, ["name", "new_name"])
    t.delete("delete", "registered-models/delete", {"name": "${u}-d"})
    t.delete("delete again", "registered-models/delete", {"name": "${u}-d"})
    t.get("get deleted", "registered-models/get", {"name": "${u}-d"})
    t.post("create deleted name", "registered-models/create", {"name": "${u}-d"})
    t.delete("delete unknown", "registered-models/delete", {"name": "${u}-nothing"})
    t.send("delete by query", "DELETE", "registered-models/delete", query={"name": "${u}-d"})
    t.wrong_fields("delete", "DELETE", "registered-models/delete", {"name": "${u}-nothing"}, ["name"])


def tags(t):
    good = {"name": "${u}-b", "key": "x", "value": "1"}
    path = "registered-models/set-tag"
    t.post("tag", path, good)
    t.post("tag again", path, {**good, "value": "2"})
    t.post("tag empty", path, {**good, "key": "empty", "value": ""})
    t.post("tag without value", path, {"name": "${u}-b", "key": "nv"})
    t.post("tag unknown model", path, {**good, "name": "${u}-nothing"})
    t.post("tag of 100000", path, {**good, "key": "l", "value": "v" * 100000})
    t.post("tag of 100001", path, {**good, "key": "l2", "value": "v" * 100001})
    t.wrong_fields("tag", "POST", path, {**good, "key": "w"}, ["name", "key"], ["value"])
    keys(t, "tag", path, good)
    path = "registered-models/delete-tag"
    t.delete("delete tag", path, {"name": "${u}-b", "key": "l"})
    t.delete("delete tag again", path, {"name": "${u}-b", "key": "l"})
    t.delete("delete tag unknown model", path, {"name": "${u}-nothing", "key": "l"})
    t.wrong_fields("delete tag", "DELETE", path, {"name": "${u}-b", "key": "nv"}, ["name", "key"])
    t.get("get after tags", "registered-models/get", {"name": "${u}-b"})


def aliases(t):
    path = "registered-models/alias"
    for i in (1, 2):
        t.post(f"version {i}", "model-versions/create", {"name": "${u}-b", "source": "gs://b/p"})
    good = {"name": "${u}-b", "alias": "champion", "version": "1"}
    t.post("alias", path, good)
    t.get("get by alias", path, {"name": "${u}-b", "alias": "champion"})
    t.post("alias moves", path, {**good, "version": "2"})
    t.get("get by moved alias", path, {"name": "${u}-b", "alias": "champion"})
    t.post("alias again", path, {**good, "version": "2"})
    t.post("second alias", path, {**good, "alias": "Challenger_1-x", "version": "2"})
    t.post("alias number version", path, {**good, "version": 1})
    t.get("model with aliases", "registered-models/get", {"name": "${u}-b"})
    t.get("version with aliases", "model-versions/get", {"name": "${u}-b", "version": "2"})
    for word, alias in (("latest", "latest"), ("Latest", "Latest"), ("v1", "v1"), ("V12", "V12"), ("v", "v"), ("vx", "vx"), ("space", "a b"), ("dot", "a.b"), ("slash", "a/b"), ("unicode", "é"), ("of 255", "a" * 255),
                        ("of 256", "a" * 256), ("digits", "123"), ("colon", "a:b"), ("at", "@a")):
        t.post(f"alias name {word}", path, {**good, "alias": alias})
        t.get(f"get alias name {word}", path, {"name": "${u}-b", "alias": alias})
    for word, version in (("unknown", "99"), ("word", "x"), ("zero", "0"), ("negative", "-1"), ("fraction", "1.5"), ("empty", ""), ("spaced", " 1"), ("huge", "99999999999999")):
        t.post(f"alias version {word}", path, {**good, "version": version})
    t.post("alias unknown model", path, {**good, "name": "${u}-nothing"})
    t.wrong_fields("alias", "POST", path, {**good, "alias": "w"}, ["name", "alias", "version"])
    t.get("get unknown alias", path, {"name": "${u}-b", "alias": "nobody"})
    t.get("get alias unknown model", path, {"name": "${u}-nothing", "alias": "champion"})
    t.get("get alias latest unknown model", path, {"name": "${u}-nothing", "alias": "latest"})
    t.get("get alias latest no versions", path, {"name": "${u}-a", "alias": "latest"})
    t.wrong_query("get alias", path, {"name": "${u}-b", "alias": "x"}, ["name", "alias"])
    t.delete("delete alias", path, {"name": "${u}-b", "alias": "champion"})
    t.delete("delete alias again", path, {"name": "${u}-b", "alias": "champion"})
    t.get("get deleted alias", path, {"name": "${u}-b", "alias": "champion"})
    t.delete("delete alias unknown model", path, {"name": "${u}-nothing", "alias": "champion"})
    t.wrong_fields("delete alias", "DELETE", path, {"name": "${u}-b", "alias": "w"}, ["name", "alias"])
    t.get("model after aliases", "registered-models/get", {"name": "${u}-b"})


def latest(t):
    name = "${u}-latest"
    path = "registered-models/get-latest-versions"
    t.post("create for latest", "registered-models/create", {"name": name})
    t.post("latest of none", path, {"name": name})
    for i in range(1, 6):
        t.post(f"latest version {i}", "model-versions/create", {"name": name, "source": "gs://b/p"})
    for version, stage in (("1", "Staging"), ("2", "Production"), ("3", "Staging"), ("4", "Archived")):
        t.post(f"latest stage {version}", "model-versions/transition-stage", {"name": name, "version": version, "stage": stage})
    t.post("latest all", path, {"name": name}, order=False)
    t.get("latest all by get", path, {"name": name}, order=False)
    for stages in (["Staging"], ["staging"], ["Production", "None"], ["Archived"], ["Nope"], [], [""], ["Staging", "Staging"], ["production", "STAGING", "none", "archived"], [5], "Staging"):
        t.post(f"latest {stages}", path, {"name": name, "stages": stages}, order=False)
        if isinstance(stages, list):
            t.get(f"latest by get {stages}", path, {"name": name, "stages": stages}, order=False)
    t.post("latest unknown", path, {"name": "${u}-nothing"})
    t.get("latest by get unknown", path, {"name": "${u}-nothing"})
    t.wrong_fields("latest", "POST", path, {"name": name}, ["name"])
    t.get("model with latest", "registered-models/get", {"name": name})
    t.delete("latest delete 3", "model-versions/delete", {"name": name, "version": "3"})
    t.get("model with latest after delete", "registered-models/get", {"name": name})


def search(t):
    for i, (name, tag) in enumerate((("alpha", "x"), ("beta", "y"), ("Gamma", "x"), ("delta", None))):
        t.post(f"create {name} to search", "registered-models/create",
               {"name": "${u}s-" + name, "description": name, "tags": [{"key": "colour", "value": tag}, {"key": "two words", "value": str(i)}] if tag else []})
    t.post("create prompt", "registered-models/create", {"name": "${u}s-prompt", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "colour", "value": "x"}]})
    t.post("create no prompt", "registered-models/create", {"name": "${u}s-noprompt", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "false"}]})
    t.post("create model with prompt name", "registered-models/create", {"name": "${u}s-prompt"})
    t.post("create prompt with model name", "registered-models/create", {"name": "${u}s-alpha", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    t.post("version of alpha", "model-versions/create", {"name": "${u}s-alpha", "source": "gs://b/p"})
    t.patch("touch beta", "registered-models/update", {"name": "${u}s-beta", "description": "later"})
    path = "registered-models/search"

    def find(case, text="", **more):
        t.get("search " + case, path, {"filter": "name LIKE '${u}s-%'" + (" AND " + text if text else ""), **more})

    find("all")
    for text in ("name = '${u}s-alpha'", "name != '${u}s-alpha'", "name LIKE '%a'", "name ILIKE '%GAMMA'", "name like '%a'", "name ilike '%A'", "name IN ('${u}s-alpha', '${u}s-beta')", "name NOT IN ('${u}s-alpha')",
                 "tags.colour = 'x'", "tag.colour = 'x'", "tags.colour != 'x'", "tags.colour LIKE '%'", "tags.colour ILIKE 'X'", "tags.`two words` = '0'", 'tags."two words" = \'1\'', "tags.colour = 'x' AND tags.`two words` = '2'",
                 "tags.colour = 'x' AND tags.colour = 'y'", "tags.colour LIKE 'x' AND tags.colour != 'y'", "tags.colour IS NULL", "tags.mlflow.prompt.is_prompt = 'true'", "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` = 'false'",
                 "tags.`mlflow.prompt.is_prompt` != 'true'", "tags.`mlflow.prompt.is_prompt` != 'false'", "tags._mlflow_experiment_ids ILIKE '%1%'", "tags.colour IN ('x')", "tags.colour > 'x'", "name > 'a'", "name IS NULL", "name = x", "name = 5",
                 "foo = 'x'", "attribute.name = '${u}s-alpha'", "attributes.name = '${u}s-alpha'", "last_updated_timestamp > 0", "creation_timestamp > 0", "timestamp > 0", "description = 'alpha'", "name = 'a' OR name = 'b'", "(name = 'a')", "name", "name =", "name IN ()", "name = 'a",
                 "name == 'a'", "metrics.x > 5", "params.x = 'y'", "run_id = 'x'", "name = \"${u}s-alpha\"", "tags.missing = 'x'", "tags.missing != 'x'", "NOT name = 'a'", "name RLIKE 'a'"):
        find(f"[{text}]", text)
    for order in (["name"], ["name DESC"], ["name desc"], ["name ASC"], ["timestamp"], ["timestamp DESC"], ["last_updated_timestamp"], ["last_updated_timestamp DESC"], ["creation_timestamp"], ["name", "timestamp DESC"], ["name", "name"], ["foo"], ["tags.x"], ["name FOO"], [""], ["timestamp", "last_updated_timestamp"],
                  ["`name` DESC"]):
        find(f"order {order}", order_by=order)
    find("page 1", max_results="2", order_by="name DESC")
    t.get("search page 1 for token", path, {"filter": "name LIKE '${u}s-%'", "max_results": "2"}, save={"token": "next_page_token"})
    t.get("search page 2", path, {"filter": "name LIKE '${u}s-%'", "max_results": "2", "page_token": "${token}"}, save={"token": "next_page_token"})
    t.get("search page 3", path, {"filter": "name LIKE '${u}s-%'", "max_results": "2", "page_token": "${token}"})
    for value in ("0", "1", "-1", "1000", "1001", "abc", "1.5", ""):
        find(f"max {value!r}", max_results=value)
    for token in ("rubbish", "", "e30="):
        find(f"token {token!r}", page_token=token)
    t.send("search by body", "GET", path, body={"filter": "name LIKE '${u}s-%'"})
    t.post("search by post", path, {}, compare="status")
