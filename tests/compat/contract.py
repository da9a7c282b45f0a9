"""Compares `tallyd routes` with the protobuf services in the mlflow package.

Every method, path and field is in our table, or a line of contract.tsv says
why not. Also every row of ours without a twin there is printed with -v.

    python tests/compat/contract.py [-v]        TALLYD names the binary
"""

import collections
import fnmatch
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

from mlflow.protos import databricks_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2

HERE = pathlib.Path(__file__).resolve().parent


def plain(path):
    return re.sub(r"<[^>]*>|\{[^}]*\}|\*+$", "<>", "/" + path.strip("/"))


def theirs():
    """Method, path and field names of MLflow's services, one entry an endpoint."""
    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    in_path = set(re.findall(r"<(?:\w+:)?(\w+)>|\{(\w+)\}", endpoint.path))
                    names = {name for pair in in_path for name in pair if name}
                    required = {f.name for f in method.input_type.fields if f.GetOptions().Extensions[databricks_pb2.validate_required]}
                    yield endpoint.method, f"/api/{endpoint.since.major}.0{endpoint.path}", [f.name for f in method.input_type.fields if f.name not in names], required


def main():
    reasons = [line.rstrip("\n").split("\t") for line in open(HERE / "contract.tsv", encoding="utf-8") if line.strip() and not line.startswith("#")]

    def excused(method, path, field):
        return any(fnmatch.fnmatchcase(method, m) and fnmatch.fnmatchcase(path, p) and (f == "*" or fnmatch.fnmatchcase(field, f)) for m, p, f, _ in reasons)

    command = shlex.split(os.environ.get("TALLYD") or str(HERE.parents[1] / "tallyd"))
    rows = json.loads(subprocess.run([*command, "routes"], check=True, capture_output=True, text=True).stdout)
    ours, seen = collections.defaultdict(dict), set()
    for row in rows:
        fields = {}
        for field in row["fields"]:
            fields[field["name"]] = field
            if "alias" in field:
                fields[field["alias"]] = field
        for path in row.get("paths") or [row["path"]]:
            ours[(row["method"], plain(path))] = fields
    problems, checked, left_out = [], 0, 0
    for method, path, fields, required in theirs():
        key = (method, plain(path))
        seen.add(key)
        if key not in ours:
            if excused(method, path, ""):
                left_out += 1
            else:
                problems.append(f"{method} {path}: no such route")
            continue
        twin = (method, plain(path).replace("/api/", "/ajax-api/", 1))
        seen.add(twin)
        if twin not in ours:
            problems.append(f"{method} {twin[1]}: no such route")
        checked += 1
        for field in fields:
            if field not in ours[key] and not excused(method, path, field):
                problems.append(f"{method} {path}: no field {field}")
            elif field in required and field in ours[key] and not ours[key][field]["required"] and not excused(method, path, field + "?"):
                problems.append(f"{method} {path}: field {field} is required there")
    if "-v" in sys.argv[1:]:
        for method, path in sorted(set(ours) - seen):
            print(f"ours alone: {method} {path}")
    for problem in sorted(set(problems)):
        print(problem)
    print(f"{left_out} endpoints are left out as contract.tsv says")
    print(f"{checked} passed, {len(set(problems))} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
