# mcpkeys: everything a contributor runs, a line or two each. Two of them need
# nothing but Go, gcc and make, and no knowledge of the project: `make demo` and
# `make test`.

# One set of build flags for every go command below: SQLite is compiled once, and
# each further set would take it half a minute more. The tag leaves out SQLite's
# way to load foreign code; nothing here uses it. Without the paths of the machine,
# a copy of the tree in another directory compiles nothing again. Flags that you set stay.
BUILD_FLAGS := -tags=sqlite_omit_load_extension -trimpath
export GOFLAGS := $(strip $(filter-out $(BUILD_FLAGS),$(shell go env GOFLAGS 2>/dev/null)) $(BUILD_FLAGS))

GOLANGCI    := go tool -modfile=lint.mod golangci-lint
FUZZTIME    ?= 20s

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: demo demo-up
demo: _toolchain ## the whole story in one go: issue a key, call a tool, revoke, be refused
	@go run ./cmd/keyctl demo --once
	@printf '\nThe demo server stays up, with commands to try by hand, under: make demo-up\n'
demo-up: _toolchain ## the demo server, until Ctrl-C (go run ./cmd/keyctl demo)
	@go run ./cmd/keyctl demo

.PHONY: test slow race build
none  :=
space := $(none) $(none)
any   = $(subst $(space),|,$(strip $(1)))
# Not in make test, which is for each commit: the packages whose tests run for minutes (the
# pages of docs/, the exhaustive model), and tests that take more than some seconds.
SLOW_PACKAGES := internal/dev/(fleet|readmetest)|verifier/internal/model(/leases)?
SLOW = $(LONG)|$(call any, \
  TestClosedPipeEndsAListQuietly TestEachBreakFails TestImportBesideRevokes TestListsArePrintedWhileTheyAreRead \
  TestLoopback TestScriptsThroughServer TestStrictRunRefusesSkips)
test: _toolchain ## the tests for each commit, none of them skipped
	.ci/strict-test -skip '^($(SLOW))$$' $$(go list ./... | grep -vE '/($(SLOW_PACKAGES))$$')
slow: _toolchain ## the tests that make test leaves out
	.ci/strict-test -run '^($(SLOW))$$' $$(grep -rlE --include='*_test.go' '^func ($(SLOW))\(' . | xargs -n1 dirname | sort -u)
	.ci/strict-test $$(go list ./... | grep -E '/($(SLOW_PACKAGES))$$')
# Not here: packages whose tests start programs and wait for them, which share no
# memory, and the model, which is one thread; and tests that take long without showing
# the detector more than others do. All of them run in make test or make slow. With -short
# the processes of the others revoke fewer keys.
ALONE := cmd/keyctl|examples|verifier/internal/model|internal/app/demo|internal/dev/(archtest|bench|fleet|mutants|readmetest|scale)
LONG := $(call any, \
  TestA19KilledAtRandom TestA19KilledWhileMigrating TestA19KilledWhileRestoring TestA22MemoryIsBounded \
  TestA27EditedAuditIsNamed TestA27EditedRowsAreTampered TestA27EveryColumnOfAnAuditRowIsCovered \
  TestA27KeyNumbersOutOfRange TestA27NumbersOutOfRangeAreRefused TestA27SpoiltUsageStopsNothing \
  TestA27UnreadableColumns TestA6QueueFlood TestA6SharedHandle TestA6WrongClient TestAppendVerification \
  TestBroughtUpAndMountedAgain TestC1LargeBatchesAreNotParsed TestCarriageReturnAtEveryPlace TestClientIP \
  TestCloseUnmapsTheEpoch TestCopyThatWentFurtherIsCopiedBack TestEpochFileForeign TestEveryRoomFitsEverySize \
  TestEveryScreenIsOnTheAlternateScreen TestExtremeKeysFitEverySize TestFilesOfAnotherStore \
  TestFloodTakesNoMemory TestGolden TestGuardSaysWhatHelpsWhereFilesWereCopiedBack \
  TestImportAfterARestoreOfItself TestImportKilled TestImportRevivesNoTokenOfAnotherHash TestImportThatLostKeys \
  TestInventedNamesAreCountedTogether TestKeyOfAnImportAfterARestoreFromItsMiddle TestLongAnswers \
  TestLongFraming TestMissingObjectsAreNoticed TestMutatedMessages TestNameOfAKilledImport \
  TestNearShapesOfAToken TestNumbersThatRunOut TestOddPaths TestOlderEpochFileIsCopiedBack TestOpenRefuses \
  TestProvenBy TestReadOnlyPlacesAreRefused TestResealGoesThroughAll TestRestoreMendsNumbers \
  TestRestoreOverADatabaseThatLacksChanges TestRestoreRefuses TestRevokedWhereFilesWereReplaced \
  TestSecretInAWrongPlaceIsNowhere TestSecretInTheWrongFieldIsMasked TestTakesAwayAgreesWithAdmit \
  TestTermsAreAdmit TestTornPosition TestUnfinishedImportIsNotMadeValidBySQL TestWhatIsNoFile TestYearOfUse)
race: _toolchain ## what runs at the same time as other things, with the race detector
	.ci/strict-test -race -short -shuffle=on -skip '^($(LONG))$$' $$(go list ./... | grep -vE '/($(ALONE))(/|$$)')
build: _toolchain ## bin/keyctl and whatever else cmd/ holds
	@mkdir -p bin
	go build -o bin/ ./cmd/...

.PHONY: check vet fmt fmt-check tidy-check
check: fmt-check tidy-check vet test slow race ## what a change must pass: format, go.mod, vet, every test, the race detector
vet: _toolchain ## go vet; make lint looks for more
	go vet ./...
fmt: ## gofmt, in place
	gofmt -l -w .
fmt-check:
	@files=$$(gofmt -l .) && test -z "$$files" || { echo "not formatted, run make fmt:"; echo "$$files"; exit 1; }
tidy-check: _toolchain
	go mod tidy -diff
	go mod verify

.PHONY: lint e2e e2e-all
lint: _toolchain ## golangci-lint, as .golangci.yml says; ARGS=--fix repairs what it can
	$(GOLANGCI) run $(ARGS) ./...
e2e: _toolchain ## clients from npm (MCP Inspector, TypeScript SDKs) against our programs; needs Node and npm
	e2e/run
e2e-all: _toolchain ## keyctl guard with every client and both protocol eras; writes docs/clients-tested.md
	e2e/run-all

.PHONY: mutants mutants-sample
mutants: _toolchain ## breaks of security rules, each in a copy of the tree: every one must turn a test red
	@go run ./internal/dev/mutants/cmd $(ARGS)
mutants-sample: _toolchain ## five of them, other ones with each commit
	@go run ./internal/dev/mutants/cmd -sample 5 $(ARGS)

.PHONY: fuzz soak clean
fuzz: _toolchain ## every fuzz target for FUZZTIME (20s) each
	@go list ./... | while read -r p; do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
	  go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done || exit 1; done
soak: _toolchain ## revocations, imports, restores and migrations in processes that write together or are killed, and on three hosts (root), for some minutes
	MCPKEYS_SOAK=1 go test -count=1 -timeout 30m -run 'TestA1|UnderLoad|TestImport|TestCrowd|UnderUse|OnEveryHost' -v ./verifier ./store/sqlite ./internal/dev/fleet
clean: ## remove what make build made
	rm -rf bin coverage.out

BENCH := go run ./internal/dev/bench/cmd
.PHONY: bench bench-http bench-answers bench-guard bench-nginx bench-remote bench-peers bench-check bench-all
bench: _toolchain ## what a check of a key costs, beside the least that it could; memory a key; wake-ups of an idle guard
	@$(BENCH) $(ARGS) table
bench-http: _toolchain ## a guarded and an unguarded server under load, in turn
	@$(BENCH) $(ARGS) http
bench-answers: _toolchain ## verification over HTTP, introspection and the answers for proxies, beside bare routes, in turn
	@$(BENCH) $(ARGS) answers
bench-guard: _toolchain ## keyctl guard beside a plain reverse proxy, in front of the same MCP server, in turn
	@$(BENCH) $(ARGS) guard
bench-nginx: _toolchain ## nginx with auth_request and without, in turn; needs nginx
	@$(BENCH) $(ARGS) nginx
bench-remote: _toolchain ## a server with 100 and 1,000 verifiers: memory, work, and how soon a revocation is in effect
	@$(BENCH) $(ARGS) remote
bench-peers: _toolchain ## better-auth's API keys beside ours, in process; needs Node and npm
	@internal/dev/bench/peers/run
bench-check: _toolchain ## fails when a promise about speed is broken by far
	@$(BENCH) check
bench-all: bench bench-http bench-answers bench-guard bench-nginx bench-remote bench-peers ## the figures of docs/performance.md, on an otherwise idle machine

.PHONY: _toolchain
_toolchain:
	@.ci/toolchain
