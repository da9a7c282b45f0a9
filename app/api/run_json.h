#ifndef API_RUN_JSON_H
#define API_RUN_JSON_H
/* Runs as MLflow's JSON, from the rows of run_get and run_page: written in C from plain rows (json_agg in PostgreSQL was four times slower). */
#include "engine/call.h"

/* One run: {"info":..,"data":..,"inputs":..}; false when the result holds none. with_models: model inputs too (runs/get has them, runs/search has not). */
bool run_json(struct buf *, const PGresult *, bool with_models) must_check;
/* A page of runs in the order of `ids`, comma between; ids without a row are left out. */
void runs_json(struct call *, struct buf *, const PGresult *, const int64_t *ids, size_t n);
/* Rows of the runs table, from run_columns: {"info":..,"metrics":{name:value},"params":{..},"tags":{..},"min":{..},"max":{..},"datasets":[..],"models":[..]}. */
void runs_rows(struct call *, struct buf *, const PGresult *, const int64_t *ids, size_t n);
#endif
