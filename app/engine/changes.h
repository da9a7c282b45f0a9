#ifndef ENGINE_CHANGES_H
#define ENGINE_CHANGES_H
/*
 * What was changed when, for copies of what was read (api/run_copies.c). Every request that may have changed a run is numbered before it is answered, whatever its outcome: by all workers of this server.
 * Who notes changes_now() at the begin of its request, and then reads, has read all that was changed up to that number.
 */
#include "engine/call.h"

/* In the parent, before the workers are forked. */
void changes_prepare(void);
/* The request is about to be answered. */
void changes_note(struct call *);
uint64_t changes_now(void);
/* No latest metric of any run had a sort copy that lagged behind (sql/functions/settle.sql), just now, after the changes up to this number. */
void changes_settled(uint64_t changes);
/* So it is still, up to this number; for some seconds. */
bool changes_are_settled(uint64_t changes);
/* Where a run's last change is kept, which some other runs may share, and its number. */
size_t changes_place(struct text run_id);
uint64_t changes_of(size_t place);
#endif
