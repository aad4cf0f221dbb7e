coracle_unit_test(test_orch_cache SOURCES test_cache.c LINK orch_cache)
coracle_unit_test(test_orch_work_queue SOURCES test_work_queue.c LINK orch_cache)
coracle_unit_test(test_orch_plan SOURCES test_plan.c LINK orch_plan)
coracle_unit_test(test_orch_registry SOURCES test_registry.c orch_world.c
    LINK orch_runtime orch_scheduler_loop)
coracle_unit_test(test_orch_controllers SOURCES test_controllers.c orch_world.c
    LINK orch_runtime orch_scheduler_loop)
coracle_unit_test(test_orch_cron SOURCES test_cron.c LINK orch_controllers)
coracle_unit_test(test_orch_scheduler SOURCES test_scheduler.c LINK orch_scheduler)
coracle_unit_test(test_orch_route SOURCES test_route.c LINK orch_apiserver)
coracle_unit_test(test_orch_rbac SOURCES test_rbac.c LINK orch_apiserver)
coracle_unit_test(test_orch_token SOURCES test_token.c LINK orch_apiserver)
