#ifndef ENGINE_REPEAT_H
#define ENGINE_REPEAT_H
#include "engine/call.h"
/* In the parent, before the workers are forked. */
void repeat_prepare(void);
/* An equal request was answered a moment ago, by any worker, and it is not known yet whether the answer arrived: ask again soon. */
bool repeat_undecided(struct call *);
/* The reply of a create is about to be sent: the row is marked once the peer acknowledged it. */
void repeat_reply(struct call *, struct http_reply *);
#endif
