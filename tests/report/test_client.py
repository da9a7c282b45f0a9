"""The views' numbers against those the MLflow client reads back from the same runs, on a real server that made the schema itself."""
import pytest
from conftest import connect, rows

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def served(postgres):
    import harness

    address = postgres.database()
    server = harness.Tallyd(database=address).start()
    yield server, address
    server.close()


@pytest.fixture(scope="module")
def world(served):
    server, address = served
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("vision/cars/first")
    made = []
    for alpha in (0.1, 0.5, 0.9):
        run = client.create_run(experiment, run_name=f"alpha-{alpha}", tags={"mlflow.user": "ada", "mlflow.source.name": "train.py", "mlflow.source.git.commit": "c0ffee"})
        name = run.info.run_id
        client.log_param(name, "alpha", alpha)
        client.log_param(name, "kind", "elastic")
        for step in range(20):
            client.log_metric(name, "rmse", 1 / (1 + step) + alpha * (step % 3), step=step)
            client.log_metric(name, "accuracy", step % 7 * alpha, step=step)
        client.set_tag(name, "stage", "test")
        client.set_terminated(name, "FAILED" if alpha == 0.9 else "FINISHED")
        made.append(name)
    client.create_registered_model("cars")
    client.create_model_version("cars", f"runs:/{made[0]}/model", run_id=made[0])
    client.set_registered_model_alias("cars", "champion", 1)
    client.delete_run(made[1])
    connection = connect(address)
    yield client, connection, experiment, made
    connection.close()


def test_runs_and_experiments(world):
    client, connection, experiment, made = world
    for name in made:
        run = client.get_run(name)
        info = run.info
        got = rows(connection, """select run_name, status, lifecycle_stage, user_name, git_commit, source_name, team, artifact_uri
            , extract(epoch from started_at) * 1000, extract(epoch from ended_at) * 1000, duration_seconds from report.runs where run_id = %s""", name)[0]
        assert got[:8] == (info.run_name, info.status, info.lifecycle_stage, "ada", "c0ffee", "train.py", "vision", info.artifact_uri)
        assert [int(v) for v in got[8:10]] == [info.start_time, info.end_time] and got[10] == pytest.approx((info.end_time - info.start_time) / 1000)
    assert rows(connection, "select experiment, active_runs, deleted_runs from report.experiments where experiment_id = %s", experiment) == [("vision/cars/first", 2, 1)]


def test_metrics_params_and_tags(world):
    client, connection, _, made = world
    for name in made:
        run = client.get_run(name)
        assert dict(rows(connection, "select key, value from report.params where run_id = %s", name)) == run.data.params
        assert dict(rows(connection, "select key, value from report.tags where run_id = %s", name)) == run.data.tags
        for key in ("rmse", "accuracy"):
            history = client.get_metric_history(name, key)
            values = [m.value for m in history]
            got = rows(connection, "select last, last_step, minimum, maximum, best, points from report.metrics where run_id = %s and key = %s", name, key)[0]
            best = min(values) if key == "rmse" else max(values)
            assert got == (run.data.metrics[key], 19, min(values), max(values), best, len(values))
            points = rows(connection, "select step, value, round(extract(epoch from logged_at) * 1000)::bigint from report.metric_history where run_id = %s and key = %s order by step", name, key)
            assert points == [(m.step, m.value, m.timestamp) for m in sorted(history, key=lambda m: m.step)]


def test_models_and_activity(world):
    client, connection, experiment, made = world
    version = client.get_model_version_by_alias("cars", "champion")
    assert rows(connection, "select model, version, stage, aliases, run_id from report.model_versions") == [("cars", int(version.version), "None", ["champion"], made[0])]
    assert rows(connection, "select user_name, sum(runs)::int, sum(finished)::int, sum(failed)::int from report.user_activity group by 1") == [("ada", 3, 2, 1)]


def test_artifact_bytes(world, tmp_path):
    client, connection, experiment, made = world
    file = tmp_path / "model.bin"
    file.write_bytes(b"x" * 1234)
    client.log_artifact(made[0], str(file))
    size = sum(f.file_size for f in client.list_artifacts(made[0]) if not f.is_dir)
    assert rows(connection, "select bytes, files from report.artifact_usage where run_id = %s", made[0]) == [(size, 1)]
    assert rows(connection, "select bytes, deleted_bytes from report.storage_by_experiment where experiment_id = %s", experiment) == [(size, 0)]
