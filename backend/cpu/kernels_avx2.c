/* backend/cpu/kernels_avx2.c - the kernels for avx2. */
#define KERNELS cpu_kernels_avx2
#include "backend/cpu/kernels_body.h"
