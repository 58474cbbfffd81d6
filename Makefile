# `make` lists what there is to make. Works with GNU make 3.81 (macOS) and newer.

.DEFAULT_GOAL := help
.SUFFIXES:

VENV := .venv
BIN := $(VENV)/bin
# The first of these that runs, is 3.11 or newer and can make virtual environments is used.
# TensorFlow has no wheels for a brand-new Python, so known ones come first.
CANDIDATES = $(PYTHON) python3.12 python3.11 python3.13 python3
# What a newcomer waits for is only what the demo needs. The developers' set includes it.
DEV := $(VENV)/.installed-dev
DEMO := $(if $(wildcard $(DEV)),$(DEV),$(VENV)/.installed-demo)
ROOMS := desk forms models producer people worker trainer

.PHONY: help
help:
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z.-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	  | while IFS='|' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: $(DEMO) ## read the sample scans on this machine, servers and workers included
	@$(BIN)/inkmill demo

.PHONY: install
install: $(DEV) ## create the developers' .venv

.PHONY: hooks
hooks: $(DEV) ## run the quick checks before each commit (.pre-commit-config.yaml)
	$(BIN)/pre-commit install

# In several processes, each with its own servers (see tests/conftest.py). PYTEST_ARGS comes last
# and wins: "-n 0" runs everything in one process.
.PHONY: test
test: $(DEV) ## unit, integration and acceptance tests. With options: make test PYTEST_ARGS="-n 0"
	$(BIN)/python -m pytest -n auto --no-loadscope-reorder $(PYTEST_ARGS) \
	  tests/unit tests/integration tests/acceptance

.PHONY: test-faults
test-faults: $(DEV) ## the fault suite: kills, cut connections, floods, poison; an hour or more
	@$(BIN)/python -m pytest tests/faults; status=$$?; \
	  $(BIN)/python -m tests.faults.report; exit $$status

.PHONY: soak
soak: $(DEV) ## random faults for half an hour: make soak MINUTES=30
	$(BIN)/python -m tests.faults.soak $(MINUTES)

.PHONY: bench
bench: $(DEV) ## the benchmark; an hour or more. A part: make bench PARTS="A --seconds 20"
	$(BIN)/python -m bench $(PARTS)

.PHONY: bench-peers
bench-peers: .venv-peers/.installed ## Ray Data and LitServe for part A of the benchmark

.venv-peers/.installed: bench/requirements-peers.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check --editable '.[worker]' \
	  --requirement bench/requirements-peers.txt
	touch $@

.PHONY: test-browser
test-browser: $(DEV) ## test the report, the review page and the desk in headless Chromium
	$(BIN)/python -m pytest tests/browser

.PHONY: bench-forms
bench-forms: $(DEV) ## registration and reading of synthetic forms; INKMILL_DATA holds mnist/
	$(BIN)/python -m bench.forms
	$(BIN)/python -m bench.drafts --pages 3 --out docs/benchmarks/drafts.json
	$(BIN)/python -m bench.found
	$(BIN)/python -m bench.fields --pages 120 --out docs/benchmarks/fields
	$(BIN)/python -m bench.acceptance --digits proof --accepted 20000 --out build/acceptance
	$(BIN)/python -m bench.calibration --out docs/benchmarks/calibration
	$(BIN)/python -m bench.grounds
	$(BIN)/python -m bench.people --pages 150 --out docs/benchmarks/people
	$(BIN)/python -m bench.review --pages 40 --out docs/benchmarks/review
	$(BIN)/python -m bench.tuning --out docs/benchmarks/tuning

.PHONY: docs
docs: $(DEV) ## generate reference pages from docstrings and settings
	$(BIN)/python -m tests.docs

.PHONY: check
check: lint types ## lint, format and types

.PHONY: lint
lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The rooms lie at the top and are imported as inkmill.<room>. The type checker knows nothing
# of setuptools' package-dir, so it gets a folder of links laid out as they are imported. That is
# made anew each time; the cache lies outside it, since a first run takes a minute.
.PHONY: types
types: $(DEV)
	@rm -rf build/types && mkdir -p build/types/inkmill
	@for each in inkmill/* $(ROOMS); do \
	  ln -s "../../../$$each" build/types/inkmill/; \
	done
	@ln -s ../../tests ../../bench build/types/
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
	  --cache-dir ../../.mypy_cache \
	  -p inkmill -p tests -p bench

# --- the environment -------------------------------------------------------------------------

$(BIN)/python:
	@found=; for each in $(CANDIDATES); do \
	  if "$$each" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; then found=$$each; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "no Python 3.11 or newer that can make virtual environments was found." >&2; \
	  echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv)," >&2; \
	  echo "or name one: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv --clear $(VENV)

comma := ,
space := $(subst ,, )

# $(1): what is said; $(2): the set of requirements/ that is installed, with its hashes. `PINNED=no`
# takes what pyproject.toml allows instead, such as for a Python that the set has no wheels for;
# $(3) are its extras, with spaces, since a comma would end the argument.
# Shows each download as it comes, since they take minutes; the whole story is in pip.log.
PIP = PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
define install
	@echo "installing $(1) into $(VENV)"; \
	( if [ "$(PINNED)" = no ]; then \
	    $(PIP) --editable '.[$(subst $(space),$(comma),$(3))]'; \
	  else \
	    $(PIP) --require-hashes --requirement requirements/$(2).txt && \
	    $(PIP) --no-deps --no-build-isolation --editable .; \
	  fi 2>&1; echo "exit $$?" ) \
	  | tee $(VENV)/pip.log \
	  | sed -n -e 's/^ *Downloading \(.*MB)\)/  \1/p' -e 's/^Installing collected.*/  unpacking/p'; \
	if [ "$$(tail -n 1 $(VENV)/pip.log)" != "exit 0" ]; then \
	  grep -v '^exit ' $(VENV)/pip.log | tail -n 5 >&2; \
	  echo "pip could not install it; $(VENV)/pip.log has the whole story. Look for:" >&2; \
	  echo "  - no way to the package index: try again, or set HTTPS_PROXY or PIP_INDEX_URL" >&2; \
	  echo "  - an index that lacks a version, or a Python that it has no wheel for: make distclean," >&2; \
	  echo "    then make PYTHON=python3.12 (this one is $$($(BIN)/python --version)), or add" >&2; \
	  echo "    PINNED=no for other versions than the tested ones, without hashes" >&2; \
	  echo "  - a full disk: 4 GB are enough" >&2; \
	  exit 1; \
	fi; \
	touch $@
endef

$(VENV)/.installed-demo: requirements/demo.txt pyproject.toml | $(BIN)/python
	$(call install,Inkmill and what the demo needs: some minutes the first time,demo,worker local)

$(DEV): requirements/dev.txt pyproject.toml | $(BIN)/python
	$(call install,Inkmill and the developers' tools: some minutes the first time,dev,dev)

# --- dependencies: pinned with hashes, listed, audited -----------------------------------------

# Tools that only these targets need, in an environment of their own.
SUPPLY := .venv-supply
SETS := producer desk worker worker-openvino worker-gpu trainer trainer-gpu demo

$(SUPPLY)/.installed: requirements/supply.in | $(BIN)/python
	$(BIN)/python -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	touch $@

# One resolution for every platform; the sets of the images take the developers' versions, which
# are the tested ones. No index is named, so that a mirror serves as well: its files have the same
# hashes. Versions stay as they are but for `make lock UPGRADE=--upgrade`, or --upgrade-package=NAME.
COMPILE = $(SUPPLY)/bin/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-annotate --no-header
.PHONY: lock
lock: $(SUPPLY)/.installed ## pin what pyproject.toml asks for in requirements/, with hashes
	$(COMPILE) $(UPGRADE) --extra dev -o requirements/dev.txt pyproject.toml requirements/build.in
	@set -e; compile() { name=$$1; shift; echo "requirements/$$name.txt"; \
	  $(COMPILE) $(UPGRADE) -c requirements/dev.txt -o "requirements/$$name.txt" "$$@"; }; \
	compile build requirements/build.in; \
	compile producer --extra xlsx pyproject.toml; \
	compile desk --extra desk --extra xlsx pyproject.toml; \
	compile worker --extra worker pyproject.toml; \
	compile worker-openvino --extra worker --extra openvino pyproject.toml; \
	compile worker-gpu --extra worker --extra gpu pyproject.toml; \
	compile trainer --extra trainer pyproject.toml; \
	compile trainer-gpu --extra trainer --extra gpu pyproject.toml; \
	compile demo --extra worker --extra local pyproject.toml requirements/build.in

.PHONY: sbom
sbom: $(SUPPLY)/.installed ## a CycloneDX bill of materials for each image, in build/sbom
	@mkdir -p build/sbom; set -e; for each in $(SETS); do \
	  $(SUPPLY)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	    --output-file build/sbom/$$each.json requirements/$$each.txt; \
	  echo "wrote build/sbom/$$each.json"; \
	done

# pip-audit also succeeds where no advisory could be fetched: tests/supply.py reads what it found.
.PHONY: audit
audit: $(SUPPLY)/.installed $(DEV) ## look all pinned versions up in the advisory database
	@mkdir -p build; rm -f build/audit.json; \
	$(SUPPLY)/bin/pip-audit --disable-pip --require-hashes --progress-spinner off --timeout 15 \
	  --requirement requirements/dev.txt --requirement requirements/trainer-gpu.txt \
	  --format json --output build/audit.json $(AUDIT_ARGS) 2>build/audit.log; \
	$(BIN)/python -m tests.supply audit

.PHONY: licences
licences: $(DEV) ## write docs/reference/licences.md: what each image contains, and its licences
	$(BIN)/python -m tests.supply licences

# --- containers ------------------------------------------------------------------------------

# Hexadecimal, so that a password can stand in a URL as it is.
.env: ## passwords for docker compose, made once, at random
	@umask 077; secret() { od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'; }; \
	{ echo "S3_ACCESS_KEY=inkmill"; \
	  for each in REDIS_PASSWORD S3_SECRET_KEY \
	    REDIS_PRODUCER_PASSWORD REDIS_WORKER_PASSWORD REDIS_METRICS_PASSWORD REDIS_DESK_PASSWORD \
	    REDIS_TRAINER_PASSWORD \
	    S3_PRODUCER_SECRET_KEY S3_WORKER_SECRET_KEY S3_METRICS_SECRET_KEY S3_DESK_SECRET_KEY \
	    S3_TRAINER_SECRET_KEY MESSAGE_KEY; do echo "$$each=$$(secret)"; done; } > $@
	@{ echo "USER_ID=$$(id -u)"; echo "GROUP_ID=$$(id -g)"; } >> $@
	@echo "wrote .env: keep it, and keep it out of git"

# Else Docker would make these folders, as root, and the producer could not write its tables.
.env: | scans results
scans results:
	mkdir -p $@

# By tag, an image may change under the same name; by digest it cannot. Digests are known to the
# registry only, so this is for a machine with Docker that reaches it.
.PHONY: pin-images
pin-images: .env ## pin the images of Redis and SeaweedFS by their digests, in .env
	@set -e; umask 077; pin() { name=$$1; image=$$2; \
	  digest=$$(docker buildx imagetools inspect "$$image" --format '{{.Manifest.Digest}}'); \
	  case $$digest in sha256:*) ;; *) echo "no digest of $$image" >&2; exit 1;; esac; \
	  grep -v "^$$name=" .env > .env.new; echo "$$name=$$image@$$digest" >> .env.new; \
	  cat .env.new > .env; rm .env.new; echo "$$name=$$image@$$digest"; }; \
	pin REDIS_IMAGE $(call image,REDIS_IMAGE); pin S3_IMAGE $(call image,S3_IMAGE)
image = $$(sed -n 's/.*$${$(1):-\(.*\)}/\1/p' docker-compose.yml | head -n 1)

# --- releases --------------------------------------------------------------------------------

# From HEAD, not from the working tree; the wheel is built from the sdist, so that the sdist is
# known to hold all that a build needs. The wheel is tried in an environment of its own.
RELEASE := build/release

.PHONY: release
release: $(DEV) ## build sdist and wheel from a clean copy of HEAD into dist/ and check them
	@if [ -n "$$(git status --porcelain)" ]; then \
	  echo "note: uncommitted changes are not part of the release"; fi
	rm -rf $(RELEASE) dist && mkdir -p $(RELEASE)/source
	git archive HEAD | tar -x -C $(RELEASE)/source
	$(BIN)/python -m build --outdir dist $(RELEASE)/source
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m venv $(RELEASE)/venv
	$(RELEASE)/venv/bin/python -m pip install --disable-pip-version-check --quiet dist/*.whl
	cd $(RELEASE) && venv/bin/inkmill --version && venv/bin/python -c \
	  "import inkmill.cli.main; print(inkmill.submit, inkmill.__file__)"
	@echo "checked, and not uploaded:" && ls dist

# --- tidying ---------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove build outputs; keeps .venv and the local stack's data
	rm -rf build dist inkmill.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove .venv and the local stack's data (.inkmill) too
	rm -rf $(VENV) $(SUPPLY) .inkmill
