/*
 * A result as JSON: the SELECT list is the response schema. Each column is printed by its name and type, json columns are spliced in, NULL is left out, NaN is quoted.
 */
#include <stdlib.h>

#include "engine/call.h"

#define OID_BOOL 16
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_JSON 114
#define OID_FLOAT8 701
#define OID_JSONB 3802

/* Infinity is the largest double on the wire, as MLflow has it. */
void
wire_double(struct buf *b, double v)
{
	if (v > 1.7976931348623157e308)
		v = 1.7976931348623157e308;
	else if (v < -1.7976931348623157e308)
		v = -1.7976931348623157e308;
	buf_double(b, v);
}

static void
column_print(struct buf *b, const PGresult *r, int row, int c)
{
	struct text t;

	switch (PQftype(r, c)) {
	case OID_BOOL:
		buf_puts(b, db_bool(r, row, c) ? "true" : "false");
		break;
	case OID_INT8:
		buf_int(b, db_int8(r, row, c));
		break;
	case OID_INT4:
		buf_int(b, db_int4(r, row, c));
		break;
	case OID_INT2:
		buf_int(b, db_int2(r, row, c));
		break;
	case OID_FLOAT8:
		wire_double(b, db_float8(r, row, c));
		break;
	case OID_JSON:
		buf_text(b, db_text(r, row, c));
		break;
	case OID_JSONB:
		t = db_text(r, row, c);
		buf_text(b, text_skip(t, 1)); /* a version byte comes first */
		break;
	default:
		buf_json(b, db_text(r, row, c));
	}
}

void
wire_member(struct buf *b, const char *name)
{
	if (b->n > 0 && b->s[b->n - 1] != '{' && b->s[b->n - 1] != '[')
		buf_byte(b, ',');
	buf_byte(b, '"');
	buf_puts(b, name);
	buf_puts(b, "\":");
}

static void
columns_print(struct buf *b, const PGresult *r, int row, int skip)
{
	int c;

	for (c = skip; c < PQnfields(r); c++) {
		const char *name = PQfname(r, c);

		/* Columns that start with _ are for the engine, `fail` is a refusal. */
		if (name[0] == '_' || strcmp(name, "fail") == 0 || db_null(r, row, c))
			continue;
		wire_member(b, name);
		column_print(b, r, row, c);
	}
}

void
wire_row(struct buf *b, const PGresult *r, int row, int skip)
{
	buf_byte(b, '{');
	columns_print(b, r, row, skip);
	buf_byte(b, '}');
}

enum next
wire_result(struct call *call, PGresult *r)
{
	const struct endpoint *e = call->endpoint;
	struct buf *b = &call->out;
	int row;

	switch (e->shape) {
	case SHAPE_CUSTOM:
	case SHAPE_EMPTY:
		return call_reply_empty(call);
	case SHAPE_OBJECT:
		buf_byte(b, '{');
		if (PQntuples(r) > 0) {
			if (e->wrap != NULL) {
				wire_member(b, e->wrap);
				wire_row(b, r, call->op.row, 0);
			} else {
				columns_print(b, r, call->op.row, 0);
			}
		}
		buf_byte(b, '}');
		return call_reply_json(call);
	case SHAPE_LIST:
		buf_byte(b, '{');
		if (PQntuples(r) > 0) {
			wire_member(b, e->wrap);
			buf_byte(b, '[');
			for (row = 0; row < PQntuples(r); row++) {
				if (row > 0)
					buf_byte(b, ',');
				wire_row(b, r, row, 0);
			}
			buf_byte(b, ']');
		}
		buf_byte(b, '}');
		return call_reply_json(call);
	}
	abort();
}
