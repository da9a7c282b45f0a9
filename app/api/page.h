#ifndef API_PAGE_H
#define API_PAGE_H
/* Pages of found things: the search compiler's query, then the rows of the page in its order. */
#include "engine/call.h"
#include "search/search.h"

/*
 * Takes filter, order_by and page_token from the call's fields of these names (those it has), compiles and runs the query, then `rows` with the found identities as its one parameter.
 * The reply is {"list":[column of each row],"next_page_token":..}. `request` is copied.
 */
enum next page_start(struct call *, const struct search_request *request, const struct db_statement *rows, const char *list, const char *column);

/* The same up to the identities: `found` gets them with the token (TEXT_NONE on the last page). */
struct page {
	int64_t *ids;
	size_t n;
	struct text token;
	void *user;
};
enum next page_find(struct call *, const struct search_request *request, enum next (*found)(struct call *, struct page *));

/* Before a search of runs by metrics: brings the sort copies of the experiments' latest values up to date (sql/functions/settle.sql). Then goes on. */
enum next page_settle(struct call *, const struct search_request *, enum next (*then)(struct call *));

/* An array parameter (db_p_int8s() and the like) moved into the call's arena. */
struct db_param call_keep_param(struct call *, struct db_param);
/* An array of bigint as a parameter, its bytes in the call's arena. */
struct db_param call_ids_param(struct call *, const int64_t *ids, size_t n);
/* Parameters of a compiled query. */
struct db_param *query_params(struct call *, const struct search_query *);

/* experiments.c */
bool location_valid(struct call *, struct text uri, const char *field) must_check;
struct text artifact_root(void);
/* runs.c */
bool experiment_ids_parse(struct call *, const struct value *ids, struct search_request *) must_check;
#endif
