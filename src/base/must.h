/* `must(e)`: what has to be true unless the program itself is wrong. It stays on in release builds,
 * and is never used on what came from outside. */
#pragma once

#define must(e) (__builtin_expect(!(e), 0) ? must_failed(#e, __FILE__, __LINE__) : (void)0)

/* Says where and what on stderr, then aborts. */
_Noreturn void must_failed(const char *expression, const char *file, int line);
