// SPDX-License-Identifier: Apache-2.0
/* Tells the filter of transport, which may not know migrate, what records are called. */
#include "migrate/wire/wire.h"
#include "transport/filter.h"

__attribute__((constructor)) static void name_tags(void)
{
    filter_tag_name = wire_tag_name;
}
