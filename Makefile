# python3 and make are all that has to be there; everything else is installed into .venv.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-long study smoke smoke-datasets test test-app test-faults check format deps

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK := 1
export PYTHONWARNINGS := ignore
# Bytecode is kept, also where the user's shell forbids it: without, every stage starts 12 s later.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make setup      install into .venv, versions pinned by constraints.txt"
	@echo "make demo       Earth from nothing to reports/earth/index.html, about 10 minutes on 2 cores"
	@echo "make demo-long  the same road, trained for one to two hours"
	@echo "make study      the rows of docs/study.md, hours; goes on where it was cut off"
	@echo "make smoke      the same road scaled down to minutes, in a clone of its own; no figures"
	@echo "make smoke-datasets  Cityscapes, CelebAMask-HQ, COCO-Stuff and a folder from generated raw trees"
	@echo "make test       the test suite"
	@echo "make test-app   the page of semflow app in Chromium, which the system has"
	@echo "make test-faults  kills stages at random moments, alters shards at random; minutes"
	@echo "make check      lint, format, types, of bench and tools too"
	@echo "make format     rewrite the code to the format that check wants"
	@echo "make deps       write into dvc.yaml which packages each stage imports"

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[test]'
	@touch $@

demo: setup
	dvc repro
	@echo "done: reports/earth/index.html"

demo-long: setup
	semflow use long earth
	dvc repro
	@echo "done: reports/earth/index.html; git checkout params.yaml brings back the short demo"

# Needs both data sets listed in params.yaml: datasets: [earth, robots].
study: setup
	dvc repro --keep-going study/dvc.yaml

smoke: setup
	rm -rf .smoke
	git clone --quiet . .smoke
	cd .smoke && python -m semflow.cli.main use smoke earth && dvc repro
	cd .smoke && dvc repro
	cd .smoke && python -m tools.check_reruns
	test -s .smoke/reports/earth/index.html

smoke-datasets: setup
	rm -rf .smoke
	git clone --quiet . .smoke
	cd .smoke && python -m tools.smoke_datasets

test: setup
	pytest

test-app: setup
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[test-app]'
	pytest -m browser -rs tests/app

test-faults: setup
	pytest -m faults tests/faults

check: setup
	ruff check .
	ruff format --check .
	mypy

format: setup
	ruff check --fix .
	ruff format .

deps: setup
	python -m tools.write_deps
