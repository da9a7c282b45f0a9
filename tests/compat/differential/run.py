"""The same raw requests to the real MLflow server and to tallyd; the answers must agree.

    python tests/compat/differential/run.py --real URL --ours URL [--only 'experiments/*']
    python tests/compat/differential/run.py --start

--start makes a private PostgreSQL cluster and starts both servers itself: the
real one from $MLFLOW_BIN (default: mlflow on the PATH), ours from $TALLYD
(default: ./tallyd). Meant differences are the lines of intended.tsv.
"""

import argparse
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from twin import Intended, Twin  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--real")
    options.add_argument("--ours")
    options.add_argument("--start", action="store_true")
    options.add_argument("--only", help="pattern of case names; a noun's earlier cases are still sent")
    options.add_argument("--nouns", help="comma-separated case files to run")
    options.add_argument("--verbose", action="store_true", help="print every answer of the real server")
    chosen = options.parse_args()
    if chosen.start:
        from servers import Pair
        with Pair() as pair:
            return run(chosen, pair.real, pair.ours)
    if not chosen.real or not chosen.ours:
        options.error("give --real and --ours, or --start")
    return run(chosen, chosen.real, chosen.ours)


def run(chosen, real, ours):
    intended = Intended(HERE / "intended.tsv")
    twin = Twin(real, ours, intended, chosen.only, chosen.verbose)
    twin.prepare()
    nouns = sorted(p.stem for p in (HERE / "cases").glob("[a-z]*.py"))
    if chosen.nouns:
        nouns = chosen.nouns.split(",")
    elif chosen.only and "/" in chosen.only and not set(chosen.only.split("/")[0]) & set("*?["):
        nouns = [chosen.only.split("/")[0]]
    for noun in nouns:
        twin.noun = noun
        before = len(twin.failed), twin.passed
        importlib.import_module(f"cases.{noun}").cases(twin)
        print(f"{noun}: {twin.passed - before[1]} passed, {len(twin.failed) - before[0]} failed", flush=True)
    if not chosen.only and not chosen.nouns:
        for row in intended.rows:
            if tuple(row) not in intended.used:
                print(f"note: intended.tsv line never needed: {row[0]} | {row[1]} | {row[2]}")
    print(f"{twin.meant} of the passed differ as intended.tsv says")
    print(f"{twin.passed} passed, {len(twin.failed)} failed")
    return 1 if twin.failed else 0


if __name__ == "__main__":
    sys.exit(main())
