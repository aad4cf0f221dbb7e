coracle_unit_test(test_orch_proxy SOURCES test_proxy.c LINK orch_proxy)
coracle_unit_test(test_orch_dns SOURCES test_dns.c LINK orch_dns)
coracle_unit_test(test_orch_words SOURCES test_words.c LINK orch_words)
