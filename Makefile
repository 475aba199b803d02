# What CI calls and what developers call. Each target sets up what it needs; nothing has to be prepared.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
DEVICE := .venv
DEV := .venv-dev
LEGACY := .venv-legacy
BIN := $(DEV)/bin
SOURCE ?=
CONFIG ?=
ARGS ?=

.PHONY: run test check format train export bench soak sample docs clean dev-env device-env legacy-env test-tools

# --- environments: remade when pyproject.toml changes
$(DEVICE)/.done: pyproject.toml tools/environment.sh
	tools/environment.sh $(PYTHON) $(DEVICE) "litert"
$(DEV)/.done: pyproject.toml tools/environment.sh
	tools/environment.sh $(PYTHON) $(DEV) "dev"
$(LEGACY)/.done: pyproject.toml tools/environment.sh
	tools/environment.sh $(PYTHON) $(LEGACY) "legacy"
device-env: $(DEVICE)/.done
dev-env: $(DEV)/.done
legacy-env: $(LEGACY)/.done
test-tools:
	@tools/test_tools.sh

# --- the agent: on the shipped sample, or SOURCE=0, SOURCE=rtsp://..., SOURCE=clip.mp4
run: $(DEVICE)/.done
	@$(DEVICE)/bin/edge-agent run $(if $(value SOURCE),--source '$(subst ','\'',$(value SOURCE))') $(if $(CONFIG),--config '$(CONFIG)') $(ARGS)

# --- the gate
test: $(DEV)/.done $(LEGACY)/.done test-tools
	$(BIN)/python -m pytest $(ARGS)
check: $(DEV)/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
format: $(DEV)/.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# --- the workstation
train: $(DEV)/.done
	$(BIN)/python -m train $(if $(CONFIG),--config '$(CONFIG)') $(ARGS)
export: $(DEV)/.done
	$(BIN)/python -m export $(ARGS)
bench: $(DEV)/.done
	$(BIN)/python benchmarks/pipeline.py
sample: $(DEV)/.done
	$(BIN)/python tools/make_sample.py edge_agent/samples
soak: $(DEV)/.done
	$(BIN)/python benchmarks/soak.py --frames 100000
	MASKWATCH_KILLS=100 $(BIN)/python -m pytest -s tests/e2e/test_broker_kills.py
	MASKWATCH_BOOT=1 $(BIN)/python -m pytest -s tests/deploy/test_service.py
docs: $(DEV)/.done
	$(BIN)/python tools/generate_docs.py

clean:
	rm -rf $(DEVICE) $(DEV) $(LEGACY) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
