"""Random filters on random runs: both servers find the same runs in the same order.

SEARCH_SEED and SEARCH_ROUNDS choose the filters; a failure prints both.
"""

import os
import random
import re
import uuid

import pytest
from data import Api, Filters, fill, random_rows, search

SEED = int(os.environ.get("SEARCH_SEED", "20260101"))
ROUNDS = int(os.environ.get("SEARCH_ROUNDS", "300"))
# Words and signs by which our language goes beyond MLflow's.
BEYOND = re.compile(r"\b(or|not|rlike|min|max|last)\b|[()]", re.I)


@pytest.fixture(scope="module")
def both(pair):
    real, ours = pair
    if not real:
        pytest.skip("REAL_URL is not set")
    rows = random_rows(random.Random(SEED), 60)
    made = []
    for url in (real, ours):
        api = Api(url)
        made.append((api, *fill(api, rows, "property-" + uuid.uuid4().hex[:8])))
    return made


def compare(both, filter, order_by, wrong, meant=lambda real, ours: False):
    (found, message), (ours, our_message) = (search(*one, filter, order_by, "ALL" if len(filter) % 5 == 0 else "ACTIVE_ONLY") for one in both)
    if found != ours and not meant(found, ours):
        wrong.append(f"{filter!r} {order_by}\n    real {found} {message[:150]}\n    ours {ours} {our_message[:150]}")
    return found


def test_random_filters_find_the_same_runs_in_the_same_order(both):
    filters, wrong, useful = Filters(SEED), [], 0
    for _ in range(ROUNDS):
        found = compare(both, filters.filter(), filters.order_by(), wrong)
        useful += bool(found) and not isinstance(found, str)
    assert not wrong, f"seed {SEED}: {len(wrong)} of {ROUNDS} differ\n" + "\n".join(wrong[:15])
    assert useful > ROUNDS / 10, "too few filters find anything: the test tests nothing"


def test_random_orders_without_filter(both):
    filters, wrong = Filters(SEED + 1), []
    for _ in range(ROUNDS // 4):
        compare(both, "", filters.order_by(), wrong)
    assert not wrong, f"{len(wrong)} differ\n" + "\n".join(wrong[:15])


def test_broken_filters_are_refused_alike(both):
    """
    Where MLflow answers, we answer the same; where it refuses, we refuse or the
    filter is in our larger language; where it fails with 500, we refuse.
    """
    filters, wrong = Filters(SEED + 2), []
    for _ in range(ROUNDS):
        text = filters.broken()

        def meant(real, ours):
            if isinstance(real, str) and real.startswith("error 500"):
                return ours == "error 400 INVALID_PARAMETER_VALUE"
            numeric_param = re.search(r"param\w*\.\S+\s*[<>!]?=?\s*[-+\d]", text)
            return isinstance(real, str) and not isinstance(ours, str) and (BEYOND.search(text) or numeric_param)

        compare(both, text, [], wrong, meant)
    assert not wrong, f"{len(wrong)} of {ROUNDS} differ\n" + "\n".join(wrong[:20])
