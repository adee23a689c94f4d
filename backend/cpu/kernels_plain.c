/* backend/cpu/kernels_plain.c - the kernels for plain. */
#define KERNELS cpu_kernels_plain
#include "backend/cpu/kernels_body.h"
