#ifndef SEARCH_LEX_H
#define SEARCH_LEX_H
/* Words of the search language: what MLflow's SQL tokenizer takes for a name, a string, a number, an operator. */
#include "base/text.h"

enum lexeme {
	LEX_END,
	LEX_NAME,      /* word, dotted words, "quoted" or `quoted`; also a word that starts with a digit */
	LEX_STRING,    /* 'single quotes' */
	LEX_NUMBER,    /* -1, .5, 1e-3 */
	LEX_COMPARE,   /* < <= = != LIKE ILIKE RLIKE and what only looks like one: ==, <> */
	LEX_OPERATOR,  /* + - / * % and the like: no meaning here, but MLflow's messages show them */
	LEX_AND,
	LEX_OR,
	LEX_NOT,
	LEX_IN,
	LEX_IS,
	LEX_NULL,
	LEX_OPEN,
	LEX_CLOSE,
	LEX_COMMA,
	LEX_SEMICOLON,
	LEX_OTHER      /* comments, a quote that never closes, stray bytes */
};

struct lex {
	enum lexeme kind;
	struct text text; /* as written */
	size_t at;        /* byte offset in the source */
};

/* The word at or after *at; *at moves behind it. LEX_END at the end, for ever. */
struct lex lex_next(struct text source, size_t *at);
#endif
