"""The walk of an old MLflow client; runs inside that client's own environment.

    TALLYD_URL=... python walk.py        prints a line a step and `N passed, N failed`
"""

import math
import os
import sys
import tempfile
import traceback
import uuid

import mlflow
import mlflow.sklearn
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet

URL = os.environ["TALLYD_URL"]
U = "old" + uuid.uuid4().hex[:8]
ODD = "ä b+c%.txt"
passed, failed = [], []


def step(name):
    """Runs the function at once and counts it."""
    def run(function):
        try:
            function()
            passed.append(name)
            print("ok   " + name)
        except Exception:
            failed.append(name)
            print("FAIL " + name + "\n" + traceback.format_exc(limit=4))
        return function
    return run


mlflow.set_tracking_uri(URL)
client = MlflowClient(URL)
print("mlflow " + mlflow.__version__)
x, y = load_diabetes(return_X_y=True)
state = {}
folder = tempfile.mkdtemp()
for name, data in (("text.txt", b"hello\n"), ("empty.txt", b""), (ODD, "ü\n".encode()), ("table.csv", b"a,b\n1,2\n"), ("big.bin", os.urandom(3 << 20))):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def refused(code, call, *args):
    try:
        call(*args)
    except MlflowException as reason:
        assert getattr(reason, "error_code", code) == code or code in str(reason), str(reason)
        return
    raise AssertionError("not refused")


@step("experiment: create, get, rename, tag, delete, restore")
def _():
    state["exp"] = client.create_experiment(U)
    got = client.get_experiment(state["exp"])
    assert got.name == U and got.lifecycle_stage == "active" and got.artifact_location
    assert client.get_experiment_by_name(U).experiment_id == state["exp"]
    assert client.get_experiment_by_name(U + " none") is None
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, U)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "999999999")
    client.rename_experiment(state["exp"], U + " new")
    client.set_experiment_tag(state["exp"], "team", "red")
    assert client.get_experiment(state["exp"]).name == U + " new"
    client.delete_experiment(state["exp"])
    assert client.get_experiment(state["exp"]).lifecycle_stage == "deleted"
    client.restore_experiment(state["exp"])


@step("experiment: list or search")
def _():
    if hasattr(client, "list_experiments"):
        assert state["exp"] in [e.experiment_id for e in client.list_experiments()]
    if hasattr(client, "search_experiments"):
        assert [e.experiment_id for e in client.search_experiments(filter_string="name = '%s new'" % U)] == [state["exp"]]


@step("run: params, metrics, history, tags")
def _():
    mlflow.set_experiment(U + " new")
    with mlflow.start_run(run_name="first run") as run:
        state["run"] = run.info.run_id
        mlflow.log_param("alpha", 0.5)
        mlflow.log_params({"l1_ratio": 0.1, "text": "ü 漢字"})
        mlflow.log_metric("rmse", 1.25)
        for i in range(100):
            mlflow.log_metric("loss", 1 / (i + 1), step=i - 3)
        mlflow.log_metric("nan", math.nan)
        mlflow.log_metrics({"a": 1.0, "b": 2.0})
        mlflow.set_tag("team", "red")
        mlflow.set_tags({"x": 1, "y": 2})
    run = client.get_run(state["run"])
    assert run.data.params == {"alpha": "0.5", "l1_ratio": "0.1", "text": "ü 漢字"}
    assert run.data.metrics["rmse"] == 1.25 and math.isnan(run.data.metrics["nan"]) and run.data.metrics["b"] == 2.0
    assert [(m.step, m.value) for m in client.get_metric_history(state["run"], "loss")] == [(i - 3, 1 / (i + 1)) for i in range(100)]
    assert run.data.tags["team"] == "red" and run.data.tags["mlflow.runName"] == "first run"
    assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time
    client.delete_tag(state["run"], "x")
    assert "x" not in client.get_run(state["run"]).data.tags
    refused("INVALID_PARAMETER_VALUE", client.log_param, state["run"], "alpha", "other")


@step("run: batch of every kind")
def _():
    from mlflow.entities import Metric, Param, RunTag
    client.log_batch(state["run"], metrics=[Metric("batch", float(i), 1600000000000 + i, i) for i in range(500)], params=[Param("p%d" % i, str(i)) for i in range(90)], tags=[RunTag("t%d" % i, str(i)) for i in range(90)])
    data = client.get_run(state["run"]).data
    assert data.params["p89"] == "89" and data.tags["t89"] == "89" and data.metrics["batch"] == 499.0


@step("run: nested, delete, restore")
def _():
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            mlflow.log_metric("x", 1)
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    client.delete_run(child.info.run_id)
    assert client.get_run(child.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(child.info.run_id)
    state["child"] = child.info.run_id


@step("runs: search, filter, order, frame")
def _():
    found = client.search_runs([state["exp"]], "metrics.rmse > 1 and params.alpha = '0.5' and tags.team = 'red'", order_by=["metrics.rmse DESC"])
    assert [r.info.run_id for r in found] == [state["run"]]
    frame = mlflow.search_runs([state["exp"]])
    assert len(frame) == 3 and "params.alpha" in frame.columns
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [state["exp"]], "nonsense here")


@step("artifacts: log, list, download")
def _():
    with mlflow.start_run(run_id=state["run"]):
        mlflow.log_artifact(os.path.join(folder, "text.txt"))
        mlflow.log_artifact(os.path.join(folder, "empty.txt"))
        mlflow.log_artifact(os.path.join(folder, ODD), "odd folder")
        mlflow.log_artifacts(folder, "all")
    listed = {f.path: f.is_dir for f in client.list_artifacts(state["run"])}
    assert listed["text.txt"] is False and listed["empty.txt"] is False and listed["all"] is True, listed
    assert [f.path for f in client.list_artifacts(state["run"], "odd folder")] == ["odd folder/" + ODD]
    assert [f.path for f in client.list_artifacts(state["run"], "text.txt")] in ([], ["text.txt"])
    target = tempfile.mkdtemp()
    for name in ("text.txt", "empty.txt", "all/" + ODD, "all/big.bin"):
        with open(client.download_artifacts(state["run"], name, target), "rb") as got, open(os.path.join(folder, os.path.basename(name)), "rb") as sent:
            assert got.read() == sent.read(), name
    assert sorted(os.listdir(client.download_artifacts(state["run"], "all", target))) == sorted(os.listdir(folder))


@step("model: log, load, predict")
def _():
    model = ElasticNet(alpha=0.1, random_state=0).fit(x, y)
    state["predicted"] = model.predict(x[:10])
    with mlflow.start_run(run_id=state["run"]):
        mlflow.sklearn.log_model(model, "model")
    loaded = mlflow.sklearn.load_model("runs:/%s/model" % state["run"])
    assert np.allclose(loaded.predict(x[:10]), state["predicted"])
    assert "mlflow.log-model.history" in client.get_run(state["run"]).data.tags


@step("registry: create, update, rename, search, list, delete")
def _():
    client.create_registered_model(U + "-a")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, U + "-a")
    client.update_registered_model(U + "-a", description="words")
    got = client.get_registered_model(U + "-a")
    assert got.description == "words"
    client.rename_registered_model(U + "-a", U + "-b")
    if hasattr(client, "list_registered_models"):
        assert U + "-b" in [m.name for m in client.list_registered_models()]
    if hasattr(client, "search_registered_models"):
        assert [m.name for m in client.search_registered_models("name = '%s-b'" % U)] == [U + "-b"]
    client.delete_registered_model(U + "-b")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, U + "-b")


@step("registry: versions, stages, models:/ addresses")
def _():
    version = mlflow.register_model("runs:/%s/model" % state["run"], U)
    assert str(version.version) == "1"
    second = mlflow.register_model("runs:/%s/model" % state["run"], U)
    assert str(second.version) == "2"
    client.transition_model_version_stage(U, "1", "Staging")
    assert [str(v.version) for v in client.get_latest_versions(U, ["Staging"])] == ["1"]
    assert sorted(str(v.version) for v in client.get_latest_versions(U, ["Staging", "None"])) == ["1", "2"]
    client.update_model_version(U, "1", description="one")
    assert client.get_model_version(U, "1").description == "one"
    assert len(client.search_model_versions("name='%s'" % U)) == 2
    assert client.get_model_version_download_uri(U, "1")
    for uri in ("models:/%s/1" % U, "models:/%s/Staging" % U):
        assert np.allclose(mlflow.sklearn.load_model(uri).predict(x[:10]), state["predicted"]), uri
    client.delete_model_version(U, "2")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, U, "2")


if hasattr(client, "set_registered_model_tag"):
    @step("registry: tags")
    def _():
        client.set_registered_model_tag(U, "a", "1")
        client.set_model_version_tag(U, "1", "b", "2")
        assert client.get_registered_model(U).tags == {"a": "1"} and client.get_model_version(U, "1").tags["b"] == "2"
        client.delete_registered_model_tag(U, "a")
        client.delete_model_version_tag(U, "1", "b")

if hasattr(client, "set_registered_model_alias"):
    @step("registry: aliases")
    def _():
        client.set_registered_model_alias(U, "champion", "1")
        assert str(client.get_model_version_by_alias(U, "champion").version) == "1"
        assert np.allclose(mlflow.sklearn.load_model("models:/%s@champion" % U).predict(x[:10]), state["predicted"])
        client.delete_registered_model_alias(U, "champion")

if hasattr(mlflow, "log_input"):
    @step("run: data set")
    def _():
        import pandas as pd
        with mlflow.start_run() as run:
            mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"a": [1.0, 2.0]}), source="https://example.org/a.csv", name="wine"), context="training")
        assert client.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset.name == "wine"

print("%d passed, %d failed" % (len(passed), len(failed)))
sys.exit(1 if failed else 0)
