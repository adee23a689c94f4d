/* backend/cpu/detect.c - what this CPU can do, and the kernels for it. */
#include "backend/cpu/internal.h"
#include <sys/syscall.h>
#include <unistd.h>

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[] = {"auto", "plain", "avx2", "avx512", "amx"};
    return names[isa];
}

#if defined(__x86_64__)

#include <cpuid.h>

/* Asks for a tile's 8 KiB to be saved with a thread (Linux, Documentation/arch/x86/xstate.rst). */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA  18

/* CPUID leaf 7, subleaf 1, EAX bit 5 */
static bool has_avx512bf16(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1u);
}

/* CPUID leaf 7, subleaf 0, EDX bits 22 (AMX-BF16) and 24 (AMX-TILE), and the kernel's leave to use it in this process.
 */
static bool has_amx(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx >> 22 & 1u) && (edx >> 24 & 1u) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

enum cpu_isa cpu_detect(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma")) {
        return has_amx() ? CPU_AMX : CPU_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return CPU_AVX2;
    }
    return CPU_PLAIN;
}

struct cpu_kernels cpu_kernels_of(enum cpu_isa isa)
{
    if (isa == CPU_PLAIN) {
        return cpu_kernels_plain;
    }
    if (isa == CPU_AVX2) {
        return cpu_kernels_avx2;
    }
    struct cpu_kernels kernels = cpu_kernels_avx512;
    if (has_avx512bf16()) {
        kernels.bf16 = cpu_tile_avx512bf16;
        kernels.bf16_rows = kernels.tile_rows;
        kernels.bf16_multiple = 1;
        kernels.bf16_operand = cpu_operand_avx512bf16;
    }
    if (isa == CPU_AMX) {
        kernels.bf16 = cpu_tile_amx;
        kernels.bf16_rows = 2 * AMX_ROWS;
        kernels.bf16_multiple = AMX_ROWS;
        kernels.bf16_begin = cpu_amx_begin;
        kernels.bf16_end = cpu_amx_end;
    }
    return kernels;
}

#else

enum cpu_isa cpu_detect(void)
{
    return CPU_PLAIN;
}

struct cpu_kernels cpu_kernels_of(enum cpu_isa isa)
{
    (void)isa;
    return cpu_kernels_plain;
}

#endif

enum dtype cpu_auto_dtype(void)
{
    return cpu_detect() == CPU_AMX ? DTYPE_BF16 : DTYPE_F32;
}
