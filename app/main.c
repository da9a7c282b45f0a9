/* The commands of tallyd. `serve` runs the server (server.c) under the supervisor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config.h"
#include "doctor.h"
#include "engine/engine.h"
#include "gc.h"
#include "migrate.h"
#include "server.h"
#include "supervise.h"

static char **kept_argv;
static int kept_argc;

static int
serve(void)
{
	return server_run(kept_argc, kept_argv);
}

static int
migrate(void)
{
	return migrate_run(false) ? 0 : 1;
}

static int
routes(void)
{
	struct buf out = { NULL, 0, 0 };
	bool written;

	engine_routes(&out);
	written = fwrite(out.s, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	buf_free(&out);
	return written ? 0 : 1;
}

int
main(int argc, char **argv)
{
	config_load(argc, argv);
	kept_argc = argc;
	kept_argv = argv;
	if (strcmp(config->command, "routes") == 0)
		return routes();
	if (strcmp(config->command, "migrate") == 0)
		return supervise_with_database(migrate);
	if (strcmp(config->command, "serve") == 0)
		return supervise_run(serve);
	if (strcmp(config->command, "doctor") == 0)
		return supervise_with_database(doctor_run);
	if (strcmp(config->command, "gc") == 0)
		return supervise_with_database(gc_run);
	if (strcmp(config->command, "check-config") == 0) {
		config_print();
		return 0;
	}
	fprintf(stderr, "tallyd: %s is not a command of this build\n", config->command);
	return 2;
}
