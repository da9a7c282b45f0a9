/* The private PostgreSQL cluster. Made with PostgreSQL's own tools (initdb, createuser, createdb), run as a child of the supervisor, told to end by signal. */
#include "postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "config.h"

enum { START_S = 120, STOP_S = 120, PATH_ROOM = 1024, SOCKET_ROOM = 90 /* sun_path's 108 less "/.s.PGSQL.5432.lock" */ };

/* conf/postgresql.conf, as it is. */
__asm__(".section .rodata\n"
	"postgres_conf:\n.incbin \"conf/postgresql.conf\"\n"
	"postgres_conf_end:\n.byte 0\n.previous\n");
extern const char postgres_conf[] __attribute__((visibility("hidden")));

static char tools[PATH_ROOM], cluster[PATH_ROOM], socket_folder[PATH_ROOM], log_file[PATH_ROOM], uri[PATH_ROOM + 64], version_text[32];

static void format_path(char out[PATH_ROOM], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
format_path(char out[PATH_ROOM], const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(out, PATH_ROOM, format, ap);
	va_end(ap);
	if (n < 0 || n >= PATH_ROOM) {
		fprintf(stderr, "tallyd: data_dir is too long: %s\n", config->data_dir);
		exit(2);
	}
}

static void
pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const char *
account_name(void)
{
	if (config->user[0] != '\0')
		return config->user;
	const struct passwd *me = getpwuid(getuid());
	return me != NULL ? me->pw_name : "";
}

void
account_enter(void)
{
	if (getuid() != 0 || config->user[0] == '\0')
		return;
	const struct passwd *account = getpwnam(config->user);
	if (account == NULL || initgroups(account->pw_name, account->pw_gid) != 0 || setgid(account->pw_gid) != 0 || setuid(account->pw_uid) != 0) {
		fprintf(stderr, "tallyd: cannot become %s: %s\n", config->user, strerror(errno));
		_exit(1);
	}
}

bool
folder_make(const char *path, mode_t mode)
{
	char part[PATH_ROOM];
	if (strlen(path) >= sizeof(part)) {
		fprintf(stderr, "tallyd: the folder's name is too long: %s\n", path);
		return false;
	}
	memcpy(part, path, strlen(path) + 1);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0755);
		*slash = '/';
	}
	bool made = mkdir(path, mode) == 0;
	if (!made && errno != EEXIST) {
		fprintf(stderr, "tallyd: cannot make the folder %s: %s\n", path, strerror(errno));
		return false;
	}
	if (!made || getuid() != 0 || config->user[0] == '\0')
		return true;
	const struct passwd *account = getpwnam(config->user);
	if (account == NULL || chown(path, account->pw_uid, account->pw_gid) != 0) {
		fprintf(stderr, "tallyd: cannot give the folder %s to %s: %s\n", path, config->user, strerror(errno));
		return false;
	}
	return true;
}

/* In a child, which becomes the account: root itself writes nothing into folders that belong to another (links planted there would lead it astray). */
static bool
as_account(bool (*work)(const char *), const char *path)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		account_enter();
		bool good = work(path);
		fflush(NULL);
		_exit(good ? 0 : 1);
	}
	int status = 1;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && status == 0;
}

static bool
is_usable(const char *path)
{
	return access(path, R_OK | W_OK | X_OK) == 0;
}

static void
signals_reset(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* Child: one of PostgreSQL's programs as config->user, its output appended to the log file. */
static _Noreturn void
tool_exec(const char *program, const char *const *args)
{
	char path[PATH_ROOM + 32];
	union {
		const char *const *ours;
		char *const *theirs;
	} argv = { .ours = args };
	signals_reset();
	setsid();
	account_enter();
	/* After the change of account, which would undo it. Should the supervisor be killed, PostgreSQL ends in good order. */
	(void)prctl(PR_SET_PDEATHSIG, SIGINT);
	umask(077);
	int log = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (log >= 0) {
		dup2(log, 1);
		dup2(log, 2);
	}
	if (null >= 0)
		dup2(null, 0);
	if (chdir(config->data_dir) != 0)
		_exit(126);
	/* PostgreSQL must not hear of another cluster from our environment. */
	static const char *const foreign[] = { "PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS" };
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		unsetenv(foreign[i]);
	/* initdb looks for postgres beside itself, and for itself in PATH when its name has no folder. */
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", tools);
	(void)setenv("PATH", path, 1);
	snprintf(path, sizeof(path), "%s/%s", tools, program);
	execv(path, argv.theirs);
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

static void
show_log_end(void)
{
	char bytes[2000];
	int fd = open(log_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	off_t size = lseek(fd, 0, SEEK_END);
	lseek(fd, size > (off_t)sizeof(bytes) ? size - (off_t)sizeof(bytes) : 0, SEEK_SET);
	ssize_t n = read(fd, bytes, sizeof(bytes));
	if (n > 0)
		fprintf(stderr, "The end of %s:\n%.*s\n", log_file, (int)n, bytes);
	close(fd);
}

static bool
tool_run(const char *program, const char *const *args)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		tool_exec(program, args);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && status == 0)
		return true;
	fprintf(stderr, "tallyd: %s failed.\n", program);
	show_log_end();
	return false;
}

/* First line of a small file. */
static bool
read_word(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	bool good = fgets(out, (int)room, f) != NULL;
	fclose(f);
	if (good)
		out[strcspn(out, "\r\n")] = '\0';
	return good;
}

static bool
has_tools(const char *folder)
{
	char path[PATH_ROOM];
	format_path(path, "%s/postgres", folder);
	if (access(path, X_OK) != 0)
		return false;
	format_path(path, "%s/initdb", folder);
	return access(path, X_OK) == 0;
}

/* Debian keeps each version apart; elsewhere the programs are on the PATH. wanted: "15", or "" for the newest. */
static bool
find_tools(const char *wanted)
{
	char path[PATH_ROOM];
	long best = 0;
	DIR *folder = opendir("/usr/lib/postgresql");
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		long version = strtol(entry->d_name, NULL, 10);
		format_path(path, "/usr/lib/postgresql/%s/bin", entry->d_name);
		if (version < 14 || version <= best || (wanted[0] != '\0' && strcmp(wanted, entry->d_name) != 0) || !has_tools(path))
			continue;
		best = version;
		memcpy(tools, path, sizeof(path));
	}
	if (folder != NULL)
		closedir(folder);
	static const char *const usual[] = { "/usr/pgsql-17/bin", "/usr/pgsql-16/bin", "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin" };
	for (size_t i = 0; best == 0 && i < sizeof(usual) / sizeof(usual[0]); i++)
		if (has_tools(usual[i])) {
			format_path(tools, "%s", usual[i]);
			best = 1;
		}
	return best > 0;
}

static void
find_version(void)
{
	char command[PATH_ROOM + 32];
	char line[80] = "";
	snprintf(command, sizeof(command), "'%s/postgres' --version", tools);
	FILE *pipe = popen(command, "re");
	if (pipe != NULL) {
		char *got = fgets(line, sizeof(line), pipe);
		(void)pclose(pipe);
		/* postgres (PostgreSQL) 15.20 (Debian ...) */
		const char *number = got != NULL ? strstr(line, ") ") : NULL;
		if (number != NULL)
			snprintf(version_text, sizeof(version_text), "%.*s", (int)strcspn(number + 2, " \n"), number + 2);
	}
}

void
postgres_locate(void)
{
	format_path(cluster, "%s/postgres", config->data_dir);
	format_path(log_file, "%s/postgres.log", config->data_dir);
	format_path(socket_folder, "%s/run", config->data_dir);
	if (strlen(socket_folder) > SOCKET_ROOM)
		/* A socket's path has to be short; the folder's number keeps two clusters apart. */
		format_path(socket_folder, "/tmp/tallyd-%016llx", (unsigned long long)text_hash(text_from(config->data_dir)));
	struct buf text = { 0 };
	buf_puts(&text, "postgresql:///tallyd?user=tallyd&host=");
	buf_percent(&text, text_from(socket_folder), "/");
	buf_byte(&text, '\0');
	snprintf(uri, sizeof(uri), "%s", text.s);
	buf_free(&text);
}

const char *
postgres_uri(void)
{
	return uri;
}

const char *
postgres_version(void)
{
	return version_text;
}

static bool
write_file(const char *folder, const char *name, const char *mode, const char *text)
{
	char path[PATH_ROOM];
	format_path(path, "%s/%s", folder, name);
	FILE *f = fopen(path, mode);
	if (f == NULL) {
		fprintf(stderr, "tallyd: cannot write %s: %s\n", path, strerror(errno));
		return false;
	}
	bool good = fputs(text, f) >= 0;
	return fclose(f) == 0 && good;
}

/* Who may be whom: the account and root (to look after it) may be the server, the admin and the reader of reports. */
static bool
write_access(const char *folder)
{
	struct buf ident = { 0 };
	static const char *const roles[] = { "tallyd", "tallyd_report", "postgres" };
	for (size_t i = 0; i < 3; i++) {
		buf_printf(&ident, "tallyd \"%s\" %s\n", account_name(), roles[i]);
		if (strcmp(account_name(), "root") != 0)
			buf_printf(&ident, "tallyd root %s\n", roles[i]);
	}
	buf_byte(&ident, '\0');
	bool good = write_file(folder, "pg_hba.conf", "we", "local all all peer map=tallyd\n") && write_file(folder, "pg_ident.conf", "we", ident.s) &&
	    write_file(folder, "tallyd.conf", "we", postgres_conf);
	buf_free(&ident);
	return good;
}

static bool
write_include(const char *folder)
{
	return write_file(folder, "postgresql.conf", "ae", "\ninclude 'tallyd.conf'\n");
}

static pid_t
start_at(const char *folder)
{
	char sockets[PATH_ROOM + 64], buffers[64], connections[64];
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	long mib = pages > 0 && page > 0 ? pages / 1024 * page / 1024 / 8 : 128;
	mib = mib < 64 ? 64 : mib > 2048 ? 2048 : mib;
	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", socket_folder);
	snprintf(buffers, sizeof(buffers), "shared_buffers=%ldMB", mib);
	snprintf(connections, sizeof(connections), "max_connections=%d", 20 + config->workers * (config->read_lanes + config->write_lanes + 2));
	const char *const args[] = { "postgres", "-D", folder, "-c", sockets, "-c", buffers, "-c", connections, NULL };
	fflush(NULL);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	tool_exec("postgres", args);
}

/* Line 8 of postmaster.pid says "ready" as soon as connections are taken (src/include/utils/pidfile.h). */
static bool
is_ready(const char *folder, pid_t pid)
{
	char path[PATH_ROOM], line[PATH_ROOM];
	bool ours = false, ready = false;
	format_path(path, "%s/postmaster.pid", folder);
	FILE *f = fopen(path, "re");
	for (int i = 1; f != NULL && fgets(line, sizeof(line), f) != NULL; i++) {
		if (i == 1)
			ours = strtol(line, NULL, 10) == pid;
		if (i == 8)
			ready = strncmp(line, "ready", 5) == 0;
	}
	if (f != NULL)
		fclose(f);
	return ours && ready;
}

static pid_t
await_ready(const char *folder, pid_t pid)
{
	int64_t until = now_ms() + START_S * 1000;
	while (pid > 0 && now_ms() < until) {
		int status;
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		if (is_ready(folder, pid))
			return pid;
		pause_ms(10);
	}
	fprintf(stderr, "tallyd: PostgreSQL did not start.\n");
	show_log_end();
	if (pid > 0 && now_ms() >= until)
		postgres_stop(pid);
	return 0;
}

static void
folder_remove(const char *path)
{
	const char *const args[] = { "rm", "-rf", "--", path, NULL };
	char kept[PATH_ROOM];
	union {
		const char *const *ours;
		char *const *theirs;
	} argv = { .ours = args };
	format_path(kept, "%s", path);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		signals_reset();
		account_enter();
		execvp("rm", argv.theirs);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Built beside and renamed when whole, so that an interrupted start leaves nothing half-made. */
static bool
cluster_make(void)
{
	char fresh[PATH_ROOM];
	format_path(fresh, "%s/postgres.new", config->data_dir);
	fprintf(stderr, "tallyd: making a private PostgreSQL %s cluster in %s\n", version_text, cluster);
	folder_remove(fresh);
	const char *const init[] = { "initdb", "-D", fresh, "-U", "postgres", "-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", NULL };
	if (!tool_run("initdb", init) || !as_account(write_access, fresh) || !as_account(write_include, fresh))
		return false;
	pid_t pid = await_ready(fresh, start_at(fresh));
	if (pid == 0)
		return false;
	const char *const role[] = { "createuser", "-h", socket_folder, "-U", "postgres", "--createrole", "tallyd", NULL };
	const char *const base[] = { "createdb", "-h", socket_folder, "-U", "postgres", "-O", "tallyd", "tallyd", NULL };
	bool good = tool_run("createuser", role) && tool_run("createdb", base);
	postgres_stop(pid);
	if (good && rename(fresh, cluster) != 0) {
		fprintf(stderr, "tallyd: cannot rename %s: %s\n", fresh, strerror(errno));
		return false;
	}
	return good;
}

/* The one a killed supervisor left behind is ending; it holds the cluster until it has. */
static bool
await_leftover(void)
{
	char path[PATH_ROOM], line[64], name[64];
	format_path(path, "%s/postmaster.pid", cluster);
	int64_t until = now_ms() + STOP_S * 1000;
	bool told = false;
	while (now_ms() < until) {
		pid_t pid = read_word(path, line, sizeof(line)) ? (pid_t)strtol(line, NULL, 10) : 0;
		if (pid <= 1)
			return true;
		char comm[PATH_ROOM];
		format_path(comm, "/proc/%d/comm", pid);
		if (!read_word(comm, name, sizeof(name)) || strncmp(name, "postgres", 8) != 0)
			return true;
		if (!told)
			(void)kill(pid, SIGINT);
		told = true;
		pause_ms(20);
	}
	fprintf(stderr, "tallyd: another PostgreSQL uses %s and does not end\n", cluster);
	return false;
}

bool
postgres_prepare(void)
{
	char path[PATH_ROOM], wanted[32] = "";
	struct stat st;
	postgres_locate();
	if (account_name()[0] == '\0') {
		fprintf(stderr, "tallyd: user %u has no account name, which PostgreSQL needs; give a --database\n", (unsigned)getuid());
		return false;
	}
	format_path(path, "%s/PG_VERSION", cluster);
	(void)read_word(path, wanted, sizeof(wanted));
	if (!find_tools(wanted)) {
		fprintf(stderr, "tallyd: no PostgreSQL%s%s programs on this machine; install the package postgresql, or give a --database\n", wanted[0] != '\0' ? " " : "", wanted);
		return false;
	}
	find_version();
	if (!folder_make(config->data_dir, 0750) || !folder_make(socket_folder, 0700))
		return false;
	if (!as_account(is_usable, config->data_dir)) {
		fprintf(stderr, "tallyd: %s cannot be used by the account %s; give another --data-dir, like /var/lib/tallyd, or another --user\n", config->data_dir, account_name());
		return false;
	}
	if (stat(socket_folder, &st) != 0 || !as_account(is_usable, socket_folder) || (st.st_mode & 022) != 0) {
		fprintf(stderr, "tallyd: the folder %s belongs to someone else\n", socket_folder);
		return false;
	}
	if (wanted[0] == '\0')
		return cluster_make();
	return await_leftover() && as_account(write_access, cluster);
}

pid_t
postgres_start(void)
{
	return await_ready(cluster, start_at(cluster));
}

void
postgres_stop(pid_t pid)
{
	int64_t begun = now_ms();
	int status, with = SIGINT;
	/* Fast: clients are cut, what is committed is written out. When that takes too long: at once, it recovers at the next start. */
	(void)kill(pid, SIGINT);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (with == SIGINT && now_ms() - begun > STOP_S * 1000) {
			with = SIGQUIT;
			(void)kill(pid, SIGQUIT);
		}
		pause_ms(10);
	}
}
