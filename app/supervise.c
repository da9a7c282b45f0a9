/* The first process: locks, the embedded cluster, migrations, then the server (Kore's parent) as a child, until told to end. No loop of its own but sigtimedwait(). */
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "config.h"
#include "migrate.h"
#include "postgres.h"
#include "version.h"

enum { DEATHS_MOST = 5, DEATHS_WITHIN_MS = 60000, DRAIN_MS = 40000, READY_MS = 30000 };

/* Deaths of a child, to tell a mishap from a crash loop. */
struct deaths {
	const char *who;
	int64_t at_ms[DEATHS_MOST];
	int count;
};

static struct {
	pid_t postgres, server;
	bool embedded, stopping, failed, announced;
	int signals;          /* to end, received */
	int64_t stopping_ms, server_ms;
	int exit_status;
	int data_lock, port_lock;
	struct deaths postgres_deaths, server_deaths;
	int (*run)(void);
	sigset_t watched, before;
} super = { .data_lock = -1, .port_lock = -1, .postgres_deaths.who = "PostgreSQL", .server_deaths.who = "the server" };

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- locks ---- */

/* Taken with the supervisor's life: children close it. *held: another tallyd has it. */
static bool
lock_data(bool *held)
{
	char path[1100];
	*held = false;
	if (!folder_make(config->data_dir, 0750))
		return false;
	snprintf(path, sizeof(path), "%s/tallyd.lock", config->data_dir);
	super.data_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (super.data_lock < 0) {
		fprintf(stderr, "tallyd: cannot open %s: %s\n", path, strerror(errno));
		return false;
	}
	if (flock(super.data_lock, LOCK_EX | LOCK_NB) == 0)
		return true;
	*held = true;
	close(super.data_lock);
	super.data_lock = -1;
	return false;
}

/* An abstract unix socket's name: in use as long as its owner lives. Returns the socket, or -1. */
static int
name_take(const char *head, char between)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "%s%.80s%c%d", head, config->host, between, config->port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A supervisor that was killed leaves its server behind, which is ending; it holds the name of base/net.c until it has. */
static void
await_orphan(void)
{
	bool said = false;
	for (int64_t until = now_ms() + DRAIN_MS; now_ms() < until;) {
		int fd = name_take("tallyd/", ':');
		if (fd >= 0) {
			close(fd);
			return;
		}
		if (!said)
			fprintf(stderr, "tallyd: waiting for the server of a killed tallyd to end\n");
		said = true;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
}

/* errno of binding the port without SO_REUSEPORT, or 0. */
static int
port_probe(void)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
	char port[16];
	int why = 0;
	snprintf(port, sizeof(port), "%d", config->port);
	if (getaddrinfo(config->host, port, &hints, &found) != 0)
		return 0;
	for (const struct addrinfo *a = found; why == 0 && a != NULL; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
		if (fd < 0)
			continue;
		/* Connections of an earlier server that are still closing are no obstacle. */
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 && (errno == EADDRINUSE || errno == EACCES))
			why = errno;
		close(fd);
	}
	freeaddrinfo(found);
	return why;
}

/* The workers' listeners share the port (SO_REUSEPORT), so a second server would get half of the first one's connections, unseen. */
static bool
lock_port(void)
{
	super.port_lock = name_take("tallyd-", '-');
	if (super.port_lock >= 0)
		await_orphan();
	int why = super.port_lock >= 0 ? port_probe() : EADDRINUSE;
	if (why == EACCES)
		fprintf(stderr, "tallyd: port %d needs root; another --port does not\n", config->port);
	else if (why != 0)
		fprintf(stderr, "tallyd: port %d at %s is in use by another server; end that one or give another --port\n", config->port, config->host);
	return why == 0;
}

/* ---- children ---- */

static pid_t
child_fork(int (*work)(void), bool as_started)
{
	fflush(NULL);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	/* Its own group: Ctrl-C reaches the supervisor alone, which then ends things in order. */
	setsid();
	if (!as_started)
		account_enter();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	if (super.data_lock >= 0)
		close(super.data_lock);
	if (super.port_lock >= 0)
		close(super.port_lock);
	sigprocmask(SIG_SETMASK, &super.before, NULL);
	int status = work();
	fflush(NULL);
	/* Kore's exit handlers are for Kore; ours for us. */
	exit(status);
}

static bool
deaths_too_many(struct deaths *deaths)
{
	int64_t oldest = deaths->at_ms[deaths->count % DEATHS_MOST];
	bool many = deaths->count >= DEATHS_MOST && now_ms() - oldest < DEATHS_WITHIN_MS;
	deaths->at_ms[deaths->count++ % DEATHS_MOST] = now_ms();
	if (many)
		fprintf(stderr, "tallyd: %s died %d times within a minute: giving up\n", deaths->who, DEATHS_MOST + 1);
	return many;
}

static void
say_death(const char *who, int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "tallyd: %s was killed by signal %d\n", who, WTERMSIG(status));
	else
		fprintf(stderr, "tallyd: %s ended with status %d\n", who, WEXITSTATUS(status));
}

static void
stop_begin(void)
{
	if (super.stopping)
		return;
	super.stopping = true;
	super.stopping_ms = now_ms();
	if (super.server > 0)
		(void)kill(super.server, SIGTERM);
}

static void
give_up(int status)
{
	super.failed = true;
	super.exit_status = status;
	stop_begin();
}

/* What is left of the server's group after its parent died: workers that would go on serving, ownerless. */
static void
group_end(pid_t group)
{
	if (kill(-group, SIGTERM) != 0)
		return;
	int64_t until = now_ms() + 5000;
	while (kill(-group, 0) == 0 && now_ms() < until) {
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	(void)kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		;
}

static void
server_start(void)
{
	super.server = child_fork(super.run, true);
	super.server_ms = now_ms();
	if (super.server < 0) {
		fprintf(stderr, "tallyd: cannot start the server: %s\n", strerror(errno));
		super.server = 0;
		give_up(1);
	}
}

static void
server_died(int status)
{
	pid_t group = super.server;
	super.server = 0;
	group_end(group);
	if (super.stopping) {
		if (!super.failed && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
			say_death("the server", status);
			super.exit_status = 1;
		}
		return;
	}
	say_death("the server", status);
	/* One that ends by itself has said why, and would again. */
	if (WIFEXITED(status))
		give_up(WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
	else if (deaths_too_many(&super.server_deaths))
		give_up(1);
	else
		server_start();
}

static void
postgres_died(int status)
{
	super.postgres = 0;
	say_death("PostgreSQL", status);
	if (super.stopping)
		return;
	if (deaths_too_many(&super.postgres_deaths)) {
		give_up(1);
		return;
	}
	/* The server's requests wait or get 503 meanwhile. */
	super.postgres = postgres_start();
	if (super.postgres == 0)
		give_up(1);
	else
		fprintf(stderr, "tallyd: PostgreSQL is up again\n");
}

static void
reap(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid == super.server)
			server_died(status);
		else if (pid == super.postgres)
			postgres_died(status);
	}
}

/* ---- the start lines ---- */

static bool
answers(void)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found = NULL;
	char port[16];
	bool good = false;
	const char *host = strcmp(config->host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(config->host, "::") == 0 ? "::1" : config->host;
	snprintf(port, sizeof(port), "%d", config->port);
	if (getaddrinfo(host, port, &hints, &found) != 0)
		return false;
	for (const struct addrinfo *a = found; !good && a != NULL; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		good = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0;
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(found);
	return good;
}

static void
announce(void)
{
	char address[512];
	bool v6 = strchr(config->host, ':') != NULL;
	const char *host = strcmp(config->host, "0.0.0.0") == 0 || strcmp(config->host, "::") == 0 ? "127.0.0.1" : config->host;
	snprintf(address, sizeof(address), "http://%s%s%s:%d%s", v6 && host == config->host ? "[" : "", host, v6 && host == config->host ? "]" : "", config->port, config->static_prefix);
	printf("tallyd %s\n", tallyd_version);
	printf("  address        %s%s\n", address, host != config->host ? " and every other address of this machine" : "");
	if (super.embedded)
		printf("  database       private PostgreSQL %s in %s/postgres\n", postgres_version(), config->data_dir);
	else
		printf("  database       %s\n", config_database_shown());
	if (config->default_artifact_root[0] != '\0')
		printf("  artifact root  %s\n", config->default_artifact_root);
	else
		printf("  artifact root  mlflow-artifacts:/, kept in %s\n", config->artifacts_destination);
	printf("  schema         version %d\n", migrate_version());
	printf("  workers        %d\n", config->workers);
	printf("export MLFLOW_TRACKING_URI=%s\n", address);
	fflush(stdout);
	super.announced = true;
}

/* ---- the whole ---- */

static void
begin(void)
{
	sigemptyset(&super.watched);
	sigaddset(&super.watched, SIGTERM);
	sigaddset(&super.watched, SIGINT);
	sigaddset(&super.watched, SIGQUIT);
	sigaddset(&super.watched, SIGHUP);
	sigaddset(&super.watched, SIGCHLD);
	sigprocmask(SIG_BLOCK, &super.watched, &super.before);
	signal(SIGPIPE, SIG_IGN);
}

static void
on_signal(int sig)
{
	if (sig == SIGCHLD)
		return;
	super.signals++;
	if (super.signals == 1) {
		stop_begin();
	} else if (super.server > 0 && now_ms() - super.stopping_ms > 500) {
		fprintf(stderr, "tallyd: told twice: ending at once\n");
		(void)kill(-super.server, SIGKILL);
		(void)kill(super.server, SIGKILL);
	}
}

static void
check_time(void)
{
	if (super.stopping && super.server > 0 && now_ms() - super.stopping_ms > DRAIN_MS) {
		fprintf(stderr, "tallyd: the server did not end within %d s: ending it\n", DRAIN_MS / 1000);
		(void)kill(-super.server, SIGKILL);
		(void)kill(super.server, SIGKILL);
	}
	if (super.announced || super.stopping || super.server == 0)
		return;
	if (answers()) {
		announce();
	} else if (now_ms() - super.server_ms > READY_MS) {
		fprintf(stderr, "tallyd: the server does not listen\n");
		give_up(1);
	}
}

static void
watch(void)
{
	while (super.server > 0 || !super.stopping) {
		bool waiting = super.stopping || !super.announced;
		const struct timespec soon = { .tv_nsec = 20000000 }, later = { .tv_sec = 3600 };
		int sig = sigtimedwait(&super.watched, NULL, waiting ? &soon : &later);
		if (sig > 0)
			on_signal(sig);
		reap();
		check_time();
	}
}

static int
migrate_work(void)
{
	return migrate_run(false) ? 0 : 1;
}

static bool
run_to_end(int (*work)(void), int *status)
{
	const struct timespec soon = { .tv_nsec = 20000000 };
	pid_t pid = child_fork(work, false);
	*status = 1;
	while (pid > 0 && waitpid(pid, status, WNOHANG) == 0) {
		int sig = sigtimedwait(&super.watched, NULL, &soon);
		if (sig > 0 && sig != SIGCHLD)
			(void)kill(pid, SIGTERM);
	}
	*status = pid > 0 && WIFEXITED(*status) ? WEXITSTATUS(*status) : 1;
	return *status == 0;
}

/* The cluster is up and config->database names it. */
static bool
postgres_up(void)
{
	if (!postgres_prepare())
		return false;
	super.postgres = postgres_start();
	if (super.postgres == 0)
		return false;
	config_set_database(postgres_uri());
	return true;
}

static bool
artifacts_prepare(void)
{
	if (!config->serve_artifacts || strncmp(config->artifacts_destination, "gs://", 5) == 0)
		return true;
	/* The folder around it too, if it is ours to make: a later start may put a cluster there. */
	size_t n = strlen(config->data_dir);
	bool inside = strncmp(config->artifacts_destination, config->data_dir, n) == 0 && config->artifacts_destination[n] == '/';
	return (!inside || folder_make(config->data_dir, 0750)) && folder_make(config->artifacts_destination, 0750);
}

static bool
prepare(void)
{
	bool held = false;
	super.embedded = config->database[0] == '\0';
	if (!lock_port())
		return false;
	if (super.embedded && !lock_data(&held)) {
		if (held)
			fprintf(stderr, "tallyd: another tallyd uses %s; end that one or give another --data-dir\n", config->data_dir);
		return false;
	}
	if (super.embedded && !postgres_up())
		return false;
	int status;
	return artifacts_prepare() && run_to_end(migrate_work, &status);
}

static int
finish(int status)
{
	if (super.postgres > 0)
		postgres_stop(super.postgres);
	return status;
}

int
supervise_run(int (*server)(void))
{
	begin();
	/* A dead server's workers become ours to end. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	super.run = server;
	if (!prepare())
		return finish(1);
	server_start();
	watch();
	return finish(super.exit_status);
}

int
supervise_with_database(int (*work)(void))
{
	bool held = false;
	int status = 1;
	begin();
	super.embedded = config->database[0] == '\0';
	if (super.embedded && !lock_data(&held)) {
		if (!held)
			return 1;
		/* A server runs on this folder: its cluster is up. */
		postgres_locate();
		config_set_database(postgres_uri());
	} else if (super.embedded && !postgres_up()) {
		return finish(1);
	}
	(void)run_to_end(work, &status);
	return finish(status);
}
