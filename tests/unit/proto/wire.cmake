coracle_unit_test(test_tls SOURCES test_tls.c certificates.c LINK proto_tls base_core)
coracle_unit_test(test_grpc_loopback SOURCES test_grpc_loopback.c loopback.c LINK proto_wire)
coracle_unit_test(test_tls_loopback SOURCES test_tls_loopback.c loopback.c certificates.c LINK proto_wire)
coracle_unit_test(test_http2_attack SOURCES test_http2_attack.c http2_script.c LINK proto_http)
