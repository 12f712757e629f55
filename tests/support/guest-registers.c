// Loaded before the guest's kernel, which keeps 2,696 bytes of extended registers for each of its tasks. The host's kernel takes
// them back in one piece only (arch/x86/kernel/fpu/regset.c: xstateregs_set), and where the processor has AMX that is longer:
// then the guest's first task would not start. What the guest does not know of stays as it is.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

// Not on the stack: the guest's kernel has small ones, and traces from one thread.
static char whole[1 << 16];

// The states that the guest's bytes hold: up to protection keys, and none of AMX.
static const uint64_t KNOWN = 0x3ff;
static const size_t STATES = 512;

typedef long (*function)(int, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...)
{
    static function real;
    va_list list;
    va_start(list, request);
    pid_t pid = va_arg(list, pid_t);
    void *what = va_arg(list, void *);
    void *data = va_arg(list, void *);
    va_end(list);
    if (!real)
        real = (function)dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || what != (void *)NT_X86_XSTATE)
        return real(request, pid, what, data);
    const struct iovec *given = data;
    struct iovec all = { whole, sizeof whole };
    uint64_t now, then;
    long failed = real(PTRACE_GETREGSET, pid, what, &all);
    if (failed || given->iov_len >= all.iov_len)
        return failed ? failed : real(request, pid, what, data);
    memcpy(&now, whole + STATES, sizeof now);
    memcpy(whole, given->iov_base, given->iov_len);
    memcpy(&then, whole + STATES, sizeof then);
    then = (then & KNOWN) | (now & ~KNOWN);
    memcpy(whole + STATES, &then, sizeof then);
    return real(request, pid, what, &all);
}
