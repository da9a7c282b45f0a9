#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stddef.h>
#include <stdint.h>

/* One line a message on stderr: time, level, worker, text; JSON lines with --log-format json. Never given a signed URL, token or password. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
/* `who` (e.g. "worker 1") is kept, not copied. */
void log_setup(enum log_level most, int json, const char *who);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same about a request, by its name (http_name()). */
void log_request(enum log_level level, const char *request, size_t n, const char *format, ...) __attribute__((format(printf, 4, 5)));
int log_wants(enum log_level level);
/* For what may happen at every request: true when a second has passed since it last was; *last_ms begins with 0. */
int log_due(int64_t *last_ms);
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#endif
