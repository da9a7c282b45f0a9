#ifndef API_KEYS_H
#define API_KEYS_H
/* Names of metrics, params and tags as numbers (table keys), cached by each worker: rows of `keys` never change. */
#include "engine/call.h"

#define KEY_RUN_NAME 1 /* mlflow.runName, seeded by the first migration */

void keys_start(void);
/* Number of a name, when this worker knows it. */
bool key_number(struct text name, int32_t *out) must_check;
/* Name of a number, as JSON with its quotes; TEXT_NONE when this worker does not know it. Valid until the next request asks for names. */
struct text key_json(int32_t number);
/* Learns rows (id, key). */
void keys_learn(const PGresult *);
/* Resolves names, makes the new ones, then continues with `then` (result NULL). */
enum next keys_resolve(struct call *, const struct text *names, size_t n, enum next (*then)(struct call *, PGresult *));
/* Numbers that a column holds packed, four bytes each: how many, and one of them. */
size_t keys_packed(struct text column);
int32_t key_packed(struct text column, size_t i);
/* Makes sure that the numbers in the column `keys` of `result` are known, then continues with `then`, which gets the same result; kept until the call ends. */
enum next keys_known(struct call *, PGresult *result, enum next (*then)(struct call *, PGresult *));
#endif
