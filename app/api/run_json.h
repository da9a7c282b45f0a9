#ifndef API_RUN_JSON_H
#define API_RUN_JSON_H
/* Runs as JSON, from the packed rows of run_page and run_columns: written in C (json_agg in PostgreSQL was four times slower). */
#include "api/page.h"

/* One run: {"info":..,"data":..,"inputs":..,"outputs":..}; false when the result holds none. */
bool run_json(struct buf *, const PGresult *) must_check;
/* A page of runs in its order, comma between, to the call's reply; ids without a row are left out, and model inputs (MLflow's search has none). copies: of each run, TEXT_NONE where it is in the result, which
 * is NULL when none is. What is in the result is kept for later pages. */
void runs_json(struct call *, const PGresult *, const struct page *, const struct text *copies);
/* Rows of the runs table: {"info":..,"metrics":{name:value},"params":{..},"tags":{..},"min":{..},"max":{..},"datasets":[..],"models":[..]}. */
void runs_table_json(struct call *, const PGresult *, const struct page *);
#endif
