#ifndef STORE_XML_H
#define STORE_XML_H
/* As much of XML as a bucket answers with: elements without attributes that matter. No entities but the five and numbers; nothing is fetched. */
#include "base/text.h"

struct arena;

/* The text between the first <name> and its </name> from *at on, not decoded; *at moves behind it. False at the end. */
bool xml_next(struct text document, size_t *at, const char *name, struct text *inner) must_check;
/* First <name> of the document, decoded, or TEXT_NONE. */
struct text xml_value(struct arena *, struct text document, const char *name);
struct text xml_decode(struct arena *, struct text raw);
void xml_escape(struct buf *out, struct text t);
#endif
