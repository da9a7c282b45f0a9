#ifndef BASE_JSON_H
#define BASE_JSON_H
/* Strict JSON (RFC 8259) into a tree in an arena, for requests: one pass, no copies but of strings with escapes. Large batches are its reason; small documents elsewhere go through jansson. */
#include "base/text.h"

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_LIST, JSON_OBJECT };

struct json {
	enum json_type type;
	struct text raw;  /* as it stands in the document */
	struct text text; /* JSON_STRING: decoded */
	struct text key;  /* decoded, when a member of an object */
	struct json *first;
	struct json *next;
	size_t count; /* members or items */
};

/* False: *why says what is wrong at byte *at. Depth over 64, NaN literals, lone surrogates, NUL escapes are refused. Returns the root in *out. */
bool json_parse(struct arena *, struct text document, struct json **out, const char **why, size_t *at) must_check;
/* The last member with this key, or NULL. */
const struct json *json_member(const struct json *object, const char *key);
const char *json_python_type(const struct json *); /* int, float, str, bool, NoneType, list, dict */
#endif
