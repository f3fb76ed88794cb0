# What one does here. Go is all that is needed; the race detector wants a C
# compiler, too. `.ci/run` does all of it from a clean clone.

# The version that .ci/run pins.
golangci_lint := $(shell sed -n 's/^golangci_lint=//p' .ci/run)

.PHONY: test demo bench bench-images bench-live bench-kubernetes bench-judge bench-judge-long judge-pictures lint race build

test: ## All tests. Those of the sandbox are skipped where the system has no namespaces.
	go test -timeout 14m ./...

demo: ## A release, a canary, a revert and a rollback under traffic, in a minute.
	@go run ./demo

bench: ## The figures that the README names. SHORT=1 is quick; MARKDOWN=FILE keeps the table.
	@go run ./bench $(if $(SHORT),-short) $(if $(MARKDOWN),-markdown $(MARKDOWN))

bench-images: ## Images beside crane, docker, buildah and regctl. SHORT=1 is quick; MARKDOWN=FILE keeps the table.
	@go run ./bench/images $(if $(SHORT),-short) $(if $(MARKDOWN),-markdown $(MARKDOWN))

bench-live: ## Bad versions under load, in the sandbox. SHORT=1 is two minutes; MARKDOWN=FILE keeps the tables.
	@go run ./bench/live $(if $(SHORT),-short) $(if $(ONLY),-only "$(ONLY)") $(if $(MARKDOWN),-markdown $(MARKDOWN))

bench-kubernetes: ## What happens in a cluster, beside kubectl, in that of KUBECONFIG. SHORT=1 is quick; MARKDOWN=FILE keeps the tables.
	@go run ./bench/kubernetes $(if $(SHORT),-short) $(if $(ONLY),-only "$(ONLY)") $(if $(MARKDOWN),-markdown $(MARKDOWN))

bench-judge: ## Whether the judge reaches its goals, and how others' rules do. SHORT=1 is a minute of a processor.
	@go run ./rollout/analysis/simulate $(if $(SHORT),-short) $(if $(MARKDOWN),-markdown $(MARKDOWN))

bench-judge-long: ## The same with the long proof and the whole grid, kept in docs/. GRID=100 takes hours.
	@go run ./rollout/analysis/simulate -long $(if $(GRID),-grid $(GRID)) $(if $(RUNS),-runs $(RUNS)) -markdown docs/judge-results.md

judge-pictures: ## The pictures of docs/judge.md.
	@go run ./rollout/analysis/simulate -pictures docs/assets

lint:
	@wrong=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$wrong" ]; then echo "not formatted:" $$wrong; exit 1; fi
	go vet ./...
	go run $(golangci_lint) run ./...

race:
	go test -race -timeout 24m ./...

build: ## The binary as it is released, in bin/slipway.
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/slipway ./cmd/slipway
