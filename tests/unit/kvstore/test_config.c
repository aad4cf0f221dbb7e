#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "kvstore/server/config.h"

static char *no_environment[] = {NULL};

static int load(struct config *config, char **argv, char **environment, struct err *err)
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc += 1;
    }
    return config_load(config, argc, argv, environment, err);
}

#define ARGS(...) ((char *[]){(char[]){"kvd"}, __VA_ARGS__ __VA_OPT__(, ) NULL})

static void expect_error(char **argv, const char *text)
{
    struct config config;
    struct err err = {0};
    assert_true(load(&config, argv, no_environment, &err) < 0);
    if (strstr(err.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
    }
    config_deinit(&config);
}

static void test_defaults_are_those_of_etcd(void **state)
{
    (void)state;
    struct config config;
    struct err err = {0};
    assert_int_equal(load(&config, ARGS(), no_environment, &err), 0);
    assert_string_equal(config.name, "default");
    assert_string_equal(config.data_dir, "default.etcd");
    assert_int_equal(config.heartbeat_interval_ms, 100);
    assert_int_equal(config.max_request_bytes, 1572864);
    assert_int_equal(config.watch_progress_notify_interval_ns, 600000000000);
    assert_int_equal(config.listen_client_urls.count, 1);
    assert_int_equal(config.listen_client_urls.url[0].port, 2379);
    assert_int_equal(config.member_count, 1);
    assert_string_equal(config.members[0].peer_urls.url[0].text, "http://localhost:2380");
    config_deinit(&config);
}

static void test_flags_take_every_form_of_gos_syntax(void **state)
{
    (void)state;
    struct config config;
    struct err err = {0};
    int code =
        load(&config,
             ARGS("-name=a", "--data-dir", "/d", "--pre-vote=false", "--strict-reconfig-check",
                  "--initial-cluster", "a=http://1.1.1.1:1,b=http://2.2.2.2:2,a=http://[::1]:3",
                  "--watch-progress-notify-interval=1m2.5s"),
             no_environment, &err);
    assert_int_equal(code, 0);
    assert_string_equal(config.name, "a");
    assert_false(config.pre_vote);
    assert_true(config.strict_reconfig_check);
    assert_int_equal(config.member_count, 2);
    assert_int_equal(config.members[0].peer_urls.count, 2);
    assert_string_equal(config.members[0].peer_urls.url[1].host, "::1");
    assert_int_equal(config.watch_progress_notify_interval_ns, 62500000000);
    assert_true(config_is_set(&config, "name"));
    assert_false(config_is_set(&config, "metrics"));
    config_deinit(&config);
}

static void test_wrong_flags_are_named(void **state)
{
    (void)state;
    expect_error(ARGS("--no-such=1"), "flag provided but not defined: -no-such");
    expect_error(ARGS("stray"), "'stray' is not a valid flag");
    expect_error(ARGS("--name"), "flag needs an argument: -name");
    expect_error(ARGS("--pre-vote=maybe"), "invalid value \"maybe\" for flag -pre-vote");
    expect_error(ARGS("--max-txn-ops=x"), "invalid value \"x\" for flag -max-txn-ops");
    expect_error(ARGS("--max-txn-ops=0"), "--max-txn-ops must be from 1");
    expect_error(ARGS("--election-timeout=300"), "should be at least as 5 times as");
    expect_error(ARGS("--election-timeout=60000"), "is too long");
    expect_error(ARGS("--listen-peer-urls=ftp://x:1"), "URL scheme must be");
    expect_error(ARGS("--listen-peer-urls=http://x.example:1"), "expected IP in URL for binding");
    expect_error(ARGS("--initial-cluster=b=http://1.1.1.1:1"), "couldn't find local name");
    expect_error(ARGS("--listen-client-urls=http://127.0.0.1:1"), "--advertise-client-urls");
    expect_error(ARGS("--v2-deprecation=not-yet"), "invalid value \"not-yet\"");
    expect_error(ARGS("--cert-file=x"), "go together");
    expect_error(ARGS("--config-file=/no/such/file"), "/no/such/file");
}

static void test_environment_is_weaker_than_the_command_line(void **state)
{
    (void)state;
    char *environment[] = {(char[]){"ETCD_NAME=e"}, (char[]){"ETCD_MAX_TXN_OPS=7"},
                           (char[]){"ETCD_NO_SUCH=1"}, (char[]){"HOME=/"}, NULL};
    struct config config;
    struct err err = {0};
    int code = load(&config, ARGS("--name=c"), environment, &err);
    assert_int_equal(code, 0);
    assert_string_equal(config.name, "c");
    assert_int_equal(config.max_txn_ops, 7);
    assert_int_equal(config.warning_count, 2);
    assert_string_equal(config.warnings[1], "unrecognized environment variable ETCD_NO_SUCH");
    config_deinit(&config);
}

static void test_old_experimental_names_are_accepted_with_a_warning(void **state)
{
    (void)state;
    struct config config;
    struct err err = {0};
    int code = load(&config,
                    ARGS("--experimental-watch-progress-notify-interval=5s",
                         "--experimental-initial-corrupt-check=true"),
                    no_environment, &err);
    assert_int_equal(code, 0);
    assert_int_equal(config.watch_progress_notify_interval_ns, 5000000000);
    assert_true(config.warning_count >= 2);
    config_deinit(&config);
}

static void with_file(const char *text, char path[static 32])
{
    (void)snprintf(path, 32, "/tmp/test_config_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_a_file_is_the_only_source_when_given(void **state)
{
    (void)state;
    char path[32];
    with_file("name: 'f'\nsnapshot-count: 5\nwatch-progress-notify-interval: 1000000000\n"
              "listen-client-urls: http://127.0.0.1:1,https://127.0.0.1:2\n"
              "advertise-client-urls: http://127.0.0.1:1\ninitial-cluster:\n"
              "client-transport-security:\n  cert-file: /c\n  key-file: /k\n",
              path);
    struct config config;
    struct err err = {0};
    int code = load(&config, ARGS("--name=ignored", "--config-file", path), no_environment, &err);
    unlink(path);
    assert_string_equal(err.text, "");
    assert_int_equal(code, 0);
    assert_string_equal(config.name, "f");
    assert_int_equal(config.snapshot_count, 5);
    assert_int_equal(config.watch_progress_notify_interval_ns, 1000000000);
    assert_int_equal(config.listen_client_urls.count, 2);
    assert_true(config.listen_client_urls.url[1].is_tls);
    assert_string_equal(config.client_tls.cert_file, "/c");
    config_deinit(&config);
}

static void test_a_broken_file_is_named_with_its_line(void **state)
{
    (void)state;
    char path[32];
    with_file("name: x\n  bad: [\n", path);
    expect_error(ARGS("--config-file", path), path);
    unlink(path);
    with_file("snapshot-count: many\n", path);
    expect_error(ARGS("--config-file", path), "key snapshot-count");
    unlink(path);
}

static void test_durations_follow_gos_syntax(void **state)
{
    (void)state;
    int64_t ns = 0;
    assert_int_equal(config_parse_duration("1h2m3s4ms5us6ns", &ns), 0);
    assert_int_equal(ns, 3723004005006);
    assert_int_equal(config_parse_duration("0", &ns), 0);
    assert_int_equal(ns, 0);
    assert_int_equal(config_parse_duration("-1.5s", &ns), 0);
    assert_int_equal(ns, -1500000000);
    static const char *const wrong[] = {"", "5", "s", "1x", "1s2", "--1s", "99999999999h"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(config_parse_duration(wrong[i], &ns), ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_etcd),
        cmocka_unit_test(test_flags_take_every_form_of_gos_syntax),
        cmocka_unit_test(test_wrong_flags_are_named),
        cmocka_unit_test(test_environment_is_weaker_than_the_command_line),
        cmocka_unit_test(test_old_experimental_names_are_accepted_with_a_warning),
        cmocka_unit_test(test_a_file_is_the_only_source_when_given),
        cmocka_unit_test(test_a_broken_file_is_named_with_its_line),
        cmocka_unit_test(test_durations_follow_gos_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
