# The front door. `make` lists the targets; each does the set-up it needs.
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
PY := .deps/python/bin/python

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## render the bundled sentence with the bundled avatar to out/demo.mp4
	@mkdir -p out
	@build/release/bin/lipcast render avatars/demo/speech.wav --avatar avatars/demo -o out/demo.mp4 --overwrite
	@echo "the video: $(CURDIR)/out/demo.mp4"

.PHONY: build
build: setup-build ## the release binary: build/release/bin/lipcast
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)

.PHONY: test
test: setup-test build ## every test: C++ units, Python reference, the real binary end to end
	@tools/run_tests

.PHONY: serve
serve: build ## the live server with the demo avatar, until Ctrl-C
	@build/release/bin/lipcast serve

.PHONY: studio
studio: setup-studio build ## what `lipcast avatar` needs: PyTorch, ffmpeg and six Python packages in .deps/
	@build/release/bin/lipcast avatar --help

.PHONY: bench
bench: setup-test build ## micro-benchmarks, then 500 frames stage by stage
	@cmake --preset bench >/dev/null
	@cmake --build --preset bench -j $(JOBS)
	@tools/run_benches

.PHONY: lint
lint: setup-lint ## format, layers, ruff, mypy
	@tools/lint

.PHONY: tidy
tidy: setup-lint ## clang-tidy over lipcast/ (about 20 minutes)
	@tools/lint --tidy

.PHONY: fuzz
fuzz: setup-fuzz ## libFuzzer targets, 60 s each
	@tools/fuzz

.PHONY: format
format: setup-lint ## format all C++ and Python
	@git ls-files -co --exclude-standard 'lipcast/*.cc' 'lipcast/*.h' | xargs clang-format -i
	@.deps/python/bin/ruff format -q python tests tools examples

.PHONY: coverage
coverage: setup-lint setup-test ## line coverage of lipcast/ by the C++ and end-to-end tests
	@tools/coverage

.PHONY: clean
clean: ## removes build/ and out/; what tools/setup fetched stays in .deps/
	@rm -rf build out

.PHONY: setup-build setup-studio setup-test setup-lint setup-fuzz
setup-build:
	@tools/setup build
setup-studio:
	@tools/setup build studio
setup-test:
	@tools/setup build studio test
setup-lint:
	@tools/setup build studio test lint
setup-fuzz:
	@tools/setup build fuzz
