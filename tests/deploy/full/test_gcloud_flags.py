"""Every command and flag in the golden lists is known to the real gcloud, where it is installed. Nothing is called but --help."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("TALLYD_FULL"), reason="TALLYD_FULL=1 runs it"),
    pytest.mark.skipif(not shutil.which("gcloud"), reason="no gcloud here"),
]


def uses():
    found = {}
    for path in GOLDEN.glob("*.txt"):
        for line in path.read_text().splitlines():
            words = shlex.split(line)
            if words[0] != "gcloud":
                continue
            flags = {re.match("--[a-z-]+", w).group(0) for w in words if w.startswith("--")}
            names = [w for w in words[1:] if not w.startswith("-")]
            found.setdefault(tuple(names), set()).update(flags)
    return found


def test_real_gcloud_knows_every_command_and_flag(tmp_path):
    env = dict(os.environ, CLOUDSDK_CONFIG=str(tmp_path), CLOUDSDK_CORE_DISABLE_PROMPTS="1")
    helps, wrong = {}, []
    for names, flags in uses().items():
        # The longest leading part that is a command: names of things follow it.
        names = [n for n in names if re.fullmatch("[a-z-]+", n) and not n.startswith("tallyd")]
        if tuple(names) not in helps:
            while names:
                done = subprocess.run(["gcloud", *names, "--help"], env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL)
                if done.returncode == 0 and "SYNOPSIS" in done.stdout:
                    break
                names.pop()
            helps[tuple(names)] = re.sub("\x1b\\[[0-9;]*m", "", done.stdout)
        text = helps[tuple(names)]
        for flag in flags:
            known = re.search(r"(?<![a-z-])" + flag + r"(?![a-z-])", text) or re.search(r"--\[no-\]" + flag.removeprefix("--no-").removeprefix("--") + r"(?![a-z-])", text)
            if not known:
                wrong.append((" ".join(names), flag))
    assert wrong == []
    assert len(helps) > 30
