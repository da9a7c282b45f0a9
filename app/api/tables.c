/* Every noun's table. */
#include "api/artifact.h"
#include "api/keys.h"
#include "api/live.h"
#include "api/usage.h"
#include "engine/call.h"

extern const struct endpoint_table experiment_table;
extern const struct endpoint_table run_table;
extern const struct endpoint_table logging_table;
extern const struct endpoint_table metric_table;
extern const struct endpoint_table logged_model_table;
extern const struct endpoint_table model_table;
extern const struct endpoint_table version_table;
extern const struct endpoint_table artifact_table;
extern const struct endpoint_table zip_table;
extern const struct endpoint_table page_table;
extern const struct endpoint_table graphql_table;
extern const struct endpoint_table explore_table;
extern const struct endpoint_table live_table;
extern const struct endpoint_table doctor_table;
extern const struct endpoint_table server_table;

const struct endpoint_table *const endpoint_tables[] = {
	&experiment_table,
	&run_table,
	&logging_table,
	&metric_table,
	&logged_model_table,
	&model_table,
	&version_table,
	&artifact_table,
	&zip_table,
	&page_table,
	&graphql_table,
	&explore_table,
	&live_table,
	&doctor_table,
	&server_table,
};
const size_t endpoint_table_count = sizeof(endpoint_tables) / sizeof(endpoint_tables[0]);

void
nouns_start(void)
{
	keys_start();
	live_start();
	artifacts_start();
	usage_start();
}

void
nouns_drain(void)
{
	live_stop();
}
