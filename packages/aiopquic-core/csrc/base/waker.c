#include "base/waker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/eventfd.h>
#define AIOPQ_HAVE_EVENTFD 1
#else
#define AIOPQ_HAVE_EVENTFD 0
#endif

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool init_pipe(aiopq_waker_t *waker)
{
    int fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    waker->read_fd = fds[0];
    waker->write_fd = fds[1];
    if (!set_flags(fds[0]) || !set_flags(fds[1])) {
        int error = errno;
        aiopq_waker_dispose(waker);
        errno = error;
        return false;
    }
    return true;
}

bool aiopq_waker_init(aiopq_waker_t *waker, bool use_pipe)
{
    waker->read_fd = waker->write_fd = -1;
    atomic_init(&waker->is_signalled, false);
#if AIOPQ_HAVE_EVENTFD
    if (!use_pipe) {
        waker->read_fd = waker->write_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return waker->read_fd >= 0;
    }
#else
    (void)use_pipe;
#endif
    return init_pipe(waker);
}

void aiopq_waker_dispose(aiopq_waker_t *waker)
{
    if (waker->write_fd >= 0 && waker->write_fd != waker->read_fd) {
        close(waker->write_fd);
    }
    if (waker->read_fd >= 0) {
        close(waker->read_fd);
    }
    waker->read_fd = waker->write_fd = -1;
}

bool aiopq_waker_signal(aiopq_waker_t *waker)
{
    /* Release: pairs with the exchange in aiopq_waker_clear(); what was produced is seen by a thread that
     * clears the flag after us. */
    if (atomic_exchange_explicit(&waker->is_signalled, true, memory_order_acq_rel)) {
        return false;
    }
    uint64_t one = 1;
    ssize_t written;
    do {
        /* eventfd wants eight bytes, a pipe takes them too. EAGAIN means readable already. */
        written = write(waker->write_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    return true;
}

void aiopq_waker_clear(aiopq_waker_t *waker)
{
    uint64_t sink[8];
    ssize_t got;
    /* Read before clearing: a signal in between finds the flag set and writes nothing, and its work is
     * seen after the exchange. The other order would lose it with the byte read here. */
    do {
        got = read(waker->read_fd, sink, sizeof(sink));
    } while (got < 0 && errno == EINTR);
    atomic_exchange_explicit(&waker->is_signalled, false, memory_order_acq_rel);
}

void aiopq_waker_mute(aiopq_waker_t *waker, bool is_muted)
{
    atomic_store_explicit(&waker->is_signalled, is_muted, memory_order_release);
}
