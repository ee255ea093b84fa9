# SPDX-License-Identifier: Apache-2.0
"""What cmkd offers on D-Bus, from its vtables, and the manual page that has to say so."""

import re

import docs

PAGE = "daemon/man/org.cmkd1.5"
# section of the page: the file with the vtable
INTERFACES = {"THE MANAGER": "daemon/manager/bus-manager.c", "A VOLUME": "daemon/manager/bus-volume.c"}
KINDS = {"method": "Methods", "signal": "Signals", "property": "Properties"}
FLAGS = {"SD_BUS_VTABLE_PROPERTY_CONST": ", constant", "SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE": ", emits change"}
CLOSING = {"(": ")", "{": "}"}


def types(signature):
    """A signature's complete types: "a(st)as" is a(st) and as."""
    found, at = [], 0
    while at < len(signature):
        begin = at
        while signature[at] == "a":
            at += 1
        opening, depth = signature[at], 0
        while opening in CLOSING:
            depth += (signature[at] == opening) - (signature[at] == CLOSING[opening])
            if depth == 0:
                break
            at += 1
        at += 1
        found.append(signature[begin:at])
    return found


def arguments(direction, signature, names):
    listed, named = types(signature.strip('"') if signature != "NULL" else ""), re.findall(r"SD_BUS_PARAM\((\w+)\)", names)
    if len(listed) != len(named):
        return [f"{direction}{t}" for t in listed]
    return [f"{direction}{t} {n}" for t, n in zip(listed, named)]


def call(name, inner):
    return f"{name}({', '.join(inner)})"


def members(text):
    """(kind, name, how the page writes it) of each in a vtable, in its order."""
    table = text[text.index("SD_BUS_VTABLE_START"):text.index("SD_BUS_VTABLE_END")]
    short = dict(re.findall(r'^#define (\w+)\(name.*?\) SD_BUS_PROPERTY\(name, "([^"]*)"', text, re.M))
    pattern = re.compile(r'SD_BUS_METHOD_WITH_NAMES\(\s*"(?P<m>\w+)",\s*(?P<mi>NULL|"[^"]*"),(?P<min>[^"]*?),?\s*(?P<mo>NULL|"[^"]*"),(?P<mon>[^"]*?),'
                         r'\s*\w+, 0\)|SD_BUS_METHOD\(\s*"(?P<p>\w+)"|'
                         r'SD_BUS_SIGNAL_WITH_NAMES\(\s*"(?P<s>\w+)",\s*(?P<si>"[^"]*"),(?P<sin>[^"]*?), 0\)|'
                         r'SD_BUS_PROPERTY\("(?P<y>\w+)", "(?P<yt>[^"]*)"(?P<yf>[^;]*?)\),\n|(?P<short>[A-Z]+)\("(?P<z>\w+)"(?P<zf>[^;]*?)\),\n')
    for m in pattern.finditer(table):
        if m["m"]:
            yield "method", m["m"], call(m["m"], arguments("in ", m["mi"], m["min"]) + arguments("out ", m["mo"], m["mon"]))
        elif m["p"]:
            yield "method", m["p"], call(m["p"], [])
        elif m["s"]:
            yield "signal", m["s"], call(m["s"], arguments("", m["si"], m["sin"]))
        else:
            name, kind, flags = m["y"] or m["z"], m["yt"] or short.get(m["short"], "?"), m["yf"] or m["zf"]
            yield "property", name, f"{name} ({kind}{''.join(t for f, t in FLAGS.items() if f in flags)})"


def page(tree):
    """Each method, signal and property stands in the page with its arguments, and nothing else does."""
    text = tree.need(PAGE)
    for section, path in INTERFACES.items():
        offered = list(members(tree.need(path)))
        if len(offered) != len(re.findall(r'^ +[A-Z_]+\("', tree.text(path), re.M)):
            yield f"not all of the vtable of {path} was understood: the check is blind"
        for kind, title in KINDS.items():
            part = re.search(rf"^\.SS {title}$(.*?)(?=^\.SS |\Z)", docs.section(text, section), re.M | re.S)
            there, wanted = set(docs.tagged(part[1] if part else "")), {line for k, _, line in offered if k == kind}
            for line in sorted(wanted - there):
                yield f"{PAGE}: in .SH {section}, .SS {title} add \".TP\", \".B {line}\", and what it does"
            for line in sorted(there - wanted):
                yield f"{PAGE}: in .SH {section}, .SS {title} {line} is nothing that {path} offers"
