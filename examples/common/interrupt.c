/* SPDX-License-Identifier: MIT */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L /* sigaction; NOLINT: reserved, and meant to be defined */
#endif
#include "interrupt.h"

#include <signal.h>

static volatile sig_atomic_t noted;

#ifdef _WIN32
static void handle(int number, void (*handler)(int))
{
    if (signal(number, handler) == SIG_IGN)
        signal(number, SIG_IGN);
}
#else
/* By sigaction: signal leaves it open whether a write that is interrupted goes on. */
static void handle(int number, void (*handler)(int))
{
    struct sigaction before, action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}
#endif

void interrupt_release(void)
{
    handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
}

static void note(int number)
{
    noted = number;
    interrupt_release(); /* the next one is not caught */
}

void interrupt_catch(void)
{
    handle(SIGINT, note);
    handle(SIGTERM, note);
}

int interrupt_signal(void)
{
    return noted;
}

opt_status interrupt_stop(const opt_progress *p, void *ud)
{
    (void)p;
    (void)ud;
    return noted ? OPT_STOP : OPT_OK;
}
