#ifndef API_REGISTRY_H
#define API_REGISTRY_H
/* What models.c and versions.c share. */
#include "engine/call.h"

bool model_name_valid(struct call *, struct text name, const char *field) must_check;
bool registry_tag_valid(struct call *, struct text key, struct text value) must_check;
bool registry_tags_valid(struct call *, const struct value *tags) must_check;
/* The field `version` is an integer. */
bool version_number_valid(struct call *) must_check;
int stage_number(struct text stage);
enum next registry_refused_or_wire(struct call *, PGresult *);
#endif
