# sendroute: needs GNU make, and on Debian or Ubuntu nothing else when run as root.
#
#   make              build ./sendroute, one static program (fetches BearSSL and
#                     cJSON as source packages once; offline afterwards)
#   make install      DESTDIR=, PREFIX=/usr/local, SYSCONFDIR=/etc, SETGID=group:
#                     let every user queue mail, in SPOOLDIR=/var/spool/sendroute;
#                     also: uninstall
#   make check        all tests but the slow ones;  T=WORD: those with WORD in
#                     their name;  make check-all: every one, and the layers
#   make dist-oci     build/sendroute-oci.tar, an image for docker load, podman;
#                     dist/Dockerfile makes the same
#   make dist-deb     build/sendroute_ARCH.deb;  dist/alpine, dist/openwrt: recipes
#   make demo         three messages shown on their way, all on this machine
#   make bench        size, memory, turns and queues, beside other programs;
#                     INTO=README: puts the table there
#   make fuzz         FUZZ_TIME=10 seconds for each fuzz target (clang;
#                     tests/fuzz/fuzz.mk has more)
#   make footprint    bytes of the program by room and library: doc/FOOTPRINT
#   make analyse      what gcc -fanalyzer, clang --analyze, clang-tidy and
#                     cppcheck find, against tests/analyse/known; those of them
#                     that are here
#   make layers       prove that includes only go down
#   make ARCH=NAME    build/NAME/sendroute for another processor (dist/cross list)
#   make check-arch   ARCHS="armhf arm64 i386 s390x": unit tests and deliveries
#                     of each, under qemu
#   make small        WITHOUT="ses smtp dkim bs queue aliases maildir qmail check":
#                     ./sendroute without those of these parts, and its size
#   make HARDEN=1     ./sendroute at a place in memory that is another each time
#                     (static PIE), with stack protector: some 30 KiB more
#   make clean        remove what was built;  make distclean: the sources too
#
#   CONFIG=FILE       compile a configuration in, for where there is none
#   SENDERS=FILE      compile a sender list in (`senders builtin`)
#   CA=FILE           compile the root certificates of a PEM file in; CA=amazon:
#                     Amazon's five, of this machine's bundle; CA=system: all
#   BEARSSL=DIR CJSON=DIR CC=...    unpacked sources, another compiler
#   SOURCE_DATE_EPOCH=SECONDS       build time, for reproducible builds
#   V=1               show the commands

TOP_SRC = sendroute.c ses.c smtp.c bearssl-glue.c

# Rooms that look at every byte of a message: for speed, not for size.  (Those
# that only copy it, such as stream and spool, gain nothing.)
HOT = lib/base/base64.c lib/mail/lines.c

# Who may see which header of others, and who is told what at compile time.
USES_BEARSSL = bearssl-glue.c lib/net/rsa.c lib/net/tls_chain.c \
	lib/net/tls_profile.c lib/net/tls_shown.c
USES_CJSON = lib/aws/answer.c lib/aws/credentials.c lib/front/verified.c
USES_VERSION = sendroute.c ses.c
USES_BUILD_TIME = lib/base/clock.c
USES_WITHOUT = sendroute.c lib/config/parse.c
USES_BUILTIN = sendroute.c lib/front/confine.c lib/front/program.c \
	lib/net/tls_chain.c

# Debian's packages, each after what shows that it is there: a command, a file,
# or a Python module.
BUILD_TOOLS = ar:binutils gcc:gcc
FETCH_TOOLS = dpkg-source:dpkg-dev xz:xz-utils
TEST_PACKAGES = /usr/include/stdio.h:libc6-dev \
	/usr/include/cmocka.h:libcmocka-dev /usr/bin/python3:python3 \
	py=aiosmtpd:python3-aiosmtpd py=botocore:python3-botocore \
	py=dkim:python3-dkim \
	openssl:openssl strace:strace git:git \
	/etc/ssl/certs/ca-certificates.crt:ca-certificates
BENCH_PACKAGES = valgrind:valgrind
FUZZ_PACKAGES = clang:clang llvm-profdata:llvm \
	/var/lib/dpkg/info/libclang-rt-dev.list:libclang-rt-dev

PREFIX = /usr/local
SYSCONFDIR = /etc

# ---------------------------------------------------------------------------

# What was built is what is installed or packed: of these words, those that are
# not given again are as they were.  `make install CONFIG=` is without.
WORDS = CONFIG SENDERS CA WITHOUT HARDEN BEARSSL CJSON CC AR CFLAGS CPPFLAGS LDFLAGS \
	VERSION SOURCE_DATE_EPOCH
LAST = build/flags/words$(ARCH:%=-%)
ifeq ($(or $(filter-out install dist-oci dist-deb,$(MAKECMDGOALS)),$(if \
	$(MAKECMDGOALS),,all)),)
-include $(LAST)
$(foreach v,$(WORDS),$(if $(filter undefined default,$(origin $v)),$(if \
	$(was_$v),$(eval override $v := $$(was_$v))$(if $(findstring \
	s,$(firstword -$(MAKEFLAGS))),,$(info as built: $v=$($v))))))
endif

ifeq ($(origin CC),default)
CC = musl-gcc
endif
HOSTCC = gcc
AR = ar
JOBS := $(shell nproc 2>/dev/null || echo 1)
PYTHON = /usr/bin/python3
VERSION := $(or $(if $(wildcard .git),$(shell \
	git describe --tags 2>/dev/null)),0.1)

# What is compiled in, and what looks at it when the program is built.
BUILTIN = $(CONFIG)$(SENDERS)$(CA)
SYSTEM_CA = /etc/ssl/certs/ca-certificates.crt
CA_FILE = $(if $(filter amazon system,$(CA)),$(SYSTEM_CA),$(CA))
CA_WHICH = $(or $(filter amazon system,$(CA)),all)
COMPILE_IN = dist/compile-in.c $(filter-out $(USES_BEARSSL),$(wildcard \
	lib/net/*.c lib/config/*.c lib/base/*.c))

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
WERROR = $(if $(filter true,$(CI)),-Werror)
STD = -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE
SMALL = -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fno-unwind-tables $(if $(HARDEN),-fPIE -fstack-protector-strong,-fno-pie)
CFLAGS = -Os
HOT_CFLAGS = -O2
# A copy of unknown length inlined for size is one byte at a time; the library's
# is fast.  The hot rooms copy words, which must stay inline.
COLD_CFLAGS = -fno-builtin-memcpy
# Smaller still, as far as the compiler knows the options.  No padding before
# large constants, no vector registers; jumps as they come.  What -Os does for speed at
# no cost "in general" costs here: these were found by trying, all make 4 KiB.
SMALLER = -Oz -malign-data=abi -fno-caller-saves -fno-jump-tables
SMALLEST = $(SMALLER) -fno-expensive-optimizations -fno-inline-small-functions \
	-fno-optimize-sibling-calls -fno-tree-tail-merge -fno-tree-loop-im \
	-fno-move-loop-invariants -fno-if-conversion -fno-shrink-wrap \
	-fno-ipa-sra -fno-tree-slsr -fira-region=all -mno-sse
OWN = $(STD) $(WARN) $(CFLAGS) $(SMALL) -I. $(CPPFLAGS)
# The stack is touched page by page, so that no large array leaps over the guard
# page below it.
SMALLER += -fstack-clash-protection
# musl-gcc would start a PIE as a program with libraries: what it needs is named.
STATIC_PIE = -nostdlib -Wl,-pie,--no-dynamic-linker,-z,text \
	$(or $(wildcard $(MUSL_LIB)/rcrt1.o),$(error HARDEN=1 needs CC=musl-gcc)) \
	$(MUSL_LIB)/crti.o
STATIC_PIE_END = -Wl,--start-group -lc -lgcc -Wl,--end-group $(MUSL_LIB)/crtn.o
MUSL_LIB := $(if $(HARDEN),$(shell sed -n \
	's,.*-specs "\(.*\)/musl-gcc.specs".*,\1,p' \
	"$$(command -v $(firstword $(CC)))"))
# Where musl starts a static program nobody acts on RELRO; to be ready for it, or
# to begin the data on a page of their own, costs up to 4 KiB of padding.
PACK = norelro,-z,common-page-size=64
LINK = -static $(if $(HARDEN),$(STATIC_PIE),-no-pie) -s -Wl,--gc-sections -Wl,-z,now \
	-Wl,-z,$(if $(findstring musl,$(CC)),$(PACK),relro) \
	-Wl,-z,noexecstack -Wl,-z,noseparate-code -Wl,--build-id=none $(LDFLAGS)

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
# What watches the sanitized program needs what the sandbox takes away.
OWN_SAN = $(STD) $(WARN) -g -O1 -fno-omit-frame-pointer $(SANITIZE) -I. \
	-DNO_SANDBOX $(CPPFLAGS)

# Entropy and the time come from us: BearSSL need not look for either.
BEARSSL_FLAGS = -DBR_USE_URANDOM=0 -DBR_USE_UNIX_TIME=0 -DBR_RDRAND=0
# Replies are shallow.
CJSON_FLAGS = -DCJSON_NESTING_LIMIT=32
DEP_MUSL = -std=gnu11 $(CFLAGS) $(SMALL) -w
DEP_HOST = -std=gnu11 -g -O1 -w

FETCH = $(if $(BEARSSL),,bearssl) $(if $(CJSON),,cjson)
BEARSSL_DIR = $(or $(BEARSSL),build/src/bearssl)
CJSON_DIR = $(or $(CJSON),build/src/cjson)
FETCHED = $(if $(strip $(FETCH)),build/src/fetched$(subst $() ,-,$(FETCH)))

SRC = $(wildcard $(TOP_SRC)) $(sort $(wildcard lib/*/*.c))
# Parts that can be left out: their files, in place of which come those few
# functions that others call (dist/without), and what nobody calls any more.
PARTS = ses smtp dkim bs queue aliases maildir qmail check
FILES_ses = ses.c lib/front/verified.c $(wildcard lib/aws/*.c)
FILES_smtp = smtp.c $(wildcard lib/relay/*.c)
FILES_dkim = lib/mail/dkim.c lib/mail/verify.c lib/front/keygen.c
FILES_bs = lib/front/smtpd.c
FILES_queue = $(wildcard lib/store/queue*.c) $(addprefix lib/store/,bounce.c \
	rate.c schedule.c) $(addprefix lib/front/,runner.c listing.c outcome.c)
FILES_aliases = lib/mail/aliases.c
FILES_maildir = lib/store/maildir.c
FILES_qmail = lib/front/qmail.c lib/front/handover.c
FILES_check = lib/front/check_routes.c
LEFT_OUT := $(filter $(WITHOUT),$(PARTS))
ifneq ($(filter-out $(PARTS),$(WITHOUT)),)
$(error WITHOUT: $(filter-out $(PARTS),$(WITHOUT)) is none of $(PARTS))
endif
PROGRAM = $(filter-out $(foreach p,$(LEFT_OUT),$(FILES_$p)),$(SRC)) \
	$(LEFT_OUT:%=dist/without/%.c)
OBJ = $(PROGRAM:%.c=build/obj/%.o) build/obj/build/builtin.o \
	build/obj/build/roots.o
SAN = $(filter-out build/san/sendroute.o build/san/lib/small/%.o,\
	$(SRC:%.c=build/san/%.o)) \
	build/san/build/builtin.o build/san/build/roots.o
LIBS = build/dep/musl/libbearssl.a build/dep/musl/libcjson.a
HOST_LIBS = build/dep/host/libbearssl.a build/dep/host/libcjson.a

UNIT_SRC = $(sort $(wildcard tests/unit/test_*.c))
UNIT = $(UNIT_SRC:tests/unit/%.c=build/unit/%)
UNIT_HELP = $(patsubst %.c,build/san/%.o,$(filter-out $(UNIT_SRC),$(sort \
	$(wildcard tests/unit/*.c))))

BUILDING = $(filter-out clean distclean help layers uninstall,$(or \
	$(MAKECMDGOALS),all))
TESTING = $(filter check check-all check-arch demo bench tests build/unit/% \
	build/san/% fuzz%,$(MAKECMDGOALS))
FUZZING = $(filter fuzz%,$(MAKECMDGOALS))
BENCHING = $(filter bench check-all,$(MAKECMDGOALS))
BUILTIN_TOOLS = $(if $(BUILTIN),/usr/include/stdio.h:libc6-dev) $(if \
	$(filter amazon system,$(CA)),$(SYSTEM_CA):ca-certificates)
TOOLS = $(BUILTIN_TOOLS) $(if $(filter musl-gcc,$(firstword $(CC))),musl-gcc:musl-tools) \
	$(BUILD_TOOLS) $(if $(strip $(FETCH)),$(FETCH_TOOLS)) \
	$(if $(TESTING),$(TEST_PACKAGES)) $(if $(BENCHING),$(BENCH_PACKAGES)) \
	$(if $(FUZZING),$(FUZZ_PACKAGES)) \
	$(if $(filter fuzz-afl,$(FUZZING)),afl-fuzz:afl++)
HAVE_TOOLS = build/tools$(if $(TESTING),-test)$(if $(BENCHING),-bench)$(if \
	$(FUZZING),-$(firstword $(FUZZING)))

Q = $(if $(V),,@)
say = $(if $(V),,@echo "  $1	$2")

all: $(if $(ARCH),build/$(ARCH)/)sendroute

# What was given on the command line last time is kept in files that change only
# when it changes; what depends on it depends on them.
define remember
ifneq ($$(strip $$(file <build/flags/$1))x,$$(if $$(wildcard build/flags/$1),$$(strip $$($2)),none)x)
$$(file >build/flags/$1,$$(strip $$($2)))
endif
endef

ifneq ($(BUILDING),)
# With a configuration there may be a secret in what is built.
$(shell mkdir -p build/flags $(if $(CONFIG),&& chmod 0700 build))
REMEMBER_OWN = $(CC) $(OWN) $(HOT_CFLAGS) $(HOT) $(COLD_CFLAGS) $(SMALLEST) \
	$(BEARSSL_DIR) $(CJSON_DIR)
REMEMBER_SAN = $(HOSTCC) $(OWN_SAN) $(BEARSSL_DIR) $(CJSON_DIR)
REMEMBER_LINK = $(CC) $(LINK) $(sort $(OBJ))
REMEMBER_MUSL = $(CC) $(DEP_MUSL) $(BEARSSL_FLAGS) $(CJSON_FLAGS) \
	$(BEARSSL_DIR) $(CJSON_DIR)
REMEMBER_HOST = $(HOSTCC) $(DEP_HOST) $(BEARSSL_FLAGS) $(CJSON_FLAGS) \
	$(BEARSSL_DIR) $(CJSON_DIR)
REMEMBER_BUILTIN = $(abspath $(SENDERS)) $(abspath $(CONFIG)) \
	$(CA_WHICH) $(abspath $(CA_FILE))
REMEMBER_WITHOUT = $(LEFT_OUT)
REMEMBER_EPOCH = $(SOURCE_DATE_EPOCH)
REMEMBER_TOOLS = $(sort $(TOOLS))
$(eval $(call remember,own,REMEMBER_OWN))
$(eval $(call remember,san,REMEMBER_SAN))
$(eval $(call remember,link,REMEMBER_LINK))
$(eval $(call remember,musl,REMEMBER_MUSL))
$(eval $(call remember,host,REMEMBER_HOST))
$(eval $(call remember,builtin,REMEMBER_BUILTIN))
$(eval $(call remember,without,REMEMBER_WITHOUT))
$(eval $(call remember,epoch,REMEMBER_EPOCH))
$(eval $(call remember,version,VERSION))
$(eval $(call remember,$(notdir $(HAVE_TOOLS)),REMEMBER_TOOLS))
define end_of_line


endef
REMEMBER_WORDS := $(foreach v,$(WORDS),$(if $(filter command override,$(firstword \
	$(origin $v))),was_$v = $(value $v)$(end_of_line)))
ifneq ($(file <$(LAST)),$(REMEMBER_WORDS))
$(file >$(LAST),$(REMEMBER_WORDS))
endif
endif

$(HAVE_TOOLS): build/flags/$(notdir $(HAVE_TOOLS))
	@dist/fetch-deps tools build/tools.log $(TOOLS)
	@touch $@

ifneq ($(FETCHED),)
$(FETCHED): | $(HAVE_TOOLS)
	@dist/fetch-deps sources build/src $(FETCH)
	@touch $@
endif

# --- BearSSL and cJSON -----------------------------------------------------

# Object names are the sources' base names, which BearSSL keeps distinct.
build/dep/musl/libbearssl.a: build/flags/musl build/smaller | $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$@)
	$(Q)$(call bearssl,$(CC) $(DEP_MUSL) $$(cat build/smaller))
build/dep/host/libbearssl.a: build/flags/host | $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$@)
	$(Q)$(call bearssl,$(HOSTCC) $(DEP_HOST))
bearssl = rm -rf $(@:.a=) $@ && mkdir -p $(@:.a=) && set -- $1 && \
	cd $(@:.a=) && find $(abspath $(BEARSSL_DIR))/src -name '*.c' | sort | \
	xargs -n 16 -P $(JOBS) "$$@" $(BEARSSL_FLAGS) \
	-I$(abspath $(BEARSSL_DIR))/inc -I$(abspath $(BEARSSL_DIR))/src -c && \
	$(AR) rcs $(abspath $@) *.o

build/dep/musl/libcjson.a: dist/cjson-small.h build/flags/musl build/smaller \
		| $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$@)
	$(Q)$(call cjson,$(CC) $(DEP_MUSL) $$(cat build/smaller))
build/dep/host/libcjson.a: dist/cjson-small.h build/flags/host \
		| $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$@)
	$(Q)$(call cjson,$(HOSTCC) $(DEP_HOST))
cjson = mkdir -p $(@D) && $1 $(CJSON_FLAGS) -include dist/cjson-small.h \
	-c -o $(@:.a=.o) $(CJSON_DIR)/cJSON.c && \
	rm -f $@ && $(AR) rcs $@ $(@:.a=.o)

# --- The program -----------------------------------------------------------

sendroute: $(OBJ) $(LIBS) build/flags/link
	$(call say,LD,$@)
	$(Q)$(if $(CONFIG),umask 066;) $(CC) $(LINK) -o $@ $(OBJ) $(LIBS) \
	    $(if $(HARDEN),$(STATIC_PIE_END))

small: sendroute
	@echo "./sendroute: $$(wc -c <sendroute) bytes$(LEFT_OUT:%= -%)"

build/smaller: private TRY = $(SMALLER)
build/smallest: private TRY = $(SMALLEST)
build/smaller build/smallest: build/flags/own | $(HAVE_TOOLS)
	@for f in $(TRY); do \
	    ! echo | $(CC) -Werror $$f -x c -c -o /dev/null - 2>/dev/null || \
	    echo $$f; \
	done >$@

build/obj/%.o: %.c build/flags/own build/smaller build/smallest | $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(OWN) $(WERROR) $(OPT) $(EXTRA) -MMD -MP -c -o $@ $<

# Looks at what is compiled in, with the program's own parsers.
build/compile-in: $(COMPILE_IN) build/flags/builtin | $(HAVE_TOOLS)
	$(call say,CC,$@)
	$(Q)$(HOSTCC) $(STD) $(WARN) $(WERROR) -O0 -ffunction-sections \
	    -fdata-sections -I. -Wl,--gc-sections -o $@ $(COMPILE_IN)

# The assembler takes the texts as they are: compilers need 20 s for 4 MB of C.
incbin = '__asm__(".section .rodata.$1,\"a\"\n"' \
	'    ".globl $1\n$1:\n"' '    ".incbin \"build/builtin.$2\"\n"' \
	'    ".byte 0\n.previous");'
build/builtin.c: $(SENDERS) $(CONFIG) build/flags/builtin Makefile \
		$(if $(BUILTIN),build/compile-in)
	$(if $(SENDERS),@build/compile-in senders $(SENDERS))
	$(if $(CONFIG),@build/compile-in config $(CONFIG) $(if $(SENDERS),list))
	@umask 077; rm -f build/builtin.list build/builtin.conf; \
	cat $(or $(SENDERS),/dev/null) >build/builtin.list && \
	cat $(or $(CONFIG),/dev/null) >build/builtin.conf
	@printf '%s\n' '#include "lib/config/senders.h"' \
	$(call incbin,senders_builtin,list) \
	$(call incbin,config_builtin,conf) >$@

build/roots.c: $(CA_FILE) build/flags/builtin Makefile \
		$(if $(CA),build/compile-in)
	@$(if $(CA),build/compile-in roots $(CA_FILE) $(CA_WHICH) \
	    $(or $(SOURCE_DATE_EPOCH),$$(date +%s)),printf '%s\n' \
	    '#include "lib/net/roots.h"' 'const struct roots roots_builtin;') >$@

both = build/obj/$(1:.c=.o) build/san/$(1:.c=.o)
each = $(foreach f,$1,$(call both,$f))
$(HOT:%.c=build/obj/%.o): private OPT = $$(cat build/smaller) \
	$(HOT_CFLAGS)
OPT = $$(cat build/smallest) $(COLD_CFLAGS)
$(call each,$(USES_BEARSSL)): private EXTRA += -isystem $(BEARSSL_DIR)/inc
$(call each,$(USES_CJSON)): private EXTRA += -isystem $(CJSON_DIR)
$(call each,$(USES_VERSION)): private EXTRA += -DVERSION='"$(VERSION)"'
$(call each,$(USES_VERSION)): build/flags/version
$(call each,$(USES_WITHOUT)): private EXTRA += \
	$(if $(LEFT_OUT),-DWITHOUT='"$(LEFT_OUT)"')
$(call each,$(USES_WITHOUT)): build/flags/without
$(call each,$(USES_BUILTIN)): private EXTRA += \
	$(if $(CONFIG),-DCONFIG_BUILTIN=1) $(if $(CA),-DROOTS_BUILTIN=1)
$(call each,$(USES_BUILTIN)): build/flags/builtin
$(call each,$(USES_BUILD_TIME)): private EXTRA += \
	-DBUILD_TIME=$(or $(SOURCE_DATE_EPOCH),$$(date +%s))
$(call each,$(USES_BUILD_TIME)): build/flags/epoch

-include $(shell find build/obj build/san -name '*.d' 2>/dev/null)

# --- Tests -----------------------------------------------------------------

build/san/%.o: %.c build/flags/san | $(FETCHED) $(HAVE_TOOLS)
	$(call say,CC,$< (sanitized))
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(OWN_SAN) $(WERROR) $(EXTRA) -MMD -MP -c -o $@ $<
build/san/tests/unit/%.o: private EXTRA += -isystem $(CJSON_DIR) \
	-DVECTORS='"tests/vectors"'

build/san/libsendroute.a: $(SAN)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
build/san/libhelp.a: $(UNIT_HELP) build/flags/san
	$(Q)mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $(UNIT_HELP)

build/unit/%: build/san/tests/unit/%.o build/san/libhelp.a \
		build/san/libsendroute.a $(HOST_LIBS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(SANITIZE) -o $@ $^ -lcmocka

# The whole program with sanitizers, for the tests that want to drive it so.
build/san/sendroute: build/san/sendroute.o build/san/libsendroute.a $(HOST_LIBS)
	$(call say,LD,$@)
	$(Q)$(HOSTCC) $(SANITIZE) -o $@ $^

include $(wildcard tests/fuzz/fuzz.mk)

# The program, of which any allocation can be made to fail.
build/test/heap.o: lib/small/heap.c build/flags/own build/smallest
	@mkdir -p $(@D)
	$(Q)$(CC) $(OWN) $(WERROR) -DHEAP_FAIL -c -o $@ $<
build/test/sendroute-oom: $(OBJ) build/test/heap.o $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LINK) -o $@ $(filter-out %/lib/small/heap.o,$(OBJ)) \
	    build/test/heap.o $(LIBS)

TEST_ENV = SENDROUTE=$(or $(abspath $(P)),$(CURDIR)/sendroute) \
	SENDROUTE_SAN=$(CURDIR)/build/san/sendroute BUILD=$(CURDIR)/build \
	PYTHONDONTWRITEBYTECODE=1
PROGRAMS = $(UNIT) build/unit/fuzz_replay $(sort $(wildcard tests/peers/test_*.py))
SLOW = $(sort $(wildcard tests/peers/slow_*.py))

tests: sendroute build/san/sendroute build/test/sendroute-oom $(UNIT) \
		build/unit/fuzz_replay

check: tests
	@$(TEST_ENV) $(PYTHON) tests/run -m '$(T)' $(PROGRAMS)

# Fuzzed the same way each time: what is new is for longer runs to find.
check-all: tests layers
	@! command -v clang >/dev/null || $(MAKE) fuzz FUZZ_TIME=5 \
	    FUZZ_MORE='-seed=1 -runs=4000'
	@$(TEST_ENV) $(PYTHON) tests/run -m '$(T)' $(PROGRAMS) $(SLOW)

analyse: | $(FETCHED)
	@tests/analyse/run $(SRC) -- $(STD) -I. -isystem $(BEARSSL_DIR)/inc \
	    -isystem $(CJSON_DIR) -DBUILD_TIME=1 -DVERSION='"x"'

demo: sendroute
	@$(TEST_ENV) $(PYTHON) tests/peers/demo.py

bench: sendroute
	@$(TEST_ENV) $(PYTHON) tests/bench/bench.py \
	    $(if $(INTO),--readme $(INTO))

layers:
	@awk -v bearssl='$(USES_BEARSSL) \
	$(filter lib/%,$(USES_BEARSSL:.c=.h))' -v cjson='$(USES_CJSON)' \
	-f tests/layers.awk $(wildcard *.[ch]) $(sort $(wildcard lib/*.[ch] \
	lib/*/*.[ch] lib/*/*/*.[ch]))

include dist/cross.mk dist/package.mk

# --- Installation ----------------------------------------------------------

SPOOLDIR = /var/spool/sendroute
SBIN = $(DESTDIR)$(PREFIX)/sbin
BIN = $(DESTDIR)$(PREFIX)/bin
LIBEXEC = $(DESTDIR)$(PREFIX)/libexec/sendroute
DOC = $(DESTDIR)$(PREFIX)/share/doc/sendroute
MAN = $(DESTDIR)$(PREFIX)/share/man
CONF = $(DESTDIR)$(SYSCONFDIR)/sendroute.conf
MAN5 = $(wildcard man/*.5)
MAN8 = $(wildcard man/*.8)
# Units, init scripts and a line for cron; who wants one copies it.
RUNS = $(patsubst dist/%,%,$(wildcard dist/systemd/* dist/cron.d/* \
	dist/openrc/* dist/procd/*))
# Only root can give a file to a group, and a program that is set-group-ID to
# the builder's own group would lend that.
ROOT = $(filter 0,$(shell id -u))
# With a configuration inside, the program may hold a secret.
READ = $(if $(CONFIG),11,55)
MODE = $(if $(and $(SETGID),$(ROOT)),-o root -g '$(SETGID)' -m 27$(READ),\
	-m 07$(READ))

# A configuration that is there is the administrator's and stays. One that is
# compiled in is not put out of force by the sample.
install: sendroute
	@dist/make-queue -n '$(SETGID)'
	install -d $(SBIN) $(BIN) $(LIBEXEC) $(DOC) $(DESTDIR)$(SYSCONFDIR)
	install $(MODE) sendroute $(SBIN)/sendroute
	ln -sf sendroute $(SBIN)/sendmail
	ln -sf ../sbin/sendroute $(BIN)/mailq
	ln -sf ../sbin/sendroute $(BIN)/newaliases
	ln -sf ../../sbin/sendroute $(LIBEXEC)/qmail-remote
	install -m 0644 dist/sendroute.conf $(wildcard README* LICENSE) $(DOC)
ifeq ($(CONFIG),)
	test -e $(CONF) || install -m 0644 dist/sendroute.conf $(CONF)
endif
	install -d $(addprefix $(DOC)/,$(sort $(dir $(RUNS))))
	for f in $(RUNS); do \
	    sed 's,/usr/local/,$(PREFIX)/,g; s,/var/spool/sendroute,$(SPOOLDIR),g' \
	    "dist/$$f" >"$(DOC)/$$f" && chmod 0644 "$(DOC)/$$f" || exit; \
	done
ifneq ($(MAN5),)
	install -d $(MAN)/man5
	install -m 0644 $(MAN5) $(MAN)/man5
endif
ifneq ($(MAN8),)
	install -d $(MAN)/man8
	install -m 0644 $(MAN8) $(MAN)/man8
endif
	dist/make-queue $(DESTDIR)$(SPOOLDIR) '$(SETGID)'

# There may be mail in the queue.
uninstall:
	rm -f $(SBIN)/sendroute $(SBIN)/sendmail $(BIN)/mailq $(BIN)/newaliases
	rm -f $(MAN5:man/%=$(MAN)/man5/%) $(MAN8:man/%=$(MAN)/man8/%)
	rm -rf $(DOC) $(LIBEXEC)
	@test ! -d $(DESTDIR)$(SPOOLDIR) || \
	    echo "the queue stays: $(DESTDIR)$(SPOOLDIR)"

clean:
	rm -rf sendroute build/obj build/san build/unit build/dep build/fuzz build/flags \
	    build/tools* build/builtin.* build/roots.c build/compile-in \
	    build/smalle*

distclean:
	rm -rf sendroute build

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

.PHONY: all small check check-all tests analyse demo bench layers install uninstall \
	clean distclean help
.DELETE_ON_ERROR:
.SECONDARY: $(UNIT_SRC:%.c=build/san/%.o)
