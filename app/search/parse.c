/*
 * Filter and order_by to trees. MLflow's grammar is a list of conditions joined by AND (which may be left out, or stand at either end); ours adds OR, NOT, brackets, RLIKE,
 * NOT LIKE, numbers beside params and the ends .min .max .last of metrics. A filter that MLflow takes means the same here; one that it refuses and we do too
 * gets MLflow's message and the place. Order of the checks as on the real server: clauses, then names and values, then order_by, then comparators.
 */
#include "search/parse.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "search/lex.h"

struct parser {
	struct arena *arena;
	struct text source;
	size_t at;
	struct lex now;
	size_t conditions;
	bool extended;      /* OR, NOT or brackets were used */
	size_t loose;       /* place of the first missing or dangling AND, SIZE_MAX when there is none */
	struct buf invalid; /* 'a', 'b' */
	size_t invalid_at;
	struct search_error *error;
	enum search_kind kind;
};

static const struct attribute attributes[] = {
#define ATTRIBUTE(kind, name, column, type, uses) { kind, name, F_##column, type, uses },
#include "search/attributes.def"
#undef ATTRIBUTE
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(*attributes))

static struct node *parse_or(struct parser *, unsigned depth);
static struct node *parse_and(struct parser *, unsigned depth);
static struct node *parse_part(struct parser *, unsigned depth);
static struct node *parse_condition(struct parser *);
static struct operand parse_operand(struct parser *);
static struct operand parse_list(struct parser *);
static void advance(struct parser *);
static void add_invalid(struct parser *, struct text, size_t at);
static bool statement_check(struct parser *);
static bool tree_check(struct parser *, struct node *);
static bool condition_check(struct parser *, struct condition *);
static bool name_check(struct arena *, enum search_kind, struct operand, bool ordering, struct condition *, struct search_error *);
static bool entity_find(enum search_kind, struct text word, size_t at, enum entity *, struct search_error *);
static bool value_check(struct parser *, struct condition *);
static bool value_number(struct condition *, struct search_error *, const char *what, struct text key);
static bool value_string(struct condition *, struct search_error *);
static bool value_list(struct parser *, struct condition *);
static bool value_id(struct condition *, struct search_error *, struct text, int64_t *);
static bool value_logged_model(struct parser *, struct condition *);
static void aggregate_split(struct condition *);
static const struct attribute *attribute_find(enum search_kind, struct text key, unsigned use);
static struct text attribute_names(struct arena *, enum search_kind, unsigned use);
static bool pattern_check(struct parser *, const struct condition *);
static bool attribute_fail(struct arena *, enum search_kind, unsigned use, struct text key, size_t at, struct search_error *);
static bool comparator_check(struct arena *, enum search_kind, const struct condition *, struct search_error *);
static struct text strip(struct text s, const char *quotes);
static struct text python_repr(struct arena *, struct text);

bool
search_fail(struct search_error *error, size_t at, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(error->message, sizeof(error->message), format, ap);
	va_end(ap);
	error->at = at == SIZE_MAX ? 0 : at;
	if (at == SIZE_MAX)
		return false;
	/* A message cut by the buffer still ends with the place, and not inside a character. */
	size_t end = n < 0 ? 0 : (size_t)n;
	if (end > sizeof(error->message) - 48) {
		end = sizeof(error->message) - 48;
		while (end > 0 && ((unsigned char)error->message[end] & 0xC0U) == 0x80U)
			end--;
	}
	(void)snprintf(error->message + end, sizeof(error->message) - end, " (at character %zu)", at + 1);
	return false;
}

bool
parse_filter(struct arena *arena, enum search_kind kind, struct text filter, struct node **tree, struct search_error *error)
{
	struct parser p = { .arena = arena, .source = filter, .loose = SIZE_MAX, .error = error, .kind = kind };
	bool ok = false;

	*tree = NULL;
	if (filter.n == 0)
		return true;
	if (filter.n > SEARCH_FILTER_BYTES)
		return search_fail(error, SIZE_MAX, "Filter string is too long: %zu bytes, at most %d are allowed", filter.n, SEARCH_FILTER_BYTES);
	if (!text_utf8(filter))
		return search_fail(error, SIZE_MAX, "Filter string is not well-formed UTF-8");
	if (text_trim(filter).n == 0)
		return search_fail(error, SIZE_MAX, "Invalid filter '" TEXT_FMT "'. Could not be parsed.", TEXT_ARG(filter));
	error->message[0] = '\0';
	if (statement_check(&p)) {
		advance(&p);
		*tree = parse_or(&p, 0);
		if (error->message[0] != '\0')
			ok = false;
		else if (p.invalid.n > 0 && kind == SEARCH_LOGGED_MODELS)
			ok = search_fail(error, p.invalid_at, "Invalid filter string: " TEXT_FMT
			    ". Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = 0.01').", TEXT_ARG(python_repr(arena, filter)));
		else if (p.invalid.n > 0)
			ok = search_fail(error, p.invalid_at, "Invalid clause(s) in filter string: " TEXT_FMT, TEXT_ARG(buf_view(&p.invalid)));
		else if (p.extended && p.loose != SIZE_MAX)
			ok = search_fail(error, p.loose, "Invalid clause(s) in filter string: AND or OR is missing");
		else
			ok = *tree == NULL || tree_check(&p, *tree);
	}
	buf_free(&p.invalid);
	return ok;
}

/* MLflow refuses what stands behind a semicolon before it looks at anything else. */
static bool
statement_check(struct parser *p)
{
	size_t at = 0;

	for (struct lex l = lex_next(p->source, &at); l.kind != LEX_END; l = lex_next(p->source, &at)) {
		size_t next = at;
		if (l.kind == LEX_SEMICOLON && lex_next(p->source, &next).kind != LEX_END)
			return p->kind == SEARCH_LOGGED_MODELS
			    ? search_fail(p->error, l.at, "Invalid filter string: " TEXT_FMT ". Expected a single SQL expression.", TEXT_ARG(python_repr(p->arena, p->source)))
			    : search_fail(p->error, l.at, "Search filter contained multiple expression " TEXT_FMT ". Provide AND-ed expression list.",
			    TEXT_ARG(python_repr(p->arena, p->source)));
	}
	return true;
}

static void
advance(struct parser *p)
{
	p->now = lex_next(p->source, &p->at);
}

static void
add_invalid(struct parser *p, struct text t, size_t at)
{
	if (p->invalid.n == 0)
		p->invalid_at = at;
	else
		buf_puts(&p->invalid, ", ");
	/* Runs show each clause in quotes, the other searches do not (MLflow utils/search_utils.py, _process_statement). */
	buf_puts(&p->invalid, p->kind == SEARCH_RUNS ? "'" : "");
	buf_text(&p->invalid, t);
	buf_puts(&p->invalid, p->kind == SEARCH_RUNS ? "'" : "");
}

static struct node *
node_new(struct parser *p, enum node_kind kind, struct node *first)
{
	struct node *n = ARENA_NEW(p->arena, struct node);

	n->kind = kind;
	n->first = first;
	return n;
}

static struct node *
parse_or(struct parser *p, unsigned depth)
{
	struct node *first = parse_and(p, depth), **last;

	if (p->now.kind != LEX_OR)
		return first;
	p->extended = true;
	struct node *or = node_new(p, NODE_OR, first);
	last = first == NULL ? &or->first : &first->next;
	while (p->now.kind == LEX_OR) {
		size_t at = p->now.at;
		struct text word = p->now.text;
		advance(p);
		struct node *part = parse_and(p, depth);
		if (part == NULL || or->first == NULL) {
			add_invalid(p, word, at);
			continue;
		}
		*last = part;
		last = &part->next;
	}
	return or->first == NULL ? NULL : or;
}

/* Conditions with AND between them, also without it or with too many: sqlparse does not mind, so neither may we. */
static struct node *
parse_and(struct parser *p, unsigned depth)
{
	struct node *first = NULL, **last = &first;
	size_t parts = 0;
	bool joined = false;

	for (;;) {
		if (p->now.kind == LEX_END || p->now.kind == LEX_OR || (p->now.kind == LEX_CLOSE && depth > 0))
			break;
		if (p->now.kind == LEX_AND) {
			if ((parts == 0 || joined) && p->loose == SIZE_MAX)
				p->loose = p->now.at;
			joined = true;
			advance(p);
			continue;
		}
		if (parts > 0 && !joined && p->loose == SIZE_MAX)
			p->loose = p->now.at;
		struct node *part = parse_part(p, depth);
		if (p->error->message[0] != '\0')
			return NULL;
		if (part == NULL)
			continue;
		joined = false;
		*last = part;
		last = &part->next;
		parts++;
	}
	if (joined && p->loose == SIZE_MAX)
		p->loose = p->now.at;
	return parts > 1 ? node_new(p, NODE_AND, first) : first;
}

static struct node *
parse_part(struct parser *p, unsigned depth)
{
	struct lex open = p->now;
	struct node *inner;

	if (depth > SEARCH_DEPTH) {
		(void)search_fail(p->error, open.at, "Filter string is nested too deeply, at most %d levels are allowed", SEARCH_DEPTH);
		return NULL;
	}
	if (open.kind == LEX_NOT) {
		p->extended = true;
		advance(p);
		if (p->now.kind == LEX_END || p->now.kind == LEX_AND || p->now.kind == LEX_OR || p->now.kind == LEX_CLOSE) {
			add_invalid(p, open.text, open.at);
			return NULL;
		}
		inner = parse_part(p, depth + 1);
		return inner == NULL ? NULL : node_new(p, NODE_NOT, inner);
	}
	if (open.kind != LEX_OPEN)
		return parse_condition(p);
	p->extended = true;
	advance(p);
	inner = parse_or(p, depth + 1);
	if (p->error->message[0] != '\0')
		return NULL;
	if (p->now.kind != LEX_CLOSE) {
		add_invalid(p, open.text, open.at);
		return inner;
	}
	if (inner == NULL && p->invalid.n == 0)
		add_invalid(p, (struct text){ p->source.s + open.at, p->now.at + 1 - open.at }, open.at);
	advance(p);
	/* A list of its own, so that the parts of ((a and b) and c) keep their own chain. */
	return inner == NULL ? NULL : node_new(p, NODE_AND, inner);
}

static struct node *
parse_condition(struct parser *p)
{
	static const struct {
		const char *text;
		enum compare compare;
	} comparators[] = {
		{ "=", CMP_EQ }, { "!=", CMP_NE }, { "<", CMP_LT }, { "<=", CMP_LE }, { ">", CMP_GT }, { ">=", CMP_GE }, { "like", CMP_LIKE }, { "ilike", CMP_ILIKE }, { "rlike", CMP_RLIKE },
	};
	struct condition c = { .compare = CMP_UNKNOWN };
	struct lex first = p->now, second;

	c.left = parse_operand(p);
	if (c.left.kind == OPERAND_NONE) {
		add_invalid(p, first.text, first.at);
		advance(p);
		return NULL;
	}
	second = p->now;
	if (second.kind == LEX_NOT) {
		/* `a NOT IN (..)`, `a NOT LIKE ..`; else NOT begins the next part. */
		size_t ahead = p->at;
		struct lex next = lex_next(p->source, &ahead);
		if (next.kind == LEX_IN || (next.kind == LEX_COMPARE && text_ends(next.text, "e")) || (next.kind == LEX_COMPARE && text_ends(next.text, "E"))) {
			c.negated = true;
			advance(p);
		}
	}
	struct lex word = p->now;
	if (word.kind == LEX_COMPARE) {
		for (size_t i = 0; i < sizeof(comparators) / sizeof(*comparators); i++)
			if (text_is_nocase(word.text, comparators[i].text))
				c.compare = comparators[i].compare;
		advance(p);
		c.right = p->now.kind == LEX_OPEN ? parse_list(p) : parse_operand(p);
	} else if (word.kind == LEX_IN) {
		c.compare = CMP_IN;
		advance(p);
		if (p->now.kind == LEX_OPEN)
			c.right = parse_list(p);
	} else if (word.kind == LEX_IS) {
		c.compare = CMP_NULL;
		advance(p);
		if (p->now.kind == LEX_NOT) {
			c.negated = true;
			advance(p);
		}
		if (p->now.kind == LEX_NULL) {
			c.right = (struct operand){ OPERAND_OTHER, p->now.text, p->now.at };
			advance(p);
		}
	} else {
		add_invalid(p, c.left.text, c.left.at);
		return NULL;
	}
	c.comparator = (struct text){ p->source.s + second.at, (size_t)(word.text.s + word.text.n - (p->source.s + second.at)) };
	if (c.right.kind == OPERAND_NONE) {
		add_invalid(p, c.left.text, c.left.at);
		add_invalid(p, c.comparator, second.at);
		return NULL;
	}
	if (c.right.kind == OPERAND_LIST && c.compare == CMP_EQ)
		c.compare = CMP_IN;
	if (++p->conditions > SEARCH_CONDITIONS) {
		(void)search_fail(p->error, c.left.at, "Filter string has too many conditions, at most %d are allowed", SEARCH_CONDITIONS);
		return NULL;
	}
	struct node *n = node_new(p, NODE_CONDITION, NULL);
	n->condition = c;
	return n;
}

/* A name, string or number, or several with signs between them, which no condition takes but the message shows. */
static struct operand
parse_operand(struct parser *p)
{
	struct operand o = { OPERAND_NONE, TEXT_NONE, p->now.at };

	for (;;) {
		enum operand_kind kind = p->now.kind == LEX_NAME ? OPERAND_NAME : p->now.kind == LEX_STRING ? OPERAND_STRING : p->now.kind == LEX_NUMBER ? OPERAND_NUMBER : OPERAND_NONE;
		if (kind == OPERAND_NONE)
			return o;
		o.kind = o.kind == OPERAND_NONE ? kind : OPERAND_OTHER;
		o.text = (struct text){ p->source.s + o.at, p->now.at + p->now.text.n - o.at };
		advance(p);
		if (p->now.kind != LEX_OPERATOR)
			return o;
		size_t ahead = p->at;
		enum lexeme next = lex_next(p->source, &ahead).kind;
		if (next != LEX_NAME && next != LEX_STRING && next != LEX_NUMBER)
			return o;
		advance(p);
	}
}

static struct operand
parse_list(struct parser *p)
{
	struct operand o = { OPERAND_NONE, TEXT_NONE, p->now.at };
	unsigned open = 0;

	while (p->now.kind != LEX_END) {
		open += p->now.kind == LEX_OPEN;
		open -= p->now.kind == LEX_CLOSE;
		size_t end = p->now.at + p->now.text.n;
		advance(p);
		if (open == 0) {
			o.kind = OPERAND_LIST;
			o.text = (struct text){ p->source.s + o.at, end - o.at };
			return o;
		}
	}
	return o;
}

static bool
tree_check(struct parser *p, struct node *n)
{
	if (n->kind == NODE_CONDITION)
		return condition_check(p, &n->condition);
	for (struct node *part = n->first; part != NULL; part = part->next)
		if (!tree_check(p, part))
			return false;
	return true;
}

static bool
condition_check(struct parser *p, struct condition *c)
{
	if (c->left.kind != OPERAND_NAME)
		return search_fail(p->error, c->left.at, "Invalid comparison clause. Expected 'Identifier' found '" TEXT_FMT "'", TEXT_ARG(c->left.text));
	/* MLflow takes these for words of SQL. */
	if ((p->kind == SEARCH_REGISTERED_MODELS || p->kind == SEARCH_MODEL_VERSIONS) && c->right.kind == OPERAND_NAME && (text_is_nocase(c->right.text, "true") || text_is_nocase(c->right.text, "false") || text_is_nocase(c->right.text, "null")))
		return search_fail(p->error, c->left.at, "Invalid clause(s) in filter string: " TEXT_FMT ", " TEXT_FMT ", " TEXT_FMT, TEXT_ARG(c->left.text), TEXT_ARG(c->comparator), TEXT_ARG(c->right.text));
	if (!name_check(p->arena, p->kind, c->left, false, c, p->error))
		return false;
	if (c->entity == ENTITY_METRIC && p->kind == SEARCH_RUNS)
		aggregate_split(c);
	if (c->compare != CMP_NULL)
		return value_check(p, c) && pattern_check(p, c);
	if (c->entity == ENTITY_TAG || (c->entity == ENTITY_PARAM && p->kind == SEARCH_RUNS))
		return true;
	if (p->kind == SEARCH_EXPERIMENTS)
		return search_fail(p->error, c->left.at, "IS NULL / IS NOT NULL is only supported for tags, not for attribute '" TEXT_FMT "'", TEXT_ARG(c->key));
	static const char *const words[] = { "attribute", "metric", "parameter", "tag", "dataset" };
	return search_fail(p->error, c->left.at, "IS NULL / IS NOT NULL is only supported for tags and params, not for '%s' '" TEXT_FMT "'", words[c->entity], TEXT_ARG(c->key));
}

/*
 * PostgreSQL matches a regular expression in one pass over the text, but for back-references and lookaround, which may take years: one such search and its repeats would
 * keep every reader waiting until the statement's timeout.
 */
static bool
regex_check(struct parser *p, const struct condition *c)
{
	struct text t = c->text;

	for (size_t i = 0; i + 1 < t.n; i++) {
		if (t.s[i] == '\\') {
			i++;
			if (t.s[i] >= '1' && t.s[i] <= '9')
				return search_fail(p->error, c->right.at, "Back-references are not possible in RLIKE");
		} else if (t.s[i] == '(' && t.s[i + 1] == '?' && i + 2 < t.n && memchr("=!<", t.s[i + 2], 3) != NULL) {
			return search_fail(p->error, c->right.at, "Lookaround is not possible in RLIKE");
		}
	}
	return true;
}

/* In a pattern a backslash takes the meaning off what follows, as with MLflow on PostgreSQL; one at the end has nothing to take it off. */
static bool
pattern_check(struct parser *p, const struct condition *c)
{
	size_t n = 0;

	if (c->compare == CMP_RLIKE)
		return regex_check(p, c);
	while (n < c->text.n && c->text.s[c->text.n - 1 - n] == '\\')
		n++;
	return (c->compare != CMP_LIKE && c->compare != CMP_ILIKE) || n % 2 == 0 || search_fail(p->error, c->right.at, "A LIKE pattern must not end with a lone backslash");
}

/* entity.key or attribute: fills entity, key and attribute. */
static bool
name_check(struct arena *arena, enum search_kind kind, struct operand name, bool ordering, struct condition *c, struct search_error *error)
{
	size_t dot = text_find(name.text, '.');
	unsigned use = ordering ? AT_ORDER : AT_FILTER;

	c->entity = ENTITY_ATTRIBUTE;
	c->key = name.text;
	if (dot < name.text.n) {
		if (!entity_find(kind, (struct text){ name.text.s, dot }, name.at, &c->entity, error))
			return false;
		c->key = text_skip(name.text, dot + 1);
	}
	c->key = strip(strip(c->key, "'\""), "`");
	if (c->entity == ENTITY_DATASET && !text_is(c->key, "name") && !text_is(c->key, "digest") && !text_is(c->key, "context"))
		return search_fail(error, name.at, "Invalid dataset key '" TEXT_FMT "' specified. Valid keys are '{'name', 'digest', 'context'}'", TEXT_ARG(c->key));
	if (c->entity != ENTITY_ATTRIBUTE)
		return true;
	c->attribute = attribute_find(kind, c->key, use);
	return c->attribute != NULL || attribute_fail(arena, kind, use, c->key, name.at, error);
}

static bool
entity_find(enum search_kind kind, struct text word, size_t at, enum entity *entity, struct search_error *error)
{
	static const struct {
		const char *word;
		enum entity entity;
		bool models; /* the logged models' search knows it */
		bool others; /* experiments, registered models and versions know it */
	} words[] = {
		{ "metric", ENTITY_METRIC, false, false }, { "metrics", ENTITY_METRIC, true, false },
		{ "parameter", ENTITY_PARAM, false, false }, { "parameters", ENTITY_PARAM, false, false }, { "param", ENTITY_PARAM, false, false }, { "params", ENTITY_PARAM, true, false },
		{ "tag", ENTITY_TAG, false, true }, { "tags", ENTITY_TAG, true, true },
		{ "attribute", ENTITY_ATTRIBUTE, false, true }, { "attr", ENTITY_ATTRIBUTE, false, false }, { "attributes", ENTITY_ATTRIBUTE, true, false }, { "run", ENTITY_ATTRIBUTE, false, false },
		{ "dataset", ENTITY_DATASET, false, false }, { "datasets", ENTITY_DATASET, false, false },
	};
	struct text bare = kind == SEARCH_RUNS ? strip(word, "`") : word;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		bool known = kind == SEARCH_RUNS || (kind == SEARCH_LOGGED_MODELS ? words[i].models : words[i].others);
		if (known && text_is(bare, words[i].word)) {
			*entity = words[i].entity;
			return true;
		}
	}
	if (kind == SEARCH_RUNS)
		return search_fail(error, at, "Invalid entity type '" TEXT_FMT "'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']", TEXT_ARG(bare));
	if (kind == SEARCH_LOGGED_MODELS)
		return search_fail(error, at, "Invalid entity type: '" TEXT_FMT "'. Expected one of ['attributes', 'metrics', 'params', 'tags'].", TEXT_ARG(word));
	return search_fail(error, at, "Invalid entity type '" TEXT_FMT "'. Valid entity types are ('attribute', 'tag', 'tags')", TEXT_ARG(word));
}

static bool
value_check(struct parser *p, struct condition *c)
{
	struct text found = c->right.text;

	if (p->kind == SEARCH_LOGGED_MODELS)
		return value_logged_model(p, c);
	if (c->entity == ENTITY_METRIC)
		return value_number(c, p->error, "Expected numeric value type for metric.", TEXT_NONE);
	if (c->entity == ENTITY_PARAM && c->right.kind == OPERAND_NUMBER)
		return value_number(c, p->error, "", TEXT_NONE);
	if (c->entity == ENTITY_PARAM || c->entity == ENTITY_TAG) {
		if (c->right.kind == OPERAND_STRING || c->right.kind == OPERAND_NAME)
			return value_string(c, p->error);
		return search_fail(p->error, c->right.at, "Expected a quoted string value for %s (e.g. 'my-value'). Got value " TEXT_FMT,
		    c->entity == ENTITY_TAG ? "tag" : "parameter", TEXT_ARG(found));
	}
	if (c->entity == ENTITY_DATASET) {
		if (c->right.kind == OPERAND_LIST)
			return value_list(p, c);
		if (c->right.kind == OPERAND_STRING || c->right.kind == OPERAND_NAME)
			return value_string(c, p->error);
		return search_fail(p->error, c->right.at, "Expected a quoted string value for dataset attributes. Got value " TEXT_FMT, TEXT_ARG(found));
	}
	if (c->attribute->type == AT_INTEGER && !(p->kind == SEARCH_MODEL_VERSIONS && c->right.kind != OPERAND_NUMBER))
		return value_number(c, p->error, "Expected numeric value type for numeric attribute:", c->key) &&
		    (c->is_integer || p->kind == SEARCH_RUNS ||
			search_fail(p->error, c->right.at, "Invalid value for numeric attribute '" TEXT_FMT "': " TEXT_FMT, TEXT_ARG(c->key),
			    TEXT_ARG(p->kind == SEARCH_EXPERIMENTS ? python_repr(p->arena, c->right.text) : c->right.text)));
	if (c->right.kind == OPERAND_STRING || c->right.kind == OPERAND_NAME) {
		if (!value_string(c, p->error))
			return false;
		if (c->attribute->type != AT_INTEGER)
			return c->attribute->type != AT_ID || value_id(c, p->error, c->text, &c->integer);
		/* A version's number may stand in quotes. */
		c->is_number = c->is_integer = text_int(c->text, &c->integer);
		c->number = (double)c->integer;
		return c->is_integer || search_fail(p->error, c->right.at, "Invalid value for numeric attribute '" TEXT_FMT "': " TEXT_FMT, TEXT_ARG(c->key),
			   TEXT_ARG(python_repr(p->arena, c->text)));
	}
	if (c->right.kind == OPERAND_LIST)
		return value_list(p, c);
	if (p->kind == SEARCH_MODEL_VERSIONS && c->right.kind == OPERAND_NUMBER)
		return search_fail(p->error, c->right.at, "Only the '{'version_number', 'creation_timestamp', 'last_updated_timestamp'}' attributes support comparison with numeric values.");
	if (p->kind == SEARCH_MODEL_VERSIONS || p->kind == SEARCH_REGISTERED_MODELS)
		return search_fail(p->error, c->right.at, "Expected a quoted string value or a list of quoted string values for attributes. Got value " TEXT_FMT, TEXT_ARG(found));
	return search_fail(p->error, c->right.at, "Expected a quoted string value for attributes. Got value " TEXT_FMT, TEXT_ARG(found));
}

static bool
value_number(struct condition *c, struct search_error *error, const char *what, struct text key)
{
	if (c->right.kind != OPERAND_NUMBER)
		return search_fail(error, c->right.at, key.n > 0 ? "%s " TEXT_FMT ". Found " TEXT_FMT : "%s" TEXT_FMT " Found " TEXT_FMT, what, TEXT_ARG(key), TEXT_ARG(c->right.text));
	c->is_number = true;
	c->is_integer = text_int(c->right.text, &c->integer);
	if (!text_double(c->right.text, &c->number)) /* more digits than any double has */
		c->number = c->right.text.s[0] == '-' ? -INFINITY : INFINITY;
	return true;
}

static bool
value_string(struct condition *c, struct search_error *error)
{
	c->text = strip(c->right.text, "'\"");
	if (c->text.n == c->right.text.n)
		return search_fail(error, c->right.at,
		    "Parameter value is either not quoted or unidentified quote types used for string value " TEXT_FMT ". Use either single or double quotes.", TEXT_ARG(c->right.text));
	return true;
}

/* ('a', "b"): MLflow reads it as a Python literal. */
static bool
value_list(struct parser *p, struct condition *c)
{
	struct text inside = { c->right.text.s + 1, c->right.text.n - 2 };
	size_t at = 0, count = 0, room = 0;
	bool comma = true, numbers = false;

	if (p->kind != SEARCH_LOGGED_MODELS && c->entity == ENTITY_ATTRIBUTE && (c->attribute->uses & AT_LIST) == 0) {
		static const char *const takers[] = { "run_id", "experiment_id", "", "name", "name', 'run_id", "" };
		return search_fail(p->error, c->right.at, "Only ['%s'] attributes support comparison with a list of quoted string values.", takers[p->kind]);
	}
	for (size_t i = 0; i < inside.n; i++)
		room += inside.s[i] == ',';
	c->list = arena_array(p->arena, room + 1, sizeof(*c->list));
	for (struct lex l = lex_next(inside, &at); l.kind != LEX_END; l = lex_next(inside, &at)) {
		bool string = l.kind == LEX_STRING || (l.kind == LEX_NAME && l.text.s[0] == '"' && strip(l.text, "\"").n < l.text.n);
		if (l.kind == LEX_COMMA && !comma) {
			comma = true;
		} else if (comma && (string || l.kind == LEX_NUMBER)) {
			comma = false;
			numbers = numbers || !string;
			c->list[count++] = strip(l.text, "'\"");
		} else {
			return search_fail(p->error, c->right.at + 1 + l.at, "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.");
		}
	}
	if (count == 0)
		return search_fail(p->error, c->right.at, "While parsing a list in the query, expected a non-empty list of string values, but got empty list");
	if (numbers)
		return search_fail(p->error, c->right.at, "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different type in list: " TEXT_FMT,
		    TEXT_ARG(c->right.text));
	if (count > SEARCH_LIST)
		return search_fail(p->error, c->right.at, "A list in the query has too many values, at most %d are allowed", SEARCH_LIST);
	c->list_count = count;
	for (size_t i = 0; i < count && c->attribute != NULL && c->attribute->type == AT_ID; i++)
		if (!value_id(c, p->error, c->list[i], &c->integer))
			return false;
	return true;
}

static bool
value_id(struct condition *c, struct search_error *error, struct text t, int64_t *id)
{
	return text_int(text_trim(t), id) || search_fail(error, c->right.at, "Invalid experiment ID '" TEXT_FMT "'. Experiment ID must be a valid integer.", TEXT_ARG(t));
}

/* This search has a parser of its own on the real server: bare words are strings, lists go with every text. */
static bool
value_logged_model(struct parser *p, struct condition *c)
{
	if (!comparator_check(p->arena, p->kind, c, p->error))
		return false;
	if (c->entity == ENTITY_METRIC || (c->attribute != NULL && c->attribute->type == AT_INTEGER))
		return c->right.kind == OPERAND_NUMBER ? value_number(c, p->error, "", TEXT_NONE)
						       : search_fail(p->error, c->right.at, "Expected a number for '" TEXT_FMT "'. Found " TEXT_FMT, TEXT_ARG(c->left.text), TEXT_ARG(c->right.text));
	if (c->right.kind == OPERAND_LIST)
		return value_list(p, c);
	c->text = strip(c->right.text, "'\"");
	return true;
}

static bool
aggregate_find(struct text key, struct text *base, enum aggregate *aggregate)
{
	static const struct {
		const char *end;
		enum aggregate aggregate;
	} ends[] = { { ".min", AGGREGATE_MIN }, { ".max", AGGREGATE_MAX }, { ".last", AGGREGATE_LAST } };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (text_ends(key, ends[i].end) && key.n > strlen(ends[i].end)) {
			*base = (struct text){ key.s, key.n - strlen(ends[i].end) };
			*aggregate = ends[i].aggregate;
			return true;
		}
	return false;
}

static void
aggregate_split(struct condition *c)
{
	if (aggregate_find(c->key, &c->base, &c->aggregate))
		c->base = strip(c->base, "`\"");
}

static const struct attribute *
attribute_find(enum search_kind kind, struct text key, unsigned use)
{
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (attributes[i].kind == kind && (attributes[i].uses & use) != 0 && text_is(key, attributes[i].name))
			return &attributes[i];
	return NULL;
}

static struct text
attribute_names(struct arena *arena, enum search_kind kind, unsigned use)
{
	struct buf b = { 0 };
	struct text t;

	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (attributes[i].kind == kind && (attributes[i].uses & use) != 0 && (attributes[i].uses & AT_OWN) == 0)
			buf_printf(&b, "%s'%s'", b.n > 0 ? ", " : "", attributes[i].name);
	t = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return t;
}

static bool
attribute_fail(struct arena *arena, enum search_kind kind, unsigned use, struct text key, size_t at, struct search_error *error)
{
	return search_fail(error, at, "Invalid attribute key '" TEXT_FMT "' specified. Valid keys are '{" TEXT_FMT "}'", TEXT_ARG(key), TEXT_ARG(attribute_names(arena, kind, use)));
}

bool
parse_check_comparators(struct arena *arena, enum search_kind kind, const struct node *n, struct search_error *error)
{
	if (n == NULL)
		return true;
	if (n->kind == NODE_CONDITION)
		return comparator_check(arena, kind, &n->condition, error);
	for (const struct node *part = n->first; part != NULL; part = part->next)
		if (!parse_check_comparators(arena, kind, part, error))
			return false;
	return true;
}

#define BIT(c) (1U << (c))
#define NUMERIC (BIT(CMP_EQ) | BIT(CMP_NE) | BIT(CMP_LT) | BIT(CMP_LE) | BIT(CMP_GT) | BIT(CMP_GE))
#define TEXTUAL (BIT(CMP_EQ) | BIT(CMP_NE) | BIT(CMP_LIKE) | BIT(CMP_ILIKE) | BIT(CMP_RLIKE))

static bool
comparator_check(struct arena *arena, enum search_kind kind, const struct condition *c, struct search_error *error)
{
	bool numeric = c->entity == ENTITY_METRIC || c->is_number || (c->attribute != NULL && c->attribute->type == AT_INTEGER);
	unsigned allowed = numeric ? NUMERIC : TEXTUAL;
	bool list = c->right.kind == OPERAND_LIST && (c->compare == CMP_IN || c->compare == CMP_NE);
	struct text shown = c->comparator;
	size_t at = (size_t)(shown.s - c->left.text.s) + c->left.at;

	if (c->compare == CMP_NULL)
		return true;
	if (c->attribute != NULL && c->attribute->type == AT_ID)
		allowed = BIT(CMP_EQ) | BIT(CMP_NE);
	if (list)
		allowed |= BIT(CMP_IN);
	/* Experiments are compared by words in capitals only. */
	bool lower = kind == SEARCH_EXPERIMENTS && !c->negated && shown.s[shown.n - 1] >= 'a';
	if (c->compare != CMP_UNKNOWN && (allowed & BIT(c->compare)) != 0 && !lower && (c->right.kind != OPERAND_LIST || list))
		return true;
	char *z = text_z(arena, shown);
	for (char *s = z; kind != SEARCH_EXPERIMENTS && *s != '\0'; s++)
		if (*s >= 'a' && *s <= 'z')
			*s = (char)(*s - 32);
	if (kind == SEARCH_LOGGED_MODELS)
		return search_fail(error, at, "Invalid comparison operator for %s" TEXT_FMT ": '%s'. Expected one of %s.", c->entity == ENTITY_ATTRIBUTE && text_find(c->left.text, '.') == c->left.text.n ? "attributes." : "", TEXT_ARG(c->left.text), z,
		    numeric ? "('<', '<=', '>', '>=', '=', '!=')" : "('=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN')");
	if (kind == SEARCH_EXPERIMENTS) {
		if (c->attribute != NULL && c->attribute->type == AT_ID)
			return search_fail(error, at, "Invalid comparator for experiment_id: %s", z);
		if (c->entity == ENTITY_TAG || numeric)
			return search_fail(error, at, "Invalid comparator for %s: %s", numeric ? "numeric attribute" : "tag", z);
		return search_fail(error, at, "Invalid comparator '%s' not one of '{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}'", z);
	}
	if (kind == SEARCH_REGISTERED_MODELS || kind == SEARCH_MODEL_VERSIONS) {
		if (numeric)
			return search_fail(error, at, "Invalid comparator for attribute " TEXT_FMT ": %s", TEXT_ARG(c->key), z);
		return search_fail(error, at, "Invalid comparator for %s: %s", c->entity == ENTITY_TAG ? "tag" : "attribute", z);
	}
	/* The missing quote at the end is MLflow's. */
	static const char *const sets[] = {
		"'{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}'", "'{'>', '>=', '!=', '=', '<', '<='}", "'{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}'",
		"'{'!=', '=', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'}", "'{'!=', '=', 'LIKE', 'ILIKE', 'IN', 'NOT IN'}",
	};
	return search_fail(error, at, "Invalid comparator '%s' not one of %s", z, sets[c->entity]);
}

static bool
order_parse(struct arena *arena, enum search_kind kind, const struct search_order *in, struct order *out, struct search_error *error)
{
	size_t at = 0;
	struct lex name = lex_next(in->key, &at), word, end;
	struct condition c = { .compare = CMP_UNKNOWN };

	word = lex_next(in->key, &at);
	end = lex_next(in->key, &at);
	bool direction = text_is_nocase(word.text, "asc") || text_is_nocase(word.text, "desc");
	if (name.kind != LEX_NAME || end.kind != LEX_END || (word.kind != LEX_END && word.kind != LEX_NAME) || text_is_nocase(name.text, "asc") || text_is_nocase(name.text, "desc"))
		return search_fail(error, SIZE_MAX, "Invalid order_by clause '" TEXT_FMT "'. Could not be parsed.", TEXT_ARG(in->key));
	if (word.kind != LEX_END && !direction)
		return search_fail(error, SIZE_MAX, "Invalid ordering key in order_by clause '" TEXT_FMT "'.", TEXT_ARG(in->key));
	out->descending = text_is_nocase(word.text, "desc") || (word.kind == LEX_END && in->descending);
	if (kind == SEARCH_REGISTERED_MODELS) {
		out->key = strip(strip(name.text, "'\""), "`");
		out->attribute = attribute_find(kind, out->key, AT_ORDER);
		return out->attribute != NULL ||
		    search_fail(error, SIZE_MAX, "Invalid order by key '" TEXT_FMT "' specified. Valid keys are '{'name', 'timestamp'}'", TEXT_ARG(name.text));
	}
	if (!name_check(arena, kind, (struct operand){ OPERAND_NAME, name.text, SIZE_MAX }, true, &c, error))
		return false;
	if (kind == SEARCH_RUNS && c.entity == ENTITY_DATASET)
		return search_fail(error, SIZE_MAX, "Invalid identifier type 'dataset'");
	if (kind != SEARCH_RUNS && c.entity != ENTITY_ATTRIBUTE)
		return search_fail(error, SIZE_MAX, "Invalid order_by entity: tag");
	out->entity = c.entity;
	out->key = c.key;
	out->attribute = c.attribute;
	if (c.entity == ENTITY_METRIC)
		(void)aggregate_find(out->key, &out->base, &out->aggregate);
	return true;
}

static bool
order_parse_logged_model(const struct search_order *in, struct order *out, struct search_error *error)
{
	size_t dot = text_find(in->key, '.');

	out->descending = in->descending;
	out->dataset_name = in->dataset_name;
	out->dataset_digest = in->dataset_digest;
	if (in->key.n == 0)
		return search_fail(error, SIZE_MAX, "`field_name` in the `order_by` clause must be specified.");
	if (in->dataset_digest.n > 0 && in->dataset_name.n == 0)
		return search_fail(error, SIZE_MAX, "`dataset_digest` can only be specified if `dataset_name` is also specified.");
	if (dot < in->key.n) {
		if (!text_is((struct text){ in->key.s, dot }, "metrics"))
			return search_fail(error, SIZE_MAX, "Invalid order by field name: " TEXT_FMT ". Only metrics are supported.", TEXT_ARG(in->key));
		out->entity = ENTITY_METRIC;
		out->key = text_skip(in->key, dot + 1);
		return true;
	}
	out->key = in->key;
	out->attribute = attribute_find(SEARCH_LOGGED_MODELS, text_trim(in->key), AT_ORDER);
	return out->attribute != NULL || search_fail(error, SIZE_MAX, "Invalid order by field name: " TEXT_FMT, TEXT_ARG(in->key));
}

bool
parse_orders(struct arena *arena, enum search_kind kind, const struct search_order *in, size_t n, struct order *out, struct search_error *error)
{
	if (n > SEARCH_ORDERS)
		return search_fail(error, SIZE_MAX, "order_by has too many keys, at most %d are allowed", SEARCH_ORDERS);
	for (size_t i = 0; i < n; i++) {
		if (!text_utf8(in[i].key))
			return search_fail(error, SIZE_MAX, "order_by is not well-formed UTF-8");
		if (!(kind == SEARCH_LOGGED_MODELS ? order_parse_logged_model(&in[i], &out[i], error) : order_parse(arena, kind, &in[i], &out[i], error)))
			return false;
		for (size_t j = 0; j < i; j++) {
			bool same = out[i].entity == out[j].entity &&
			    (out[i].attribute != NULL ? out[j].attribute != NULL && out[i].attribute->column == out[j].attribute->column : text_eq(out[i].key, out[j].key));
			if (same && kind != SEARCH_LOGGED_MODELS && kind != SEARCH_EXPERIMENTS)
				return search_fail(error, SIZE_MAX, "`order_by` contains duplicate fields: " TEXT_FMT, TEXT_ARG(in[i].key));
		}
	}
	return true;
}

/* Without the first quote character of `quotes` that stands at both ends. */
static struct text
strip(struct text s, const char *quotes)
{
	for (; *quotes != '\0'; quotes++)
		if (s.n >= 2 && s.s[0] == *quotes && s.s[s.n - 1] == *quotes)
			return (struct text){ s.s + 1, s.n - 2 };
	return s;
}

/* As Python shows a string: single quotes unless it has some and no double ones. */
static struct text
python_repr(struct arena *arena, struct text t)
{
	bool dbl = text_find(t, '\'') < t.n && text_find(t, '"') >= t.n;
	struct buf b = { 0 };
	struct text out;

	buf_byte(&b, dbl ? '"' : '\'');
	for (size_t i = 0; i < t.n; i++) {
		if (t.s[i] == '\\' || (t.s[i] == '\'' && !dbl))
			buf_byte(&b, '\\');
		buf_byte(&b, t.s[i]);
	}
	buf_byte(&b, dbl ? '"' : '\'');
	out = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return out;
}
