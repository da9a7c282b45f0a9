"""The real MLflow client against the server at $TALLYD_URL, or against one started here."""

import os
import pathlib
import subprocess
import sys
import uuid

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import mlflow  # noqa: E402
import pytest  # noqa: E402
from mlflow import MlflowClient  # noqa: E402


@pytest.fixture(scope="session")
def url():
    if os.environ.get("TALLYD_URL"):
        yield os.environ["TALLYD_URL"]
        return
    from servers import Pair
    with Pair(real=False) as pair:
        yield pair.ours


@pytest.fixture(scope="session", autouse=True)
def tracking(url):
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    yield url
    mlflow.autolog(disable=True)


@pytest.fixture(scope="session")
def client(tracking):
    return MlflowClient(tracking)


@pytest.fixture
def unique():
    return "t" + uuid.uuid4().hex[:10]


@pytest.fixture
def experiment(unique):
    made = mlflow.set_experiment("compat-" + unique)
    yield made
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def git_folder(tmp_path, monkeypatch):
    """A git work tree of one commit; the folder and the commit's hash."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("print('train')\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    return folder, commit
