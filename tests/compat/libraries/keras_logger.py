"""
Keras' MLflow callback and autologging against a running server: histories by epoch, params, the model's summary, and a model that predicts the same after a round trip.
    TALLYD_URL=... python tests/compat/libraries/keras_logger.py
In an environment with mlflow, keras and jax; run.py makes it.
"""

import os
import uuid

os.environ["KERAS_BACKEND"] = "jax"

import keras  # noqa: E402
import mlflow  # noqa: E402
import numpy  # noqa: E402

URL = os.environ["TALLYD_URL"]
WORD = uuid.uuid4().hex[:8]
mlflow.set_tracking_uri(URL)
mlflow.set_experiment("keras-" + WORD)
client = mlflow.MlflowClient(URL)

rng = numpy.random.default_rng(1)
x = rng.random((64, 3), dtype="float32")
y = x.sum(axis=1, keepdims=True)


def network():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


def check(run_id, fitted, epochs):
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params, "no params"
    for key in ("loss", "mae"):
        points = client.get_metric_history(run_id, key)
        # The summary's value is the last one.
        assert [p.value for p in points][:epochs] == fitted.history[key], (key, points)
        assert run.data.metrics[key] == fitted.history[key][-1], key
    assert "model_summary.txt" in [f.path for f in client.list_artifacts(run_id)]
    assert "Dense" in mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model_summary.txt")


with mlflow.start_run() as started:
    model = network()
    fitted = model.fit(x, y, epochs=4, batch_size=16, verbose=0, callbacks=[mlflow.keras.MlflowCallback()])
    info = mlflow.keras.log_model(model, name="net", registered_model_name="net-" + WORD)
check(started.info.run_id, fitted, 4)
numpy.testing.assert_allclose(mlflow.keras.load_model(f"models:/net-{WORD}/1").predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
print("ok   callback, model by its registered name")

mlflow.keras.autolog(log_models=True)
fitted = network().fit(x, y, epochs=3, batch_size=16, verbose=0)
run = client.search_runs([started.info.experiment_id], order_by=["start_time DESC"], max_results=1)[0]
assert run.info.run_id != started.info.run_id
check(run.info.run_id, fitted, 3)
assert client.search_logged_models([started.info.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"), "the model is not logged"
print("ok   autolog")
