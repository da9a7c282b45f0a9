/* Counters for /metrics, in memory shared by all workers: each writes only its own part, any of them prints the sum. */
#include "engine/stats.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/db.h"
#include "base/log.h"
#include "engine/call.h"
#include "engine/points.h"
#include "engine/route.h"

#define ROWS_MOST 320
#define CLASSES 4 /* 2xx 3xx 4xx 5xx */

/* Upper bounds in microseconds. */
static const uint64_t bounds_us[] = { 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000 };
#define BOUNDS (sizeof(bounds_us) / sizeof(bounds_us[0]))

struct row_stats {
	uint64_t requests[CLASSES];
	uint64_t below[BOUNDS + 1]; /* not cumulative */
	uint64_t sum_us;
};

struct worker_stats {
	struct row_stats rows[ROWS_MOST];
	uint64_t points;
	uint64_t runs;
	uint64_t copied;
	uint64_t artifact_in;
	uint64_t artifact_out;
	/* copies of what only the worker itself knows, renewed at each request */
	struct db_stats db;
	uint64_t connections;
	uint64_t active;
	int64_t pid;
};

static struct worker_stats *all;
static struct worker_stats *mine;
static int worker_count;

void
stats_prepare(int workers)
{
	void *p = mmap(NULL, (size_t)workers * sizeof(struct worker_stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	all = p;
	worker_count = workers;
}

void
stats_worker(int worker)
{
	if (all != NULL && worker >= 0 && worker < worker_count) {
		mine = &all[worker];
		mine->pid = getpid();
	}
}

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void
stats_request(const struct call *call)
{
	struct row_stats *r;
	uint64_t us = now_us() - call->started_us;
	size_t b;
	int class = call->status / 100 - 2;

	if (mine == NULL || call->endpoint == NULL)
		return;
	r = &mine->rows[route_number(call->endpoint) % ROWS_MOST];
	if (class >= 0 && class < CLASSES)
		r->requests[class]++;
	for (b = 0; b < BOUNDS && us > bounds_us[b]; b++)
		;
	r->below[b]++;
	r->sum_us += us;
	mine->active = http_active();
	mine->connections = http_connections();
}

void
stats_stored(uint64_t points, uint64_t runs)
{
	if (mine == NULL)
		return;
	mine->points += points;
	mine->runs += runs;
}

void
stats_copied(uint64_t runs)
{
	if (mine != NULL)
		mine->copied += runs;
}

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
gauge(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
	head(b, name, type, help);
	buf_printf(b, "%s %llu\n", name, (unsigned long long)v);
}

static const char *
method_of(const struct endpoint *e)
{
	static const char *const words[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER" };

	return words[e->method];
}

static void
row_sum(size_t row, struct row_stats *sum)
{
	int w;
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (w = 0; w < worker_count; w++) {
		const struct row_stats *r = &all[w].rows[row];

		for (i = 0; i < CLASSES; i++)
			sum->requests[i] += r->requests[i];
		for (i = 0; i <= BOUNDS; i++)
			sum->below[i] += r->below[i];
		sum->sum_us += r->sum_us;
	}
}

static void
requests_print(struct buf *b)
{
	struct row_stats sum;
	size_t row;
	size_t i;

	head(b, "tallyd_requests_total", "counter", "Requests answered, by endpoint and status class.");
	for (row = 0; row < route_count() && row < ROWS_MOST; row++) {
		row_sum(row, &sum);
		for (i = 0; i < CLASSES; i++)
			if (sum.requests[i] > 0)
				buf_printf(b, "tallyd_requests_total{method=\"%s\",endpoint=\"%s\",status=\"%zuxx\"} %llu\n", method_of(route_row(row)), route_row(row)->path, i + 2, (unsigned long long)sum.requests[i]);
	}
	head(b, "tallyd_request_seconds", "histogram", "Time from a request's head to its answer, by endpoint.");
	for (row = 0; row < route_count() && row < ROWS_MOST; row++) {
		uint64_t n = 0;

		row_sum(row, &sum);
		for (i = 0; i <= BOUNDS; i++)
			n += sum.below[i];
		if (n == 0)
			continue;
		n = 0;
		for (i = 0; i <= BOUNDS; i++) {
			n += sum.below[i];
			if (i < BOUNDS)
				buf_printf(b, "tallyd_request_seconds_bucket{method=\"%s\",endpoint=\"%s\",le=\"%g\"} %llu\n", method_of(route_row(row)), route_row(row)->path, (double)bounds_us[i] / 1e6, (unsigned long long)n);
			else
				buf_printf(b, "tallyd_request_seconds_bucket{method=\"%s\",endpoint=\"%s\",le=\"+Inf\"} %llu\n", method_of(route_row(row)), route_row(row)->path, (unsigned long long)n);
		}
		buf_printf(b, "tallyd_request_seconds_sum{method=\"%s\",endpoint=\"%s\"} %.6f\n", method_of(route_row(row)), route_row(row)->path, (double)sum.sum_us / 1e6);
		buf_printf(b, "tallyd_request_seconds_count{method=\"%s\",endpoint=\"%s\"} %llu\n", method_of(route_row(row)), route_row(row)->path, (unsigned long long)n);
	}
}

/* Resident memory of a process in bytes, 0 when it cannot be read. */
static uint64_t
resident(int64_t pid)
{
	char path[64];
	unsigned long long size = 0;
	unsigned long long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%lld/statm", (long long)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void
stats_artifact(uint64_t in, uint64_t out)
{
	if (mine == NULL)
		return;
	mine->artifact_in += in;
	mine->artifact_out += out;
}

void
stats_print(struct buf *b)
{
	struct worker_stats sum = { .points = 0 };
	uint64_t memory = 0;
	uint64_t ready = 0;
	int w;

	if (mine == NULL)
		return;
	mine->db = db_stats();
	mine->active = http_active();
	mine->connections = http_connections();
	for (w = 0; w < worker_count; w++) {
		const struct worker_stats *s = &all[w];

		sum.points += s->points;
		sum.runs += s->runs;
		sum.copied += s->copied;
		sum.artifact_in += s->artifact_in;
		sum.artifact_out += s->artifact_out;
		sum.connections += s->connections;
		sum.active += s->active;
		sum.db.reads += s->db.reads;
		sum.db.writes += s->db.writes;
		sum.db.batches += s->db.batches;
		sum.db.reconnects += s->db.reconnects;
		sum.db.failures += s->db.failures;
		sum.db.queued += s->db.queued;
		if (s->db.batch_ops_max > sum.db.batch_ops_max)
			sum.db.batch_ops_max = s->db.batch_ops_max;
		ready += s->db.ready ? 1 : 0;
		memory += s->pid != 0 ? resident(s->pid) : 0;
	}
	requests_print(b);
	gauge(b, "tallyd_metric_points_total", "counter", "Metric points taken in logged requests, since the start.", sum.points);
	gauge(b, "tallyd_metric_points_moving", "gauge", "Metric points that are logged and not yet in their tables; writers wait beyond 16384.", points_moving());
	gauge(b, "tallyd_runs_created_total", "counter", "Runs created since the start.", sum.runs);
	gauge(b, "tallyd_runs_copied_total", "counter", "Runs in pages of searches that were served from copies (run-copies) since the start.", sum.copied);
	gauge(b, "tallyd_artifact_received_bytes_total", "counter", "Bytes of artifacts that clients sent through the server.", sum.artifact_in);
	gauge(b, "tallyd_artifact_sent_bytes_total", "counter", "Bytes of artifacts that clients fetched through the server.", sum.artifact_out);
	gauge(b, "tallyd_connections", "gauge", "Open client connections, as each worker last counted them.", sum.connections);
	gauge(b, "tallyd_requests_active", "gauge", "Requests in work.", sum.active);
	gauge(b, "tallyd_database_reads_total", "counter", "Statements sent to read lanes.", sum.db.reads);
	gauge(b, "tallyd_database_writes_total", "counter", "Requests that went through the write lanes.", sum.db.writes);
	gauge(b, "tallyd_database_batches_total", "counter", "Transactions of the write lanes.", sum.db.batches);
	gauge(b, "tallyd_database_batch_requests_max", "gauge", "Most requests ever in one transaction.", sum.db.batch_ops_max);
	gauge(b, "tallyd_database_queued", "gauge", "Requests waiting for a lane.", sum.db.queued);
	gauge(b, "tallyd_database_reconnects_total", "counter", "Connections made anew.", sum.db.reconnects);
	gauge(b, "tallyd_database_failures_total", "counter", "Statements that PostgreSQL refused.", sum.db.failures);
	gauge(b, "tallyd_database_ready_workers", "gauge", "Workers with a database connection.", ready);
	gauge(b, "tallyd_workers", "gauge", "Workers.", (uint64_t)worker_count);
	gauge(b, "tallyd_resident_bytes", "gauge", "Resident memory of the workers.", memory);
}
