"""MLflow's own web page on tallyd (--ui-dir): logs data with the real client, then walks the page in Chromium by mlflow_ui.mjs, whose closing line is ours."""

import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import browser  # noqa: E402
import harness  # noqa: E402


def log_data(url):
    """What a team has after a day: runs with histories, files, a dataset, logged models, a registered model."""
    import mlflow
    import mlflow.sklearn
    import pandas
    from sklearn.linear_model import ElasticNet

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("wine")
    table = pandas.DataFrame({"a": [i / 2 for i in range(20)], "b": [i * i % 7 / 2 for i in range(20)], "y": [3.0 * i + 1 for i in range(20)]})
    dataset = mlflow.data.from_pandas(table, name="wine-quality", targets="y")
    signature = mlflow.models.infer_signature(table[["a", "b"]], table["y"])
    runs = []
    for alpha, ratio in [(0.1, 0.2), (0.1, 0.8), (0.5, 0.2), (0.5, 0.8), (0.9, 0.5)]:
        with mlflow.start_run(run_name=f"net-{alpha}-{ratio}") as run:
            mlflow.log_params({"alpha": alpha, "l1_ratio": ratio})
            mlflow.log_metrics({"rmse": alpha + ratio, "r2": 1 - alpha, "mae": ratio})
            for step in range(50):
                mlflow.log_metric("loss", 1 / (step + 1) + alpha, step=step)
            mlflow.log_input(dataset, context="training")
            mlflow.set_tag("team", "cellar")
            mlflow.log_dict({"alpha": alpha}, "conf.json")
            mlflow.log_text("a line of a file\n", "notes/read.txt")
            model = ElasticNet(alpha=alpha, l1_ratio=ratio).fit(table[["a", "b"]], table["y"])
            logged = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"], signature=signature, registered_model_name="wine-net")
            runs.append({"run_id": run.info.run_id, "name": run.info.run_name, "model_id": logged.model_id})
    mlflow.MlflowClient().set_registered_model_alias("wine-net", "champion", "2")
    return {"experiment": run.info.experiment_id, "runs": runs, "model": "wine-net"}


def main():
    import mlflow

    page = pathlib.Path(mlflow.__file__).parent / "server/js/build"
    if not (page / "index.html").exists():
        print(f"{page} has no web page of MLflow")
        return 1
    env = {**os.environ, "PATH": browser.node_path(), "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
    if not (browser.HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=browser.HERE, env=env, check=True)
    postgres = harness.Postgres()
    server = None
    try:
        server = harness.Tallyd("--ui-dir", page, database=postgres.database()).start()
        data = log_data(server.url)
        out = pathlib.Path(os.environ.get("OUT", harness.ROOT / "build/tests/mlflow-ui"))
        out.mkdir(parents=True, exist_ok=True)
        walk = ["node", "mlflow_ui.mjs", *sys.argv[1:]]
        return subprocess.run(walk, cwd=browser.HERE, env={**env, "BASE": server.url + "/", "OUT": str(out), "DATA": json.dumps(data)}).returncode
    finally:
        if server is not None:
            server.close()
        postgres.close()


if __name__ == "__main__":
    sys.exit(main())
