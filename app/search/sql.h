#ifndef SEARCH_SQL_H
#define SEARCH_SQL_H
/* Inside the compiler: what the general searches (sql.c) and the walks over runs (walk.c) share. */
#include "search/parse.h"
#include "search/token.h"

extern const struct text sql_fragments[];

struct compiler {
	struct arena *arena;
	const struct search_request *request;
	struct search_query *query;
	struct search_error *error;
	size_t room; /* of query->params */
	struct node *filter;
	struct order *orders;
	size_t order_count;
	struct token token;
	bool continues; /* token has sort values */
	int64_t limit, offset;
	struct text experiments; /* bound list, TEXT_NONE until asked for */
	struct text one;         /* bound experiment */
	struct text *keys;       /* names looked up in the head of the query, each once */
	size_t key_count, key_room;
};

/* How conditions reach the rows they look at. */
struct view {
	struct text run;  /* expression of the run's identity */
	bool probe;       /* scalar subselects only; else the planner may join */
	bool joined;      /* alias r is there */
	bool living;      /* only active runs of the request's experiments count */
};

/* One sort key of a general search. */
struct key {
	struct text expression;
	enum { KEY_INTEGER, KEY_FLOAT, KEY_TEXT } type;
	bool descending, nullable;
	struct text name;
};

/* All sort keys of a general search, and the pieces of text made of them. */
struct general {
	struct key *keys;
	size_t count;
	struct text made, shown, order;
};

#define EDGE_CHARS 64 /* of the indexes on params, tags and names */

#define SQL(c, f, ...) \
	sql_fill((c), F_##f, (const struct text[]){ __VA_ARGS__ }, sizeof((const struct text[]){ __VA_ARGS__ }) / sizeof(struct text))
#define PIECE(f) (sql_fragments[F_##f])

/* The piece with its {1}..{9} replaced. */
struct text sql_fill(struct compiler *c, enum fragment f, const struct text *args, size_t n);
/* Both conditions; one that is empty or true is left out. */
struct text sql_both(struct compiler *c, struct text a, struct text b);
struct text sql_join(struct compiler *c, struct text a, struct text b);
/* Each binds a value and gives its $n. */
struct text sql_bind_text(struct compiler *c, struct text t);
struct text sql_bind_integer(struct compiler *c, int64_t i);
struct text sql_literal(struct compiler *c, int64_t i);
/* The number of a metric's, param's or tag's name: a reference to the head of the query, which looks each up once. */
struct text sql_bind_key(struct compiler *c, struct text key);
struct text sql_bind_experiments(struct compiler *c);
struct text sql_bind_one(struct compiler *c);
/* A value of the token, by the type of its key. */
struct text sql_bind_token(struct compiler *c, const struct key *k, struct text v);
/* The names looked up, as the first of the CTEs; more: others follow. */
struct text sql_head(struct compiler *c, bool more);
/* Reads the request's token, if any, and checks its values against the types of the sort keys. */
bool sql_token_read(struct compiler *c, const struct key *keys, size_t n) must_check;
enum fragment sql_table(enum entity entity);
/* The condition over this left side; nan: it may be NaN. */
struct text sql_compare(struct compiler *c, const struct condition *condition, struct text left, bool nan);
struct text sql_tree(struct compiler *c, const struct node *n, const struct view *view);
struct text sql_filter(struct compiler *c, const struct view *view);
/* .. and the caller may read it. */
struct text sql_readable(struct compiler *c, struct text where);
/* The sort keys of the request and MLflow's own last ones. */
void sql_keys(struct compiler *c, struct general *g);
/* Makes the query: these rows, sorted by the keys, from the token on. */
void sql_page(struct compiler *c, const struct general *g, struct text head, struct text identity, struct text from, struct text where);

/* One query per index range, for runs sorted first by a key that has an index. False: this request is not for it. */
struct walk;
struct walk *walk_new(struct compiler *c);
bool walk_compile(struct compiler *c, struct walk *w) must_check;
#endif
