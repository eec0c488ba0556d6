# Two commands do the work: `make course` runs every lesson, `make test` runs every check.
# Written for GNU make 3.81 (macOS) and newer. Without make: README.md, "Without make".

PYTHON ?= python3
STUDY ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help course test lab notebooks report bench clean study-named

help: ## show this list
	@echo "csi_lab: a laboratory for measuring customer satisfaction"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Python is $(PYTHON); take another one with: make PYTHON=python3.12 ..."

course: $(READY) ## run every lesson on the bundled studies: build/course/index.html
	$(BIN)/csi-lab run all --out build/course

test: $(READY) ## lint, types, unit and doc tests, notebooks: one pytest run
	$(BIN)/python -m pytest -n 2 --dist loadfile

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

notebooks: $(READY) ## re-execute the notebooks and store them with their outputs
	$(BIN)/csi-lab store

report: study-named $(READY) ## report on one study (STUDY=name or folder): build/report
	$(BIN)/csi-lab report "$(STUDY)" --out build/report

bench: $(READY) ## measure speed and memory
	$(BIN)/python -m benchmarks

clean: ## remove what was built, and caches; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name $(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

study-named:
	@test -n "$(STUDY)" || { echo "say which study, by its name or its folder: make report STUDY=mobile" >&2; exit 2; }

# The exact versions of requirements.lock; again whenever that file or pyproject.toml changes.
# A Python that cannot run any more (removed, upgraded) is replaced; one that is too old is named and left alone.
NEW_ENOUGH = import sys; v = sys.version_info; sys.exit(0 if v[:2] >= (3, 11) else \
	"csi_lab needs Python 3.11 or newer; %s is Python %d.%d" % (sys.executable, v[0], v[1]))

$(READY): requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "no program $(PYTHON) here; install Python 3.11 or newer, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || \
	  { echo "name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(BIN)/python" -c "" 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	@"$(BIN)/python" -c '$(NEW_ENOUGH)' || \
	  { echo "remove the folder $(VENV) and run make again" >&2; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  set -x; \
	  uv pip install --python $(BIN)/python -r requirements.lock && \
	  uv pip install --python $(BIN)/python --no-deps -e .; \
	else \
	  set -x; \
	  $(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock && \
	  $(BIN)/python -m pip install --disable-pip-version-check --no-deps -e .; \
	fi
	@touch $(READY)
