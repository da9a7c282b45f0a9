/* Slices of bytes, and buffers that grow. */
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/shortest.h"

struct text
text_from(const char *s)
{
	return s == NULL ? TEXT_NONE : (struct text){ s, strlen(s) };
}

bool
text_eq(struct text a, struct text b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.s, b.s, a.n) == 0);
}

bool
text_is(struct text a, const char *b)
{
	return text_eq(a, text_from(b));
}

static int
lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool
text_is_nocase(struct text a, const char *b)
{
	size_t i;

	for (i = 0; i < a.n; i++)
		if (b[i] == '\0' || lower((unsigned char)a.s[i]) != lower((unsigned char)b[i]))
			return false;
	return b[a.n] == '\0';
}

bool
text_starts(struct text a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && memcmp(a.s, prefix, n) == 0;
}

bool
text_ends(struct text a, const char *suffix)
{
	size_t n = strlen(suffix);

	return a.n >= n && memcmp(a.s + a.n - n, suffix, n) == 0;
}

int
text_compare(struct text a, struct text b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.s, b.s, n);

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

static int
by_bytes_then_place(const void *a, const void *b)
{
	const struct text *const *x = a, *const *y = b;
	int c = text_compare(**x, **y);

	return c != 0 ? c : (*x > *y) - (*x < *y);
}

size_t
text_repeated(const struct text *texts, size_t n)
{
	const struct text **sorted;
	size_t found = n;

	if (n < 2)
		return n;
	sorted = calloc(n, sizeof(*sorted));
	PRECOND(sorted != NULL);
	for (size_t i = 0; i < n; i++)
		sorted[i] = &texts[i];
	qsort(sorted, n, sizeof(*sorted), by_bytes_then_place);
	for (size_t i = 1; i < n; i++)
		if (text_eq(*sorted[i - 1], *sorted[i]) && (size_t)(sorted[i] - texts) < found)
			found = (size_t)(sorted[i] - texts);
	free(sorted);
	return found;
}

struct text
text_skip(struct text a, size_t n)
{
	PRECOND(n <= a.n);
	return (struct text){ a.s + n, a.n - n };
}

size_t
text_find(struct text a, char c)
{
	const char *p = a.n == 0 ? NULL : memchr(a.s, c, a.n);

	return p == NULL ? a.n : (size_t)(p - a.s);
}

struct text
text_trim(struct text a)
{
	while (a.n > 0 && strchr(" \t\r\n", a.s[0]) != NULL && a.s[0] != '\0') {
		a.s++;
		a.n--;
	}
	while (a.n > 0 && strchr(" \t\r\n", a.s[a.n - 1]) != NULL && a.s[a.n - 1] != '\0')
		a.n--;
	return a;
}

struct text
text_trim_end(struct text a, char c)
{
	while (a.n > 0 && a.s[a.n - 1] == c)
		a.n--;
	return a;
}

struct text
text_copy(struct arena *arena, struct text a)
{
	char *p = arena_alloc(arena, a.n + 1);

	if (a.n > 0)
		memcpy(p, a.s, a.n);
	return (struct text){ p, a.n };
}

char *
text_z(struct arena *arena, struct text a)
{
	char *p = arena_alloc(arena, a.n + 1);

	if (a.n > 0)
		memcpy(p, a.s, a.n);
	return p;
}

struct text
text_vformat(struct arena *arena, const char *format, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	PRECOND(n >= 0);
	p = arena_alloc(arena, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, format, again);
	va_end(again);
	return (struct text){ p, (size_t)n };
}

struct text
text_format(struct arena *arena, const char *format, ...)
{
	struct text t;
	va_list ap;

	va_start(ap, format);
	t = text_vformat(arena, format, ap);
	va_end(ap);
	return t;
}

bool
text_int(struct text a, int64_t *out)
{
	bool minus = false;
	uint64_t v = 0;
	size_t i = 0;

	if (a.n > 0 && (a.s[0] == '-' || a.s[0] == '+')) {
		minus = a.s[0] == '-';
		i = 1;
	}
	if (i == a.n)
		return false;
	for (; i < a.n; i++) {
		if (a.s[i] < '0' || a.s[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(a.s[i] - '0'), &v))
			return false;
	}
	if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
		return false;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool
of_number(char c)
{
	return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

bool
text_double(struct text a, double *out)
{
	size_t i;

	for (i = 0; i < a.n && of_number(a.s[i]); i++)
		;
	if (i == a.n)
		return a.n > 0 && a.n < 400 && shortest_read(a.s, a.n, out);
	if (text_is(a, "NaN"))
		*out = NAN;
	else if (text_is(a, "Infinity"))
		*out = INFINITY;
	else if (text_is(a, "-Infinity"))
		*out = -INFINITY;
	else
		return false;
	return true;
}

/* Length of the well-formed UTF-8 sequence at p, 0 when it is none. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return n >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] <= 0xef) {
		if (n < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if (n < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
			return 0;
		if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

bool
text_utf8(struct text a)
{
	size_t i = 0;

	while (i < a.n) {
		uint64_t eight;
		size_t n;

		/* Eight at a time while they are ASCII and none is NUL. */
		for (; i + 8 <= a.n; i += 8) {
			memcpy(&eight, a.s + i, 8);
			if (((eight | (eight - 0x0101010101010101u)) & 0x8080808080808080u) != 0)
				break;
		}
		if (i == a.n)
			break;
		n = utf8_length((const unsigned char *)a.s + i, a.n - i);

		if (n == 0 || a.s[i] == '\0')
			return false;
		i += n;
	}
	return true;
}

size_t
text_chars(struct text a)
{
	size_t i;
	size_t n = 0;

	for (i = 0; i < a.n; i++)
		n += ((unsigned char)a.s[i] & 0xc0) != 0x80;
	return n;
}

struct text
text_prefix(struct text a, size_t chars)
{
	size_t i;
	size_t n = 0;

	for (i = 0; i < a.n; i++) {
		if (((unsigned char)a.s[i] & 0xc0) == 0x80)
			continue;
		if (n == chars)
			break;
		n++;
	}
	return (struct text){ a.s, i };
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
text_percent_decode(struct arena *arena, struct text a, bool plus, struct text *out)
{
	char *p = arena_alloc(arena, a.n + 1);
	size_t i;
	size_t n = 0;

	for (i = 0; i < a.n; i++) {
		if (a.s[i] == '%') {
			int high = a.n - i > 2 ? hex_value(a.s[i + 1]) : -1;
			int low = a.n - i > 2 ? hex_value(a.s[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			p[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			p[n++] = plus && a.s[i] == '+' ? ' ' : a.s[i];
		}
	}
	*out = (struct text){ p, n };
	return true;
}

uint64_t
text_hash(struct text a)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	size_t i;

	for (i = 0; i < a.n; i++)
		h = (h ^ (unsigned char)a.s[i]) * 1099511628211u;
	return h ^ (h >> 29);
}

void
text_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
}

void
buf_free(struct buf *b)
{
	free(b->s);
	*b = (struct buf){ 0 };
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t cap = b->cap < 256 ? 256 : b->cap;

	if (more <= b->cap - b->n)
		return;
	PRECOND(more < SIZE_MAX / 4);
	while (cap - b->n < more)
		cap *= 2;
	b->s = realloc(b->s, cap);
	if (b->s == NULL) {
		fputs("out of memory\n", stderr);
		abort();
	}
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	buf_reserve(b, n);
	memcpy(b->s + b->n, bytes, n);
	b->n += n;
}

void
buf_text(struct buf *b, struct text t)
{
	buf_add(b, t.s, t.n);
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_byte(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->s[b->n++] = c;
}

void
buf_int(struct buf *b, int64_t v)
{
	char digits[24];
	size_t i = sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		digits[--i] = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0)
		digits[--i] = '-';
	buf_add(b, digits + i, sizeof(digits) - i);
}

void
buf_double(struct buf *b, double v)
{
	buf_reserve(b, 40);
	b->n += shortest_double(v, b->s + b->n);
}

void
buf_json(struct buf *b, struct text t)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;
	size_t from = 0;

	buf_reserve(b, t.n + 2);
	buf_byte(b, '"');
	for (i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.s[i];

		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_add(b, t.s + from, i - from);
		from = i + 1;
		buf_byte(b, '\\');
		switch (c) {
		case '"':
		case '\\':
			buf_byte(b, (char)c);
			break;
		case '\n':
			buf_byte(b, 'n');
			break;
		case '\r':
			buf_byte(b, 'r');
			break;
		case '\t':
			buf_byte(b, 't');
			break;
		default:
			buf_puts(b, "u00");
			buf_byte(b, digits[c >> 4]);
			buf_byte(b, digits[c & 15]);
		}
	}
	buf_add(b, t.s + from, t.n - from);
	buf_byte(b, '"');
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	va_list again;
	int n;

	va_start(ap, format);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	PRECOND(n >= 0);
	buf_reserve(b, (size_t)n + 1);
	vsnprintf(b->s + b->n, (size_t)n + 1, format, again);
	va_end(again);
	b->n += (size_t)n;
}

void
buf_percent(struct buf *b, struct text t, const char *keep)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < t.n; i++) {
		unsigned char c = (unsigned char)t.s[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != 0 && (strchr("-_.~", c) != NULL || strchr(keep, c) != NULL))) {
			buf_byte(b, (char)c);
		} else {
			buf_byte(b, '%');
			buf_byte(b, digits[c >> 4]);
			buf_byte(b, digits[c & 15]);
		}
	}
}

struct text
buf_view(const struct buf *b)
{
	return (struct text){ b->s, b->n };
}

void
precond_failed(const char *what, const char *file, int line)
{
	log_error("broken invariant: %s at %s:%d", what, file, line);
	abort();
}
