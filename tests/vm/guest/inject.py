# SPDX-License-Identifier: Apache-2.0
"""inject.py PID: makes another process call the kernel, as an exploit in it would. Each line of standard input is a number and six
arguments; each answer is a line: what the call returned, or the signal that ended the process. x86-64."""

import ctypes
import os
import signal
import sys

SEIZE, INTERRUPT, GETREGS, SETREGS, SINGLESTEP, DETACH = 0x4206, 0x4207, 12, 13, 9, 17
WALL = 0x40000000
RAX, ORIG_RAX, RIP, REGISTERS = 10, 15, 16, 27
ARGUMENTS = (14, 13, 12, 7, 9, 8)       # rdi, rsi, rdx, r10, r8, r9
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
Registers = ctypes.c_uint64 * REGISTERS


def ptrace(request, pid, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request:#x}: {os.strerror(number)}")


def syscall_instruction(pid):
    """Where one stands in the process's vdso, which every process has."""
    with open(f"/proc/{pid}/maps") as maps:
        area = next(line.split()[0] for line in maps if line.rstrip().endswith("[vdso]"))
    start, end = (int(x, 16) for x in area.split("-"))
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(start)
        return start + memory.read(end - start).index(b"\x0f\x05")


def stopped(pid):
    """None once it has stopped, or the signal that ended it."""
    _, status = os.waitpid(pid, WALL)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WIFSTOPPED(status), status
    return None


def call(pid, where, number, arguments):
    saved, registers = Registers(), Registers()
    ptrace(GETREGS, pid, ctypes.byref(saved))
    ctypes.memmove(registers, saved, ctypes.sizeof(saved))
    registers[RAX], registers[ORIG_RAX], registers[RIP] = number, 2**64 - 1, where
    for register, argument in zip(ARGUMENTS, arguments):
        registers[register] = argument % 2**64
    ptrace(SETREGS, pid, ctypes.byref(registers))
    ptrace(SINGLESTEP, pid)
    ended = stopped(pid)
    if ended:
        return signal.Signals(ended).name
    ptrace(GETREGS, pid, ctypes.byref(registers))
    ptrace(SETREGS, pid, ctypes.byref(saved))
    return ctypes.c_int64(registers[RAX]).value


def main():
    pid = int(sys.argv[1])
    ptrace(SEIZE, pid)
    ptrace(INTERRUPT, pid)
    assert stopped(pid) is None
    where = syscall_instruction(pid)
    for line in sys.stdin:
        number, *arguments = (int(word, 0) for word in line.split())
        result = call(pid, where, number, arguments)
        print(result, flush=True)
        if isinstance(result, str):
            return
    ptrace(DETACH, pid)


main()
