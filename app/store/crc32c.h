#ifndef STORE_CRC32C_H
#define STORE_CRC32C_H
#include <stddef.h>
#include <stdint.h>
/* CRC-32C (Castagnoli); start with 0, feed on. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);
#endif
