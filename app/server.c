/*
 * The server as Kore sees it: its configuration (made here, no file), privileges, the sandbox, the start and the drain of a worker.
 * Kore's http.c is not in the binary.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

#include <kore.h>
#include <seccomp.h>

#include <linux/futex.h>
#include <linux/sockios.h>

#include "base/http.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/net.h"
#include "config.h"
#include "engine/engine.h"
#include "server.h"

#define DRAIN_MS 25000
#define CONNECTIONS_MOST 16384
#define FILES_LEAST 128      /* below, a worker has no descriptors left for clients beside the database's and its own */
#define FILES_KEPT 64        /* of the hard limit, not used */
#define FILES_BESIDE 1280    /* descriptors of a worker that are no client's: most of them the bucket's */
#define CRASHES_MOST 20      /* starts of workers within CRASH_WINDOW_MS, beyond which the server gives up */
#define CRASH_WINDOW_MS 10000

int kore_main(int argc, char *argv[]);

/* Kore reads its configuration from these two. */
extern u_int8_t asset_builtin_kore_conf[];
extern u_int32_t asset_len_builtin_kore_conf;
u_int8_t asset_builtin_kore_conf[4096];
u_int32_t asset_len_builtin_kore_conf;

/* Looked up by name. */
#define HOOK __attribute__((visibility("default")))
HOOK void kore_parent_configure(int argc, char **argv);
HOOK void kore_worker_configure(void);
HOOK void kore_worker_teardown(void);
HOOK void kore_seccomp_hook(void);

/* Shared by the parent and all workers. */
struct shared {
	atomic_uint at;
	_Atomic int64_t starts_ms[CRASHES_MOST];
	atomic_bool gave_up;
};
static struct shared *shared;
static pid_t parent;
static volatile sig_atomic_t ending;

/* What libpq, libcurl's threaded resolver, the local store and our own threads need beyond Kore's own list. */
static struct sock_filter rules[] = {
	/* Only asking how many bytes the peer has not acknowledged; Kore's list refuses every other with EACCES. */
	KORE_SYSCALL_ALLOW_ARG(ioctl, 1, SIOCOUTQ),
	/* sockets */
	KORE_SYSCALL_ALLOW(socket), KORE_SYSCALL_ALLOW(connect), KORE_SYSCALL_ALLOW(bind), KORE_SYSCALL_ALLOW(getsockopt), KORE_SYSCALL_ALLOW(getsockname),
	KORE_SYSCALL_ALLOW(getpeername), KORE_SYSCALL_ALLOW(sendmsg), KORE_SYSCALL_ALLOW(sendmmsg), KORE_SYSCALL_ALLOW(recvmsg), KORE_SYSCALL_ALLOW(recvmmsg),
	KORE_SYSCALL_ALLOW(socketpair), KORE_SYSCALL_ALLOW(shutdown), KORE_SYSCALL_ALLOW(accept4),
	/* files */
	KORE_SYSCALL_ALLOW(newfstatat), KORE_SYSCALL_ALLOW(statx), KORE_SYSCALL_ALLOW(fstatfs), KORE_SYSCALL_ALLOW(pread64), KORE_SYSCALL_ALLOW(pwrite64),
	KORE_SYSCALL_ALLOW(getdents64), KORE_SYSCALL_ALLOW(openat2), KORE_SYSCALL_ALLOW(mkdirat), KORE_SYSCALL_ALLOW(unlinkat), KORE_SYSCALL_ALLOW(renameat),
	KORE_SYSCALL_ALLOW(renameat2), KORE_SYSCALL_ALLOW(linkat), KORE_SYSCALL_ALLOW(fsync), KORE_SYSCALL_ALLOW(fdatasync), KORE_SYSCALL_ALLOW(ftruncate),
	KORE_SYSCALL_ALLOW(fallocate), KORE_SYSCALL_ALLOW(fadvise64), KORE_SYSCALL_ALLOW(faccessat), KORE_SYSCALL_ALLOW(faccessat2), KORE_SYSCALL_ALLOW(flock),
	KORE_SYSCALL_ALLOW(utimensat), KORE_SYSCALL_ALLOW(fchmod), KORE_SYSCALL_ALLOW(readlinkat), KORE_SYSCALL_ALLOW(copy_file_range),
	KORE_SYSCALL_ALLOW(dup), KORE_SYSCALL_ALLOW(dup3), KORE_SYSCALL_ALLOW(pipe2), KORE_SYSCALL_ALLOW(eventfd2), KORE_SYSCALL_ALLOW(readv),
#if defined(SYS_mkdir)
	KORE_SYSCALL_ALLOW(mkdir), KORE_SYSCALL_ALLOW(rename), KORE_SYSCALL_ALLOW(rmdir), KORE_SYSCALL_ALLOW(dup2), KORE_SYSCALL_ALLOW(pipe), KORE_SYSCALL_ALLOW(alarm),
#endif
	KORE_SYSCALL_ALLOW(setitimer), KORE_SYSCALL_ALLOW(timerfd_create), KORE_SYSCALL_ALLOW(timerfd_settime), KORE_SYSCALL_ALLOW(epoll_create1),
	/* threads; clone3 takes its flags by pointer, where no filter can read them: glibc falls back to clone */
	KORE_SYSCALL_DENY(clone3, ENOSYS), KORE_SYSCALL_ALLOW_MASK(clone, 0, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID),
	KORE_SYSCALL_ALLOW(rseq), KORE_SYSCALL_ALLOW(set_robust_list), KORE_SYSCALL_ALLOW(set_tid_address), KORE_SYSCALL_ALLOW(gettid), KORE_SYSCALL_ALLOW(tgkill),
	KORE_SYSCALL_ALLOW(sched_yield), KORE_SYSCALL_ALLOW(sched_getaffinity), KORE_SYSCALL_ALLOW(membarrier), KORE_SYSCALL_ALLOW(prctl), KORE_SYSCALL_ALLOW(mremap),
	KORE_SYSCALL_ALLOW(restart_syscall),
	/* about this process */
	KORE_SYSCALL_ALLOW(uname), KORE_SYSCALL_ALLOW(getgid), KORE_SYSCALL_ALLOW(getegid), KORE_SYSCALL_ALLOW(getppid), KORE_SYSCALL_ALLOW(prlimit64),
	KORE_SYSCALL_ALLOW(getrusage), KORE_SYSCALL_ALLOW(sysinfo), KORE_SYSCALL_ALLOW(clock_getres), KORE_SYSCALL_ALLOW(times), KORE_SYSCALL_ALLOW(umask),
};

/* ---- signals */

/* Kore keeps the last signal in one variable, so a worker's death hides a SIGTERM that came just before; and one that comes between its look at the variable and its
 * wait is slept over, and one that comes before Kore is up is forgotten. Here an end stays an end, and an alarm repeats it until the process is gone. */
static void
on_signal(int sig)
{
	if (sig == SIGALRM) {
		if (ending == 0)
			return;
		sig_recv = ending;
		alarm(1);
		return;
	}
	if (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT) {
		ending = sig;
		sig_recv = sig;
		alarm(1);
		return;
	}
	if (ending == 0)
		sig_recv = sig;
}

int __real_sigaction(int sig, const struct sigaction *act, struct sigaction *old);
int __wrap_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

int
__wrap_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction ours;

	if (act == NULL || act->sa_handler != kore_signal)
		return __real_sigaction(sig, act, old);
	ours = *act;
	ours.sa_handler = on_signal;
	return __real_sigaction(sig, &ours, old);
}

/* ---- the parent */

/* Returns what Kore's rlimit for a worker's descriptors may be. */
static unsigned
files_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 1024;
	return limit.rlim_max > CONNECTIONS_MOST + FILES_BESIDE ? CONNECTIONS_MOST + FILES_BESIDE : (unsigned)limit.rlim_max;
}

/* Kore insists on a pid file, and removes it at the end: never name anything here that is not its own to remove. */
static const char *
pid_path(void)
{
	static char path[1024];
	int fd;

	if (config->data_dir != NULL && config->data_dir[0] != '\0' && access(config->data_dir, W_OK) == 0 &&
	    strpbrk(config->data_dir, " \t\n#") == NULL && snprintf(path, sizeof(path), "%s/server.pid", config->data_dir) < (int)sizeof(path))
		return path;
	snprintf(path, sizeof(path), "/tmp/tallyd.XXXXXX");
	fd = mkstemp(path);
	PRECOND(fd != -1);
	close(fd);
	return path;
}

void
kore_parent_configure(int argc, char **argv)
{
	char runas[256] = "";
	int n;

	(void)argc;
	(void)argv;
	engine_prepare(config->workers);
	kore_foreground = 1;
	kore_quiet = 1;
	skip_chroot = 1; /* the resolver, CA files and the database's socket are outside */
	skip_runas = 1;
	if (getuid() == 0 && config->user != NULL && config->user[0] != '\0' && strcmp(config->user, "root") != 0) {
		skip_runas = 0;
#if defined(KORE_PRIVSEP)
		snprintf(runas, sizeof(runas), "privsep worker {\n\trunas %s\n}\n", config->user);
#else
		snprintf(runas, sizeof(runas), "runas %s\n", config->user);
#endif
	}
	n = snprintf((char *)asset_builtin_kore_conf, sizeof(asset_builtin_kore_conf),
	    "server tallyd {\n\ttls no\n}\n"
	    "pidfile %s\n"
	    "workers %d\n"
	    "worker_max_connections 128\n" /* Kore's pools begin with this; net.c raises it */
	    "worker_rlimit_nofiles %u\n"
	    "worker_set_affinity 0\n"
	    "worker_accept_threshold 64\n"
	    "%s",
	    pid_path(), config->workers, files_most() - FILES_KEPT, runas);
	PRECOND(n > 0 && (size_t)n < sizeof(asset_builtin_kore_conf));
	asset_len_builtin_kore_conf = (u_int32_t)n;
}

int
server_run(int argc, char **argv)
{
	struct sigaction wake = { .sa_handler = on_signal };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (files_most() < FILES_LEAST) {
		fprintf(stderr, "tallyd: the limit of open files is %u, at least %d are needed: ulimit -Hn, or LimitNOFILE= of a systemd unit\n", files_most(), FILES_LEAST);
		return 1;
	}
	if (!net_listen(config->host, config->port, (size_t)config->workers))
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	PRECOND(shared != MAP_FAILED);
	(void)__real_sigaction(SIGALRM, &wake, NULL);
	(void)__real_sigaction(SIGTERM, &wake, NULL);
	(void)__real_sigaction(SIGINT, &wake, NULL);
	parent = getpid();
	if (kore_main(argc, argv) != 0)
		return 1;
	return atomic_load(&shared->gave_up) ? 1 : 0;
}

/* ---- the sandbox */

/* A system call that no rule names: said once per number, then refused. Dying of it would turn a library's harmless new call into an outage. */
static void
on_refused(int sig, siginfo_t *info, void *context)
{
	static atomic_uchar said[1024];
	ucontext_t *u = context;
	unsigned number = (unsigned)info->si_syscall;

	(void)sig;
	if (number < sizeof(said) && atomic_exchange(&said[number], 1) == 0) {
		char line[] = "tallyd: the sandbox refused system call 0000\n";
		size_t at = sizeof(line) - 3;

		for (unsigned rest = number; rest > 0; rest /= 10)
			line[at--] = (char)('0' + rest % 10);
		(void)!write(STDERR_FILENO, line, sizeof(line) - 1);
	}
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
#else
#error "no sandbox for this processor"
#endif
}

void
kore_seccomp_hook(void)
{
	struct sigaction refused = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER };

	(void)__real_sigaction(SIGSYS, &refused, NULL);
	kore_seccomp_filter("tallyd", rules, KORE_FILTER_LEN(rules));
}

/* ---- a worker */

/* Kore starts a dead worker again at once and for ever. When that happens too often, the whole server ends. */
static void
give_up_on_crashes(void)
{
	int64_t now_ms = loop_now_ms();
	unsigned at = atomic_fetch_add(&shared->at, 1);
	int64_t oldest_ms = atomic_exchange(&shared->starts_ms[at % CRASHES_MOST], now_ms);

	if (at < CRASHES_MOST + (unsigned)worker_count || oldest_ms == 0 || now_ms - oldest_ms > CRASH_WINDOW_MS)
		return;
	if (!atomic_exchange(&shared->gave_up, true))
		log_error("workers died %d times within %d seconds: the server ends", CRASHES_MOST, CRASH_WINDOW_MS / 1000);
	(void)kill(getppid(), SIGTERM);
	_exit(0); /* with 0 Kore does not start it again */
}

static enum log_level
level_of(const char *name)
{
	if (name != NULL && strcmp(name, "error") == 0)
		return LOG_LEVEL_ERROR;
	if (name != NULL && strcmp(name, "warn") == 0)
		return LOG_LEVEL_WARN;
	if (name != NULL && strcmp(name, "debug") == 0)
		return LOG_LEVEL_DEBUG;
	return LOG_LEVEL_INFO;
}

/* A test may shorten the time-outs; nobody else needs to. */
static void
limit_from_environment(struct http_limits *limits)
{
	static const struct {
		const char *name;
		size_t at;
	} known[] = {
		{ "TALLYD_HTTP_HEAD_MS", offsetof(struct http_limits, head_ms) },
		{ "TALLYD_HTTP_BODY_MS", offsetof(struct http_limits, body_ms) },
		{ "TALLYD_HTTP_BODY_RATE", offsetof(struct http_limits, body_rate) },
		{ "TALLYD_HTTP_IDLE_MS", offsetof(struct http_limits, idle_ms) },
		{ "TALLYD_HTTP_LINGER_MS", offsetof(struct http_limits, linger_ms) },
		{ "TALLYD_HTTP_HELD_BYTES", offsetof(struct http_limits, held_bytes) },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *value = getenv(known[i].name);
		int64_t ms;

		if (value != NULL && text_int(text_from(value), &ms) && ms > 0)
			memcpy((char *)limits + known[i].at, &ms, sizeof(ms));
	}
}

void
kore_worker_configure(void)
{
	static char who[32];
	struct http_limits limits = HTTP_LIMITS;
	struct rlimit files;
	unsigned most = CONNECTIONS_MOST;

	snprintf(who, sizeof(who), "worker %u", worker->id);
	log_setup(level_of(config->log_level), config->log_format != NULL && strcmp(config->log_format, "json") == 0, who);
	give_up_on_crashes();
	/* Kore looks for the end of its pipe to the parent, but later workers hold that open too. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < most + FILES_BESIDE)
		most = files.rlim_cur > 2 * FILES_BESIDE ? (unsigned)files.rlim_cur - FILES_BESIDE : (unsigned)files.rlim_cur / 2;
	limit_from_environment(&limits);
	http_limit(&limits);
	net_accept_start(worker->id - 1U, most);
	engine_start(worker->id - 1);
}

/* Kore's loop has ended: ours answers what runs. */
void
kore_worker_teardown(void)
{
	int64_t until_ms = loop_now_ms() + DRAIN_MS;

	log_debug("ends: %zu connections, %zu requests in work", http_connections(), http_active());
	engine_drain();
	http_drain();
	net_accept_stop();
	while ((http_active() > 0 || http_connections() > 0) && loop_now_ms() < until_ms)
		loop_turn(100);
	if (http_active() > 0) {
		log_warn("cut %zu requests that were not done %d seconds after the signal", http_active(), DRAIN_MS / 1000);
		http_cut();
		loop_turn(0);
		loop_turn(0);
	}
	engine_stop();
}
