"""Params, tags, metrics and their history."""

import json
import math

import harness
import pytest
from rest import batch_body, now_ms, send_and_read, post_bytes, sql, together


@pytest.fixture
def run(client):
    return client.run()


def latest(client, run, key="m"):
    return client.run_data(run)["metrics"][key]


# ---- a batch is all or nothing


def test_log_batch_rejects_a_changed_param_and_keeps_nothing_of_it(client, run):
    client.batch(run, params=[("lr", "1")])
    body = batch_body(run, [("m", 1, 1, 0)], [("a", "1"), ("lr", "2")], [("t", "1")])
    assert client.refused("POST", "runs/log-batch", body) == (400, "INVALID_PARAMETER_VALUE")
    data = client.run_data(run)
    assert data["params"] == {"lr": "1"} and data["metrics"] == {} and "t" not in data["tags"]
    assert client.history(run, "m") == []


@pytest.mark.parametrize(
    "bad",
    [
        {"metrics": [{"key": "m2", "value": "no number", "timestamp": 1, "step": 0}]},
        {"metrics": [{"key": "m2", "value": 1, "timestamp": 1.5, "step": 0}]},
        {"metrics": [{"key": "m2", "value": 1, "timestamp": 2**63, "step": 0}]},
        {"metrics": [{"key": "m\n", "value": 1, "timestamp": 1, "step": 0}]},
        {"metrics": [{"value": 1, "timestamp": 1}]},
        {"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"params": [{"key": "p" * 251, "value": "1"}]},
        {"params": [{"key": "../p", "value": "1"}]},
        {"params": [{"key": f"p{i}", "value": "1"} for i in range(101)]},
        {"tags": [{"key": f"t{i}", "value": "1"} for i in range(101)]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": i} for i in range(1001)]},
        {"tags": [{"value": "no key"}]},
    ],
    ids=lambda b: json.dumps(b)[:40],
)
def test_a_batch_with_one_bad_entry_leaves_nothing(client, run, bad):
    body = batch_body(run, [("m", 1, 1, 0)], [("p", "1")], [("t", "1")])
    for kind, entries in bad.items():
        body[kind] = body[kind] + entries
    assert client.refused("POST", "runs/log-batch", body)[0] == 400
    data = client.run_data(run)
    assert data["params"] == {} and data["metrics"] == {} and "t" not in data["tags"]


def test_a_batch_repeated_changes_nothing(client, run):
    points = [("m", i / 7, i, i) for i in range(100)]
    for _ in range(3):
        client.batch(run, points, [("p", "1")], [("t", "1")])
    assert client.history(run, "m") == [(i, i, i / 7) for i in range(100)]


def test_a_full_batch_of_1000_entries_is_stored_whole(client, run):
    client.batch(run, [(f"m{i}", i, 1, 0) for i in range(800)], [(f"p{i}", str(i)) for i in range(100)], [(f"t{i}", str(i)) for i in range(100)])
    data = client.run_data(run)
    assert data["metrics"] == {f"m{i}": i for i in range(800)}
    assert data["params"] == {f"p{i}": str(i) for i in range(100)}
    assert all(data["tags"][f"t{i}"] == str(i) for i in range(100))


# ---- params


def test_a_param_stays_what_it_was(client, run):
    client.post("runs/log-parameter", {"run_id": run, "key": "lr", "value": "0.1"})
    client.post("runs/log-parameter", {"run_id": run, "key": "lr", "value": "0.1"})
    assert client.refused("POST", "runs/log-parameter", {"run_id": run, "key": "lr", "value": "0.10"}) == (400, "INVALID_PARAMETER_VALUE")
    assert client.run_data(run)["params"] == {"lr": "0.1"}


def test_32_threads_setting_one_param_agree_on_one_value(client, tallyd, run):
    def log(i):
        return tallyd.api("POST", "runs/log-parameter", {"run_id": run, "key": "p", "value": str(i)}).status

    statuses = together(32, log)
    assert sorted(statuses) == [200] + [400] * 31
    assert client.run_data(run)["params"] == {"p": str(statuses.index(200))}


def test_values_keep_their_bytes(client, run):
    values = {"plain": "ä ß 漢 🎈", "quote": "\"'\\", "control": "\x01\x1f\x7f", "long": "x" * 6000, "html": "<b>{{7*7}}${x}</b>", "lines": "a\r\nb\tc", "nothing": ""}
    client.batch(run, params=list(values.items()))
    assert client.run_data(run)["params"] == values


# ---- the latest metric


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 10, 0), (2, 20, 0)], 2),  # same step: the later time
        ([(2, 20, 0), (1, 10, 0)], 2),
        ([(1, 99, 0), (2, 1, 5)], 2),  # the higher step, whatever the time
        ([(2, 1, 5), (1, 99, 0)], 2),
        ([(1, 1, 0), (7, 1, 0), (3, 1, 0)], 7),  # same step and time: the larger value
        ([(5, 1, -3), (4, 1, -4)], 5),
        ([(1, 1, 2**62), (2, 2**62, 2**62)], 2),
    ],
)
@pytest.mark.parametrize("one_by_one", [True, False])
def test_the_latest_metric_is_of_the_highest_step_then_time_then_value(client, run, points, expected, one_by_one):
    metrics = [("m", value, at, step) for value, at, step in points]
    for batch in [[m] for m in metrics] if one_by_one else [metrics]:
        client.batch(run, batch)
    assert latest(client, run) == expected
    assert len(client.history(run, "m")) == len(points)


# As MLflow keeps them: NaN stays NaN, an infinity is the largest double.
@pytest.mark.parametrize(("value", "kept"), [("NaN", "NaN"), ("Infinity", 1.7976931348623157e308), ("-Infinity", -1.7976931348623157e308)])
def test_a_value_that_is_no_number_comes_back_in_valid_json(client, tallyd, run, value, kept):
    client.batch(run, [("m", value, 1, 0)])
    client.post("runs/log-metric", {"run_id": run, "key": "n", "value": value, "timestamp": 1})

    def refuse(word):
        raise AssertionError(f"bare {word}")

    raw = tallyd.api("GET", f"runs/get?run_id={run}").body
    metrics = {m["key"]: m["value"] for m in json.loads(raw, parse_constant=refuse)["run"]["data"]["metrics"]}
    assert metrics == {"m": kept, "n": kept}
    assert client.history(run, "m") == [(0, 1, kept)]


def test_numbers_come_back_exactly(client, run):
    values = [0.1, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, 1 / 3, 1e22, -1.5e-7]
    client.batch(run, [("m", v, i, i) for i, v in enumerate(values)])
    got = [v for _, _, v in client.history(run, "m")]
    assert [float(v).hex() for v in got] == [v.hex() for v in values]


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"01", b"+1", b".5", b"0x10", b"1.", b"--1", b"true"])
def test_a_value_that_is_not_json_is_a_400(client, tallyd, run, token):
    body = b'{"run_id":"%s","key":"m","value":%s,"timestamp":1}' % (run.encode(), token)
    status, _, answer = send_and_read(tallyd, post_bytes("/api/2.0/mlflow/runs/log-metric", body))
    assert status == 400, answer
    assert client.run_data(run)["metrics"] == {}


# ---- history


def shape(points):
    return [(s, t, v if isinstance(v, str) else float(v).hex()) for s, t, v in points]


def bulk_history(client, runs, key):
    query = "&".join(f"run_id={r}" for r in runs)
    got = harness.request("GET", f"{client.server.url}/ajax-api/2.0/mlflow/metrics/get-history-bulk?{query}&metric_key={key}&max_results=500")
    assert got.status == 200, got.body
    return got.json()["metrics"]


def test_history_pages_hold_each_point_once_while_points_are_added(client, run):
    client.batch(run, [("m", i, i, i) for i in range(50)])
    seen, token, step = [], "", 1000
    while True:
        got = client.get(f"metrics/get-history?run_id={run}&metric_key=m&max_results=7{token}")
        seen += [m["step"] for m in got.get("metrics", [])]
        if not got.get("next_page_token"):
            break
        client.batch(run, [("m", 1, step, step)])
        step += 1
        token = "&page_token=" + got["next_page_token"]
    assert len(seen) == len(set(seen)) and set(range(50)) <= set(seen)


def test_sealed_history_is_hot_history(client, tallyd, run):
    """Even and uneven steps, doubles of one step, times that jump, NaN; then points that come after sealing."""
    points = [("even", math.sin(i), 1000 + i, i) for i in range(300)]
    points += [("uneven", i, 5_000_000_000_000 * (i % 3), i * i // 2 - 40) for i in range(200)]
    points += [("same", i, i, 7) for i in range(150)]
    points += [("odd", "NaN" if i % 10 == 0 else "-Infinity" if i % 10 == 5 else i, i, i) for i in range(120)]
    points += [("few", i, i, i) for i in range(10)]
    for at in range(0, len(points), 1000):
        client.batch(run, points[at : at + 1000])
    keys = ["even", "uneven", "same", "odd", "few"]
    before = {k: shape(client.history(run, k)) for k in keys}
    data = client.run_data(run)

    def paged_and_bulk():
        bulk = {k: bulk_history(client, [run], k) for k in keys}
        return {k: shape(client.history(run, k, page=37)) for k in keys}, bulk

    hot = paged_and_bulk()
    number = sql(tallyd.database, "select id from runs where run_id = %s", run)[0][0]
    sql(tallyd.database, "select settle(null, interval '0')")
    sql(tallyd.database, "update seal_queue set due = case when run = %s then now() - interval '1 day' else now() + interval '1 hour' end", number)
    for _ in range(50):
        if sql(tallyd.database, "select seal_slice(interval '0')")[0][0] == 0:
            break
    assert sql(tallyd.database, "select count(*) from metric_chunks where run = %s", number)[0][0] >= 4
    assert {k: shape(client.history(run, k)) for k in keys} == before
    assert paged_and_bulk() == hot
    assert client.run_data(run) == data

    client.batch(run, [("even", 9, 9, 1000), ("even", 8, 8, -1), ("even", math.sin(5), 1005, 5)])  # after, before, and a repeated sealed point
    after = shape(client.history(run, "even"))
    assert after == sorted(before["even"] + shape([(-1, 8, 8.0), (1000, 9, 9.0)]), key=lambda p: (p[1], p[0]))
    assert latest(client, run, "even") == 9


def test_bulk_history_of_several_runs_is_each_run_s_history(client):
    runs = [client.run() for _ in range(3)]
    for i, run in enumerate(runs):
        client.batch(run, [("m", i * 100 + s, s, s) for s in range(20)])
    got = bulk_history(client, runs, "m")
    assert {(m["run_id"], m["step"], m["value"]) for m in got} == {(r, s, i * 100 + s) for i, r in enumerate(runs) for s in range(20)}


# ---- many at once


def test_32_threads_logging_to_the_same_runs_do_not_deadlock(client, tallyd):
    runs = [client.run() for _ in range(4)]

    def log(i):
        statuses = []
        for n in range(6):
            for run in runs if i % 2 else reversed(runs):
                metrics = [("shared", i, i * 10 + n, n), (f"own{i}", n, n, n)]
                statuses.append(tallyd.api("POST", "runs/log-batch", batch_body(run, metrics, [(f"p{i}", str(i))], [("last", str(i))])).status)
        return statuses

    assert {s for got in together(32, log) for s in got} == {200}
    assert "deadlock" not in tallyd.text()
    for run in runs:
        assert len(client.history(run, "shared")) == 32 * 6
        data = client.run_data(run)
        assert data["params"] == {f"p{i}": str(i) for i in range(32)}
        assert data["metrics"]["shared"] == 31


def test_new_keys_from_many_threads_at_once_are_all_there(client, tallyd, run):
    stamp = now_ms()

    def log(i):
        metrics = [(f"k{stamp}.{(i + n) % 20}", i, i, n) for n in range(20)]
        return tallyd.api("POST", "runs/log-batch", batch_body(run, metrics)).status

    assert set(together(16, log)) == {200}
    assert set(client.run_data(run)["metrics"]) == {f"k{stamp}.{n}" for n in range(20)}
