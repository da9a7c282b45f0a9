"""Artifact proxy, artifacts/list, get-artifact, upload-artifact, model version files, multipart."""

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
FILE_HEAD = ("Content-Type", "Content-Disposition", "X-Content-Type-Options")


def cases(t):
    t.post("experiment", "experiments/create", {"name": "${u}-art"}, save={"exp": "experiment_id"})
    t.post("run", "runs/create", {"experiment_id": "${exp}", "start_time": 1, "run_name": "r"}, save={"run": "run.info.run_id"})
    t.let("root", "${u}art")
    proxy(t)
    paths(t)
    run(t)
    multipart(t)
    versions(t)


def proxy(t):
    root = PROXY + "/${root}"
    for name, data in (("a.txt", b"hello\n"), ("empty.txt", b""), ("bin", b"\x00\xff\x01"), ("dir/b.csv", b"x,y\n1,2\n"), ("dir/sub/c.json", b"{}"), ("d.html", b"<b>x</b>"), ("e.png", b"\x89PNG"), ("MLmodel", b"flavors: {}\n"),
                       ("f.yaml", b"a: 1\n"), ("g.py", b"x = 1\n"), ("h.svg", b"<svg/>"), ("i.pdf", b"%PDF"), ("j.jpg", b"\xff\xd8"), ("k.gif", b"GIF89a"), ("l.md", b"# x"), ("m.js", b"x"), ("n.css", b"x"), ("o.zip", b"PK"), ("p.pkl", b"x"), ("q.parquet", b"PAR1"), ("r.xml", b"<x/>"),
                       ("s.mp4", b"x"), ("t.tar.gz", b"x"), ("u.geojson", b"{}"), ("v.log", b"x"), ("w.ipynb", b"{}"), ("UP.TXT", b"x"), ("x.npy", b"x"), ("y.webp", b"x"), ("z.toml", b"x"), ("requirements.txt", b"mlflow\n"), ("conda.yaml", b"x: 1"), ("a b+c.txt", b"space"), ("semi;colon.txt", b"x"), ("quo'te.txt", b"x")):
        encoded = name.replace(" ", "%20").replace("+", "%2B")
        t.put(f"put {name}", f"{root}/{encoded}", raw=data)
        t.get(f"get {name}", f"{root}/{encoded}", compare="bytes", head=FILE_HEAD)
    for encoded in ("%C3%A4%20b%2Bc%25.txt", "%E6%BC%A2.txt", "100%25.txt", "a%3Fb.txt", "a%26b.txt", "star%2A.txt", "plus+.txt", "p%2Bq.txt"):
        t.put(f"put {encoded}", f"{root}/odd/{encoded}", raw=b"odd")
        t.get(f"get {encoded}", f"{root}/odd/{encoded}", compare="bytes", head=FILE_HEAD)
    t.get("list odd", PROXY, {"path": "${root}/odd"})
    t.put("put with type", f"{root}/typed.txt", raw=b"x", headers={"Content-Type": "text/plain"})
    t.put("put json with type", f"{root}/typed.json", raw=b"{", headers={"Content-Type": "application/json"})
    t.put("put over", f"{root}/a.txt", raw=b"changed\n")
    t.get("get over", f"{root}/a.txt", compare="bytes")
    t.put("put with slash at end", f"{root}/x/", raw=b"x")
    t.put("put onto folder", f"{root}/dir", raw=b"x", compare="status")
    t.put("put below file", f"{root}/a.txt/x", raw=b"x", compare="status")
    t.get("get folder", f"{root}/dir")
    t.get("get folder with slash", f"{root}/dir/", compare="status")
    t.get("get missing", f"{root}/nothing")
    t.get("get missing in folder", f"{root}/dir/nothing")
    t.send("head", "HEAD", f"{root}/a.txt", compare="status")
    t.get("get range", f"{root}/a.txt", headers={"Range": "bytes=1-3"}, compare="bytes", head=("Content-Range", "Content-Length"))
    t.get("get open range", f"{root}/a.txt", headers={"Range": "bytes=3-"}, compare="bytes", head=("Content-Range",))
    t.get("get suffix range", f"{root}/a.txt", headers={"Range": "bytes=-2"}, compare="bytes", head=("Content-Range",))
    t.get("get range outside", f"{root}/a.txt", headers={"Range": "bytes=100-200"}, compare="status")
    t.get("list", PROXY, {"path": "${root}"})
    t.get("list folder", PROXY, {"path": "${root}/dir"})
    t.get("list folder with slash", PROXY, {"path": "${root}/dir/"})
    t.get("list file", PROXY, {"path": "${root}/a.txt"})
    t.get("list missing", PROXY, {"path": "${root}/nothing"})
    t.get("list at ajax", "/ajax-api/2.0/mlflow-artifacts/artifacts", {"path": "${root}/dir"})
    t.get("get at ajax", "/ajax-api/2.0/mlflow-artifacts/artifacts/${root}/dir/b.csv", compare="bytes")
    t.send("delete file", "DELETE", f"{root}/bin")
    t.send("delete again", "DELETE", f"{root}/bin")
    t.get("get deleted", f"{root}/bin")
    t.send("delete folder", "DELETE", f"{root}/dir/sub")
    t.get("list after delete", PROXY, {"path": "${root}/dir"})
    t.send("delete missing", "DELETE", f"{root}/nothing")


def paths(t):
    for word, path in (("dots", "../x"), ("inner dots", "${root}/../x"), ("encoded dots", "%2e%2e/x"), ("twice encoded dots", "%252e%252e/x"), ("encoded slash dots", "..%2fx"), ("absolute", "/etc/passwd"), ("encoded absolute", "%2fetc%2fpasswd"), ("twice encoded absolute", "%252fetc%252fpasswd"), ("file uri", "file:///etc/passwd"),
                       ("windows", "C:\\x"), ("windows slash", "C:/x"), ("hash", "${root}/a%23b"), ("nul", "${root}/a%00b"), ("backslash dots", "..\\x"), ("dot", "${root}/./a.txt"), ("double slash", "${root}//a.txt"), ("dots at end", "${root}/..")):
        t.get(f"get {word}", f"{PROXY}/{path}", compare="status" if word in ("nul", "double slash", "dot") else "json")
        t.put(f"put {word}", f"{PROXY}/{path}", raw=b"x", compare="status" if word in ("nul", "double slash", "dot") else "json")
        t.send(f"delete {word}", "DELETE", f"{PROXY}/{path}", compare="status" if word in ("nul", "double slash", "dot") else "json")
        t.get(f"list {word}", PROXY + "?path=" + path, compare="status" if word in ("nul",) else "json")
        t.get(f"artifacts/list {word}", "artifacts/list?run_id=${run}&path=" + path, compare="status" if word in ("nul",) else "json")
        t.get(f"get-artifact {word}", "/get-artifact?run_id=${run}&path=" + path, compare="status" if word in ("nul", "dot", "double slash") else "json")


def run(t):
    root = PROXY + "/${exp}/${run}/artifacts"
    listing = "artifacts/list"
    t.get("artifacts of none", listing, {"run_id": "${run}"})
    for name, data in (("model/MLmodel", b"m"), ("model/data/x.bin", b"123"), ("z.txt", b"z"), ("a.txt", b"a"), ("empty.txt", b""), ("%C3%A4%20b%2Bc%25.txt", b"u")):
        t.put(f"run put {name}", f"{root}/{name}", raw=data)
    t.get("artifacts", listing, {"run_id": "${run}"})
    t.get("artifacts by run_uuid", listing, {"run_uuid": "${run}"})
    t.get("artifacts of folder", listing, {"run_id": "${run}", "path": "model"})
    t.get("artifacts of folder with slash", listing, {"run_id": "${run}", "path": "model/"})
    t.get("artifacts of inner folder", listing, {"run_id": "${run}", "path": "model/data"})
    t.get("artifacts of file", listing, {"run_id": "${run}", "path": "a.txt"})
    t.get("artifacts of missing", listing, {"run_id": "${run}", "path": "nothing"})
    t.get("artifacts of empty path", listing, {"run_id": "${run}", "path": ""})
    t.get("artifacts with token", listing, {"run_id": "${run}", "page_token": "x"})
    t.get("artifacts of unknown run", listing, {"run_id": "0" * 32})
    t.get("artifacts without run", listing, {})
    t.get("artifacts at ajax", "/ajax-api/2.0/mlflow/" + listing, {"run_uuid": "${run}"})
    get = "/get-artifact"
    for path in ("a.txt", "empty.txt", "model/MLmodel", "ä b+c%.txt", "model/data/x.bin"):
        t.get(f"get-artifact {path}", get, {"run_id": "${run}", "path": path}, compare="bytes", head=FILE_HEAD)
    t.get("get-artifact by run_uuid", get, {"run_uuid": "${run}", "path": "a.txt"}, compare="bytes")
    t.get("get-artifact range", get, {"run_uuid": "${run}", "path": "model/data/x.bin"}, headers={"Range": "bytes=1-1"}, compare="bytes", head=("Content-Range",))
    t.get("get-artifact missing", get, {"run_id": "${run}", "path": "nothing"})
    t.get("get-artifact folder", get, {"run_id": "${run}", "path": "model"}, compare="status")
    t.get("get-artifact unknown run", get, {"run_id": "0" * 32, "path": "a.txt"})
    t.get("get-artifact without path", get, {"run_id": "${run}"}, compare="status")
    t.get("get-artifact empty path", get, {"run_id": "${run}", "path": ""}, compare="status")
    t.get("get-artifact without run", get, {"path": "a.txt"}, compare="status")
    upload = "/ajax-api/2.0/mlflow/upload-artifact"
    t.post("upload", upload + "?run_uuid=${run}&path=notes/n.md", raw=b"# n")
    t.get("upload, then get", get, {"run_id": "${run}", "path": "notes/n.md"}, compare="bytes", head=FILE_HEAD)
    t.post("upload empty", upload + "?run_uuid=${run}&path=notes/e.md", raw=b"")
    t.post("upload without run", upload + "?path=x", raw=b"x")
    t.post("upload without path", upload + "?run_uuid=${run}", raw=b"x")
    t.post("upload unknown run", upload + "?run_uuid=" + "0" * 32 + "&path=x", raw=b"x")
    t.post("upload with dots", upload + "?run_uuid=${run}&path=../x", raw=b"x")
    t.post("upload 10 MiB and one", upload + "?run_uuid=${run}&path=big", raw=b"x" * (10 * 1024 * 1024 + 1))
    t.post("delete run", "runs/delete", {"run_id": "${run}"})
    t.get("artifacts of deleted run", listing, {"run_id": "${run}"})
    t.get("get-artifact of deleted run", get, {"run_id": "${run}", "path": "a.txt"}, compare="bytes")
    t.post("restore run", "runs/restore", {"run_id": "${run}"})


def multipart(t):
    base = "/api/2.0/mlflow-artifacts/mpu/"
    t.post("mpu create", base + "create/${root}/big", {"path": "f.bin", "num_parts": 2})
    t.post("mpu create without path", base + "create/${root}/big", {"num_parts": 2})
    t.post("mpu create without parts", base + "create/${root}/big", {"path": "f.bin"})
    t.post("mpu complete", base + "complete/${root}/big", {"path": "f.bin", "upload_id": "x", "parts": [{"part_number": 1, "etag": "x", "url": "y"}]})
    t.post("mpu abort", base + "abort/${root}/big", {"path": "f.bin", "upload_id": "x"})
    t.get("presigned", "/api/2.0/mlflow-artifacts/presigned/${root}/a.txt")


def versions(t):
    t.post("model", "registered-models/create", {"name": "${u}-art"})
    t.post("version", "model-versions/create", {"name": "${u}-art", "source": "mlflow-artifacts:/${exp}/${run}/artifacts/model", "run_id": "${run}"})
    t.post("version in gs", "model-versions/create", {"name": "${u}-art", "source": "s3://b/p"})
    get = "/model-versions/get-artifact"
    t.get("version file", get, {"name": "${u}-art", "version": "1", "path": "MLmodel"}, compare="bytes", head=FILE_HEAD)
    t.get("version file in folder", get, {"name": "${u}-art", "version": "1", "path": "data/x.bin"}, compare="bytes", head=FILE_HEAD)
    t.get("version file missing", get, {"name": "${u}-art", "version": "1", "path": "nothing"})
    t.get("version file with dots", get, {"name": "${u}-art", "version": "1", "path": "../z.txt"})
    t.get("version file unknown version", get, {"name": "${u}-art", "version": "9", "path": "MLmodel"})
    t.get("version file unknown model", get, {"name": "${u}-no", "version": "1", "path": "MLmodel"})
    for field in ("name", "version", "path"):
        t.get(f"version file without {field}", get, {k: v for k, v in {"name": "${u}-art", "version": "1", "path": "MLmodel"}.items() if k != field}, compare="status")
