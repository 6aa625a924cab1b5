# `make` prints this list; the text after ## is what it shows.
.DEFAULT_GOAL := help

# Runs a command with a throw-away PostgreSQL where initdb is installed; in CI
# a missing one is a failure.
WITHPG := go run ./internal/sqldb/dbtest/withpg
TOOL := go tool -modfile=tools/go.mod

FUZZTIME ?= 5s
ROUNDS ?= 200
SEEDS ?= 10000
SEED ?= 0
ARGS ?=

# The databases of tests are in memory where there is room for them: flushing a
# disk is what they would do most of the time, and a test that kills a process, or
# cuts the power of a disk of its own, notices no difference. Benchmarks flush.
MEMORY := $(shell [ "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 6000000 ] 2>/dev/null && echo /dev/shm)
test race e2e crash faults mutants sim fuzz fuzz-contract: export TMPDIR := $(or $(MEMORY),$(TMPDIR))

.PHONY: help
help:
	@echo "Targets:"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## run both services on ./data (more flags: make run ARGS="--api-addr :7150")
	go run ./cmd/rephlo serve $(ARGS)

.PHONY: build
build: ## build bin/rephlo
	CGO_ENABLED=0 go build -trimpath -o bin/rephlo ./cmd/rephlo

.PHONY: test
test: ## all tests, on SQLite and PostgreSQL
	$(WITHPG) go test ./...

# SQLite itself is C that was translated to Go and keeps its memory outside Go's:
# watched by the race detector it runs several times slower, and nothing of ours
# is in it. The linter has vetted the tests, and nobody opens them in a debugger.
RACE := -race -vet=off -ldflags=-w -gcflags='modernc.org/sqlite/lib=-race=false'

.PHONY: race
race: ## all tests with the race detector
	$(WITHPG) go test $(RACE) -timeout 40m ./...

.PHONY: lint
lint: ## the linter, formatting, go.mod and the dependency rules
	go vet ./...
	go mod tidy -diff
	go test ./internal/archtest
	$(TOOL) golangci-lint run ./...
	@$(MAKE) --no-print-directory contract

# The comparison is a tool of its own: what it needs would change the linter.
OASDIFF := go tool -modfile=tools/contract.mod oasdiff

.PHONY: contract
contract: ## the OpenAPI documents are valid and break nobody since the last release, but as api/breaking.txt says
	@set -e; for name in resource identity; do \
		$(OASDIFF) validate api/$$name.json; \
		$(OASDIFF) breaking api/released/$$name.json api/$$name.json --fail-on ERR --format singleline --err-ignore api/breaking.txt; \
	done

.PHONY: contract-release
contract-release: ## take the OpenAPI documents as released
	cp api/resource.json api/identity.json api/released/
	grep '^#' api/breaking.txt >api/breaking.tmp; mv api/breaking.tmp api/breaking.txt

.PHONY: fmt
fmt: ## format the source
	$(TOOL) golangci-lint fmt ./...

.PHONY: fuzz-contract
fuzz-contract: ## 10,000 requests to every operation, also broken ones: no failure of ours, no answer that is not as described
	REPHLO_REQUESTS=$(or $(REQUESTS),10000) REPHLO_SEED=$(filter-out 0,$(SEED)) go test -count 1 -timeout 30m -v -run TestAnswersAreAsDescribed ./internal/app

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (5s)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; kept=$$(go env GOCACHE)/fuzz/$$(go list -m); \
	grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -n 1 dirname | sort -u | while read -r pkg; do \
		go test -vet off -ldflags=-w -c -fuzz Fuzz -o "$$dir/fuzz.test" "./$$pkg"; \
		grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$$pkg"/*_test.go | cut -c6- | while read -r name; do \
			echo "fuzz $$pkg $$name"; \
			(cd "$$pkg" && "$$dir/fuzz.test" -test.run '^$$' -test.fuzz "^$$name\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzminimizetime 1x -test.fuzzcachedir "$$kept/$$pkg"); \
		done; \
	done

.PHONY: e2e
e2e: e2e/npm/node_modules ## the built program from outside: over HTTP, in a browser, with foreign clients, killed
	REPHLO_E2E=1 REPHLO_E2E_ROUNDS=$(REPHLO_E2E_ROUNDS) $(WITHPG) go test -count 1 -timeout 30m ./e2e/...

.PHONY: crash
crash: ## the kill test for ROUNDS (200) on each database, and the faults of several servers
	REPHLO_E2E=1 REPHLO_E2E_ROUNDS=$(ROUNDS) $(WITHPG) go test -count 1 -timeout 24h -run 'Kill|Servers|Database' -v ./e2e/...

.PHONY: mutants
mutants: ## break each guard of the ledger in turn: its test must notice
	go run ./internal/credit/mutants $(ARGS)

.PHONY: faults
faults: ## what the race detector makes too slow: every call of the database goes wrong in every way, 100,000 operations against a model, 1,300 changes that verify must find, 100 power failures, 100,000 cancelled calls, 1,000 seeds of the simulator, the mutants
	REPHLO_FAULTS=all REPHLO_ROUNDS=100 $(WITHPG) go test -count 1 -timeout 30m -run 'KthCall|Model|RandomChanges|OrderInWhich|Histories|SeveralProcessesSpend|PowerFailure|CancelledCalls' ./internal/credit
	go test -count 1 -timeout 20m ./internal/sim -sim.seeds 1000
	go run ./internal/credit/mutants

.PHONY: power
power: ## ROUNDS (200) power failures under a ledger on SQLite
	REPHLO_ROUNDS=$(ROUNDS) go test -count 1 -timeout 24h -run 'PowerFailure' -v ./internal/credit

.PHONY: sim
sim: ## three nodes of the ledger under faults, for SEEDS (10000); one again with SEED=n
	go test -count 1 -timeout 24h -v ./internal/sim -run TestTheBooksAreRightAfterAnyFaults -sim.seeds $(SEEDS) -sim.seed $(SEED)

e2e/npm/node_modules: e2e/npm/package-lock.json
	cd e2e/npm && npm ci --no-audit --no-fund && touch node_modules

.PHONY: bench-gateway
bench-gateway: ## CPU and latency of a call beside a bare reverse proxy
	$(WITHPG) go run ./bench/gateway $(ARGS)

.PHONY: bench-ledger
bench-ledger: ## calls per second, admission and waiting, against one transaction per operation
	$(WITHPG) go run ./bench/ledger $(ARGS)

.PHONY: bench-lists
bench-lists: ## every list and page of administration over 100,000 people and a million calls
	$(WITHPG) go run ./bench/lists $(ARGS)

.PHONY: bench-verify
bench-verify: ## reading a ledger of 1 and 10 million transfers: verify, balance, start
	$(WITHPG) go run ./bench/verify $(ARGS)

.PHONY: generate
generate: ## rewrite generated pages and golden files; the tree must be clean afterwards
	@set -e; grep -rl 'flag.Bool("update"' --include='*_test.go' internal | xargs -n 1 dirname | sort -u | while read -r dir; do \
		go test "./$$dir" -update; \
	done

.PHONY: check
check: lint race fuzz fuzz-contract e2e ## what CI runs
