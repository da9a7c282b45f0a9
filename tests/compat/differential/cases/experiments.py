"""Experiments: create, get, search, update, delete, restore, tags, datasets search."""


def cases(t):
    create(t)
    read(t)
    tags(t)
    lifecycle(t)
    search(t)
    prefixes(t)


def create(t):
    t.post("create", "experiments/create", {"name": "${u}-a"}, save={"exp_a": "experiment_id"})
    t.post("create with tags", "experiments/create",
           {"name": "${u}-b", "tags": [{"key": "team", "value": "red"}, {"key": "empty", "value": ""}]}, save={"exp_b": "experiment_id"})
    t.post("create with location", "experiments/create",
           {"name": "${u}-c", "artifact_location": "gs://bucket/${u}/c"}, save={"exp_c": "experiment_id"})
    t.post("create in camel case", "experiments/create",
           {"name": "${u}-d", "artifactLocation": "s3://bucket/${u}/d"}, save={"exp_d": "experiment_id"})
    t.post("create with unicode name", "experiments/create", {"name": "${u}-ü → 漢字 😀"}, save={"exp_e": "experiment_id"})
    t.post("create with slash name", "experiments/create", {"name": "/Users/${u}/x y"}, save={"exp_f": "experiment_id"})
    t.post("create with unknown field", "experiments/create", {"name": "${u}-g", "colour": "blue"}, save={"exp_g": "experiment_id"})
    t.post("create with null location", "experiments/create", {"name": "${u}-h", "artifact_location": None, "tags": None},
           save={"exp_h": "experiment_id"})
    t.post("create with empty location", "experiments/create", {"name": "${u}-i", "artifact_location": ""}, save={"exp_i": "experiment_id"})
    t.post("create with location with slash at end", "experiments/create",
           {"name": "${u}-j", "artifact_location": "gs://bucket/${u}/j/"}, save={"exp_j": "experiment_id"})
    t.post("create with location with query", "experiments/create",
           {"name": "${u}-k", "artifact_location": "gs://bucket/${u}/k?project=x"}, save={"exp_k": "experiment_id"})
    for x in "abcdefghijk":
        t.get(f"get {x} after create", "experiments/get", {"experiment_id": "${exp_%s}" % x})
    t.post("create twice", "experiments/create", {"name": "${u}-a"})
    t.post("create twice with other case", "experiments/create", {"name": "${u}-A"}, save={"exp_up": "experiment_id"})
    t.wrong_fields("create", "POST", "experiments/create", {"name": "${u}-wrong"}, ["name"], ["artifact_location", "tags"])
    t.post("create blank name", "experiments/create", {"name": "  ${u} "})
    t.post("create name of 256", "experiments/create", {"name": "${u}" + "n" * 248})
    t.post("create name of 257", "experiments/create", {"name": "${u}" + "n" * 249})
    t.post("create name of 500", "experiments/create", {"name": "${u}" + "n" * 492})
    t.post("create name of 501", "experiments/create", {"name": "${u}" + "n" * 493})
    t.post("create both spellings", "experiments/create",
           {"name": "${u}-both", "artifact_location": "gs://b/x", "artifactLocation": "gs://b/x"})
    for word, location in (("fragment", "gs://b/p#x"), ("runs scheme", "runs:/a/b"), ("ftp", "ftp://host/x"), ("http", "http://host/x"),
                           ("https", "https://host/x"), ("hdfs", "hdfs://host/x"), ("foreign proxy", "mlflow-artifacts://host/x"),
                           ("dots in query", "gs://b/p?x=../y"), ("params", "gs://b/p;x=1"), ("sftp", "sftp://host/x"),
                           ("abfss", "abfss://a@host/x"), ("r2", "r2://host/x"), ("viewfs", "viewfs://host/x")):
        t.post(f"create at {word}", "experiments/create", {"name": "${u}_at " + word, "artifact_location": location})
    for word, location in (("proxy", "mlflow-artifacts:/${u}/x"), ("wasbs", "wasbs://c@a.blob.core.windows.net/x"), ("s3", "s3://b"),
                           ("dbfs", "dbfs:/x/y")):
        t.post(f"create at {word}", "experiments/create", {"name": "${u}_at " + word, "artifact_location": location},
               save={"exp_at": "experiment_id"})
        t.get(f"get at {word}", "experiments/get", {"experiment_id": "${exp_at}"})
    for word, location in (("dots", "gs://b/../x"), ("encoded dots", "gs://b/%2e%2e/x"), ("unknown scheme", "zzz://b/x")):
        t.post(f"create at {word}", "experiments/create", {"name": "${u}_at " + word, "artifact_location": location})
    t.post("create tag without value", "experiments/create", {"name": "${u}-tv", "tags": [{"key": "x"}]}, save={"exp_tv": "experiment_id"})
    t.get("get tag without value", "experiments/get", {"experiment_id": "${exp_tv}"})
    t.post("create tag without key", "experiments/create", {"name": "${u}-tk", "tags": [{"value": "x"}]})
    t.post("create duplicate tags", "experiments/create",
           {"name": "${u}_td", "tags": [{"key": "x", "value": "1"}, {"key": "x", "value": "2"}]})
    t.post("create long tag key", "experiments/create", {"name": "${u}-tl", "tags": [{"key": "k" * 251, "value": "1"}]})
    t.post("create long tag value", "experiments/create", {"name": "${u}-tm", "tags": [{"key": "k", "value": "v" * 20001}]})
    t.post("create bad tag key", "experiments/create", {"name": "${u}-tn", "tags": [{"key": "a//b", "value": "1"}]})


def read(t):
    for word, value in (("unknown", "999999999"), ("word", "abc"), ("negative", "-1"), ("fraction", "1.5"), ("too large", "99999999999999999999"),
                        ("space", " 0"), ("plus", "+0"), ("hex", "0x1"), ("beyond int32", "3000000000")):
        t.get(f"get {word} id", "experiments/get", {"experiment_id": value}, drop=("last_update_time", "creation_time"))
    t.get("get the default", "experiments/get", {"experiment_id": "0"}, drop=("last_update_time", "creation_time", "tags", "name"))
    t.get("get leading zero", "experiments/get", {"experiment_id": "00"}, drop=("last_update_time", "creation_time", "tags", "name"))
    t.wrong_query("get", "experiments/get", {"experiment_id": "0"}, ["experiment_id"])
    t.get("get in camel case", "experiments/get", {"experimentId": "${exp_a}"})
    t.get("get with unknown field", "experiments/get", {"experiment_id": "${exp_a}", "x": "y"})
    t.get("get id twice", "experiments/get", "experiment_id=${exp_a}&experiment_id=${exp_b}")
    t.send("get by body", "GET", "experiments/get", body={"experiment_id": "${exp_a}"})
    t.get("get by name", "experiments/get-by-name", {"experiment_name": "${u}-b"})
    t.get("get by unicode name", "experiments/get-by-name", {"experiment_name": "${u}-ü → 漢字 😀"})
    t.get("get by slash name", "experiments/get-by-name", {"experiment_name": "/Users/${u}/x y"})
    t.get("get by unknown name", "experiments/get-by-name", {"experiment_name": "${u}-nothing"})
    t.get("get by name in camel case", "experiments/get-by-name", {"experimentName": "${u}-b"})
    t.wrong_query("get by name", "experiments/get-by-name", {"experiment_name": "x"}, ["experiment_name"])


def tags(t):
    good = {"experiment_id": "${exp_a}", "key": "k", "value": "v"}
    t.post("set tag", "experiments/set-experiment-tag", good)
    t.post("set tag again", "experiments/set-experiment-tag", {**good, "value": "w"})
    t.post("set tag empty value", "experiments/set-experiment-tag", {**good, "key": "e", "value": ""})
    t.post("set tag in camel case", "experiments/set-experiment-tag", {"experimentId": "${exp_f}", "key": "camel", "value": "v"})
    t.get("get after tags", "experiments/get", {"experiment_id": "${exp_a}"})
    t.wrong_fields("set tag", "POST", "experiments/set-experiment-tag", good, ["experiment_id", "key", "value"])
    t.post("set tag unknown experiment", "experiments/set-experiment-tag", {**good, "experiment_id": "999999999"})
    t.post("set tag word id", "experiments/set-experiment-tag", {**good, "experiment_id": "abc"})
    for word, key in (("of 250", "k" * 250), ("of 251", "k" * 251), ("double slash", "a//b"), ("absolute", "/a"), ("dots", ".."), ("dot", "."),
                      ("up", "../a"), ("slash at end", "a/"), ("star", "a*b"), ("colon", "a:b"), ("unicode", "é ü"), ("comma", "a,b"),
                      ("newline", "a\nb"), ("inner dot", "a/./b"), ("inner up", "a/../b")):
        t.post(f"set tag key {word}", "experiments/set-experiment-tag", {**good, "key": key})
    t.post("set tag value of 20000", "experiments/set-experiment-tag", {**good, "key": "long", "value": "v" * 20000})
    t.post("set tag value of 20001", "experiments/set-experiment-tag", {**good, "key": "long", "value": "v" * 20001})
    t.post("delete tag", "experiments/delete-experiment-tag", {"experiment_id": "${exp_a}", "key": "long"})
    t.post("delete tag again", "experiments/delete-experiment-tag", {"experiment_id": "${exp_a}", "key": "long"})
    t.post("delete tag unknown experiment", "experiments/delete-experiment-tag", {"experiment_id": "999999999", "key": "k"})
    t.wrong_fields("delete tag", "POST", "experiments/delete-experiment-tag", {"experiment_id": "${exp_a}", "key": "k2"}, ["experiment_id", "key"])
    t.get("get after deleted tags", "experiments/get", {"experiment_id": "${exp_a}"})


def lifecycle(t):
    t.post("create for life", "experiments/create", {"name": "${u}-life"}, save={"exp_life": "experiment_id"})
    t.post("update", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "${u}-life2"})
    t.get("get after update", "experiments/get", {"experiment_id": "${exp_life}"})
    t.post("update without name", "experiments/update", {"experiment_id": "${exp_life}"})
    t.post("update same name", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "${u}-life2"})
    t.post("update taken name", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "${u}-b"})
    t.post("update long name", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "n" * 501})
    t.post("create for camel case", "experiments/create", {"name": "${u}_camel"}, save={"exp_camel": "experiment_id"})
    t.post("update in camel case", "experiments/update", {"experimentId": "${exp_camel}", "newName": "${u}_camelled"})
    t.post("update unknown", "experiments/update", {"experiment_id": "999999999", "new_name": "x"})
    t.wrong_fields("update", "POST", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "${u}-life4"}, ["experiment_id"], ["new_name"])
    t.post("run in life", "runs/create", {"experiment_id": "${exp_life}", "start_time": 1000}, save={"run_life": "run.info.run_id"})
    t.post("second run in life", "runs/create", {"experiment_id": "${exp_life}", "start_time": 1001}, save={"run_life2": "run.info.run_id"})
    t.post("delete second run", "runs/delete", {"run_id": "${run_life2}"})
    t.post("delete", "experiments/delete", {"experiment_id": "${exp_life}"})
    t.post("delete again", "experiments/delete", {"experiment_id": "${exp_life}"})
    t.get("get deleted", "experiments/get", {"experiment_id": "${exp_life}"})
    t.get("get deleted by name", "experiments/get-by-name", {"experiment_name": "${u}-life2"})
    t.get("run of deleted", "runs/get", {"run_id": "${run_life}"})
    t.post("create name of deleted", "experiments/create", {"name": "${u}-life2"})
    t.post("tag deleted", "experiments/set-experiment-tag", {"experiment_id": "${exp_life}", "key": "k", "value": "v"})
    t.post("delete tag of deleted", "experiments/delete-experiment-tag", {"experiment_id": "${exp_life}", "key": "k"})
    t.post("update deleted", "experiments/update", {"experiment_id": "${exp_life}", "new_name": "${u}-x"})
    t.post("run in deleted", "runs/create", {"experiment_id": "${exp_life}"})
    t.post("search runs of deleted", "runs/search", {"experiment_ids": ["${exp_life}"], "order_by": ["start_time"]})
    t.post("search all runs of deleted", "runs/search", {"experiment_ids": ["${exp_life}"], "run_view_type": "ALL", "order_by": ["start_time"]})
    t.post("restore", "experiments/restore", {"experiment_id": "${exp_life}"})
    t.post("restore again", "experiments/restore", {"experiment_id": "${exp_life}"})
    t.get("get restored", "experiments/get", {"experiment_id": "${exp_life}"})
    t.get("run of restored", "runs/get", {"run_id": "${run_life}"})
    t.get("own deleted run of restored", "runs/get", {"run_id": "${run_life2}"})
    for verb in ("delete", "restore"):
        t.post(f"{verb} unknown", f"experiments/{verb}", {"experiment_id": "999999999"})
        t.post(f"{verb} word id", f"experiments/{verb}", {"experiment_id": "abc"})
        t.wrong_fields(verb, "POST", f"experiments/{verb}", {"experiment_id": "999999999"}, ["experiment_id"])


def search(t):
    for i, (name, tag) in enumerate((("s1", "x"), ("s2", "y"), ("S3", "x"), ("s4", None))):
        body = {"name": "${u}-" + name}
        if tag:
            body["tags"] = [{"key": "colour", "value": tag}, {"key": "two words", "value": f"v{i}"}]
        t.post(f"create {name} for search", "experiments/create", body, save={f"exp_s{i + 1}": "experiment_id"})
    t.post("delete s4", "experiments/delete", {"experiment_id": "${exp_s4}"})

    def find(case, filter="", **more):
        mine = "name LIKE '${u}-%'" + (" AND " + filter if filter else "")
        return t.post("search " + case, "experiments/search", {"filter": mine, "max_results": 100, **more})

    find("all of mine")
    find("active", view_type="ACTIVE_ONLY")
    find("deleted", view_type="DELETED_ONLY")
    find("any", view_type="ALL")
    find("view by number", view_type=2)
    find("bad view", view_type="SOME")
    find("bad view number", view_type=9)
    for text in ("name = '${u}-s1'", "name != '${u}-s1'", "attribute.name = '${u}-s1'", "attributes.name = '${u}-s1'", "attr.name = '${u}-s1'",
                 "name ILIKE '${u}-S%'", "name LIKE '${u}-S%'", "name like '${u}-s%'", "name ilike '${u}-s%'", "name LIKE '${u}-s_'", 'name = "${u}-s1"',
                 "tags.colour = 'x'", "tag.colour = 'x'", "tags.colour != 'x'", "tags.colour LIKE 'x%'", "tags.colour ILIKE 'X'",
                 "tags.`two words` = 'v0'", 'tags."two words" = \'v1\'', "tags.colour IS NULL", "tags.colour IS NOT NULL", "tags.colour is null",
                 "tags.`mlflow.experiment.isGateway` IS NULL", "experiment_id = '${exp_s1}'", "experiment_id != '${exp_s1}'",
                 "experiment_id IN ('${exp_s1}', '${exp_s2}')", "experiment_id NOT IN ('${exp_s1}')", "experiment_id = ${exp_s1}",
                 "creation_time > 0", "creation_time < 100", "creation_time >= 1000", "creation_time != 5", "creation_time = 5", "creation_time <= 5",
                 "last_update_time > 0", "last_update_time < 100", "creation_time > '5'", "creation_time LIKE '5'", "creation_time > 1.5",
                 "name > 'a'", "name IN ('a')", "name IS NULL", "tags.colour > 'x'", "tags.colour IN ('x')", "lifecycle_stage = 'active'",
                 "foo = 'x'", "name = x", "name = 5", "name", "name =", "= 'x'", "name = 'x' OR name = 'y'", "(name = 'x')", "NOT name = 'x'",
                 "name == 'x'", "name <> 'x'", "name = 'it''s'", "metrics.x > 5", "params.x = 'y'", "artifact_location = 'x'", "tags.colour = x",
                 "tags.colour = 5", "tags = 'x'", "name = 'a'; name = 'b'", "name = 'unclosed", "tags.`open = 'x'", "experiment_id > '5'",
                 "experiment_id IN ()", "experiment_id IN ('abc')", "experiment_id = 'abc'", "creation_time = 99999999999999999999", "tags.colour RLIKE 'x'"):
        find(f"[{text}]", text)
    t.post("search empty filter one", "experiments/search", {"filter": "", "max_results": 1}, compare="status")
    t.post("search without max", "experiments/search", {"filter": "name LIKE '${u}-%'"})
    for value in (0, -1, 50000, 50001, "7", "x", 1.5, True, None):
        t.post(f"search max {value!r}", "experiments/search", {"filter": "name LIKE '${u}-s%'", "max_results": value})
    t.get("search by get", "experiments/search", {"filter": "name LIKE '${u}-s%'", "max_results": "10"})
    t.get("search by get with orders", "experiments/search", "max_results=10&filter=name+LIKE+'${u}-s%25'&order_by=name+DESC&order_by=experiment_id")
    t.get("search by get word max", "experiments/search", {"max_results": "x"})
    t.get("search by get view", "experiments/search", {"max_results": "5", "view_type": "DELETED_ONLY", "filter": "name LIKE '${u}-s%'"})
    t.get("search by get bad view", "experiments/search", {"max_results": "5", "view_type": "NOPE", "filter": "name LIKE '${u}-s%'"})
    for order in (["name"], ["name ASC"], ["name DESC"], ["name desc"], ["name asc"], ["experiment_id"], ["experiment_id DESC"], ["creation_time"],
                  ["creation_time DESC"], ["last_update_time ASC"], ["attribute.name DESC"], ["attributes.name"], ["name", "experiment_id DESC"],
                  ["name", "name"], ["foo"], ["tags.colour"], ["name FOO"], [""], ["name ASC DESC"], ["metrics.x"], ["name,experiment_id"], ["`name`"]):
        t.post(f"search order {order}", "experiments/search", {"filter": "name ILIKE '${u}-s_'", "max_results": 10, "order_by": order, "view_type": "ALL"})
    t.post("search order as string", "experiments/search", {"filter": "name ILIKE '${u}-s_'", "max_results": 10, "order_by": "name"})
    page = {"filter": "name ILIKE '${u}-s_'", "max_results": 2, "order_by": ["name DESC"], "view_type": "ALL"}
    t.post("search page 1", "experiments/search", page, save={"token": "next_page_token"})
    t.post("search page 2", "experiments/search", {**page, "page_token": "${token}"})
    t.post("search page in camel case", "experiments/search", {"filter": "name ILIKE '${u}-s_'", "maxResults": 2, "orderBy": ["name"], "viewType": "ALL"})
    t.post("search exact page", "experiments/search", {**page, "max_results": 4})
    for token in ("rubbish", "e30=", "", "eyJvZmZzZXQiOiAtMX0="):
        t.post(f"search token {token!r}", "experiments/search", {**page, "page_token": token})
    t.wrong_fields("search", "POST", "experiments/search", {"max_results": 1, "filter": "name = '${u}-s1'"}, [], ["filter", "order_by", "page_token"])


def prefixes(t):
    for prefix in ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow"):
        t.get(f"get at {prefix}", prefix + "/experiments/get", {"experiment_id": "${exp_b}"})
        t.send(f"head at {prefix}", "HEAD", prefix + "/experiments/get", query={"experiment_id": "${exp_b}"}, compare="status")
    t.post("search datasets of none", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["${exp_b}"]})
    t.post("search datasets without ids", "/ajax-api/2.0/mlflow/experiments/search-datasets", {})
    t.post("search datasets of 21", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": [str(i) for i in range(21)]})
    t.post("search datasets of word", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["abc"]})
    t.post("search datasets string", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": "5"})
