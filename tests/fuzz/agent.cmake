coracle_fuzz_target(fuzz_spdy SOURCES fuzz_spdy.c LINK orch_spdy)
coracle_fuzz_target(fuzz_log_filter SOURCES fuzz_log_filter.c LINK orch_agent_core)
