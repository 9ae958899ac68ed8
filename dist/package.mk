# Packages of the program that make has built, with ARCH= of another processor.

PACKAGED = $(if $(ARCH),build/$(ARCH)/)sendroute
PACKAGE_DIR = $(patsubst %/,%,build/$(ARCH))
DEBIAN_ARCH = $(or $(ARCH),$(shell dpkg --print-architecture 2>/dev/null),amd64)
# The image has the system's roots unless the program has its own.
IMAGE_CA = $(if $(CA),,$(wildcard /etc/ssl/certs/ca-certificates.crt))

dist-oci: $(PACKAGED)
	$(PYTHON) dist/make-oci --arch $(DEBIAN_ARCH) --version '$(VERSION)' \
	    --ca '$(IMAGE_CA)' --tag 'sendroute:$(VERSION)' $< \
	    $(PACKAGE_DIR)/sendroute-oci.tar $(PACKAGE_DIR)/rootfs.tar


# What install does, and what Debian asks for besides.
DEB_ROOT = $(CURDIR)/$(PACKAGE_DIR)/deb
dist-deb: $(PACKAGED)
	rm -rf $(DEB_ROOT)
	$(MAKE) -s -C $(if $(ARCH),build/$(ARCH)/tree,.) -o sendroute ARCH= \
	    DESTDIR=$(DEB_ROOT) PREFIX=/usr SYSCONFDIR=/etc SETGID= install
	dist/make-deb $(DEB_ROOT) '$(VERSION)' $(DEBIAN_ARCH) \
	    $(PACKAGE_DIR)/sendroute_$(DEBIAN_ARCH).deb
	rm -rf $(DEB_ROOT)

# Where the bytes are: see doc/FOOTPRINT.  The map is of the same link.
footprint: sendroute
	$(Q)$(CC) $(LINK) -Wl,-Map=build/map -o build/mapped $(OBJ) $(LIBS)
	@awk -f dist/footprint.awk build/map
	@printf '%9d  the file\n' $$(wc -c <build/mapped)

.PHONY: dist-oci dist-deb footprint
