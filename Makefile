# The front door. Everything here runs without a terminal, and cleans up behind itself.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
CORACLE = $(CARGO_TARGET_DIR)/release/coracle

# Debian packages that building and testing need; each is installed only when its program is missing.
TOOLS = cc:build-essential pkg-config:pkg-config cmake:cmake

OUT = out

.PHONY: help run build test install-tools clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: install-tools build ## serve the Kubernetes API on 127.0.0.1:6443; data and kubeconfig below out/
	@mkdir -p $(OUT)
	$(CORACLE) server --data-dir $(OUT)/data --kubeconfig $(OUT)/kubeconfig

build: ## the binary, optimised
	$(CARGO) build --release --locked -p coracle

test: install-tools ## every test; as root also those that need the kernel
	$(CARGO) test --workspace --locked

install-tools: ## what building and testing need, from Debian's archive, when it is missing
	@missing=; for tool in $(TOOLS); do command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi

clean: ## what was built
	$(CARGO) clean
