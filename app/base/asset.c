/* Finds an embedded file of the web UI by its name. */
#include "base/asset.h"

const struct asset *
asset_find(struct text name)
{
	size_t low = 0, high = asset_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = text_compare(name, text_from(assets[middle].name));

		if (order == 0)
			return &assets[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
