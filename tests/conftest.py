"""Fixtures for every suite: a private PostgreSQL cluster, databases in it, and a tallyd on a free port. $TALLYD names the binary (the sanitized one in `make check`)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))

import pytest  # noqa: E402
import harness  # noqa: E402


@pytest.fixture(scope="session")
def postgres():
    """One cluster for the whole run; tests that break their cluster make their own."""
    cluster = harness.Postgres()
    yield cluster
    cluster.close()


@pytest.fixture
def database(postgres):
    """URI of a new, empty database."""
    return postgres.database()


@pytest.fixture(scope="session")
def tallyd(postgres):
    """One server that tests of endpoints share: .url, .api(method, path, body), .folder."""
    server = harness.Tallyd(database=postgres.database()).start()
    yield server
    server.close()


@pytest.fixture
def start_tallyd():
    """Starts servers of the test's own; all are ended after it."""
    started = []

    def start(*options, **more):
        server = harness.Tallyd(*options, **more)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.close()
