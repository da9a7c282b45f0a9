"""Datasets, logged models, odd numbers, history and pages through the client."""

import math
import threading

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowException
from mlflow.entities import Metric, Param, RunTag


def test_odd_numbers_come_back(experiment, client):
    with mlflow.start_run() as run:
        for name, value in (("nan", math.nan), ("inf", math.inf), ("ninf", -math.inf), ("tiny", 5e-324), ("third", 1 / 3), ("big", 1e308), ("negative zero", -0.0), ("int", 2**53)):
            mlflow.log_metric(name, value)
    metrics = client.get_run(run.info.run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert metrics["inf"] == 1.7976931348623157e308 and metrics["ninf"] == -1.7976931348623157e308
    assert metrics["tiny"] == 5e-324 and metrics["third"] == 1 / 3 and metrics["big"] == 1e308 and metrics["int"] == 2**53
    assert math.isnan(client.get_metric_history(run.info.run_id, "nan")[0].value)


def test_history_of_many_points_is_complete_and_ordered(experiment, client):
    run = client.create_run(experiment.experiment_id)
    values = [(step, 1_600_000_000_000 + step, step / 7) for step in range(2500)]
    for start in range(0, len(values), 1000):
        client.log_batch(run.info.run_id, metrics=[Metric("loss", v, t, s) for s, t, v in values[start:start + 1000]])
    assert [(m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == values


def test_batch_larger_than_the_limit_is_split_by_the_client(experiment, client):
    with mlflow.start_run() as run:
        mlflow.log_params({f"p{i}": i for i in range(250)})
        mlflow.log_metrics({f"m{i}": i / 3 for i in range(1500)})
        mlflow.set_tags({f"t{i}": i for i in range(220)})
    data = client.get_run(run.info.run_id).data
    assert len(data.params) == 250 and len(data.metrics) == 1500
    assert data.metrics["m1499"] == 1499 / 3
    assert data.tags["t219"] == "219"


def test_asynchronous_logging_arrives(experiment, client):
    with mlflow.start_run() as run:
        futures = [mlflow.log_metric("loss", i / 2, step=i, synchronous=False) for i in range(50)]
        for future in futures:
            future.wait()
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 50


def test_datasets_of_runs(experiment, client):
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    dataset = mlflow.data.from_pandas(frame, source="https://example.org/wine.csv", name="wine", targets="y")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training", tags={"part": "1"})
        mlflow.log_input(dataset, context="training")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert len(inputs) == 1
    assert inputs[0].dataset.name == "wine" and inputs[0].dataset.digest == dataset.digest
    assert {t.key: t.value for t in inputs[0].tags} == {"mlflow.data.context": "training", "part": "1"}
    assert mlflow.data.get_source(inputs[0]).to_dict()["url"] == "https://example.org/wine.csv"
    found = client.search_runs([experiment.experiment_id], f"datasets.name = 'wine' and datasets.digest = '{dataset.digest}'")
    assert [r.info.run_id for r in found] == [run.info.run_id]
    assert client.search_runs([experiment.experiment_id], "datasets.context = 'test'") == []


def test_logged_model_life(experiment, client):
    model = mlflow.initialize_logged_model(name="forest", model_type="agent", params={"depth": "3"}, tags={"team": "red"})
    assert str(model.status) in ("PENDING", "LoggedModelStatus.PENDING")
    model = mlflow.finalize_logged_model(model.model_id, "READY")
    assert "READY" in str(model.status)
    mlflow.set_logged_model_tags(model.model_id, {"level": "2"})
    mlflow.delete_logged_model_tag(model.model_id, "team")
    mlflow.log_model_params({"width": "4"}, model_id=model.model_id)
    got = mlflow.get_logged_model(model.model_id)
    assert got.params == {"depth": "3", "width": "4"} and got.tags.get("level") == "2" and "team" not in got.tags
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.75, step=2, model_id=model.model_id)
    got = mlflow.get_logged_model(model.model_id)
    assert [(m.key, m.value, m.run_id) for m in got.metrics] == [("acc", 0.75, run.info.run_id)]
    other = mlflow.create_external_model(name="external")
    found = mlflow.search_logged_models([experiment.experiment_id], filter_string="metrics.acc > 0.5", output_format="list")
    assert [m.model_id for m in found] == [model.model_id]
    ordered = mlflow.search_logged_models([experiment.experiment_id], order_by=[{"field_name": "metrics.acc", "ascending": False}], output_format="list")
    assert [m.model_id for m in ordered] == [model.model_id, other.model_id]
    client.delete_logged_model(other.model_id)
    with pytest.raises(MlflowException):
        mlflow.get_logged_model(other.model_id)


def test_search_runs_pages_over_everything(experiment, client):
    for i in range(25):
        run = client.create_run(experiment.experiment_id, start_time=1000 + i, run_name=f"r{i:02}")
        client.log_batch(run.info.run_id, metrics=[Metric("m", math.nan if i % 5 == 0 else i % 7, 1, 0)] if i % 6 else [], params=[Param("half", str(i // 2))], tags=[RunTag("odd", str(i % 2))])
    names, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], max_results=4, order_by=["metrics.m DESC"], page_token=token)
        names += [r.info.run_name for r in page]
        token = page.token
        if not token:
            break
    assert sorted(names) == [f"r{i:02}" for i in range(25)]
    missing = [f"r{i:02}" for i in range(24, -1, -1) if i % 6 == 0]
    nans = [f"r{i:02}" for i in range(24, -1, -1) if i % 6 and i % 5 == 0]
    numbers = [f"r{i:02}" for i in sorted((i for i in range(25) if i % 6 and i % 5), key=lambda i: (-(i % 7), -i))]
    assert names == numbers + nans + missing
    assert len(client.search_runs([experiment.experiment_id], "tags.odd = '1' and params.half LIKE '1%'")) == 3


def test_experiment_life(client, unique):
    made = client.create_experiment(unique, tags={"a": "1"})
    assert client.get_experiment(made).artifact_location
    client.set_experiment_tag(made, "b", "2")
    client.rename_experiment(made, unique + "-new")
    got = client.get_experiment_by_name(unique + "-new")
    assert got.experiment_id == made and got.tags["a"] == "1" and got.tags["b"] == "2"
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    client.restore_experiment(made)
    assert client.get_experiment_by_name(unique) is None
    with pytest.raises(MlflowException) as caught:
        client.create_experiment(unique + "-new")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_search_experiments_pages(client, unique):
    for i in range(5):
        client.create_experiment(f"{unique}-{i}")
    names, token = [], None
    while True:
        page = client.search_experiments(filter_string=f"name LIKE '{unique}%'", order_by=["name"], max_results=2, page_token=token)
        names += [e.name for e in page]
        token = page.token
        if not token:
            break
    assert names == [f"{unique}-{i}" for i in range(5)]


def test_deleted_run_is_hidden_and_comes_back(experiment, client):
    run = client.create_run(experiment.experiment_id)
    client.delete_run(run.info.run_id)
    assert client.search_runs([experiment.experiment_id]) == []
    with pytest.raises(MlflowException):
        client.log_param(run.info.run_id, "a", "1")
    client.restore_run(run.info.run_id)
    assert [r.info.run_id for r in client.search_runs([experiment.experiment_id])] == [run.info.run_id]


def test_run_name_and_tag_agree(experiment, client):
    run = client.create_run(experiment.experiment_id)
    assert run.info.run_name == run.data.tags["mlflow.runName"] != ""
    client.update_run(run.info.run_id, name="second")
    assert client.get_run(run.info.run_id).data.tags["mlflow.runName"] == "second"
    client.set_tag(run.info.run_id, "mlflow.runName", "third")
    assert client.get_run(run.info.run_id).info.run_name == "third"


def test_unknown_things_are_named_errors(client):
    with pytest.raises(MlflowException) as caught:
        client.get_run("0" * 32)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException) as caught:
        client.get_experiment("999999999")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert client.get_experiment_by_name("no experiment of this name") is None


def test_artifact_location_is_the_experiments_own(client, unique):
    made = client.create_experiment(unique)
    location = client.get_experiment(made).artifact_location
    run = client.create_run(made)
    assert run.info.artifact_uri == f"{location}/{run.info.run_id}/artifacts"


def test_many_threads_log_into_one_run(experiment, client):
    run = client.create_run(experiment.experiment_id)
    errors = []

    def work(n):
        try:
            for i in range(10):
                client.log_metric(run.info.run_id, "shared", n + i / 100, step=n * 10 + i)
                client.log_param(run.info.run_id, f"p{n}-{i}", i)
                client.set_tag(run.info.run_id, "last", n)
        except Exception as reason:
            errors.append(reason)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    data = client.get_run(run.info.run_id).data
    assert len(data.params) == 80
    assert data.metrics["shared"] == 7.09
    assert len(client.get_metric_history(run.info.run_id, "shared")) == 80
