# SPDX-License-Identifier: Apache-2.0
"""The busy case, for one file system: tests/vm/revoke-busy-*."""

from . import product, revoke, steps

MAPPER = """
import mmap, sys, time
f = open("/mnt/known", "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print("mapped", m[0], flush=True)
while True:
    m[0]
    time.sleep(0.05)
"""
WRITER = "i=0; while :; do i=$((i+1)); echo $i > {}/busy && sync {}/busy || exit 1; echo line $i; done"


def test(node, vault, fs):
    key = product.fresh(node, vault, keys=("k1", "k2"), policy=revoke.REVOKE)
    other = vault.create_key("k2")
    product.volume(node, key, fs=None)
    steps.mkfs(node, fs, "/dev/mapper/data1", "/mnt")
    product.volume(node, other, name="data2", disk="data2", mount="/mnt2")
    revoke.known_file(node)
    holders = [node.start_command(WRITER.format("/mnt", "/mnt")), node.start_command(["python3", "-c", MAPPER]),
               node.start_command("cd /mnt && echo in && exec sleep 600")]
    bystander = node.start_command(WRITER.format("/mnt2", "/mnt2"))
    for running, word in zip([*holders, bystander], ("line 3", "mapped", "in", "line 3")):
        running.expect(word, 60)
    manager = revoke.pid_of(node)
    clock, trail = revoke.Clock(node), revoke.Trail(node)
    disabled = clock.boot(vault.ctl("disable", "k1")["time"])
    freed = revoke.boot(trail.wait("key_freed"))
    trail.wait("removed", volume="data1", cause="revoked")
    print(trail.story())
    asked = trail.seen("verdict", counted_as="REVOKED")
    trips = sum(int(r["fields"]["round_trip_usec"]) for r in asked) / 1e6
    bound = revoke.POLL + revoke.CONFIRM + trips + revoke.MARGIN
    print(f"key gone {freed - disabled:.2f} s after it was disabled, bound {bound:.2f}, round trips {trips:.2f}")
    assert 0 < freed - disabled <= bound, (freed - disabled, bound, trail.story())
    # The child that opens the mount may be too slow for its time here; it may not be unable to
    opened = trail.seen("step", step="open")[0]["fields"]["result"]
    assert opened in ("done", "Connection timed out"), trail.story()
    assert opened != "done" or trail.seen("step", step="shut", result="done"), trail.story()
    for running in holders:
        assert running.wait(10).status != 0, running.words
    revoke.assert_gone(node)
    bystander.expect("line", 20)
    bystander.expect("line", 20)
    assert revoke.pid_of(node) == manager, "the manager is another process"
    assert product.status(node, "data2")["state"] == "attached"
    bystander.kill()
    node.sh("cat /mnt2/busy && umount /mnt2 && cmkctl detach data2 && cmkctl audit verify", timeout=90)
