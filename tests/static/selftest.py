# SPDX-License-Identifier: Apache-2.0
"""Each check on a tree that is in order and on trees with one fault each: a check that cannot fail is none."""

import os
import shutil
import subprocess
import tempfile

import bus_tables
import docs
import linkage
import runbook
import units
from tree import Skip, Tree

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
UNIT = ("# SPDX-License-Identifier: Apache-2.0\n[Unit]\nDescription=x\nStartLimitIntervalSec=0\n[Service]\n"
        "ExecStart=/usr/lib/cmkd/cmkd\nRestart=always\nWatchdogSec=30\nWatchdogSignal=SIGKILL\nOOMScoreAdjust=-900\n")
SLICE = "# SPDX-License-Identifier: Apache-2.0\n[Unit]\nDescription=x\nRefuseManualStop=yes\n"
PAGE = "# {}\n\n" + "".join(f"## {p}\n\nx\n\n" for p in runbook.PARTS)
RULE = "      - alert: Down\n        annotations:\n          runbook: /usr/share/doc/cmkd/runbook/alert-Down.md\n"
VTABLE = SPDX + """#define DERIVED(name) SD_BUS_PROPERTY(name, "s", get, 0, 0)
SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("Go", "sa(st)", SD_BUS_PARAM(what)
                                 SD_BUS_PARAM(list), NULL,, go, 0),
        SD_BUS_METHOD("Stop", NULL, NULL, stop, 0),
        SD_BUS_SIGNAL_WITH_NAMES("Gone", "s", SD_BUS_PARAM(name), 0),
        SD_BUS_PROPERTY("State", "s", get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        DERIVED("Role"),
SD_BUS_VTABLE_END
"""
VTABLE_PAGE = """.SS Methods
.TP
.B Go(in s what, in a(st) list)
x
.TP
.B Stop()
x
.SS Signals
.TP
.B Gone(s name)
x
.SS Properties
.TP
.B State (s, emits change)
x
.TP
.B Role (s)
x
"""
PLAY = """# SPDX-License-Identifier: Apache-2.0
---
- name: Nodes
  hosts: all
  gather_facts: false
  vars:
    text: |
      PollSec=30
  tasks:
    - name: Cut
      ansible.builtin.command:
        argv: [cmkctl, cut, --json, "{{ item }}"]
      changed_when: true
"""
BUS_PAGE = '.\\" SPDX-License-Identifier: Apache-2.0\n.SH THE MANAGER\n' + VTABLE_PAGE + ".SH A VOLUME\n" + VTABLE_PAGE
CALLS = "    cmkctl cut --json NAME\n\n`cmkctl audit list`, `PollSec=`, MESSAGE_ID=ab, [x](state-open.md)\n"
HOOK = UNIT.replace("ExecStart=/usr/lib/cmkd/cmkd", "ExecStart=true") + "[Install]\nWantedBy=cmkd-cut@%i.target\n"

# A small project in order.
GOOD = {
    "Makefile": "# SPDX-License-Identifier: Apache-2.0\nPROGRAMS := cmkd cmkd-vault\ninstall: daemon/data/*.service\n"
                "\tinstall daemon/data/cmkd.conf daemon/data/*.target daemon/data/*.slice daemon/data/examples/*.service daemon/data/examples/*.yml daemon/data/runbook/*.md "
                "daemon/data/cmkd.catalog\n",
    "daemon/common/util.h": SPDX + "#pragma once\n#include <stdio.h>\n",
    "daemon/common/config.c": SPDX + '        { SECTION_NODE, "Trust", parse },\n        IN_POLICY("PollSec", parse),\n',
    "daemon/disk/luks-open.c": SPDX + '#include <libcryptsetup.h>\n#include "common/util.h"\n',
    "daemon/disk/token.h": SPDX + '#include "common/util.h"\n',
    "daemon/audit/reader.h": SPDX + '#include "common/util.h"\n',
    "daemon/audit/trail.h": SPDX + '#include "reader.h"\n',
    "daemon/vault/http.c": SPDX + "#include <curl/curl.h>\n",
    "daemon/manager/lease.h": SPDX + '#include "common/util.h"\n',
    "daemon/manager/lease.c": SPDX + '#include "lease.h"\n',
    "daemon/manager/volume.h": SPDX + '#include "lease.h"\n',
    "daemon/manager/manager.h": SPDX + '#include "volume.h"\n',
    "daemon/manager/bus.c": SPDX + 'static const x v[] = { SD_BUS_METHOD("Cut", "s", "", cut, 0) };\n',
    "daemon/ctl/main.c": SPDX + '        { "cut", 1, 1, O(JSON), "", "", cut },\n        { "audit list", 0, 0, FILTER_OPTIONS, "", "", l },\n',
    "daemon/ctl/options.c": SPDX + '        [OPTION_JSON] = { "json", 0, false, "--json", "" },\n'
                               '        [OPTION_EVENT] = { "event", 0, true, "", "" },\n',
    "daemon/ctl/config.c": SPDX + '        put_text(o, "Trust", x);\n        put_span(o, "PollSec", x);\n',
    "daemon/ctl/volume.c": SPDX + '#include "audit/reader.h"\nint f(void) {\n        call_begin(&c, BUS_MANAGER, "Cut");\n}\n',
    "daemon/data/cmkd.service": UNIT,
    **{f"daemon/data/{name}": SLICE + ("[Service]\nExecStart=/usr/lib/cmkd/cmkd\n" if name.endswith(".service") else "")
       for name in units.STOPPED_BY_NOBODY},
    "daemon/data/cmkd-cut@.target": "# SPDX-License-Identifier: Apache-2.0\n[Unit]\nDescription=x\n",
    "daemon/data/examples/x@.service": HOOK,
    "daemon/man/cmkd.8": '.\\" SPDX-License-Identifier: Apache-2.0\nx@.service\n',
    "daemon/data/cmkd.conf": "# SPDX-License-Identifier: Apache-2.0\n#Trust=listed\n#PollSec=30\n",
    runbook.PLAYBOOK: PLAY,
    "daemon/ctl/doctor/findings.c": SPDX + '        [FINDING_X] = { "swap", SEVERITY_RISK, "" },\n        [FINDING_Y] = { "cores", X },\n',
    "daemon/man/cmkctl.1": '.\\" SPDX-License-Identifier: Apache-2.0\n.SH FINDINGS\n.TP\n.B swap, cores\nx\n.SH VERBS\n.TP\n.BR cut " \\fINAME\\fR"\nx\n.TP\n'
                           ".B audit list\nx\n.SH OPTIONS\n.TP\n.B \\-\\-json\nx\n.TP\n.B \\-\\-event\nx\n",
    "daemon/audit/x.c": SPDX + 'audit_record_start(r, "cut", 1, true);\naudit_record_add(r, "why", w);\n',
    "daemon/man/cmkd-audit.5": '.\\" SPDX-License-Identifier: Apache-2.0\n.SH EVENTS OF CMKD\n.TP\n.B cut\nx\n'
                               ".SH FIELDS\n.TP\n.B why\nx\n",
    docs.EVENTS: SPDX + 'static const char *const events[] = { "cut" };\n',
    "daemon/man/cmkd-token.5": '.\\" SPDX-License-Identifier: Apache-2.0\n.SH FIELDS\n.TP\n.B type\nx\n.TP\n.B salt\nx\n',
    "daemon/disk/token.c": SPDX + 'static const char *const members[] = { "type", "salt", NULL };\n',
    "daemon/man/cmkd-vault.8": '.\\" SPDX-License-Identifier: Apache-2.0\n.SH OPTIONS\n.TP\n.BI \\-\\-user " NAME"\nx\n',
    "daemon/vault/options.c": SPDX + '{ "user", required_argument, NULL, USER },\n',
    "daemon/man/cmkd.conf.5": '.\\" SPDX-License-Identifier: Apache-2.0\n.TP\n.B Trust=\nx\n.TP\n.B PollSec=\nx\n',
    **dict.fromkeys(bus_tables.INTERFACES.values(), VTABLE),
    bus_tables.PAGE: BUS_PAGE,
    runbook.STATES: SPDX + '        [VOLUME_OPEN] = { "open", 0, LEASE_OPEN },\n',
    runbook.VERDICTS: SPDX + '        [VERDICT_YES] = { "YES", EXIT_CODE_DONE },\n',
    runbook.RULES: "# SPDX-License-Identifier: Apache-2.0\n" + RULE,
    runbook.CATALOG: "# SPDX-License-Identifier: Apache-2.0\nDocumentation: file:///usr/share/doc/cmkd/runbook/state-open.md\n",
    runbook.FILTER: SPDX + "#define FILTER_OPTIONS OPTION_BIT(OPTION_EVENT)\n",
    runbook.IDS: SPDX + '#define MESSAGE_ID_X "ab"\n',
    runbook.FOLDER + "README.md": "(state-open.md) (verdict-YES.md) (alert-Down.md)\n",
    runbook.FOLDER + "state-open.md": PAGE.format("open") + CALLS,
    runbook.FOLDER + "verdict-YES.md": PAGE.format("YES"),
    runbook.FOLDER + "alert-Down.md": PAGE.format("Down"),
    "README.md": "shown by `main-life`\n\n" + docs.RED_TEAM_HEAD + "".join(f"| thing {n} | `e` | refused |\n" for n in range(25)),
    "tests/vm/audit-red-team": "# SPDX-License-Identifier: Apache-2.0\nTRIES = [\n" +
                               "".join(f'    ("x{n}", "thing {n}", "e", "refused"),\n' for n in range(25)) + "]\n",
    "tests/vm/main-life": "# SPDX-License-Identifier: Apache-2.0\n",
    "bpf/event.h": "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n",
    "bpf/dm.bpf.c": '/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n#include "event.h"\n',
    "tests/unit/test-x.c": "// SPDX-License-Identifier: Apache-2.0\n// sources: daemon/manager/lease.c\n",
}

LONG_FUNCTION = SPDX + "static int f(void) {\n" + "        g();\n" * 110 + "}\n"

# check: faults, each a set of files that are changed (None: removed) in the good tree
FAULTS = {
    "include-folders": [
        {"daemon/common/util.h": SPDX + '#include "manager/lease.h"\n'},
        {"daemon/disk/token.h": SPDX + '#include "audit/reader.h"\n'},
        {"daemon/ctl/volume.c": SPDX + '#include "manager/volume.h"\n'},
        {"daemon/ctl/volume.c": SPDX + '#include "audit/trail.h"\n'},
        {"daemon/vault/http.c": SPDX + '#include "event.h"\n'},
    ],
    "include-manager-layers": [
        {"daemon/manager/lease.h": SPDX + '#include "volume.h"\n', "daemon/manager/volume.h": SPDX},
        {"daemon/manager/lease.c": SPDX + '#include "manager.h"\n'},
        {"daemon/manager/bus.h": SPDX + '#include "manager.h"\n'},
    ],
    "include-manager-pure": [{"daemon/manager/lease.c": SPDX + "#include <unistd.h>\n"}],
    "include-cycles": [{"daemon/manager/lease.h": SPDX + '#include "manager.h"\n'}],
    "include-missing": [
        {"daemon/disk/token.h": SPDX + '#include "common/utils.h"\n'},
        {"daemon/disk/token.h": SPDX + '#include "../common/util.h"\n'},
    ],
    "include-libraries": [
        {"daemon/disk/token.h": SPDX + "#include <libcryptsetup.h>\n"},
        {"daemon/manager/lease.c": SPDX + "#include <curl/curl.h>\n"},
        {"daemon/manager/lease.c": SPDX + "#include <bpf/libbpf.h>\n"},
    ],
    "source-licence": [
        {"daemon/disk/token.h": "#pragma once\n"},
        {"bpf/event.h": SPDX},
        {"daemon/data/cmkd.service": UNIT.split("\n", 1)[1]},
    ],
    "source-file-length": [{"daemon/disk/token.c": SPDX + "int a;\n" * 600}],
    "source-function-length": [{"daemon/disk/token.c": LONG_FUNCTION}],
    "source-words": [
        {"daemon/disk/token.c": SPDX + "/* see /ho" "me/me/notes */\n"},
        {"Makefile": GOOD["Makefile"] + "# https://py" "pi.org/\n"},
    ],
    "source-top-level": [{"notes/x.h": SPDX}],
    "source-bpf-texts": [{"bpf/x.h": "// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\nstatic const char run[] = \"/run/\";\n"}],
    "tests-name-their-sources": [{"tests/unit/test-x.c": "// sources: daemon/manager/leases.c\n"}],
    "units-verify": [
        {"daemon/data/cmkd.service": UNIT + "Restart=sometimes\n"},
        {"daemon/data/examples/x@.service": HOOK.replace("[Install]", "Restart=sometimes\n[Install]")},
    ],
    "units-example-hooks": [
        {"daemon/data/examples/x@.service": HOOK.replace("cmkd-cut@", "cmkd-cat@")},
        {"daemon/data/examples/x@.service": UNIT},
        {"daemon/man/cmkd.8": GOOD["daemon/man/cmkd.8"].replace("x@", "y@")},
        {"daemon/data/examples/x@.service": None},
    ],
    "units-programs": [{"daemon/data/cmkd.service": UNIT.replace("cmkd/cmkd", "cmkd/cmkd-x")}],
    "units-no-mount-namespace": [{"daemon/data/cmkd.service": UNIT + "ProtectSystem=strict\n"}],
    "units-installed": [{"daemon/data/cmkd.socket": UNIT}, {"daemon/data/examples/x.socket": UNIT}],
    "units-refuse-stop": [{"daemon/data/cmkd.slice": None}, {"daemon/data/cmkd.slice": SLICE.replace("RefuseManualStop=yes\n", "")}],
    "units-secret-memory": [{"daemon/data/cmkd.service": UNIT + "SystemCallFilter=@system-service\n"},
                            {"daemon/data/cmkd.service": UNIT + "SystemCallFilter=@system-service\nSystemCallFilter=~memfd_secret\n"}],
    "units-stay-up": [{"daemon/data/cmkd.service": UNIT.replace("StartLimitIntervalSec=0\n", "")},
                      {"daemon/data/cmkd.service": UNIT.replace("Restart=always\n", "")},
                      {"daemon/data/cmkd.service": UNIT.replace("WatchdogSec=30", "WatchdogSec=0")},
                      {"daemon/data/cmkd.service": UNIT.replace("WatchdogSignal=SIGKILL\n", "")},
                      {"daemon/data/cmkd.service": UNIT.replace("-900", "-100")},
                      {"daemon/data/cmkd@.service": UNIT.replace("StartLimitIntervalSec=0\n", "")},
                      {"daemon/data/cmkd.socket": "[Socket]\nListenSequentialPacket=/x\n"}],
    "man-verbs": [
        {"daemon/man/cmkctl.1": GOOD["daemon/man/cmkctl.1"].replace("audit list", "audit lost")},
        {"daemon/ctl/main.c": SPDX + '        { "cut", 1, 1, 0, "", "", cut },\n'},
        {"daemon/ctl/main.c": SPDX},
    ],
    "man-options": [
        {"daemon/man/cmkctl.1": GOOD["daemon/man/cmkctl.1"].replace("\\-\\-json", "\\-\\-yaml")},
        {"daemon/ctl/options.c": SPDX},
    ],
    "man-config-keys": [
        {"daemon/man/cmkd.conf.5": '.\\" SPDX-License-Identifier: Apache-2.0\n.B Trust=\n'},
        {"daemon/common/config.c": SPDX + '{ SECTION_NODE, "Trust", parse },\n'},
    ],
    "man-trail-names": [
        {"daemon/audit/x.c": SPDX + 'audit_record_start(r, "cut", 1, true);\naudit_record_addf(r, "when", w);\n'},
        {"daemon/audit/x.c": SPDX + 'audit_record_start(r, "lost", 1, true);\naudit_record_add(r, "why", w);\n'},
        {"daemon/audit/x.c": SPDX + "int x;\n"},
    ],
    "ctl-knows-events": [{docs.EVENTS: SPDX + f"static const char *const events[] = {{ {names} }};\n"} for names in (
        '"carve"', '"cut", "cut"', '"cut", "carve"', "")] + [{docs.EVENTS: SPDX}],
    "man-token-fields": [
        {"daemon/disk/token.c": SPDX + 'static const char *const members[] = { "type", NULL };\n'},
        {"daemon/disk/token.c": SPDX + 'members[] = { "type", "salt", NULL }; members_2[] = { "type", "pepper", NULL };\n'},
        {"daemon/disk/token.c": SPDX},
    ],
    "man-worker-options": [
        {"daemon/vault/options.c": SPDX + '{ "root", required_argument, NULL, ROOT }, { "user", no_argument, NULL, USER },\n'},
        {"daemon/vault/options.c": SPDX},
    ],
    "sample-config-keys": [{"daemon/data/cmkd.conf": "#Trust=\n"}, {"daemon/data/cmkd.conf": "#Trust=\n#PollSec=\n#X=\n"}],
    "ctl-shows-config-keys": [{"daemon/ctl/config.c": SPDX + 'put_text(o, "Trust", x);\n'}],
    "man-bus": [{"daemon/manager/bus-volume.c": VTABLE.replace(*change)} for change in (
        ('"Go"', '"Went"'), ("SD_BUS_PARAM(list)", "SD_BUS_PARAM(lists)"), ("sa(st)", "sa(ss)"), ("EMITS_CHANGE", "CONST"), ('"Role"', '"Rule"'),
        ('DERIVED("Role")', 'OTHER("Role")'), ('"Gone", "s"', '"Gone", "u"'), ('DERIVED("Role"),', ""))],
    "bus-methods": [{"daemon/manager/bus.c": SPDX + 'SD_BUS_METHOD("Hold", "s")\n'}],
    "runbook-pages": [
        {runbook.STATES: SPDX + '[VOLUME_OPEN] = { "open", 0, X },\n        [VOLUME_CUT] = { "cut", 0, X },\n'},
        {runbook.VERDICTS: SPDX + '        [VERDICT_NO] = { "NO", EXIT_CODE_DONE },\n'},
        {runbook.STATES: SPDX},
        {runbook.RULES: RULE + "      - alert: Up\n"},
        {runbook.RULES: RULE.replace("alert-Down.md", "alert-Up.md")},
        {runbook.FOLDER + "state-ajar.md": PAGE.format("ajar")},
        {runbook.FOLDER + "verdict-YES.md": PAGE.format("YES").replace("## What is at risk", "## Risks")},
        {runbook.FOLDER + "verdict-YES.md": PAGE.format("YES").replace("risk\n\nx\n", "risk\n\n")},
        {runbook.FOLDER + "verdict-YES.md": PAGE.format("NO")},
        {runbook.FOLDER + "README.md": "(state-open.md) (verdict-YES.md)\n"},
    ],
    "runbook-contents": [{runbook.FOLDER + "state-open.md": PAGE.format("open") + change} for change in (
        CALLS.replace("cut --json", "carve"), CALLS.replace("--json", "--yes"), CALLS.replace("audit list", "audit lost"),
        CALLS.replace("list", "list --event lost"), CALLS.replace("PollSec", "Polling"), CALLS.replace("=ab", "=cd"),
        CALLS.replace("state-open", "state-shut"), "")] + [
            {runbook.CATALOG: "Documentation: file:///usr/share/doc/cmkd/runbook/state-shut.md\n"}],
    "man-findings": [{"daemon/ctl/doctor/findings.c": SPDX + '        [FINDING_X] = { "swap", SEVERITY_RISK, "" },\n'},
                     {"daemon/man/cmkctl.1": GOOD["daemon/man/cmkctl.1"].replace(", cores", "")}],
    "example-calls": [{runbook.PLAYBOOK: PLAY.replace(*change)} for change in (
        ("cut, --json", "carve"), ("--json", "--event"), ("PollSec", "Polling"), ("argv", "arg"))],
    "example-playbook": [{runbook.PLAYBOOK: PLAY.replace(*change)} for change in (("tasks:", "task:"), ("hosts: all", "hosts: [all"))],
    "readme-tests": [{"README.md": "`main-gone`\n"}, {"README.md": "no test\n"}],
    "readme-lines": [{"README.md": "x" * 141 + "\n"}],
    "readme-links": [{"README.md": "[x](#gone)\n"}, {"README.md": "[x](gone/there.md)\n"}],
    "readme-red-team": [{"README.md": GOOD["README.md"].replace("thing 7", "thing 99")},
                        {"tests/vm/audit-red-team": 'TRIES = [\n    ("x", "thing 0", "e", "refused"),\n]\n'}],
}

# check: (program, soname that it is linked with) which is wrong
LINK_FAULTS = {
    "linkage-libraries": [("cmkd", "libcurl.so.4"), ("cmkd-vault", "libcryptsetup.so.12"), ("cmkctl", "libbpf.so.1"),
                          ("cmkd-disk", None)],
    "linkage-static": [("cmkd-breaker", "libcrypto.so.3"), ("cmkd-ladder", "libcryptsetup.so.12")],
    "linkage-build-path": [("cmkd", "!debug"), ("cmkd-breaker", "!debug")],
    "linkage-plugin-symbols": [(linkage.PLUGIN, "!dump"), (linkage.PLUGIN, "!")],
}


def write(root, files):
    for name, text in files.items():
        if text is None:
            continue
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def findings(check, files, programs=None):
    with tempfile.TemporaryDirectory() as root:
        write(root, files)
        if programs is not None:
            link(os.path.join(root, "build"), programs)
        return list(check(Tree(root)))


def link(build, programs):
    """Programs that need exactly those libraries, which are stubs of ours with the right names."""
    os.makedirs(build, exist_ok=True)
    source = os.path.join(build, "x.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    for name, sonames in programs.items():
        stubs = []
        for soname in (s for s in sonames or () if s[0] != "!"):
            stub = os.path.join(build, soname)
            if not os.path.exists(stub):
                subprocess.run(["cc", "-shared", f"-Wl,-soname,{soname}", "-o", stub, "-x", "c", "/dev/null"], check=True)
            stubs.append(stub)
        if name == linkage.PLUGIN:
            stubs += plugin_source(build, [s[1:] for s in sonames if s[0] == "!"])
        if "!debug" in (sonames or ()):
            stubs.append("-g")
        static = ["-static"] if sonames is None else ["-Wl,--no-as-needed", *stubs]
        subprocess.run(["cc", source, *static, "-o", os.path.join(build, name)], check=True)


def plugin_source(build, faults):
    """Arguments for a plugin with its symbols: without the one that faults names, without a version for an empty name."""
    source, versions = os.path.join(build, "plugin.c"), os.path.join(build, "plugin.map")
    with open(source, "w", encoding="utf-8") as f:
        f.writelines(f"void cryptsetup_token_{n}(void) {{}}\n" for n in linkage.PLUGIN_SYMBOLS if n not in faults)
    with open(versions, "w", encoding="utf-8") as f:
        f.write(("" if "" in faults else linkage.PLUGIN_VERSION) + " { global: cryptsetup_token_*; local: *; };\n")
    return ["-shared", "-fPIC", source, f"-Wl,--version-script={versions}"]


def good_programs():
    """Static ones are marked None."""
    programs = {name: [] for name in linkage.FORBIDDEN}
    for name, library in linkage.EXPECTED.items():
        programs[name] = [f"{library}.so.1"]
    return {**programs, **dict.fromkeys(linkage.STATIC)}


def cases(name):
    """(files, programs) of the tree in order, then of each with a fault."""
    if name in LINK_FAULTS:
        if not shutil.which("cc") or not shutil.which("readelf"):
            raise Skip("there is no compiler")
        yield GOOD, good_programs()
        for program, soname in LINK_FAULTS[name]:
            yield GOOD, {**good_programs(), program: [soname] if soname else []}
    elif name == "units-exposure":                # numbers of the real units
        real = {}
        for unit in units.EXPOSURE:
            with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../daemon/data", unit), encoding="utf-8") as f:
                real["daemon/data/" + unit] = f.read()
        with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../daemon/man/cmkd.8"), encoding="utf-8") as f:
            page = f.read()
        real["daemon/man/cmkd.8"] = page
        yield {**GOOD, **real}, None
        yield {**GOOD, **real, "daemon/man/cmkd.8": page.replace("PrivateUsers= (0.2)", "")}, None
        for path, text in ((p, t) for p, t in real.items() if p != "daemon/man/cmkd.8"):
            yield {**GOOD, **real, path: text.replace("NoNewPrivileges=yes\n", "").replace("CapabilityBoundingSet=", "#")
                                              .replace("SystemCallFilter=", "#")}, None
    else:
        yield GOOD, None
        for fault in FAULTS[name]:
            yield {**GOOD, **fault}, None


def run(name, check):
    try:
        trees = list(cases(name))
        good = findings(check, *trees[0])
        blind = [i for i, tree in enumerate(trees[1:], 1) if not findings(check, *tree)]
    except Skip as s:
        print(f"skip self-test {name}: {s}")
        return "skip"
    if good:
        print(f"FAIL self-test {name}: complains about a tree in order: {good[0]}")
        return "FAIL"
    if blind or len(trees) < 2:
        print(f"FAIL self-test {name}: does not see fault {blind or 'any'} of {len(trees) - 1}")
        return "FAIL"
    print(f"ok self-test {name} ({len(trees) - 1} faults seen)")
    return "ok"
