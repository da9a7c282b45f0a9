/*
 * Runs the search compiler from a command line, for tests on a real PostgreSQL: prints {"sql","params","sort_columns","steady"} or {"error","at"} as JSON.
 * Flags: --kind N --filter TEXT --order TEXT --order-desc TEXT --view N --experiment N --limit N --offset N --token TEXT --count --dataset NAME --digest TEXT;
 * after --after VALUE or --after-null, once a sort column, also "token" for the row with these values.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "search/search.h"

static void
print_param(struct buf *b, const struct search_param *p)
{
	switch (p->type) {
	case SP_TEXT:
		buf_json(b, p->text);
		break;
	case SP_INT8:
		buf_int(b, p->i);
		break;
	case SP_FLOAT8:
		buf_puts(b, "{\"double\":");
		if (isfinite(p->d)) /* else buf_double() makes the quotes */
			buf_byte(b, '"');
		buf_double(b, p->d);
		buf_puts(b, isfinite(p->d) ? "\"}" : "}");
		break;
	case SP_INT8S:
	case SP_TEXTS:
		buf_byte(b, '[');
		for (size_t i = 0; i < p->n; i++) {
			buf_puts(b, i > 0 ? "," : "");
			if (p->type == SP_INT8S)
				buf_int(b, p->is[i]);
			else
				buf_json(b, p->ts[i]);
		}
		buf_byte(b, ']');
		break;
	}
}

int
main(int argc, char **argv)
{
	static int64_t experiments[64];
	static struct search_order orders[32];
	static struct text after[40], datasets[64];
	struct search_request r = { .kind = SEARCH_RUNS, .view = VIEW_ACTIVE, .experiments = experiments, .orders = orders, .limit = 100, .datasets = datasets, .readable = "true" };
	struct arena *arena = arena_new();
	struct search_query q;
	struct search_error e;
	struct buf b = { 0 };
	size_t afters = 0;

	for (int i = 1; i < argc; i++) {
		struct text flag = text_from(argv[i]), value = text_from(i + 1 < argc ? argv[i + 1] : "");
		int64_t n = 0;
		bool number = text_int(value, &n);
		if (text_is(flag, "--count")) {
			r.count_only = true;
			continue;
		}
		if (text_is(flag, "--after-null")) {
			after[afters++] = TEXT_NONE;
			continue;
		}
		i++;
		if (text_is(flag, "--kind") && number)
			r.kind = (enum search_kind)n;
		else if (text_is(flag, "--filter"))
			r.filter = value;
		else if (text_is(flag, "--order") || text_is(flag, "--order-desc"))
			orders[r.order_count++] = (struct search_order){ .key = value, .descending = text_is(flag, "--order-desc"), .is_text = true };
		else if (text_is(flag, "--view") && number)
			r.view = (enum search_view)n;
		else if (text_is(flag, "--experiment"))
			experiments[r.experiment_count++] = n;
		else if (text_is(flag, "--limit"))
			r.limit = n;
		else if (text_is(flag, "--offset"))
			r.offset = n;
		else if (text_is(flag, "--token"))
			r.page_token = value;
		else if (text_is(flag, "--dataset"))
			datasets[2 * r.dataset_count++] = value;
		else if (text_is(flag, "--digest"))
			datasets[2 * r.dataset_count - 1] = value;
		else if (text_is(flag, "--after"))
			after[afters++] = value;
		else
			return 2;
	}
	if (!search_compile(arena, &r, &q, &e)) {
		buf_puts(&b, "{\"error\":");
		buf_json(&b, text_from(e.message));
		buf_printf(&b, ",\"at\":%zu}\n", e.at);
	} else {
		buf_puts(&b, "{\"sql\":");
		buf_json(&b, q.sql);
		buf_printf(&b, ",\"sort_columns\":%zu,\"steady\":%s,\"params\":[", q.sort_columns, q.steady ? "true" : "false");
		for (size_t i = 0; i < q.param_count; i++) {
			buf_puts(&b, i > 0 ? "," : "");
			print_param(&b, &q.params[i]);
		}
		buf_byte(&b, ']');
		if (afters > 0) {
			buf_puts(&b, ",\"token\":");
			buf_json(&b, search_token(arena, &q, after, afters));
		}
		buf_puts(&b, "}\n");
	}
	(void)fwrite(b.s, 1, b.n, stdout);
	buf_free(&b);
	arena_free(arena);
	return 0;
}
