coracle_system_test(compat_kvctl_words ${CMAKE_CURRENT_LIST_DIR}/test_kvctl_words.py)
