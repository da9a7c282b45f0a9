/* Open loop: log-metric calls at a fixed rate over keep-alive connections, whatever the server does; the time of each counts from when it was due, so that waiting shows. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MOST 256
#define RUNS_MOST 4096

struct lane {
	int fd;
	double due; /* of the call under way; 0: idle */
	size_t got;
	char answer[16384];
	struct lane *next; /* idle too */
};

static char runs[RUNS_MOST][64];
static size_t run_count;
static struct lane lanes[CONNECTIONS_MOST];
static struct lane *idle;
static double *times;
static size_t done, bad, late;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
send_one(double due, unsigned long n)
{
	struct lane *l = idle;
	static unsigned seed = 1;
	char body[256];
	char call[512];
	int length;

	length = snprintf(body, sizeof(body), "{\"run_id\":\"%s\",\"key\":\"k%d\",\"value\":%.6f,\"timestamp\":%lu,\"step\":%lu}", runs[(size_t)rand_r(&seed) % run_count], rand_r(&seed) % 5,
	    rand_r(&seed) / (double)RAND_MAX, 1700000000000ul + n, n);
	length = snprintf(call, sizeof(call), "POST /api/2.0/mlflow/runs/log-metric HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
	if (send(l->fd, call, (size_t)length, MSG_NOSIGNAL) != length) {
		fprintf(stderr, "send: %s\n", strerror(errno));
		exit(1);
	}
	idle = l->next;
	l->due = due;
	l->got = 0;
}

/* Is the answer whole? */
static int
answered(struct lane *l)
{
	char *end;
	char *length;

	l->answer[l->got] = '\0';
	end = strstr(l->answer, "\r\n\r\n");
	if (end == NULL)
		return 0;
	length = strcasestr(l->answer, "content-length:");
	return l->got >= (size_t)(end + 4 - l->answer) + (length != NULL ? strtoul(length + 15, NULL, 10) : 0);
}

static void
take(struct lane *l)
{
	ssize_t n = recv(l->fd, l->answer + l->got, sizeof(l->answer) - 1 - l->got, 0);

	if (n <= 0) {
		fprintf(stderr, "the server closed a connection\n");
		exit(1);
	}
	l->got += (size_t)n;
	if (!answered(l))
		return;
	if (strncmp(l->answer, "HTTP/1.1 2", 10) != 0)
		bad++;
	times[done++] = now() - l->due;
	l->due = 0;
	l->next = idle;
	idle = l;
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int
connect_all(int port, int count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int events = epoll_create1(0);
	int on = 1;

	for (int i = 0; i < count; i++) {
		struct lane *l = &lanes[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = l };

		l->fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(l->fd, (struct sockaddr *)&to, sizeof(to)) != 0 || epoll_ctl(events, EPOLL_CTL_ADD, l->fd, &event) != 0) {
			perror("connect");
			exit(1);
		}
		setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		l->next = idle;
		idle = l;
	}
	return events;
}

int
main(int argc, char **argv)
{
	struct epoll_event ready[64];
	int count;
	int events;
	double rate, seconds, began;
	unsigned long first;
	size_t all;
	size_t sent = 0;
	FILE *f;

	if (argc != 7 || (f = fopen(argv[2], "r")) == NULL) {
		fprintf(stderr, "usage: paced PORT RUNS-FILE CONNECTIONS RATE SECONDS FIRST-STEP\n");
		return 2;
	}
	while (run_count < RUNS_MOST && fscanf(f, "%63s", runs[run_count]) == 1)
		run_count++;
	fclose(f);
	count = (int)strtol(argv[3], NULL, 10);
	rate = strtod(argv[4], NULL);
	seconds = strtod(argv[5], NULL);
	first = strtoul(argv[6], NULL, 10);
	all = (size_t)(rate * seconds);
	times = calloc(all + 1, sizeof(*times));
	if (times == NULL || count > CONNECTIONS_MOST || run_count == 0)
		return 1;
	events = connect_all((int)strtol(argv[1], NULL, 10), count);
	began = now();
	while (done < all && now() < began + seconds + 30) {
		double due = began + (double)sent / rate;
		double wait = sent < all ? due - now() : 1;
		struct timespec pause;
		int n;

		if (sent < all && wait <= 0 && idle != NULL) {
			late += wait < -0.001 ? 1 : 0;
			send_one(due, first + sent);
			sent++;
			continue;
		}
		if (idle == NULL || wait > 0.1)
			wait = 0.1;
		pause = (struct timespec){ .tv_nsec = (long)(wait * 1e9) };
		n = epoll_pwait2(events, ready, 64, &pause, NULL);
		for (int i = 0; i < n; i++)
			take(ready[i].data.ptr);
	}
	qsort(times, done, sizeof(*times), by_size);
	if (done == 0)
		return 1;
	printf("{\"sent\":%zu,\"done\":%zu,\"bad\":%zu,\"late\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"most\":%.3f}\n", sent, done, bad, late, times[done / 2] * 1000, times[done * 99 / 100] * 1000, times[done - 1] * 1000);
	return 0;
}
