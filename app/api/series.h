#ifndef API_SERIES_H
#define API_SERIES_H
/* Series of points, hot rows and sealed chunks merged, exact equals dropped: point by point, or for a chart with summaries of blocks of points in their place. */
#include "engine/call.h"

struct sample {
	int64_t step;
	int64_t time; /* milliseconds since 1970 */
	double value;
};

/* Neighbouring points of a sealed chunk, summed up. */
struct block {
	struct sample first; /* its value is the block's last */
	int64_t end;         /* not before the last point on the axis asked for: its step or time */
	size_t n;
	size_t numbers; /* values that are not NaN */
	double min, max, total;
};

struct series {
	struct text run_id;
	struct sample *samples; /* on malloc, as the blocks; freed after the print step */
	size_t count;
	size_t cap;
	struct block *blocks; /* in order, and no sample between the points of one */
	size_t block_count;
	size_t block_cap;
	size_t more;        /* points that are not among the samples: in blocks, or outside of the stretch */
	int64_t first_time; /* of all of them */
};

enum series_order { SERIES_BY_TIME, SERIES_BY_TIME_STEP, SERIES_BY_STEP };
enum series_axis { AXIS_STEP, AXIS_TIME, AXIS_RELATIVE };

typedef enum next (*series_print)(struct call *, struct series *, size_t n);

/* (time, step, value), the same, or (step, time, value). Mostly a check: points come nearly in order. */
void series_sort(struct series *, enum series_order);
/* Reads the metric of each run (one text or a list), steps within [*start, *end] when given, then calls print with one series a run. */
enum next series_read(struct call *, const struct value *runs, struct text key, const int64_t *start, const int64_t *end, series_print);

/* A chart of `buckets` over [*start, *end] of the axis (NULL: no end): a series comes with blocks where they are narrower than a quarter of a bucket. Points outside may be among the samples. */
struct chart_asked {
	enum series_axis axis;
	const double *start, *end;
	size_t buckets;
};
enum next series_read_chart(struct call *, const struct value *runs, struct text key, const struct chart_asked *, series_print);
/* A point on the axis; and whether one comes before another there, values left aside. */
double series_x(const struct series *, enum series_axis, const struct sample *);
bool series_before(enum series_axis, const struct sample *, const struct sample *);
#endif
