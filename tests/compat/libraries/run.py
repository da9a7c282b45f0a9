"""
Tools on top of the client, each in an environment of its own below build/libraries, made once. Starts a server, or takes the one of $TALLYD_URL.
    python tests/compat/libraries/run.py
Last line: "N passed, N failed". Optuna and `mlflow run` are in ../old/libraries.py.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "lib"))

import harness  # noqa: E402

TOOLS = {
    "export_import": ["mlflow>=3,<4", "mlflow-export-import", "tabulate"],
    "keras_logger": ["mlflow>=3,<4", "keras", "jax[cpu]"],
    "lightning_logger": ["mlflow>=3,<4", "lightning", "torch"],
}


def environment(name, packages):
    folder = harness.ROOT / "build/libraries" / name
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "-q", "--disable-pip-version-check", *packages], check=True)
        (folder / "made").touch()
    return folder / "bin/python"


def walk(url):
    results = {}
    for name, packages in TOOLS.items():
        print(f"== {name}", flush=True)
        try:
            command = [str(environment(name, packages)), str(HERE / f"{name}.py")]
            results[name] = subprocess.run(command, env={**os.environ, "TALLYD_URL": url, "MLFLOW_DISABLE_TELEMETRY": "true"}, timeout=600).returncode == 0
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as reason:
            print(reason)
            results[name] = False
    for name, good in results.items():
        print(f"{'ok  ' if good else 'FAIL'} {name}")
    print(f"{sum(results.values())} passed, {len(results) - sum(results.values())} failed")
    return 0 if all(results.values()) else 1


def main():
    if os.environ.get("TALLYD_URL"):
        return walk(os.environ["TALLYD_URL"])
    postgres = harness.Postgres()
    server = None
    try:
        server = harness.Tallyd(database=postgres.database()).start()
        return walk(server.url)
    finally:
        if server is not None:
            server.close()
        postgres.close()


if __name__ == "__main__":
    sys.exit(main())
