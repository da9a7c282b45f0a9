"""Experiments and runs: names, lifecycle, pages."""

import json
import urllib.parse

import harness
import pytest
from rest import now_ms, sql, together, unique


def search(client, experiment, **more):
    return client.post("runs/search", {"experiment_ids": [experiment], **more})


def ids(found):
    return [r["info"]["run_id"] for r in found.get("runs", [])]


# ---- experiments


def test_an_experiment_name_is_taken_once(client):
    name = unique("e")
    client.experiment(name)
    assert client.refused("POST", "experiments/create", {"name": name, "tags": []}) == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_more_slashes_before_a_path_are_one(client, tallyd, slashes):
    name = unique("e")
    assert harness.request("POST", f"{tallyd.url}{slashes}api/2.0/mlflow/experiments/create", {"name": name}).status == 200
    assert client.refused("POST", "experiments/create", {"name": name}) == (400, "RESOURCE_ALREADY_EXISTS")
    assert harness.request("GET", f"{tallyd.url}{slashes}health").status == 200
    assert harness.request("GET", f"{tallyd.url}{slashes}").body == harness.request("GET", f"{tallyd.url}/").body
    wrong = harness.request("DELETE", f"{tallyd.url}{slashes}api/2.0/mlflow/experiments/create")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST, OPTIONS")
    assert harness.request("GET", f"{tallyd.url}{slashes}nothing").status == 404


def test_a_deleted_experiment_keeps_its_name_and_comes_back(client):
    name = unique("e")
    e = client.experiment(name)
    client.post("experiments/delete", {"experiment_id": e})
    assert client.get(f"experiments/get?experiment_id={e}")["experiment"]["lifecycle_stage"] == "deleted"
    assert client.refused("POST", "experiments/create", {"name": name, "tags": []})[1] == "RESOURCE_ALREADY_EXISTS"
    assert client.refused("POST", "runs/create", {"experiment_id": e})[1] == "INVALID_PARAMETER_VALUE"
    client.post("experiments/restore", {"experiment_id": e})
    assert client.get(f"experiments/get?experiment_id={e}")["experiment"]["lifecycle_stage"] == "active"


def test_32_threads_creating_one_experiment_make_one(client, tallyd):
    name = unique("e")

    def create(i):
        return tallyd.api("POST", "experiments/create", {"name": name, "tags": [{"key": "by", "value": str(i)}]}).status

    assert sorted(together(32, create)) == [200] + [400] * 31


def test_experiment_tags_are_set_changed_and_deleted(client):
    e = client.experiment(tags=[{"key": "a", "value": "1"}])
    client.post("experiments/set-experiment-tag", {"experiment_id": e, "key": "a", "value": "2"})
    client.post("experiments/set-experiment-tag", {"experiment_id": e, "key": "b", "value": "ü"})
    got = client.get(f"experiments/get?experiment_id={e}")["experiment"]["tags"]
    assert {t["key"]: t["value"] for t in got} == {"a": "2", "b": "ü"}
    client.post("experiments/delete-experiment-tag", {"experiment_id": e, "key": "a"})
    assert [t["key"] for t in client.get(f"experiments/get?experiment_id={e}")["experiment"]["tags"]] == ["b"]


# ---- runs


def test_a_run_without_a_name_is_given_one_that_is_its_tag_too(client):
    run = client.get(f"runs/get?run_id={client.run()}")["run"]
    name = run["info"]["run_name"]
    assert name and {"key": "mlflow.runName", "value": name} in run["data"]["tags"]


def test_a_run_name_and_a_name_tag_that_differ_are_refused(client):
    body = {"experiment_id": "0", "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}
    assert client.refused("POST", "runs/create", body)[1] == "INVALID_PARAMETER_VALUE"
    body["tags"][0]["value"] = "a"
    assert client.post("runs/create", body)["run"]["info"]["run_name"] == "a"


def test_renaming_a_run_changes_its_tag_and_the_tag_its_name(client):
    run = client.run(run_name="first")
    client.post("runs/update", {"run_id": run, "run_name": "second"})
    assert client.run_data(run)["tags"]["mlflow.runName"] == "second"
    client.post("runs/set-tag", {"run_id": run, "key": "mlflow.runName", "value": "third"})
    assert client.get(f"runs/get?run_id={run}")["run"]["info"]["run_name"] == "third"


def test_a_run_ends_with_status_and_time(client):
    run = client.run()
    ended = now_ms()
    info = client.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": ended})["run_info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", ended)
    assert client.get(f"runs/get?run_id={run}")["run"]["info"]["status"] == "FINISHED"


def test_a_deleted_run_takes_no_writes_and_comes_back(client):
    e = client.experiment()
    run = client.run(e)
    client.post("runs/delete", {"run_id": run})
    client.post("runs/delete", {"run_id": run})
    assert client.get(f"runs/get?run_id={run}")["run"]["info"]["lifecycle_stage"] == "deleted"
    for path, body in [("log-parameter", {"key": "p", "value": "1"}), ("log-metric", {"key": "m", "value": 1, "timestamp": 1}), ("set-tag", {"key": "t", "value": "1"}), ("log-batch", {"tags": [{"key": "t", "value": "1"}]})]:
        assert client.refused("POST", f"runs/{path}", {"run_id": run, **body})[1] == "INVALID_PARAMETER_VALUE", path
    assert ids(search(client, e)) == []
    assert ids(search(client, e, run_view_type="DELETED_ONLY")) == [run]
    client.post("runs/restore", {"run_id": run})
    client.post("runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
    assert ids(search(client, e)) == [run]


@pytest.mark.parametrize("run", ["0" * 32, "nothing", "ä", "a" * 5000, "../x", ""])
def test_an_unknown_run_is_a_4xx(client, run):
    status, _ = client.refused("GET", f"runs/get?run_id={urllib.parse.quote(run)}")
    assert status in (400, 404)


def test_a_run_tag_is_deleted_once(client):
    run = client.run()
    client.post("runs/set-tag", {"run_id": run, "key": "t", "value": "1"})
    client.post("runs/delete-tag", {"run_id": run, "key": "t"})
    assert client.refused("POST", "runs/delete-tag", {"run_id": run, "key": "t"}) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_run_shows_its_datasets_in_the_order_they_were_logged(client):
    run = client.run()
    names = [unique(x) for x in "gbxadzc"]
    sets = [{"tags": [{"key": "mlflow.data.context", "value": x}], "dataset": {"name": x, "digest": "1", "source_type": "s", "source": "x"}} for x in names]
    client.post("runs/log-inputs", {"run_id": run, "datasets": [*sets[:5], sets[0]]})
    client.post("runs/log-inputs", {"run_id": run, "datasets": sets[5:]})
    assert client.get(f"runs/get?run_id={run}")["run"]["inputs"]["dataset_inputs"] == sets


@pytest.mark.parametrize("letter", ["a", '"'])
def test_the_largest_profile_of_a_dataset_is_kept(client, letter):
    run = client.run()
    dataset = {"name": "d", "digest": unique("d")[:36], "source_type": "s", "source": "x", "profile": letter * 16777215}
    client.post("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset}]})
    kept = client.get(f"runs/get?run_id={run}")["run"]["inputs"]["dataset_inputs"][0]["dataset"]
    assert kept == dataset
    dataset["profile"] += letter
    assert client.refused("POST", "runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset}]}) == (400, "INVALID_PARAMETER_VALUE")


# ---- pages


def test_pages_do_not_shift_while_runs_are_added(client):
    e = client.experiment()
    old = {client.run(e, run_name=f"r{i}") for i in range(25)}
    seen, token, pages = [], None, 0
    while True:
        found = search(client, e, max_results=4, **({"page_token": token} if token else {}))
        seen += ids(found)
        pages += 1
        for i in range(3):
            client.run(e, run_name=f"new{pages}.{i}")
        token = found.get("next_page_token")
        if not token or pages > 20:
            break
    assert len(seen) == len(set(seen)), "a run came twice"
    assert old <= set(seen), "a run was jumped over"


def test_pages_ordered_by_a_metric_are_whole_and_in_order(client, tallyd):
    e = client.experiment()
    values = {}
    for i in range(23):
        run = client.run(e)
        values[run] = [1.5, -2.0, float("nan"), None, float("inf")][i % 5]
        if values[run] is not None:
            client.batch(run, metrics=[("m", {"nan": "NaN", "inf": "Infinity"}.get(str(values[run]), values[run]), 1, 0)])
    sql(tallyd.database, "select settle(null, interval '0')")
    seen, token = [], None
    while True:
        found = search(client, e, max_results=3, order_by=["metrics.m DESC"], **({"page_token": token} if token else {}))
        seen += ids(found)
        token = found.get("next_page_token")
        if not token:
            break
    assert sorted(seen) == sorted(values)
    numbers = [values[r] for r in seen if values[r] is not None and values[r] == values[r]]
    assert numbers == sorted(numbers, reverse=True)


def test_a_page_token_of_another_search_is_a_400(client):
    e = client.experiment()
    for _ in range(3):
        client.run(e)
    token = search(client, e, max_results=1)["next_page_token"]
    other = client.experiment()
    for body in [{"experiment_ids": [other]}, {"experiment_ids": [e], "filter": "params.a = '1'"}, {"experiment_ids": [e], "order_by": ["metrics.m"]}, {"experiment_ids": [e], "run_view_type": "ALL"}]:
        assert client.refused("POST", "runs/search", {"max_results": 1, "page_token": token, **body}) == (400, "INVALID_PARAMETER_VALUE"), body


@pytest.mark.parametrize("token", ["x", "e30=", "A" * 10000, "\u0001", "ÿ", json.dumps({"offset": 1})])
def test_a_broken_page_token_is_a_400(client, token):
    e = client.experiment()
    assert client.refused("POST", "runs/search", {"experiment_ids": [e], "page_token": token})[0] == 400
    quoted = urllib.parse.quote(token)
    for path in ("experiments/search?max_results=1&", "registered-models/search?", "model-versions/search?", f"metrics/get-history?run_id={client.run()}&metric_key=m&max_results=1&"):
        assert client.refused("GET", f"{path}page_token={quoted}")[0] == 400, path


def test_experiment_pages_hold_each_experiment_once(client):
    prefix = unique("page")
    made = {client.experiment(f"{prefix}-{i}") for i in range(7)}
    seen, token = [], ""
    while True:
        query = urllib.parse.urlencode({"max_results": 2, "filter": f"name LIKE '{prefix}%'"}) + token
        found = client.get(f"experiments/search?{query}")
        seen += [e["experiment_id"] for e in found.get("experiments", [])]
        if not found.get("next_page_token"):
            break
        token = "&page_token=" + urllib.parse.quote(found["next_page_token"])
    assert len(seen) == 7 and set(seen) == made
