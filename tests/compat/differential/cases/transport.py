"""JSON and HTTP forms: content types, bad JSON, spellings, encodings."""

import gzip
import json

CREATE = "experiments/create"
JSON_TYPE = {"Content-Type": "application/json"}


def cases(t):
    types(t)
    bodies(t)
    forms(t)


def types(t):
    for i, kind in enumerate(("application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON", "text/plain", "text/html", "application/x-www-form-urlencoded", "application/octet-stream", "application/xml", "multipart/form-data; boundary=x", "json", "")):
        t.post(f"type {kind!r}", CREATE, raw='{"name": "${u}-type%d"}' % i, headers={"Content-Type": kind}, save={"exp_type": "experiment_id"})
        t.send(f"patch type {kind!r}", "PATCH", "registered-models/update", raw='{"name": "${u}-none", "description": "x"}', headers={"Content-Type": kind})
        t.send(f"delete type {kind!r}", "DELETE", "registered-models/delete", raw='{"name": "${u}-none"}', headers={"Content-Type": kind})
    t.post("no type", CREATE, raw='{"name": "${u}-notype"}')
    t.send("delete without type", "DELETE", "registered-models/delete", raw='{"name": "${u}-none"}')


def bodies(t):
    t.post("run experiment", CREATE, {"name": "${u}-transport"}, save={"exp": "experiment_id"})
    t.post("run", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    for word, raw in (("empty", ""), ("space", " "), ("word", "abc"), ("open brace", "{"), ("trailing comma", '{"name": "${u}-x",}'), ("single quotes", "{'name': 'x'}"), ("null", "null"), ("number", "5"), ("true", "true"), ("list", "[]"), ("list of object", '[{"name": "x"}]'), ("string", '"abc"'),
                      ("two objects", '{"name": "${u}-x"}{"name": "${u}-y"}'), ("comment", '{"name": "${u}-x" /* x */}'), ("nan", '{"name": NaN}'), ("unclosed string", '{"name": "x'), ("bad escape", '{"name": "\\x"}'), ("control character", '{"name": "a\u0001b"}'),
                      ("missing colon", '{"name" "x"}'), ("bare word value", '{"name": abc}'), ("plus number", '{"name": +5}'), ("deep", '{"a":' * 200 + "1" + "}" * 200)):
        t.post(f"body {word}", CREATE, raw=raw, headers=JSON_TYPE)
        t.post(f"batch body {word}", "runs/log-batch", raw=raw, headers=JSON_TYPE)
        t.post(f"set-tag body {word}", "runs/set-tag", raw=raw, headers=JSON_TYPE)
    t.post("body twice encoded", CREATE, raw=json.dumps(json.dumps({"name": "${u}-twice"})), headers=JSON_TYPE, save={"exp_twice": "experiment_id"})
    t.post("body with bom", CREATE, raw=b"\xef\xbb\xbf" + b'{"name": "${u}-bom"}', headers=JSON_TYPE, compare="status")
    t.post("body bad utf-8", CREATE, raw=b'{"name": "${u}-\xff\xfe"}', headers=JSON_TYPE, compare="status")
    t.post("body spaces around", CREATE, raw='  \n{"name": "${u}-spaces"}\n ', headers=JSON_TYPE, save={"exp_spaces": "experiment_id"})
    t.post("body escaped", CREATE, raw='{"name": "${u}-\\u00fc\\ud83d\\ude00"}', headers=JSON_TYPE, save={"exp_escaped": "experiment_id"})
    t.get("body escaped, then get", "experiments/get-by-name", {"experiment_name": "${u}-ü😀"})
    t.post("body lone surrogate", CREATE, raw='{"name": "${u}-\\ud83d"}', headers=JSON_TYPE, compare="status")
    t.post("body nul", "runs/set-tag", raw='{"run_id": "${run}", "key": "nul", "value": "a\\u0000b"}', headers=JSON_TYPE)
    t.post("body key twice", "runs/set-tag", raw='{"run_id": "${run}", "key": "twice", "value": "a", "value": "b"}', headers=JSON_TYPE, compare="status")
    t.post("body null field", "runs/set-tag", {"run_id": "${run}", "key": "n", "value": None})
    t.get("get after bodies", "runs/get", {"run_id": "${run}"})


def forms(t):
    t.post("run for camels", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "r"}, save={"camel": "run.info.run_id"})
    t.post("camel run id", "runs/set-tag", {"runId": "${camel}", "key": "camel", "value": "x"})
    t.post("camel run uuid", "runs/set-tag", {"runUuid": "${camel}", "key": "camel2", "value": "x"})
    t.post("both spellings", "runs/set-tag", {"runId": "${run}", "run_id": "${run}", "key": "camel3", "value": "x"})
    t.post("upper case field", "runs/set-tag", {"RUN_ID": "${run}", "key": "k", "value": "x"})
    t.post("unknown nested field", "runs/set-tag", {"run_id": "${run}", "key": "k", "value": "x", "more": {"a": [1, {"b": None}]}})
    t.get("query empty value", "runs/get", "run_id=")
    t.get("query plus is space", "experiments/get-by-name", "experiment_name=${u}-a+b")
    t.get("query percent", "experiments/get-by-name", "experiment_name=%24%7Bx%7D%20%26")
    t.get("query bad percent", "experiments/get-by-name", "experiment_name=%zz", compare="status")
    t.get("query without equals", "runs/get", "run_id")
    t.get("query empty parts", "runs/get", "&&run_id=${run}&")
    t.get("query and body", "runs/get", {"run_id": "${run}"})
    t.send("get query beats body", "GET", "runs/get", query={"run_id": "${run}"}, body={"run_id": "0" * 32})
    t.send("get by body with null", "GET", "runs/get", body={"run_id": "${run}", "x": None})
    t.send("post ignores query", "POST", "runs/set-tag", query={"run_id": "${run}"}, body={"key": "q", "value": "x"})
    t.send("delete ignores query", "DELETE", "registered-models/delete", query={"name": "x"}, body={})
    t.get("query in camel case", "experiments/get", {"experimentId": "${exp}"})
    t.post("not json gzip", "runs/set-tag", raw=gzip.compress(b'{"key": "x"}'), headers=JSON_TYPE, compare="status")
    t.get("with origin", "runs/get", {"run_id": "${run}"}, headers={"Origin": "http://evil.example"})
    t.post("post with foreign origin", "runs/set-tag", {"run_id": "${camel}", "key": "o", "value": "x"}, headers={"Origin": "http://evil.example"}, compare="status")
    t.post("post with local origin", "runs/set-tag", {"run_id": "${camel}", "key": "o", "value": "x"}, headers={"Origin": "http://localhost:3000"}, compare="status")
    t.get("foreign host", "runs/get", {"run_id": "${run}"}, compare="status")
    t.get("get after forms", "runs/get", {"run_id": "${run}"})
