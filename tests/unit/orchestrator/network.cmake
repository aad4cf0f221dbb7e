coracle_unit_test(test_orch_proxy SOURCES test_proxy.c LINK orch_proxy)
