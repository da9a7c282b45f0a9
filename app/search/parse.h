#ifndef SEARCH_PARSE_H
#define SEARCH_PARSE_H
/* The search language as a tree: which words may stand where, and MLflow's message when they may not. */
#include "search/fragments.h"
#include "search/search.h"

#define SEARCH_FILTER_BYTES 262144
#define SEARCH_CONDITIONS 100
#define SEARCH_DEPTH 32
#define SEARCH_LIST 10000
#define SEARCH_ORDERS 20

enum entity { ENTITY_ATTRIBUTE, ENTITY_METRIC, ENTITY_PARAM, ENTITY_TAG, ENTITY_DATASET };

enum attribute_type { AT_TEXT, AT_INTEGER, AT_ID };
#define AT_FILTER 1U
#define AT_ORDER 2U
#define AT_LIST 4U     /* takes IN */
#define AT_NULLABLE 8U
#define AT_OWN 16U     /* not MLflow's: left out of its messages */

struct attribute {
	enum search_kind kind;
	const char *name;
	enum fragment column;
	enum attribute_type type;
	unsigned uses;
};

enum compare {
	CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_LIKE, CMP_ILIKE, CMP_RLIKE, CMP_IN, CMP_NULL,
	CMP_UNKNOWN /* ==, <> and other rows of signs */
};

enum aggregate { AGGREGATE_NONE, AGGREGATE_MIN, AGGREGATE_MAX, AGGREGATE_LAST };

enum operand_kind { OPERAND_NONE, OPERAND_NAME, OPERAND_STRING, OPERAND_NUMBER, OPERAND_LIST, OPERAND_OTHER };

struct operand {
	enum operand_kind kind;
	struct text text; /* as written */
	size_t at;
};

struct condition {
	struct operand left, right;
	struct text comparator; /* as written */
	enum compare compare;
	bool negated; /* NOT IN, IS NOT NULL, NOT LIKE */
	/* made by the check */
	enum entity entity;
	struct text key;
	const struct attribute *attribute;
	enum aggregate aggregate; /* of the metric `base`, unless a metric has the whole key */
	struct text base;
	bool is_number; /* the value: */
	bool is_integer;
	double number;
	int64_t integer;
	struct text text;
	struct text *list;
	size_t list_count;
};

enum node_kind { NODE_CONDITION, NODE_AND, NODE_OR, NODE_NOT };

struct node {
	enum node_kind kind;
	struct condition condition;
	struct node *first, *next; /* parts of AND, OR, NOT; the next part of the same parent */
};

struct order {
	enum entity entity;
	struct text key;
	const struct attribute *attribute;
	enum aggregate aggregate;
	struct text base;
	bool descending;
	struct text dataset_name, dataset_digest;
};

/* False: error says why. An empty filter gives NULL. */
bool parse_filter(struct arena *, enum search_kind, struct text filter, struct node **, struct search_error *) must_check;
/* The comparators, which MLflow looks at last. */
bool parse_check_comparators(struct arena *, enum search_kind, const struct node *, struct search_error *) must_check;
bool parse_orders(struct arena *, enum search_kind, const struct search_order *, size_t n, struct order *, struct search_error *) must_check;
/* Fills the error's message; at: SIZE_MAX when there is no place. Always false. */
bool search_fail(struct search_error *, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
