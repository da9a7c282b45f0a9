/* Stands in for parts of the server that are not linked: each real one takes precedence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "config.h"
#include "engine/engine.h"
#include "migrate.h"
#include "supervise.h"

#define WEAK __attribute__((weak))

static struct http_body
take_head(struct http_request *r)
{
	(void)r;
	return (struct http_body){ .mode = HTTP_BUFFER, .limit = 16777216 };
}

static void
answer_missing(struct http_request *r)
{
	struct buf body = { NULL, 0, 0 };
	const struct http_reply reply = { .status = 404, .type = "application/json" };

	buf_puts(&body, "{\"error_code\": \"ENDPOINT_NOT_FOUND\", \"message\": \"Not found\"}");
	http_reply(r, &reply, &body);
}

static void
refuse(int status, const char *why, struct buf *out)
{
	(void)status;
	buf_puts(out, "{\"error_code\": \"BAD_REQUEST\", \"message\": ");
	buf_json(out, text_from(why));
	buf_byte(out, '}');
}

static const struct http_handler missing = { .head = take_head, .complete = answer_missing, .refuse = refuse };

WEAK void
engine_start(void)
{
	http_setup(&missing);
}

WEAK void
engine_stop(void)
{
}

WEAK void
engine_routes(struct buf *out)
{
	buf_puts(out, "[]\n");
}

static struct config defaults = { .command = "serve", .host = "127.0.0.1", .port = 5000, .workers = 2, .user = "" };
WEAK const struct config *config = &defaults;

WEAK void
config_load(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--host") == 0)
			defaults.host = argv[i + 1];
		if (strcmp(argv[i], "--port") == 0)
			defaults.port = (int)strtol(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--workers") == 0)
			defaults.workers = (int)strtol(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--user") == 0)
			defaults.user = argv[i + 1];
	}
}

WEAK void
config_print(void)
{
}

WEAK int
supervise_run(int (*server)(void))
{
	return server();
}

WEAK int
supervise_with_database(int (*work)(void))
{
	return work();
}

WEAK bool
migrate_run(bool quiet)
{
	(void)quiet;
	return true;
}

WEAK int
migrate_version(void)
{
	return 0;
}
