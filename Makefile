# make test needs Go 1.26, a C compiler (for the race detector) and, where something is missing, apt.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# The version comes from the linker; looking for it in a checkout that another user owns would only fail.
export GOFLAGS := -buildvcs=false $(GOFLAGS)
# Debian keeps haproxy and nginx where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin

TOOL = go tool -modfile=tools/go.mod

.PHONY: build release test lint bench chaos dashboards setup fuzz

# A static binary of the product.
build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o bin/syncgate ./cmd/syncgate

# All that a version is shipped as, in dist, which has to be new or empty: make release VERSION=v0.1.0. docs/releasing.md says what to do
# before and after.
release:
	cd release && go run . -version "$(VERSION)" -source .. -out ../dist

# Everything that is promised, against real servers. The packages start processes and measure time: two at once is enough.
# Allocations are counted apart, as the race detector makes some of its own.
test: setup
	go vet ./...
	cd clients/go && go vet -tags=gateway,nodes ./...
	cd release && go vet ./... && go test -count=1 $(TESTFLAGS) ./...
	go test -run 'Allocations$$' -count=1 ./correlator/... ./dialect/... ./gateway ./internal/eventloop ./internal/splice ./internal/upstream ./signer
	go test -race -shuffle=on -count=1 -timeout=25m -p=2 $(TESTFLAGS) ./...
	cd deploy/test && go test -vet=off -shuffle=on -count=1 -timeout=15m $(TESTFLAGS) ./...

# Style, formatting, that the program and its tests compile for systems other than Linux, and known vulnerabilities.
lint:
	$(TOOL) golangci-lint run ./...
	cd clients/go && go tool -modfile=../../tools/go.mod golangci-lint run --build-tags=gateway,nodes ./...
	cd release && go tool -modfile=../tools/go.mod golangci-lint run ./...
	cd deploy/test && go tool -modfile=../../tools/go.mod golangci-lint run ./...
	@unformatted=$$($(TOOL) gofumpt -l .) && test -z "$$unformatted" || { echo "not formatted by gofumpt: $$unformatted"; exit 1; }
	@for os in windows darwin; do echo "go vet for $$os"; GOOS=$$os CGO_ENABLED=0 go vet ./cmd/syncgate || exit 1; done
	.ci/vulncheck

# What a trip and a parked client cost, beside the least that they could and programs as people write them; ten minutes. Writes
# docs/benchmarks and a part of docs/scaling.md.
bench:
	go run ./bench

# Faults of everything around the gateway, one at a time, under load; writes docs/reliability.md.
chaos: setup
	go run ./bench/chaos

# What the dashboards of deploy/grafana show of a story of three minutes; draws docs/images/dashboard-*.png.
dashboards: setup
	DASHBOARD_IMAGES=docs/images go test -count=1 -timeout=10m -v -run TestDashboardsShowWhatHappens ./bench/dashboards

# The servers that the tests run for real.
setup:
	.ci/setup

# Every fuzz target in turn, e.g. make fuzz FUZZTIME=5m.
FUZZTIME ?= 30s
fuzz:
	.ci/fuzz $(FUZZTIME)
