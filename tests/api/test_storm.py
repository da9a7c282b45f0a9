"""Each fault once while clients write; the long storm is tests/chaos."""

import chaos
import harness
import pytest


@pytest.fixture
def cluster():
    made = harness.Postgres()
    yield made
    made.close()


def test_nothing_is_lost_doubled_or_torn_when_each_fault_comes_once(cluster, start_tallyd):
    server = start_tallyd("--workers", 2, database=cluster.database())
    storm = chaos.Storm(server, cluster, writers=6)
    storm.start()
    try:
        for fault in (storm.kill_worker, storm.kill_backend, storm.restart_postgres, storm.freeze_postgres, storm.make_read_only, storm.stop_postgres):
            fault()
            storm.progress(20)
    finally:
        storm.stop()
        if not cluster.running:
            cluster.start()
    storm.check()
