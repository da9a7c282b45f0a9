/*
 * Filters, order_by clauses and page tokens of any bytes. First byte: kind and view; second: how many of the rest are the filter, in 256ths; then one order_by clause to the first
 * newline; what is left is the page token, or, when its first byte is '!', the sort values of a token of our own making, which must be taken by the same request.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "search/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each $n of the text is bound, and each bound value is used. */
static void
check_params(const struct search_query *q, bool all)
{
	bool *used = calloc(q->param_count + 1, sizeof(*used));
	size_t n = 0;

	for (size_t i = 0; i + 1 < q->sql.n; i++) {
		if (q->sql.s[i] != '$')
			continue;
		size_t number = 0;
		while (i + 1 < q->sql.n && q->sql.s[i + 1] >= '0' && q->sql.s[i + 1] <= '9')
			number = number * 10 + (size_t)(q->sql.s[++i] - '0');
		if (number == 0 || number > q->param_count)
			abort();
		n += !used[number];
		used[number] = true;
	}
	if (all && n != q->param_count)
		abort();
	free(used);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t experiments[] = { 1, 2, 3 };
	struct arena *arena = arena_new();
	struct search_error e;
	struct search_query q;

	if (size >= 2) {
		struct text rest = { (const char *)data + 2, size - 2 };
		struct search_order order = { .descending = (data[0] & 64U) != 0 };
		struct search_request r = {
			.kind = (enum search_kind)(data[0] % 6U), .view = (enum search_view)(1 + data[0] / 6U % 3U), .experiments = experiments, .experiment_count = 1U + (data[0] & 128U) / 64U,
			.limit = 10, .count_only = (data[0] & 192U) == 192U, .readable = "true",
		};
		r.filter = (struct text){ rest.s, rest.n * data[1] / 256U };
		rest = text_skip(rest, r.filter.n);
		order.key = (struct text){ rest.s, text_find(rest, '\n') };
		rest = text_skip(rest, order.key.n < rest.n ? order.key.n + 1 : order.key.n);
		r.orders = &order;
		r.order_count = order.key.n > 0;
		bool own = rest.n > 0 && rest.s[0] == '!';
		r.page_token = own ? TEXT_NONE : rest;
		if (search_compile(arena, &r, &q, &e)) {
			check_params(&q, true);
			struct text values[16] = { { NULL, 0 } };
			rest = text_skip(rest, own ? 1 : 0);
			for (size_t i = 0; i < q.sort_columns; i++) {
				size_t comma = text_find(rest, ',');
				values[i] = comma > 0 ? (struct text){ rest.s, comma } : TEXT_NONE;
				rest = text_skip(rest, comma < rest.n ? comma + 1 : comma);
			}
			r.page_token = search_token(arena, &q, values, q.sort_columns);
			if (search_compile(arena, &r, &q, &e))
				/* A token may stand in a range that the filter leaves empty: what only the other ranges use stays bound, with its type. */
				check_params(&q, false);
		} else if (e.message[0] == '\0' || strlen(e.message) >= sizeof(e.message)) {
			abort();
		}
	}
	arena_free(arena);
	return 0;
}
