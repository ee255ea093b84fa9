# SPDX-License-Identifier: Apache-2.0
"""Disks that come by other ways than virtio-blk: a USB stick, a network block device, two paths to one disk. Their files are
those of hotplug.image(); the guest has the drivers where it is bookworm-hardware."""

import contextlib
import os
import socket
import subprocess

from . import hotplug
from .common import die_with_parent


def add_file(node, name, disk=None):
    """A disk's file as a block device of QEMU's; disk: whose file, where it is another one's."""
    path = hotplug.image(node, disk or name)
    node.qmp("blockdev-add", driver="file", filename=str(path), node_name=f"{name}-file", discard="unmap",
             cache={"no-flush": True})
    node.qmp("blockdev-add", driver="raw", file=f"{name}-file", node_name=name)


def drop_file(node, name):
    node.qmp("blockdev-del", node_name=name)
    node.qmp("blockdev-del", node_name=f"{name}-file")


def unplug(node, device, timeout=60):
    node.qmp("device_del", id=device)
    while node.monitor.wait_event("DEVICE_DELETED", timeout=timeout)["data"].get("device") != device:
        pass


# USB

def usb_controller(node, port=3):
    node.qmp("device_add", driver="qemu-xhci", id="xhci", bus=f"hp{port}")


def plug_usb(node, name, removable=False):
    """Its link in the guest."""
    add_file(node, name)
    node.qmp("device_add", driver="usb-storage", bus="xhci.0", drive=name, id=name, serial=name, removable=removable)
    return f"/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_{name}-0:0"


def unplug_usb(node, name):
    unplug(node, name)
    drop_file(node, name)


# nbd

@contextlib.contextmanager
def nbd_server(node, disk):
    """The port of the host at which the disk's file is served: bound here, handed on as systemd would."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        def hand_on():
            die_with_parent()
            os.dup2(listener.fileno(), 3)

        serve = 'LISTEN_PID=$$ LISTEN_FDS=1 exec qemu-nbd --persistent -f raw "$0"'
        process = subprocess.Popen(["sh", "-c", serve, str(hotplug.image(node, disk))], stdin=subprocess.DEVNULL,
                                   preexec_fn=hand_on, close_fds=False)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


# SCSI: a controller of its own for each path. It stays: 6.1's virtio_scsi warns when a controller is unplugged.

def controller(node, number):
    node.qmp("device_add", driver="virtio-scsi-pci", id=f"scsi{number}", bus=f"hp{number}")


def plug_path(node, number, disk, wwn):
    """One more path to a disk whose file was added: id pathN."""
    node.qmp("device_add", driver="scsi-hd", id=f"path{number}", bus=f"scsi{number}.0", drive=disk, serial=disk, wwn=wwn,
             **{"share-rw": True})


def unplug_path(node, number):
    unplug(node, f"path{number}")
