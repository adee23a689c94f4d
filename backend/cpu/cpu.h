/*
 * backend/cpu/cpu.h - the backend for x86-64 and other CPUs.
 *
 * One binary: the widest of AMX, AVX-512, AVX2 (with FMA) and plain C that this CPU has is picked at start, or the one
 * asked for.
 */
#ifndef ATTUNE_BACKEND_CPU_CPU_H
#define ATTUNE_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "base/threads.h"

enum cpu_isa { CPU_AUTO, CPU_PLAIN, CPU_AVX2, CPU_AVX512, CPU_AMX };

struct cpu_options {
    enum cpu_isa isa;   /* CPU_AUTO: the widest there is; an error when this CPU lacks the one asked for */
    enum dtype compute; /* DTYPE_F32 or DTYPE_BF16 */
    int threads;        /* 0: as many as this process may use */
};

/* The widest instruction set of this CPU, and its name ("amx", "avx512", "avx2", "plain"). */
enum cpu_isa cpu_detect(void);
const char *cpu_isa_name(enum cpu_isa isa);

/* What `dtype: auto` means here: bf16 where products are faster in it than in f32 (AMX), else f32. */
enum dtype cpu_auto_dtype(void);

/* Makes *out; free it with (*out)->free(*out). */
int cpu_backend_create(struct backend **out, const struct cpu_options *options, struct err *err);

#endif
