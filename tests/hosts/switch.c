/* SPDX-License-Identifier: MIT
 *
 * A switch whose links are slow: for hosts that are network namespaces of one machine, where the kernel has
 * no netem. It makes network devices NAME1 ... NAMEn, one a host, to be moved into their namespaces, and
 * hands on what comes from one to the others: each link carries so many bytes a second, and each frame takes
 * so long besides.
 *
 *     switch NAME HOSTS MICROSECONDS BYTES_PER_SECOND
 */
#define _GNU_SOURCE /* ppoll */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MOST_HOSTS = 16, FRAME = 9216, QUEUED = 4096 /* frames that a link holds; more are lost */ };

typedef struct frame {
    int64_t due; /* nanoseconds */
    size_t length;
    unsigned char bytes[FRAME];
} frame;

/* To one host. */
typedef struct link {
    int fd;
    unsigned char address[6]; /* learnt from what it sends */
    int64_t idle_from;
    frame *queue; /* a ring */
    size_t first, n;
} link_to;

static link_to host[MOST_HOSTS];
static int hosts;
static int64_t delay;
static double rate;

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int open_device(const char *name, int number)
{
    struct ifreq device = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    snprintf(device.ifr_name, sizeof device.ifr_name, "%s%d", name, number);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &device) < 0) {
        perror("switch: /dev/net/tun");
        exit(EXIT_FAILURE);
    }
    return fd;
}

static void add(link_to *l, const frame *f)
{
    const int64_t t = now(), start = l->idle_from > t ? l->idle_from : t;
    frame *last = &l->queue[(l->first + l->n) % QUEUED];

    if (l->n == QUEUED)
        return;
    l->n++;
    l->idle_from = start + (int64_t)(1e9 * (double)f->length / rate);
    memcpy(last->bytes, f->bytes, f->length);
    last->length = f->length;
    last->due = l->idle_from + delay;
}

/* Takes a frame that a host has sent, for one of the others or all. */
static int take(int from)
{
    static frame f;
    const ssize_t length = read(host[from].fd, f.bytes, sizeof f.bytes);
    int to = -1;

    if (length < 14)
        return 0;
    f.length = (size_t)length;
    memcpy(host[from].address, f.bytes + 6, 6);
    for (int i = 0; i < hosts; i++)
        if (memcmp(host[i].address, f.bytes, 6) == 0)
            to = i;
    for (int i = 0; i < hosts; i++)
        if (i != from && (to < 0 || to == i))
            add(&host[i], &f);
    return 1;
}

/* Sends what is due; returns when the next will be, or -1. */
static int64_t give(void)
{
    int64_t next = -1;

    for (int i = 0; i < hosts; i++) {
        link_to *l = &host[i];

        while (l->n > 0 && l->queue[l->first].due <= now()) {
            const frame *f = &l->queue[l->first];

            if (write(l->fd, f->bytes, f->length) < 0)
                (void)0; /* the host's link is down: the frame is lost */
            l->first = (l->first + 1) % QUEUED;
            l->n--;
        }
        if (l->n > 0 && (next < 0 || l->queue[l->first].due < next))
            next = l->queue[l->first].due;
    }
    return next;
}

int main(int argc, char **argv)
{
    struct pollfd ready[MOST_HOSTS];

    if (argc != 5 || (hosts = atoi(argv[2])) < 1 || hosts > MOST_HOSTS || !((rate = atof(argv[4])) > 0)) {
        fprintf(stderr, "usage: switch NAME HOSTS MICROSECONDS BYTES_PER_SECOND\n");
        return 2;
    }
    delay = 1000 * atoll(argv[3]);
    for (int i = 0; i < hosts; i++) {
        host[i].fd = open_device(argv[1], i + 1);
        host[i].queue = malloc(QUEUED * sizeof(frame));
        if (host[i].queue == NULL)
            return EXIT_FAILURE;
        ready[i] = (struct pollfd){.fd = host[i].fd, .events = POLLIN};
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        const int64_t next = give(), left = next < 0 ? 1000000000 : next - now();
        const struct timespec wait = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};

        if (ppoll(ready, (nfds_t)hosts, &wait, NULL) <= 0)
            continue;
        for (int i = 0; i < hosts; i++)
            for (int k = 0; (ready[i].revents & POLLIN) && k < 64 && take(i); k++)
                continue;
    }
}
