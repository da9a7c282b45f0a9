import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


@pytest.fixture(scope="session")
def pair():
    """Addresses (real, ours): $REAL_URL and $TALLYD_URL, or both servers started here."""
    if os.environ.get("TALLYD_URL"):
        yield os.environ.get("REAL_URL"), os.environ["TALLYD_URL"]
        return
    from servers import Pair
    with Pair() as both:
        yield both.real, both.ours
