/* PostgreSQL's own multi-row INSERT: rows come from the client as arrays, prepared and binary, as a program in a hurry would send them. Prints rows a second of all clients. */
#include <libpq-fe.h>

#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char statement[] =
    "insert into history (run, key_id, step, timestamp, value) select r, k, s, t, v from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[], $5::float8[]) as u(r, k, s, t, v)";

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* An array in PostgreSQL's send format: five words, then length and bytes of each. */
static char *
array_new(uint32_t oid, uint32_t n, uint32_t width)
{
	uint32_t head[5] = { htonl(1), 0, htonl(oid), htonl(n), htonl(1) };
	uint32_t length = htonl(width);
	char *a = calloc(1, 20 + (size_t)n * (4 + width));

	if (a == NULL)
		exit(1);
	memcpy(a, head, 20);
	for (uint32_t i = 0; i < n; i++)
		memcpy(a + 20 + (size_t)i * (4 + width), &length, 4);
	return a;
}

static void
put8(char *a, uint32_t i, uint64_t v)
{
	v = htobe64(v);
	memcpy(a + 20 + (size_t)i * 12 + 4, &v, 8);
}

static void
put4(char *a, uint32_t i, uint32_t v)
{
	v = htonl(v);
	memcpy(a + 20 + (size_t)i * 8 + 4, &v, 4);
}

static void
client(const char *uri, uint32_t rows, double seconds, unsigned seed, long *count)
{
	PGconn *c = PQconnectdb(uri);
	char *arrays[5] = { array_new(20, rows, 8), array_new(23, rows, 4), array_new(20, rows, 8), array_new(20, rows, 8), array_new(701, rows, 8) };
	int lengths[5] = { (int)(20 + rows * 12), (int)(20 + rows * 8), (int)(20 + rows * 12), (int)(20 + rows * 12), (int)(20 + rows * 12) };
	int formats[5] = { 1, 1, 1, 1, 1 };
	uint64_t step = (uint64_t)seed * 1000000000000ull;
	double until;

	PQclear(PQprepare(c, "w", statement, 0, NULL));
	for (until = now() + seconds; now() < until; *count += rows) {
		uint64_t run = (uint64_t)(rand_r(&seed) % 1000 + 1);
		PGresult *r;

		for (uint32_t i = 0; i < rows; i++, step++) {
			double v = rand_r(&seed) / (double)RAND_MAX;
			uint64_t bits;

			memcpy(&bits, &v, 8);
			put8(arrays[0], i, run);
			put4(arrays[1], i, i % 10);
			put8(arrays[2], i, step);
			put8(arrays[3], i, 1700000000000ull + step);
			put8(arrays[4], i, bits);
		}
		r = PQexecPrepared(c, "w", 5, (const char *const *)arrays, lengths, formats, 1);
		if (PQresultStatus(r) != PGRES_COMMAND_OK) {
			fprintf(stderr, "%s", PQerrorMessage(c));
			_exit(1);
		}
		PQclear(r);
	}
	PQfinish(c);
	_exit(0);
}

int
main(int argc, char **argv)
{
	int clients;
	int failed = 0;
	int status;
	double began;
	long *counts;
	long all = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: insert URI ROWS CLIENTS SECONDS\n");
		return 2;
	}
	clients = (int)strtol(argv[3], NULL, 10);
	counts = mmap(NULL, (size_t)clients * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return 1;
	began = now();
	for (int i = 0; i < clients; i++)
		if (fork() == 0)
			client(argv[1], (uint32_t)strtoul(argv[2], NULL, 10), strtod(argv[4], NULL), (unsigned)(getpid() + i), &counts[i]);
	while (wait(&status) > 0)
		failed |= status;
	for (int i = 0; i < clients; i++)
		all += counts[i];
	printf("%.0f\n", (double)all / (now() - began));
	return failed != 0;
}
