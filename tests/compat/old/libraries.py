"""Libraries on top of the client: optuna's callback and `mlflow run` of a small git project."""

import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

import mlflow
import optuna
from optuna_integration.mlflow import MLflowCallback

URL = os.environ["TALLYD_URL"]
U = uuid.uuid4().hex[:8]
mlflow.set_tracking_uri(URL)
client = mlflow.MlflowClient(URL)

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(study_name="study-" + U)
study.optimize(lambda trial: (trial.suggest_float("x", -5, 5) - 2) ** 2, n_trials=5, callbacks=[MLflowCallback(tracking_uri=URL, metric_name="loss")])
experiment = client.get_experiment_by_name("study-" + U)
runs = client.search_runs([experiment.experiment_id], order_by=["metrics.loss"])
assert len(runs) == 5 and runs[0].data.metrics["loss"] == study.best_value, runs
assert float(runs[0].data.params["x"]) == study.best_params["x"]
print("ok   optuna")

project = pathlib.Path(tempfile.mkdtemp())
(project / "MLproject").write_text("name: small\nentry_points:\n  main:\n    parameters:\n      alpha: {type: float, default: 0.1}\n    command: \"python train.py {alpha}\"\n")
(project / "train.py").write_text("import sys, mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('alpha', float(sys.argv[1]))\n")
git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(project)]
for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
    subprocess.run([*git, *words], check=True)
commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_EXPERIMENT_ID"} | {"MLFLOW_TRACKING_URI": URL}
subprocess.run([sys.executable, "-m", "mlflow", "run", str(project), "-P", "alpha=0.7", "--env-manager", "local", "--experiment-name", "project-" + U], check=True, env=environment)
run = client.search_runs([client.get_experiment_by_name("project-" + U).experiment_id])[0]
assert run.info.status == "FINISHED" and run.data.metrics["alpha"] == 0.7 and run.data.params["alpha"] == "0.7"
assert run.data.tags["mlflow.source.git.commit"] == commit and run.data.tags["mlflow.source.type"] == "PROJECT" and run.data.tags["mlflow.project.entryPoint"] == "main"
print("ok   mlflow run")
