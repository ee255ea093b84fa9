/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Frames over SOCK_SEQPACKET: one datagram a frame, at most one descriptor with it (SCM_RIGHTS), never blocking unless
 * the socket does. */

#include "wire.h"

/* Sends a finished frame; fd (-EBADF: none) is duplicated to the peer and stays the caller's. Returns 0, -EAGAIN (the
 * peer does not read), -EPIPE/-ECONNRESET (gone), or what sendmsg(2) says. Never raises SIGPIPE. */
int link_send(int sock, const struct wire_frame *f, int fd);

/* The same for a frame that somebody kept: its bytes. */
int link_send_bytes(int sock, const void *data, size_t size, int fd);

/* Receives one frame into f and opens c on it. ret_fd: takes over a descriptor that came along, NULL where none is
 * expected (one that comes is closed and the frame refused). Returns 1 for a frame, 0 at the peer's end of file,
 * -EAGAIN, -EBADMSG and -EPROTONOSUPPORT for a bad frame, or what recvmsg(2) says. */
int link_receive(int sock, struct wire_frame *f, struct wire_cursor *c, int *ret_fd);

/* The same without looking into it. Returns 1 (*ret_size bytes, more than none), 0, -EAGAIN, -EBADMSG (longer than size, or descriptors that
 * are not expected), or what recvmsg(2) says. */
int link_receive_bytes(int sock, void *data, size_t size, size_t *ret_size, int *ret_fd);

/* Connects to a SEQPACKET socket in the file system. nonblock: of the descriptor that is returned. Returns the
 * descriptor, -ENAMETOOLONG, or what connect(2) says (-ECONNREFUSED, -ENOENT: the service does not run). */
int link_connect(const char *path, bool nonblock);

/* Makes a listening SEQPACKET socket of that mode, replacing a stale one. Returns the descriptor or -errno. */
int link_listen(const char *path, mode_t mode);

/* The user and process at the other end (SO_PEERCRED). Returns 0 or -errno. */
int link_peer(int sock, uid_t *ret_uid, pid_t *ret_pid);
