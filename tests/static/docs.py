# SPDX-License-Identifier: Apache-2.0
"""What the manual pages, the sample and the two sides of D-Bus say, against the tables in the code."""

import ast
import re

MAIN, OPTIONS = "daemon/ctl/main.c", "daemon/ctl/options.c"
CONFIG, SAMPLE = "daemon/common/config.c", "daemon/data/cmkd.conf"
CTL_PAGE, CONFIG_PAGE = "daemon/man/cmkctl.1", "daemon/man/cmkd.conf.5"


def compare(ours, theirs, where, what):
    if not ours:
        yield f"no {what} found in the code: the check is blind"
    for missing in sorted(ours - theirs):
        yield f"{where} does not have the {what} {missing}"
    for extra in sorted(theirs - ours):
        yield f"{where} has the {what} {extra}, which does not exist"


def section(page, title):
    found = re.search(rf"^\.SH {title}$(.*?)(?=^\.SH |\Z)", page, re.M | re.S)
    return found.group(1) if found else ""


def plain(roff):
    """Without fonts and escapes."""
    return re.sub(r"\\f[A-Z]", "", roff).replace("\\-", "-").replace('"', "")


def tagged(text):
    """The line after each .TP, without its macro."""
    return [plain(m) for m in re.findall(r"^\.TP\n(?:\.[BI]R? ?)?(.*)$", text, re.M)]


def verb_names(tree):
    return set(re.findall(r'^\s*\{ "([a-z-]+(?: [a-z-]+)?)", \d+, \d+,', tree.need(MAIN), re.M))


def verbs(tree):
    known = verb_names(tree)
    families = {v.split()[0] for v in known if " " in v}
    documented = set()
    for line in tagged(section(tree.need(CTL_PAGE), "VERBS")):
        words = line.split()
        documented.add(" ".join(words[:2]) if words[0] in families else words[0])
    yield from compare(known, documented, CTL_PAGE, "verb")


def options(tree):
    known = set(re.findall(r'^\s*\[OPTION_\w+\] = \{ "([a-z-]+)"', tree.need(OPTIONS), re.M))
    text = "\n".join(tagged(section(tree.need(CTL_PAGE), "OPTIONS")))
    documented = set(re.findall(r"--([a-z][a-z-]*)", text))
    yield from compare(known, documented, CTL_PAGE, "option")


def key_names(tree):
    return set(re.findall(r'(?:\{ SECTION_\w+, |IN_(?:POLICY|VAULT)\()"(\w+)"', tree.need(CONFIG)))


def config_keys(tree):
    documented = set(re.findall(r"^\.B (\w+)=$", tree.need(CONFIG_PAGE), re.M))
    yield from compare(key_names(tree), documented, CONFIG_PAGE, "key")


def sample_keys(tree):
    yield from compare(key_names(tree), set(re.findall(r"^#(\w+)=", tree.need(SAMPLE), re.M)), SAMPLE, "key")


def shown_keys(tree):
    path = "daemon/ctl/config.c"
    shown = set(re.findall(r'put_(?:text|span|keys)\(\w+, "(\w+)"', tree.need(path)))
    yield from compare(key_names(tree), shown, path, "key")


def bus_methods(tree):
    """What cmkctl and the token plugin call is in the manager's tables."""
    called = set()
    for name in tree.below("daemon/ctl/", ".c"):
        called |= set(re.findall(r'(?:call_begin|call_next)\([^;]*?BUS_MANAGER, "(\w+)"', tree.text(name)))
        called |= set(re.findall(r'\.member = "(\w+)"', tree.text(name)))
    for name in tree.below("daemon/token-plugin/", ".c"):
        called |= set(re.findall(r'"org\.cmkd1\.Manager", "(\w+)"', tree.text(name)))
    tables = "".join(tree.text(n) for n in tree.below("daemon/manager/bus", ".c"))
    if "SD_BUS_METHOD" not in tables:
        tree.need("daemon/manager/bus.c")
    offered = set(re.findall(r'SD_BUS_METHOD\w*\(\s*"(\w+)"', tables))
    if not called:
        yield "no calls found in daemon/ctl: the check is blind"
    for method in sorted(called - offered):
        yield f"a client calls {method}, which cmkd does not offer"


def readme_tests(tree):
    """A test that the README names is there."""
    named = set(re.findall(r"`((?:main|boot|attach|revoke|audit|vault|life|node)-[a-z0-9-]+)`", tree.need("README.md")))
    if not named:
        yield "README.md names no VM test: the check is blind"
    for name in sorted(named):
        if f"tests/vm/{name}" not in tree.files:
            yield f"README.md names the test {name}, which does not exist"


README_WIDTH = 140


def readme_lines(tree):
    """Outside of tables no line is so long that a changed word cannot be seen in a diff."""
    for number, line in enumerate(tree.need("README.md").splitlines(), 1):
        if len(line) > README_WIDTH and not line.startswith("|"):
            yield f"README.md:{number} has {len(line)} characters, {README_WIDTH} are the most"


def readme_links(tree):
    """Where the README's links lead there is a file, or a heading of its own."""
    text = tree.need("README.md")
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("#") and link[1:] not in anchors:
            yield f"README.md links to {link}, which is no heading of it"
        elif not link.startswith(("#", "http")) and link.partition("#")[0] not in tree.files:
            yield f"README.md links to {link}, which does not exist"


AUDIT_PAGE = "daemon/man/cmkd-audit.5"
RECORDERS = ("daemon/audit/", "daemon/manager/", "daemon/common/audit")


def listed(page, title):
    """The names in the tags of a section: "a, b, c"."""
    return {name for line in tagged(section(page, title)) for name in line.split(", ")}


def trail_names(tree):
    """What is added to records stands in the page, and what stands there is in the code."""
    code = "".join(tree.text(n) for folder in RECORDERS for n in tree.below(folder, ".c", ".h"))
    page = tree.need(AUDIT_PAGE)
    fields, events = listed(page, "FIELDS"), set()
    for title in ("CMKD", "CMKD-AUDIT", "THE KERNEL"):
        events |= listed(page, f"EVENTS OF {title}")
    added = set(re.findall(r'audit_record_addf?\(\s*[^",;]+,\s*"(\w+)"', code))
    begun = set(re.findall(r'record_start\([^";]*"(\w+)"', code)) | set(re.findall(r'= \{ "(\w+)", LOG_', code))
    if not added or not begun:
        yield "no records found in the code: the check is blind"
    for what, there, known in (("field", added, fields), ("event", begun, events)):
        for name in sorted(there - known):
            yield f"{AUDIT_PAGE}: {what} {name} is missing"
        for name in sorted(n for n in known - there if f'"{n}"' not in code):
            yield f"{AUDIT_PAGE}: {what} {name} is in no record"


EVENTS = "daemon/common/audit-events.c"


def known_events(tree):
    """What cmkctl takes for an event is what the page has, which man-trail-names holds against the code; sorted, as people read it."""
    page, table = tree.need(AUDIT_PAGE), re.search(r"events\[\] = \{(.*?)\};", tree.need(EVENTS), re.S)
    names = re.findall(r'"(\w+)"', table.group(1)) if table else []
    events = set().union(*(listed(page, f"EVENTS OF {title}") for title in ("CMKD", "CMKD-AUDIT", "THE KERNEL")))
    if names != sorted(set(names)):
        yield f"{EVENTS}: the names are not in their order, or are there twice"
    yield from compare(events, set(names), EVENTS, "event")


TOKEN, TOKEN_PAGE = "daemon/disk/token.c", "daemon/man/cmkd-token.5"
WORKER, WORKER_PAGE = "daemon/vault/options.c", "daemon/man/cmkd-vault.8"


def token_fields(tree):
    """What a token has at its top, by any of its versions."""
    tables = re.findall(r"members(?:_\w+)?\[\] = \{(.*?)NULL", tree.need(TOKEN).split("proof_members[]")[0], re.S)
    known = {name for table in tables for name in re.findall(r'"(\w+)"', table)}
    yield from compare(known, listed(tree.need(TOKEN_PAGE), "FIELDS"), TOKEN_PAGE, "field")


def findings(tree):
    known = set(re.findall(r'^\s*\[FINDING_\w+\] = \{ "([a-z0-9-]+)"', tree.need("daemon/ctl/doctor/findings.c"), re.M))
    yield from compare(known, listed(tree.need(CTL_PAGE), "FINDINGS"), CTL_PAGE, "id of a finding")


def worker_options(tree):
    known = set(re.findall(r'\{ "([a-z-]+)", (?:no|required)_argument', tree.need(WORKER)))
    text = "\n".join(tagged(section(tree.need(WORKER_PAGE), "OPTIONS")))
    yield from compare(known, set(re.findall(r"--([a-z][a-z-]*)", text)), WORKER_PAGE, "option")


RED_TEAM, RED_TEAM_HEAD = "tests/vm/audit-red-team", "| an insider | the record | with `Mode=enforce` |\n|-|-|-|\n"


def red_team(tree):
    """The table in the README is what the test tries."""
    found = re.search(r"^TRIES = (\[.*?^\])$", tree.need(RED_TEAM), re.M | re.S)
    tries = ast.literal_eval(found.group(1)) if found else []
    if len(tries) < 25:
        yield f"{RED_TEAM} tries {len(tries)} things, 25 were promised"
    ours = [f"| {what} | {f'`{event}`' if event else '-'} | {then} |" for _, what, event, then in tries]
    text = tree.need("README.md").partition(RED_TEAM_HEAD)[2]
    theirs = re.match(r"(?:\|.*\n)*", text).group(0).splitlines()
    for line in [line for line in ours if line not in theirs]:
        yield f"README.md does not have the row {line}"
    for line in [line for line in theirs if line not in ours]:
        yield f"README.md has a row that {RED_TEAM} does not try: {line}"
