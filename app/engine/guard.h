#ifndef ENGINE_GUARD_H
#define ENGINE_GUARD_H
#include "engine/call.h"

void guard_setup(void);
/* Host, Origin, content type and workspace rules (design.md, Addresses). False: call->fail is set. */
bool guard_allows(struct call *) must_check;
#endif
