# SPDX-License-Identifier: Apache-2.0
"""What a node is to QEMU: its command line, and whether hardware acceleration works here."""

import os
import pathlib
import subprocess

from .common import HarnessError, cache_dir, die_with_parent, digest, lock, output_of, say

QEMU = "qemu-system-x86_64"
HOTPLUG_PORTS = 4
# (name, MiB, logical block size, physical block size): /dev/disk/by-id/virtio-NAME in the guest
DISKS = [("data0", 128, 512, 512), ("data1", 128, 4096, 4096), ("data2", 64, 512, 4096), ("data3", 64, 512, 512)]
COMMAND_LINE = ("console=ttyS0 root=/dev/vda rw net.ifnames=0 panic=-1 loglevel=5 mitigations=off random.trust_cpu=on "
                "lsm=landlock,lockdown,yama,integrity,apparmor,bpf sysctl.kernel.hung_task_panic=0 "
                "systemd.show_status=0 systemd.log_target=journal systemd.default_timeout_start_sec=300")
PROBE_SECONDS = 15


def qemu_version():
    try:
        return output_of([QEMU, "--version"]).splitlines()[0]
    except FileNotFoundError:
        raise HarnessError(f"{QEMU} is not installed: run tests/setup") from None


def accel_arguments(accel, guest=None, counted=False):
    if counted:
        # One CPU whose clock goes on by a nanosecond an instruction, and as the host's while nothing runs
        return ["-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", "max,cx16=off,la57=off"]
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # Seen with QEMU 7.2 and the newest kernel, at boot, not each time: "Oops: int3" where the kernel had just patched
    # itself. Believed: one CPU ran a block translated from bytes that another had replaced. One after the other there.
    thread = "single" if guest == "sid" else "multi"
    # cx16: emulated, kernels from 6.12 on panic at random with it (QEMU 7.2). la57: a page walk level less.
    return ["-accel", f"tcg,thread={thread}", "-cpu", "max,cx16=off,la57=off"]


def accel(image):
    """kvm if a guest really runs with it (a device node that opens proves nothing), else tcg."""
    chosen = os.environ.get("CMKD_ACCEL")
    if chosen:
        if chosen not in ("kvm", "tcg"):
            raise HarnessError(f"CMKD_ACCEL={chosen}: must be kvm or tcg")
        return chosen
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = cache_dir() / f"accel-{digest(qemu_version(), boot_id)}"
    with lock("accel", "probing hardware acceleration"):
        if not known.exists():
            for path in cache_dir().glob("accel-*"):
                if path.suffix != ".lock":
                    path.unlink()
            found = probe(image)
            say(f"hardware acceleration {'works' if found == 'kvm' else 'does not work, emulating'}")
            known.write_text(found)
        return known.read_text()


def probe(image):
    """Boots the guest's kernel with KVM until its initramfs speaks."""
    argv = [QEMU, "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35", "-m", "512", "-serial", "stdio",
            *accel_arguments("kvm"), "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
            "-append", "console=ttyS0 quiet panic=-1 cmkd.probe"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=PROBE_SECONDS, preexec_fn=die_with_parent)
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if b"cmkd probe: this machine runs" in done.stdout else "tcg"


def drive(name, path, form, logical, physical, slot):
    return ["-blockdev", f"driver=file,filename={path},node-name={name}-file,cache.no-flush=on,discard=unmap",
            "-blockdev", f"driver={form},file={name}-file,node-name={name},cache.no-flush=on,discard=unmap",
            "-device", f"virtio-blk-pci,drive={name},id={name},serial={name},addr={slot:#x},"
                       f"logical_block_size={logical},physical_block_size={physical}"]


def console(spec, files):
    """The serial console goes to a file; with console_input a test may also type."""
    if not spec.get("console_input"):
        return f"file,id=console,path={files['console']},append=on"
    return f"socket,id=console,path={files['console_socket']},server=on,wait=off,logfile={files['console']},logappend=on"


def arguments(spec, files):
    """QEMU's command line. spec: what the machine is; files: where its parts are. A snapshot depends on spec alone."""
    argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
            *accel_arguments(spec["accel"], spec["guest"], spec.get("counted")), "-smp", str(spec["cpus"]), "-m", str(spec["memory"]),
            "-kernel", files["kernel"], "-initrd", files["initrd"],
            "-append", " ".join([spec.get("command_line", COMMAND_LINE), spec["append"]]).strip(),
            "-chardev", console(spec, files), "-serial", "chardev:console",
            "-device", "vmgenid,guid=auto", "-device", "virtio-rng-pci,addr=0x3",
            "-device", "virtio-serial-pci,addr=0x4", "-chardev", f"socket,id=agent,fd={files['agent_fd']}",
            "-device", "virtserialport,chardev=agent,name=cmkd-agent",
            "-chardev", f"socket,id=qmp,fd={files['qmp_fd']}", "-mon", "chardev=qmp,mode=control",
            "-chardev", f"socket,id=qmp2,path={files['qmp']},server=on,wait=off", "-mon", "chardev=qmp2,mode=control",
            # The guest has no route out, and no name server: the host's loopback is all it reaches.
            "-netdev", "user,id=net0,net=169.254.169.0/24,host=169.254.169.254,dhcpstart=169.254.169.10,ipv6=off",
            "-device", "virtio-net-pci,netdev=net0,romfile=,addr=0x5"]
    argv += ["-action", "reboot=shutdown,panic=shutdown"]
    argv += drive("root", files["root"], "qcow2", 512, 512, 6)
    for slot, (name, _, logical, physical) in enumerate(spec["disks"], 7):
        argv += drive(name, files[name], "raw", logical, physical, slot)
    for port in range(HOTPLUG_PORTS):
        argv += ["-device", f"pcie-root-port,id=hp{port},chassis={port + 1},slot={port + 1},addr={0x18 + port:#x}"]
    return argv


def spec_for(image, guest, memory, cpus, append, counted=False):
    """counted: time in the guest is a count of its instructions; emulated, one CPU."""
    spec = {"guest": guest, "accel": accel(image), "cpus": cpus, "memory": memory, "append": append, "disks": DISKS}
    return {**spec, "counted": True, "accel": "tcg", "cpus": 1} if counted else spec


def snapshot_key(image, spec):
    nothing = dict.fromkeys(["kernel", "initrd", "console", "agent_fd", "qmp_fd", "qmp", "root",
                             *(disk[0] for disk in spec["disks"])], "")
    return digest("snapshot-2", image.name, qemu_version(), spec["guest"], *spec["disks"], *arguments(spec, nothing))
