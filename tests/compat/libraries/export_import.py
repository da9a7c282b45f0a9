"""
mlflow-export-import against a running server: an experiment with runs, histories and files goes out to a folder and comes back under another name.
    TALLYD_URL=... python tests/compat/libraries/export_import.py
In an environment with mlflow, mlflow-export-import and tabulate; run.py makes it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

import mlflow

URL = os.environ["TALLYD_URL"]
WORD = uuid.uuid4().hex[:8]
BIN = pathlib.Path(sys.executable).parent
mlflow.set_tracking_uri(URL)
client = mlflow.MlflowClient(URL)


def tool(name, *options):
    subprocess.run([str(BIN / name), *options], check=True, env={**os.environ, "MLFLOW_TRACKING_URI": URL})


def shape(name):
    """What must survive, run by run; histories with all their points."""
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, name
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        history = sorted((m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, "loss"))
        files = {f.path: f.file_size for f in client.list_artifacts(run.info.run_id)}
        with tempfile.TemporaryDirectory() as folder:
            text = pathlib.Path(client.download_artifacts(run.info.run_id, "notes/read.txt", folder)).read_text()
        found[run.data.params["alpha"]] = (history, dict(run.data.params), run.data.metrics, run.data.tags["team"], run.info.status, files, text)
    return found


mlflow.set_experiment("out-" + WORD)
for alpha in (0.1, 0.5):
    with mlflow.start_run():
        mlflow.log_params({"alpha": alpha, "kind": "größer"})
        for step in range(30):
            mlflow.log_metric("loss", alpha / (step + 1), step=step)
        mlflow.set_tag("team", "cellar")
        mlflow.log_text("line\n", "notes/read.txt")
        mlflow.log_dict({"alpha": alpha}, "conf.json")

with tempfile.TemporaryDirectory() as folder:
    tool("export-experiment", "--experiment", "out-" + WORD, "--output-dir", folder)
    tool("import-experiment", "--experiment-name", "in-" + WORD, "--input-dir", folder)

before, after = shape("out-" + WORD), shape("in-" + WORD)
assert len(before) == 2
assert before == after, (before, after)
print("ok   export and import of an experiment")
