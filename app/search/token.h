#ifndef SEARCH_TOKEN_H
#define SEARCH_TOKEN_H
/* Page tokens: base64url of a hash of the query and the sort values of the last row; MLflow's own tokens are base64 of {"offset": N}. */
#include "search/search.h"

#define SEARCH_OFFSET_MOST 50000

struct token {
	bool is_offset;
	int64_t offset;
	struct text *values; /* s NULL: null */
	size_t count;
};

/* Reads a token made for a query with this hash and this number of sort values. */
bool token_read(struct arena *, struct text token, uint64_t hash, size_t values, struct token *, struct search_error *) must_check;
#endif
