"""Charts against the points themselves: buckets are consecutive groups of points, nothing is lost, whatever tier a point lies in."""

import math
import random

import harness
import pytest
from rest import sql, together, unique

AXES = ("step", "time", "relative")
BASE = 1_700_000_000_000
MOST = 1.7976931348623157e308


def even(r, n):
    return [(i, BASE + 1000 * i, r.gauss(0, 1)) for i in range(n)]


def jitter(r, n):
    """Uneven steps, times that rise by chance, some NaN."""
    step, time, points = 0, BASE, []
    for _ in range(n):
        step += r.choice((1, 1, 1, 2, 50))
        time += r.randrange(2000)
        points.append((step, time, math.nan if r.random() < 0.02 else r.gauss(0, 1)))
    return points


def one_step(r, n):
    return [(0, BASE + 10 * i, r.random()) for i in range(n)]


def resumed(r, n):
    """Half way it goes on a day later from an earlier step."""
    half, back = n // 2, n // 10
    return [(i, BASE + i * 100, r.random()) for i in range(half)] + [(half - back + i, BASE + 86_400_000 + i * 100, r.random()) for i in range(n - half)]


def pauses(r, n):
    """Times with gaps within blocks."""
    return [(i, BASE + i * 100 + (i // (n // 7 + 1)) * 40_000_000, r.random()) for i in range(n)]


def backwards(r, n):
    return [(i, BASE - i * 100, r.random()) for i in range(n)]


def edges(r, n):
    """Numbers at the ends of what fits."""
    most = 2**63 - 1
    values = (math.inf, -math.inf, math.nan, -0.0, 0.0, 5e-324, MOST, -MOST)
    points = [(r.choice((-most - 1, most, 0, 7)), r.choice((most, -most - 1, 0, 3)), r.choice(values)) for _ in range(n // 4)]
    return points + [(i, i, r.choice(values)) for i in range(n - len(points))]


SHAPES = (even, jitter, one_step, resumed, pauses, backwards, edges)


def distinct(points):
    """Equals once: NaN is equal to NaN, and 0 to -0."""
    seen = {}
    for step, time, value in points:
        seen.setdefault((step, time, "nan" if math.isnan(value) else value), (step, time, value))
    return list(seen.values())


def number(v):
    return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(v, v) if isinstance(v, str) else float(v)


def same(a, b):
    """An infinity is answered as the largest double."""
    return a == max(min(b, MOST), -MOST) or (math.isnan(a) and math.isnan(b))


def kept(database, run, key, points):
    """Hot rows, as they would be after logging."""
    sql(database, "insert into metrics (run, key_id, step, timestamp, value) select %s, %s, * from unnest(%s::bigint[], %s::bigint[], %s::float8[]) on conflict do nothing", run, key, *map(list, zip(*points)))


def sealed(database, run, key, points):
    sql(database, "select seal_points(%s, %s, %s::bigint[], %s::bigint[], %s::float8[])", run, key, *map(list, zip(*points)))


def settled(database, run, key, keep=0):
    """All hot points sealed, chunks put in order."""
    for _ in range(1000):
        lock = "select pg_advisory_xact_lock(seal_lock(%s)); "
        hot = sql(database, lock + "select sealed from seal_some(%s, %s, %s, -9223372036854775808)", run, run, key, keep)[0][0]
        if hot + sql(database, lock + "select seal_order(%s, %s, true)", run, run, key)[0][0] == 0:
            return
    raise AssertionError("sealing goes on for ever")


def hot(r, database, run, key, points):
    kept(database, run, key, points)


def all_sealed(r, database, run, key, points):
    kept(database, run, key, points)
    settled(database, run, key)
    assert sql(database, "select count(*) from metrics where run = %s and key_id = %s", run, key)[0][0] == 0


def newest_hot(r, database, run, key, points):
    kept(database, run, key, points)
    settled(database, run, key, 64)


def mixed(r, database, run, key, points):
    """In batches of any order and size, to either tier, some of them twice; put in order now and then."""
    left = list(points)
    while left:
        n = r.choice((1, 30, 700, 5000))
        batch, left = left[:n], left[n:]
        if r.random() < 0.1:
            batch = batch + r.sample(points, min(20, len(points)))
        r.choice((kept, sealed))(database, run, key, batch)
        if r.random() < 0.2:
            settled(database, run, key, r.choice((0, 100)))


def scattered(r, database, run, key, points):
    """A few late points everywhere in what is sealed."""
    late = r.sample(points, len(points) // 200 + 1)
    sealed(database, run, key, [p for p in points if p not in late] or points)
    kept(database, run, key, late)


STATES = (hot, all_sealed, newest_hot, mixed, scattered)


def check_chart(client, run, key, points, axis, buckets, start=None, end=None):
    body = {"run_ids": [run], "metric_key": key, "buckets": buckets, "x_axis": axis}
    body.update({k: v for k, v in (("start", start), ("end", end)) if v is not None})
    answer = harness.request("POST", f"{client.server.url}/api/2.0/tallyd/metrics/chart", body)
    assert answer.status == 200, answer.body[:300]
    got = answer.json()["series"][0]
    base = min((p[1] for p in points), default=0)
    x_of = {"step": lambda p: float(p[0]), "time": lambda p: float(p[1]), "relative": lambda p: (float(p[1]) - float(base)) / 1000.0}[axis]
    marked = lambda p: (0.0, 1) if math.isnan(p[2]) else (p[2], 0)
    order = (lambda p: (p[0], p[1], marked(p))) if axis == "step" else (lambda p: (p[1], p[0], marked(p)))
    inside = sorted((p for p in points if (start is None or x_of(p) >= start) and (end is None or x_of(p) <= end)), key=order)
    assert got["count"] == len(points)
    assert sum(got["n"]) == len(inside)
    assert got["exact"] == (len(inside) <= 2 * buckets)
    width = (x_of(inside[-1]) - x_of(inside[0])) / buckets if inside else 0
    nans = got.get("nan", [0] * len(got["n"]))
    at = 0
    for i, n in enumerate(got["n"]):
        group, at = inside[at : at + n], at + n
        numbers = [p[2] for p in group if not math.isnan(p[2])]
        assert number(got["x"][i]) == x_of(group[0])
        assert same(number(got["min"][i]), min(numbers, default=math.nan)) and same(number(got["max"][i]), max(numbers, default=math.nan)), (i, group[0])
        assert same(number(got["last"][i]), group[-1][2]), (i, group[-3:])
        assert nans[i] == n - len(numbers)
        if all(abs(v) < 1e300 for v in numbers):
            assert math.isclose(number(got["mean"][i]), math.fsum(numbers) / len(numbers), rel_tol=1e-9, abs_tol=1e-9) if numbers else math.isnan(number(got["mean"][i]))
        assert n == 1 or got["exact"] or x_of(group[-1]) - x_of(group[0]) <= 2 * width
    assert at == len(inside)


@pytest.fixture(scope="module")
def key(tallyd):
    return unique("curve")


@pytest.mark.parametrize("state", STATES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_buckets_hold_each_point_once(client, tallyd, key, shape, state):
    r = random.Random(f"{shape.__name__} {state.__name__}")
    client.post("runs/log-metric", {"run_id": client.run(), "key": key, "value": 1, "timestamp": 1})
    key_id = sql(tallyd.database, "select id from keys where key = %s", key)[0][0]
    for n in (60, 700, 9000):
        run = client.run()
        number_of_run = sql(tallyd.database, "select id from runs where run_id = %s", run)[0][0]
        points = distinct(shape(r, n))
        state(r, tallyd.database, number_of_run, key_id, points)
        for axis in AXES:
            check_chart(client, run, key, points, axis, r.choice((1, 3, 20, 320)))
            at = {"step": lambda p: p[0], "time": lambda p: p[1], "relative": lambda p: (p[1] - min(q[1] for q in points)) / 1000.0}[axis]
            start, end = sorted((float(at(r.choice(points))), float(at(r.choice(points)))))
            check_chart(client, run, key, points, axis, r.choice((2, 9, 100)), r.choice((start, None)), r.choice((end, end + 0.5)))
        history = client.history(run, key)
        assert len(history) == len(points) and {p[:2] for p in history} == {p[:2] for p in points}


def test_sealing_of_a_live_series_loses_nothing(client, tallyd):
    """Writers, repeats, a sealer and readers at once: what was answered is read, each point once."""
    run, key = client.run(), unique("live")
    client.post("runs/log-metric", {"run_id": run, "key": key, "value": 0, "timestamp": 0, "step": 0})
    series = sql(tallyd.database, "select r.id, k.id from runs r, keys k where r.run_id = %s and k.key = %s", run, key)[0]
    answered = []
    ends = []

    def write(w):
        try:
            for i in range(10):
                points = [(key, s * 0.5, s, s) for s in range(1000 * i + 250 * w + 1, 1000 * i + 250 * w + 251)]
                client.batch(run, points)
                answered.append(len(points))
                if i % 3 == 0:
                    client.batch(run, points[:100])
        finally:
            ends.append(w)

    def seal(_):
        while len(ends) < 4:
            sql(tallyd.database, "insert into seal_soon (run, key_id) values (%s, %s) on conflict do nothing", *series)
            lock = "select pg_advisory_xact_lock(seal_lock(%s)); "
            sql(tallyd.database, lock + "select sealed from seal_some(%s, %s, 300, -9223372036854775808)", series[0], *series)
            sql(tallyd.database, lock + "select seal_order(%s, %s, true)", series[0], *series)

    def read(_):
        while len(ends) < 4:
            known = sum(answered)
            history = client.history(run, key)
            assert known <= len(history) - 1 and len(set(history)) == len(history)

    together(6, lambda i: write(i) if i < 4 else seal(i) if i == 4 else read(i))
    assert sorted(client.history(run, key)) == [(0, 0, 0.0)] + [(s, s, s * 0.5) for s in range(1, 10001)]
    settled(tallyd.database, *series)
    assert sql(tallyd.database, "select sum(points) from metric_chunks where run = %s", series[0])[0][0] == 10001
    check_chart(client, run, key, [(0, 0, 0.0)] + [(s, s, s * 0.5) for s in range(1, 10001)], "step", 20)
