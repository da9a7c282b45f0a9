#ifndef BASE_SHORTEST_H
#define BASE_SHORTEST_H
#include <stddef.h>
/* Writes the shortest decimal that reads back as v ("0.1", "1.0", "1e+300", "NaN"); at most 32 bytes, no NUL. NaN and infinities come with quotes, as protobuf's JSON has them. Returns the length. */
size_t shortest_double(double v, char *out);
#endif
