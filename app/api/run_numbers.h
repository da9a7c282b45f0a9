#ifndef API_RUN_NUMBERS_H
#define API_RUN_NUMBERS_H
/* Numbers (runs.id) of active runs, remembered by each worker. They hold while run_changes.latest of the database is what it was when they were read: a statement that uses them checks it. */
#include "base/text.h"

/* Number of an active run, when this worker knows it. */
bool run_number(struct text run_id, int64_t *out) must_check;
/* run_changes.latest that goes with all of them. */
int64_t run_numbers_changes(void);
/* What was read in one statement; when `changes` is another than before, everything older is forgotten. */
void run_number_learn(struct text run_id, int64_t number, int64_t changes);
void run_numbers_forget(void);
#endif
