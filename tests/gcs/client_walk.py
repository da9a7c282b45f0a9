"""The unmodified MLflow client against a tracking server: files of many sizes and names up, listed, down and compared, a model logged and loaded, a folder removed.

Usage: client_walk.py URL SIZE... ; the last line is the walk's JSON."""
import hashlib
import json
import os
import pathlib
import sys
import tempfile

import mlflow
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

NAMES = ["empty.bin", "a b+c&é=;,@~$!()[].bin", "third.bin", "fourth.bin", "fifth.bin"]


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while data := f.read(1 << 20):
            h.update(data)
    return h.hexdigest()


def main():
    url, sizes = sys.argv[1], [int(s) for s in sys.argv[2:]]
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("artifacts")
    client, sums = mlflow.MlflowClient(), {}
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        folder = pathlib.Path(folder)
        for name, size in zip(NAMES, sizes):
            with open(folder / name, "wb") as f:
                for at in range(0, size, 1 << 20):
                    f.write(os.urandom(min(1 << 20, size - at)))
            sums[name] = digest(folder / name)
            mlflow.log_artifact(str(folder / name), "sub dir")
        mlflow.log_text("first", "notes/pct%zz.txt")
        mlflow.log_text("second", "notes/pct%zz.txt")
        many = folder / "many"
        many.mkdir()
        for i in range(40):
            (many / ("f%d" % i)).write_text(str(i))
        mlflow.log_artifacts(str(many), "many")
        import sklearn.linear_model
        model = sklearn.linear_model.ElasticNet().fit([[0], [1]], [0, 1])
        info = mlflow.sklearn.log_model(model, name="model")
    run_id = run.info.run_id
    listed = {f.path: f.file_size for f in client.list_artifacts(run_id, "sub dir")}
    assert listed == {"sub dir/" + n: s for n, s in zip(NAMES, sizes)}, listed
    with tempfile.TemporaryDirectory() as folder:
        got = mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder)
        for name, want in sums.items():
            assert digest(os.path.join(got, "sub dir", name)) == want, name
        assert open(os.path.join(got, "notes", "pct%zz.txt")).read() == "second"
        assert len(os.listdir(os.path.join(got, "many"))) == 40
    assert mlflow.sklearn.load_model(info.model_uri).predict([[1]]).tolist() == model.predict([[1]]).tolist()
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("many")
    assert client.list_artifacts(run_id, "many") == [] and client.list_artifacts(run_id, "man") == []
    print(json.dumps({"run_id": run_id, "experiment_id": run.info.experiment_id, "model_id": info.model_id}))


main()
