"""Old and other clients against a running server: Python 1.7 to 2.22, Java 0.9 to 2.17, npm, optuna, mlflow run.

    TALLYD_URL=... python tests/compat/old/run.py [python java npm libraries]

Each client gets an environment of its own below $COMPAT_CACHE (default
~/.cache/tallyd-compat), made with pip, Maven and npm and kept for the next run.
What cannot be installed (no registry) is said and counts as failed.
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("COMPAT_CACHE", pathlib.Path.home() / ".cache" / "tallyd-compat"))
PYTHONS = {
    "1.7.2": ["mlflow==1.7.2", "sqlalchemy<1.4", "flask<2.1", "werkzeug<2.1", "protobuf<3.21", "scikit-learn<1.4", "setuptools<70", "numpy<2", "pandas<2.3", "jinja2<3.1", "itsdangerous<2.1", "markupsafe<2.1"],
    "1.30.1": ["mlflow==1.30.1", "scikit-learn<1.4", "setuptools<70", "numpy<2"],
    "2.9.2": ["mlflow==2.9.2", "scikit-learn<1.4", "setuptools<70", "numpy<2"],
    "2.22.0": ["mlflow==2.22.0"],
}
# Artifacts of the Java client go through a Python mlflow on the PATH; 0.9 calls it as a module.
JAVAS = {"0.9.1": "1.30.1", "1.22.0": "2.22.0", "2.17.2": "2.22.0"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "PYTHONWARNINGS": "ignore", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def run(name, command, results, **more):
    print(f"== {name}", flush=True)
    env = {**os.environ, **QUIET, **more.pop("env", {})}
    done = subprocess.run(command, env=env, **more)
    results[name] = done.returncode == 0
    return results[name]


def environment(name, packages):
    """A virtual environment with these packages; made once."""
    folder = CACHE / f"venv-{name}"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *packages], check=True)
        (folder / "made").touch()
    return folder / "bin"


def pythons(results):
    for version, packages in PYTHONS.items():
        name = f"python {version}"
        try:
            place = environment(version, packages)
        except subprocess.CalledProcessError as reason:
            print(f"{name}: {reason}")
            results[name] = False
            continue
        run(name, [str(place / "python"), str(HERE / "walk.py")], results)


def javas(results):
    for version, beside in JAVAS.items():
        folder = CACHE / f"java-{version}"
        shutil.copytree(HERE / "java", folder, dirs_exist_ok=True)
        try:
            place = environment(beside, PYTHONS[beside])
        except subprocess.CalledProcessError as reason:
            print(f"java {version}: {reason}")
            results[f"java {version}"] = False
            continue
        run(f"java {version}", ["mvn", "-q", "-B", f"-Dclient.version={version}", "compile", "exec:java"], results, cwd=folder, env={"PATH": f"{place}:{os.environ['PATH']}"})


def npm(results):
    folder = CACHE / "npm"
    shutil.copytree(HERE / "npm", folder, dirs_exist_ok=True)
    if run("npm install", ["npm", "install", "--no-audit", "--no-fund", "--silent"], results, cwd=folder):
        run("npm", ["node", "walk.mjs"], results, cwd=folder)


def libraries(results):
    try:
        place = environment("libraries", ["mlflow==3.17.2", "optuna", "optuna-integration[mlflow]"])
    except subprocess.CalledProcessError as reason:
        print(f"libraries: {reason}")
        results["libraries"] = False
        return
    run("libraries", [str(place / "python"), str(HERE / "libraries.py")], results, env={"PATH": f"{place}:{os.environ['PATH']}"})


def main():
    if not os.environ.get("TALLYD_URL"):
        sys.path.insert(0, str(HERE.parent))
        from servers import Pair
        with Pair(real=False) as pair:
            os.environ["TALLYD_URL"] = pair.ours
            return walk()
    return walk()


def walk():
    CACHE.mkdir(parents=True, exist_ok=True)
    results, wanted = {}, sys.argv[1:] or ["python", "java", "npm", "libraries"]
    for word, function in (("python", pythons), ("java", javas), ("npm", npm), ("libraries", libraries)):
        if word in wanted:
            function(results)
    for name, good in results.items():
        print(f"{'ok  ' if good else 'FAIL'} {name}")
    print(f"{sum(results.values())} passed, {len(results) - sum(results.values())} failed")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
