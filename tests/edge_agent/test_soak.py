import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


@pytest.mark.slow
def test_five_thousand_frames_leave_no_slope_in_memory_threads_or_files() -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), "--frames", "5000"], capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "second half" in done.stdout
