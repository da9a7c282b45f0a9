"""runs/search: filters, orders, pages, views."""


def cases(t):
    build(t)
    filters(t)
    orders(t)
    pages(t)
    requests(t)


def build(t):
    for name in ("exp", "exp2"):
        t.post(f"experiment {name}", "experiments/create", {"name": "${u}-search-" + name}, save={name: "experiment_id"})
    rows = [
        ("one", "exp", dict(user_id="ann", start_time=1000), {"rmse": 0.5, "r2": 0.1, "a b": 1}, {"alpha": "0.1", "model": "ElasticNet"}, {"team": "red", "note x": "N"}),
        ("two", "exp", dict(user_id="bob", start_time=2000), {"rmse": 0.25, "r2": "NaN"}, {"alpha": "0.2", "model": "elasticnet"}, {"team": "blue"}),
        ("Three", "exp", dict(user_id="ann", start_time=3000), {"rmse": "NaN"}, {"alpha": "0.15", "empty": ""}, {"team": "Red"}),
        ("four %_", "exp", dict(user_id="", start_time=4000), {"rmse": "Infinity", "r2": -3}, {"alpha": "10"}, {"team": "r%d"}),
        ("five", "exp", dict(start_time=5000), {"r2": 1e-9}, {}, {}),
        ("six", "exp", dict(user_id="zoe", start_time=6000), {"rmse": 0.5, "val/loss": 2, "x.y": 3}, {"alpha": "0.1", "a.b": "dotted", "k-1": "dash"}, {"mlflow.note.content": "hello world", "é": "ü"}),
        ("seven", "exp2", dict(user_id="ann", start_time=7000), {"rmse": 0.75}, {"alpha": "0.1"}, {"team": "red"}),
        ("eight", "exp", dict(user_id="ann", start_time=8000), {"rmse": 0.1}, {"alpha": "0.3"}, {"team": "red"}),
    ]
    for name, exp, fields, metrics, params, tags in rows:
        key = name.split()[0].lower()
        t.post(f"run {name}", "runs/create", {"experiment_id": "${%s}" % exp, "run_name": name, **fields}, save={f"r_{key}": "run.info.run_id"})
        t.post(f"data of {name}", "runs/log-batch", {"run_id": "${r_%s}" % key, "metrics": [{"key": k, "value": v, "timestamp": 10, "step": 1} for k, v in metrics.items()],
                                                     "params": [{"key": k, "value": v} for k, v in params.items()], "tags": [{"key": k, "value": v} for k, v in tags.items()]})
    t.post("finish two", "runs/update", {"run_id": "${r_two}", "status": "FINISHED", "end_time": 2500})
    t.post("fail three", "runs/update", {"run_id": "${r_three}", "status": "FAILED", "end_time": 3500})
    t.post("delete eight", "runs/delete", {"run_id": "${r_eight}"})
    data = {"name": "wine", "digest": "abc", "source_type": "local", "source": "x"}
    t.post("input of one", "runs/log-inputs", {"run_id": "${r_one}", "datasets": [{"dataset": data, "tags": [{"key": "mlflow.data.context", "value": "train"}]}]})
    t.post("inputs of two", "runs/log-inputs", {"run_id": "${r_two}", "datasets": [{"dataset": data, "tags": [{"key": "mlflow.data.context", "value": "test"}]}, {"dataset": {**data, "name": "Beer", "digest": "def"}}]})


FILTERS = """
metrics.rmse > 0.3
metrics.rmse >= 0.5
metrics.rmse = 0.5
metrics.rmse != 0.5
metrics.rmse < 0.5
metrics.rmse <= 0.25
metric.rmse > 0.3
metrics.rmse > -1
metrics.rmse > +0.3
metrics.rmse > 1e-3
metrics.rmse > .3
metrics.rmse > 5.
metrics.rmse > 1E2
metrics.r2 < 0
metrics.r2 = 0.000000001
metrics.`a b` = 1
metrics."a b" = 1
metrics.`val/loss` = 2
metrics.val/loss = 2
metrics.x.y = 3
metrics.`x.y` = 3
metrics.missing > 0
metrics.missing != 0
metrics.rmse > 0.3 AND metrics.r2 > 0
metrics.rmse > 0.3 and params.alpha = '0.1'
metrics.rmse > 0.1 AND metrics.rmse < 0.4
params.alpha = '0.1'
params.alpha != '0.1'
params.alpha = "0.1"
param.alpha = '0.1'
parameter.alpha = '0.1'
parameters.alpha = '0.1'
params.alpha LIKE '0.1%'
params.alpha LIKE '0._'
params.alpha ILIKE '0.1%'
params.model LIKE 'elastic%'
params.model ILIKE 'ELASTIC%'
params.model like 'elastic%'
params.model ilike 'elastic%'
params.empty = ''
params.empty != ''
params.empty LIKE ''
params.empty LIKE '%'
params.a.b = 'dotted'
params.`k-1` = 'dash'
params.k-1 = 'dash'
params.missing IS NULL
params.alpha IS NULL
params.alpha IS NOT NULL
params.alpha is not null
params.alpha IS  NULL
tags.team = 'red'
tags.team != 'red'
tag.team = 'red'
tags.team LIKE 'r%d'
tags.team LIKE 'r\\%d'
tags.team ILIKE 'RED'
tags.team IS NULL
tags.team IS NOT NULL
tags.mlflow.note.content LIKE '%world'
tags.`mlflow.note.content` = 'hello world'
tags."mlflow.note.content" = 'hello world'
tags.mlflow.runName = 'one'
tags.`mlflow.runName` LIKE 't%'
tags.`note x` = 'N'
tags.é = 'ü'
tags.`é` = 'ü'
tags.mlflow.parentRunId IS NULL
attributes.status = 'FINISHED'
attribute.status = 'FINISHED'
attr.status = 'FINISHED'
run.status = 'FINISHED'
status = 'FINISHED'
status != 'FINISHED'
status = 'finished'
status LIKE 'FIN%'
status ILIKE 'fin%'
status = 'RUNNING'
status IN ('FINISHED')
status = 3
user_id = 'ann'
user_id != 'ann'
user_id = ''
user_id LIKE '%n%'
attributes.user_id ILIKE 'A%'
run_name = 'one'
run_name != 'one'
run_name LIKE 't%'
run_name ILIKE 't%'
`run name` = 'one'
"run name" = 'one'
`Run name` = 'two'
`Run Name` = 'two'
attributes.`run name` = 'one'
attributes."Run name" = 'one'
run_name LIKE 'four \\%%'
run_name IN ('one')
run_id = '${r_one}'
run_id != '${r_one}'
run_id IN ('${r_one}', '${r_two}')
run_id IN ('${r_one}','${r_two}')
run_id in ('${r_one}')
run_id NOT IN ('${r_one}', '${r_two}')
run_id not in ('${r_one}')
run_id IN ()
run_id IN ('${r_one}',)
run_id IN '${r_one}'
run_id IN ("${r_one}")
run_id IN (5)
run_id IN (abc)
run_id LIKE '%'
run_id ILIKE '${r_one}'
attributes.run_id IN ('${r_six}')
attributes.run_id = 'x'
start_time > 3000
start_time >= 3000
start_time = 3000
start_time != 3000
start_time < 3000
start_time <= 3000
attributes.start_time > 3000
created > 3000
Created > 3000
attributes.created >= 3000
end_time > 0
end_time > 2600
end_time != 2500
end_time = 2500
start_time > '3000'
start_time > 3000.5
start_time > 3e3
start_time LIKE '3%'
start_time IS NULL
end_time IS NULL
artifact_uri LIKE '%artifacts'
attributes.artifact_uri LIKE 'mlflow-artifacts:%'
artifact_uri = 'x'
lifecycle_stage = 'active'
experiment_id = '1'
duration > 5
attributes.foo = 'x'
foo = 'x'
datasets.name = 'wine'
dataset.name = 'wine'
dataset.name != 'wine'
datasets.name LIKE 'w%'
datasets.name ILIKE 'BEER'
datasets.name IN ('wine', 'Beer')
datasets.name NOT IN ('wine')
datasets.digest = 'abc'
dataset.digest IN ('def')
datasets.context = 'train'
dataset.context != 'train'
datasets.context LIKE 't%'
datasets.context ILIKE 'TEST'
datasets.name = 'wine' AND datasets.context = 'test'
datasets.name = 'Beer' AND datasets.context = 'test'
datasets.name = 'wine' AND datasets.digest = 'def'
dataset.name > 'a'
dataset.source = 'x'
dataset.name = wine
dataset.name IS NULL
metrics.rmse > '0.3'
metrics.rmse > abc
metrics.rmse > NaN
metrics.rmse LIKE '0%'
metrics.rmse IS NULL
metrics.rmse IN (0.5)
metrics.rmse
metrics.rmse >
metrics.rmse > >
> 0.3
metrics > 0.3
metrics. > 0.3
metrics.rmse == 0.5
metrics.rmse <> 0.5
metrics.rmse !> 0.5
metrics.rmse BETWEEN 0 AND 1
params.alpha = 0.1
params.alpha = alpha
params.alpha > '0.1'
params.alpha IN ('0.1')
params.alpha NOT LIKE '0%'
params.alpha RLIKE '0.*'
params.alpha = '0.1
params.alpha = "0.1'
params.alpha = 'it''s'
params.alpha = '"0.1"'
params.`alpha = '0.1'
params.alpha IS
params.alpha IS NOT
params.alpha IS 'x'
params.alpha = NULL
tags.team = red
tags.team = 5
tags.team > 'a'
tags = 'x'
Params.alpha = '0.1'
METRICS.rmse > 0.3
Metrics.rmse > 0.3
Tags.team = 'red'
STATUS = 'FINISHED'
unknown.alpha = '0.1'
params.alpha = '0.1' OR params.alpha = '0.2'
params.alpha = '0.1' or params.alpha = '0.2'
NOT params.alpha = '0.1'
(params.alpha = '0.1')
(params.alpha = '0.1') AND (metrics.rmse > 0)
params.alpha = '0.1';
params.alpha = '0.1'; params.alpha = '0.2'
params.alpha = '0.1' -- comment
params.alpha = '0.1' /* comment */
AND params.alpha = '0.1'
params.alpha = '0.1' AND
params.alpha = '0.1' AND AND metrics.rmse > 0
params.alpha = '0.1' metrics.rmse > 0.3
params.alpha='0.1'AND metrics.rmse>0.3
params.alpha='0.1'
metrics.rmse>0.3
metrics.rmse>=0.5 AND status='RUNNING'
params.alpha   =   '0.1'
'0.1' = params.alpha
5 > metrics.rmse
'alpha' = '0.1'
status
'FINISHED'
1 = 1
select * from runs
drop table runs
params.alpha = '0.1' UNION select 1
*
%
=
AND
''
`
'
"
()
"""


def filters(t):
    for text in FILTERS.strip("\n").split("\n"):
        t.post(f"filter [{text}]", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"], "filter": text, "order_by": ["start_time ASC"]})
    for word, text in (("spaces", "   "), ("newline", "params.alpha = '0.1'\nAND metrics.rmse > 0"), ("tab", "params.alpha\t=\t'0.1'"), ("newline alone", "\n"), ("value with newline", "params.alpha = 'a\nb'"),
                       ("unicode value", "tags.é = '漢字'"), ("long", " AND ".join(["metrics.rmse > 0"] * 50)), ("many keys", " AND ".join(f"params.k{i} = 'x'" for i in range(20)))):
        t.post(f"filter {word}", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"], "filter": text, "order_by": ["start_time ASC"]})


ORDERS = """
metrics.rmse
metrics.rmse ASC
metrics.rmse DESC
metrics.rmse desc
metric.rmse DESC
metrics.r2
metrics.r2 DESC
metrics.`a b`
metrics.`val/loss` DESC
metrics."a b" DESC
metrics.missing
metrics.x.y
params.alpha
params.alpha DESC
param.alpha
parameter.alpha DESC
params.model
params.empty DESC
params.`a.b`
tags.team
tags.team DESC
tag.team
tags.mlflow.runName
tags.`mlflow.runName` DESC
attributes.start_time
attributes.start_time DESC
attribute.start_time
attr.start_time DESC
run.start_time
start_time DESC
created
Created DESC
end_time
end_time DESC
status
status DESC
user_id
user_id DESC
run_name
run_name DESC
`run name` DESC
attributes.`Run name`
artifact_uri
run_id
run_id DESC
lifecycle_stage
experiment_id
foo
attributes.foo
dataset.name
unknown.x
metrics
metrics.
metrics.rmse FOO
metrics.rmse ASC DESC
metrics.rmse, params.alpha
ASC

metrics.rmse > 5
'metrics.rmse'
`metrics.rmse`
metrics.rmse;
"start_time" DESC
METRICS.rmse
Metrics.rmse
params.alpha  DESC
 params.alpha DESC
""".strip("\n").split("\n")


def orders(t):
    unstable = ("artifact_uri", "run_id")
    for text in ORDERS:
        t.post(f"order [{text}]", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"], "order_by": [text]}, compare="status" if text.split()[0:1] and text.split()[0] in unstable else "json")
    for texts in (["metrics.rmse", "params.alpha DESC"], ["params.alpha", "start_time ASC"], ["params.alpha", "start_time DESC"], ["tags.team DESC", "metrics.rmse DESC"], ["status", "user_id", "start_time ASC"],
                  ["metrics.rmse", "metrics.rmse"], ["metrics.rmse", "metrics.rmse DESC"], ["start_time", "start_time"], ["start_time", "created DESC"], ["params.alpha", "params.model", "metrics.r2"], ["metrics.missing DESC", "tags.none"], ["", "start_time"],
                  ["attributes.start_time", "start_time"], ["end_time", "metrics.r2 DESC"]):
        t.post(f"orders {texts}", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"], "order_by": texts})
    t.post("no order", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"]})
    t.post("order as string", "runs/search", {"experiment_ids": ["${exp}"], "order_by": "start_time"})
    t.post("order null", "runs/search", {"experiment_ids": ["${exp}"], "order_by": None})
    t.post("order number", "runs/search", {"experiment_ids": ["${exp}"], "order_by": [5]})


def pages(t):
    ask = {"experiment_ids": ["${exp}", "${exp2}"], "order_by": ["metrics.rmse DESC", "start_time ASC"], "max_results": 3}
    t.post("page 1", "runs/search", ask, save={"token": "next_page_token"})
    t.post("page 2", "runs/search", {**ask, "page_token": "${token}"}, save={"token": "next_page_token"})
    t.post("page 3", "runs/search", {**ask, "page_token": "${token}"})
    ask = {"experiment_ids": ["${exp}", "${exp2}"], "order_by": ["params.alpha"], "max_results": 1, "filter": "start_time < 6500"}
    t.post("single 1", "runs/search", ask, save={"token": "next_page_token"})
    for i in range(2, 7):
        t.post(f"single {i}", "runs/search", {**ask, "page_token": "${token}"}, save={"token": "next_page_token"})
    for value in (0, 1, 6, 7, 8, -1, 50000, 50001, "3", "x", 1.5, None, True, 2147483648, []):
        t.post(f"max {value!r}", "runs/search", {"experiment_ids": ["${exp}", "${exp2}"], "max_results": value, "order_by": ["start_time"]})
    for token in ("rubbish", "", "e30=", "AAAA", "eyJvZmZzZXQiOiAwfQ==", "é", None, 5):
        t.post(f"token {token!r}", "runs/search", {**ask, "page_token": token})


def requests(t):
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3, "active_only", "NONE", 7, None, "2"):
        t.post(f"view {view!r}", "runs/search", {"experiment_ids": ["${exp}"], "run_view_type": view, "order_by": ["start_time"]})
    for word, ids in (("missing", None), ("empty", []), ("unknown", ["999999999"]), ("word", ["abc"]), ("string", "5"), ("number", [999999999]), ("empty string", [""]), ("twice", ["${exp}", "${exp}"]), ("mixed", ["${exp}", "999999999"])):
        t.post(f"experiments {word}", "runs/search", {"order_by": ["start_time"], **({} if ids is None else {"experiment_ids": ids})})
    t.post("camel case", "runs/search", {"experimentIds": ["${exp}"], "runViewType": "ALL", "maxResults": 2, "orderBy": ["start_time"]})
    t.post("unknown field", "runs/search", {"experiment_ids": ["${exp2}"], "x": 1})
    t.post("filter number", "runs/search", {"experiment_ids": ["${exp2}"], "filter": 5})
    t.post("filter null", "runs/search", {"experiment_ids": ["${exp2}"], "filter": None})
    t.post("filter list", "runs/search", {"experiment_ids": ["${exp2}"], "filter": ["a"]})
    t.post("at ajax", "/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": ["${exp2}"]})
    t.get("by get", "runs/search", {"experiment_ids": "${exp2}"}, compare="status")
    t.post("run id in", "/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": ["${exp}"], "run_view_type": "ALL", "max_results": 3, "order_by": ["start_time"],
                                                             "filter": "run_id IN ('${r_one}','${r_eight}','00000000000000000000000000000000')"})
