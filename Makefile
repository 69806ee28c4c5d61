# Each target makes its own virtual environment the first time.
PYTHON ?= python3
DATA ?= ../shared/data
PIP_QUIET := --quiet --disable-pip-version-check

.PHONY: demo test lint format bench bench-uncertainty torture clean

.venv-demo/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install $(PIP_QUIET) -c constraints.txt -e '.[demo]'
	touch $@

.venv-dev/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install $(PIP_QUIET) -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv-demo/installed  ## the whole life of the flights model, on a compressed clock
	.venv-demo/bin/roadworthy run examples/flights

test: .venv-dev/installed  ## every test, doctest and documented command
	.venv-dev/bin/python -m pytest

lint: .venv-dev/installed  ## ruff and mypy --strict
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy

format: .venv-dev/installed
	.venv-dev/bin/ruff check --fix .
	.venv-dev/bin/ruff format .

bench: bench-flights bench-rollout bench-gate-errors bench-releases bench-shadow bench-looks bench-registry bench-record bench-http-core bench-serving-core bench-serving bench-overload bench-gap bench-drift bench-drift-streams bench-quality bench-alerts bench-why bench-traces bench-text-health bench-ship bench-uncertainty bench-cascade bench-router  ## every benchmark

# A benchmark is a file or a folder; what else it needs (bench-serving: other servers) it installs into .bench/.
bench-%: .venv-demo/installed  ## one benchmark: a table, then one line of JSON Measurements
	.venv-demo/bin/python $(or $(wildcard benchmarks/$(subst -,_,$*).py),benchmarks/$(subst -,_,$*)) --data $(DATA)

bench-uncertainty: .venv-dev/installed  ## needs PyTorch, for nets that know what they do not know
	.venv-dev/bin/python benchmarks/uncertainty --data $(DATA)

torture: .venv-dev/installed  ## whatever must not break, broken on purpose: about half an hour
	.venv-dev/bin/pip install $(PIP_QUIET) -c constraints.txt -e '.[torture]'
	.venv-dev/bin/python benchmarks/torture

clean:
	rm -rf .venv-demo .venv-dev .bench build dist examples/*/.roadworthy
