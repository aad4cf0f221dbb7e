coracle_unit_test(test_image_reference SOURCES image/test_reference.c LINK image)
coracle_unit_test(test_image_manifest SOURCES image/test_manifest.c LINK image)
coracle_unit_test(test_image_extract SOURCES image/test_extract.c LINK image_archive)
