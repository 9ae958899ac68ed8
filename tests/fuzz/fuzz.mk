# Fuzzing; included by the Makefile.
#
#   make fuzz		libFuzzer over every target, FUZZ_TIME=10 seconds each;
#			FUZZ="NAME..." those alone.  What it finds stays in
#			build/fuzz/corpus/, findings in build/fuzz/found/
#   make fuzz-afl	the same by AFL++
#   make fuzz-keep	what it found, minimised, into tests/fuzz/corpus/
#   make fuzz-coverage	how much of each file the corpus reaches
#
# The corpus is replayed by `make check`, with gcc's sanitizers: fuzz_replay.

FUZZ_TIME = 10
# More options for libFuzzer.
FUZZ_MORE =
FUZZ = $(FUZZ_ALL)
FUZZ_CC = clang
# Bytes of a target's corpus file, at most.
FUZZ_KEEP = 4500

FUZZ_ALL = $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard \
	tests/fuzz/fuzz_*.c)))
FUZZ_SRC = $(sort $(wildcard tests/fuzz/*.c)) tests/unit/decode.c
FUZZ_LIST = '-DFUZZ_TARGETS=$(foreach t,$(FUZZ_ALL),X($t))'
# What takes long, or is different each time: see fuzz.c.
FUZZ_LINK = $(foreach f,tls_start pbkdf2_sha256 nanosleep getrandom,\
	-Wl,--wrap=$f)

# --- replayed by make check ---

build/san/tests/fuzz/%.o: private EXTRA += -isystem $(BEARSSL_DIR)/inc \
	$(FUZZ_LIST)
# It names every target.
build/san/tests/fuzz/main.o: $(wildcard tests/fuzz/fuzz_*.c)
build/unit/fuzz_replay: $(FUZZ_SRC:%.c=build/san/%.o) \
		build/san/libsendroute.a $(HOST_LIBS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) $(FUZZ_LINK) -o $@ $^ -lcmocka

# --- the fuzzers ---

# Each way of building has its own folder, compiler and options.
FUZZ_WAYS = libfuzzer afl coverage
FUZZ_BASE = $(STD) -g -O1 -fno-omit-frame-pointer -I. $(FUZZ_LIST) -DNO_SANDBOX \
	-DVERSION='"fuzz"' -DBUILD_TIME=1700000000 \
	-isystem $(BEARSSL_DIR)/inc -isystem $(CJSON_DIR)
# To add 0 to NULL is nothing that C2y forbids (N3322), nor does any compiler mind.
libfuzzer_CC = $(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize=pointer-overflow \
	-fno-sanitize-recover=all -DFUZZ_LIBFUZZER
libfuzzer_LD = $(FUZZ_CC) -fsanitize=fuzzer,address,undefined
afl_CC = AFL_QUIET=1 AFL_USE_ASAN=1 afl-clang-fast
afl_LD = $(afl_CC)
coverage_CC = $(FUZZ_CC) -fprofile-instr-generate -fcoverage-mapping
coverage_LD = $(FUZZ_CC) -fprofile-instr-generate

FUZZ_OWN = $(filter-out sendroute.c lib/small/%,$(SRC)) $(FUZZ_SRC)
define fuzz_way
build/fuzz/$1/%.o: %.c Makefile tests/fuzz/fuzz.mk | $(FETCHED) $(HAVE_TOOLS)
	$$(call say,CC,$$< ($1))
	@mkdir -p $$(@D)
	$$(Q)$$($1_CC) $$(FUZZ_BASE) -MMD -MP -c -o $$@ $$<
build/fuzz/$1/cjson.o: dist/cjson-small.h | $(FETCHED) $(HAVE_TOOLS)
	@mkdir -p $$(@D)
	$$(Q)$$($1_CC) -g -O1 -w $$(CJSON_FLAGS) -include dist/cjson-small.h \
	    -c -o $$@ $$(CJSON_DIR)/cJSON.c
build/fuzz/$1/fuzz: $$(FUZZ_OWN:%.c=build/fuzz/$1/%.o) \
		build/fuzz/$1/build/builtin.o build/fuzz/$1/build/roots.o build/fuzz/$1/cjson.o \
		build/dep/host/libbearssl.a
	$$(call say,LD,$$@)
	$$(Q)$$($1_LD) $$(FUZZ_LINK) -o $$@ $$^ -lcmocka
	@for t in $$(FUZZ_ALL); do ln -sf fuzz build/fuzz/$1/fuzz-$$$$t; done
endef
$(foreach w,$(FUZZ_WAYS),$(eval $(call fuzz_way,$w)))
-include $(shell find build/fuzz -name '*.d' 2>/dev/null)

fuzz: build/fuzz/libfuzzer/fuzz
	@FUZZ_MORE='$(FUZZ_MORE)' tests/fuzz/run libfuzzer '$(FUZZ_TIME)' $(FUZZ)
fuzz-afl: build/fuzz/afl/fuzz
	@tests/fuzz/run afl '$(FUZZ_TIME)' $(FUZZ)
fuzz-keep: build/fuzz/libfuzzer/fuzz
	@tests/fuzz/run keep '$(FUZZ_KEEP)' $(FUZZ)
fuzz-coverage: build/fuzz/coverage/fuzz
	@tests/fuzz/run coverage 0 $(FUZZ)

.PHONY: fuzz fuzz-afl fuzz-keep fuzz-coverage
