#ifndef ENGINE_REPEAT_H
#define ENGINE_REPEAT_H
#include "engine/call.h"
/* In the parent, before the workers are forked. */
void repeat_prepare(void);
/* In a worker: one that was killed left claims behind. */
void repeat_worker(int worker);
/* An equal request is under way on any worker, or was answered a moment ago and it is not known yet whether the answer arrived: ask again soon. Else this call has the key's claim. */
bool repeat_undecided(struct call *);
/* Gives the claim back, if there is one: the client is gone. */
void repeat_release(struct call *);
/* The create could not be decided yet, since another server's answer to an equal one is under way: its op is sent again in a moment. */
bool repeat_again(struct call *, const PGresult *);
/* The reply of a create is about to be sent: the row is marked once the peer acknowledged it. */
void repeat_reply(struct call *, struct http_reply *);
#endif
