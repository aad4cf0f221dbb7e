coracle_unit_test(test_config SOURCES test_config.c LINK kv_config)
coracle_unit_test(test_metric SOURCES test_metric.c LINK kv_metric)
