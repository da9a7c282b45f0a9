#ifndef API_SERIES_H
#define API_SERIES_H
/* Whole series of points, hot rows and sealed chunks merged, exact equals dropped. */
#include "engine/call.h"

struct sample {
	int64_t step;
	int64_t time; /* milliseconds since 1970 */
	double value;
};

struct series {
	struct text run_id;
	struct sample *samples; /* on malloc, freed by series_read()'s owner after the print step */
	size_t count;
	size_t cap;
	int64_t first_time;
};

enum series_order { SERIES_BY_TIME, SERIES_BY_TIME_STEP, SERIES_BY_STEP };

/* (time, step, value), the same, or (step, time, value). Mostly a check: points come nearly in order. */
void series_sort(struct series *, enum series_order);
/* Reads the metric of each run (one text or a list), steps within [*start, *end] when given, then calls print with one series a run in the order asked. Equal points are dropped.
 * Without times the sealed points' timestamps are 0: half the bytes, for what is drawn over steps. */
enum next series_read(struct call *, const struct value *runs, struct text key, const int64_t *start, const int64_t *end, bool times, enum next (*print)(struct call *, struct series *, size_t n));
#endif
