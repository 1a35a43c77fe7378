# Every target sets up what it needs by itself.
.PHONY: run test test-clients chaos check bench bench-features bench-fingerprint lock clean

ROUNDS ?= 100
ALONE = tests/e2e/test_chaos.py tests/e2e/test_many_players.py tests/e2e/test_offline_killed.py
SLOW = tests/e2e/test_backup.py tests/e2e/test_plant.py tests/e2e/test_recovery.py \
    tests/e2e/test_matching.py tests/e2e/test_ern.py tests/e2e/test_transcode.py \
    tests/e2e/test_players.py tests/e2e/test_signed_urls.py tests/e2e/test_tus.py \
    tests/e2e/test_away.py tests/e2e/test_export.py tests/e2e/test_webhooks.py \
    tests/e2e/test_cenc.py tests/e2e/test_full_disk.py tests/e2e/test_features.py \
    tests/e2e/test_similar.py tests/e2e/test_problems.py tests/e2e/test_seen.py \
    tests/e2e/test_slow_origin.py \
    tests/audio/test_features.py tests/audio/test_damage.py tests/audio/test_awkward_lengths.py \
    tests/audio/test_determinism.py
PYTEST = .venv/bin/python -m pytest
AT_ONCE = -n auto --dist loadfile --no-loadscope-reorder

# Whoever opens the page listens on the best plan.
run: export LATHE_GUESTS ?= premium
run:
	@tools/setup run
	@exec .venv/bin/lathe serve --deliver fixtures/audio

test:
	@tools/setup dev
	@$(PYTEST) --ignore=tests/clients $(ALONE:%=--ignore=%) $(SLOW:%=--ignore=%) $(AT_ONCE)

# Independent judges of manifests and of the API, and real players: a browser, VLC, GStreamer and others.
test-clients:
	@tools/setup clients
	@$(PYTEST) tests/clients

# Parts of a plant killed at random, ROUNDS times; before that, what takes long: whole plants that
# are killed, stopped, cancelled, filled, cut off, and restored from a backup; players, messages and
# slow lines; what is heard of much music, and known again; masters of every length and with every
# damage; every problem that is answered; what operators see; what tells of chaos; hundreds of
# players at two origins, of which one is killed; and downloads of a plant that is.
chaos:
	@tools/setup dev
	@$(PYTEST) $(SLOW) $(AT_ONCE)
	@$(PYTEST) $(ALONE)
	@.venv/bin/python -m tests.chaos --rounds $(ROUNDS)

check:
	@tools/setup dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench:
	@tools/setup dev
	@.venv/bin/python -m benchmarks.press
	@.venv/bin/python -m benchmarks.plant
	@.venv/bin/python -m benchmarks.origin --seconds 3
	@.venv/bin/python -m benchmarks.manifests --seconds 3 --requests 50000
	@.venv/bin/python -m benchmarks.players --seconds 15
	@.venv/bin/python -m benchmarks.offline --seconds 3
	@.venv/bin/python -m benchmarks.features --pieces 24
	@.venv/bin/python -m benchmarks.fingerprint --pieces 24 --queried 3
	@.venv/bin/python -m benchmarks.fingerprint.scale --tracks 20000
	@.venv/bin/python -m benchmarks.similar

# Tempo, key and scores of composed music, beside the truth.
bench-features:
	@tools/setup dev
	@.venv/bin/python -m benchmarks.features

# What is known again of damaged recordings, class by class, and what is rightly not.
bench-fingerprint:
	@tools/setup dev
	@.venv/bin/python -m benchmarks.fingerprint

# Needs uv; run it after changing the dependencies in pyproject.toml.
lock:
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 --extra dev pyproject.toml -o requirements/dev.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 --extra install -c requirements/dev.lock pyproject.toml \
	    -o requirements/run.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 --extra dev --extra clients -c requirements/dev.lock \
	    pyproject.toml -o requirements/clients.lock
	echo swift | uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 - -o requirements/swift.lock
	echo cpix | uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
	    --no-deps --python-version 3.11 - -o requirements/cpix.lock

clean:
	rm -rf .venv var build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
