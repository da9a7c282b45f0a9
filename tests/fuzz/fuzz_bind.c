/*
 * The JSON reader and the binding of every row of the endpoint table. First two bytes: the row; the third: the rest is a query string or a body.
 * Held: what was bound is complete and UTF-8; what was refused says why, in an error body that is JSON itself.
 */
#include <stdlib.h>

#include "../unit/tiny_loop.h"
#include "base/link.h"
#include "engine/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No connection is ever made here. */
ssize_t
link_read(struct link *l, void *bytes, size_t n)
{
	(void)l;
	(void)bytes;
	(void)n;
	abort();
}

ssize_t
link_send(struct link *l, const struct iovec *parts, int count, bool more)
{
	(void)l;
	(void)parts;
	(void)count;
	(void)more;
	abort();
}

ssize_t
link_sendfile(struct link *l, int fd, off_t *offset, size_t n)
{
	(void)l;
	(void)fd;
	(void)offset;
	(void)n;
	abort();
}

void
link_end(struct link *l)
{
	(void)l;
	abort();
}

void
link_close(struct link *l, bool reset)
{
	(void)l;
	(void)reset;
	abort();
}

enum link_state
link_state(const struct link *l)
{
	(void)l;
	abort();
}

int64_t
link_unacked(const struct link *l)
{
	(void)l;
	abort();
}

static void
check_values(const struct field *f, const struct value *v)
{
	for (; f != NULL && f->name != NULL; f++, v++) {
		CHECK(v->given || !f->required);
		CHECK(text_utf8(v->text));
		if (f->type == F_OBJECT && v->given && v->fields != NULL)
			check_values(f->fields, v->fields);
		for (size_t i = 0; v->items != NULL && i < v->count; i++) {
			CHECK(text_utf8(v->items[i].text));
			if (f->type == F_OBJECTS && v->items[i].fields != NULL)
				check_values(f->fields, v->items[i].fields);
		}
	}
}

static const struct endpoint *
row(size_t number)
{
	size_t rows = 0;

	for (size_t t = 0; t < endpoint_table_count; t++)
		rows += endpoint_tables[t]->count;
	number %= rows;
	for (size_t t = 0;; number -= endpoint_tables[t++]->count)
		if (number < endpoint_tables[t]->count)
			return &endpoint_tables[t]->rows[number];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request http = { 0 };
	struct arena *arena;
	struct call *call;

	if (size < 3)
		return 0;
	arena = arena_new();
	call = ARENA_NEW(arena, struct call);
	call->arena = arena;
	call->http = &http;
	call->endpoint = row((size_t)data[0] << 8 | data[1]);
	call->principal = call->body = call->query = http.query = TEXT("");
	*(data[2] % 2 == 0 ? &call->body : &call->query) = (struct text){ (const char *)data + 3, size - 3 };
	http.query = call->query;
	if (bind_call(call)) {
		CHECK(call->fail.code == FAIL_NONE);
		if (call->values != NULL && call->endpoint->fields != NULL && call->endpoint->body == BODY_JSON)
			check_values(call->endpoint->fields, call->values);
	} else {
		struct buf out = { 0 };
		struct json *root;
		const char *why;
		size_t at;

		CHECK(call->fail.code != FAIL_NONE && call->fail.message.n > 0);
		fail_body(&out, call->fail.code, call->fail.message);
		CHECK(json_parse(arena, buf_view(&out), &root, &why, &at));
		buf_free(&out);
	}
	arena_free(arena);
	return 0;
}
