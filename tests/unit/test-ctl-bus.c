/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/bus.c daemon/ctl/bus-json.c daemon/ctl/volume.c daemon/ctl/trust.c daemon/ctl/status.c
// sources: daemon/ctl/attach-udev.c daemon/ctl/udev.c daemon/ctl/crypttab.c
