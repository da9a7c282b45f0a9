/* Reads the bucket's flat XML answers. */
#include "store/xml.h"

#include <string.h>

#include "base/arena.h"

/* Index of `what` in t from `at`, or t.n. */
static size_t
seek(struct text t, size_t at, const char *what, size_t n)
{
	const char *found = at < t.n ? memmem(t.s + at, t.n - at, what, n) : NULL;

	return found != NULL ? (size_t)(found - t.s) : t.n;
}

bool
xml_next(struct text document, size_t *at, const char *name, struct text *inner)
{
	char open[64], close[64];
	size_t n = strlen(name), start, end;

	PRECOND(n + 4 < sizeof(open));
	open[0] = '<';
	memcpy(open + 1, name, n);
	open[n + 1] = '>';
	close[0] = '<';
	close[1] = '/';
	memcpy(close + 2, name, n);
	close[n + 2] = '>';
	start = seek(document, *at, open, n + 2);
	if (start == document.n)
		return false;
	start += n + 2;
	end = seek(document, start, close, n + 3);
	if (end == document.n)
		return false;
	*inner = (struct text){ document.s + start, end - start };
	*at = end + n + 3;
	return true;
}

static void
add_code_point(struct buf *out, unsigned long c)
{
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return;
	if (c < 0x80) {
		buf_byte(out, (char)c);
	} else if (c < 0x800) {
		buf_byte(out, (char)(0xc0 | (c >> 6)));
		buf_byte(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_byte(out, (char)(0xe0 | (c >> 12)));
		buf_byte(out, (char)(0x80 | ((c >> 6) & 0x3f)));
		buf_byte(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_byte(out, (char)(0xf0 | (c >> 18)));
		buf_byte(out, (char)(0x80 | ((c >> 12) & 0x3f)));
		buf_byte(out, (char)(0x80 | ((c >> 6) & 0x3f)));
		buf_byte(out, (char)(0x80 | (c & 0x3f)));
	}
}

static void
add_entity(struct buf *out, struct text e)
{
	unsigned long c = 0;
	size_t i;

	if (text_is(e, "amp"))
		buf_byte(out, '&');
	else if (text_is(e, "lt"))
		buf_byte(out, '<');
	else if (text_is(e, "gt"))
		buf_byte(out, '>');
	else if (text_is(e, "quot"))
		buf_byte(out, '"');
	else if (text_is(e, "apos"))
		buf_byte(out, '\'');
	else if (e.n > 2 && e.n < 9 && e.s[0] == '#' && (e.s[1] == 'x' || e.s[1] == 'X')) {
		for (i = 2; i < e.n; i++) {
			if (memchr("0123456789abcdefABCDEF", e.s[i], 22) == NULL)
				return;
			c = c * 16 + (unsigned long)(e.s[i] <= '9' ? e.s[i] - '0' : (e.s[i] | 0x20) - 'a' + 10);
		}
		add_code_point(out, c);
	} else if (e.n > 1 && e.n < 9 && e.s[0] == '#') {
		for (i = 1; i < e.n; i++) {
			if (e.s[i] < '0' || e.s[i] > '9')
				return;
			c = c * 10 + (unsigned long)(e.s[i] - '0');
		}
		add_code_point(out, c);
	}
}

struct text
xml_decode(struct arena *arena, struct text raw)
{
	struct buf out = { 0 };
	struct text decoded;
	size_t i;

	if (memchr(raw.s, '&', raw.n) == NULL)
		return text_copy(arena, raw);
	for (i = 0; i < raw.n; i++) {
		size_t end;

		if (raw.s[i] != '&') {
			buf_byte(&out, raw.s[i]);
			continue;
		}
		end = i + text_find(text_skip(raw, i), ';');
		if (end >= raw.n)
			break;
		add_entity(&out, (struct text){ raw.s + i + 1, end - i - 1 });
		i = end;
	}
	decoded = text_copy(arena, buf_view(&out));
	buf_free(&out);
	return decoded;
}

struct text
xml_value(struct arena *arena, struct text document, const char *name)
{
	struct text inner;
	size_t at = 0;

	return xml_next(document, &at, name, &inner) ? xml_decode(arena, inner) : TEXT_NONE;
}

void
xml_escape(struct buf *out, struct text t)
{
	size_t i;

	for (i = 0; i < t.n; i++) {
		switch (t.s[i]) {
		case '&':
			buf_puts(out, "&amp;");
			break;
		case '<':
			buf_puts(out, "&lt;");
			break;
		case '>':
			buf_puts(out, "&gt;");
			break;
		case '"':
			buf_puts(out, "&quot;");
			break;
		default:
			buf_byte(out, t.s[i]);
		}
	}
}
