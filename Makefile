# Needed beforehand: Python 3.11 or newer, pip, make and git. Every target does its own set-up.
PY := .venv/bin/python
# Packages are installed uncompiled; what is really imported is compiled once, and has to be kept.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: setup demo test lint bench

setup: .venv/.ready ; @$(PY) -m esc_demo setup
demo: setup ; @$(PY) app.py
test: setup .venv/.ready-dev ; @sh scripts/ensure_chromium.sh && sh scripts/ensure_postgresql.sh && OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)
lint: .venv/.ready-dev ; @$(PY) -m ruff check . && $(PY) -m ruff format --check . && .venv/bin/lint-imports && $(PY) -m mypy
bench: setup ; @$(PY) -m esc_demo bench panes && $(PY) -m finetune bench

.venv/.ready: requirements.txt ; @sh scripts/install.sh $< $@
.venv/.ready-dev: requirements-dev.txt .venv/.ready ; @sh scripts/install.sh $< $@
