# make demo    sets up, then draws, trains, scores and shows a captioner on an embedded data set
# make test    sets up, then runs lint, types and the whole test suite
# make bazel   builds everything with Bazel, runs the small tests and one command
# make bench   runs the benchmarks and prints their tables; BENCH_FLAGS=--rounds=1 for a quick look (forebears.py, which
#              needs runs, is left out)
SHELL := /bin/bash
PYTHON := .venv/bin/python
DEMO := demo_output

.PHONY: demo test bazel bench

.venv/.ready: requirements.txt .ci/environment
	.ci/environment

demo: .venv/.ready
	rm -rf $(DEMO)
	$(PYTHON) -m data_prep.draw_scenes --output_dir=$(DEMO)/scenes --num_scenes=8000
	$(PYTHON) -m data_prep.build_shards table --table_file=$(DEMO)/scenes/captions.jsonl --output_dir=$(DEMO)/shards \
		--path_column=path --caption_columns=captions --split_column=split
	$(PYTHON) -m im2txt.train --config=scenes --workdir=$(DEMO)/run --config.input.data_dir=$(DEMO)/shards
	$(PYTHON) -m im2txt.evaluate --workdir=$(DEMO)/run --split=test
	$(PYTHON) -m data_prep.check_scenes --scenes=$(DEMO)/scenes/captions.jsonl --data_dir=$(DEMO)/shards \
		--captions=$(DEMO)/run/evaluation/test/captions.json
	$(PYTHON) -m im2txt.report --workdir=$(DEMO)/run --split=test
	$(PYTHON) -m im2txt.report --workdir=$(DEMO)/run

test: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTHON) -m pytest -n 2 tests

bazel: .venv/.ready
	.ci/bazel

bench: .venv/.ready
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-java-metrics.txt
	set -e; for benchmark in $(filter-out benchmarks/forebears.py, $(wildcard benchmarks/*.py)); do \
		$(PYTHON) -m benchmarks.$$(basename $$benchmark .py) $(BENCH_FLAGS); \
	done
