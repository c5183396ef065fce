# Everything runs in .venv, which each target prepares on its own when it is missing or stale.

PYTHON ?= python3
PYTEST_ARGS ?=
SOAK_MINUTES ?= 30
export DEMO_SECONDS ?= 20
export DEMO_SUBJECT ?= hand

FAULTS = $(addprefix test/,ros/test_faults.py ros/test_clocks.py ros/test_process.py test_no_hand.py)
ROS_ENV = .venv/bin/ros-env
SPHINX = .venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet
SOURCES = v2v_pose_ros test tools underlay setup.py docs/conf.py $(wildcard scripts/* launch benchmarks)

.PHONY: help setup demo test faults soak lint format docs reference clean

help:
	@echo 'make demo    watch ROS 2 messages with 3D joints come out of a synthetic depth camera'
	@echo '             (DEMO_SECONDS=20, 0 until interrupted; DEMO_SUBJECT=hand|body|teleop;'
	@echo '             DEMO_VIEWER=1 serves a 3D view, DEMO_VIEWER=FILE.rrd records it)'
	@echo 'make test    run the tests (PYTEST_ARGS="-k voxels")'
	@echo 'make faults  the long form of the tests of what can go wrong around the node'
	@echo 'make soak    the node under full load for SOAK_MINUTES=30: does anything grow or slow down?'
	@echo 'make lint    check style and types;  make format  repairs the style'
	@echo 'make docs    build the documentation in build/docs;  make reference  renews its pages that'
	@echo '             are written from the code'
	@echo 'make setup   only prepare .venv;     make clean   removes it'

setup:
	@$(PYTHON) -E -s -B tools/setup_venv.py

demo: setup
	@$(ROS_ENV) .venv/bin/python -m v2v_pose_ros.ros.demo

test: setup
	$(ROS_ENV) .venv/bin/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

faults: setup
	V2V_POSE_FAULTS=1 $(ROS_ENV) .venv/bin/python -m pytest $(FAULTS) $(PYTEST_ARGS)

soak: setup
	$(ROS_ENV) .venv/bin/python test/soak.py --minutes $(SOAK_MINUTES)

lint: setup
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/mypy
	.venv/bin/python tools/check_package_xml.py package.xml $(wildcard underlay/*/package.xml)

format: setup
	.venv/bin/ruff check --fix-only $(SOURCES)
	.venv/bin/ruff format $(SOURCES)

docs: setup
	$(SPHINX) -b html docs build/docs
	@echo 'Open build/docs/index.html.'

reference: setup
	$(ROS_ENV) .venv/bin/python tools/write_reference.py

clean:
	rm -rf .venv .venv.old-* build install log demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
