#include "engine/changes.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/loop.h"
#include "engine/points.h"

#define SETTLED_MS 10000 /* then it is looked at again: somebody may have logged past this server */
#define PLACES ((size_t)1 << 16) /* 512 kB, touched as runs are changed */

static struct shared {
	_Atomic uint64_t latest;   /* numbers given */
	_Atomic uint64_t all;      /* the last change of many runs at once */
	_Atomic uint64_t settled;  /* one more than a change after which all were; 0: never seen */
	_Atomic uint64_t settled_ms;
	_Atomic uint64_t places[PLACES];
} *shared;

void
changes_prepare(void)
{
	void *p = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	PRECOND(p != MAP_FAILED);
	shared = p;
}

static void
raise(_Atomic uint64_t *place, uint64_t number)
{
	uint64_t was = atomic_load(place);

	while (was < number && !atomic_compare_exchange_weak(place, &was, number))
		;
}

/* An experiment's deletion is one of its runs. */
void
changes_note(struct call *call)
{
	const struct endpoint *e = call->endpoint;
	struct text run_id;

	if (e == NULL || e->access < ACCESS_EDIT)
		return;
	if (e->access >= ACCESS_MANAGE && e->on.kind == ON_EXPERIMENT) {
		raise(&shared->all, atomic_fetch_add(&shared->latest, 1) + 1);
		return;
	}
	if (e->on.kind != ON_RUN || call->values == NULL)
		return;
	run_id = call_text(call, e->on.field);
	if (run_id.n > 0)
		raise(&shared->places[changes_place(run_id)], atomic_fetch_add(&shared->latest, 1) + 1);
}

uint64_t
changes_now(void)
{
	return atomic_load(&shared->latest);
}

void
changes_settled(uint64_t changes)
{
	raise(&shared->settled_ms, (uint64_t)loop_now_ms());
	raise(&shared->settled, changes + 1);
}

bool
changes_are_settled(uint64_t changes)
{
	int64_t since_ms = (int64_t)atomic_load(&shared->settled_ms);

	return atomic_load(&shared->settled) > changes && loop_now_ms() - since_ms <= SETTLED_MS && points_alone(since_ms);
}

size_t
changes_place(struct text run_id)
{
	return text_hash(run_id) % PLACES;
}

uint64_t
changes_of(size_t place)
{
	uint64_t own = atomic_load(&shared->places[place]);
	uint64_t all = atomic_load(&shared->all);

	return own > all ? own : all;
}
