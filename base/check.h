/* check.h - assertions that stay on in every build.
 *
 * CHECK states something that can only be false because of a bug in this program. Bad input, a full
 * disk or a lost peer are never CHECKed: they are errors (base/err.h). */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Tell where and what on standard error (base/crash.h: in the log), then abort. Never returns. */
_Noreturn void check_failed(const char *file, int line, const char *expression);
void check_report(const char *file, int line, const char *expression);

#ifdef UNIT_TEST
/* cmocka's hook, so that expect_assert_failure() can test the negative space. */
void mock_assert(int result, const char *expression, const char *file, int line);
#define CHECK(expression) mock_assert((expression) ? 1 : 0, #expression, __FILE__, __LINE__)
#else
#define CHECK(expression)                                                                          \
    ((__builtin_expect(!(expression), 0)) ? check_failed(__FILE__, __LINE__, #expression) : (void)0)
#endif

#define CHECK_UNREACHABLE() check_failed(__FILE__, __LINE__, "unreachable")

#endif
