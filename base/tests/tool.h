// SPDX-License-Identifier: Apache-2.0
/* Which tool a test was compiled for, and how much longer everything takes under it
 * (tools/harness.py has the same): a limit that only ends what hangs is multiplied by it. */
#ifndef VF_BASE_TESTS_TOOL_H
#define VF_BASE_TESTS_TOOL_H

#if defined(__SANITIZE_THREAD__)
#define TEST_TOOL_FACTOR 8
#elif defined(__SANITIZE_ADDRESS__)
#define TEST_TOOL_FACTOR 4
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TOOL_FACTOR 8
#elif __has_feature(address_sanitizer)
#define TEST_TOOL_FACTOR 4
#endif
#endif

#ifndef TEST_TOOL_FACTOR
#define TEST_TOOL_FACTOR 1
#endif

/* An amount of work (steps, rounds, bytes) of which less proves the same: all of it without a tool,
 * and as much less under one as it is slower. Never a kind of work. */
#define TEST_SHARE(amount) ((amount) / TEST_TOOL_FACTOR)

#endif
