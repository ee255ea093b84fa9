# SPDX-License-Identifier: Apache-2.0
"""Runs the claims against a server, for the programs of this folder. One line a claim, last line `N passed, N failed[, N skipped]`."""

import argparse
import fnmatch
import os
import sys
import traceback

import registry
from transit_claims import Claims
from transit_server import NotThere

HERE = os.path.dirname(os.path.realpath(__file__))


def parse(doc):
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.environ.get("CMKD_BUILD") or os.path.join(HERE, "..", "..", "build"))
    p.add_argument("--only", default="*")
    p.add_argument("--timeout", type=int, default=300, help="seconds for the registry (default 300)")
    return p


def run(kind, program, args):
    """kind: "openbao" or "vault"; program: its server. Does not return."""
    worker = os.path.realpath(os.path.join(args.build, "cmkd-vault"))
    if not os.path.exists(worker):
        registry.finish(kind, "%s is not there: make" % worker, failed=True)
    passed = failed = skipped = 0
    claims = Claims(program, worker, kind)
    try:
        for name in sorted(n for n in dir(claims) if n[0] == "c" and n[1:3].isdigit()):
            claim = "%s-%s" % (kind, name[4:].replace("_", "-"))
            if not fnmatch.fnmatch(claim, args.only):
                continue
            try:
                getattr(claims, name)()
                passed += 1
                print("ok %s" % claim, flush=True)
            except NotThere as e:
                skipped += 1
                print("skip %s: %s" % (claim, e), flush=True)
            except Exception as e:
                failed += 1
                where = traceback.extract_tb(e.__traceback__)[-1]
                print("FAIL %s: %s: %s (line %s)" % (claim, type(e).__name__, e, where.lineno), flush=True)
    finally:
        claims.stop()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed or not passed else 0)
