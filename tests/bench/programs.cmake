# Programs that measure; none is a test.
coracle_program(grpc_echo SOURCES ${PROJECT_SOURCE_DIR}/tests/bench/grpc_echo.c LINK proto_wire)
