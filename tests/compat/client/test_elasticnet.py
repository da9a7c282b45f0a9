"""ElasticNet on the diabetes data, nine pairs of alpha and l1_ratio: every value read back equals what was logged."""

import json
import math
import os
import pathlib
import subprocess
import sys

import matplotlib
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PAIRS = [(alpha, ratio) for alpha in (0.01, 0.1, 1.0) for ratio in (0.1, 0.5, 0.9)]
ODD_NAME = "ä b+c%.txt"


def diabetes():
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    return train_test_split(x, y, random_state=0)


@pytest.fixture(scope="module")
def walk(tmp_path_factory, tracking):
    """Trains and logs the nine runs; what was logged, per run id."""
    folder = tmp_path_factory.mktemp("walk")
    x_train, x_test, y_train, y_test = diabetes()
    experiment = mlflow.set_experiment(f"elasticnet-{os.getpid()}-{folder.name}")
    logged = {}
    for alpha, ratio in PAIRS:
        model = ElasticNet(alpha=alpha, l1_ratio=ratio, random_state=0).fit(x_train, y_train)
        predicted = model.predict(x_test)
        metrics = {"rmse": math.sqrt(mean_squared_error(y_test, predicted)), "mae": mean_absolute_error(y_test, predicted), "r2": r2_score(y_test, predicted)}
        losses = [math.exp(-step / 20) + alpha for step in range(100)]
        image = np.full((16, 16, 3), int(ratio * 255), dtype=np.uint8)
        figure, axes = plt.subplots()
        axes.plot(losses)
        (folder / "coefficients.csv").write_text("name,value\n" + "".join(f"{n},{v!r}\n" for n, v in zip(x_train.columns, model.coef_)))
        (folder / "empty.txt").write_bytes(b"")
        (folder / ODD_NAME).write_text("odd ü\n", encoding="utf-8")
        with mlflow.start_run(run_name=f"alpha {alpha}, ratio {ratio}", description="*one* of nine", tags={"family": "linear"}) as run:
            mlflow.log_params({"alpha": alpha, "l1_ratio": ratio, "note": "ü 漢字", "empty": ""})
            mlflow.log_metrics(metrics)
            for step, loss in enumerate(losses):
                mlflow.log_metric("loss", loss, step=step)
            mlflow.set_tag("stage of work", "first\nsecond")
            mlflow.set_tags({"mlflow.source.git.commit": "0" * 39 + "1", "number": 5})
            mlflow.log_image(image, "pictures/square.png")
            mlflow.log_figure(figure, "pictures/loss.png")
            mlflow.log_artifact(str(folder / "coefficients.csv"))
            mlflow.log_artifact(str(folder / "empty.txt"))
            mlflow.log_artifact(str(folder / ODD_NAME), "odd folder")
            mlflow.log_artifacts(str(folder), "all")
            mlflow.log_dict({"a": [1, 2.5, None]}, "config/values.json")
            mlflow.log_text("héllo", "notes.txt")
            mlflow.log_table({"x": [1, 2], "y": ["a", "b"]}, "table.json")
            info = mlflow.sklearn.log_model(model, name="model", signature=infer_signature(x_train, predicted), input_example=x_train.head(3))
        plt.close(figure)
        logged[run.info.run_id] = {"alpha": alpha, "ratio": ratio, "metrics": metrics, "losses": losses, "predicted": predicted, "uri": info.model_uri, "model_id": info.model_id,
                                   "csv": (folder / "coefficients.csv").read_bytes()}
    return {"experiment": experiment, "runs": logged, "x_test": x_test, "folder": folder}


def test_params_are_what_was_logged(walk, client):
    for run_id, one in walk["runs"].items():
        assert client.get_run(run_id).data.params == {"alpha": str(one["alpha"]), "l1_ratio": str(one["ratio"]), "note": "ü 漢字", "empty": ""}


def test_metrics_are_exactly_what_was_logged(walk, client):
    for run_id, one in walk["runs"].items():
        assert client.get_run(run_id).data.metrics == {**one["metrics"], "loss": one["losses"][-1]}


def test_history_has_all_hundred_steps(walk, client):
    for run_id, one in walk["runs"].items():
        history = client.get_metric_history(run_id, "loss")
        assert [(m.step, m.value) for m in history] == list(enumerate(one["losses"]))


def test_tags_name_and_commit(walk, client):
    for run_id, one in walk["runs"].items():
        run = client.get_run(run_id)
        assert run.info.run_name == run.data.tags["mlflow.runName"] == f"alpha {one['alpha']}, ratio {one['ratio']}"
        assert run.data.tags["stage of work"] == "first\nsecond"
        assert run.data.tags["number"] == "5"
        assert run.data.tags["mlflow.note.content"] == "*one* of nine"
        assert run.data.tags["mlflow.source.git.commit"] == "0" * 39 + "1"
        assert run.info.status == "FINISHED"
        assert run.info.end_time >= run.info.start_time > 0


def test_artifacts_come_back_byte_for_byte(walk, client, tmp_path):
    for run_id, one in list(walk["runs"].items())[:3]:
        for path in ("coefficients.csv", "empty.txt", "all/coefficients.csv", "all/empty.txt"):
            got = pathlib.Path(client.download_artifacts(run_id, path, str(tmp_path))).read_bytes()
            assert got == (one["csv"] if path.endswith("csv") else b""), path
        for path in (f"odd folder/{ODD_NAME}", f"all/{ODD_NAME}"):
            assert pathlib.Path(client.download_artifacts(run_id, path, str(tmp_path))).read_text(encoding="utf-8") == "odd ü\n"
        assert mlflow.artifacts.load_dict(f"runs:/{run_id}/config/values.json") == {"a": [1, 2.5, None]}
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes.txt") == "héllo"
        picture = mlflow.artifacts.load_image(f"runs:/{run_id}/pictures/square.png")
        assert picture.size == (16, 16)
        assert picture.getpixel((3, 3)) == (int(one["ratio"] * 255),) * 3
        assert list(mlflow.load_table("table.json", run_ids=[run_id])["y"]) == ["a", "b"]


def test_listing_shows_names_sizes_and_folders(walk, client):
    run_id, one = next(iter(walk["runs"].items()))
    listed = {f.path: (f.is_dir, f.file_size) for f in client.list_artifacts(run_id)}
    assert listed["coefficients.csv"] == (False, len(one["csv"]))
    assert listed["empty.txt"][0] is False and not listed["empty.txt"][1]
    assert listed["pictures"] == (True, None)
    assert [f.path for f in client.list_artifacts(run_id, "odd folder")] == [f"odd folder/{ODD_NAME}"]
    assert [f.path for f in client.list_artifacts(run_id, "nothing")] == []
    assert [f.path for f in client.list_artifacts(run_id, "notes.txt")] == []


def test_whole_run_is_downloaded_as_one_folder(walk, client, tmp_path):
    run_id = next(iter(walk["runs"]))
    folder = pathlib.Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert (folder / "odd folder" / ODD_NAME).exists()
    assert (folder / "empty.txt").stat().st_size == 0


def test_missing_artifact_is_an_error(walk, client, tmp_path):
    with pytest.raises(Exception, match="(?i)no such artifact|not found|failed to download"):
        client.download_artifacts(next(iter(walk["runs"])), "nothing.txt", str(tmp_path))


def test_models_predict_the_same(walk):
    for run_id, one in walk["runs"].items():
        assert np.array_equal(mlflow.sklearn.load_model(one["uri"]).predict(walk["x_test"]), one["predicted"])
    # pyfunc copies the frame, so the sums run in another order.
    assert np.allclose(mlflow.pyfunc.load_model(f"runs:/{run_id}/model").predict(walk["x_test"]), one["predicted"], rtol=1e-12)
    assert np.array_equal(mlflow.sklearn.load_model(f"models:/{one['model_id']}").predict(walk["x_test"]), one["predicted"])


def test_signature_and_input_example_are_kept(walk):
    one = next(iter(walk["runs"].values()))
    info = mlflow.models.get_model_info(one["uri"])
    assert [c.name for c in info.signature.inputs.inputs] == list(walk["x_test"].columns)
    model = mlflow.pyfunc.load_model(one["uri"])
    assert model.input_example.shape == (3, 10)


def test_search_finds_the_best_of_nine(walk):
    found = mlflow.search_runs([walk["experiment"].experiment_id], "params.alpha = '0.01' and metrics.rmse < 1000", order_by=["metrics.rmse ASC"])
    assert isinstance(found, pd.DataFrame) and len(found) == 3
    assert list(found["metrics.rmse"]) == sorted(one["metrics"]["rmse"] for one in walk["runs"].values() if one["alpha"] == 0.01)
    everything = mlflow.search_runs([walk["experiment"].experiment_id], order_by=["metrics.r2 DESC"], output_format="list")
    assert [r.data.metrics["r2"] for r in everything] == sorted((one["metrics"]["r2"] for one in walk["runs"].values()), reverse=True)


def test_nested_runs_know_their_parent(experiment, client):
    with mlflow.start_run(run_name="parent") as parent:
        for i in range(3):
            with mlflow.start_run(run_name=f"child {i}", nested=True) as child:
                mlflow.log_metric("x", i)
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", order_by=["attributes.start_time"])
    assert [c.info.run_name for c in children] == ["child 0", "child 1", "child 2"]
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


def test_autolog_logs_params_metrics_and_model(experiment, client):
    x_train, x_test, y_train, y_test = diabetes()
    mlflow.sklearn.autolog(silent=True)
    try:
        with mlflow.start_run() as run:
            model = ElasticNet(alpha=0.05, random_state=0).fit(x_train, y_train)
            score = model.score(x_test, y_test)
    finally:
        mlflow.sklearn.autolog(disable=True, silent=True)
    got = client.get_run(run.info.run_id)
    assert got.data.params["alpha"] == "0.05"
    assert got.data.metrics["training_r2_score"] == model.score(x_train, y_train)
    assert score in got.data.metrics.values()
    assert got.data.tags["estimator_name"] == "ElasticNet"
    assert got.inputs.dataset_inputs and got.outputs.model_outputs
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(loaded.predict(x_test), model.predict(x_test))


def test_failed_run_is_marked_failed(experiment, client):
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        1 / 0
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_script_in_a_git_folder_records_source_and_commit(experiment, client, git_folder, tracking):
    folder, commit = git_folder
    (folder / "train.py").write_text("import mlflow\nwith mlflow.start_run() as r:\n    mlflow.log_param('a', 1)\nprint('run', r.info.run_id)\n")
    env = {**os.environ, "MLFLOW_TRACKING_URI": tracking, "MLFLOW_EXPERIMENT_ID": experiment.experiment_id, "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run([sys.executable, "train.py"], cwd=folder, env=env, capture_output=True, text=True, check=True)
    run_id = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("run "))
    tags = client.get_run(run_id).data.tags
    assert tags["mlflow.source.git.commit"] == commit
    assert tags["mlflow.source.name"].endswith("train.py")
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.user"]


def test_resumed_run_keeps_its_data(experiment, client):
    with mlflow.start_run() as run:
        mlflow.log_param("a", "1")
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_param("b", "2")
        mlflow.log_param("a", "1")
    assert client.get_run(run.info.run_id).data.params == {"a": "1", "b": "2"}
    with pytest.raises(mlflow.MlflowException, match="Changing param values is not allowed"):
        with mlflow.start_run(run_id=run.info.run_id):
            mlflow.log_param("a", "2")


def test_large_artifact_passes_the_proxy(experiment, client, tmp_path):
    data = np.random.default_rng(0).bytes(20 * 1024 * 1024)
    (tmp_path / "large.bin").write_bytes(data)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "large.bin"))
    (tmp_path / "back").mkdir()
    assert pathlib.Path(client.download_artifacts(run.info.run_id, "large.bin", str(tmp_path / "back"))).read_bytes() == data


def test_model_is_served_with_its_requirements(walk, tmp_path):
    one = next(iter(walk["runs"].values()))
    folder = pathlib.Path(mlflow.artifacts.download_artifacts(one["uri"], dst_path=str(tmp_path)))
    assert {"MLmodel", "conda.yaml", "requirements.txt", "python_env.yaml"} <= {p.name for p in folder.iterdir()}
    assert json.loads((folder / "input_example.json").read_text())
