#ifndef SEARCH_FRAGMENTS_H
#define SEARCH_FRAGMENTS_H
/* The pieces of SQL that the compiler puts together, by name. All SQL text of the search is in fragments.def. */
enum fragment {
#define FRAGMENT(name, text) F_##name,
#include "search/fragments.def"
#undef FRAGMENT
};
#endif
