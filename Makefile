# python3 and make are all that has to be there; everything else is installed into .venv.
.DEFAULT_GOAL := help
.PHONY: help docs setup demo demo-long study smoke smoke-datasets test test-app test-faults test-faults-long check format deps lock sbom audit

PYTHON ?= python3
VENV := .venv
SUPPLY := $(VENV)/supply
INSTALL := python -m pip install --quiet --disable-pip-version-check --no-compile
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK := 1
export PYTHONWARNINGS := ignore
# Bytecode is kept, also where the user's shell forbids it: without, every stage starts 12 s later.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make setup      install into .venv what requirements/ locks by hash"
	@echo "make demo       Earth from nothing to reports/earth/index.html, about 10 minutes on 2 cores"
	@echo "make demo-long  the same road, trained for one to two hours"
	@echo "make study      the rows of docs/study.md, hours; goes on where it was cut off"
	@echo "make smoke      the same road scaled down to minutes, in a clone of its own; no figures"
	@echo "make smoke-datasets  Cityscapes, CelebAMask-HQ, COCO-Stuff and a folder from generated raw trees"
	@echo "make test       the test suite"
	@echo "make test-app   the page of semflow app in Chromium, which the system has"
	@echo "make test-faults  kills stages at random moments, breaks disks, caches and shards; minutes"
	@echo "make test-faults-long  more of it, and rounds of train, evaluate, segment for two hours"
	@echo "make check      lint, format, types, of bench and tools too"
	@echo "make format     rewrite the code to the format that check wants"
	@echo "make docs       the documentation as a site, site/index.html"
	@echo "make deps       write into dvc.yaml which packages each stage imports"
	@echo "make lock       write requirements/ from constraints.txt: every package with its files' hashes"
	@echo "make sbom       write docs/sbom.json, the locked packages in CycloneDX's form"
	@echo "make audit      look for advisories on the pinned packages; docs/supply-chain.md"

setup: $(VENV)/installed

# The build's own tool goes first: a source that is built then fetches none without a hash.
# torch and torchvision have other files for each accelerator: their version alone is pinned.
$(VENV)/installed: pyproject.toml constraints.txt requirements/build.lock requirements/setup.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/$(INSTALL) --no-deps --require-hashes -r requirements/build.lock
	$(VENV)/bin/$(INSTALL) --no-deps --require-hashes --no-build-isolation -r requirements/setup.lock
	$(VENV)/bin/$(INSTALL) -c constraints.txt torch torchvision
	$(VENV)/bin/$(INSTALL) --no-deps --no-build-isolation -e .
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
	pytest -m "faults and not faults_long" tests/faults

# How long the rounds take is SEMFLOW_SOAK_SECONDS.
test-faults-long: setup
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

docs: setup
	python -m tools.params_reference
	mkdocs build --strict --quiet
	@echo "done: site/index.html"

$(SUPPLY)/installed: $(VENV)/installed requirements/supply.lock
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/$(INSTALL) --no-deps --require-hashes --only-binary :all: -r requirements/supply.lock
	@touch $@

lock: $(SUPPLY)/installed
	python -m tools.lock $(SUPPLY)/bin/uv

sbom: $(SUPPLY)/installed
	python -m tools.sbom $(SUPPLY)/bin/cyclonedx-py

# pip-audit asks a service over the network; --strict: what that does not know is no pass.
audit: $(SUPPLY)/installed
	python -m tools.advisories $(SUPPLY)
	$(SUPPLY)/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt
	$(SUPPLY)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/setup.lock
	$(SUPPLY)/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/supply.lock
