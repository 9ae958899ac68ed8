# Programs for other processors, see dist/cross.  Each is made by this Makefile
# in a tree of its own, so that whatever can be built here can be built there.

# A path of the command line is meant from here.
FROM_HERE = CONFIG SENDERS CA BEARSSL CJSON
PASSED = $(foreach v,$(FROM_HERE),$(if $($v),$v='$(if $(wildcard \
	$(firstword $($v))),$(abspath $($v)),$($v))'))
IN_TREE = $(MAKE) --no-print-directory -C build/$*/tree ARCH= VERSION='$(VERSION)' \
	CC=$(CURDIR)/build/$*/musl-cc AR=$(CURDIR)/build/$*/musl-ar $(PASSED)
# Their unit tests are static, too, and with the BearSSL of the program.
TREE_TESTS = HOSTCC='$(CURDIR)/build/$*/musl-cc -static' SANITIZE= \
	HOST_LIBS='$$(LIBS)' unit-tests

build/%/sendroute: FORCE | $(FETCHED) $(HAVE_TOOLS)
	@dist/cross compiler $*
	@dist/cross tree $*
	@+$(IN_TREE) sendroute
	@cmp -s build/$*/tree/sendroute $@ || cp -p build/$*/tree/sendroute $@

cross-tests-%: build/%/sendroute
	@dist/cross cmocka $*
	@+$(IN_TREE) $(TREE_TESTS)

unit-tests: $(UNIT)

ARCHS = armhf arm64 i386 s390x
check-arch: $(HAVE_TOOLS)
	@BUILD=$(CURDIR)/build PYTHONDONTWRITEBYTECODE=1 MAKE='$(MAKE)' \
	    $(PYTHON) tests/arch.py $(ARCHS)

FORCE:
.PRECIOUS: build/%/sendroute
.PHONY: FORCE unit-tests check-arch
