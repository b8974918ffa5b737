# Everything runs from the checkout; `make help` lists what there is. Settings are environment variables or
# arguments: `make up HTTP_PORT=9090 DATA_DIR=/srv/video`.

.DEFAULT_GOAL := help
.PHONY: help up demo test lint bench chaos docs dashboards sbom audit lock clean

RUN := .venv/bin/python
# Most of a test is waiting; what is busy shares the cores.
WORKERS := 3
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

up: ## Run the whole system in the foreground, at http://localhost:8080; installs what is missing
	@sh deploy/embedded/bootstrap.sh run
	@exec $(RUN) -m deploy.embedded

demo: ## In another terminal: convert a generated clip and watch it (with `make up` running)
	@sh deploy/embedded/bootstrap.sh run
	@exec $(RUN) -m services.client.demo $(ARGS)

test: ## Run every test, on free ports; ARGS="-k name" for some of them, WORKERS=0 for one after the other
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)
	npm --prefix static test --silent

lint: ## Check style, types and the borders between packages
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	npm --prefix static run check --silent

bench: ## Measure; ONLY=name for one benchmark
	@sh deploy/embedded/bootstrap.sh bench
	$(RUN) -m bench $(if $(ONLY),--only $(ONLY))

chaos: ## Convert 300 clips while everything is killed, cut and filled; JOBS=n SEED=n
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) -m tests.faults.chaos $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED))

docs: ## Write the pages that are made from the code
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) docs/generate.py

dashboards: ## Write grafana/ from its source
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) -m deploy.observability

sbom: ## Write the bills of materials and docs/licences.md
	@sh deploy/embedded/bootstrap.sh dev
	$(RUN) -m deploy.supply

audit: ## Ask the indexes which of the pinned packages have known faults
	@sh deploy/embedded/bootstrap.sh dev
	@.venv/bin/python -m pip install --quiet uv
	.venv/bin/uvx --quiet pip-audit --disable-pip --require-hashes -r requirements.lock
	npm --prefix static audit --omit=dev

lock: ## Pin what pyproject.toml asks for, with hashes and no index
	@.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip compile pyproject.toml --extra embedded --extra otel $(LOCK) -o requirements.lock
	.venv/bin/uv pip compile pyproject.toml --extra embedded --extra otel --group dev $(LOCK) -o requirements-dev.lock
	.venv/bin/uv pip compile pyproject.toml --extra embedded --extra otel --group dev --group bench $(LOCK) \
		-o requirements-bench.lock
	@echo "Now: make sbom"

clean: ## Remove what was installed and built in the checkout; the data in .data stay
	rm -rf .venv static/node_modules static/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
