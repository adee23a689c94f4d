/* backend/cpu/kernels_avx512.c - the kernels for avx512. */
#define KERNELS cpu_kernels_avx512
#include "backend/cpu/kernels_body.h"
