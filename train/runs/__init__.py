"""Many runs: search, registry, comparison, reproduction, picking; each sub-command is one module `*_command.py`."""
