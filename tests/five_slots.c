/* SPDX-License-Identifier: MIT
 *
 * A method with a slot too many is an error at compile time under -Werror: OPT_MAX_SLOTS bounds the array of
 * names, not a check at run time. With -DFOUR_SLOTS this compiles, so that it can fail for no other reason.
 */
#include <opt/optim.h>

extern const opt_method five_slots;

const opt_method five_slots = {
    .name = "five_slots",
#ifdef FOUR_SLOTS
    .slot = {"a", "b", "c", "d"},
#else
    .slot = {"a", "b", "c", "d", "e"},
#endif
};
