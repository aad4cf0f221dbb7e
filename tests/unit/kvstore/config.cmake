find_package(OpenSSL REQUIRED COMPONENTS Crypto)
coracle_unit_test(test_config SOURCES test_config.c LINK kv_config)
coracle_unit_test(test_metric SOURCES test_metric.c LINK kv_metric)
coracle_unit_test(test_self_signed SOURCES test_self_signed.c LINK kv_server OpenSSL::Crypto)
