coracle_unit_test(test_compose SOURCES compose/test_compose.c LINK compose_project)
coracle_unit_test(test_health SOURCES compose/test_health.c LINK words_container)
