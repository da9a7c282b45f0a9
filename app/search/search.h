#ifndef SEARCH_SEARCH_H
#define SEARCH_SEARCH_H
/* MLflow's filter and order_by language to SQL text and parameters. Pure: no sockets, no globals but tables. */
#include "base/text.h"

struct arena;

enum search_kind { SEARCH_RUNS, SEARCH_EXPERIMENTS, SEARCH_LOGGED_MODELS, SEARCH_REGISTERED_MODELS, SEARCH_MODEL_VERSIONS, SEARCH_DATASETS };

enum search_view { VIEW_ACTIVE = 1, VIEW_DELETED = 2, VIEW_ALL = 3 };

struct search_param { /* one bound parameter */
	enum { SP_TEXT, SP_INT8, SP_FLOAT8, SP_INT8S, SP_TEXTS } type;
	struct text text;
	int64_t i;
	double d;
	const int64_t *is; /* SP_INT8S */
	const struct text *ts; /* SP_TEXTS */
	size_t n;
};

struct search_order { /* logged models use objects; the others "key [ASC|DESC]" strings */
	struct text key;
	bool descending;
	bool is_text; /* key is the whole "key ASC" text, direction still inside */
	struct text dataset_name, dataset_digest; /* logged models' metrics */
};

struct search_request {
	enum search_kind kind;
	struct text filter;
	const struct search_order *orders;
	size_t order_count;
	enum search_view view;
	const int64_t *experiments; /* identities; runs, logged models */
	size_t experiment_count;
	int64_t limit;   /* rows wanted; one more is asked to know whether there is a next page */
	int64_t offset;  /* tallyd/runs/table and MLflow's own tokens; 0 otherwise */
	struct text page_token;
	bool count_only; /* select count(*) instead */
	const struct text *datasets; /* logged models: name, digest pairs */
	size_t dataset_count;
	const char *readable; /* SQL text of the readable-by marker over e (experiments) or g (registered_models), "true" until access control lands */
};

struct search_error {
	char message[1024]; /* in MLflow's words where its client or tests read them; ends with the place: " (at character N)" for what MLflow would refuse too */
	size_t at;
};

struct search_query {
	struct text sql; /* parameters $1.. */
	struct search_param *params;
	size_t param_count;
	bool steady; /* the plan of the text does not depend on the parameters */
	/* The first column of each row is the identity (bigint), then `sort_columns` columns of type text which make the page token.
	 * The identity of a model version is (registered_models.id << 31) | version. count_only: one row, one bigint. */
	size_t sort_columns;
	uint64_t token_hash;
};

/* False: error says why and where. Everything is in the arena. */
bool search_compile(struct arena *, const struct search_request *, struct search_query *, struct search_error *) must_check;
/* The token that continues after a row with these sort values (as text, NULL s = null), made of the query's hash. */
struct text search_token(struct arena *, const struct search_query *, const struct text *sort_values, size_t n);
#endif
