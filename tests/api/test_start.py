"""From the command line to a running server: options, addresses, locks, the private cluster, its processes' deaths, and the end."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import psycopg2
import pytest
import harness
from harness import ROOT, Tallyd, alive, await_true, binary, free_port, open_folder, request


def tallyd(*args, env=None, cwd="/"):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TALLYD_")}
    return subprocess.run([*binary(), *map(str, args)], capture_output=True, text=True, timeout=60, cwd=cwd, env={**kept, "ASAN_OPTIONS": "detect_leaks=0", **(env or {})})


def value_of(output, name):
    return re.search(rf"^{name} += (.*?) *# (.*)$", output, re.M).groups()


# ---- options

def test_help_lists_every_option():
    done = tallyd("--help")
    assert done.returncode == 0
    for name in ("host", "port", "workers", "database", "data-dir", "default-artifact-root", "artifacts-destination", "serve-artifacts", "static-prefix", "ui-dir", "insecure"):
        assert f"--{name}" in done.stdout
    assert tallyd("--version").stdout.startswith("tallyd ")


@pytest.mark.parametrize("args, words", [
    (["--prot", "5"], ["prot", "port"]),
    (["--port", "many"], ["port", "many", "65535"]),
    (["--port", "0"], ["port", '"0"', "1 to 65535"]),
    (["--workers"], ["workers", "needs a value"]),
    (["--insecure=maybe"], ["insecure", "maybe", "true or false"]),
    (["--artifact-put", "mail"], ["artifact-put", "mail", "proxy|redirect"]),
    (["--static-prefix", "x"], ["static-prefix", '"x"', "/mlflow"]),
    (["--artifacts-destination", "s3://x"], ["artifacts-destination", "s3://x", "gs://"]),
    (["--database", "sqlite:///x.db"], ["database", "postgresql://"]),
    (["--host", "0.0.0.0"], ["host", "0.0.0.0", "--insecure"]),
    (["--host", "8.8.8.8"], ["host", "8.8.8.8", "--insecure"]),
    (["--host", "::"], ["host", "::", "--insecure"]),
    (["--conf", "/does/not/exist"], ["conf", "/does/not/exist"]),
    (["fly"], ["fly", "serve"]),
])
def test_bad_option_is_refused_with_name_value_and_what_is_right(args, words):
    done = tallyd("check-config" if args != ["fly"] else "", *args) if args != ["fly"] else tallyd(*args)
    assert done.returncode == 2, done
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


def test_flag_wins_over_environment_over_file(tmp_path):
    conf = tmp_path / "t.conf"
    conf.write_text("# a comment\nport = 6001\nworkers = 3\nlog_level = 'debug'\n")
    out = tallyd("check-config", "--conf", conf, "--port", "6003", env={"TALLYD_PORT": "6002", "TALLYD_WORKERS": "4"}).stdout
    assert value_of(out, "port") == ("6003", "command line")
    assert value_of(out, "workers") == ("4", "environment")
    assert value_of(out, "log-level") == ("debug", f"{conf}:4")
    assert value_of(out, "host") == ("127.0.0.1", "default")


def test_bad_line_of_the_file_is_named(tmp_path):
    conf = tmp_path / "t.conf"
    conf.write_text("port = 6001\nworkrs = 3\n")
    done = tallyd("check-config", "--conf", conf)
    assert done.returncode == 2 and f"{conf}:2" in done.stderr and "workrs" in done.stderr and "workers" in done.stderr


def test_mlflow_spellings_are_taken():
    out = tallyd("check-config", "-h", "127.0.0.1", "-p", "6004", "-w", "3", "--backend-store-uri", "postgresql+psycopg2://me:secret@db.example.org/x", "--serve-artifacts").stdout
    assert value_of(out, "port")[0] == "6004" and value_of(out, "workers")[0] == "3"
    assert value_of(out, "database")[0] == "postgresql://me@db.example.org/x"
    assert "secret" not in out


def test_private_address_is_taken_with_a_warning():
    done = tallyd("check-config", "--host", "10.1.2.3")
    assert done.returncode == 0 and "warning" in done.stderr
    quiet = tallyd("check-config", "--host", "127.0.0.1")
    assert quiet.returncode == 0 and quiet.stderr == ""
    assert tallyd("check-config", "--host", "0.0.0.0", "--insecure").returncode == 0


def test_slip_in_an_environment_name_is_noticed():
    done = tallyd("check-config", env={"TALLYD_PROT": "1"})
    assert done.returncode == 0 and "TALLYD_PORT" in done.stderr


def test_shipped_conf_file_is_the_table_of_options():
    assert (ROOT / "conf/tallyd.conf").read_text() == tallyd("check-config", "--template").stdout


# ---- schema

def query(uri, sql):
    with psycopg2.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def test_migrate_is_repeatable_and_refuses_other_schemas(database):
    first = tallyd("migrate", "--database", database)
    assert first.returncode == 0 and "0001_tracking" in first.stderr
    second = tallyd("migrate", "--database", database)
    assert second.returncode == 0 and second.stderr == ""
    query(database, "insert into schema_migrations (name, checksum, applied_by) values ('9999_later', 'x', 'test')")
    newer = tallyd("migrate", "--database", database)
    assert newer.returncode == 1 and "newer than this tallyd" in newer.stderr and "9999_later" in newer.stderr
    query(database, "delete from schema_migrations where name = '9999_later'; update schema_migrations set checksum = 'x' where name = '0001_tracking'")
    changed = tallyd("serve", "--database", database, "--port", free_port(), "--artifacts-destination", "gs://nowhere/x")
    assert changed.returncode == 1 and "0001_tracking was changed" in changed.stderr


def test_two_servers_migrate_one_database_at_once(database):
    both = [subprocess.Popen([*binary(), "migrate", "--database", database], stderr=subprocess.PIPE, text=True, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}) for _ in range(2)]
    texts = [p.communicate(timeout=60)[1] for p in both]
    assert [p.returncode for p in both] == [0, 0], texts
    assert sum("applying 0001_tracking" in t for t in texts) == 1


def test_committed_schema_is_what_migrations_make(database):
    assert tallyd("migrate", "--database", database).returncode == 0
    made = subprocess.run(["sh", ROOT / "tools/schema.sh", database], capture_output=True, text=True, env={**os.environ, "PG_BIN": harness.pg_bin()})
    assert made.returncode == 0, made.stderr
    assert made.stdout == (ROOT / "sql/schema.sql").read_text(), "run: make schema"


def test_database_that_is_not_there_is_named():
    done = tallyd("migrate", "--database", "postgresql://nobody:secret@127.0.0.1:1/x?connect_timeout=1", env={"TALLYD_DATABASE": ""})
    assert done.returncode == 1 and "127.0.0.1" in done.stderr and "secret" not in done.stderr


# ---- life

def test_start_lines_say_what_runs(start_tallyd, database):
    server = start_tallyd("--workers", 3, database=database)
    assert await_true(lambda: "MLFLOW_TRACKING_URI" in server.text())
    text = server.text()
    assert f"export MLFLOW_TRACKING_URI={server.url}\n" in text
    assert re.search(r"schema +version \d+", text) and re.search(r"workers +3", text) and "artifact root" in text and re.search(r"database +postgresql://", text)
    assert await_true(lambda: len(server.named("[wrk")) >= 3)


def test_second_server_on_the_port_is_refused(start_tallyd, postgres):
    first = start_tallyd(database=postgres.database())
    second = Tallyd(database=postgres.database(), port=first.port, folder=first.folder)
    second.log = first.folder / "second.log"
    second.launch()
    assert second.process.wait(20) == 1
    assert f"port {first.port}" in second.text() and "in use" in second.text()
    assert first.answers()


def test_port_of_another_program_is_refused(database):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = tallyd("serve", "--database", database, "--port", other.getsockname()[1], "--data-dir", "/nowhere")
    assert done.returncode == 1 and "in use" in done.stderr


@pytest.fixture(scope="module")
def embedded():
    """A folder with a private cluster in it, and the server that made it."""
    folder = open_folder("tallyd-embedded-")
    server = Tallyd(folder=folder).start()
    yield server
    server.stop()
    server.own_folder = True
    server.close()


def again(server):
    if server.process.poll() is not None:
        server.start()
    return server


def test_private_cluster_is_made_and_kept(embedded):
    server = again(embedded)
    made = server.api("POST", "experiments/create", {"name": "kept"})
    assert made.status == 200, made.body
    assert server.stop() == 0
    server.start()
    got = server.api("GET", "experiments/get-by-name?experiment_name=kept")
    assert got.status == 200 and got.json()["experiment"]["experiment_id"] == made.json()["experiment_id"]


def test_info_tells_whose_the_database_is(embedded, tallyd):
    info = lambda server: request("GET", server.url + "/api/2.0/tallyd/info").json()["database"]
    assert info(again(embedded)) == "embedded"
    assert info(tallyd) == "external"


def test_private_cluster_has_a_socket_only_and_no_root(embedded):
    server = again(embedded)
    postgres = server.named("postgres")
    assert postgres
    for pid in postgres:
        assert pathlib.Path(f"/proc/{pid}").stat().st_uid != 0
    for pid in server.named("[wrk"):
        assert pathlib.Path(f"/proc/{pid}").stat().st_uid != 0
    inodes = set()
    for pid in postgres:
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(fd))
            except OSError:
                pass
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in inodes


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_server_and_cluster(embedded, with_signal):
    server = again(embedded)
    below = server.processes()
    server.process.send_signal(with_signal)
    assert server.process.wait(30) == 0
    for pid in below:
        assert await_true(lambda pid=pid: not alive(pid)), pid
    log = (server.folder / "data/postgres.log").read_text()
    assert "was not properly shut down" not in log


def test_second_server_on_the_folder_is_refused(embedded):
    server = again(embedded)
    done = tallyd("serve", "--data-dir", server.folder / "data", "--port", free_port())
    assert done.returncode == 1 and "another tallyd uses" in done.stderr
    # Commands share the running cluster instead.
    assert tallyd("migrate", "--data-dir", server.folder / "data").returncode == 0


def comes_back(server):
    return await_true(lambda: server.answers() and server.api("GET", "experiments/get?experiment_id=0").status == 200, 30)


def test_worker_killed_is_replaced(embedded):
    server = again(embedded)
    victim = server.named("[wrk 1]")[0]
    os.kill(victim, signal.SIGKILL)
    assert await_true(lambda: server.named("[wrk 1]") not in ([], [victim]))
    assert comes_back(server)


def test_parent_killed_is_replaced_and_its_workers_ended(embedded):
    server = again(embedded)
    parent, workers = server.named("[parent]")[0], server.named("[wrk")
    os.kill(parent, signal.SIGKILL)
    for pid in workers:
        assert await_true(lambda pid=pid: not alive(pid), 20)
    assert comes_back(server)
    assert server.stop() == 0


def test_postgres_killed_comes_back(embedded):
    server = again(embedded)
    postmaster = int((server.folder / "data/postgres/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    assert await_true(lambda: "PostgreSQL is up again" in server.text(), 60), server.text()[-2000:]
    assert comes_back(server)


def test_supervisor_killed_takes_all_along(embedded):
    server = again(embedded)
    below = server.processes()
    server.process.kill()
    server.process.wait(10)
    for pid in below:
        assert await_true(lambda pid=pid: not alive(pid), 30), pid
    again(server)
    assert comes_back(server)


def test_cluster_that_does_not_start_again_ends_all_with_a_word(embedded):
    server = again(embedded)
    conf = server.folder / "data/postgres/postgresql.auto.conf"
    kept = conf.read_text()
    postmaster = int((server.folder / "data/postgres/postmaster.pid").read_text().split()[0])
    try:
        conf.write_text("no such setting\n")
        below = server.processes()
        os.kill(postmaster, signal.SIGKILL)
        assert server.process.wait(60) == 1
        assert "PostgreSQL did not start" in server.text()
        for pid in below:
            assert await_true(lambda pid=pid: not alive(pid), 20), pid
    finally:
        conf.write_text(kept)


def test_health_answers_under_a_prefix(start_tallyd, database):
    server = Tallyd("--static-prefix", "/mlflow", database=database)
    try:
        server.launch()
        assert await_true(lambda: "MLFLOW_TRACKING_URI" in server.text(), 30), server.text()
        assert f"{server.url}/mlflow\n" in server.text()
        assert request("GET", server.url + "/mlflow/health").status == 200
    finally:
        server.close()
