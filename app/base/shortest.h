#ifndef BASE_SHORTEST_H
#define BASE_SHORTEST_H
#include <stdbool.h>
#include <stddef.h>
/* Writes the shortest decimal that reads back as v ("0.1", "1.0", "1e+300", "NaN"); at most 32 bytes, no NUL. NaN and infinities come with quotes, as protobuf's JSON has them. Returns the length. */
size_t shortest_double(double v, char *out);
/* A decimal number (digits, sign, point, exponent: nothing else was let through) of n bytes, all of it; beyond a double: infinity or zero. */
bool shortest_read(const char *s, size_t n, double *out);
#endif
