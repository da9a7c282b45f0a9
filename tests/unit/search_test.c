/* Messages of refused filters (tests/cases/search_messages.tsv), order_by, limits, page tokens. What the SQL finds is tested on a real PostgreSQL (tests/api/test_search_sql.py). */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "search/parse.h"
#include "search/search.h"

static int failed;

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			failed++; \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
		} \
	} while (0)

static const int64_t one[] = { 1 };

static struct search_request
request(enum search_kind kind, struct text filter)
{
	return (struct search_request){ .kind = kind, .filter = filter, .view = VIEW_ACTIVE, .experiments = one, .experiment_count = 1, .limit = 10, .readable = "true" };
}

static struct text
column(struct text *line)
{
	size_t tab = text_find(*line, '\t');
	struct text c = { line->s, tab };

	*line = text_skip(*line, tab < line->n ? tab + 1 : tab);
	return c;
}

static void
test_messages(void)
{
	static const char *const kinds[] = { "runs", "experiments", "logged-models", "registered-models", "model-versions" };
	FILE *file = fopen("tests/cases/search_messages.tsv", "r");
	char bytes[4096];
	int n = 0;

	CHECK(file != NULL, "run from the project's folder");
	while (file != NULL && fgets(bytes, sizeof(bytes), file) != NULL) {
		struct text line = { bytes, text_find(text_from(bytes), '\n') }, kind, filter, expected;
		if (line.n == 0 || line.s[0] == '#')
			continue;
		kind = column(&line);
		filter = column(&line);
		expected = column(&line);
		struct arena *arena = arena_new();
		struct search_query q;
		struct search_error e;
		struct search_request r = request(SEARCH_RUNS, filter);
		for (int k = 0; k < 5; k++)
			if (text_is(kind, kinds[k]))
				r.kind = (enum search_kind)k;
		bool ok = search_compile(arena, &r, &q, &e);
		struct text message = text_from(ok ? "ok" : e.message);
		char *place = strstr(e.message, " (at character ");
		if (!ok && place != NULL)
			message.n = (size_t)(place - e.message);
		CHECK(text_eq(message, expected), TEXT_FMT " " TEXT_FMT ": got " TEXT_FMT ", not " TEXT_FMT, TEXT_ARG(kind), TEXT_ARG(filter), TEXT_ARG(message), TEXT_ARG(expected));
		arena_free(arena);
		n++;
	}
	CHECK(n > 200, "%d cases", n);
	if (file != NULL)
		(void)fclose(file);
}

static void
test_orders(void)
{
	static const struct {
		enum search_kind kind;
		const char *order, *message; /* NULL: ok */
	} cases[] = {
		{ SEARCH_RUNS, "metrics.a", NULL },
		{ SEARCH_RUNS, "metrics.`a b` DESC", NULL },
		{ SEARCH_RUNS, "tag.\"a b\" asc", NULL },
		{ SEARCH_RUNS, "created desc", NULL },
		{ SEARCH_RUNS, "", "Invalid order_by clause ''. Could not be parsed." },
		{ SEARCH_RUNS, "a DESC ASC", "Invalid order_by clause 'a DESC ASC'. Could not be parsed." },
		{ SEARCH_RUNS, "start_time desc nulls last", "Invalid order_by clause 'start_time desc nulls last'. Could not be parsed." },
		{ SEARCH_RUNS, "start_time, end_time", "Invalid order_by clause 'start_time, end_time'. Could not be parsed." },
		{ SEARCH_RUNS, "metrics.a-b", "Invalid order_by clause 'metrics.a-b'. Could not be parsed." },
		{ SEARCH_RUNS, "desc", "Invalid order_by clause 'desc'. Could not be parsed." },
		{ SEARCH_RUNS, "start_time foo", "Invalid ordering key in order_by clause 'start_time foo'." },
		{ SEARCH_RUNS, "foo.x", "Invalid entity type 'foo'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']" },
		{ SEARCH_RUNS, "dataset.name", "Invalid identifier type 'dataset'" },
		{ SEARCH_RUNS, "lifecycle_stage",
		    "Invalid attribute key 'lifecycle_stage' specified. Valid keys are '{'artifact_uri', 'end_time', 'run_id', 'run_name', 'start_time', 'status', 'user_id', 'created', 'Created'}'" },
		{ SEARCH_EXPERIMENTS, "name DESC", NULL },
		{ SEARCH_EXPERIMENTS, "metrics.a", "Invalid entity type 'metrics'. Valid entity types are ('attribute', 'tag', 'tags')" },
		{ SEARCH_EXPERIMENTS, "tags.a", "Invalid order_by entity: tag" },
		{ SEARCH_REGISTERED_MODELS, "timestamp desc", NULL },
		{ SEARCH_REGISTERED_MODELS, "creation_timestamp", "Invalid order by key 'creation_timestamp' specified. Valid keys are '{'name', 'timestamp'}'" },
		{ SEARCH_MODEL_VERSIONS, "version_number DESC", NULL },
		{ SEARCH_LOGGED_MODELS, "metrics.a", NULL },
		{ SEARCH_LOGGED_MODELS, "params.a", "Invalid order by field name: params.a. Only metrics are supported." },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena *arena = arena_new();
		struct search_query q;
		struct search_error e;
		struct search_order order = { .key = text_from(cases[i].order) };
		struct search_request r = request(cases[i].kind, TEXT_NONE);
		r.orders = &order;
		r.order_count = 1;
		bool ok = search_compile(arena, &r, &q, &e);
		CHECK(ok == (cases[i].message == NULL), "%s: %s", cases[i].order, ok ? "ok" : e.message);
		CHECK(ok || cases[i].message == NULL || strcmp(e.message, cases[i].message) == 0, "%s: %s", cases[i].order, e.message);
		arena_free(arena);
	}
}

static void
test_places(void)
{
	struct arena *arena = arena_new();
	struct search_query q;
	struct search_error e;
	struct search_request r = request(SEARCH_RUNS, TEXT("metrics.a > 1 and foo = 'x'"));

	CHECK(!search_compile(arena, &r, &q, &e) && e.at == 18, "at %zu", e.at);
	CHECK(strstr(e.message, "(at character 19)") != NULL, "%s", e.message);
	r.filter = TEXT("metrics.a > 1 or metrics.b > 1 metrics.c > 2");
	CHECK(!search_compile(arena, &r, &q, &e) && e.at == 31, "%s", e.message);
	arena_free(arena);
}

static void
test_limits(void)
{
	struct arena *arena = arena_new();
	struct search_query q;
	struct search_error e;
	struct buf b = { 0 };

	for (int i = 0; i < SEARCH_CONDITIONS; i++)
		buf_puts(&b, "params.a = 'x' and ");
	struct search_request r = request(SEARCH_RUNS, buf_view(&b));
	CHECK(search_compile(arena, &r, &q, &e), "%s", e.message);
	buf_puts(&b, "params.a = 'x'");
	r.filter = buf_view(&b);
	CHECK(!search_compile(arena, &r, &q, &e), "too many conditions");
	b.n = 0;
	for (int i = 0; i < 100000; i++)
		buf_byte(&b, '(');
	r.filter = buf_view(&b);
	CHECK(!search_compile(arena, &r, &q, &e), "too deep");
	b.n = 0;
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "not ");
	r.filter = buf_view(&b);
	CHECK(!search_compile(arena, &r, &q, &e), "too deep");
	buf_free(&b);
	arena_free(arena);
}

static void
test_tokens(void)
{
	struct arena *arena = arena_new();
	struct search_query q, next;
	struct search_error e;
	struct search_order order = { .key = TEXT("metrics.a desc") };
	struct search_request r = request(SEARCH_RUNS, TEXT("params.a = 'x'"));
	struct text values[] = { TEXT("0.5"), TEXT("12"), TEXT("34"), TEXT("56") };

	r.orders = &order;
	r.order_count = 1;
	CHECK(search_compile(arena, &r, &q, &e) && q.sort_columns == 4, "%zu sort columns", q.sort_columns);
	r.page_token = search_token(arena, &q, values, 4);
	CHECK(search_compile(arena, &r, &next, &e) && next.token_hash == q.token_hash, "%s", e.message);
	r.limit = 500;
	CHECK(search_compile(arena, &r, &next, &e), "page size may change: %s", e.message);
	values[0] = TEXT_NONE;
	r.page_token = search_token(arena, &q, values, 4);
	CHECK(search_compile(arena, &r, &next, &e), "null: %s", e.message);
	values[1] = TEXT("twelve");
	r.page_token = search_token(arena, &q, values, 4);
	CHECK(!search_compile(arena, &r, &next, &e), "damaged");
	values[1] = TEXT("12");
	r.page_token = search_token(arena, &q, values, 4);
	r.filter = TEXT("params.a = 'y'");
	CHECK(!search_compile(arena, &r, &next, &e) && strstr(e.message, "Invalid page token") != NULL, "another filter");
	r.filter = TEXT("params.a = 'x'");
	for (size_t n = 0; n < r.page_token.n; n++) {
		struct search_request cut = r;
		cut.page_token.n = n;
		CHECK(n == 0 || !search_compile(arena, &cut, &next, &e), "cut at %zu", n);
	}
	/* {"offset": 20}, {"offset": 50001}, {} */
	r.page_token = TEXT("eyJvZmZzZXQiOiAyMH0=");
	CHECK(search_compile(arena, &r, &next, &e), "%s", e.message);
	r.page_token = TEXT("eyJvZmZzZXQiOiA1MDAwMX0=");
	CHECK(!search_compile(arena, &r, &next, &e), "far offset");
	r.page_token = TEXT("e30=");
	CHECK(!search_compile(arena, &r, &next, &e) && strcmp(e.message, "Invalid page token, parsed value={}") == 0, "%s", e.message);
	r.page_token = TEXT("%%%");
	CHECK(!search_compile(arena, &r, &next, &e) && strcmp(e.message, "Invalid page token, could not base64-decode") == 0, "%s", e.message);
	arena_free(arena);
}

/* No value of the request ever becomes text of the query. */
static void
test_values_are_bound(void)
{
	struct arena *arena = arena_new();
	struct search_query q;
	struct search_error e;
	struct search_order order = { .key = TEXT("metrics.`hostile` desc") };
	struct search_request r = request(SEARCH_RUNS, TEXT("params.`hostile` = 'hostile' and run_id in ('hostile') and dataset.name like 'hostile%' and metrics.`hostile` > 1"));

	r.orders = &order;
	r.order_count = 1;
	CHECK(search_compile(arena, &r, &q, &e), "%s", e.message);
	CHECK(strstr(text_z(arena, q.sql), "hostile") == NULL, TEXT_FMT, TEXT_ARG(q.sql));
	arena_free(arena);
}

int
main(void)
{
	test_messages();
	test_orders();
	test_places();
	test_limits();
	test_tokens();
	test_values_are_bound();
	if (failed == 0)
		puts("ok search");
	return failed == 0 ? 0 : 1;
}
