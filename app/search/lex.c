/*
 * Splits a filter or an order_by clause into words. Its notion of a word is that of sqlparse, which MLflow's server uses, where a client could notice:
 * a quote inside a string is doubled or has a backslash before it (both stay in the value), a minus before a digit belongs to the number.
 */
#include "search/lex.h"

static bool is_space(char c);
static bool is_digit(char c);
static bool is_word(char c);
static size_t quoted_end(struct text s, size_t at, bool backslash);
static size_t number_end(struct text s, size_t at);
static size_t name_end(struct text s, size_t at);
static size_t comment_end(struct text s, size_t at);
static enum lexeme word_kind(struct text word);

struct lex
lex_next(struct text s, size_t *at)
{
	size_t i = *at, end;
	enum lexeme kind = LEX_OTHER;

	while (i < s.n && is_space(s.s[i]))
		i++;
	if (i >= s.n) {
		*at = s.n;
		return (struct lex){ LEX_END, { s.s + s.n, 0 }, s.n };
	}
	end = i + 1;
	char c = s.s[i];
	size_t close;
	if ((close = comment_end(s, i)) != 0) {
		end = close;
	} else if (c == '\'') {
		if ((close = quoted_end(s, i, true)) != 0) {
			kind = LEX_STRING;
			end = close;
		}
	} else if ((close = number_end(s, i)) != 0) {
		kind = LEX_NUMBER;
		end = close;
	} else if (is_word(c) || ((c == '"' || c == '`') && quoted_end(s, i, c == '"') != 0)) {
		end = name_end(s, i);
		kind = word_kind((struct text){ s.s + i, end - i });
	} else if (memchr("<>=~!", c, 5) != NULL) {
		kind = LEX_COMPARE;
		while (end < s.n && memchr("<>=~!", s.s[end], 5) != NULL)
			end++;
	} else if (c == '(') {
		kind = LEX_OPEN;
	} else if (c == ')') {
		kind = LEX_CLOSE;
	} else if (c == ',') {
		kind = LEX_COMMA;
	} else if (c == ';') {
		kind = LEX_SEMICOLON;
	} else if (memchr("+-/*%@#&|^", c, 10) != NULL) {
		kind = LEX_OPERATOR;
	}
	*at = end;
	return (struct lex){ kind, { s.s + i, end - i }, i };
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters beyond ASCII count as word characters, and so do all other bytes of multibyte sequences. */
static bool
is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Index behind the closing quote, 0 when there is none. A doubled or escaped quote closes after all if no later one does. */
static size_t
quoted_end(struct text s, size_t at, bool backslash)
{
	char q = s.s[at];
	size_t last = 0;

	for (size_t i = at + 1; i < s.n; i++) {
		if (backslash && s.s[i] == '\\' && i + 1 < s.n && s.s[i + 1] == q) {
			last = i + 2;
			i++;
		} else if (s.s[i] == q) {
			if (i + 1 >= s.n || s.s[i + 1] != q)
				return i + 1;
			last = i + 1;
			i++;
		}
	}
	return last;
}

/* Index behind the number at `at`, 0 when it is none: digits that run into letters are a name. */
static size_t
number_end(struct text s, size_t at)
{
	size_t i = at, digits = 0;

	if (i < s.n && s.s[i] == '-')
		i++;
	for (; i < s.n && is_digit(s.s[i]); i++)
		digits++;
	if (i < s.n && s.s[i] == '.')
		for (i++; i < s.n && is_digit(s.s[i]); i++)
			digits++;
	if (digits == 0)
		return 0;
	if (i < s.n && (s.s[i] == 'e' || s.s[i] == 'E')) {
		size_t e = i + 1;
		if (e < s.n && s.s[e] == '-') /* not '+': MLflow does not take it */
			e++;
		if (e < s.n && is_digit(s.s[e])) {
			while (e < s.n && is_digit(s.s[e]))
				e++;
			i = e;
		}
	}
	return i < s.n && is_word(s.s[i]) ? 0 : i;
}

/* Words joined by dots; each is plain or in quotes. `params.` alone is a name too: its key is empty. */
static size_t
name_end(struct text s, size_t at)
{
	size_t i = at;

	for (;;) {
		if (i < s.n && (s.s[i] == '"' || s.s[i] == '`' || (s.s[i] == '\'' && i > at))) {
			size_t close = quoted_end(s, i, s.s[i] != '`');
			if (close == 0)
				return i > at ? i : at + 1;
			i = close;
		} else {
			while (i < s.n && (is_word(s.s[i]) || s.s[i] == '#'))
				i++;
		}
		if (i >= s.n || s.s[i] != '.')
			return i;
		i++;
		/* Space behind a dot belongs to the key, as MLflow has it: such a key finds nothing. */
		size_t next = i;
		while (next < s.n && is_space(s.s[next]))
			next++;
		if (next > i && next < s.n && (is_word(s.s[next]) || memchr("\"`'", s.s[next], 3) != NULL))
			i = next;
	}
}

static size_t
comment_end(struct text s, size_t at)
{
	struct text rest = { s.s + at, s.n - at };

	if (text_starts(rest, "--") || text_starts(rest, "# ")) {
		size_t line = text_find(rest, '\n');
		return at + (line < rest.n ? line + 1 : rest.n);
	}
	if (text_starts(rest, "/*")) {
		for (size_t i = at + 2; i + 1 < s.n; i++)
			if (s.s[i] == '*' && s.s[i + 1] == '/')
				return i + 2;
	}
	return 0;
}

static enum lexeme
word_kind(struct text word)
{
	static const struct {
		const char *word;
		enum lexeme kind;
	} keywords[] = {
		{ "and", LEX_AND }, { "or", LEX_OR }, { "not", LEX_NOT }, { "in", LEX_IN }, { "is", LEX_IS }, { "null", LEX_NULL },
		{ "like", LEX_COMPARE }, { "ilike", LEX_COMPARE }, { "rlike", LEX_COMPARE },
	};

	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (text_is_nocase(word, keywords[i].word))
			return keywords[i].kind;
	return LEX_NAME;
}
