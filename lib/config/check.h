/*
 * What can only be judged of a configuration as a whole.
 */
#ifndef SENDROUTE_CHECK_H
#define SENDROUTE_CHECK_H

#include "lib/base/result.h"
#include "lib/config/config.h"

/*
 * check_routes(c, res): each route has what its type needs and nothing that
 * contradicts; fallbacks exist (fallback_route is set), end, and every route can
 * be reached. Before the defaults are filled in. 0; or -1 with res filled.
 */
int check_routes(struct config *c, struct result *res);

#endif
