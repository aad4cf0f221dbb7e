#include "orchestrator/apiserver/token.h"
#include "tests/unit/orchestrator/cunit.h"

static void test_a_token_proves_its_claims(void **state)
{
    (void)state;
    CLEANUP(json) json_t *claims = from_text("{'sub':'me','exp':5}");
    CLEANUP(json) json_t *back = NULL;
    CLEANUP(free) char *token = token_sign(claims, BYTES_LITERAL("a key of some length"));
    assert_int_equal(token_verify(token, BYTES_LITERAL("a key of some length"), &back), 0);
    assert_true(tree_equal(back, claims));
}

static void test_another_key_or_a_changed_token_proves_nothing(void **state)
{
    (void)state;
    CLEANUP(json) json_t *claims = from_text("{'sub':'me'}");
    json_t *back = NULL;
    CLEANUP(free) char *token = token_sign(claims, BYTES_LITERAL("key"));
    assert_int_equal(token_verify(token, BYTES_LITERAL("yek"), &back), ERR_DENIED);
    token[25] = token[25] == 'A' ? 'B' : 'A';
    assert_int_not_equal(token_verify(token, BYTES_LITERAL("key"), &back), 0);
    static const char *const bad[] = {"", "a.b", "a.b.c", "a.b.c.d", "..", "a.b.!!"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(token_verify(bad[i], BYTES_LITERAL("key"), &back), ERR_MALFORMED);
    }
    assert_null(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_proves_its_claims),
        cmocka_unit_test(test_another_key_or_a_changed_token_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
