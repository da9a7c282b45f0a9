"""What our own page asks for its runs table: pages by offset and by token, the count, least and largest values, names in use, groups."""

import harness
import pytest
import rest
from rest import sql, unique

KEYS = 1500


@pytest.fixture(scope="module")
def made(tallyd):
    """Thirty runs; the loss of run i goes 10, i, i + 1."""
    client = rest.Rest(tallyd)
    experiment = client.experiment()
    runs = []
    for i in range(30):
        run = client.run(experiment, start_time=1_700_000_000_000 + i)
        metrics = [{"key": "val/loss", "value": v, "timestamp": 1_700_000_000_000 + s, "step": s} for s, v in enumerate((10, i, i + 1))]
        client.post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": [{"key": "parity", "value": str(i % 2)}]})
        client.post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": 1_700_000_100_000 - i * 500})
        runs.append(run)
    return client, experiment, runs


def own(client, path, body=None):
    answer = harness.request("GET" if body is None else "POST", f"{client.server.url}/api/2.0/tallyd/{path}", body)
    assert answer.status == 200, (path, answer.body[:500])
    return answer.json()


def table(client, experiment, **more):
    return own(client, "runs/table", {"experiment_ids": [experiment], **more})


def names(answer):
    return [r["info"]["run_id"] for r in answer["runs"]]


def test_pages_by_token_and_by_offset_are_the_same(made):
    client, experiment, runs = made
    for order in ([], ["metrics.`val/loss` DESC"], ["params.parity ASC"], ["attributes.duration ASC"]):
        token, seen = None, []
        while True:
            page = table(client, experiment, order_by=order, max_results=7, total=False, **({"page_token": token} if token else {}))
            assert "total" not in page
            assert names(page) == names(table(client, experiment, order_by=order, max_results=7, offset=len(seen)))
            seen += names(page)
            token = page.get("next_page_token")
            if token is None:
                break
        assert sorted(seen) == sorted(runs)
    assert names(table(client, experiment, order_by=["attributes.duration ASC"])) == runs[::-1]


def test_the_count_is_asked_for_alone(made):
    client, experiment, runs = made
    first = runs[0]
    for text, want in (("", 30), ("params.parity = '1'", 15), ("metrics.`val/loss` > 20", 10), ("tags.nothing IS NULL", 30), ("tags.nothing IS NOT NULL", 0), ("params.parity IS NOT NULL and not params.parity = '0'", 15)):
        answer = table(client, experiment, filter=text, max_results=0)
        assert answer == {"total": want, "runs": []}, text
        assert table(client, experiment, filter=text)["total"] == want
    client.post("runs/delete", {"run_id": first})
    assert table(client, experiment, filter="params.parity = '0'", max_results=0)["total"] == 14
    assert table(client, experiment, filter="params.parity = '0'", max_results=0, run_view_type="ALL")["total"] == 15
    assert table(client, experiment, filter="params.parity IS NULL", max_results=0)["total"] == 0
    client.post("runs/restore", {"run_id": first})
    assert table(client, experiment, filter="params.parity = '0'", max_results=0)["total"] == 15


def test_least_and_largest_of_the_history(made, tallyd):
    client, experiment, runs = made

    def check():
        for row in table(client, experiment, columns=["metrics.val/loss", "min.val/loss", "max.val/loss", "min.none"])["runs"]:
            i = runs.index(row["info"]["run_id"])
            assert (row["metrics"]["val/loss"], row["min"]["val/loss"], row["max"]["val/loss"]) == (i + 1, min(i, 10), max(i + 1, 10))
            assert "none" not in row["min"]

    check()
    sql(tallyd.database, "select settle(null, interval '0')")
    sql(tallyd.database, "update seal_queue set due = now() - interval '1 second'")
    sql(tallyd.database, "select seal_slice(interval '0')")
    check()


def test_names_in_use(made, tallyd):
    client, _, _ = made
    experiment = client.experiment()
    run = client.run(experiment)
    prefix = unique("k")
    for at in range(0, KEYS, 500):
        client.post("runs/log-batch", {"run_id": run, "metrics": [{"key": f"{prefix}/{i:04}", "value": 1, "timestamp": 1, "step": 0} for i in range(at, at + 500)]})
    ask = lambda **more: own(client, f"keys?experiment_id={experiment}&kind=metrics" + "".join(f"&{k}={v}" for k, v in more.items()).replace(" ", "+"))
    wanted = [f"{prefix}/{i:04}" for i in range(KEYS)]
    short = ask(max_results=20)
    assert short["keys"] == wanted[:20] and short["total"] == 1001 and short["more"] is True
    client.batch(run, metrics=[("zeta", 1, 1, 0), ("zeta/f1", 1, 1, 0), ("zeta_2", 1, 1, 0)])
    assert ask(plain="true", q="", max_results=20)["keys"] == ["zeta", "zeta/f1"]
    wanted += ["zeta", "zeta/f1", "zeta_2"]
    whole = ask(max_results=20000)
    assert whole["keys"] == wanted and whole["total"] == KEYS + 3 and "more" not in whole
    assert ask(max_results=20, after=wanted[19])["keys"] == wanted[20:40]
    assert ask(max_results=20, after="zzz").get("keys") is None
    found = ask(q=f"{prefix.upper()}/014", max_results=5)
    assert found["keys"] == wanted[140:145] and found["total"] == 10
    assert ask(q="no such key")["total"] == 0


def test_groups(made):
    client, experiment, _ = made
    groups = own(client, "runs/groups", {"experiment_ids": [experiment], "group_by": ["params.parity", "tags.none"], "metrics": ["val/loss", "none"]})["groups"]
    assert [(g["key"], g["count"], len(g["run_ids"])) for g in groups] == [({"params.parity": "1", "tags.none": None}, 15, 15), ({"params.parity": "0", "tags.none": None}, 15, 15)]
    assert groups[0]["metrics"]["val/loss"] == {"mean": 16, "std": pytest.approx(8.6409876), "min": 2, "max": 30, "count": 15, "finite": 15}


def test_groups_take_the_mean_of_what_is_a_number(tallyd):
    client = rest.Rest(tallyd)
    experiment = client.experiment()
    for value in (1, 3, "NaN", "Infinity", "Infinity"):
        run = client.run(experiment)
        client.post("runs/log-batch", {"run_id": run, "metrics": [{"key": k, "value": v, "timestamp": 1, "step": 0} for k, v in (("loss", value), ("lost", "NaN"))], "params": [{"key": "all", "value": "x"}]})
    client.run(experiment)
    bare, = [g for g in own(client, "runs/groups", {"experiment_ids": [experiment], "group_by": ["params.all"], "metrics": ["loss"]})["groups"] if g["key"] == {"params.all": None}]
    assert bare["count"] == 1 and bare["metrics"] == {}
    (group,) = own(client, "runs/groups", {"experiment_ids": [experiment], "filter": "params.all = 'x'", "group_by": ["params.all"], "metrics": ["loss", "lost"]})["groups"]
    assert group["metrics"]["loss"] == {"mean": 2, "std": 1, "min": 1, "max": 1.7976931348623157e308, "count": 5, "finite": 2}
    assert group["metrics"]["lost"] == {"mean": None, "std": 0, "min": None, "max": None, "count": 5, "finite": 0}


def test_experiments_without_their_counts(made):
    client, experiment, _ = made
    with_counts = {e["experiment_id"]: e for e in own(client, "experiments")["experiments"]}
    assert with_counts[experiment]["run_count"] == 30
    without = {e["experiment_id"]: e for e in own(client, "experiments?counts=false")["experiments"]}
    assert "run_count" not in without[experiment] and without.keys() == with_counts.keys()
    counts = {c["experiment_id"]: c for c in own(client, "experiments/counts")["counts"]}
    assert counts[experiment] == {"experiment_id": experiment, "run_count": 30, "last_run_time": 1_700_000_000_029}
