/* Metric history: every point of a series, hot rows and sealed chunks merged; and what is thinned out for charts. */
#include <math.h>
#include <stdlib.h>

#include "api/keys.h"
#include "api/page.h"
#include "api/series.h"
#include "base/log.h"
#include "sql_queries.h"

#define BULK_RUNS_MOST 100
#define BULK_MOST 25000
#define INTERVAL_MOST 2500
#define CHART_RUNS_MOST 500

static const struct field history_fields[] = {
	{ .name = "run_id", .type = F_TEXT, .required = true, .alias = "run_uuid" },
	{ .name = "metric_key", .type = F_TEXT, .required = true },
	{ .name = "page_token", .type = F_TEXT },
	{ .name = "max_results", .type = F_INT32 },
	FIELDS_END,
};

static const struct field bulk_fields[] = {
	{ .name = "run_id", .type = F_TEXTS, .required = true, .absent = "GetMetricHistoryBulk request must specify at least one run_id." },
	{ .name = "metric_key", .type = F_TEXT, .required = true, .absent = "GetMetricHistoryBulk request must specify a metric_key." },
	{ .name = "max_results", .type = F_INT, .fallback = BULK_MOST, .has_fallback = true },
	FIELDS_END,
};

static const struct field interval_fields[] = {
	{ .name = "run_ids", .type = F_TEXTS, .required = true },
	{ .name = "metric_key", .type = F_TEXT, .required = true },
	{ .name = "start_step", .type = F_INT },
	{ .name = "end_step", .type = F_INT },
	{ .name = "max_results", .type = F_INT, .fallback = INTERVAL_MOST, .has_fallback = true },
	FIELDS_END,
};

static const struct word axes[] = { { "step", AXIS_STEP }, { "time", AXIS_TIME }, { "relative", AXIS_RELATIVE }, { NULL, 0 } };

static const struct field chart_fields[] = {
	{ .name = "run_ids", .type = F_TEXTS, .required = true },
	{ .name = "metric_key", .type = F_TEXT, .required = true },
	{ .name = "buckets", .type = F_INT, .fallback = 320, .has_fallback = true },
	{ .name = "x_axis", .type = F_ENUM, .words = axes, .fallback = 0, .has_fallback = true },
	{ .name = "start", .type = F_DOUBLE },
	{ .name = "end", .type = F_DOUBLE },
	FIELDS_END,
};

static void
point_print(struct buf *b, struct text key, const struct sample *p, const struct text *run_id)
{
	buf_puts(b, "{\"key\":");
	buf_text(b, key);
	buf_puts(b, ",\"value\":");
	wire_double(b, p->value);
	buf_puts(b, ",\"timestamp\":");
	buf_int(b, p->time);
	buf_puts(b, ",\"step\":");
	buf_int(b, p->step);
	if (run_id != NULL) {
		buf_puts(b, ",\"run_id\":");
		buf_json(b, *run_id);
	}
	buf_byte(b, '}');
}

static struct text
key_as_json(struct call *call, struct text key)
{
	struct buf b = { 0 };
	struct text t;

	buf_json(&b, key);
	t = text_copy(call->arena, buf_view(&b));
	buf_free(&b);
	return t;
}

/* ---- get-history ---- */

static const char offset_word[] = "{\"offset\": ";

/* MLflow's token: base64 of {"offset": N}. Ours is the same, so that either server's goes on. */
static bool
offset_parse(struct call *call, struct text token, int64_t *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = arena_alloc(call->arena, token.n + 4);
	unsigned bits = 0;
	int have = 0;
	size_t n = 0;
	size_t i;
	struct json *j;
	const struct json *offset;
	const char *why;
	size_t at;

	*out = 0;
	if (token.n == 0)
		return true;
	for (i = 0; i < token.n && token.s[i] != '='; i++) {
		const char *p = token.s[i] == '\0' ? NULL : strchr(alphabet, token.s[i] == '-' ? '+' : token.s[i] == '_' ? '/' : token.s[i]);

		if (p == NULL)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid page token, could not base64-decode");
		bits = bits << 6 | (unsigned)(p - alphabet);
		have += 6;
		if (have >= 8) {
			have -= 8;
			text[n++] = (char)(bits >> have & 0xff);
		}
	}
	if (!json_parse(call->arena, (struct text){ text, n }, &j, &why, &at))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid page token, it was not made by this server");
	offset = json_member(j, "offset");
	if (offset == NULL || !text_int(offset->raw, out) || *out < 1)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid page token, it was not made by this server");
	return true;
}

static struct text
offset_token(struct call *call, int64_t offset)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct text plain = text_format(call->arena, "%s%lld}", offset_word, (long long)offset);
	char *out = arena_alloc(call->arena, plain.n * 2 + 8);
	size_t n = 0;
	size_t i;

	for (i = 0; i < plain.n; i += 3) {
		unsigned v = (unsigned)(unsigned char)plain.s[i] << 16;

		if (i + 1 < plain.n)
			v |= (unsigned)(unsigned char)plain.s[i + 1] << 8;
		if (i + 2 < plain.n)
			v |= (unsigned char)plain.s[i + 2];
		out[n++] = alphabet[v >> 18 & 63];
		out[n++] = alphabet[v >> 12 & 63];
		out[n++] = i + 1 < plain.n ? alphabet[v >> 6 & 63] : '=';
		out[n++] = i + 2 < plain.n ? alphabet[v & 63] : '=';
	}
	return (struct text){ out, n };
}

struct asking {
	int64_t offset;
};

static enum next
history_print(struct call *call, struct series *all, size_t n)
{
	struct asking *a = call->state;
	struct series *s = &all[0];
	struct value *most = call_value(call, "max_results");
	struct text key = key_as_json(call, call_text(call, "metric_key"));
	size_t from = (size_t)a->offset < s->count ? (size_t)a->offset : s->count;
	size_t to = s->count;
	size_t i;

	PRECOND(n == 1);
	series_sort(s, SERIES_BY_TIME);
	if (most->given && from + (size_t)most->i < to)
		to = from + (size_t)most->i;
	buf_byte(&call->out, '{');
	if (to > from) {
		buf_reserve(&call->out, (to - from) * 96);
		wire_member(&call->out, "metrics");
		buf_byte(&call->out, '[');
		for (i = from; i < to; i++) {
			if (i > from)
				buf_byte(&call->out, ',');
			point_print(&call->out, key, &s->samples[i], NULL);
		}
		buf_byte(&call->out, ']');
	}
	if (to < s->count) {
		wire_member(&call->out, "next_page_token");
		buf_json(&call->out, offset_token(call, (int64_t)to));
	}
	buf_byte(&call->out, '}');
	return call_reply_json(call);
}

static enum next
history(struct call *call)
{
	struct value *most = call_value(call, "max_results");
	struct asking *a = ARENA_NEW(call->arena, struct asking);

	if (most->given && most->i < 1)
		return call_fail(call, INVALID_PARAMETER_VALUE, "Invalid value %lld for parameter 'max_results' supplied. It must be a positive integer.", (long long)most->i);
	if (!offset_parse(call, call_text(call, "page_token"), &a->offset))
		return FAILED;
	call->state = a;
	return series_read(call, &call->values[0], call_text(call, "metric_key"), NULL, NULL, history_print);
}

/* ---- get-history-bulk ---- */

static int
series_by_run(const void *a, const void *b)
{
	const struct series *x = a;
	const struct series *y = b;

	return text_compare(x->run_id, y->run_id);
}

static enum next
bulk_print(struct call *call, struct series *all, size_t n)
{
	int64_t left = call_int(call, "max_results");
	struct text key = key_as_json(call, call_text(call, "metric_key"));
	bool first = true;
	size_t i;
	size_t k;

	if (left > BULK_MOST)
		left = BULK_MOST;
	qsort(all, n, sizeof(*all), series_by_run);
	buf_puts(&call->out, "{\"metrics\":[");
	for (i = 0; i < n; i++) {
		series_sort(&all[i], SERIES_BY_TIME_STEP);
		for (k = 0; k < all[i].count && left > 0; k++, left--) {
			if (!first)
				buf_byte(&call->out, ',');
			first = false;
			point_print(&call->out, key, &all[i].samples[k], &all[i].run_id);
		}
	}
	buf_puts(&call->out, "]}");
	return call_reply_json(call);
}

static enum next
bulk(struct call *call)
{
	struct value *runs = call_value(call, "run_id");

	if (runs->count > BULK_RUNS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "GetMetricHistoryBulk request cannot specify more than %d run_ids. Received %zu run_ids.", BULK_RUNS_MOST, runs->count);
	if (call_int(call, "max_results") < 1)
		return call_fail(call, INVALID_PARAMETER_VALUE, "max_results must be a positive integer.");
	return series_read(call, runs, call_text(call, "metric_key"), NULL, NULL, bulk_print);
}

/* ---- get-history-bulk-interval ---- */

/* NTILE(most) over (step, time, value): the first of each bucket; then the very last point replaces the last sample, or is added when there is room. */
static void
interval_thin(struct call *call, struct series *s, size_t most, struct text key, bool *first)
{
	size_t n = s->count;
	size_t buckets = n < most ? n : most;
	size_t large = buckets == 0 ? 0 : n % buckets; /* the first `large` buckets hold one more */
	size_t base = buckets == 0 ? 0 : n / buckets;
	size_t at = 0;
	size_t i;

	for (i = 0; i < buckets; i++) {
		const struct sample *p = &s->samples[at];

		at += base + (i < large ? 1 : 0);
		if (i == buckets - 1 && n > most)
			p = &s->samples[n - 1];
		if (!*first)
			buf_byte(&call->out, ',');
		*first = false;
		point_print(&call->out, key, p, &s->run_id);
	}
}

static enum next
interval_print(struct call *call, struct series *all, size_t n)
{
	size_t most = (size_t)call_int(call, "max_results");
	struct text key = key_as_json(call, call_text(call, "metric_key"));
	bool first = true;
	size_t i;

	buf_byte(&call->out, '{');
	for (i = 0; i < n && all[i].count == 0; i++)
		;
	if (i < n) {
		buf_puts(&call->out, "\"metrics\":[");
		for (i = 0; i < n; i++) {
			series_sort(&all[i], SERIES_BY_STEP);
			interval_thin(call, &all[i], most, key, &first);
		}
		buf_byte(&call->out, ']');
	}
	buf_byte(&call->out, '}');
	return call_reply_json(call);
}

static enum next
interval(struct call *call)
{
	struct value *runs = call_value(call, "run_ids");
	struct value *start = call_value(call, "start_step");
	struct value *end = call_value(call, "end_step");
	int64_t most = call_int(call, "max_results");

	if (runs->count == 0)
		return call_fail(call, INVALID_PARAMETER_VALUE, "GetMetricHistoryBulkInterval request must specify at least one run_id.");
	if (runs->count > BULK_RUNS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "GetMetricHistoryBulkInterval request must specify at most %d run_ids. Received %zu run_ids. See the API docs for more information about request parameters.", BULK_RUNS_MOST, runs->count);
	if (most < 1 || most > INTERVAL_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "max_results must be between 1 and %d. See the API docs for more information about request parameters.", INTERVAL_MOST);
	if (start->given != end->given)
		return call_fail(call, INVALID_PARAMETER_VALUE, "If either start step or end step are specified, both must be specified.");
	if (start->given && start->i > end->i)
		return call_fail(call, INVALID_PARAMETER_VALUE, "end_step must be greater than start_step. Found start_step=%lld and end_step=%lld.", (long long)start->i, (long long)end->i);
	return series_read(call, runs, call_text(call, "metric_key"), start->given ? &start->i : NULL, end->given ? &end->i : NULL, interval_print);
}

/* ---- charts: each bucket's least and largest kept ---- */

struct bucket {
	double x, min, max, sum, last;
	size_t n;
	size_t numbers;
};

static void
numbers_print(struct buf *b, const char *name, const struct bucket *buckets, size_t n, double (*of)(const struct bucket *))
{
	size_t i;

	wire_member(b, name);
	buf_byte(b, '[');
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_byte(b, ',');
		wire_double(b, of(&buckets[i]));
	}
	buf_byte(b, ']');
}

static double
bucket_x(const struct bucket *b)
{
	return b->x;
}

static double
bucket_min(const struct bucket *b)
{
	return b->numbers > 0 ? b->min : (double)NAN;
}

static double
bucket_max(const struct bucket *b)
{
	return b->numbers > 0 ? b->max : (double)NAN;
}

static double
bucket_mean(const struct bucket *b)
{
	return b->numbers > 0 ? b->sum / (double)b->numbers : (double)NAN;
}

static double
bucket_last(const struct bucket *b)
{
	return b->last;
}

/* Points that follow those in the bucket, summed up; the first one's value is the last's. */
static void
bucket_add(struct bucket *to, double x, const struct block *b)
{
	if (to->n == 0)
		to->x = x;
	to->n += b->n;
	to->last = b->first.value;
	if (b->numbers == 0)
		return;
	if (to->numbers == 0 || b->min < to->min)
		to->min = b->min;
	if (to->numbers == 0 || b->max > to->max)
		to->max = b->max;
	to->sum += b->total;
	to->numbers += b->numbers;
}

/* A point as a block of one. */
static struct block
block_of(const struct sample *p)
{
	return (struct block){ .first = *p, .n = 1, .numbers = isnan(p->value) ? 0u : 1u, .min = p->value, .max = p->value, .total = p->value };
}

/* How many NaN each bucket holds, which least, mean and greatest pass over; left out when there are none. */
static void
nans_print(struct buf *b, const struct bucket *buckets, size_t n)
{
	size_t nans = 0;
	size_t i;

	for (i = 0; i < n; i++)
		nans += buckets[i].n - buckets[i].numbers;
	if (nans == 0)
		return;
	buf_puts(b, ",\"nan\":[");
	for (i = 0; i < n; i++)
		buf_printf(b, "%s%zu", i > 0 ? "," : "", buckets[i].n - buckets[i].numbers);
	buf_byte(b, ']');
}

/* Samples and blocks one after the other, in order on the axis, within the stretch asked for. */
struct walk {
	const struct series *series;
	const struct chart_asked *asked;
	size_t sample;
	size_t block;
};

static bool
walk_next(struct walk *w, struct block *out, double *x)
{
	const struct series *s = w->series;

	for (;;) {
		bool sample = w->sample < s->count;

		if (sample && w->block < s->block_count)
			sample = series_before(w->asked->axis, &s->samples[w->sample], &s->blocks[w->block].first);
		if (!sample && w->block >= s->block_count)
			return false;
		*out = sample ? block_of(&s->samples[w->sample++]) : s->blocks[w->block++];
		*x = series_x(s, w->asked->axis, &out->first);
		if ((w->asked->start == NULL || *x >= *w->asked->start) && (w->asked->end == NULL || *x <= *w->asked->end))
			return true;
	}
}

static void
chart_series(struct call *call, struct series *s, const struct chart_asked *asked)
{
	size_t want = asked->buckets;
	struct bucket *buckets = arena_array(call->arena, 2 * want + 2, sizeof(*buckets));
	struct walk w = { .series = s, .asked = asked };
	struct block b;
	size_t inside = 0;
	size_t used = 0;
	size_t i;
	double low = 0;
	double high = 0;
	double x;
	bool exact;

	series_sort(s, asked->axis == AXIS_STEP ? SERIES_BY_STEP : SERIES_BY_TIME);
	while (walk_next(&w, &b, &x)) {
		if (inside == 0)
			low = x;
		high = x;
		inside += b.n;
	}
	exact = inside <= 2 * want;
	for (w = (struct walk){ .series = s, .asked = asked }; walk_next(&w, &b, &x); used++) {
		size_t at = exact ? used : high > low ? (size_t)((x - low) / (high - low) * (double)want) : 0;

		if (!exact && at >= want)
			at = want - 1;
		bucket_add(&buckets[at], x, &b);
	}
	if (!exact) {
		/* Empty buckets go. */
		for (i = 0, used = 0; i < want; i++)
			if (buckets[i].n > 0)
				buckets[used++] = buckets[i];
	}
	buf_puts(&call->out, "{\"run_id\":");
	buf_json(&call->out, s->run_id);
	buf_printf(&call->out, ",\"count\":%zu,\"exact\":%s", s->count + s->more, exact ? "true" : "false");
	numbers_print(&call->out, "x", buckets, used, bucket_x);
	numbers_print(&call->out, "min", buckets, used, bucket_min);
	numbers_print(&call->out, "max", buckets, used, bucket_max);
	numbers_print(&call->out, "mean", buckets, used, bucket_mean);
	numbers_print(&call->out, "last", buckets, used, bucket_last);
	buf_puts(&call->out, ",\"n\":[");
	for (i = 0; i < used; i++)
		buf_printf(&call->out, "%s%zu", i > 0 ? "," : "", buckets[i].n);
	buf_byte(&call->out, ']');
	nans_print(&call->out, buckets, used);
	buf_byte(&call->out, '}');
}

static void
chart_asked(struct call *call, struct chart_asked *asked)
{
	struct value *start = call_value(call, "start");
	struct value *end = call_value(call, "end");

	*asked = (struct chart_asked){ .axis = (enum series_axis)call_int(call, "x_axis"), .start = start->given ? &start->d : NULL, .end = end->given ? &end->d : NULL, .buckets = (size_t)call_int(call, "buckets") };
}

static enum next
chart_print(struct call *call, struct series *all, size_t n)
{
	struct chart_asked asked;
	size_t i;

	chart_asked(call, &asked);
	buf_puts(&call->out, "{\"series\":[");
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_byte(&call->out, ',');
		chart_series(call, &all[i], &asked);
	}
	buf_puts(&call->out, "]}");
	return call_reply_json(call);
}

static enum next
chart(struct call *call)
{
	struct value *runs = call_value(call, "run_ids");
	int64_t buckets = call_int(call, "buckets");
	struct chart_asked asked;

	if (runs->count > CHART_RUNS_MOST)
		return call_fail(call, INVALID_PARAMETER_VALUE, "A chart can show at most %d runs. Got %zu.", CHART_RUNS_MOST, runs->count);
	if (buckets < 1 || buckets > 5000)
		return call_fail(call, INVALID_PARAMETER_VALUE, "buckets must be between 1 and 5000.");
	chart_asked(call, &asked);
	return series_read_chart(call, runs, call_text(call, "metric_key"), &asked, chart_print);
}

static const struct endpoint metric_endpoints[] = {
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/metrics/get-history",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = RUN("run_id"),
	    .fields = history_fields,
	    .run = history,
	    .doc = "Every point of one metric of one run, by timestamp, step, value.",
	},
	{
	    .method = HTTP_M_GET,
	    .api = API_2_AJAX,
	    .path = "mlflow/metrics/get-history-bulk",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = RUNS("run_id"),
	    .fields = bulk_fields,
	    .run = bulk,
	    .doc = "Points of one metric of up to 100 runs, at most 25000 in all.",
	},
	{
	    .method = HTTP_M_GET,
	    .path = "mlflow/metrics/get-history-bulk-interval",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = RUNS("run_ids"),
	    .fields = interval_fields,
	    .run = interval,
	    .doc = "Points of one metric of up to 100 runs, each thinned to at most max_results as MLflow does it.",
	},
	{
	    .method = HTTP_M_POST,
	    .path = "tallyd/metrics/chart",
	    .access = ACCESS_READ,
	    .fresh = true,
	    .on = RUNS("run_ids"),
	    .fields = chart_fields,
	    .run = chart,
	    .doc = "Series for a chart: buckets with least, largest, mean and last value, so that no spike is lost.",
	},
};
const struct endpoint_table metric_table = ENDPOINT_TABLE(metric_endpoints);
