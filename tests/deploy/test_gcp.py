"""deploy/gcp/up and down against stand-ins for gcloud and curl: the golden list
of commands, refusals, a second run that changes nothing. UPDATE_GOLDEN=1 writes
the lists anew; read the difference before committing it."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
UP = ROOT / "deploy/gcp/up"
DOWN = ROOT / "deploy/gcp/down"
READS = re.compile(r" (describe|list|get-iam-policy|access) | services list|users list|vpc-peerings list|versions list|compute ssh|^curl ")


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state.json"
        self.log = folder / "log"
        self.package = folder / "tallyd_0.1.0_amd64.deb"
        self.package.write_bytes(b"first")
        self.env = dict(os.environ, PATH=f"{HERE}/stand-in:{os.environ['PATH']}", GCLOUD_STATE=str(self.state), GCLOUD_LOG=str(self.log), TMPDIR=str(folder))

    def call(self, script, *options, answers="", env=None, path=None):
        self.log.write_text("")
        environment = dict(self.env, **(env or {}))
        if path:
            environment["PATH"] = path
        return subprocess.run([str(script), "--project", "my-project", *options], input=answers, text=True, capture_output=True, env=environment, timeout=300)

    def up(self, *options, **more):
        return self.call(UP, "--package", str(self.package), "--source-ranges", "203.0.113.0/24", *options, **more)

    def down(self, *options, **more):
        return self.call(DOWN, *options, **more)

    def commands(self):
        text = self.log.read_text()
        return text.replace(str(ROOT), "ROOT").replace(str(self.folder), "FOLDER").splitlines()

    def changes(self):
        return [line for line in self.commands() if not READS.search(line)]

    def things(self):
        return json.loads(self.state.read_text())["things"]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def golden(name, lines):
    path = HERE / "golden" / name
    text = re.sub(r"--flags-file=\S+", "--flags-file=FILE", "\n".join(lines) + "\n")
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("database", ["embedded", "cloud-sql"])
def test_up_runs_the_golden_list(project, database):
    done = project.up("--database", database)
    assert done.returncode == 0, done.stderr
    golden(f"up-{database}.txt", project.commands())
    assert 'import mlflow\nmlflow.set_tracking_uri("http://34.0.0.7:5000")' in done.stdout


@pytest.mark.parametrize("database", ["embedded", "cloud-sql"])
def test_second_up_changes_nothing(project, database):
    assert project.up("--database", database).returncode == 0
    before = project.state.read_text()
    done = project.up("--database", database)
    assert done.returncode == 0, done.stderr
    assert project.changes() == []
    assert project.state.read_text() == before


@pytest.mark.parametrize("database", ["embedded", "cloud-sql"])
def test_down_removes_all_that_up_made(project, database):
    assert project.up("--database", database).returncode == 0
    done = project.down("--database", database, "--data", "delete")
    assert done.returncode == 0, done.stderr
    golden(f"down-{database}.txt", project.commands())
    left = {k for k in project.things() if not k.startswith("sqluser ") and not k.startswith("sqldatabase ")}
    assert left == set()
    assert all(not policy for key, policy in json.loads(project.state.read_text())["policies"].items() if key.startswith("projects"))
    again = project.down("--database", database, "--data", "delete")
    assert again.returncode == 0, again.stderr
    assert project.changes() == []


@pytest.mark.parametrize("ranges", ["0.0.0.0/0", "203.0.113.0/24,0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1", "0.0.0.0/00"])
def test_the_whole_world_is_refused(project, ranges):
    done = project.call(UP, "--package", str(project.package), "--source-ranges", ranges)
    assert done.returncode == 1
    assert "access control is off" in done.stderr
    assert project.commands() == []


@pytest.mark.parametrize("options", [
    [],
    ["--source-ranges", ""],
    ["--source-ranges", "203.0.113.0"],
    ["--source-ranges", "203.0.113.0/24,"],
    ["--source-ranges", "everyone"],
    ["--source-ranges", "10.0.0.0/8", "--port", "80"],
    ["--source-ranges", "10.0.0.0/8", "--port", "5000x"],
    ["--source-ranges", "10.0.0.0/8", "--database", "mysql"],
    ["--source-ranges", "10.0.0.0/8", "--zone", "europe-west1-b"],
    ["--source-ranges", "10.0.0.0/8", "--bucket-path", "../x"],
    ["--source-ranges", "10.0.0.0/8", "--bucket-path", "package"],
    ["--source-ranges", "10.0.0.0/8", "--name", "A B"],
    ["--source-ranges", "10.0.0.0/8", "--unknown", "x"],
    ["--source-ranges", "10.0.0.0/8", "--workers"],
    ["--source-ranges", "10.0.0.0/8", "word"],
])
def test_bad_options_are_refused_before_any_command(project, options):
    done = project.call(UP, "--package", str(project.package), *options)
    assert done.returncode == 2, done.stderr
    assert project.commands() == []


def test_a_missing_package_is_refused(project):
    done = project.call(UP, "--source-ranges", "10.0.0.0/8", "--package", str(project.folder / "none.deb"))
    assert done.returncode == 1 and "cannot read" in done.stderr
    assert project.commands() == []


@pytest.fixture
def no_gcloud(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ["bash", "env", "cat", "cut", "dirname", "grep", "head", "mktemp", "paste", "rm", "sed", "sha256sum", "sort", "tr"]:
        (folder / tool).symlink_to(shutil.which(tool))
    return str(folder)


@pytest.mark.parametrize("script", [UP, DOWN])
@pytest.mark.parametrize("database", ["embedded", "cloud-sql"])
def test_dry_run_needs_no_gcloud_and_shows_the_same_changes(project, no_gcloud, script, database):
    options = ["--database", database]
    if script == UP:
        options += ["--package", str(project.package), "--source-ranges", "203.0.113.0/24"]
    done = project.call(script, *options, "--dry-run", path=no_gcloud)
    assert done.returncode == 0, done.stderr
    assert project.commands() == []
    shown = [line for line in done.stdout.splitlines() if re.match(r"(head .*\| )?gcloud |curl ", line)]
    assert len(shown) > 5
    if script == UP:
        assert project.up("--database", database).returncode == 0
        ran = [c for c in project.commands() if not READS.search(c) or "compute ssh" in c or c.startswith("curl")]
        assert [verb(line) for line in shown] == [verb(line) for line in ran]


def verb(line):
    """The command without its options, names and addresses."""
    line = re.sub(r"^head .*\| |--project=\S+ --quiet |'", "", line)
    return re.match(r"[a-z]+(?: [a-z-]+)*", line.split(" -")[0]).group(0)


@pytest.mark.parametrize("script", [UP, DOWN])
def test_without_gcloud_it_says_so(project, no_gcloud, script):
    options = ["--package", str(project.package), "--source-ranges", "203.0.113.0/24"] if script == UP else []
    done = project.call(script, *options, path=no_gcloud)
    assert done.returncode == 1 and "gcloud is not installed" in done.stderr


def test_up_goes_on_after_it_was_interrupted(project):
    done = project.up(env={"GCLOUD_FAIL": "compute instances create"})
    assert done.returncode != 0
    assert project.up().returncode == 0
    assert set(json.loads(project.state.read_text())["things"]) >= {"vm tallyd", "firewall tallyd-allow-5000"}


def test_no_permission_to_look_makes_nothing(project):
    done = project.up(env={"GCLOUD_FAIL": "storage buckets describe"})
    assert done.returncode == 1 and "403" in done.stderr
    assert not any("buckets create" in c for c in project.commands())


def test_new_ranges_update_the_rule(project):
    project.up()
    done = project.call(UP, "--package", str(project.package), "--source-ranges", "198.51.100.0/24,10.0.0.0/8")
    assert done.returncode == 0, done.stderr
    assert project.changes() == ["gcloud compute firewall-rules update tallyd-allow-5000 --source-ranges=10.0.0.0/8,198.51.100.0/24"]
    done = project.call(UP, "--package", str(project.package), "--source-ranges", "10.0.0.0/8,198.51.100.0/24")
    assert project.changes() == []


def test_a_new_package_upgrades(project):
    project.up()
    project.package.write_bytes(b"second")
    done = project.up()
    assert done.returncode == 0, done.stderr
    changes = project.changes()
    assert [c.split()[1:4] for c in changes] == [["storage", "cp", "FOLDER/tallyd_0.1.0_amd64.deb"], ["compute", "instances", "add-metadata"]]
    assert any("google_metadata_script_runner startup" in c for c in project.commands())


def test_foreign_things_are_used_and_never_removed(project):
    project.state.write_text(json.dumps({"services": [], "peerings": {}, "policies": {}, "failed": [], "things": {
        "bucket gs://my-project-tallyd": {"labels": "team=x,tallyd=tallydx"},
        "disk tallyd-data": {"labels": ""}}}))
    done = project.up()
    assert done.returncode == 0, done.stderr
    assert not any("buckets update" in c or "buckets create" in c or "disks create" in c for c in project.commands())
    done = project.down("--data", "delete")
    assert done.returncode == 0, done.stderr
    assert {k for k in project.things() if not k.startswith("object ")} == {"bucket gs://my-project-tallyd", "disk tallyd-data"}
    assert json.loads(project.state.read_text())["policies"]["storage buckets gs://my-project-tallyd"] == []


@pytest.mark.parametrize("thing", ["vm tallyd", "firewall tallyd-allow-5000"])
def test_a_foreign_vm_or_rule_stops_up(project, thing):
    project.state.write_text(json.dumps({"services": [], "peerings": {}, "policies": {}, "failed": [], "things": {thing: {}}}))
    done = project.up()
    assert done.returncode == 1 and "not made by this script" in done.stderr


def test_another_deployment_is_not_touched(project):
    project.up()
    project.up("--name", "second")
    done = project.down("--name", "second", "--data", "delete")
    assert done.returncode == 0, done.stderr
    assert "vm tallyd" in project.things() and not any("second" in k for k in project.things())
    # The same names under another stem: the mark says whose they are.
    done = project.down("--name", "tally", "--vm", "tallyd", "--firewall-rule", "tallyd-allow-5000", "--bucket", "my-project-tallyd", "--service-account", "tallyd-server", "--disk", "tallyd-data", "--data", "delete")
    assert project.changes() == []


def test_down_keeps_data_unless_its_name_is_typed(project):
    project.up()
    done = project.down(answers="yes\nmy-project-tallyd\n")
    assert done.returncode == 0, done.stderr
    assert "disk tallyd-data" in project.things()
    assert "bucket gs://my-project-tallyd" not in project.things()
    assert "Kept, and still billed:\n  tallyd-data" in done.stdout
    project.up()
    project.down(answers="")
    assert {"disk tallyd-data", "bucket gs://my-project-tallyd"} <= set(project.things())
    # What was kept is found again by the next up.
    done = project.up()
    assert done.returncode == 0, done.stderr
    assert not any("disks create" in c for c in project.commands())


def test_the_password_is_in_no_command(project):
    done = project.up("--database", "cloud-sql")
    password = project.things()["secret tallyd-db-password"]["password"]
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert password not in project.log.read_text() + done.stdout + done.stderr
    assert not [p for p in project.folder.iterdir() if p.name.startswith("tmp")]


def test_direct_mode_and_the_walk_throughs_roles(project):
    done = project.up("--artifacts", "direct", "--bucket-role", "viewer-creator", "--no-external-address")
    assert done.returncode == 0, done.stderr
    roles = [re.search(r"--role=(\S+)", c).group(1) for c in project.commands() if "add-iam-policy-binding" in c]
    assert roles == ["roles/storage.objectViewer", "roles/storage.objectCreator", "roles/iam.serviceAccountTokenCreator"]
    assert "artifacts=direct" in project.things()["vm tallyd"]["metadata"]
    assert not any(c.startswith("curl") for c in project.commands())


def test_a_closed_port_is_told(project):
    done = project.up(env={"CURL_FAIL": "1"})
    assert done.returncode == 1 and "does not answer from here" in done.stderr


def test_scripts_are_shellcheck_clean():
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck")
    scripts = [UP, DOWN, ROOT / "deploy/gcp/common.sh", ROOT / "deploy/gcp/startup.sh", ROOT / "deploy/check", *sorted((ROOT / "deploy/deb").glob("p*")), ROOT / "deploy/deb/build"]
    done = subprocess.run(["shellcheck", "-x", *map(str, scripts)], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
