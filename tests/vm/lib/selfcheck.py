# SPDX-License-Identifier: Apache-2.0
"""Whether the harness notices what it must: tests that are made to go wrong, and what has to be said of each."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

HEAD = '"""Made to go wrong (or right), to check the harness."""\nINSTALL = False\n'
SAID = 'node.sh("systemd-run -q --wait echo \'%s\' && journalctl --sync")'
KMSG = 'node.sh(["/bin/sh", "-c", "echo \'%s\' > /dev/kmsg"])'

# name: (settings, body, what the runner has to say)
CASES = {
    "node-passes": ('SHARE = "self"', "assert node.out('echo 1') == '1'", r"^ok node-passes"),
    "node-splat": ('SHARE = "self"', KMSG % "WARNING: CPU: 0 PID: 1 at kernel/x.c:1", r"^FAIL node-splat .*splat: .*WARNING"),
    "node-splat-expected": ('SHARE = "self"\nSPLATS = ["at kernel/x.c"]', KMSG % "WARNING: CPU: 0 PID: 1 at kernel/x.c:1",
                            r"^ok node-splat-expected"),
    "node-cycle": ('SHARE = "self"', """node.sh("mkdir -p /run/systemd/system && cd /run/systemd/system && "
            "printf '[Unit]\\nAfter=b.service\\n[Service]\\nExecStart=true\\n' > a.service && "
            "printf '[Unit]\\nAfter=a.service\\nWants=a.service\\n[Service]\\nExecStart=true\\n' > b.service && "
            "systemctl daemon-reload && systemctl start b.service")""", r"^FAIL node-cycle .*splat: .*ordering cycle"),
    "node-sanitizer-kernel": ('SHARE = "self"', KMSG % "==1==ERROR: AddressSanitizer: made up", r"^FAIL node-sanitizer-kernel .*splat: .*AddressSanitizer"),
    "node-sanitizer-journal": ('SHARE = "self"', SAID % "x.c:1:1: runtime error: made up",
                               r"^FAIL node-sanitizer-journal .*splat: .*runtime error"),
    "node-assertion": ('SHARE = "self"', "assert node.out('echo 1') == '2', 'one is not two'", r"^FAIL .*one is not two"),
    "node-exit-status": ('SHARE = "self"', "node.sh('exit 5')", r"^FAIL node-exit-status .*exit 5"),
    "node-no-verdict": ('SHARE = "self"', "import os; os._exit(0)", r"^FAIL node-no-verdict .*no verdict"),
    "node-early-exit": ('SHARE = "self"', "import sys; sys.exit(0)", r"^FAIL node-early-exit .*called exit"),
    "node-skip": ('SHARE = "self"', "import sys; sys.exit(77)", r"^skip node-skip"),
    "node-hang": ('SHARE = "self"\nTIMEOUT = 5', "node.sh('sleep 1000')", r"^FAIL node-hang .*not done within 5 s"),
    "node-panic": ("", "node.sh('echo c > /proc/sysrq-trigger')", r"^FAIL node-panic .*splat: .*(panic|BUG|Oops)"),
    "node-no-claim": (None, "pass", r"^FAIL node-no-claim .*does not state its claim"),
}


def write_tests(directory):
    for name, (settings, body, _) in CASES.items():
        head = HEAD + settings if settings is not None else ""
        (directory / name).write_text(f"{head}\n\ndef test(node):\n    {body}\n")


def main(run, guest):
    with tempfile.TemporaryDirectory(prefix="cmkd-selfcheck.") as name:
        directory = pathlib.Path(name)
        write_tests(directory)
        argv = [sys.executable, "-B", str(run), "--guest", guest, "--dir", name, "--artifacts", str(directory / "logs")]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "CMKD_SANITIZE": "address,undefined"})       # so that reports are looked for
        passed = 0
        for case, (_, _, wanted) in CASES.items():
            good = re.search(wanted, done.stdout, re.MULTILINE)
            passed += bool(good)
            print(f"{'ok' if good else 'FAIL'} self-check {case}" + ("" if good else f": wanted /{wanted}/"))
        counts = re.search(r"^2 passed, 11 failed, 1 skipped$", done.stdout, re.MULTILINE)
        total = bool(counts and done.returncode)
        print(f"{'ok' if total else 'FAIL'} self-check summary and exit status")
        if not total or passed < len(CASES):
            print(done.stdout)
        print(f"{passed + total} passed, {len(CASES) + 1 - passed - total} failed")
        return 0 if total and passed == len(CASES) else 1
