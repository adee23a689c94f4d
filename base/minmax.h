/*
 * base/minmax.h - the smaller and the larger of two numbers.
 *
 *     min(a, b)   max(a, b)   clamp(x, low, high)
 *
 * They take any two numbers of one type (or of two types that C brings to one without loss; -Wconversion says where it
 * cannot), and evaluate each argument once. With a NaN, min() and max() give b, and clamp() gives x.
 */
#ifndef ATTUNE_BASE_MINMAX_H
#define ATTUNE_BASE_MINMAX_H

#define MINMAX_FUNCTIONS(type, name)                                                                                   \
    static inline type min_##name(type a, type b)                                                                      \
    {                                                                                                                  \
        return a < b ? a : b;                                                                                          \
    }                                                                                                                  \
    static inline type max_##name(type a, type b)                                                                      \
    {                                                                                                                  \
        return a > b ? a : b;                                                                                          \
    }                                                                                                                  \
    static inline type clamp_##name(type x, type low, type high)                                                       \
    {                                                                                                                  \
        return x < low ? low : x > high ? high : x;                                                                    \
    }
MINMAX_FUNCTIONS(int, int)
MINMAX_FUNCTIONS(unsigned, unsigned)
MINMAX_FUNCTIONS(long, long)
MINMAX_FUNCTIONS(unsigned long, unsigned_long)
MINMAX_FUNCTIONS(long long, long_long)
MINMAX_FUNCTIONS(unsigned long long, unsigned_long_long)
MINMAX_FUNCTIONS(float, float)
MINMAX_FUNCTIONS(double, double)
#undef MINMAX_FUNCTIONS

/* The sum of the arguments is not computed: it only says which type C brings them to. */
#define MINMAX_OF(operation, sum)                                                                                      \
    _Generic((sum), int                                                                                                \
             : operation##_int, unsigned                                                                               \
             : operation##_unsigned, long                                                                              \
             : operation##_long, unsigned long                                                                         \
             : operation##_unsigned_long, long long                                                                    \
             : operation##_long_long, unsigned long long                                                               \
             : operation##_unsigned_long_long, float                                                                   \
             : operation##_float, double                                                                               \
             : operation##_double)

#define min(a, b)           MINMAX_OF(min, (a) + (b))(a, b)
#define max(a, b)           MINMAX_OF(max, (a) + (b))(a, b)
#define clamp(x, low, high) MINMAX_OF(clamp, (x) + (low) + (high))(x, low, high)

#endif
