coracle_unit_test(test_network_ipam SOURCES network/test_ipam.c LINK network)
