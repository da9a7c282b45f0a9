/* Strict JSON into a tree in an arena. */
#include "base/json.h"

#include "base/arena.h"

#define DEPTH_MOST 64
#define VALUES_MOST 500000 /* each takes about a hundred bytes of the arena, and the binder as many again: 16 MB of "{}," would take a gigabyte */

struct reader {
	struct arena *arena;
	const char *start;
	const char *p;
	const char *end;
	const char *why;
	int depth;
	size_t values;
};

static bool value_read(struct reader *r, struct json *out);

static bool
wrong(struct reader *r, const char *why)
{
	if (r->why == NULL)
		r->why = why;
	return false;
}

static void
space_skip(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
}

static int
hex4(struct reader *r)
{
	int v = 0;
	int i;

	if (r->end - r->p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		char c = *r->p++;

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= c - '0';
		else if (c >= 'a' && c <= 'f')
			v |= c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			v |= c - 'A' + 10;
		else
			return -1;
	}
	return v;
}

static char *
utf8_put(char *o, unsigned c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | (c >> 6));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | (c >> 12));
		*o++ = (char)(0x80 | ((c >> 6) & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | (c >> 18));
		*o++ = (char)(0x80 | ((c >> 12) & 0x3f));
		*o++ = (char)(0x80 | ((c >> 6) & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

static bool
unicode_read(struct reader *r, char **o)
{
	int c = hex4(r);

	if (c < 0)
		return wrong(r, "invalid \\u escape");
	if (c == 0)
		return wrong(r, "a NUL character cannot be stored");
	if (c >= 0xdc00 && c <= 0xdfff)
		return wrong(r, "lone surrogate in \\u escape");
	if (c >= 0xd800 && c <= 0xdbff) {
		int low;

		if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
			return wrong(r, "lone surrogate in \\u escape");
		r->p += 2;
		low = hex4(r);
		if (low < 0xdc00 || low > 0xdfff)
			return wrong(r, "lone surrogate in \\u escape");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*o = utf8_put(*o, (unsigned)c);
	return true;
}

/* The rest of a string with escapes, from its first backslash on; `from` is the string's first byte. */
static bool
escapes_read(struct reader *r, const char *from, struct text *out)
{
	const char *quote = r->p;
	char *copy;
	char *o;

	/* The decoded text is never longer than what stands up to the closing quote. */
	while (quote < r->end && *quote != '"')
		quote += *quote == '\\' ? 2 : 1;
	if (quote >= r->end)
		return wrong(r, "unterminated string");
	copy = arena_alloc(r->arena, (size_t)(quote - from) + 1);
	o = copy;
	memcpy(o, from, (size_t)(r->p - from));
	o += r->p - from;
	while (r->p < quote) {
		char c = *r->p++;

		if ((unsigned char)c < 0x20)
			return wrong(r, "control character in a string");
		if (c != '\\') {
			*o++ = c;
			continue;
		}
		c = *r->p++;
		switch (c) {
		case '"':
		case '\\':
		case '/':
			*o++ = c;
			break;
		case 'b':
			*o++ = '\b';
			break;
		case 'f':
			*o++ = '\f';
			break;
		case 'n':
			*o++ = '\n';
			break;
		case 'r':
			*o++ = '\r';
			break;
		case 't':
			*o++ = '\t';
			break;
		case 'u':
			if (!unicode_read(r, &o))
				return false;
			break;
		default:
			return wrong(r, "invalid escape");
		}
	}
	r->p = quote + 1;
	*out = (struct text){ copy, (size_t)(o - copy) };
	return true;
}

static bool
string_read(struct reader *r, struct text *out)
{
	const char *from = ++r->p;

	while (r->p < r->end) {
		char c = *r->p;

		if (c == '"') {
			*out = (struct text){ from, (size_t)(r->p - from) };
			r->p++;
			return true;
		}
		if (c == '\\')
			return escapes_read(r, from, out);
		if ((unsigned char)c < 0x20)
			return wrong(r, "control character in a string");
		r->p++;
	}
	return wrong(r, "unterminated string");
}

static bool
digits_skip(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

static bool
number_read(struct reader *r)
{
	if (*r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (!digits_skip(r))
		return wrong(r, "invalid number");
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (!digits_skip(r))
			return wrong(r, "invalid number");
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		if (!digits_skip(r))
			return wrong(r, "invalid number");
	}
	return true;
}

static bool
word_read(struct reader *r, const char *word, enum json_type type, struct json *out)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return wrong(r, "a value was expected (NaN and Infinity are written as strings)");
	r->p += n;
	out->type = type;
	return true;
}

static bool
members_read(struct reader *r, struct json *out, char close)
{
	struct json **link = &out->first;

	if (++r->depth > DEPTH_MOST)
		return wrong(r, "nested too deeply");
	r->p++;
	space_skip(r);
	if (r->p < r->end && *r->p == close) {
		r->p++;
		r->depth--;
		return true;
	}
	for (;;) {
		struct json *j;

		if (++r->values > VALUES_MOST)
			return wrong(r, "more than 500000 values");
		j = ARENA_NEW(r->arena, struct json);
		space_skip(r);
		if (close == '}') {
			if (r->p >= r->end || *r->p != '"')
				return wrong(r, "a member name was expected");
			if (!string_read(r, &j->key))
				return false;
			space_skip(r);
			if (r->p >= r->end || *r->p != ':')
				return wrong(r, "':' was expected");
			r->p++;
		}
		if (!value_read(r, j))
			return false;
		*link = j;
		link = &j->next;
		out->count++;
		space_skip(r);
		if (r->p < r->end && *r->p == ',') {
			r->p++;
			continue;
		}
		if (r->p < r->end && *r->p == close) {
			r->p++;
			r->depth--;
			return true;
		}
		return wrong(r, close == '}' ? "',' or '}' was expected" : "',' or ']' was expected");
	}
}

static bool
value_read(struct reader *r, struct json *out)
{
	const char *from;
	bool good;

	space_skip(r);
	if (r->p >= r->end)
		return wrong(r, "a value was expected");
	from = r->p;
	switch (*r->p) {
	case '"':
		out->type = JSON_STRING;
		good = string_read(r, &out->text);
		break;
	case '{':
		out->type = JSON_OBJECT;
		good = members_read(r, out, '}');
		break;
	case '[':
		out->type = JSON_LIST;
		good = members_read(r, out, ']');
		break;
	case 't':
		good = word_read(r, "true", JSON_TRUE, out);
		break;
	case 'f':
		good = word_read(r, "false", JSON_FALSE, out);
		break;
	case 'n':
		good = word_read(r, "null", JSON_NULL, out);
		break;
	default:
		if (*r->p != '-' && (*r->p < '0' || *r->p > '9'))
			return wrong(r, "a value was expected (NaN and Infinity are written as strings)");
		out->type = JSON_NUMBER;
		good = number_read(r);
	}
	out->raw = (struct text){ from, (size_t)(r->p - from) };
	return good;
}

bool
json_parse(struct arena *arena, struct text document, struct json **out, const char **why, size_t *at)
{
	struct reader r = { .arena = arena, .start = document.s, .p = document.s, .end = document.s + document.n };

	*out = ARENA_NEW(arena, struct json);
	if (document.n > 0 && !text_utf8(document)) {
		*why = "not valid UTF-8";
		*at = 0;
		return false;
	}
	if (value_read(&r, *out)) {
		space_skip(&r);
		if (r.p == r.end)
			return true;
		wrong(&r, "text after the document");
	}
	*why = r.why;
	*at = (size_t)(r.p - r.start);
	return false;
}

const struct json *
json_member(const struct json *object, const char *key)
{
	const struct json *found = NULL;
	const struct json *j;

	if (object == NULL || object->type != JSON_OBJECT)
		return NULL;
	for (j = object->first; j != NULL; j = j->next)
		if (text_is(j->key, key))
			found = j;
	return found;
}

const char *
json_python_type(const struct json *j)
{
	size_t i;

	switch (j->type) {
	case JSON_NULL:
		return "NoneType";
	case JSON_FALSE:
	case JSON_TRUE:
		return "bool";
	case JSON_STRING:
		return "str";
	case JSON_LIST:
		return "list";
	case JSON_OBJECT:
		return "dict";
	case JSON_NUMBER:
		break;
	}
	for (i = 0; i < j->raw.n; i++)
		if (strchr(".eE", j->raw.s[i]) != NULL)
			return "float";
	return "int";
}
