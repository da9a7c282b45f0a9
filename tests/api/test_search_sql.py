"""What the compiled searches find: every answer against a model in Python (tests/unit/search_model.py), and the plans of the hot shapes.

The compiler is called through build/*/unit/search_cli, which `make unit` builds; SEARCH_CLI names another one.
"""

import glob
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import psycopg2
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(ROOT / "tests" / "unit")]
import search_model as model
import harness

RUNS, EXPERIMENTS, LOGGED_MODELS, REGISTERED_MODELS, MODEL_VERSIONS = range(5)


@pytest.fixture(scope="module")
def cli():
    found = os.environ.get("SEARCH_CLI") or next(iter(sorted(glob.glob(str(ROOT / "build/*/unit/search_cli")), key=os.path.getmtime, reverse=True)), None)
    if not found:
        pytest.skip("search_cli is not built: make unit")

    def call(*args):
        return json.loads(subprocess.run([found, *map(str, args)], capture_output=True, check=True).stdout)
    return call


@pytest.fixture(scope="module")
def cluster():
    made = harness.Postgres(shared_buffers="256MB")
    yield made
    made.close()


def connect(cluster):
    connection = psycopg2.connect(cluster.database())
    connection.autocommit = True
    cursor = connection.cursor()
    for path in sorted((ROOT / "sql" / "migrations").glob("*.sql")):
        cursor.execute(path.read_text())
    return cursor


def text(cursor, query):
    """The query with its values as literals."""
    values = {f"p{i}": float(p["double"]) if isinstance(p, dict) else p for i, p in enumerate(query["params"], 1)}
    sql = re.sub(r"\$(\d+)", r"%(p\1)s", query["sql"].replace("%", "%%"))
    return cursor.mogrify(sql, values).decode()


def rows(cursor, query):
    assert "error" not in query, query["error"]
    cursor.execute(text(cursor, query))
    return cursor.fetchall()


def pages(cli, cursor, flags, limit):
    """Identities of all pages, by our tokens."""
    found, token = [], []
    while True:
        flagged = [*flags, "--limit", limit, *token]
        page = rows(cursor, cli(*flagged))
        found += [row[0] for row in page[:limit]]
        if len(page) <= limit:
            return found
        after = [flag for value in page[limit - 1][1:] for flag in (["--after-null"] if value is None else ["--after", value])]
        token = ["--token", cli(*flagged, *after)["token"]]


@pytest.fixture(scope="module")
def small(cluster):
    cursor = connect(cluster)
    runs = model.make_runs(7, 300)
    model.load(cursor, runs)
    cursor.execute("analyze")
    return cursor, runs


@pytest.mark.parametrize("block", range(6))
def test_random_filters_and_orders_find_what_the_model_finds(cli, small, block):
    cursor, runs = small
    for seed in range(block * 25, block * 25 + 25):
        rng = random.Random(seed)
        filter_text, predicate = model.make_filter(rng)
        order, view = model.make_order(rng), rng.choice([1, 1, 1, 1, 2, 3])
        experiments, limit = rng.choice([[1], [1], [3], [1, 2], [1, 2, 3]]), rng.choice([7, 20, 100])
        flags = ["--filter", filter_text, "--view", view]
        for experiment in experiments:
            flags += ["--experiment", experiment]
        for name, descending in order:
            flags += ["--order", name + (" DESC" if descending else "")]
        expected = [r["id"] for r in model.ordered([r for r in runs if r["experiment"] in experiments and model.alive(r, view) and predicate(r)], order)]
        assert pages(cli, cursor, flags, limit) == expected, (seed, filter_text, order, view, experiments)
        assert rows(cursor, cli(*flags, "--count")) == [(len(expected),)], (seed, filter_text)
        offset = rng.randrange(1, 40)
        assert [r[0] for r in rows(cursor, cli(*flags, "--limit", 10, "--offset", offset))] == expected[offset:offset + 11], (seed, filter_text, offset)


def test_pages_do_not_shift_when_runs_are_added(cli, cluster):
    cursor = connect(cluster)
    model.load(cursor, model.make_runs(3, 60))
    flags = ["--experiment", 1, "--limit", 5]
    first = rows(cursor, cli(*flags))
    token = cli(*flags, *[f for v in first[4][1:] for f in ("--after", v)])["token"]
    before = rows(cursor, cli(*flags, "--token", token))
    cursor.execute("insert into runs (id, run_id, experiment_id, run_rank, start_time, status, artifact_uri) select i, md5(i::text), 1, run_rank_of(md5(i::text)), 1000, 1, ''"
                   " from generate_series(100000, 100020) i")
    assert rows(cursor, cli(*flags, "--token", token)) == before


def test_metric_with_the_whole_name_wins_over_the_least_of_another(cli, cluster):
    cursor = connect(cluster)
    runs = model.make_runs(3, 60)
    model.load(cursor, runs)
    flags = ["--experiment", 1, "--limit", 1000, "--filter", "metrics.x.min < 100"]
    alive = [r for r in runs if r["experiment"] == 1 and model.alive(r, 1)]
    assert len(rows(cursor, cli(*flags))) == sum("x" in r["history"] for r in alive) > 1
    cursor.execute("insert into keys (key) values ('x.min') returning id")
    cursor.execute("insert into latest_metrics values (%s, %s, false, 1, 5, 0, 0, %s, 0, 5)", (alive[0]["id"], cursor.fetchone()[0], alive[0]["start_time"]))
    assert [r[0] for r in rows(cursor, cli(*flags))] == [alive[0]["id"]]


@pytest.fixture(scope="module")
def registry(cluster):
    cursor = connect(cluster)
    cursor.execute("""
        insert into experiments (id, name, artifact_location, creation_time, last_update_time, deleted_time) values
          (1, 'alpha', '', 10, 10, null), (2, 'Beta', '', 20, 25, null), (3, 'gone', '', 30, 30, 31), (4, 'a_b', '', 20, 21, null), (5, 'a%b', '', 5, 5, null);
        insert into experiment_tags values (1, 'team', 'red'), (2, 'team', 'blue'), (4, 'a b', 'x');
        insert into registered_models (id, name, creation_time, last_update_time) values (1, 'one', 1, 10), (2, 'two', 2, 20), (3, 'Three', 3, 10), (4, 'prompt', 4, 5);
        insert into registered_model_tags values (1, 'k', 'v'), (2, 'k', 'w'), (4, 'mlflow.prompt.is_prompt', 'true');
        insert into model_versions (model, version, creation_time, last_update_time, source, run_id, deleted) values
          (1, 1, 1, 5, 's3://a', 'r1', false), (1, 2, 2, 9, 's3://b', 'r2', false), (1, 3, 3, 9, 'x', 'r3', true), (2, 1, 4, 9, 'gs://c', 'r1', false), (4, 1, 5, 9, 'p', '', false);
        insert into model_version_tags values (1, 2, 'best', 'yes'), (4, 1, 'mlflow.prompt.is_prompt', 'true');
        insert into logged_models (id, model_id, experiment_id, name, artifact_uri, status, creation_time, last_update_time, deleted_time) values
          (1, 'm-1', 1, 'net', '', 2, 1, 1, null), (2, 'm-2', 1, 'net', '', 1, 2, 2, null), (3, 'm-3', 2, 'tree', '', 2, 3, 3, null), (4, 'm-4', 1, 'gone', '', 2, 4, 4, 5);
        insert into logged_model_params values (1, 'depth', '3'), (2, 'depth', '4');
        insert into logged_model_tags values (2, 't', 'x');
        insert into logged_model_metrics values (1, 'acc', 1, 0, 'r1', 0.5, 'd1', 'aa'), (1, 'acc', 2, 0, 'r1', 0.9, 'd2', 'bb'), (2, 'acc', 1, 0, 'r1', 0.7, 'd1', 'aa'), (3, 'acc', 1, 0, 'r1', 'NaN', null, null);
    """)
    return cursor


@pytest.mark.parametrize("kind, flags, expected", [
    (EXPERIMENTS, [], [2, 4, 1, 5]),
    (EXPERIMENTS, ["--view", 2], [3]),
    (EXPERIMENTS, ["--view", 3, "--order", "name"], [2, 5, 4, 1, 3]),
    (EXPERIMENTS, ["--order", "creation_time ASC"], [5, 1, 4, 2]),
    (EXPERIMENTS, ["--filter", "name LIKE 'a%'"], [4, 1, 5]),
    (EXPERIMENTS, ["--filter", "name ILIKE 'B%'"], [2]),
    (EXPERIMENTS, ["--filter", "experiment_id IN ('1', '2')"], [2, 1]),
    (EXPERIMENTS, ["--filter", "experiment_id NOT IN ('1', '2')"], [4, 5]),
    (EXPERIMENTS, ["--filter", "experiment_id != '1' and creation_time > 5"], [2, 4]),
    (EXPERIMENTS, ["--filter", "tags.team = 'red'"], [1]),
    (EXPERIMENTS, ["--filter", "tags.team != 'red'"], [2]),
    (EXPERIMENTS, ["--filter", "tags.team IS NULL"], [4, 5]),
    (EXPERIMENTS, ["--filter", "tags.`a b` = 'x' or last_update_time <= 5"], [4, 5]),
    (EXPERIMENTS, ["--filter", "not name = 'alpha'"], [2, 4, 5]),
    (REGISTERED_MODELS, [], [3, 1, 2]),
    (REGISTERED_MODELS, ["--order", "timestamp DESC"], [2, 3, 1]),
    (REGISTERED_MODELS, ["--filter", "name IN ('one', 'two')"], [1, 2]),
    (REGISTERED_MODELS, ["--filter", "name ilike 't%'"], [3, 2]),
    (REGISTERED_MODELS, ["--filter", "tags.k != 'v'"], [2]),
    (REGISTERED_MODELS, ["--filter", "tags.`mlflow.prompt.is_prompt` = 'true'"], [4]),
    (REGISTERED_MODELS, ["--filter", "tags.`mlflow.prompt.is_prompt` != 'true'"], [3, 1, 2]),
    (REGISTERED_MODELS, ["--filter", "tags.`mlflow.prompt.is_prompt` = 'false' and name = 'one'"], [1]),
    (MODEL_VERSIONS, [], [(1, 2), (2, 1), (1, 1)]),
    (MODEL_VERSIONS, ["--filter", "name = 'one'"], [(1, 2), (1, 1)]),
    (MODEL_VERSIONS, ["--filter", "run_id = 'r1'", "--order", "name desc"], [(2, 1), (1, 1)]),
    (MODEL_VERSIONS, ["--filter", "run_id IN ('r2', 'r3')"], [(1, 2)]),
    (MODEL_VERSIONS, ["--filter", "source_path LIKE 's3:%'"], [(1, 2), (1, 1)]),
    (MODEL_VERSIONS, ["--filter", "version_number >= '2'"], [(1, 2)]),
    (MODEL_VERSIONS, ["--filter", "tags.best = 'yes'"], [(1, 2)]),
    (MODEL_VERSIONS, ["--order", "version_number", "--order", "creation_timestamp desc"], [(2, 1), (1, 1), (1, 2)]),
    (MODEL_VERSIONS, ["--filter", "tags.`mlflow.prompt.is_prompt` = 'true'"], [(4, 1)]),
    (LOGGED_MODELS, [], [2, 1]),
    (LOGGED_MODELS, ["--experiment", 2], [3, 2, 1]),
    (LOGGED_MODELS, ["--filter", "metrics.acc > 0.8"], [1]),
    (LOGGED_MODELS, ["--filter", "metrics.acc > 0.8", "--dataset", "d1"], []),
    (LOGGED_MODELS, ["--dataset", "d2", "--digest", "bb"], [1]),
    (LOGGED_MODELS, ["--filter", "params.depth IN ('4', '5')"], [2]),
    (LOGGED_MODELS, ["--filter", "status = 2"], [1]),
    (LOGGED_MODELS, ["--filter", "status = 'PENDING'"], [2]),
    (LOGGED_MODELS, ["--filter", "name = 'net' and tags.t = 'x'"], [2]),
    (LOGGED_MODELS, ["--filter", "creation_timestamp < 2"], [1]),
    (LOGGED_MODELS, ["--experiment", 2, "--order", "metrics.acc"], [2, 1, 3]),
    (LOGGED_MODELS, ["--experiment", 2, "--order-desc", "metrics.acc"], [1, 2, 3]),
    (LOGGED_MODELS, ["--experiment", 2, "--order", "name"], [2, 1, 3]),
])
def test_other_searches(cli, registry, kind, flags, expected):
    flags = ["--kind", kind, *(["--experiment", 1] if kind == LOGGED_MODELS else []), *flags]
    if expected and isinstance(expected[0], tuple):
        expected = [model << 31 | version for model, version in expected]
    for limit in (1, 2, 100):
        assert pages(cli, registry, flags, limit) == expected


@pytest.fixture(scope="module")
def big(cluster):
    """100,000 runs, 99,000 of them deleted in experiment 2; half of the values of `ties` are equal."""
    cursor = connect(cluster)
    cursor.execute("""
        insert into experiments (id, name, artifact_location, creation_time, last_update_time) select i, 'e' || i, '', i, i from generate_series(1, 40) i;
        insert into keys (id, key) values (101, 'mae'), (102, 'rmse'), (103, 'ties'), (104, 'alpha'), (105, 'rare');
        insert into runs (id, run_id, experiment_id, run_rank, start_time, end_time, status, lifecycle, name, artifact_uri)
          select i, md5(i::text), 1 + i % 2, run_rank_of(md5(i::text)), 1700000000000 + i * 7919 % 1000003, null, 3, case when i % 2 = 1 and i % 50 <> 1 then 1 else 0 end, 'run-' || i, ''
            from generate_series(1::bigint, 100000) i;
        insert into latest_metrics (run, key_id, deleted, experiment_id, value, step, timestamp, start_time, run_rank, search_value)
          select r.id, k, r.lifecycle = 1, r.experiment_id, v.v, 0, 0, r.start_time, r.run_rank, v.v
            from runs r, generate_series(101, 103) k
               , lateral (select case when k = 103 and r.id % 4 < 2 then 1 else (hashint8(r.id * 31 + k)::bigint + 2147483648) / 4294967296.0 end as v) v;
        insert into params (run, key_id, deleted, experiment_id, start_time, run_rank, value)
          select r.id, k, r.lifecycle = 1, r.experiment_id, r.start_time, r.run_rank, case when k = 104 then '0.' || abs(hashint8(r.id)::bigint) % 10 else (r.id % 5000)::text end
            from runs r, generate_series(104, 105) k;
        analyze;
    """)
    cursor.execute("vacuum")
    return cursor


BIG = ("runs", "latest_metrics", "params", "tags")


def plan_nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def steady(cursor, query):
    """The query as it runs once it is prepared, with a plan that knows no value."""
    kinds = {bool: "boolean", int: "bigint", float: "double precision", dict: "double precision", str: "text", list: "bigint[]"}
    types = ", ".join("text[]" if isinstance(p, list) and p and isinstance(p[0], str) else kinds[type(p)] for p in query["params"])
    cursor.execute(f"deallocate all; set plan_cache_mode = force_generic_plan; prepare steady ({types}) as " + query["sql"])
    return cursor.mogrify("execute steady(" + ", ".join(["%s"] * len(query["params"])) + ")", [float(p["double"]) if isinstance(p, dict) else p for p in query["params"]]).decode()


@pytest.mark.parametrize("experiment", [1, 2])
@pytest.mark.parametrize("flags", [
    [],
    ["--limit", 1000],
    ["--filter", "metrics.mae < 0.5 and params.alpha = '0.5'", "--order", "metrics.rmse desc"],
    ["--filter", "metrics.mae < 0.5 and params.alpha = '0.5'", "--order", "metrics.mae"],
    ["--order", "metrics.ties desc"],
    ["--order", "metrics.ties"],
    ["--order", "params.alpha desc"],
    ["--order", "run_name"],
    ["--order", "end_time desc"],
    ["--order", "start_time"],
    ["--filter", "params.rare = '7'", "--order", "metrics.rmse"],
    ["--filter", "run_name = 'run-77'"],
    ["--filter", "run_name LIKE 'run-777%'"],
    ["--filter", "status = 'FAILED'"],
])
@pytest.mark.parametrize("prepared", [False, True])
def test_hot_searches_touch_few_rows_and_scan_no_table(cli, big, flags, experiment, prepared):
    query = cli("--experiment", experiment, *flags)
    if prepared and not query["steady"]:
        # Where the plan depends on a value the server does not prepare it.
        assert flags[:1] == ["--filter"] and flags[1] in ("run_name LIKE 'run-777%'", "status = 'FAILED'")
        return
    explained = steady(big, query) if prepared else text(big, query)
    big.execute("explain (analyze, timing off, format json) " + explained)
    seen = 0
    for node in plan_nodes(big.fetchone()[0][0]["Plan"]):
        if node.get("Relation Name") in BIG:
            if node["Actual Loops"] > 0:
                assert node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan"), (flags, node)
            seen += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    assert seen < 15 * (1101 if "--limit" in flags else 1000), (flags, seen)


def test_next_page_of_ties_touches_few_rows(cli, big):
    flags = ["--experiment", 1, "--limit", 100, "--order", "metrics.ties desc"]
    first = rows(big, cli(*flags))
    after = [f for v in first[99][1:] for f in ("--after", v)]
    big.execute("explain (analyze, timing off, format json) " + text(big, cli(*flags, "--token", cli(*flags, *after)["token"])))
    assert sum(n["Actual Rows"] * n["Actual Loops"] for n in plan_nodes(big.fetchone()[0][0]["Plan"]) if n.get("Relation Name") in BIG) < 2000
