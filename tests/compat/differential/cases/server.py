"""server-info, health, version, unknown routes, wrong methods."""


def cases(t):
    t.get("server-info", "/api/3.0/mlflow/server-info", drop=("trace_archival_enabled", "features_enabled"))
    t.get("server-info at ajax", "/ajax-api/3.0/mlflow/server-info", drop=("trace_archival_enabled", "features_enabled"))
    t.get("health", "/health", compare="bytes")
    t.get("version", "/version", compare="bytes")
    t.send("head of root", "HEAD", "/", compare="status")
    for path in ("/api/2.0/mlflow/nothing", "/api/2.0/mlflow/experiments/nothing", "/api/2.0/nothing", "/api/9.0/mlflow/experiments/get", "/nothing", "/api", "/api/2.0/mlflow/experiments/create/"):
        t.get(f"unknown {path}", path, compare="status")
        t.post(f"unknown post {path}", path, {}, compare="status")
    for method, path in (("GET", "experiments/create"), ("PUT", "experiments/create"), ("DELETE", "runs/get"), ("POST", "experiments/get"), ("POST", "metrics/get-history"), ("PATCH", "runs/update"), ("GET", "runs/log-metric"), ("PUT", "registered-models/update"), ("GET", "runs/delete")):
        t.send(f"{method} {path}", method, path, body={} if method != "GET" else None, compare="status")
