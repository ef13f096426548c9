# `make help` lists the targets. Everything lands in .venv/ and runs/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VILP := .venv/bin/vilp

# A sourced ROS 2, or a parent that runs in another .venv, must not lend its libraries to this one.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

EPISODES ?= 5

.PHONY: help setup demo test test-slow lint lock clean

help: ## list the targets
	@echo "make TARGET [VARIABLE=value ...]"
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: .venv/ready ## create .venv (PYTHON=python3.12, TORCH_INDEX_URL=...)

demo: .venv/ready ## watch the arm lift the cube (EPISODES=5 MODEL=ldp_lift TASK=... SEED_START=... VARY=1)
	$(VILP) demo --episodes $(EPISODES)$(if $(MODEL), --model $(MODEL))$(if $(TASK), --task $(TASK))$(if $(SEED_START), --seed-start $(SEED_START))$(if $(VARY), --vary $(VARY))

test: lint ## check style, types, import rules and run the tests
	.venv/bin/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

test-slow: .venv/ready-dev ## run the tests that take minutes each
	.venv/bin/python -m pytest -m slow --timeout 3600 $(PYTEST_ARGS)

lint: .venv/ready-dev ## ruff, mypy, import-linter
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

lock: ## resolve requirements*.lock again from setup.py (UPGRADE=1 for newer versions)
	tools/lock.sh

clean: ## remove .venv, caches and build outputs; runs/ stays
	rm -rf .venv .venv-franka-sim .venv-franky-sim build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ready: requirements.lock setup.py tools/setup.sh
	@tools/setup.sh run && touch $@

.venv/ready-dev: requirements-dev.lock .venv/ready
	@tools/setup.sh dev && touch $@
