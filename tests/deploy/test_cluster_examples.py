"""The Slurm and Kubernetes examples set what Keras reads, and call commands that exist."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from train import distribute
from train.__main__ import COMMANDS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def container(name: str) -> dict[str, object]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))
    job = next(d for d in documents if d["kind"] == "Job")
    found: dict[str, object] = job["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_kubernetes_job_forms_a_group_whose_first_pod_the_service_names() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "distribute.yaml").read_text()))
    service, job = documents
    environ = {e["name"]: str(e.get("value", "0")) for e in container("distribute.yaml")["env"]}  # type: ignore[attr-defined]
    group = distribute.group(environ)
    assert group is not None
    assert group.processes == job["spec"]["completions"] == job["spec"]["parallelism"]
    name = job["metadata"]["name"]
    assert group.coordinator == f"{name}-0.{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}


def test_the_kubernetes_search_calls_a_command_of_ours() -> None:
    words = container("search.yaml")["command"]
    assert isinstance(words, list)
    assert words[:3] == ["python", "-m", "train"]
    assert words[3] in COMMANDS
    assert (DEPLOY.parent / words[words.index("--space") + 1]).is_file()


@pytest.mark.parametrize("name", ["distribute.sbatch", "search.sbatch"])
def test_the_slurm_scripts_run_with_slurm_played_by_small_programs(tmp_path: Path, name: str) -> None:
    """scontrol, srun and python as programs that answer as Slurm's do; what reaches python is what counts."""
    programs = {
        "scontrol": 'printf "nodeA\\nnodeB\\n"',
        "srun": 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; [ "$1" = --kill-on-bad-exit=1 ] && shift; "$@"; done',
        "python": "k=KERAS_DISTRIBUTION; a=${k}_JOB_ADDRESSES; n=${k}_NUM_PROCESSES; p=${k}_PROCESS_ID\n"
        'echo "${!a} ${!n} ${!p} $*"',
    }
    for program, text in programs.items():
        path = tmp_path / program
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node[A-B]",
        "SLURM_NTASKS": "2",
        "SLURM_CPUS_PER_TASK": "4",
        "MASKWATCH_STUDIES": "postgresql://db/studies",
        "MLFLOW_TRACKING_URI": "https://mlflow.example.org",
    }
    done = subprocess.run(
        ["bash", DEPLOY / "slurm" / name, "in", "out"], env=environ, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    if name == "search.sbatch":
        assert lines[0].strip() == "-m train search --space in --storage postgresql://db/studies --threads 4"
        return
    names = (distribute.ADDRESSES, distribute.PROCESSES, distribute.PROCESS)
    groups = [distribute.group(dict(zip(names, line.split()[:3], strict=True))) for line in lines]
    assert groups == [distribute.Group("nodeA:29500", 2, number) for number in (0, 1)]
    assert lines[0].endswith("-m train.distribute_head train in --out out")
