/* SPDX-License-Identifier: MIT
 *
 * Stopping by Ctrl-C (SIGINT) or SIGTERM without losing anything: the first signal is only noted, and
 * training ends after the step at hand, with its checkpoint; a second one ends the program at once, as ever.
 */
#ifndef EXAMPLES_INTERRUPT_H
#define EXAMPLES_INTERRUPT_H

#include "opt.h"

/* From here on signals are noted, but those that the program was started to ignore, as in the background of a
 * script. */
void interrupt_catch(void);

/* From here on they end the program again. */
void interrupt_release(void);

/* The signal noted; 0: none. A program that stops for it exits with 128 + its number, as shells report it. */
int interrupt_signal(void);

/* For opt_train's on_step or on_epoch: OPT_STOP once there is one. */
opt_status interrupt_stop(const opt_progress *p, void *ud);

#endif
