"""The device holds no TensorFlow: every module of the agent imports without it."""

import pkgutil
import subprocess
import sys

import edge_agent

BLOCKED = ("tensorflow", "keras", "mlflow", "pandas", "sklearn", "torch", "jax", "optuna", "train", "export", "deploy")


def agent_modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(edge_agent.__path__, "edge_agent.")]


def test_every_module_of_the_agent_imports_with_the_workstation_blocked() -> None:
    modules = [name for name in agent_modules() if not name.endswith("__main__")]
    assert "edge_agent.preprocess" in modules
    code = f"""
import importlib, sys
for name in {BLOCKED!r}:
    sys.modules[name] = None  # an import of it now raises ImportError
for name in {modules!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_answers_without_importing_opencv() -> None:
    code = "import sys; from edge_agent.cli import main; main(['version']); print('cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
