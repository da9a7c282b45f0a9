"""A large data set by SQL: more than a client logs in a test's time. Rows are those that logging leaves behind."""

import contextlib

import psycopg2

RUNS = """
insert into runs (run_id, experiment_id, run_rank, start_time, end_time, status, user_id, name, artifact_uri)
select x.id, %(e)s, run_rank_of(x.id), 1700000000000 + g * 1000, 1700000000000 + g * 1000 + 5000 + g %% 977, 3, 'u', 'run-' || g, 'mlflow-artifacts:/%(e)s/' || x.id || '/artifacts'
  from generate_series(1, %(n)s) g cross join lateral (select md5('%(e)s-' || g) as id) x
"""
METRICS = """
insert into latest_metrics (run, key_id, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
select r.id, k.id, %(e)s, v, v, 0, r.start_time, r.start_time, r.run_rank
  from runs r cross join keys k cross join lateral (select abs(hashfloat8((r.id * 31 + k.id)::float8)) / 2147483648.0 as v) v
 where r.experiment_id = %(e)s and k.key = any (%(metrics)s)
"""
WIDE = """
insert into latest_metrics (run, key_id, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
select r.id, k.id, %(e)s, 1, 1, 0, r.start_time, r.start_time, r.run_rank
  from (select * from runs where experiment_id = %(e)s order by start_time desc limit 3) r join keys k on k.key like 'layer/%%/norm'
"""
PARAMS = """
insert into params (run, key_id, experiment_id, start_time, run_rank, value)
select r.id, k.id, %(e)s, r.start_time, r.run_rank, (abs(hashint8(r.id * 17 + k.id)) %% 10 / 10.0)::numeric(3, 1)::text
  from runs r cross join keys k where r.experiment_id = %(e)s and k.key = any (%(params)s)
"""
METRIC_NAMES = ["loss", "accuracy"]
PARAM_NAMES = ["alpha", "lr"]


def experiment(database, number, runs, wide=0):
    """Fills an experiment with runs of two metrics and two params; the newest three have `wide` metrics more."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        names = METRIC_NAMES + PARAM_NAMES + [f"layer/{i}/norm" for i in range(wide)]
        cursor.execute("insert into keys (key) select unnest(%s) on conflict do nothing", (names,))
        for statement in (RUNS, METRICS, PARAMS, *([WIDE] if wide else [])):
            cursor.execute(statement, {"e": int(number), "n": runs, "metrics": METRIC_NAMES, "params": PARAM_NAMES})
        cursor.execute("vacuum analyze runs, latest_metrics, params, keys")


def experiments(database, count):
    """Experiments in folders, without runs."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(
            "insert into experiments (name, artifact_location, creation_time, last_update_time)"
            " select 'many/team' || g %% 20 || '/project' || g %% 300 || '/try-' || g, 'mlflow-artifacts:/many/' || g, 1700000000000 + g, 1700000000000 + g from generate_series(1, %s) g",
            (count,),
        )
        cursor.execute("vacuum analyze experiments")
