# The front door. Everything here runs without a terminal, and cleans up behind itself.

CARGO ?= cargo
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
OUT = out
ARCH := $(shell uname -m)

# The product is one static program that stands at a fixed address: a supervising process then shares all but some pages with the others.
PLATFORM = $(ARCH)-unknown-linux-gnu
# Functions that came out the same are kept once: generic code has many.
STATIC = RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static -C link-arg=-Wl,--icf=all"
# All tests and, since tests run them, the programs: libraries are then built once, with one set of features.
TEST_BUILD = $(CARGO) test --workspace --locked --no-run
RELEASE = $(CARGO_TARGET_DIR)/$(PLATFORM)/release
CORACLE = $(OUT)/bin/coracle
DEMO_DATA ?= /var/lib/coracle-demo

# Programs that building and testing need, and the Debian packages that bring them; each is installed only when its program is missing.
BUILD_TOOLS = cc:build-essential pkg-config:pkg-config cmake:cmake
IMAGE_TOOLS = buildah:buildah mmdebstrap:mmdebstrap
TEST_TOOLS = ip:iproute2 nft:nftables unshare:util-linux script:bsdutils busybox:busybox-static redis-server:redis-server \
	chromium:chromium chromedriver:chromium-driver openssl:openssl

.PHONY: help demo demo-down up build images test conformance quick bench releases-upstream fuzz clean tools-build tools-images tools-test kubectl

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: build images ## three nodes, a Redis Cluster over them, and a web app that keeps its sessions there
	@deploy/demo/demo up $(CORACLE) $(DEMO_DATA) $(OUT)

demo-down: ## leave the machine as it was before the demo
	@deploy/demo/demo down $(CORACLE) $(DEMO_DATA) $(OUT)

build: tools-build ## the program, optimised and static: out/bin/coracle
	$(STATIC) $(CARGO) build --release --locked --target $(PLATFORM) -p coracle -p session
	@mkdir -p $(OUT)/bin && cp -u $(RELEASE)/coracle $(RELEASE)/session $(OUT)/bin/

images: build tools-images ## the images of Redis and of the session app, from Debian's packages
	images/build $(OUT)

test: tools-build tools-images tools-test kubectl ## every test; as root also those that need the kernel
	$(TEST_BUILD)
	images/build $(OUT) $(CARGO_TARGET_DIR)/debug/session
	PATH="$(CURDIR)/$(OUT)/bin:$$PATH" $(CARGO) test --workspace --locked

conformance: build tools-images ## upstream's conformance suite; FOCUS=pattern for some of it, RESUME=1 to go on
	$(MAKE) -C conformance run CORACLE=$(CURDIR)/$(CORACLE)

quick: tools-images ## a part of it, against the program that was built for tests
	$(TEST_BUILD)
	$(MAKE) -C conformance quick CORACLE=$(CARGO_TARGET_DIR)/debug/coracle

bench: build images tools-test kubectl ## measure, beside upstream's API server in the same run; ONLY=row for one row
	$(MAKE) -C conformance upstream
	$(STATIC) $(CARGO) build --release --locked --target $(PLATFORM) -p bench
	PATH="$(CURDIR)/$(OUT)/bin:$$PATH" CORACLE_BIN=$(CURDIR)/$(CORACLE) $(RELEASE)/bench --upstream $(OUT)/conformance/bin $(if $(ONLY),--only $(ONLY))

releases-upstream: ## releases that Helm and Coracle hand to each other, against upstream's API server and etcd
	$(MAKE) -C conformance upstream
	$(CARGO) test --locked -p coracle --test releases -- --ignored

fuzz: ## fuzz the readers of charts, MINUTES each; TARGET=template, yaml or archive for one
	fuzz/run $(or $(MINUTES),1) $(TARGET)

# Debian's kubectl is too old: where the machine has none, upstream's is built from its module.
kubectl:
	@command -v kubectl >/dev/null || { $(MAKE) -C conformance ../out/conformance/bin/kubectl && mkdir -p $(OUT)/bin && ln -sf ../conformance/bin/kubectl $(OUT)/bin/kubectl; }

# $(1): pairs of a program and its package.
define install
	@missing=; for tool in $(1); do command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
endef

tools-build:
	$(call install,$(BUILD_TOOLS))

tools-images:
	$(call install,$(IMAGE_TOOLS))

tools-test:
	$(call install,$(TEST_TOOLS))

clean: ## what was built
	$(CARGO) clean
	rm -rf $(OUT)
