# SPDX-License-Identifier: Apache-2.0
# cmkd: make, make install, make check, make demo. See README.md.

CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr
# /usr/lib/cmkd stands in programs too: where a package or an image is put together say DESTDIR=
$(if $(filter install deb rpm,$(MAKECMDGOALS)),$(if $(filter /usr,$(PREFIX)),,$(error PREFIX=$(PREFIX): cmkd works below /usr only)))
DESTDIR ?=
RULES_DIR ?= $(PREFIX)/lib/udev/rules.d
UNIT_DIR ?= $(PREFIX)/lib/systemd/system
BUILD ?= build
SANITIZE ?=
WERROR ?=
V ?=
Q := $(if $(V),,@)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wno-format-truncation
HARDEN := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -ftrivial-auto-var-init=zero -fPIE
CFLAGS ?= -O2 -g
INCLUDES := -Idaemon -Ibpf -I$(BUILD)/bpf -I$(BUILD)/words $(shell $(PKG_CONFIG) --cflags p11-kit-1)
# One source, one binary, wherever it is built (tests/static/reproducible): no path of this tree, and files in the order of their bytes,
# not of the locale.
SAME := -ffile-prefix-map=$(CURDIR)=.
files = $(sort $(wildcard $(1)))
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(WARN) $(WERROR) $(CFLAGS) $(SAME) $(INCLUDES)
ifeq ($(SANITIZE),)
ALL_CFLAGS += $(HARDEN)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
else
ALL_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
ALL_LDFLAGS := -fsanitize=$(SANITIZE) $(LDFLAGS)
endif

pkg = $(shell $(PKG_CONFIG) --libs $(1))
LIBS_cmkd = $(call pkg,libsystemd libcrypto)
LIBS_cmkd-vault = $(call pkg,libcurl libcrypto json-c libseccomp p11-kit-1) -lpthread
LIBS_cmkd-disk = $(call pkg,libcryptsetup libcrypto json-c blkid)
LIBS_cmkd-audit = $(call pkg,libbpf libsystemd json-c libcrypto)
LIBS_cmkd-keyscript = $(call pkg,libsystemd)
LIBS_cmkctl = $(call pkg,libsystemd json-c libcrypto)

# program: folder. Everything in the folder is the program, except what is listed as a floor for others.
PROGRAMS := cmkd cmkd-vault cmkd-disk cmkd-audit cmkd-keyscript cmkctl
STATIC_PROGRAMS := cmkd-breaker cmkd-ladder
FOLDER_cmkd := manager
FOLDER_cmkd-vault := vault
FOLDER_cmkd-disk := disk
FOLDER_cmkd-audit := audit
FOLDER_cmkd-keyscript := keyscript
FOLDER_cmkctl := ctl
FOLDER_cmkd-breaker := breaker
FOLDER_cmkd-ladder := ladder
# a mapping that is there, with its header
EXTRA_cmkd-disk := daemon/ladder/dm.c daemon/ladder/mounts.c daemon/ladder/mounts-mark.c daemon/ladder/tasks.c daemon/ladder/loops.c \
	daemon/ladder/subs.c
# the trail's format is read by cmkctl too
EXTRA_cmkctl := $(call files,daemon/ctl/doctor/*.c daemon/ctl/review/*.c) $(addprefix daemon/audit/,record.c chain.c reader.c \
	segments.c verify.c epochs.c seal.c seal-rsa.c privacy.c privacy-forms.c)
CLIENT := daemon/token-plugin/client.c
EXTRA_cmkd-keyscript := $(CLIENT)
# libcryptsetup's plugin: the same sources compiled for a shared object, and only those that it needs
PLUGIN := libcryptsetup-token-cmkd.so
PLUGIN_SOURCES := daemon/token-plugin/libcryptsetup-token-cmkd.c $(CLIENT) $(addprefix daemon/disk/,token.c strict-json.c \
	unlock-key.c) \
	$(addprefix daemon/common/,util.c retry.c secret.c base64.c json-text.c key-uri.c pkcs11-uri.c policy-values.c verdict.c)

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
COMMON_OBJECTS := $(call objects,$(call files,daemon/common/*.c))
BPF_SOURCES := $(call files,bpf/*.bpf.c)
BPF_SKELETONS := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.skel.h,$(BPF_SOURCES))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test-*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz-*.c))

.PHONY: all install deb rpm clean setup demo check check-full check-unit check-fuzz check-static check-vm interop bench \
	unit-tests fuzz-replays
all: $(addprefix $(BUILD)/,$(PROGRAMS) $(STATIC_PROGRAMS) $(PLUGIN))

# Objects of other flags are none of this build's.
FLAGS := $(CC) $(ALL_CFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D) && { echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@; }
.PHONY: FORCE

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC      $<")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# the words of cmkd's own messages, which name nobody: daemon/common/plain-words.h. Written anew only if one is.
WORD_SOURCES := $(sort $(wildcard $(addprefix daemon/,audit/*.c breaker/*.c common/*.c disk/*.c ladder/*.c manager/*.c vault/*.c)) \
	$(BPF_SOURCES))
$(BUILD)/words/plain-words.stamp: daemon/common/plain-words.sh $(WORD_SOURCES)
	@mkdir -p $(@D)
	$(Q)sh $< $(WORD_SOURCES) > $(@D)/plain-words.tmp
	$(Q)cmp -s $(@D)/plain-words.tmp $(@D)/plain-words.inc || mv $(@D)/plain-words.tmp $(@D)/plain-words.inc
	$(Q)touch $@
$(BUILD)/words/plain-words.inc: $(BUILD)/words/plain-words.stamp ;
$(BUILD)/daemon/common/plain-words.o: | $(BUILD)/words/plain-words.inc

$(BUILD)/libcommon.a: $(COMMON_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

define program_rule
$(BUILD)/$(1): $(call objects,$(call files,daemon/$(FOLDER_$(1))/*.c) $(EXTRA_$(1))) $(BUILD)/libcommon.a
	$$(if $$(V),,@echo "  LINK    $$@")
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $$^ $$(LIBS_$(1)) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

# The breaker needs nothing from any disk once it runs, the ladder's steps start at once: one static file each.
define static_rule
$(BUILD)/$(1): $(call objects,$(call files,daemon/$(FOLDER_$(1))/*.c)) $(BUILD)/libcommon.a
	$$(if $$(V),,@echo "  LINK    $$@")
	$$(Q)$$(CC) $$(if $$(SANITIZE),$$(ALL_LDFLAGS),-static $$(LDFLAGS)) $$^ -o $$@
endef
$(foreach p,$(STATIC_PROGRAMS),$(eval $(call static_rule,$(p))))

$(BUILD)/pic/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -MMD -MP -c $< -o $@

$(BUILD)/$(PLUGIN): $(patsubst %.c,$(BUILD)/pic/%.o,$(PLUGIN_SOURCES)) daemon/token-plugin/symbols.map
	$(if $(V),,@echo "  LINK    $@")
	$(Q)$(CC) -shared $(filter-out -pie,$(ALL_LDFLAGS)) $(if $(SANITIZE),,-Wl,-z,defs) \
		-Wl,--version-script=daemon/token-plugin/symbols.map $(filter %.o,$^) \
		$(call pkg,libcryptsetup libsystemd json-c libcrypto) -o $@

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) $(BUILD)/flags
	@mkdir -p $(@D)
	$(if $(V),,@echo "  BPF     $<")
	$(Q)$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_x86 -Wall -Wno-missing-declarations $(SAME) -Ibpf -I$(BUILD)/bpf -c $< -o $@

.SECONDARY: $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(BPF_SOURCES))
$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< > $@.tmp && mv $@.tmp $@

$(call objects,$(wildcard daemon/audit/*.c)): | $(BPF_SKELETONS)

# A unit test or fuzz target is one file; the sources that it tests stand in its first lines: "// sources: daemon/x/y.c"
sources_of = $(shell sed -n 's|^// sources: *||p' $(1))
libs_of = $(shell sed -n 's|^// libs: *||p' $(1))
define test_rule
$(BUILD)/tests/$(notdir $(1:.c=)): $(1) $(call objects,$(call sources_of,$(1))) $(BUILD)/libcommon.a
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -MMD -MP $$< $$(filter %.o %.a,$$^) \
		$$(call pkg,cmocka libcrypto $(call libs_of,$(1))) -lpthread -o $$@
endef
$(foreach t,$(wildcard tests/unit/test-*.c tests/fuzz/fuzz-*.c tests/bench/*.c),$(eval $(call test_rule,$(t))))
# A fuzz target is replayed over its corpus by a main of ours; make fuzz-NAME builds the fuzzer itself, with clang (and Debian's
# libclang-rt-dev): build/fuzz/fuzz-NAME -max_total_time=60 DIR
$(FUZZERS): $(call objects,tests/fuzz/replay-main.c)
fuzz-%: tests/fuzz/fuzz-%.c | $(BPF_SKELETONS) $(BUILD)/words/plain-words.inc
	@mkdir -p $(BUILD)/fuzz
	$(Q)$(CLANG) -std=gnu17 -D_GNU_SOURCE -O1 -g $(INCLUDES) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -Wno-gnu-variable-sized-type-not-at-end $< $(call sources_of,$<) \
		$(wildcard daemon/common/*.c) $(call pkg,$(sort libcrypto json-c $(call libs_of,$<))) -lpthread -o $(BUILD)/fuzz/$@

# ---- install: what goes where. DESTDIR= for packages and images ----
INSTALL ?= install
SBINS := cmkd cmkd-vault cmkd-audit cmkd-breaker cmkd-disk cmkd-ladder cmkd-keyscript
# where libcryptsetup looks for its plugins: cryptsetup/ beside it
TOKEN_DIR ?= $(PREFIX)/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/cryptsetup
UNITS := $(wildcard daemon/data/*.service daemon/data/*.socket daemon/data/*.target daemon/data/*.slice daemon/data/*.path \
	daemon/data/*.timer)
D := $(DESTDIR)$(PREFIX)
INITRAMFS := hook=hooks init-premount=scripts/init-premount local-top=scripts/local-top init-bottom=scripts/init-bottom

install: all
	$(Q)$(INSTALL) -d $(D)/bin $(D)/lib/cmkd/cmkd.conf.d $(DESTDIR)$(UNIT_DIR) $(D)/lib/systemd/catalog \
		$(D)/lib/tmpfiles.d $(D)/lib/modules-load.d $(D)/share/dbus-1/system.d $(D)/share/man/man1 \
		$(D)/share/man/man5 $(D)/share/man/man8 $(D)/share/doc/cmkd/examples $(D)/share/doc/cmkd/runbook $(D)/lib/dracut/modules.d/90cmkd \
		$(DESTDIR)/etc/cmkd/cmkd.conf.d $(DESTDIR)$(TOKEN_DIR)
	$(Q)$(INSTALL) -m 755 $(addprefix $(BUILD)/,$(SBINS)) $(D)/lib/cmkd/
	$(Q)$(INSTALL) -m 755 $(BUILD)/cmkctl $(D)/bin/
	$(Q)$(INSTALL) -m 755 daemon/data/cmkd-removal-check $(D)/lib/cmkd/
	$(Q)$(INSTALL) -m 755 udev/boot-files $(D)/lib/cmkd/cmkd-boot-files
	$(Q)$(INSTALL) -m 755 udev/build-images $(D)/lib/cmkd/cmkd-initramfs
	$(Q)$(INSTALL) -m 644 $(BUILD)/$(PLUGIN) $(DESTDIR)$(TOKEN_DIR)/
	$(Q)$(INSTALL) -m 644 $(UNITS) $(DESTDIR)$(UNIT_DIR)/
	$(Q)$(INSTALL) -d $(DESTDIR)$(RULES_DIR)
	$(Q)$(INSTALL) -m 644 udev/90-cmkd.rules $(DESTDIR)$(RULES_DIR)/
	$(Q)$(INSTALL) -m 644 udev/dracut/90cmkd/*.service udev/dracut/90cmkd/*.conf $(D)/lib/dracut/modules.d/90cmkd/
	$(Q)$(INSTALL) -m 755 udev/dracut/90cmkd/*.sh $(D)/lib/dracut/modules.d/90cmkd/
	$(Q)$(foreach f,$(INITRAMFS),$(INSTALL) -D -m 755 udev/initramfs-tools/$(subst =, $(D)/share/initramfs-tools/,$(f))/cmkd &&) true
	$(Q)$(INSTALL) -m 644 daemon/data/cmkd.conf $(D)/lib/cmkd/
	$(Q)$(INSTALL) -d $(DESTDIR)/etc/apparmor.d
	$(Q)$(INSTALL) -m 644 daemon/data/apparmor.d/cmkd $(DESTDIR)/etc/apparmor.d/cmkd
	$(Q)$(INSTALL) -m 644 daemon/data/tmpfiles.d/cmkd.conf $(D)/lib/tmpfiles.d/
	$(Q)$(INSTALL) -d $(D)/lib/sysusers.d
	$(Q)$(INSTALL) -m 644 daemon/data/sysusers.d/cmkd.conf $(D)/lib/sysusers.d/
	$(Q)$(INSTALL) -m 644 daemon/data/modules-load.d/cmkd.conf $(D)/lib/modules-load.d/
	$(Q)$(INSTALL) -m 644 daemon/data/org.cmkd1.conf $(D)/share/dbus-1/system.d/
	$(Q)$(if $(wildcard daemon/data/cmkd.catalog),$(INSTALL) -m 644 daemon/data/cmkd.catalog $(D)/lib/systemd/catalog/)
	$(Q)$(INSTALL) -m 644 $(wildcard daemon/data/examples/*.service daemon/data/examples/*.yml) $(D)/share/doc/cmkd/examples/
	$(Q)$(INSTALL) -m 644 $(wildcard daemon/data/runbook/*.md) $(D)/share/doc/cmkd/runbook/
	$(Q)$(INSTALL) -d $(D)/share/bash-completion/completions $(D)/share/zsh/vendor-completions
	$(Q)$(INSTALL) -m 644 daemon/data/completion/cmkctl.bash $(D)/share/bash-completion/completions/cmkctl
	$(Q)$(INSTALL) -m 644 daemon/data/completion/_cmkctl $(D)/share/zsh/vendor-completions/
	$(Q)$(foreach s,1 5 8,$(INSTALL) -m 644 $(wildcard daemon/man/*.$(s)) $(D)/share/man/man$(s)/ &&) true
	$(if $(V),,@echo "  INSTALL $(D)")

# ---- packages: build/deb/*.deb, from what git has of this tree; needs debhelper ----
# the time of a package and of what is in it is that of its changelog; its files' modes are not those of somebody's umask
PACKAGE_TIME = $(shell date -d "$$(sed -n 's/^ -- .*>  //p' daemon/data/deb/changelog | head -n 1)" +%s)
PACKAGE_ENV = umask 022 && export SOURCE_DATE_EPOCH=$(PACKAGE_TIME) && env -u MAKEFLAGS -u MAKELEVEL
define unpack_tree
	$(Q)rm -rf $(BUILD)/$(1) && mkdir -p $(2)
	$(Q)git ls-files -z | tar -c --null --mtime=@$(PACKAGE_TIME) --mode=u=rwX,go=rX -T - | tar -xp --no-same-owner -C $(2)
endef

deb:
	$(call unpack_tree,deb,$(BUILD)/deb/cmkd)
	$(Q)cp -a $(BUILD)/deb/cmkd/daemon/data/deb $(BUILD)/deb/cmkd/debian
	$(Q)cd $(BUILD)/deb/cmkd && $(PACKAGE_ENV) dpkg-buildpackage -b -us -uc -tc
	$(Q)rm -rf $(BUILD)/deb/cmkd && ls $(BUILD)/deb/*.deb

# build/rpm/*/*.rpm. --nodeps: rpm's database knows nothing of what Debian installed
rpm:
	$(call unpack_tree,rpm,$(BUILD)/rpm/BUILD)
	$(Q)$(PACKAGE_ENV) rpmbuild -bb --nodeps --define "_topdir $(CURDIR)/$(BUILD)/rpm" --define "_rpmdir $(CURDIR)/$(BUILD)/rpm" \
		daemon/data/rpm/cmkd.spec
	$(Q)rm -rf $(BUILD)/rpm/BUILD* && ls $(BUILD)/rpm/*/*.rpm

# ---- tests: see tests/check for what runs, and README.md ----
setup:
	$(Q)tests/setup

unit-tests: $(UNIT_TESTS)
fuzz-replays: $(FUZZERS)

check: setup
	$(Q)tests/check

check-full: setup
	$(Q)tests/check --full

check-unit:
	$(Q)tests/check unit

check-fuzz:
	$(Q)tests/check fuzz

check-static:
	$(Q)tests/check static

check-vm: all
	$(Q)tests/check vm $(if $(TEST),--test '$(TEST)') $(if $(GUEST),--guest $(GUEST))

CMKD_BUILD_VAULT ?= yes
interop: all
	$(Q)CMKD_BUILD_VAULT=$(CMKD_BUILD_VAULT) tests/check interop

bench: setup all
	$(Q)tests/bench/attach
	$(Q)tests/bench/many
	$(Q)tests/bench/ram
	$(Q)tests/bench/init-on-free
	$(Q)tests/bench/verify
	$(Q)tests/bench/unlock
	$(Q)tests/bench/fleet
	$(Q)tests/bench/encrypt
	$(Q)tests/bench/probes
	$(Q)tests/bench/events

demo: setup all
	$(Q)tests/vm/demo $(if $(VAULT),--vault $(VAULT))

-include $(shell find $(BUILD) \( -path $(BUILD)/deb -o -path $(BUILD)/rpm \) -prune -o -type f -name '*.d' -print 2>/dev/null)

clean:
	rm -rf $(BUILD)
