/* SPDX-License-Identifier: MIT
 *
 * Which tables this machine can run. The build defines OPT__HAS_<ISA> for those it has compiled.
 */
#include "kernel/kernels.h"

extern const opt__kernels opt__kernels_baseline[2];
#ifdef OPT__HAS_X86
extern const opt__kernels opt__kernels_avx2[2], opt__kernels_avx512[2];
#endif

#ifdef OPT__HAS_X86
static const opt__kernels *x86_tables(opt_isa isa)
{
    __builtin_cpu_init();
    /* GCOVR_EXCL_START: one machine does not take all these branches */
    if (isa != OPT_ISA_AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return opt__kernels_avx512;
    if (isa != OPT_ISA_AVX512 && __builtin_cpu_supports("avx2"))
        return opt__kernels_avx2;
    /* GCOVR_EXCL_STOP */
    return NULL;
}
#endif

const opt__kernels *opt__kernels_for(opt_isa isa)
{
    const opt__kernels *tables = NULL;

    if (isa == OPT_ISA_BASELINE)
        return opt__kernels_baseline;
#ifdef OPT__HAS_X86
    if (isa == OPT_ISA_BEST || isa == OPT_ISA_AVX2 || isa == OPT_ISA_AVX512)
        tables = x86_tables(isa);
#endif
#ifdef __aarch64__ /* where NEON is the baseline */
    if (isa == OPT_ISA_NEON)
        return opt__kernels_baseline;
#endif
    if (tables == NULL && isa == OPT_ISA_BEST) /* GCOVR_EXCL_BR_LINE: on a machine with less than AVX2 */
        tables = opt__kernels_baseline;        /* GCOVR_EXCL_LINE: the same */
    return tables;
}
