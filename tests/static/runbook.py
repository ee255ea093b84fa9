# SPDX-License-Identifier: Apache-2.0
"""The runbook against the code: a page for each state, verdict and alarm, and nothing in a page that does not exist."""

import os
import re
import shutil
import subprocess

import docs
from tree import Skip

FOLDER = "daemon/data/runbook/"
STATES, VERDICTS, RULES = "daemon/manager/volume.c", "daemon/common/verdict.c", "daemon/data/examples/cmkd.rules.yml"
CATALOG = "daemon/data/cmkd.catalog"
IDS, FILTER = "daemon/audit/message-ids.h", "daemon/ctl/review/filter.h"
PARTS = ["What it means", "What is at risk", "What to do", "It is over when"]
INSTALLED = "/usr/share/doc/cmkd/runbook/"


def alarms(tree):
    """name -> the text of the rule."""
    return dict(re.findall(r"^ +- alert: (\w+)\n((?:(?! +- alert: ).*\n)*)", tree.need(RULES), re.M))


def subjects(tree):
    """What has to have a page: its name without .md."""
    states = re.findall(r'^\s*\[VOLUME_\w+\]\s*= \{ "(\w+)"', tree.need(STATES), re.M)
    verdicts = re.findall(r'^\s*\[VERDICT_\w+\]\s*= \{ "(\w+)"', tree.need(VERDICTS), re.M)
    for kind, names in (("state", states), ("verdict", verdicts), ("alert", list(alarms(tree)))):
        if not names:
            yield f"no {kind} found in the code: the check is blind"
        yield from (f"{kind}-{name}" for name in names)


def pages(tree):
    """Each subject has a page and each page a subject; each page has its parts and stands in the index; each alarm names its page."""
    wanted = list(subjects(tree))
    yield from (w for w in wanted if " " in w)
    there = [n[len(FOLDER):-len(".md")] for n in tree.below(FOLDER, ".md")]
    index = tree.text(FOLDER + "README.md") or ""
    for name in sorted(set(wanted) - set(there)):
        if " " not in name:
            yield f"{FOLDER}{name}.md is missing: a page with the parts {', '.join(PARTS)}"
    for name in sorted(set(there) - set(wanted) - {"README"}):
        yield f"{FOLDER}{name}.md is about nothing that there is: no such state, verdict or alarm"
    for name in sorted(set(there) & set(wanted)):
        text = tree.text(f"{FOLDER}{name}.md")
        if not text.startswith(f"# {name.partition('-')[2]}\n"):
            yield f"{FOLDER}{name}.md does not begin with its name"
        if re.findall(r"^## (.*)\n\n(?=    \S|[^#\s])", text, re.M) != PARTS:
            yield f"{FOLDER}{name}.md does not have the parts {', '.join(PARTS)}, with a text in each"
        if f"({name}.md)" not in index:
            yield f"{FOLDER}README.md does not name {name}.md"
    for name, rule in alarms(tree).items():
        if f" runbook: {INSTALLED}alert-{name}.md\n" not in rule:
            yield f"{RULES}: {name} has no annotation runbook: {INSTALLED}alert-{name}.md"


def verb_options(tree):
    """verb -> the options that it takes, by cmkctl's tables."""
    main = tree.need(docs.MAIN)
    names = dict(re.findall(r'^\s*\[OPTION_(\w+)\] = \{ "([a-z-]+)"', tree.need(docs.OPTIONS), re.M))
    shared = dict(re.findall(r"^#define (FILTER_OPTIONS) ((?:.*\\\n)*.*)", tree.need(FILTER), re.M))
    found = {}
    for verb, text in re.findall(r'^\s*\{ "([a-z-]+(?: [a-z-]+)?)", \d+, \d+,\s*([^"]*),\s*"', main, re.M):
        for name, more in shared.items():
            text = text.replace(name, more)
        found[verb] = {names[o] for o in re.findall(r"\bO(?:PTION_BIT\(OPTION_|\()(\w+)\)", text) if o in names} | {"help"}
    return found


def commands(text):
    """What stands in a page as code, in a line of its own or within one."""
    fenced = re.findall(r"^    (.*)$", text, re.M)
    return fenced + [" ".join(c.split()) for c in re.findall(r"`([^`]+)`", text)]


def calls(line):
    """The calls of cmkctl in a line of code, as words."""
    return [c.split() for c in re.findall(r"\bcmkctl\b([^|;&)]*)", line)]


def judge_call(words, verbs):
    """What is wrong with the words after cmkctl, or None."""
    name = " ".join(words[:2]) if " ".join(words[:2]) in verbs else words[0] if words else ""
    if name not in verbs:
        return f"cmkctl {' '.join(words[:2])}, which is no verb"
    for option in (w.partition("=")[0] for w in words if w.startswith("--")):
        if option[2:] not in verbs[name]:
            return f"cmkctl {name} {option}, which it has not"
    return None


def judge(tree, path, verbs, keys, events):
    text = tree.text(path)
    code = commands(text)
    wrong = [judge_call(words, verbs) for line in code for words in calls(line)]
    wrong += [f"the event {e}, which is in no record" for line in code for listed in re.findall(r"--event[ =](\S+)", line)
              for e in listed.split(",") if e not in events]
    wrong += [f"the setting {k}=, which is none" for k in re.findall(r"\b([A-Z][a-z]\w*)=", text) if k not in keys]
    wrong += [f"the message id {i}, which is none" for i in re.findall(r"MESSAGE_ID=(\w+)", text) if i not in tree.need(IDS)]
    wrong += [f"{link}, which is not there" for link in re.findall(r"\]\(([^)]*)\)", text) if FOLDER + link not in tree.files]
    return [f"{path} names {w}" for w in wrong if w]


def contents(tree):
    """Each command, setting, event, message id and page that a page names exists."""
    verbs, keys, audit = verb_options(tree), docs.key_names(tree), tree.need(docs.AUDIT_PAGE)
    events = set().union(*(docs.listed(audit, f"EVENTS OF {t}") for t in ("CMKD", "CMKD-AUDIT", "THE KERNEL")))
    if not any(calls(line) for n in tree.below(FOLDER, ".md") for line in commands(tree.text(n))):
        yield "no page has a command of cmkctl: the check is blind"
    for path in tree.below(FOLDER, ".md"):
        yield from judge(tree, path, verbs, keys, events)
    for page in re.findall(re.escape(INSTALLED) + r"(\S+)", tree.need(CATALOG)):
        if FOLDER + page not in tree.files:
            yield f"{CATALOG} names {page}, which is not there"


PLAYBOOK = "daemon/data/examples/cmkd-node.yml"


def examples(tree):
    """Each call of cmkctl, and each setting, of the playbook exists."""
    text, verbs, keys = tree.need(PLAYBOOK), verb_options(tree), docs.key_names(tree)
    listed = [re.findall(r'"[^"]*"|[^\s,]+', inner) for inner in re.findall(r"argv: \[cmkctl, ([^\]]*)\]", text)]
    if not listed:
        yield f"{PLAYBOOK} calls no verb: the check is blind"
    wrong = [judge_call(words, verbs) for words in listed]
    wrong += [f"the setting {k}=, which is none" for k in re.findall(r"^ +([A-Z][a-z]\w*)=", text, re.M) if k not in keys]
    yield from (f"{PLAYBOOK} names {w}" for w in wrong if w)


def playbook(tree):
    """Ansible reads it; its linter, where that is installed, has nothing to say."""
    tree.need(PLAYBOOK)
    if not shutil.which("ansible-playbook"):
        raise Skip("there is no ansible-playbook (Debian: ansible-core)")
    path = os.path.join(tree.root, PLAYBOOK)
    calls = [["ansible-playbook", "-i", "localhost,", "--syntax-check", path]]
    if shutil.which("ansible-lint"):
        calls.append(["ansible-lint", "--offline", "--nocolor", "-q", "-p", path])
    for argv in calls:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tree.root, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            yield f"{argv[0]}: " + " / ".join((done.stdout + done.stderr).split("\n"))[:600]
