"""A cluster, the migrations and report files, and the fixture's runs in it.

REPORT_RUNS=100000 makes the full fixture (100,000 runs, 10 million points; two minutes); the default is small enough for every commit.
"""
import os
import pathlib
import re

import psycopg2
import pytest

HERE = pathlib.Path(__file__).parent
SQL = HERE.parent.parent / "sql"
RUNS = int(os.environ.get("REPORT_RUNS") or "2000")


def connect(uri, **more):
    connection = psycopg2.connect(uri, **more)
    connection.autocommit = True
    return connection


def rows(connection, sql, *args):
    with connection.cursor() as cursor:
        # A % in a report is a %, unless there are arguments.
        cursor.execute(sql, args or None)
        return cursor.fetchall() if cursor.description else None


def apply_files(connection, folder):
    for path in sorted((SQL / folder).glob("*.sql")):
        rows(connection, path.read_text())


@pytest.fixture(scope="session")
def uri(postgres):
    address = postgres.database()
    connection = connect(address)
    apply_files(connection, "migrations")
    apply_files(connection, "report")
    fixture = (HERE / "fixture.sql").read_text().replace(":runs", str(RUNS))
    rows(connection, fixture)
    rows(connection, "vacuum analyze")
    connection.close()
    return address


@pytest.fixture(scope="session")
def owner(uri):
    connection = connect(uri)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def reporter_uri(uri):
    return re.sub(r"user=[^&\s]+|//[^@/]+@", lambda m: "user=tallyd_report" if m.group(0).startswith("user") else "//tallyd_report@", uri)


@pytest.fixture(scope="session")
def reporter(reporter_uri):
    connection = connect(reporter_uri)
    yield connection
    connection.close()
