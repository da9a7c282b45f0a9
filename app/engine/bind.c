/* A query string or a JSON body into the row's typed fields, with MLflow's own messages. */
#include <math.h>

#include "engine/call.h"

/* server/handlers.py adds this to every complaint about a parameter. */
#define SEE_DOCS " See the API docs for more information about request parameters."

/* Where in the request something stands, put into words only when it is wrong: "metrics[0].timestamp". */
struct path {
	const struct path *in; /* NULL: at the top */
	const char *name;      /* of a member; NULL: item `at` of a list */
	size_t at;
};

static bool object_bind(struct call *, const struct field *fields, const struct json *object, const struct path *in, struct value *out);

static const char *
path_text(struct call *call, const struct path *path)
{
	const char *in = path->in != NULL ? path_text(call, path->in) : "";

	if (path->name == NULL)
		return text_z(call->arena, text_format(call->arena, "%s[%zu]", in, path->at));
	return text_z(call->arena, text_format(call->arena, "%s%s%s", in, in[0] != '\0' ? "." : "", path->name));
}

static void
dump_string(struct buf *b, struct text t)
{
	size_t i;

	/* json.dumps escapes all that is not ASCII. */
	buf_byte(b, '"');
	for (i = 0; i < t.n;) {
		unsigned char c = (unsigned char)t.s[i];
		unsigned code;
		size_t n;

		if (c < 0x80) {
			if (c == '"' || c == '\\')
				buf_printf(b, "\\%c", c);
			else if (c == '\n')
				buf_puts(b, "\\n");
			else if (c == '\r')
				buf_puts(b, "\\r");
			else if (c == '\t')
				buf_puts(b, "\\t");
			else if (c == '\b')
				buf_puts(b, "\\b");
			else if (c == '\f')
				buf_puts(b, "\\f");
			else if (c < 0x20)
				buf_printf(b, "\\u%04x", c);
			else
				buf_byte(b, (char)c);
			i++;
			continue;
		}
		n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		code = n == 4 ? c & 7u : n == 3 ? c & 15u : c & 31u;
		for (size_t k = 1; k < n; k++)
			code = (code << 6) | ((unsigned char)t.s[i + k] & 0x3fu);
		if (code >= 0x10000)
			buf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
		else
			buf_printf(b, "\\u%04x", code);
		i += n;
	}
	buf_byte(b, '"');
}

static void
dump(struct buf *b, const struct json *j)
{
	const struct json *c;

	switch (j->type) {
	case JSON_STRING:
		dump_string(b, j->text);
		break;
	case JSON_LIST:
	case JSON_OBJECT:
		buf_byte(b, j->type == JSON_LIST ? '[' : '{');
		for (c = j->first; c != NULL; c = c->next) {
			if (j->type == JSON_OBJECT) {
				dump_string(b, c->key);
				buf_byte(b, ':');
			}
			dump(b, c);
			if (c->next != NULL)
				buf_byte(b, ',');
		}
		buf_byte(b, j->type == JSON_LIST ? ']' : '}');
		break;
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
	case JSON_NUMBER:
		buf_text(b, j->raw);
	}
}

struct text
json_dump(struct arena *arena, const struct json *j)
{
	struct buf b = { 0 };
	struct text t;

	dump(&b, j);
	t = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return t;
}

struct text
json_dump_text(struct arena *arena, struct text string)
{
	struct json j = { .type = JSON_STRING, .text = string };

	return json_dump(arena, &j);
}

struct text
python_repr(struct arena *arena, struct text t)
{
	struct buf b = { 0 };
	struct text out;
	bool single = text_find(t, '\'') < t.n;
	char quote = single && text_find(t, '"') == t.n ? '"' : '\'';
	size_t i;

	buf_byte(&b, quote);
	for (i = 0; i < t.n; i++) {
		char c = t.s[i];

		if (c == quote || c == '\\')
			buf_printf(&b, "\\%c", c);
		else if (c == '\n')
			buf_puts(&b, "\\n");
		else if (c == '\t')
			buf_puts(&b, "\\t");
		else if (c == '\r')
			buf_puts(&b, "\\r");
		else if ((unsigned char)c < 0x20 || c == 0x7f)
			buf_printf(&b, "\\x%02x", (unsigned char)c);
		else
			buf_byte(&b, c);
	}
	buf_byte(&b, quote);
	out = text_copy(arena, buf_view(&b));
	buf_free(&b);
	return out;
}

static bool
wrong_type(struct call *call, const struct json *j, const struct path *path)
{
	struct text shown = json_dump(call->arena, j);

	return call_refuse(call, INVALID_PARAMETER_VALUE, "Invalid value %.*s for parameter '%s' supplied:  Hint: Value was of type '%s'." SEE_DOCS, TEXT_ARG(text_prefix(shown, 200)), path_text(call, path), json_python_type(j));
}

static bool
missing(struct call *call, const struct field *f, const struct path *path)
{
	if (f->absent != NULL)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "%s", f->absent);
	return call_refuse(call, INVALID_PARAMETER_VALUE, "Missing value for required parameter '%s'." SEE_DOCS, path_text(call, path));
}

/* Does a JSON key, snake_case or camelCase, name this field? 1 as it is, 2 camelCase, 0 no. */
static int
key_names(struct text key, const char *name)
{
	size_t k = 0;
	size_t i;

	if (key.n == 0 || key.s[0] != name[0])
		return 0;
	if (text_is(key, name))
		return 1;
	for (i = 0; name[i] != '\0'; i++, k++) {
		char c = name[i];

		if (c == '_' && name[i + 1] != '\0') {
			i++;
			c = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 32) : name[i];
		}
		if (k >= key.n || key.s[k] != c)
			return 0;
	}
	return k == key.n ? 2 : 0;
}

static bool
int_read(const struct json *j, bool wide, int64_t *out)
{
	struct text t = j->type == JSON_STRING ? j->text : j->raw;
	double d;

	if (j->type != JSON_STRING && j->type != JSON_NUMBER)
		return false;
	if (!text_int(t, out)) {
		/* 1.0 and 1e3 are integers too */
		if (j->type != JSON_NUMBER || !text_double(t, &d) || d != floor(d) || fabs(d) > 9007199254740992.0)
			return false;
		*out = (int64_t)d;
	}
	return wide || (*out >= INT32_MIN && *out <= INT32_MAX);
}

static bool
enum_read(const struct field *f, const struct json *j, int64_t *out)
{
	const struct word *w;
	int64_t number = -1;

	if (j->type == JSON_NUMBER && !int_read(j, false, &number))
		return false;
	for (w = f->words; w->word != NULL; w++) {
		if (j->type == JSON_STRING ? text_is(j->text, w->word) : number == w->value) {
			*out = w->value;
			return true;
		}
	}
	return false;
}

static bool
too_long(struct call *call, const struct field *f, struct text t, const struct path *path)
{
	if (f->most == 0 || t.n <= f->most || text_chars(t) <= f->most)
		return false;
	call_refuse(call, INVALID_PARAMETER_VALUE, "'%s' exceeds the maximum length of %zu characters", path_text(call, path), f->most);
	return true;
}

static bool
list_bind(struct call *call, const struct field *f, const struct json *j, const struct path *path, struct value *out)
{
	const struct json *c;
	size_t i = 0;

	if (j->type != JSON_LIST)
		return wrong_type(call, j, path);
	out->count = j->count;
	out->items = arena_array(call->arena, j->count, sizeof(*out->items));
	for (c = j->first; c != NULL; c = c->next, i++) {
		struct value *item = &out->items[i];
		const struct path where = { .in = path, .at = i };
		size_t n = 0;

		item->given = true;
		item->json = c;
		if (f->type == F_TEXTS) {
			if (c->type != JSON_STRING)
				return wrong_type(call, j, path);
			item->text = c->text;
			continue;
		}
		if (c->type != JSON_OBJECT)
			return wrong_type(call, j, path);
		while (f->fields[n].name != NULL)
			n++;
		item->fields = arena_array(call->arena, n, sizeof(*item->fields));
		if (!object_bind(call, f->fields, c, &where, item->fields))
			return false;
	}
	return true;
}

static bool
value_bind(struct call *call, const struct field *f, const struct json *j, const struct path *path, struct value *out)
{
	size_t n = 0;

	out->given = true;
	out->json = j;
	switch (f->type) {
	case F_TEXT:
	case F_URI:
		if (j->type != JSON_STRING)
			return wrong_type(call, j, path);
		out->text = j->text;
		if (f->type == F_URI && client_is_old(call) && text_starts(out->text, "dbfs:/mlflow-artifacts/"))
			out->text = text_format(call->arena, "mlflow-artifacts:/%.*s", TEXT_ARG(text_skip(out->text, strlen("dbfs:/mlflow-artifacts/"))));
		return !too_long(call, f, out->text, path);
	case F_INT:
	case F_INT32:
		return int_read(j, f->type == F_INT, &out->i) || wrong_type(call, j, path);
	case F_DOUBLE:
		return ((j->type == JSON_NUMBER || j->type == JSON_STRING) && text_double(j->type == JSON_STRING ? j->text : j->raw, &out->d)) || wrong_type(call, j, path);
	case F_BOOL:
		if (j->type != JSON_TRUE && j->type != JSON_FALSE && !(j->type == JSON_STRING && (text_is_nocase(j->text, "true") || text_is_nocase(j->text, "false"))))
			return wrong_type(call, j, path);
		out->i = j->type == JSON_TRUE || (j->type == JSON_STRING && text_is_nocase(j->text, "true"));
		return true;
	case F_ENUM:
		return enum_read(f, j, &out->i) || wrong_type(call, j, path);
	case F_OBJECT:
		if (j->type != JSON_OBJECT)
			return wrong_type(call, j, path);
		while (f->fields != NULL && f->fields[n].name != NULL)
			n++;
		out->fields = arena_array(call->arena, n, sizeof(*out->fields));
		return f->fields == NULL || object_bind(call, f->fields, j, path, out->fields);
	case F_TEXTS:
	case F_OBJECTS:
		return list_bind(call, f, j, path, out);
	}
	return false;
}

static const struct json *
member_find(struct call *call, const struct json *object, const char *name, bool *twice)
{
	const struct json *found = NULL;
	const struct json *j;
	int how = 0;

	(void)call;
	for (j = object->first; j != NULL; j = j->next) {
		int this = key_names(j->key, name);

		if (this == 0)
			continue;
		if (how != 0 && how != this)
			*twice = true;
		how = this;
		found = j;
	}
	return found == NULL || found->type == JSON_NULL ? NULL : found;
}

/* MLflow takes "" for an absent string where one is required (proto has no null). */
static bool
required_missing(const struct field *f, const struct value *v)
{
	if (!f->required)
		return false;
	if (!v->given)
		return true;
	return (f->type == F_TEXT || f->type == F_URI) && v->text.n == 0;
}

static void
fallback_fill(const struct field *f, struct value *v)
{
	if (!v->given && f->has_fallback)
		v->i = f->fallback;
}

static bool
object_bind(struct call *call, const struct field *fields, const struct json *object, const struct path *in, struct value *out)
{
	size_t i;

	for (i = 0; fields[i].name != NULL; i++) {
		bool twice = false;
		const struct json *j = member_find(call, object, fields[i].name, &twice);
		const struct path where = { .in = in, .name = fields[i].name };

		if (twice)
			return call_refuse(call, INVALID_PARAMETER_VALUE, "The field '%s' was given in two spellings.", path_text(call, &where));
		if (j == NULL && fields[i].alias != NULL)
			j = member_find(call, object, fields[i].alias, &twice);
		if (j != NULL && !value_bind(call, &fields[i], j, &where, &out[i]))
			return false;
		if (required_missing(&fields[i], &out[i]))
			return missing(call, &fields[i], &where);
		fallback_fill(&fields[i], &out[i]);
	}
	return true;
}

/* ---- query strings ---- */

struct pair {
	struct text name;
	struct text value;
};

static bool
query_split(struct call *call, struct pair **pairs, size_t *count)
{
	struct text rest = call->query;
	size_t most = 1;
	size_t i;
	size_t n = 0;

	for (i = 0; i < rest.n; i++)
		most += rest.s[i] == '&';
	*pairs = arena_array(call->arena, most, sizeof(**pairs));
	while (rest.n > 0) {
		size_t end = text_find(rest, '&');
		struct text one = { rest.s, end };
		size_t equals = text_find(one, '=');
		struct pair *p = &(*pairs)[n];

		if (one.n > 0) {
			if (!text_percent_decode(call->arena, (struct text){ one.s, equals }, true, &p->name) ||
			    !text_percent_decode(call->arena, equals < one.n ? text_skip(one, equals + 1) : TEXT(""), true, &p->value) || !text_utf8(p->name) || !text_utf8(p->value))
				return call_refuse(call, INVALID_PARAMETER_VALUE, "The query string is not valid percent-encoded UTF-8.");
			n++;
		}
		rest = text_skip(rest, end < rest.n ? end + 1 : end);
	}
	*count = n;
	return true;
}

/* A query value as the JSON it stands for, so that one binder does both. */
static struct json *
pair_json(struct call *call, const struct field *f, struct text value)
{
	struct json *j = ARENA_NEW(call->arena, struct json);
	int64_t number;

	j->type = JSON_STRING;
	j->text = value;
	j->raw = json_dump_text(call->arena, value);
	if (f->type == F_ENUM && text_int(value, &number)) {
		j->type = JSON_NUMBER;
		j->raw = value;
	}
	return j;
}

static bool
query_bind(struct call *call, const struct pair *pairs, size_t count)
{
	const struct field *fields = call->endpoint->fields;
	size_t i;
	size_t p;

	for (i = 0; fields[i].name != NULL; i++) {
		const struct field *f = &fields[i];
		struct value *v = &call->values[i];
		struct json *list = ARENA_NEW(call->arena, struct json);
		struct json **link = &list->first;
		const struct path where = { .name = f->name };
		int pass;

		list->type = JSON_LIST;
		for (pass = 0; pass < 2 && list->count == 0; pass++) {
			const char *name = pass == 0 ? f->name : f->alias;

			for (p = 0; name != NULL && p < count; p++) {
				if (!text_is(pairs[p].name, name))
					continue;
				*link = pair_json(call, f, pairs[p].value);
				link = &(*link)->next;
				list->count++;
			}
		}
		if (list->count > 0 && (f->type == F_TEXTS || f->type == F_OBJECTS)) {
			list->raw = json_dump(call->arena, list);
			if (!value_bind(call, f, list, &where, v))
				return false;
		} else if (list->count > 0 && !value_bind(call, f, list->first, &where, v)) {
			return false;
		}
		if (required_missing(f, v))
			return missing(call, f, &where);
		fallback_fill(f, v);
	}
	return true;
}

/* ---- the body ---- */

static bool
body_parse(struct call *call)
{
	static const struct json empty = { .type = JSON_OBJECT, .raw = { "{}", 2 } };
	struct json *root;
	const char *why;
	size_t at;

	call->json = &empty;
	if (text_trim(call->body).n == 0)
		return true;
	if (!json_parse(call->arena, call->body, &root, &why, &at))
		return call_refuse(call, INVALID_PARAMETER_VALUE, "The request body is not valid JSON: %s at byte %zu.", why, at);
	if (root->type == JSON_STRING) {
		/* Old clients send JSON inside a JSON string. */
		if (!json_parse(call->arena, root->text, &root, &why, &at))
			return call_refuse(call, INVALID_PARAMETER_VALUE, "The request body is not valid JSON: %s at byte %zu.", why, at);
	}
	if (root->type == JSON_NULL)
		return true;
	if (root->type != JSON_OBJECT)
		return call_refuse(call, INVALID_PARAMETER_VALUE, "The request body must be a JSON object.");
	call->json = root;
	return true;
}

bool
bind_call(struct call *call)
{
	const struct field *fields = call->endpoint->fields;
	struct pair *pairs = NULL;
	size_t count = 0;
	size_t n = 0;
	bool get = call->endpoint->method == HTTP_M_GET;

	if (call->endpoint->body == BODY_RAW) {
		call->query = text_copy(call->arena, call->http->query);
		get = true;
	}
	while (fields != NULL && fields[n].name != NULL)
		n++;
	call->values = arena_array(call->arena, n, sizeof(*call->values));
	/* A GET without a query may carry a JSON body (mlflow-export-import, Databricks' file API). */
	if (get && !query_split(call, &pairs, &count))
		return false;
	if (get && (count > 0 || call->endpoint->body == BODY_RAW))
		return n == 0 || query_bind(call, pairs, count);
	return body_parse(call) && (n == 0 || object_bind(call, fields, call->json, NULL, call->values));
}
