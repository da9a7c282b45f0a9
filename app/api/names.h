#ifndef API_NAMES_H
#define API_NAMES_H
/* MLflow's rules for names and lengths (mlflow/utils/validation.py), in its words. Each returns false with call->fail set. */
#include "engine/call.h"

/* Most names are beyond doubt: at most so many letters, digits, _ and -, with dots and single slashes between. */
bool name_plain(struct text name, size_t most);
/* Characters and path form of a metric, param or tag name. `path` is how the message calls it: "name", "params[3].key". */
bool name_valid(struct call *, struct text name, const char *path) must_check;
/* "'X' exceeds the maximum length of N characters" */
bool length_valid(struct call *, struct text value, size_t most, const char *what) must_check;
/* Values that are too long are cut, as MLflow does by default (MLFLOW_TRUNCATE_LONG_VALUES). */
struct text length_cut(struct text value, size_t most);
bool run_id_valid(struct call *, struct text run_id) must_check;
/* Experiment ids are integers. */
bool experiment_id_parse(struct call *, struct text id, int64_t *out) must_check;
/* What posixpath.normpath makes of a name. */
struct text path_norm(struct arena *, struct text name);
/* 32 random hexadecimal digits after `prefix`. */
struct text random_id(struct arena *, const char *prefix);
/* adjective-noun-number, at most 20 characters. */
struct text random_name(struct arena *);
#endif
