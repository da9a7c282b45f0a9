/* Ops of one statement made one: each parameter becomes the array of theirs, each gets its row of the result. */
#include <stdlib.h>

#include "base/db.h"

/* Parameter c of all ops. */
static struct db_param
column(struct db_op **ops, size_t n, int c)
{
	struct db_param *values = calloc(n, sizeof(*values));
	PRECOND(values != NULL);
	for (size_t i = 0; i < n; i++)
		values[i] = ops[i]->params[c];
	struct db_param array = db_p_array(values, n);
	free(values);
	return array;
}

void
db_rows_merge(struct db_op **ops, size_t n, struct db_op *out)
{
	int count = ops[0]->param_count;
	struct db_param *params = calloc((size_t)count, sizeof(*params));
	PRECOND(params != NULL);
	for (int c = 0; c < count; c++)
		params[c] = column(ops, n, c);
	out->statement = ops[0]->statement;
	out->params = params;
	out->param_count = count;
	out->user = params;
}

void
db_rows_split(struct db_op **ops, size_t n, struct db_op *merged, PGresult *result, enum db_outcome outcome)
{
	struct db_param *params = merged->user;
	for (int c = 0; c < merged->param_count; c++)
		db_p_array_free(&params[c]);
	free(params);
	for (size_t i = 0; i < n; i++)
		ops[i]->row = -1;
	for (int row = 0; outcome == DB_OK && n > 0 && row < PQntuples(result); row++) {
		int64_t at = db_int8(result, row, 0);
		PRECOND(at >= 1 && (size_t)at <= n);
		ops[at - 1]->row = row;
	}
	for (size_t i = 0; i < n; i++)
		ops[i]->done(ops[i], result, outcome);
}
