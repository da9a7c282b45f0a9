/* Tokens are opaque to clients. Layout before base64url: version byte, 8 bytes of hash, then per value: 4 bytes of length + 1 (0 = null) and the bytes. */
#include "search/token.h"

#include "base/arena.h"
#include "search/parse.h"

#define VERSION '\1'

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool base64_read(struct arena *, struct text, struct text *);
static bool offset_read(struct text, struct token *, struct search_error *);

struct text
search_token(struct arena *arena, const struct search_query *query, const struct text *values, size_t n)
{
	struct buf b = { 0 }, out = { 0 };
	struct text t;

	PRECOND(n == query->sort_columns);
	buf_byte(&b, VERSION);
	for (unsigned i = 0; i < 8; i++)
		buf_byte(&b, (char)(unsigned char)(query->token_hash >> (8 * i)));
	for (size_t v = 0; v < n; v++) {
		uint32_t size = values[v].s == NULL ? 0 : (uint32_t)values[v].n + 1;
		for (unsigned i = 0; i < 4; i++)
			buf_byte(&b, (char)(unsigned char)(size >> (8 * i)));
		buf_text(&b, values[v]);
	}
	for (size_t i = 0; i < b.n; i += 3) {
		uint32_t three = 0;
		for (size_t j = 0; j < 3; j++)
			three = three << 8 | (i + j < b.n ? (unsigned char)b.s[i + j] : 0U);
		for (size_t j = 0; j < 4 && i + j <= b.n; j++)
			buf_byte(&out, digits[three >> (18 - 6 * j) & 63U]);
	}
	t = text_copy(arena, buf_view(&out));
	buf_free(&b);
	buf_free(&out);
	return t;
}

bool
token_read(struct arena *arena, struct text token, uint64_t hash, size_t values, struct token *out, struct search_error *error)
{
	struct text raw;
	uint64_t found = 0;

	*out = (struct token){ 0 };
	if (token.n > SEARCH_FILTER_BYTES || !base64_read(arena, token, &raw))
		return search_fail(error, SIZE_MAX, "Invalid page token, could not base64-decode");
	if (raw.n > 0 && raw.s[0] == '{')
		return offset_read(raw, out, error);
	if (raw.n < 9 || raw.s[0] != VERSION)
		return search_fail(error, SIZE_MAX, "Invalid page token, it was not made by this server");
	for (unsigned i = 0; i < 8; i++)
		found |= (uint64_t)(unsigned char)raw.s[1 + i] << (8 * i);
	if (found != hash)
		return search_fail(error, SIZE_MAX, "Invalid page token: filter, order_by or experiments are not those of the request that made it");
	raw = text_skip(raw, 9);
	out->values = arena_array(arena, values + 1, sizeof(*out->values));
	while (out->count < values) {
		uint32_t size = 0;
		if (raw.n < 4)
			return search_fail(error, SIZE_MAX, "Invalid page token, it is cut off");
		for (unsigned i = 0; i < 4; i++)
			size |= (uint32_t)(unsigned char)raw.s[i] << (8 * i);
		raw = text_skip(raw, 4);
		if (size > 0 && size - 1 > raw.n)
			return search_fail(error, SIZE_MAX, "Invalid page token, it is cut off");
		struct text value = size == 0 ? TEXT_NONE : (struct text){ raw.s, size - 1 };
		if (!text_utf8(value))
			return search_fail(error, SIZE_MAX, "Invalid page token, it is damaged");
		out->values[out->count++] = value;
		raw = text_skip(raw, value.n);
	}
	return raw.n == 0 || search_fail(error, SIZE_MAX, "Invalid page token, it has too many values");
}

/* Either alphabet, with or without padding. */
static bool
base64_read(struct arena *arena, struct text in, struct text *out)
{
	char *bytes = arena_array(arena, in.n + 1, 1);
	uint32_t bits = 0, held = 0;
	size_t n = 0;

	while (in.n > 0 && in.s[in.n - 1] == '=')
		in.n--;
	for (size_t i = 0; i < in.n; i++) {
		char c = in.s[i] == '+' ? '-' : in.s[i] == '/' ? '_' : in.s[i];
		const char *at = memchr(digits, c, 64);
		if (at == NULL)
			return false;
		held = held << 6 | (uint32_t)(at - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[n++] = (char)(unsigned char)(held >> bits & 255U);
		}
	}
	*out = (struct text){ bytes, n };
	return true;
}

/* {"offset": 20} or "20"; logged models have more members, of no interest here. */
static bool
offset_read(struct text json, struct token *out, struct search_error *error)
{
	static const char name[] = "\"offset\"";
	struct text t = json;

	for (; t.n > 0 && !text_starts(t, name); t = text_skip(t, 1))
		continue;
	t = text_trim(text_skip(t, t.n < sizeof(name) - 1 ? t.n : sizeof(name) - 1));
	if (t.n == 0 || t.s[0] != ':')
		return search_fail(error, SIZE_MAX, "Invalid page token, parsed value=" TEXT_FMT, TEXT_ARG(text_utf8(json) ? json : TEXT_NONE));
	t = text_trim(text_skip(t, 1));
	if (t.n > 0 && t.s[0] == '"')
		t = text_skip(t, 1);
	size_t n = 0;
	while (n < t.n && ((t.s[n] >= '0' && t.s[n] <= '9') || (n == 0 && t.s[n] == '-')))
		n++;
	if (!text_int((struct text){ t.s, n }, &out->offset) || out->offset <= 0)
		return search_fail(error, SIZE_MAX, "Invalid page token, parsed value=" TEXT_FMT, TEXT_ARG(text_utf8(json) ? json : TEXT_NONE));
	if (out->offset > SEARCH_OFFSET_MOST)
		return search_fail(error, SIZE_MAX, "Invalid page token: an offset beyond %d is not supported, use the tokens of this server", SEARCH_OFFSET_MOST);
	out->is_offset = true;
	return true;
}
