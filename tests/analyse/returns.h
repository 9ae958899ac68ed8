/* For the analysers alone, which look at one file at a time: these return -1. */
#include "lib/base/result.h"
#include "lib/net/stream.h"

#define result_fail(...) (result_fail(__VA_ARGS__), -1)
#define stream_fail(...) (stream_fail(__VA_ARGS__), -1)
