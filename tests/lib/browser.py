"""Starts a tallyd on a private cluster and walks the web UI in Chromium: tests/browser/run.mjs, whose closing line is ours."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness  # noqa: E402
import large  # noqa: E402

RUNS, KEYS, EXPERIMENTS = 20_000, 12_000, 10_000
HERE = harness.ROOT / "tests/browser"


def node_path():
    """PATH with a Node that is new enough: the system's, or the one that `make ui` fetched."""
    fetched = harness.ROOT / "build/node/bin"
    return f"{fetched}:{os.environ['PATH']}" if (fetched / "node").exists() else os.environ["PATH"]


def main():
    env = {**os.environ, "PATH": node_path(), "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
    if not (HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, env=env, check=True)
    postgres = harness.Postgres()
    server = None
    try:
        database = postgres.database()
        server = harness.Tallyd(database=database).start()
        number = server.api("POST", "experiments/create", {"name": "large/runs"}).json()["experiment_id"]
        large.experiment(database, number, RUNS, KEYS)
        large.experiments(database, EXPERIMENTS)
        more = {"LARGE": number, "LARGE_RUNS": str(RUNS), "LARGE_KEYS": str(KEYS), "EXPERIMENTS": str(EXPERIMENTS)}
        out = harness.ROOT / "build/tests/browser"
        out.mkdir(parents=True, exist_ok=True)
        return subprocess.run(["node", "run.mjs", *sys.argv[1:]], cwd=HERE, env={**env, **more, "BASE": server.url + "/", "OUT": str(out)}).returncode
    finally:
        if server is not None:
            server.close()
        postgres.close()


if __name__ == "__main__":
    sys.exit(main())
