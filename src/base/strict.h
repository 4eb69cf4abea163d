/* SPDX-License-Identifier: MIT
 *
 * For every source that computes: with these flags a NaN is taken for a number, silently, and results change.
 */
#ifndef OPT_BASE_STRICT_H
#define OPT_BASE_STRICT_H

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "libopt: -ffast-math and what it consists of change results: add -fno-fast-math behind it"
#endif

#endif
