# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of evidence and verdicts that are provoked in no test of the worker with transit and PKCS#11 keys, with the reason:
counted as skipped. Those of Azure are in worker_rows.py. Where another test decides the row, it is named, and has to be there."""

import fnmatch
import os

# name: (reason, file of tests/unit or None, what stands in it)
TRANSIT = {
    "mount-or-namespace-missing-raised-to-denied": ("not built: without ClusterId= it stays UNREACHABLE, however long", None, None),
    "key-past-its-date": ("transit keys have no dates", None, None),
    "content-of-a-reply": ("a reply of decrypt, of a key and of a login is spoiled where it is parsed", "test-transit.c", "test_plaintext"),
}
PKCS11 = {
    "token-missing-raised-to-denied": ("not built: it stays UNREACHABLE, however long", None, None),
    "key-past-its-date": ("CKA_END_DATE is read (test-pkcs11), and what it means is decided in the manager", "test-attributes.c",
                          "attributes: expired"),
    "request-of-ours": ("wrong arguments and mechanisms are a model's word", "test-pkcs11.c", "MISCONFIGURED CKR_ARGUMENTS_BAD"),
}


def tell(title, rows, only):
    """Raises where a test that a row names is not there."""
    for name, (why, file, text) in rows.items():
        where = os.path.join(os.path.dirname(os.path.realpath(__file__)), file or "")
        if file and text not in open(where).read():
            raise AssertionError("%s row-%s: %s has no %s" % (title, name, file, text))
        if fnmatch.fnmatch("row-" + name, only):
            print("skip %s row-%s: %s%s" % (title, name, why, " (%s)" % file if file else ""))
