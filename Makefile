# Everything a fresh machine needs is Python 3.11 or newer and make.
#
#   make serve        the reading room with invented patients, in a browser: tetkik serve --demo
#   make demo         the main job, end to end, on built-in examples
#   make check        style, types, imports, and the tests of what was changed: about two minutes
#   make test         the same with every test that is fast, a day in a browser and a training of each capability;
#                       what needs a program that is missing is skipped and listed
#   make test-all     make test, then every slow test, the records on both databases
#   make lint         style, types and imports alone
#   make messages     sorts and compiles the Turkish catalogue: after every change of src/tetkik/messages/*.po
#   make docs         the reference pages, from the code, and all pages as a site: build/site/index.html
#   make day          the reading room's whole day in a browser, from the wheel in an empty environment
#   make ray          bulk scoring on a Ray cluster whose driver and node are killed
#   make attacks      replays every attack that worked once; nothing of it may work again
#   make fuzz         reads changed input for MINUTES=60, each target in a process of its own
#   make sbom         what an installation is made of, as CycloneDX: sbom.cdx.json
#   make release      dist/: the wheel of this commit, the same bytes each time, its bill, checksums;
#                       KEY=release-key.pem signs them
#   make viewer web   the assets of others that browsers get, fetched and built again (needs npm)
#   make benchmarks   speed of the networks; the others too with their data:
#                       DATA=complaints.csv URGENCY=urgency.csv      triage
#                       FILMS=DIR                                    labels from reports, heatmaps; DIR has
#                                                                    labels.csv, images/, tables/
#                       FILMS=DIR BACKBONE=mobilenet_v2_imagenet.pt  trains the built-in findings model, judges it
#                       FILMS=DIR OTHERS=DIR                         the gate; OTHERS has no chest radiograph
#                       CAPTIONS=captions.csv                        captions; reading shards
#                       REPORTS=iu_reports.csv                       reading reports
#   make clean        remove what the above made
#
# On Linux pip's default torch is a CUDA build of several gigabytes; the CPU build is enough for the tests:
#
#   make test PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

VENV ?= .venv
PIP_ARGS ?=
PYTEST_ARGS ?=
DATA ?=
URGENCY ?=
FILMS ?=
BACKBONE ?=
OTHERS ?=
CAPTIONS ?=
REPORTS ?=
MINUTES ?= 60
KEY ?=
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# Where the benchmarks train the built-in model of findings.
MODEL := build/findings-mobilenet-cxr
# What an installation depends on; the Python sources are used where they lie.
BUILT_FROM := pyproject.toml setup.py $(wildcard src/tetkik/triage/linear/*.c)
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# The tests start many processes; each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve demo check test test-all lint style types imports near fast slow messages docs day attacks ray fuzz sbom release viewer web benchmarks clean
.DELETE_ON_ERROR:

demo: $(VENV)/.light
	@$(BIN)/tetkik demo

serve: $(VENV)/.service
	@$(BIN)/tetkik serve --demo

check: style
	@$(MAKE) --no-print-directory -j2 types near imports

test: style
	@$(MAKE) --no-print-directory -j2 types fast

test-all: test
	@$(MAKE) --no-print-directory slow

lint: style types imports

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports --no-logo

near: $(VENV)/.dev
	$(PYTEST) $(PYTEST_ARGS) $$($(BIN)/python tests/changed.py)

fast: $(VENV)/.dev
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

slow: $(VENV)/.dev
	$(PYTEST) -m slow --both-databases $(PYTEST_ARGS)

messages: $(VENV)/.dev
	$(BIN)/python docs/messages.py

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

day: $(VENV)/.dev
	$(BIN)/python tests/service/installed.py

sbom: $(VENV)/.dev
	$(BIN)/python docs/sbom.py --python $(BIN)/python --out sbom.cdx.json

ray: $(VENV)/.dev
	$(BIN)/python -m pytest tests/fleet/bulk/two_nodes.py

attacks: $(VENV)/.dev
	$(PYTEST) -m attack $(PYTEST_ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python benchmarks/fuzz.py --minutes $(MINUTES)

release: $(VENV)/.dev
	$(BIN)/python docs/release.py --out dist
ifneq ($(KEY),)
	openssl pkeyutl -sign -rawin -inkey "$(KEY)" -in dist/SHA256SUMS -out dist/SHA256SUMS.sig
endif

viewer:
	cd viewer && npm ci --ignore-scripts && npm run build

web:
	cd web && npm ci --ignore-scripts && npm run build

benchmarks: $(VENV)/.dev
	$(BIN)/python benchmarks/triage_int8.py
	$(BIN)/python benchmarks/imaging_decode.py
	$(BIN)/python benchmarks/findings_speed.py
	$(BIN)/python benchmarks/findings_predict.py
	$(BIN)/python benchmarks/findings_training.py
	$(BIN)/python benchmarks/caption_training.py
	$(BIN)/python benchmarks/caption_adapters.py
	$(BIN)/python benchmarks/report_composer.py
	$(BIN)/python benchmarks/report_retrieval.py
	$(BIN)/python benchmarks/documents.py
	$(BIN)/python benchmarks/reception_triage.py
	$(BIN)/python benchmarks/service_upload.py
	$(BIN)/python benchmarks/service_chaos.py
	$(BIN)/python benchmarks/slow_clients.py
	$(BIN)/python benchmarks/worklist.py
	$(BIN)/python benchmarks/order_matching.py
ifneq ($(DATA),)
	$(BIN)/python benchmarks/triage.py --data "$(DATA)"
	$(BIN)/python benchmarks/triage_speed.py --data "$(DATA)"
	$(BIN)/python benchmarks/triage_training.py --data "$(DATA)"
	$(BIN)/python benchmarks/triage_clean.py --data "$(DATA)"
	$(BIN)/python benchmarks/triage_imbalance.py "$(DATA)"
	$(BIN)/python benchmarks/triage_drift.py --data "$(DATA)"
endif
ifneq ($(URGENCY),)
	$(BIN)/python benchmarks/triage_urgency.py --data "$(URGENCY)" --half all
endif
ifneq ($(CAPTIONS),)
	$(BIN)/python benchmarks/caption_shards.py --data "$(CAPTIONS)"
endif
ifneq ($(REPORTS),)
	$(BIN)/python benchmarks/report_labeler.py --reports "$(REPORTS)"
	$(BIN)/python benchmarks/report_grounding.py --reports "$(REPORTS)"
endif
ifneq ($(FILMS),)
	$(BIN)/python benchmarks/findings_labels.py --tables "$(FILMS)/tables" --csv "$(FILMS)/labels.csv"
	$(BIN)/python benchmarks/findings_heatmaps.py --data "$(FILMS)"
ifneq ($(BACKBONE),)
	$(BIN)/python benchmarks/findings_embedded.py --data "$(FILMS)" --backbone "$(BACKBONE)" --out $(MODEL)
	$(BIN)/python benchmarks/findings_quality.py --data "$(FILMS)" --backbone "$(BACKBONE)" --log $(MODEL)-log
	$(BIN)/python benchmarks/findings_drift.py --data "$(FILMS)" --log $(MODEL)-log
endif
ifneq ($(OTHERS),)
	$(BIN)/python benchmarks/imaging_gate.py --data "$(FILMS)/labels.csv" --others "$(OTHERS)"
endif
endif

clean:
	rm -rf $(VENV) build dist demo-out .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f src/tetkik/triage/linear/_ngrams*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
		if "$$python" -c '$(USABLE)' >/dev/null 2>&1; then \
			exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo "Tetkik needs Python 3.11 or newer with its venv module, and none was found; install it" \
		"(on Debian and Ubuntu: apt install python3 python3-venv) and run make again, or name one" \
		"with PYTHON=/path/to/python3." >&2; \
	exit 1

$(VENV)/.light: $(BIN)/python $(BUILT_FROM)
	@echo "Installing Tetkik into $(VENV) (the first time takes a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.service: $(BIN)/python $(BUILT_FROM)
	@echo "Installing Tetkik with its reading room into $(VENV) (the first time takes a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[service]'
	@touch $@ $(VENV)/.light

$(VENV)/.dev: $(BIN)/python $(BUILT_FROM)
	@echo "Installing Tetkik with everything for its tests into $(VENV) (the first time takes minutes) ..."
	@# The pip that comes with Python 3.11 takes twice as long as a newer one.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --upgrade 'pip>=25,<27' || true
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_ARGS) -e '.[dev]'
	@touch $@ $(VENV)/.light $(VENV)/.service
