coracle_unit_test(test_grpc_loopback SOURCES test_grpc_loopback.c loopback.c LINK proto_wire)
